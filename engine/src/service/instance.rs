//! One instance of a service. Owns: performing what `lifecycle/service.rs` decides — renting,
//! calling handlers, giving back — and telling about it. Long, since it is one loop, and each of its parts needs the state of
//! the others.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use golem_wire::{ActivityId, AgreementId, NodeId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::Shared;
use super::move_on::{self, Ahead, Successor};
use super::restart::EndedLife;
use super::{HandlerError, InstanceInfo, Service, ServiceState};
use crate::WorkContext;
use crate::activity::{Activity, ActivityHealth, Machine, RentError};
use crate::cause::Cause;
use crate::event::{
    CallbackPanicked, EventContext, ProtocolViolation, ServiceFinished, ServiceHealthChanged,
    ServiceMoved, ServiceRestarted, ServiceStateChanged, WorkerFinished, WorkerStarted,
};
use crate::lifecycle::service::{Effect, Event, Handler, Policy, State, step};
use crate::mailbox::Post;
use crate::market::{Budget, BudgetExhausted};
use crate::model::{InstanceId, remember};
use crate::network::{Node, Place};
use crate::panics::{Panic, caught, caught_in};
use crate::retry::Backoff;
use crate::watch;
use crate::work_context::Identity;

/// An instance as its cluster shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Instance {
    /// Unique within the engine: the job and a number.
    pub id: InstanceId,
    /// For people; see [`Service::name`].
    pub name: String,
    /// Where it is in its life.
    pub state: ServiceState,
    /// Who runs it, once it was assigned. Stays after its end.
    pub provider_name: Option<String>,
    /// Node id of who runs it.
    pub provider_id: Option<NodeId>,
    /// Agreement it runs under.
    pub agreement_id: Option<AgreementId>,
    /// Activity it runs in.
    pub activity_id: Option<ActivityId>,
    /// Where its machine is in its virtual network, as long as it has one.
    pub node: Option<Node>,
    /// What went wrong: the reason of its end, or of the last failed start.
    ///
    /// [`Cause::find`] tells its type: a `SignError` where no machine was found, an `AgreementEnd` where the
    /// agreement ended, a `ScriptError` or whatever else a handler failed with.
    pub failure: Option<Cause>,
    /// Machines it was tried on.
    pub attempts: u32,
    /// Whether it has been running in this life of the program.
    pub has_run: bool,
    /// How often it began anew after it had run, as its [`Restart`](super::Restart) says.
    pub restarts: u32,
    /// What its [`HealthCheck`](super::HealthCheck) said last; `None` before it said anything.
    pub healthy: Option<bool>,
}

/// What is wanted of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Wishes to stop. The second one during `shutdown` cuts that handler short.
    stops: u32,
    /// It is to end at once.
    pub(super) terminate: bool,
    /// It is to rest.
    pub(super) suspend: bool,
}

/// Carries what is wanted of an instance.
#[derive(Clone, Debug)]
pub(super) struct StopSignal(Arc<watch::Sender<Wishes>>);

impl StopSignal {
    pub(super) fn new() -> Self {
        StopSignal(Arc::new(watch::Sender::new(Wishes::default())))
    }

    pub(super) fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        self.0.send_modify(change);
    }

    /// One more wish to stop.
    pub(super) fn signal(&self) {
        self.wish(|wishes| wishes.stops = wishes.stops.saturating_add(1));
    }

    /// A wish to stop, unless there was one already: the end of a cluster is no second wish.
    pub(super) fn signal_once(&self) {
        self.0.send_if_modified(|wishes| {
            let first = wishes.stops == 0;
            wishes.stops = wishes.stops.max(1);
            first
        });
    }

    async fn wait_for(&self, wanted: impl FnMut(&Wishes) -> bool) -> Wishes {
        let mut wishes = self.0.subscribe();
        // The sender lives in `self`.
        let heard = wishes.wait_for(wanted).await.map(|wishes| *wishes).ok();
        match heard {
            Some(wishes) => wishes,
            None => std::future::pending().await,
        }
    }

    /// Waits for an end that is wanted: at once, or by more wishes to stop than were heard.
    async fn after(&self, heard: u32) -> Event {
        self.after_or_rest(heard, false).await
    }

    /// The same; or, where it `may_rest`, for the wish that it does.
    async fn after_or_rest(&self, heard: u32, may_rest: bool) -> Event {
        let wanted = |wishes: &Wishes| {
            wishes.terminate || wishes.stops > heard || may_rest && wishes.suspend
        };
        let wishes = self.wait_for(wanted).await;
        if wishes.terminate {
            Event::TerminateRequested
        } else if wishes.stops > heard {
            Event::StopRequested
        } else {
            Event::SuspendRequested
        }
    }

    async fn terminated(&self) {
        self.wait_for(|wishes| wishes.terminate).await;
    }

    async fn resumed(&self) {
        self.wait_for(|wishes| !wishes.suspend).await;
    }
}

