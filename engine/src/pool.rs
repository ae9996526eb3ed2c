//! Machines that the program's own code uses: one, or a pool of them that are handed out and come back.
//! Owns: the pool's handle, its sizes, who waits for a machine, and the error of each wait. Does not own:
//! how a pool is set up (`builder.rs`), what happens to a machine between two users (`upkeep.rs`), a machine in use
//! (`machine.rs`), calling users' code on it (`handler.rs`), renting (`market/`, `activity.rs`).

mod builder;
mod error;
mod handler;
mod machine;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use golem_wire::NodeId;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use builder::{ManyOf, OneOf, RentError};
pub use error::AcquireError;
pub(crate) use handler::{Called, call, over};
pub use machine::RentedMachine;

use crate::WorkContext;
use crate::cause::Cause;
use crate::context::{Context, JobName};
use crate::deadline;
use crate::market::DemandSubscription;
use crate::model::JobId;
use crate::service::HandlerError;
use crate::tasks::TaskGroup;
use crate::watch;
use machine::{Lease, Slot};

/// Machines in a row that turn out to be of no use, or are not to be had, before whoever waits is told.
const MAX_FAILURES: u32 = 10;

/// Users' code that is called with a machine.
type Hook = Arc<dyn Fn(WorkContext) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Rented machines that are handed out and come back. Cheap to clone; made by [`Golem::many_of`](crate::Golem::many_of).
/// [`drain`](Self::drain) ends it, or the drop of its last handle: machines in use stay with their users until they
/// are released, and none is handed out any more. The engine's end takes them away.
#[derive(Clone)]
pub struct MachinePool {
    pool: Arc<Pool>,
    _last: Arc<DropGuard>,
}

/// What a pool does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Machines that are kept ready at the least.
    pub min: usize,
    /// Machines at a time, at the most.
    pub max: usize,
    /// Machines that wait for somebody who uses them.
    pub idle: usize,
    /// Machines that are in use.
    pub in_use: usize,
    /// Machines that are being rented and set up.
    pub renting: usize,
    /// Machines on their way back: to the next user, or to their provider.
    pub returning: usize,
    /// Calls that wait for a machine.
    pub waiting: usize,
    /// Whether the pool ends: no machine is handed out any more.
    pub draining: bool,
}

/// The pool behind its handles.
struct Pool {
    context: Arc<Context>,
    job: JobId,
    _name: JobName,
    demand: Arc<DemandSubscription>,
    settings: Settings,
    /// The pool's own tasks; the engine's end waits for them.
    tasks: TaskGroup,
    /// Machines that are being given back to their providers.
    giving_back: TaskGroup,
    /// For users who drop machines outside of it.
    runtime: Handle,
    /// No machine is handed out any more.
    draining: CancellationToken,
    /// Machines are taken away from their users.
    taken_away: CancellationToken,
    state: Mutex<State>,
    /// Something changed in the state.
    changed: Notify,
    over: watch::Sender<bool>,
}

/// How a pool works.
struct Settings {
    min: usize,
    max: usize,
    acquire: Option<Duration>,
    idle: Duration,
    fresh: bool,
    /// Where machines are to be in a virtual network.
    place: Option<crate::network::Place>,
    setup: Option<Hook>,
    setup_timeout: Option<Duration>,
    validation: Option<Hook>,
    validation_timeout: Option<Duration>,
    teardown: Option<Hook>,
    teardown_timeout: Option<Duration>,
    stop_grace: Duration,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    in_use: BTreeMap<usize, Arc<Slot>>,
    renting: usize,
    returning: usize,
    /// In the order they came.
    waiters: VecDeque<Waiter>,
    next_waiter: u64,
    /// Numbers of machines.
    next_machine: usize,
    /// Providers that were of no use: the last resort.
    avoid: Vec<NodeId>,
    /// Why the last machine that nobody waited for was not to be had, and when it is tried again.
    resting: Option<(Cause, Instant)>,
}

/// A machine that waits for a user; whoever takes it drops the guard, which ends the watch over it.
struct Idle {
    slot: Arc<Slot>,
    _watched: DropGuard,
}

struct Waiter {
    id: u64,
    reply: oneshot::Sender<Result<Lease, AcquireError>>,
}

