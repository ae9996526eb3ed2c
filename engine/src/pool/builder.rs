//! Setting a pool up, or a single rental. Owns: the builders and their defaults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{AcquireError, Hook, MachinePool, Pool, RentedMachine, Settings};
use crate::WorkContext;
use crate::deadline::{self, Expiration};
use crate::error::Error;
use crate::golem::Golem;
use crate::market::{DemandSubscription, SHORTEST_RENTAL};
use crate::network::{Network, Place, require_vpn};
use crate::payload::{Payload, Resolved};
use crate::service::HandlerError;
use crate::watch;

/// Machines are taken away from their users this long before the pool expires, so that they are given back in
/// order.
const STOP_BEFORE: Duration = Duration::from_secs(60);

/// Sets a pool up; made by [`Golem::many_of`].
#[must_use = "nothing is rented before `start()`"]
pub struct ManyOf {
    golem: Golem,
    payload: Payload,
    job_id: Option<String>,
    expiration: Expiration,
    settings: Settings,
}

/// Sets a single rental up; made by [`Golem::one_of`].
#[must_use = "nothing is rented before `rent()`"]
pub struct OneOf(ManyOf);

impl Golem {
    /// Rents one machine, to be used from the program's own code: no service to implement, no list of tasks.
    ///
    /// ```no_run
    /// # use golem_engine::{Golem, payload::Payload};
    /// # async fn example(golem: Golem, payload: Payload) -> Result<(), Box<dyn std::error::Error>> {
    /// let machine = golem.one_of(payload).rent().await?;
    /// let date = machine.run("/bin/date", ["-u"]).await?;
    /// println!("{} says: {}", machine.provider_name(), date.stdout_text());
    /// machine.release().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn one_of(&self, payload: impl Into<Payload>) -> OneOf {
        OneOf(self.many_of(payload).max(1))
    }

    /// A pool of machines that are handed out, come back, and are handed out again.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use golem_engine::{Golem, payload::Payload};
    /// # async fn example(golem: Golem, payload: Payload) -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = golem
    ///     .many_of(payload)
    ///     .min(1)
    ///     .max(3)
    ///     .setup(|ctx| async move {
    ///         ctx.run("/bin/mkdir", ["-p", "/golem/work/in"]).await?;
    ///         Ok(())
    ///     })
    ///     .acquire_timeout(Duration::from_secs(120))
    ///     .start()
    ///     .await?;
    /// let machine = pool.acquire().await?;
    /// machine.run("/bin/date", ["-u"]).await?;
    /// // Back to the pool, as a drop does.
    /// machine.release().await;
    /// pool.drain().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn many_of(&self, payload: impl Into<Payload>) -> ManyOf {
        let quarter = Some(Duration::from_secs(15 * 60));
        let five = Some(Duration::from_secs(5 * 60));
        ManyOf {
            golem: self.clone(),
            payload: payload.into(),
            job_id: None,
            expiration: Expiration::After(Duration::from_secs(180 * 60)),
            settings: Settings {
                min: 0,
                max: 5,
                acquire: None,
                idle: Duration::from_secs(60),
                fresh: false,
                place: None,
                setup: None,
                setup_timeout: quarter,
                validation: None,
                validation_timeout: Some(Duration::from_secs(60)),
                teardown: None,
                teardown_timeout: five,
                stop_grace: Duration::ZERO,
            },
        }
    }
}

fn hook<F>(call: impl Fn(WorkContext) -> F + Send + Sync + 'static) -> Hook
where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Arc::new(move |ctx| call(ctx).boxed())
}

impl ManyOf {
    /// Machines that are kept ready, and paid for, also when nobody uses them; none unless set.
    pub fn min(mut self, machines: usize) -> Self {
        self.settings.min = machines;
        self
    }

    /// Machines at a time, at the most; 5 unless set, and 1 at the least.
    pub fn max(mut self, machines: usize) -> Self {
        self.settings.max = machines.max(1);
        self
    }