/// Runs one instance to its end.
pub(super) struct Runner<S: Service> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) params: S::Params,
    /// Who it is, for its handlers.
    pub(super) info: InstanceInfo,
    pub(super) post: Arc<Post>,
    /// The machine of an earlier life, and whether the instance was stopping on it.
    pub(super) resumed: Option<(Machine, bool)>,
    /// Where its machines are to be in a virtual network.
    pub(super) place: Option<Place>,
    pub(super) status: watch::Sender<Instance>,
    pub(super) stop: StopSignal,
    pub(super) heard: u32,
    /// How much of the end of the budget it has heard of.
    pub(super) budget_heard: u8,
    pub(super) avoid: Vec<NodeId>,
    pub(super) machine: Option<Machine>,
    /// The machine to which it goes, started there already.
    pub(super) successor: Option<Successor<S>>,
    /// The provider that it leaves, since that announced an end.
    pub(super) leaving: Option<String>,
    /// Whether `start` was done before it came to its machine.
    pub(super) started_before: bool,
    /// When it got its machine.
    pub(super) began: Instant,
}

impl<S: Service> Runner<S> {
    /// Runs it to its end. To be called once.
    pub(super) async fn run(&mut self) {
        let id = self.info.id.clone();
        let seed = self.shared.context.seed();
        let mut backoff = Backoff::new(seed, format!("respawn/{id}"));
        let (first, longest) = self.shared.treatment.restart.pauses();
        let mut between_lives = Backoff::between(first, longest, seed, format!("restart/{id}"));
        let mut begins_anew = false;
        let mut service = make(&self.params, &self.info);
        let mut state = State::FIRST;
        let mut handler = None;
        loop {
            let unmade = service.as_ref().err().cloned();
            if matches!(state, State::Terminated { .. }) {
                break;
            }
            let leaving = self.shared.context.leaving().clone();
            let cut_off = self.shared.context.cut_off().clone();
            let may_leave = self.shared.is_resumable()
                && matches!(state, State::Running | State::Suspended)
                && self.machine.is_some();
            let next = async {
                match (&state, handler) {
                    (State::Pending { .. }, _) if self.successor.is_some() => {
                        self.go_over(&mut service)
                    }
                    (State::Pending { attempt }, _) => match unmade {
                        Some(reason) => {
                            self.give_back_resumed();
                            Event::RentFailed { reason }
                        }
                        None if self.resumed.is_some() => self.resume(),
                        None => {
                            let pause = match *attempt > 1 {
                                true => Some(backoff.next_delay()),
                                false => begins_anew.then(|| between_lives.next_delay()),
                            };
                            begins_anew = false;
                            self.rent(pause).await
                        }
                    },
                    (_, Some(handler)) => match &mut service {
                        Ok(service) => self.handle(handler, service).await,
                        Err(reason) => Event::HandlerFailed {
                            reason: reason.clone(),
                            is_final: true,
                        },
                    },
                    (State::Suspended, None) => self.rest().await,
                    (_, None) => Event::StopRequested,
                }
            };
            let event = tokio::select! {
                biased;
                () = leaving.cancelled(), if may_leave => return self.leave(&state),
                () = cut_off.cancelled() => Event::TerminateRequested,
                event = next => event,
            };
            if event == Event::StopRequested {
                self.heard += 1;
            }
            let event = match event {
                // How it ends on the machine that it leaves is no reason to end.
                Event::HandlerFailed { reason, .. } if self.leaving.is_some() => {
                    tracing::warn!(instance = %id, "`shutdown` failed on the machine it leaves: {reason:#}");
                    Event::HandlerFinished
                }
                event => event,
            };
            let why = reason_of(&event);
            let old = state.public();
            let policy = self.policy(&state, &event);
            let effects = match step(state.clone(), event, policy) {
                Ok((next, effects)) => {
                    state = next;
                    effects
                }
                Err(illegal) => {
                    // Only a fault of this loop leads here: end it safely.
                    let what = format!("service {id}: {illegal}");
                    let violation = ProtocolViolation { what: what.clone() };
                    self.shared.context.emit(self.about(), violation);
                    state = State::Terminated {
                        failure: Some(what.into()),
                    };
                    vec![Effect::Release { failed: true }, Effect::Finish]
                }
            };
            if old != ServiceState::Starting
                && old.is_available()
                && self.leaving.is_none()
                && matches!(state, State::Pending { .. })
            {
                begins_anew = true;
                if self.began.elapsed() >= longest {
                    between_lives.reset();
                }
                self.status.send_modify(|instance| {
                    instance.restarts += 1;
                    instance.healthy = None;
                });
            }
            self.publish(old, &state, why.clone()).await;
            if begins_anew {
                let (restarts, error) = {
                    let instance = self.status.borrow();
                    (instance.restarts, instance.failure.clone())
                };
                let told = ServiceRestarted { restarts, error };
                self.shared.context.emit(self.about(), told);
            }
            for effect in effects {
                match effect {
                    Effect::Handle(next) => handler = Some(next),
                    // A handler that did not end by itself was dropped by `handle`.
                    Effect::CancelHandler => handler = None,
                    Effect::Release { failed } => self.release(failed, why.clone()),
                    Effect::Rent { attempt } => {
                        self.info.attempt = attempt;
                        if self.successor.is_none() {
                            service = make(&self.params, &self.info);
                        }
                    }
                    Effect::Finish => {}
                }
            }
        }
        let error = state.failure().cloned();
        self.shared
            .context
            .emit(self.about(), ServiceFinished { error });
    }