/// A place in the queue; a machine that came too late goes back by itself.
struct Place<'a> {
    pool: &'a Pool,
    id: u64,
    machine: oneshot::Receiver<Result<Lease, AcquireError>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool
            .lock()
            .waiters
            .retain(|waiter| waiter.id != self.id);
        // Whoever rents for it may stop.
        self.pool.changed.notify_waiters();
    }
}

impl State {
    /// Machines, those on their way included.
    fn total(&self) -> usize {
        self.idle.len() + self.in_use.len() + self.renting + self.returning
    }

    /// How many are to be rented at the moment.
    fn wanted(&self, settings: &Settings) -> usize {
        let there = self.idle.len() + self.in_use.len() + self.returning;
        let waiting = self.waiters.len().saturating_sub(self.returning);
        let resting = self.resting.is_some();
        let kept = if resting {
            0
        } else {
            settings.min.saturating_sub(there)
        };
        if golem_probe::planted!("a-pool-is-larger-than-its-limit") {
            return waiting.max(kept);
        }
        waiting.max(kept).min(settings.max.saturating_sub(there))
    }
}

/// Which machines somebody who acquires one may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Among {
    /// Those that are idle.
    Idle,
    /// Those to come as well.
    All,
}

impl MachinePool {
    fn new(pool: Arc<Pool>) -> Self {
        let last = pool.draining.clone().drop_guard();
        MachinePool {
            pool,
            _last: Arc::new(last),
        }
    }

    /// The job of this pool in events and reports.
    pub fn job(&self) -> &JobId {
        &self.pool.job
    }

    /// What it does at the moment.
    pub fn status(&self) -> PoolStatus {
        let state = self.pool.lock();
        PoolStatus {
            min: self.pool.settings.min,
            max: self.pool.settings.max,
            idle: state.idle.len(),
            in_use: state.in_use.len(),
            renting: state.renting,
            returning: state.returning,
            waiting: state.waiters.len(),
            draining: self.pool.draining.is_cancelled(),
        }
    }

    /// A machine, set up and [validated](ManyOf::validate): an idle one, one that somebody releases, or another one
    /// that is rented, if there are less than [`max`](ManyOf::max). Who came first is served first. Waits for
    /// [`acquire_timeout`](ManyOf::acquire_timeout) at the most.
    ///
    /// # Errors
    /// [`AcquireError`].
    ///
    /// # Cancel safety
    /// Cancel-safe: a machine that nobody waits for any more goes to the next one who does, or stays idle; one
    /// that is being rented for nobody else is given up.
    pub async fn acquire(&self) -> Result<RentedMachine, AcquireError> {
        self.acquire_by(self.pool.settings.acquire).await
    }

    /// The same, with a limit on waiting of its own.
    ///
    /// # Errors
    /// [`AcquireError`]; [`Exhausted`](AcquireError::Exhausted) and [`Timeout`](AcquireError::Timeout) after `limit`.
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_within(&self, limit: Duration) -> Result<RentedMachine, AcquireError> {
        self.acquire_by(Some(limit)).await
    }