    /// What the job is called in events and reports, instead of `pool-N`: 1 to 64 letters, digits,
    /// `.`, `_` and `-`, and no other job's name.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.job_id = Some(id.into());
        self
    }

    /// Makes the machines nodes of a virtual network: each gets an address there before it is set up; see
    /// [`WorkContext::network_node`]. Only runtimes that can join one are rented.
    pub fn network(mut self, network: &Network) -> Self {
        self.settings.place = Some(Place {
            network: network.clone(),
            claim: None,
        });
        self
    }

    /// How long [`MachinePool::acquire`] waits; without end unless set. The market gives up by itself after
    /// [`no_offers_timeout`](crate::config::MarketLimits::no_offers_timeout).
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.settings.acquire = Some(timeout);
        self
    }

    /// How long a machine beyond [`min`](Self::min) is kept, and paid for, while nobody uses it; a minute unless
    /// set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle = timeout;
        self
    }

    /// What is done once on each machine before it is handed out for the first time, and again after each
    /// [`restart`](RentedMachine::restart). When it fails the machine is given back and another one is tried; ten
    /// failures in a row, or one that is [not retryable](HandlerError::is_retryable), and whoever waits gets
    /// [`AcquireError::SetupFailed`].
    pub fn setup<F>(mut self, setup: impl Fn(WorkContext) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.settings.setup = Some(hook(setup));
        self
    }

    /// Time for the set-up of one machine; 15 minutes unless set.
    pub fn setup_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.setup_timeout = timeout;
        self
    }

    /// What tells whether a machine is good enough, each time before it is handed out. When it fails the machine is
    /// given back and another one is tried; ten failures in a row, or one that is
    /// [not retryable](HandlerError::is_retryable), and whoever waits gets [`AcquireError::ValidationFailed`]. Machines that are
    /// known to be lost are never handed out.
    pub fn validate<F>(
        mut self,
        validate: impl Fn(WorkContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.settings.validation = Some(hook(validate));
        self
    }

    /// Time for one validation; a minute unless set.
    pub fn validation_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.validation_timeout = timeout;
        self
    }

    /// What is done on each machine before its activity ends: before it is given back to its provider, or restarted.
    /// Not on machines that are lost, that were never set up, or that the engine's end takes away from their users. A failure is
    /// only logged.
    pub fn teardown<F>(
        mut self,
        teardown: impl Fn(WorkContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.settings.teardown = Some(hook(teardown));
        self
    }

    /// Time for the tear-down of one machine; 5 minutes unless set.
    pub fn teardown_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.teardown_timeout = timeout;
        self
    }

    /// Whether each user gets a machine on which nothing of the user before is left: another activity on the same
    /// agreement, [set up](Self::setup) again. False unless set: files stay.
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.settings.fresh = fresh;
        self
    }

    /// How long users keep their machines when the engine stops or the pool expires, after
    /// [`WorkContext::stop_requested`]; none unless set.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.settings.stop_grace = grace;
        self
    }

    /// How long the pool may live; 3 hours unless set. It ends shortly before.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = Expiration::After(expiration);
        self
    }

    /// Until when the pool may live, by the daemon's clock; see [`expiration`](Self::expiration).
    pub fn expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expiration = Expiration::At(expires_at);
        self
    }

    /// Publishes the demand, and begins to rent [`min`](Self::min) machines;
    /// [`MachinePool::wait_ready`] waits for them.
    ///
    /// # Errors
    /// [`Error::PoolSize`], [`Error::Payload`], [`Error::ExpiresTooSoon`], [`Error::JobName`], and what the market
    /// refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe: a pool that nobody waits for any more is drained as soon as it is there.
    pub async fn start(self) -> Result<MachinePool, Error> {
        self.start_as("pool").await
    }

    async fn start_as(self, kind: &'static str) -> Result<MachinePool, Error> {
        let context = Arc::clone(self.golem.context());
        let (min, max) = (self.settings.min, self.settings.max);
        if min > max {
            return Err(Error::PoolSize { min, max });
        }
        let now = context.now();
        let too_soon = |expires_at| Error::ExpiresTooSoon {
            expires_at,
            earliest: now,
        };
        let lifetime = self.expiration.left(now).map_err(too_soon)?;
        let resolved = self.payload.resolve(&context).await?;
        let Resolved {
            mut payload,
            offered,
        } = resolved;
        if self.settings.place.is_some() {
            require_vpn(&mut payload);
        }
        // Whoever waits may go away; a pool without a handle ends.
        let opening = async move {
            let context = Arc::clone(self.golem.context());
            let name = context.job_name(self.job_id.as_deref(), kind)?;
            let job = name.id.clone();
            let tasks = context.jobs().child(job.as_str());
            if tasks.is_cancelled() {
                return Err(Error::Stopped);
            }
            let rentable = deadline::date_after(context.now(), lifetime.max(SHORTEST_RENTAL));
            let market = self.golem.market();
            let machines = self.settings.max;
            let demand =
                DemandSubscription::begin(market, &job, payload, rentable, machines).await?;
            demand.keep(offered);
            let pool = Arc::new(Pool {
                giving_back: context.tasks().child(job.as_str()),
                context,
                job,
                _name: name,
                demand,
                settings: self.settings,
                tasks,
                runtime: Handle::current(),
                draining: CancellationToken::new(),
                taken_away: CancellationToken::new(),
                state: std::sync::Mutex::default(),
                changed: Notify::new(),
                over: watch::Sender::new(false),
            });
            let margin = STOP_BEFORE.min(lifetime / 10);
            let end = deadline::within(lifetime.saturating_sub(margin));
            let supervising = Arc::clone(&pool).supervise(end);
            pool.tasks.spawn("supervise", supervising);
            Ok(MachinePool::new(pool))
        };
        let opened = context.tasks().run("start-pool", opening).await;
        opened.map_err(|_| Error::Stopped)?
    }
}