    /// Leaves its machine to a later engine. What stands in the journal stays.
    fn leave(&mut self, state: &State) {
        let Some(machine) = self.machine.take() else {
            return;
        };
        machine.leave(&self.info.id);
        self.status
            .send_modify(|instance| instance.state = ServiceState::Suspended);
        if state.public() != ServiceState::Suspended {
            let changed = ServiceStateChanged {
                old: state.public(),
                new: ServiceState::Suspended,
                error: None,
            };
            self.shared.context.emit(self.about(), changed);
        }
        self.shared.touch();
    }

    /// Whether it begins anew if this event is the end of its life.
    fn policy(&self, state: &State, event: &Event) -> Policy {
        let treatment = &self.shared.treatment;
        let (has_run, attempt) = match state {
            State::Pending { attempt } | State::Starting { attempt } => (false, *attempt),
            State::Running | State::Suspended | State::Stopping { .. } => (true, 1),
            State::Terminated { .. } => (true, 1),
        };
        let is_end = match (state, event) {
            (State::Stopping { .. }, Event::HandlerFinished)
                if golem_probe::planted!("an-instance-begins-again-after-the-stop") =>
            {
                true
            }
            (State::Stopping { wanted, .. }, Event::HandlerFinished) => !wanted,
            (State::Stopping { wanted, .. }, Event::HandlerFailed { is_final, .. }) => {
                !wanted && !is_final
            }
            (State::Stopping { wanted, .. }, Event::Lost { .. }) => !wanted,
            (State::Running | State::Suspended, Event::Lost { .. }) => true,
            (State::Running, Event::Unhealthy { replace, .. }) => *replace,
            (State::Pending { .. }, Event::ActivityFailed { .. }) => true,
            (State::Starting { .. }, Event::HandlerFailed { is_final, .. }) => !is_final,
            (State::Starting { .. }, Event::Lost { .. } | Event::AgreementEnded { .. }) => true,
            _ => false,
        };
        let again = self.leaving.is_some()
            || is_end && {
                let mut instance = self.status.borrow().clone();
                let failure = state.failure().cloned().or_else(|| reason_of(event));
                instance.failure.clone_from(&failure);
                let ended = EndedLife {
                    restarts: instance.restarts,
                    instance,
                    failure,
                    has_run,
                    attempt,
                    lasted: self.began.elapsed(),
                };
                let allows = || {
                    assert!(
                        !golem_probe::planted!("a-restart-policy-panics"),
                        "the bug that was planted"
                    );
                    treatment.restart.allows(&ended)
                };
                caught(allows).unwrap_or_else(|panic| {
                    let told = CallbackPanicked::of("Restart::when", panic);
                    self.shared.context.emit(self.about(), told);
                    false
                })
            };
        Policy {
            respawn: again,
            restart: again,
            max_attempts: treatment.max_attempts,
        }
    }