    /// A machine that is idle, once it is validated; it waits for no other, and none is rented.
    ///
    /// # Errors
    /// [`AcquireError::Exhausted`] when all are in use, [`AcquireError::Timeout`] when none is idle, and as
    /// [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn try_acquire(&self) -> Result<RentedMachine, AcquireError> {
        self.acquire_of(Among::Idle, None).await
    }

    async fn acquire_by(&self, limit: Option<Duration>) -> Result<RentedMachine, AcquireError> {
        self.acquire_of(Among::All, limit).await
    }

    async fn acquire_of(
        &self,
        among: Among,
        limit: Option<Duration>,
    ) -> Result<RentedMachine, AcquireError> {
        let limit = limit.map(|limit| (deadline::within(limit), limit));
        let pool = &self.pool;
        tokio::select! {
            biased;
            () = pool.draining.cancelled() => Err(pool.ended()),
            lease = pool.next_fit(among) => lease.map(RentedMachine::new),
            (_, why) = pool.demand.own_allocations().beyond(0) => Err(AcquireError::BudgetExhausted {
                pool: pool.job.clone(),
                source: why,
            }),
            limit = over(limit) => Err(pool.late(limit)),
        }
    }

    /// Waits until [`min`](ManyOf::min) machines are there, in use or idle.
    ///
    /// # Errors
    /// [`AcquireError::Timeout`] after `limit`, with the reason why the last one was not to be had; and as
    /// [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), AcquireError> {
        let pool = &self.pool;
        let ready = pool.until(|state| state.idle.len() + state.in_use.len() >= pool.settings.min);
        tokio::select! {
            biased;
            () = pool.draining.cancelled() => Err(pool.ended()),
            () = ready => Ok(()),
            limit = over(Some((deadline::within(limit), limit))) => Err(pool.late(limit)),
        }
    }

    /// Gives machines that are idle back to their providers; [`min`](ManyOf::min) of them are replaced by
    /// others.
    pub fn clear(&self) {
        self.pool.retire_idle("the pool was cleared");
    }

    /// Ends the pool: no machine is handed out any more, idle ones are given back at once, those in use when
    /// their users release them; [`WorkContext::stop_requested`](crate::WorkContext::stop_requested) tells them. Waits until
    /// everything is given back, but for machines that do not answer any more, whose agreements the engine
    /// goes on to end.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn drain(&self) {
        self.pool.draining.cancel();
        self.pool.wait_over().await;
    }
}

impl fmt::Debug for MachinePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachinePool")
            .field("job", &self.pool.job)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the state is as wanted.
    async fn until(&self, wanted: impl Fn(&State) -> bool) {
        loop {
            // No change from here on is missed.
            let changed = self.changed.notified();
            if wanted(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    async fn wait_over(&self) {
        let mut over = self.over.subscribe();
        // The sender lives in `self`.
        let _ = over.wait_for(|over| *over).await;
    }

    /// Why nothing is handed out any more.
    fn ended(&self) -> AcquireError {
        let pool = self.job.clone();
        match self.tasks.is_cancelled() {
            true => AcquireError::Stopped { pool },
            false => AcquireError::Draining { pool },
        }
    }

    /// Why nothing came within `limit`.
    fn late(&self, limit: Duration) -> AcquireError {
        let pool = self.job.clone();
        let state = self.lock();
        let max = self.settings.max;
        if state.in_use.len() >= max {
            return AcquireError::Exhausted { pool, max, limit };
        }
        AcquireError::Timeout {
            pool,
            limit,
            in_use: state.in_use.len(),
            renting: state.renting,
            last_failure: state.resting.as_ref().map(|(cause, _)| cause.clone()),
        }
    }

    /// The next machine that is validated.
    async fn next_fit(self: &Arc<Self>, among: Among) -> Result<Lease, AcquireError> {
        let mut failures = 0;
        loop {
            let lease = self.next(among).await?;
            let Err((error, is_final)) = self.validate(&lease).await else {
                return Ok(lease.hand_out());
            };
            drop(lease.discard("its validation failed"));
            failures += 1;
            if is_final || failures >= MAX_FAILURES {
                return Err(error);
            }
        }
    }

    /// The next machine: an idle one, or one that is waited for.
    async fn next(self: &Arc<Self>, among: Among) -> Result<Lease, AcquireError> {
        let mut place = {
            let mut state = self.lock();
            // Where machines are idle, nobody waits. The one that was used last is taken, so that others
            // are idle for long enough to be given back.
            if let Some(idle) = state.idle.pop() {
                return Ok(self.lend(&mut state, idle.slot));
            }
            if among == Among::Idle {
                drop(state);
                return Err(self.late(Duration::ZERO));
            }
            let id = state.next_waiter;
            state.next_waiter += 1;
            let (reply, machine) = oneshot::channel();
            state.waiters.push_back(Waiter { id, reply });
            let pool = self.as_ref();
            Place { pool, id, machine }
        };
        self.rent_more();
        let machine = (&mut place.machine).await;
        machine.unwrap_or_else(|_| Err(self.ended()))
    }

    /// A machine from now on in use.
    fn lend(self: &Arc<Self>, state: &mut State, slot: Arc<Slot>) -> Lease {
        state.in_use.insert(slot.number, Arc::clone(&slot));
        self.changed.notify_waiters();
        Lease::new(Arc::clone(self), slot)
    }
}