impl OneOf {
    /// What the job is called in events and reports, instead of `rental-N`; see [`ManyOf::job_id`].
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.0 = self.0.job_id(id);
        self
    }

    /// Makes the machine a node of a virtual network; see [`ManyOf::network`].
    pub fn network(mut self, network: &Network) -> Self {
        self.0 = self.0.network(network);
        self
    }

    /// How long it is waited for the machine; see [`ManyOf::acquire_timeout`].
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.0 = self.0.acquire_timeout(timeout);
        self
    }

    /// What is done on the machine before it is handed out; see [`ManyOf::setup`].
    pub fn setup<F>(mut self, setup: impl Fn(WorkContext) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.0 = self.0.setup(setup);
        self
    }

    /// What is done on the machine before it is given back; see [`ManyOf::teardown`].
    pub fn teardown<F>(
        mut self,
        teardown: impl Fn(WorkContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.0 = self.0.teardown(teardown);
        self
    }

    /// How long the machine may be rented; 3 hours unless set. It is taken away shortly before.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.0 = self.0.expiration(expiration);
        self
    }

    /// How long the machine stays with its user when the engine stops; see [`ManyOf::stop_grace`].
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.0 = self.0.stop_grace(grace);
        self
    }

    /// Rents the machine. It is given back when it is [released](RentedMachine::release) or dropped.
    ///
    /// # Errors
    /// [`RentError`].
    ///
    /// # Cancel safety
    /// Cancel-safe: what was rented already is given back.
    pub async fn rent(self) -> Result<RentedMachine, RentError> {
        let pool = self.0.start_as("rental").await?;
        let machine = pool.acquire().await;
        Ok(machine?.with_own(pool))
    }
}

/// Why no machine was rented.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RentError {
    /// The demand was not published.
    #[error(transparent)]
    Start(#[from] Error),
    /// No machine was there, or none that could be set up.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
}

impl fmt::Debug for ManyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyOf")
            .field("job_id", &self.job_id)
            .field("min", &self.settings.min)
            .field("max", &self.settings.max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneOf")
            .field("job_id", &self.0.job_id)
            .finish_non_exhaustive()
    }
}