    /// The machine of an earlier life, which nothing goes on with.
    fn give_back_resumed(&mut self) {
        if let Some((machine, _)) = self.resumed.take() {
            machine.give_back("the service failed");
        }
    }

    /// The instance, as events name it.
    fn own(&self) -> EventContext {
        own(&self.shared, &self.status)
    }

    /// What events of it are about: the instance, and the machine that it had last.
    fn about(&self) -> EventContext {
        let mut about = self.own();
        let instance = self.status.borrow();
        if let (Some(id), Some(name)) = (&instance.provider_id, &instance.provider_name) {
            about = about.with_provider(id, name);
        }
        about.agreement.clone_from(&instance.agreement_id);
        about.activity.clone_from(&instance.activity_id);
        about
    }

    /// Goes on with the machine on which it was started ahead of the end of the one before.
    fn go_over(&mut self, service: &mut Result<S, Cause>) -> Event {
        let Some(successor) = self.successor.take() else {
            return Event::StopRequested;
        };
        *service = Ok(successor.service);
        self.started_before = true;
        self.take(successor.machine);
        Event::Rented
    }

    /// Goes on with the machine of an earlier life.
    fn resume(&mut self) -> Event {
        let Some((machine, stopping)) = self.resumed.take() else {
            return Event::StopRequested;
        };
        self.take(machine);
        // One that stopped for want of budget still does, and says so.
        let stopping = stopping && self.budget().is_none_or(|it| it.exhausted().is_none());
        Event::Resumed { stopping }
    }

    /// What its machine is paid from, if it has one.
    fn budget(&self) -> Option<&Arc<Budget>> {
        let rental = self.machine.as_ref()?.activity().rental();
        Some(self.shared.demand.budget_of(rental))
    }

    fn take(&mut self, machine: Machine) {
        let activity = Arc::clone(machine.activity());
        self.machine = Some(machine);
        self.began = Instant::now();
        let rental = activity.rental();
        let own = self.own();
        activity.concerns(|about| about.at_work_for(&own));
        self.shared.context.emit(activity.about(), WorkerStarted {});
        self.status.send_modify(|instance| {
            instance.provider_name = Some(rental.provider_name.clone());
            instance.provider_id = Some(rental.provider_id.clone());
            instance.agreement_id = Some(rental.agreement_id.clone());
            instance.activity_id = Some(activity.id().clone());
            instance.node = activity.node().cloned();
            instance.attempts += 1;
        });
        if let Some(from_provider) = self.leaving.take() {
            let told = ServiceMoved {
                from_provider,
                to_provider: rental.provider_name.clone(),
            };
            self.shared.context.emit(self.about(), told);
        }
    }

    async fn rent(&mut self, pause: Option<Duration>) -> Event {
        let (shared, own, avoid) = (Arc::clone(&self.shared), self.own(), &self.avoid);
        let renting = async {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let (demand, giving_back) = (&shared.demand, &shared.giving_back);
            let place = self.place.as_ref();
            Machine::rent(&shared.context, &own, demand, avoid, place, giving_back).await
        };
        let rented = tokio::select! {
            biased;
            wish = self.stop.after(self.heard) => return wish,
            (_, why) = shared.demand.own_allocations().beyond(self.budget_heard) => return budget_exhausted(&why),
            rented = renting => rented,
        };
        match rented {
            Ok(machine) => {
                self.take(machine);
                Event::Rented
            }
            Err(RentError::Sign(error)) => Event::RentFailed {
                reason: Cause::new(error),
            },
            Err(RentError::Network(error)) if error.is_retryable() => Event::ActivityFailed {
                reason: Cause::new(error),
            },
            Err(RentError::Network(error)) => Event::RentFailed {
                reason: Cause::new(error),
            },
            Err(RentError::Activity { provider_id, error }) => {
                self.avoid(&provider_id);
                self.status.send_modify(|instance| instance.attempts += 1);
                Event::ActivityFailed {
                    reason: Cause::new(error),
                }
            }
        }
    }

