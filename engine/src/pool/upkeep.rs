//! What happens to a machine between two users: it is rented, set up, validated, kept while it is idle, made
//! new, given back. Owns: these tasks, and the end of a pool. Does not own: who waits for what (`pool.rs`).

use std::sync::Arc;
use std::time::Duration;

use golem_wire::NodeId;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::handler::{Called, call};
use super::machine::{Lease, Slot};
use super::{AcquireError, Hook, Idle, MAX_FAILURES, Pool};
use crate::activity::{ActivityHealth, Machine, RentError};
use crate::cause::Cause;
use crate::deadline;
use crate::event::{
    EventContext, JobFinished, MachineReady, MachineRetired, MachineUnfit, WorkerFinished,
    WorkerStarted,
};
use crate::market::SignError;
use crate::model::{InstanceId, InstanceInfo, remember};
use crate::retry::Backoff;

/// How long no machine is rented that nobody waits for, after one was not to be had.
const REST: Duration = Duration::from_secs(60);

/// Why a machine is not handed out again.
const ENDS_SOON: &str = "its provider announced an end";

impl Pool {
    /// Rents what is wanted and not on its way.
    pub(super) fn rent_more(self: &Arc<Self>) {
        loop {
            let number = {
                let mut state = self.lock();
                let enough = state.renting >= state.wanted(&self.settings);
                if enough || self.draining.is_cancelled() {
                    break;
                }
                state.renting += 1;
                state.next_machine += 1;
                state.next_machine
            };
            let renting = Arc::clone(self).add(number);
            self.tasks.spawn(format!("rent-{number}"), renting);
        }
        self.changed.notify_waiters();
    }

    /// Rents a machine, sets it up, and hands it to the one who waits first; or tells that one why there is none.
    async fn add(self: Arc<Self>, number: usize) {
        match self.rent(number).await {
            Some(Ok(slot)) => {
                {
                    let mut state = self.lock();
                    state.renting -= 1;
                    state.returning += 1;
                    state.resting = None;
                }
                self.context.emit(slot.about(), MachineReady {});
                self.offer(slot).await;
            }
            Some(Err(error)) => self.none_to_rent(error),
            // It was counted out where that was found.
            None => {}
        }
        self.rent_more();
    }

    /// Tells the one who waits first, or remembers it for a while.
    fn none_to_rent(&self, error: AcquireError) {
        let mut state = self.lock();
        state.renting -= 1;
        match state.waiters.pop_front() {
            // Whoever waits may go away at the same time.
            Some(waiter) => drop(waiter.reply.send(Err(error))),
            None => state.resting = Some((error.into_cause(), deadline::within(REST))),
        }
    }

    /// Rents a machine and sets it up; `None` if it is not wanted any more.
    async fn rent(self: &Arc<Self>, number: usize) -> Option<Result<Arc<Slot>, AcquireError>> {
        let name = format!("machine-{number}");
        let info = InstanceInfo {
            id: InstanceId::new(format!("{}/{name}", self.job)),
            name,
            index: number - 1,
            job: self.job.clone(),
            attempt: 1,
        };
        let about = EventContext::of_job(&self.job).with_instance(&info.id, &info.name);
        let label = info.id.as_str().to_owned();
        let mut backoff = Backoff::new(self.context.seed(), label);
        let mut failures = 0;
        loop {
            let avoid = self.lock().avoid.clone();
            let rented = tokio::select! {
                biased;
                () = self.unwanted() => return None,
                rented = Machine::rent(&self.context, &about, &self.demand, &avoid, self.settings.place.as_ref(), &self.giving_back) => rented,
            };
            let failure = match rented {
                Ok(machine) => {
                    self.context
                        .emit(machine.activity().about(), WorkerStarted {});
                    let slot = Arc::new(Slot::new(machine, number, info.clone()));
                    match self.set_up(&slot, &self.draining).await {
                        Ok(()) => return Some(Ok(slot)),
                        Err((error, is_final)) => {
                            self.give_to_provider(&slot, "its set-up failed", None)
                                .await;
                            if is_final {
                                return Some(Err(error));
                            }
                            error
                        }
                    }
                }
                Err(RentError::Sign(error)) => return Some(Err(self.no_machine(error))),
                Err(RentError::Network(error)) => {
                    let is_final = !error.is_retryable();
                    let failure = AcquireError::NoMachine {
                        pool: self.job.clone(),
                        cause: Cause::new(error),
                    };
                    if is_final {
                        return Some(Err(failure));
                    }
                    failure
                }
                Err(RentError::Activity { provider_id, error }) => {
                    self.avoid(&provider_id);
                    AcquireError::NoMachine {
                        pool: self.job.clone(),
                        cause: Cause::new(error),
                    }
                }
            };
            failures += 1;
            if failures >= MAX_FAILURES {
                return Some(Err(failure));
            }
            tokio::select! {
                biased;
                () = self.unwanted() => return None,
                () = backoff.pause() => {}
            }
        }
    }