    /// Calls a handler and waits for its end, or for what ends it.
    async fn handle(&mut self, handler: Handler, service: &mut S) -> Event {
        let (start_timeout, shutdown_timeout, stop_grace) = {
            let treatment = &self.shared.treatment;
            (
                treatment.start_timeout,
                treatment.shutdown_timeout,
                treatment.stop_grace,
            )
        };
        if handler == Handler::Start && std::mem::take(&mut self.started_before) {
            return Event::HandlerFinished;
        }
        let Some(machine) = &self.machine else {
            return Event::Lost {
                reason: "there is no machine".into(),
            };
        };
        let activity = Arc::clone(machine.activity());
        // A machine of an earlier life does not know.
        activity.bring_init(self.shared.demand.is_by_hand());
        let stopping = CancellationToken::new();
        let identity = Identity {
            info: self.info.clone(),
            post: Some(Arc::clone(&self.post)),
        };
        let ctx = WorkContext::new(Arc::clone(&activity), stopping.clone(), identity);
        let limit = match handler {
            Handler::Start => start_timeout,
            Handler::Resume | Handler::Run => None,
            Handler::Shutdown => shutdown_timeout,
        };
        if handler == Handler::Shutdown {
            activity.may_recover();
        }
        if handler == Handler::Shutdown && golem_probe::planted!("the-end-of-an-instance-hangs") {
            return std::future::pending().await;
        }
        let was_in_force = activity.rental().ended_by().is_none();
        let ends_meanwhile = || {
            golem_probe::sometimes!(
                handler == Handler::Shutdown
                    && was_in_force
                    && activity.rental().ended_by().is_some(),
                "an agreement ends while its instance stops"
            );
        };
        let work = async {
            match handler {
                Handler::Start => service.start(&ctx).await,
                Handler::Resume => {
                    service.resume(&ctx).await?;
                    service.run(&ctx).await
                }
                Handler::Run => service.run(&ctx).await,
                Handler::Shutdown => service.shutdown(&ctx).await,
            }
        };
        let shared = Arc::clone(&self.shared);
        // Most services have no health check of their own to tell of.
        let about = shared
            .treatment
            .health
            .as_ref()
            .map(|_| Box::new(self.about()));
        let budget = Arc::clone(shared.demand.budget_of(activity.rental()));
        // An end that is under way is only cut off.
        let least = u8::from(handler == Handler::Shutdown);
        let budget_heard = self.budget_heard.max(least);
        let work = pin!(caught_in(work));
        let work = guarded(work, limit, &activity);
        tokio::pin!(work);
        let ahead = Ahead {
            place: self.place.as_ref(),
            shared: &shared,
            status: &self.status,
            params: &mut self.params,
            info: &self.info,
            post: &self.post,
            avoid: &self.avoid,
        };
        let may_rest = matches!(handler, Handler::Run | Handler::Resume);
        let result = tokio::select! {
            biased;
            wish = self.stop.after_or_rest(self.heard, may_rest) => {
                if wish != Event::StopRequested {
                    return wish;
                }
                stopping.cancel();
                // Dropped after its grace; a start that still succeeds is not worth keeping.
                tokio::select! {
                    biased;
                    () = self.stop.terminated() => return Event::TerminateRequested,
                    _ = tokio::time::timeout(stop_grace, &mut work) => {}
                }
                return Event::StopRequested;
            }
            (_, why) = budget.beyond(budget_heard) => {
                self.budget_heard = budget_heard + 1;
                if handler != Handler::Shutdown {
                    stopping.cancel();
                    let ending = tokio::time::timeout(stop_grace, &mut work);
                    tokio::select! {
                        biased;
                        _ = budget.beyond(1) => {}
                        _ = ending => {}
                    }
                }
                return budget_exhausted(&why);
            }
            health = trouble(&activity, handler) => {
                ends_meanwhile();
                return health;
            }
            successor = move_on::successor(ahead, &activity, handler) => {
                let rental = activity.rental();
                self.leaving = Some(rental.provider_name.clone());
                if successor.is_none() {
                    self.avoid(&rental.provider_id);
                }
                self.successor = successor;
                stopping.cancel();
                tokio::select! {
                    biased;
                    wish = self.stop.after(self.heard) => return wish,
                    _ = tokio::time::timeout(stop_grace, &mut work) => {}
                }
                return Event::Moving;
            }
            event = Self::unhealthy(&shared, &self.status, handler, &ctx, about) => return event,
            result = &mut work => result,
        };
        ends_meanwhile();
        match (result, activity.watch().health()) {
            (Ok(()), _) => Event::HandlerFinished,
            (Err(_), ActivityHealth::Lost { reason }) => Event::Lost { reason },
            (Err(Failure { reason, is_final }), _) => Event::HandlerFailed { reason, is_final },
        }
    }