    /// Completes once one machine less is wanted than are being rented, for one of those who wait here; it is
    /// counted out then.
    async fn unwanted(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                let ends = self.draining.is_cancelled();
                if ends || state.renting > state.wanted(&self.settings) {
                    state.renting -= 1;
                    return;
                }
            }
            tokio::select! {
                biased;
                () = self.draining.cancelled() => {}
                () = changed => {}
            }
        }
    }

    fn no_machine(&self, error: SignError) -> AcquireError {
        let pool = self.job.clone();
        match error {
            SignError::Budget(source) => AcquireError::BudgetExhausted { pool, source },
            SignError::Closed if self.draining.is_cancelled() => self.ended(),
            error => AcquireError::NoMachine {
                pool,
                cause: Cause::new(error),
            },
        }
    }

    pub(super) fn avoid(&self, provider: &NodeId) {
        remember(&mut self.lock().avoid, provider);
    }

    /// Calls users' code on a machine, if there is any.
    async fn hook(
        &self,
        slot: &Slot,
        hook: Option<&Hook>,
        (who, limit): (&str, Option<Duration>),
        unwanted: impl Future<Output = ()>,
    ) -> Called<()> {
        let Some(hook) = hook else {
            return Called::Done(());
        };
        let (activity, ctx) = (slot.activity(), slot.context(self));
        let span = tracing::info_span!("machine", id = %slot.info().id, hook = who);
        // The call itself is user code too, so it is made inside.
        let work = async { hook(ctx).await }.instrument(span);
        call(&activity, who, limit, unwanted, work).await
    }

    /// Sets a machine up; tells why that failed, and whether it would on any.
    async fn set_up(
        &self,
        slot: &Slot,
        unwanted: &CancellationToken,
    ) -> Result<(), (AcquireError, bool)> {
        let settings = &self.settings;
        let what = ("the set-up", settings.setup_timeout);
        let hook = settings.setup.as_ref();
        let called = self.hook(slot, hook, what, unwanted.cancelled()).await;
        self.judged(slot, called, |provider_name, cause| {
            AcquireError::SetupFailed {
                pool: self.job.clone(),
                provider_name,
                cause,
            }
        })
    }

    /// Whether a machine is good enough to be handed out.
    pub(super) async fn validate(&self, lease: &Lease) -> Result<(), (AcquireError, bool)> {
        let settings = &self.settings;
        let what = ("the validation", settings.validation_timeout);
        let ended = self.taken_away.cancelled();
        let hook = settings.validation.as_ref();
        let called = match lease.slot.activity().watch().health() {
            ActivityHealth::Alive => self.hook(&lease.slot, hook, what, ended).await,
            ended => Called::failed(super::handler::words_of(ended)),
        };
        self.judged(&lease.slot, called, |provider_name, cause| {
            AcquireError::ValidationFailed {
                pool: self.job.clone(),
                provider_name,
                cause,
            }
        })
    }

    fn judged(
        &self,
        slot: &Slot,
        called: Called<()>,
        failed: impl FnOnce(String, Cause) -> AcquireError,
    ) -> Result<(), (AcquireError, bool)> {
        match called {
            Called::Done(()) => Ok(()),
            Called::GivenUp => Err((self.ended(), true)),
            Called::Failed {
                cause,
                is_retryable,
                ..
            } => {
                let activity = slot.activity();
                let rental = activity.rental();
                let reason = cause.clone();
                self.context.emit(activity.about(), MachineUnfit { reason });
                self.avoid(&rental.provider_id);
                let error = failed(rental.provider_name.clone(), cause);
                Err((error, !is_retryable))
            }
        }
    }

    /// A machine that is ready, and counts as returning, goes to the one who waits first, or is kept.
    async fn offer(self: &Arc<Self>, slot: Arc<Slot>) {
        let watched = CancellationToken::new();
        {
            let mut state = self.lock();
            if !self.draining.is_cancelled() {
                state.returning -= 1;
                while let Some(waiter) = state.waiters.pop_front() {
                    if golem_probe::planted!("who-waits-for-a-machine-is-forgotten") {
                        state.waiters.push_front(waiter);
                        break;
                    }
                    let lease = self.lend(&mut state, Arc::clone(&slot));
                    match waiter.reply.send(Ok(lease)) {
                        Ok(()) => return,
                        Err(Ok(lease)) => {
                            state.in_use.remove(&slot.number);
                            lease.forget();
                        }
                        Err(Err(_)) => {}
                    }
                }
                let idle = Idle {
                    slot: Arc::clone(&slot),
                    _watched: watched.clone().drop_guard(),
                };
                state.idle.push(idle);
            } else {
                drop(state);
                return self.retire(slot, "the pool ends", None).await;
            }
        }
        self.changed.notify_waiters();
        let keeping = Arc::clone(self).keep(slot, watched);
        self.tasks.spawn("keep-idle", keeping);
    }

    /// Watches over a machine until somebody takes it, or it is not to be kept any longer.
    async fn keep(self: Arc<Self>, slot: Arc<Slot>, taken: CancellationToken) {
        let activity = slot.activity();
        let reason = loop {
            tokio::select! {
                biased;
                () = taken.cancelled() => return,
                _ = activity.watch().troubled() => break "the machine is lost",
                _ = activity.rental().end_announced() => break ENDS_SOON,
                _ = self.demand.budget_of(activity.rental()).beyond(0) => break "the budget is used up",
                () = sleep(self.settings.idle) => {
                    if self.lock().total() > self.settings.min {
                        break "nobody used it for a while";
                    }
                }
            }
        };
        let is_there = {
            let mut state = self.lock();
            let before = state.idle.len();
            state.idle.retain(|idle| idle.slot.number != slot.number);
            let is_there = state.idle.len() < before;
            state.returning += usize::from(is_there);
            is_there
        };
        golem_probe::sometimes!(
            is_there && reason == "the machine is lost",
            "an idle machine of a pool is lost"
        );
        golem_probe::sometimes!(
            is_there && reason == "nobody used it for a while",
            "an idle machine of a pool is given back"
        );
        if is_there {
            self.retire(slot, reason, None).await;
        }
    }

    /// A user is done with a machine, and tells what is wrong with it, if anything is.
    pub(super) fn take_back(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        fault: Option<String>,
    ) -> oneshot::Receiver<()> {
        let (done, back) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.in_use.remove(&slot.number).is_none() {
                // It was taken away.
                return back;
            }
            state.returning += 1;
        }
        self.changed.notify_waiters();
        let (pool, slot) = (Arc::clone(self), Arc::clone(slot));
        self.tasks.spawn("take-back", async move {
            pool.returned(slot, fault).await;
            // Its user may not wait for it.
            let _ = done.send(());
        });
        back
    }

    async fn returned(self: Arc<Self>, slot: Arc<Slot>, fault: Option<String>) {
        let activity = slot.activity();
        if let Some(fault) = fault {
            self.avoid(&activity.rental().provider_id);
            return self.retire(slot, &fault, Some(fault.as_str().into())).await;
        }
        if activity.watch().health() != ActivityHealth::Alive {
            return self.retire(slot, "the machine is lost", None).await;
        }
        if self.draining.is_cancelled() {
            return self.retire(slot, "the pool ends", None).await;
        }
        if activity.rental().announced_end().is_some() {
            return self.retire(slot, ENDS_SOON, None).await;
        }
        if self
            .demand
            .budget_of(activity.rental())
            .exhausted()
            .is_some()
        {
            return self.retire(slot, "the budget is used up", None).await;
        }
        if self.settings.fresh
            && let Err(error) = self.restart(&slot).await
        {
            let cause = error.into_cause();
            return self
                .retire(slot, "it could not be restarted", Some(cause))
                .await;
        }
        self.offer(slot).await;
    }

    /// Another activity on the same agreement, set up.
    pub(super) async fn restart(&self, slot: &Arc<Slot>) -> Result<(), AcquireError> {
        self.tear_down(slot).await;
        {
            let mut holder = slot.machine.lock().await;
            let activity = slot.activity();
            let lost = |cause| AcquireError::Lost {
                machine: slot.info().id.to_string(),
                provider_name: activity.rental().provider_name.clone(),
                cause,
            };
            let Some(machine) = holder.take() else {
                return Err(lost("it was given back".into()));
            };
            match machine.restart().await {
                Ok(machine) => {
                    slot.restarted(machine.activity());
                    *holder = Some(machine);
                }
                Err(RentError::Activity { provider_id, error }) => {
                    self.avoid(&provider_id);
                    return Err(lost(Cause::new(error)));
                }
                Err(RentError::Sign(error)) => return Err(lost(Cause::new(error))),
                Err(RentError::Network(error)) => return Err(lost(Cause::new(error))),
            }
        }
        let set_up = self.set_up(slot, &self.taken_away).await;
        set_up.map_err(|(error, _)| error)
    }

    /// Calls the tear-down, if the machine still answers.
    async fn tear_down(&self, slot: &Slot) {
        let settings = &self.settings;
        let what = ("the tear-down", settings.teardown_timeout);
        let is_there = slot.machine.lock().await.is_some();
        if !is_there || slot.activity().watch().health() != ActivityHealth::Alive {
            return;
        }
        let hook = settings.teardown.as_ref();
        let called = self
            .hook(slot, hook, what, self.taken_away.cancelled())
            .await;
        if let Called::Failed { cause, .. } = called {
            let id = slot.info().id;
            tracing::warn!(machine = %id, "the tear-down failed: {cause:#}");
        }
    }

    /// Gives a machine that counts as returning back to its provider.
    async fn retire(self: &Arc<Self>, slot: Arc<Slot>, reason: &str, fault: Option<Cause>) {
        self.tear_down(&slot).await;
        self.give_to_provider(&slot, reason, fault).await;
        self.lock().returning -= 1;
        self.rent_more();
    }

    async fn give_to_provider(&self, slot: &Slot, reason: &str, error: Option<Cause>) {
        let machine = slot.machine.lock().await.take();
        let Some(machine) = machine else { return };
        let about = machine.activity().about();
        let reason = reason.to_owned();
        self.context
            .emit(Arc::clone(&about), WorkerFinished { error });
        machine.give_back(&reason);
        self.context.emit(about, MachineRetired { reason });
    }

    /// Gives back all that are idle.
    pub(super) fn retire_idle(self: &Arc<Self>, reason: &'static str) {
        let idle = {
            let mut state = self.lock();
            let idle = std::mem::take(&mut state.idle);
            state.returning += idle.len();
            idle
        };
        for Idle { slot, _watched } in idle {
            let pool = Arc::clone(self);
            self.tasks.spawn("retire", async move {
                pool.retire(slot, reason, None).await;
            });
        }
    }

    /// Keeps a pool at its size, and ends it in order: when it is drained, when its time is over, or with the engine.
    pub(super) async fn supervise(self: Arc<Self>, deadline: Instant) {
        self.rent_more();
        let engine = self.tasks.token().clone();
        loop {
            let changed = self.changed.notified();
            let rested = self.lock().resting.as_ref().map(|(_, at)| *at);
            let rested = async {
                match rested {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = engine.cancelled() => break,
                () = self.draining.cancelled() => break,
                () = sleep_until(deadline) => break,
                () = rested => {
                    self.lock().resting = None;
                    self.rent_more();
                }
                () = changed => {}
            }
        }
        self.draining.cancel();
        let waiters = std::mem::take(&mut self.lock().waiters);
        for waiter in waiters {
            let _ = waiter.reply.send(Err(self.ended()));
        }
        self.retire_idle("the pool ends");
        tokio::select! {
            biased;
            () = self.until(|state| state.in_use.is_empty()) => {}
            () = async {
                tokio::select! {
                    biased;
                    () = engine.cancelled() => {}
                    () = sleep_until(deadline) => {}
                }
                sleep(self.settings.stop_grace).await;
            } => self.take_away(),
        }
        // Whatever is on its way comes back by itself.
        self.until(|state| state.total() == 0).await;
        self.giving_back.idle().await;
        self.demand.close().await;
        let about = EventContext::of_job(&self.job);
        self.context.emit(about, JobFinished { error: None });
        self.over.send_replace(true);
    }

    /// Takes machines away from their users.
    fn take_away(self: &Arc<Self>) {
        self.taken_away.cancel();
        let in_use = {
            let mut state = self.lock();
            let in_use = std::mem::take(&mut state.in_use);
            state.returning += in_use.len();
            in_use
        };
        for slot in in_use.into_values() {
            let pool = Arc::clone(self);
            self.tasks.spawn("take-away", async move {
                pool.give_to_provider(&slot, "the pool ends", None).await;
                pool.lock().returning -= 1;
                pool.changed.notify_waiters();
            });
        }
    }
}

impl AcquireError {
    pub(super) fn into_cause(self) -> Cause {
        Cause::new(self)
    }
}