    /// Waits until the service's own health check wants an end of `run`.
    async fn unhealthy(
        shared: &Shared<S>,
        status: &watch::Sender<Instance>,
        handler: Handler,
        ctx: &WorkContext,
        about: Option<Box<EventContext>>,
    ) -> Event {
        let health = shared.treatment.health.as_ref();
        let health = health.filter(|_| matches!(handler, Handler::Run | Handler::Resume));
        let (Some(health), Some(about)) = (health, about) else {
            return std::future::pending().await;
        };
        let tell = |healthy, failures, error| {
            status.send_modify(|instance| instance.healthy = Some(healthy));
            let told = ServiceHealthChanged {
                healthy,
                failures,
                error,
            };
            shared.context.emit((*about).clone(), told);
            shared.touch();
        };
        let (reason, replace) = Box::pin(health.watch(ctx, tell)).await;
        Event::Unhealthy { reason, replace }
    }

    /// Keeps the machine until something is wanted or goes wrong.
    async fn rest(&mut self) -> Event {
        let Some(machine) = &self.machine else {
            return Event::Lost {
                reason: "there is no machine".into(),
            };
        };
        let activity = Arc::clone(machine.activity());
        let budget = Arc::clone(self.shared.demand.budget_of(activity.rental()));
        tokio::select! {
            biased;
            wish = self.stop.after(self.heard) => wish,
            (_, why) = budget.beyond(self.budget_heard) => {
                self.budget_heard += 1;
                budget_exhausted(&why)
            }
            health = trouble(&activity, Handler::Run) => health,
            () = self.stop.resumed() => Event::ResumeRequested,
        }
    }

    /// Gives the machine back; the next one may be rented meanwhile.
    fn release(&mut self, failed: bool, error: Option<Cause>) {
        let Some(machine) = self.machine.take() else {
            return;
        };
        self.status.send_modify(|instance| instance.node = None);
        let about = machine.activity().about();
        self.shared.context.emit(about, WorkerFinished { error });
        if failed && self.shared.treatment.restart.avoids() {
            self.avoid(&machine.activity().rental().provider_id);
        }
        machine.give_back(if failed {
            "the service failed"
        } else {
            "the service was stopped"
        });
    }

    fn avoid(&mut self, provider: &NodeId) {
        remember(&mut self.avoid, provider);
    }

    /// Not of a shared borrow: users' params need not be `Sync`.
    async fn publish(&mut self, old: ServiceState, state: &State, why: Option<Cause>) {
        let new = state.public();
        if new == ServiceState::Terminated
            && golem_probe::planted!("the-end-of-an-instance-is-not-told")
        {
            return;
        }
        let failure = state.failure().cloned().or(why);
        let change = |instance: &mut Instance| {
            instance.state = new;
            instance.has_run |= new == ServiceState::Running;
            if failure.is_some() {
                instance.failure.clone_from(&failure);
            } else if new == ServiceState::Running {
                // Failures of earlier attempts are over.
                instance.failure = None;
            }
        };
        if old == new {
            self.status.send_modify(change);
            self.shared.touch();
            return;
        }
        if self.shared.context.log().is_kept() {
            let mut instance = self.status.borrow().clone();
            change(&mut instance);
            self.shared
                .write_down(self.info.index, &self.params, &instance);
            drop(instance);
            self.shared.context.log().before_it_is_told().await;
        }
        self.status.send_modify(change);
        let changed = ServiceStateChanged {
            old,
            new,
            error: failure,
        };
        self.shared.context.emit(self.about(), changed);
        self.shared.touch();
    }
}

/// An instance, as events name it.
pub(super) fn own<S: Service>(
    shared: &Shared<S>,
    status: &watch::Sender<Instance>,
) -> EventContext {
    let instance = status.borrow();
    EventContext::of_job(&shared.job).with_instance(&instance.id, &instance.name)
}

/// The service value; one that cannot be made is rented no machine.
pub(super) fn make<S: Service>(params: &S::Params, info: &InstanceInfo) -> Result<S, Cause> {
    match caught(|| S::new(params, info)) {
        Ok(made) => made.map_err(|error| error.into_cause().within("`Service::new` failed")),
        Err(panic) => Err(format!("`Service::new` panicked: {panic}").into()),
    }
}

pub(super) fn reason_of(event: &Event) -> Option<Cause> {
    match event {
        Event::ActivityFailed { reason }
        | Event::RentFailed { reason }
        | Event::HandlerFailed { reason, .. }
        | Event::Lost { reason }
        | Event::AgreementEnded { reason }
        | Event::Unhealthy { reason, .. }
        | Event::BudgetExhausted { reason } => Some(reason.clone()),
        Event::Rented
        | Event::Resumed { .. }
        | Event::HandlerFinished
        | Event::Moving
        | Event::StopRequested
        | Event::TerminateRequested
        | Event::SuspendRequested
        | Event::ResumeRequested => None,
    }
}

fn budget_exhausted(why: &BudgetExhausted) -> Event {
    Event::BudgetExhausted {
        reason: Cause::new(why.clone()),
    }
}

/// What ends a handler from outside, besides a stop. The end of the agreement does not end
/// `shutdown`: it is what that handler may be there for.
pub(super) async fn trouble(activity: &Activity, handler: Handler) -> Event {
    if handler == Handler::Shutdown {
        // Boxed: while it runs it needs no room for its end.
        return Box::pin(trouble_of_a_stop(activity)).await;
    }
    match activity.watch().troubled().await {
        ActivityHealth::AgreementEnded { reason } => Event::AgreementEnded { reason },
        ActivityHealth::Lost { reason } => Event::Lost { reason },
        ActivityHealth::Alive => std::future::pending().await,
    }
}

async fn trouble_of_a_stop(activity: &Activity) -> Event {
    let limit = activity.context().config().activity.short_silence;
    tokio::select! {
        biased;
        reason = activity.watch().lost() => Event::Lost { reason },
        () = activity.watch().silent_for(limit) => {
            let reason = format!("no answer for {limit:?} while it was to stop");
            activity.lose(&reason);
            Event::Lost {
                reason: reason.into(),
            }
        }
    }
}

/// How a handler failed, and whether it would on any machine.
pub(super) struct Failure {
    pub(super) reason: Cause,
    pub(super) is_final: bool,
}

/// Waits for user code: panics and overlong runs are failures in words.
pub(super) async fn guarded(
    mut work: Pin<&mut impl Future<Output = Result<Result<(), HandlerError>, Panic>>>,
    limit: Option<Duration>,
    activity: &Activity,
) -> Result<(), Failure> {
    let passing = |reason| Failure {
        reason,
        is_final: false,
    };
    let result = match limit {
        Some(limit) => match tokio::time::timeout(limit, &mut work).await {
            Ok(result) => result,
            Err(_) => {
                let hint = activity.hint();
                let reason = format!("the handler did not end within {limit:?}{hint}");
                return Err(passing(reason.into()));
            }
        },
        None => work.await,
    };
    match result {
        Ok(result) => result.map_err(|error| Failure {
            is_final: !error.is_retryable(),
            reason: error.told(activity),
        }),
        Err(panic) => Err(passing(format!("the handler panicked: {panic}").into())),
    }
}
