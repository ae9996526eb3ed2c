//! A rented machine at work: an agreement and its activity as one thing that is rented and given
//! back, and its batches. Owns: creating, watching, destroying, waiting for results, and that nothing
//! is forgotten, whatever is dropped half-way. Does not own: what scripts say (`script/`), how
//! agreements are signed (`market/`).

mod attach_error;
mod batch;
mod live;
#[cfg(test)]
mod tests;
mod unfinished;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use golem_wire::common::Reason;
use golem_wire::{ActivityId, AgreementId, NodeId};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

pub use attach_error::AttachError;
pub(crate) use batch::{Batch, BatchError, Patience, WireCommand};
pub(crate) use live::Told;
pub(crate) use unfinished::Unfinished;
pub(crate) use watch::ActivityHealth;

use crate::api::{ApiError, Outcome};
use crate::cause::Cause;
use crate::context::Context;
use crate::event::{ActivityCreateFailed, ActivityCreated, ActivityDestroyed, EventContext};
use crate::market::{AgreementEnd, DemandSubscription, Rental, SignError};
use crate::model::{InstanceId, JobId};
use crate::network::{NetworkError, Node, Place, Reserved};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::tasks::{TaskGroup, TaskLost};

/// Attempts to find and destroy an activity whose creation had an unknown outcome. The end of the
/// agreement, which follows, ends it as well.
const STRAY_ATTEMPTS: u32 = 3;

/// How long a machine that is lost or silent is given to destroy its activity, once: it hardly
/// answers, and the end of its agreement ends the activity as well.
const LOST_WAIT: Duration = Duration::from_secs(2);

/// What a program is told whose time limits are over at once.
const VIRTUAL_TIME: &str = " (time is virtual here: it leaps over whatever is not part of the simulation, so that what waits for something real runs out of time at once; see `hold_the_clock` and `Offline::real_time` of golem-scenarios)";

/// Why an activity could not be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivityError {
    /// The daemon or the provider did not create it.
    #[error("no activity on agreement {agreement_id} with provider {provider_name}")]
    Create {
        /// Which agreement.
        agreement_id: AgreementId,
        /// Who rents it out.
        provider_name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// The activity before it could not be ended, and an agreement carries one at a time.
    #[error(
        "activity {activity_id} of agreement {agreement_id} with provider {provider_name} could not be ended for another one"
    )]
    Destroy {
        /// The activity before.
        activity_id: ActivityId,
        /// Which agreement.
        agreement_id: AgreementId,
        /// Who rents it out.
        provider_name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// The agreement ended before.
    #[error(
        "agreement {agreement_id} with provider {provider_name} ended before its activity: {end}"
    )]
    Ended {
        /// Which agreement.
        agreement_id: AgreementId,
        /// Who rents it out.
        provider_name: String,
        /// How.
        end: AgreementEnd,
    },
    /// The engine is gone.
    #[error(transparent)]
    Task(#[from] TaskLost),
}

/// A rented machine. Dropping it gives it back in an owned task: whoever had it may rent another one
/// meanwhile.
pub(crate) struct Machine(Option<Parts>);

struct Parts {
    context: Arc<Context>,
    rental: Arc<Rental>,
    activity: Option<Arc<Activity>>,
    /// Where it is in a virtual network.
    node: Option<Node>,
    /// Whether scripts bring `deploy` and `start` by themselves.
    by_hand: bool,
    /// Where it is given back.
    giving_back: TaskGroup,
}

/// Why there is no machine.
#[derive(Debug)]
pub(crate) enum RentError {
    /// No agreement; trying again is of no use.
    Sign(SignError),
    /// The machine could not join its network.
    Network(NetworkError),
    /// An agreement, but no activity: another provider may do better.
    Activity {
        provider_id: NodeId,
        error: ActivityError,
    },
}

impl Machine {
    /// Rents a machine and creates its activity, for whom `about` names. It will be given back in a task of
    /// `giving_back`.
    ///
    /// # Cancel safety
    /// Cancel-safe: what was rented already is given back.
    pub(crate) fn rent<'a>(
        context: &'a Arc<Context>,
        about: &'a EventContext,
        demand: &'a Arc<DemandSubscription>,
        avoid: &'a [NodeId],
        place: Option<&'a Place>,
        giving_back: &'a TaskGroup,
    ) -> BoxFuture<'a, Result<Machine, RentError>> {
        // Boxed, so that it is compiled with the engine and not with each program that rents.
        let renting = Self::rented(context, about, demand, avoid, place, giving_back);
        Box::pin(renting)
    }

    async fn rented(
        context: &Arc<Context>,
        about: &EventContext,
        demand: &Arc<DemandSubscription>,
        avoid: &[NodeId],
        place: Option<&Place>,
        giving_back: &TaskGroup,
    ) -> Result<Machine, RentError> {
        let reserved = match place {
            Some(place) => Some(
                Box::pin(place.reserve())
                    .await
                    .map_err(RentError::Network)?,
            ),
            None => None,
        };
        let rental = demand.sign(avoid).await.map_err(RentError::Sign)?;
        let parts = Parts {
            context: Arc::clone(context),
            rental: Arc::clone(&rental),
            activity: None,
            node: None,
            by_hand: demand.is_by_hand(),
            giving_back: giving_back.clone(),
        };
        let creating = Self::with_activity(parts, Box::new(about.clone()), reserved);
        let created = context
            .tasks()
            .see_through("create-activity", creating)
            .await;
        created.unwrap_or_else(|lost| {
            Err(RentError::Activity {
                provider_id: rental.provider_id.clone(),
                error: lost.into(),
            })
        })
    }

    /// The machine of an earlier life whose activity still answers.
    pub(crate) fn adopt(
        context: &Arc<Context>,
        job: &JobId,
        rental: Arc<Rental>,
        activity: ActivityId,
        giving_back: &TaskGroup,
    ) -> Machine {
        Self::attach(context, (job, rental), (activity, true), giving_back)
    }

    /// A machine that is there already, to be used for a job that did not rent it. Whether its payload was
    /// `started` says whether the first script begins with `deploy`.
    pub(crate) fn attach(
        context: &Arc<Context>,
        (job, rental): (&JobId, Arc<Rental>),
        (activity, started): (ActivityId, bool),
        giving_back: &TaskGroup,
    ) -> Machine {
        rental.adopt_for(job);
        let activity = Activity::there(context, &rental, activity, started);
        Self::with(context, rental, activity, giving_back)
    }

    fn with(
        context: &Arc<Context>,
        rental: Arc<Rental>,
        activity: Arc<Activity>,
        giving_back: &TaskGroup,
    ) -> Machine {
        Machine(Some(Parts {
            context: Arc::clone(context),
            rental,
            activity: Some(activity),
            node: None,
            by_hand: false,
            giving_back: giving_back.clone(),
        }))
    }

    /// Another activity on an agreement that is in force. It stays so when there is none.
    ///
    /// # Errors
    /// [`RentError::Activity`].
    ///
    /// # Cancel safety
    /// Not safe: to be called in an owned task.
    pub(crate) async fn on(
        context: &Arc<Context>,
        rental: Arc<Rental>,
        giving_back: &TaskGroup,
    ) -> Result<Machine, RentError> {
        let about = rental.about();
        match Activity::create(context, &about, &rental).await {
            Ok(activity) => Ok(Self::with(context, rental, activity, giving_back)),
            Err(error) => Err(RentError::Activity {
                provider_id: rental.provider_id.clone(),
                error,
            }),
        }
    }

    /// Leaves the machine as it is to whoever uses it besides, and to the engine's end.
    pub(crate) fn detach(mut self) {
        if let Some(parts) = self.0.take()
            && let Some(activity) = parts.activity
        {
            activity.watch.close();
        }
    }

    /// The machine of an earlier life is a node of its network again.
    pub(crate) fn is_at(&mut self, node: Node) {
        self.activity().at(node.clone());
        if let Some(parts) = &mut self.0 {
            parts.node = Some(node);
        }
    }

    /// Without a waiter the machine is dropped by its task, and so given back.
    async fn with_activity(
        mut parts: Parts,
        about: Box<EventContext>,
        reserved: Option<Reserved>,
    ) -> Result<Machine, RentError> {
        match Activity::create(&parts.context, &about, &parts.rental).await {
            Ok(activity) => {
                activity.bring_init(parts.by_hand);
                parts.activity = Some(Arc::clone(&activity));
                if let Some(reserved) = reserved {
                    let joining = reserved.join(parts.rental.provider_id.clone());
                    match Box::pin(joining).await {
                        Ok(node) => parts.node = Some(node),
                        Err(error) => {
                            parts.give_back("the machine could not join its network");
                            return Err(RentError::Network(error));
                        }
                    }
                }
                if let Some(node) = &parts.node {
                    activity.at(node.clone());
                }
                Ok(Machine(Some(parts)))
            }
            Err(error) => {
                let provider_id = parts.rental.provider_id.clone();
                parts.give_back("the activity could not be created");
                Err(RentError::Activity { provider_id, error })
            }
        }
    }

    /// The activity.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        self.0
            .as_ref()
            .and_then(|parts| parts.activity.as_ref())
            .expect("a machine is handed out with its activity and until it is released")
    }

    /// Ends the activity and creates another one on the same agreement, for the one who is at work:
    /// nothing that ran on the machine is left.
    ///
    /// # Errors
    /// The machine is given back then.
    ///
    /// # Cancel safety
    /// Not safe: to be called in an owned task.
    pub(crate) async fn restart(mut self) -> Result<Machine, RentError> {
        let activity = Arc::clone(self.activity());
        let mut parts = self.0.take().expect("it has its activity");
        parts.activity = None;
        let about = Box::new((*activity.about()).clone());
        if let Err(source) = Arc::clone(&activity).destroy().await {
            let rental = Arc::clone(&parts.rental);
            parts.give_back("its activity could not be ended");
            return Err(RentError::Activity {
                provider_id: rental.provider_id.clone(),
                error: ActivityError::Destroy {
                    activity_id: activity.id.clone(),
                    agreement_id: rental.agreement_id.clone(),
                    provider_name: rental.provider_name.clone(),
                    source,
                },
            });
        }
        Self::with_activity(parts, about, None).await
    }

    /// Leaves the machine as it is to a later engine.
    pub(crate) fn leave(mut self, instance: &InstanceId) {
        if let Some(parts) = self.0.take() {
            parts.rental.leave(instance.clone());
        }
    }

    /// Destroys the activity and terminates the agreement, in an owned task: `giving_back` is idle when
    /// that is done. The termination of a machine that is lost is not waited for there.
    pub(crate) fn give_back(mut self, reason: &str) {
        if let Some(parts) = self.0.take() {
            parts.give_back(reason);
        }
    }
}

impl Parts {
    fn give_back(self, reason: &str) {
        let reason = Reason::from(reason);
        let group = self.giving_back.clone();
        group.spawn("give-back", async move {
            if let Some(activity) = self.activity {
                // The end of the agreement ends it as well.
                let _ = activity.destroy().await;
            }
            if let Some(node) = self.node
                && let Err(error) = node.leave().await
            {
                tracing::warn!(?node, %error, "the node is left in its network");
            }
            if self.rental.is_lost() {
                self.rental.give_up(&reason.message);
            } else {
                self.rental.terminate(reason).await;
            }
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take()
            && !golem_probe::planted!("a-machine-that-nobody-took-is-kept")
        {
            parts.give_back("not needed any more");
        }
    }
}

/// An activity of ours.
pub(crate) struct Activity {
    context: Arc<Context>,
    rental: Arc<Rental>,
    about: std::sync::Mutex<Arc<EventContext>>,
    id: ActivityId,
    /// Where it is in a virtual network.
    node: OnceLock<Node>,
    watch: watch::Watch,
    session: Mutex<Session>,
    next_script: AtomicU64,
    /// Whether work may be saved from it after the provider ended the agreement.
    recovers: AtomicBool,
    /// Whether scripts bring `deploy` and `start` by themselves.
    by_hand: AtomicBool,
}

/// What holds between two batches.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Whether `start` has succeeded: `run` is possible.
    pub(crate) started: bool,
    /// Of how many nodes of its network the machine was told when it was deployed.
    pub(crate) known_nodes: u64,
    /// A batch that was given up, but may still run.
    pub(crate) unfinished: Option<Unfinished>,
    /// A batch of an earlier life may still run.
    pub(crate) inherited: bool,
}

impl Activity {
    /// Creates an activity and watches over it.
    ///
    /// # Errors
    /// [`ActivityError::Create`]. When the outcome is unknown, whatever the daemon lists for the
    /// agreement is destroyed first.
    ///
    /// # Cancel safety
    /// Not safe: to be called in an owned task (see [`Machine`]).
    async fn create(
        context: &Arc<Context>,
        about: &EventContext,
        rental: &Arc<Rental>,
    ) -> Result<Arc<Self>, ActivityError> {
        let api = context.rest().activity();
        let wait = context.config().activity.change_timeout;
        let agreement_id = &rental.agreement_id;
        if let Some(end) = rental.ended_by()
            && !golem_probe::planted!("work-on-an-agreement-that-ended")
        {
            // It ended while it was handed over: no work is sent to a dead agreement.
            golem_probe::sometimes!(true, "an agreement ends before its first activity");
            return Err(ActivityError::Ended {
                agreement_id: agreement_id.clone(),
                provider_name: rental.provider_name.clone(),
                end,
            });
        }
        // It may have begun long before the answer came.
        let asked = context.now();
        let id = match api.create(agreement_id, wait).await {
            Ok(id) => id,
            Err(source) => {
                golem_probe::sometimes!(
                    source.outcome() == Outcome::Refused,
                    "an activity is refused"
                );
                let looks =
                    !golem_probe::planted!("an-activity-without-an-answer-is-not-looked-for");
                if source.outcome() == Outcome::Unknown && looks {
                    // Boxed: hardly ever needed.
                    Box::pin(Self::destroy_strays(context, agreement_id)).await;
                }
                let reason = Cause::new(source.clone());
                let about = rental.about().at_work_for(about);
                context.emit(about, ActivityCreateFailed { reason });
                return Err(ActivityError::Create {
                    agreement_id: agreement_id.clone(),
                    provider_name: rental.provider_name.clone(),
                    source,
                });
            }
        };
        let about = rental.about().at_work_for(about).with_activity(&id);
        let activity = Self::of(context, rental, about, id, Session::default());
        context.emit(activity.about(), ActivityCreated {});
        rental.activity_created(&activity.id, asked);
        watch::spawn(&activity);
        Ok(activity)
    }

    /// One that somebody else created, and may be using: an earlier life of this engine, or another program. Watches
    /// over it.
    fn there(
        context: &Arc<Context>,
        rental: &Arc<Rental>,
        id: ActivityId,
        started: bool,
    ) -> Arc<Self> {
        let about = rental.about().with_activity(&id);
        let session = Session {
            started,
            known_nodes: 0,
            unfinished: None,
            inherited: true,
        };
        let activity = Self::of(context, rental, about, id, session);
        watch::spawn(&activity);
        activity
    }

    fn of(
        context: &Arc<Context>,
        rental: &Arc<Rental>,
        about: EventContext,
        id: ActivityId,
        session: Session,
    ) -> Arc<Self> {
        Arc::new(Activity {
            context: Arc::clone(context),
            rental: Arc::clone(rental),
            about: std::sync::Mutex::new(Arc::new(about)),
            id,
            node: OnceLock::new(),
            watch: watch::Watch::default(),
            session: Mutex::new(session),
            next_script: AtomicU64::new(1),
            recovers: AtomicBool::new(false),
            by_hand: AtomicBool::new(false),
        })
    }

    /// Each agreement carries one activity at a time, so all that are listed are strays.
    async fn destroy_strays(context: &Arc<Context>, agreement: &AgreementId) {
        let api = context.rest().activity();
        let wait = context.config().activity.change_timeout;
        let mut backoff = Backoff::new(context.seed(), format!("strays/{agreement}/"));
        let listing = context.insist(&mut backoff, STRAY_ATTEMPTS, || api.of_agreement(agreement));
        let strays = match listing.await {
            Ok(strays) => strays,
            Err(error) => {
                tracing::warn!(%agreement, %error, "cannot look for an activity of unknown outcome");
                return;
            }
        };
        golem_probe::sometimes!(
            !strays.is_empty(),
            "an activity was created and nobody was told"
        );
        for stray in strays {
            // Destroying twice is as good as once.
            let destroying =
                context.insist(&mut backoff, STRAY_ATTEMPTS, || api.destroy(&stray, wait));
            if let Err(error) = destroying.await {
                tracing::warn!(activity = %stray, %error, "a stray activity may be left behind");
            }
        }
    }

    /// Ends the activity. Its agreement stays.
    ///
    /// # Errors
    /// The last call's, when the activity may still be there.
    async fn destroy(self: Arc<Self>) -> Result<(), ApiError> {
        /// A provider that is gone answers none of them.
        const ATTEMPTS: u32 = 3;
        if golem_probe::planted!("an-activity-is-not-destroyed") {
            return Ok(());
        }
        let is_lost = || {
            let is_silent = self.watch.silent_since().is_some();
            is_silent || self.watch.health().is_lost() || self.rental.is_lost()
        };
        self.watch.close();
        if !is_lost() {
            let asked = Instant::now();
            if let Err(late) = self.rental.measure(&self.id).await {
                self.unanswered(asked, &late).await;
            }
        }
        // From here on nothing may be asked for: the provider's clock gets the payment's grace.
        self.rental.activity_destroyed(&self.id);
        let api = self.context.rest().activity();
        let wait = self.context.config().activity.change_timeout;
        let mut backoff = self.backoff("destroy");
        let policy = Policy::new(&mut backoff, ATTEMPTS);
        let destroying = retry::until(
            policy,
            || self.context.is_daemon_away(),
            || async {
                let wait = if is_lost() { LOST_WAIT } else { wait };
                match api.destroy(&self.id, wait).await {
                    Err(error) if is_lost() && !self.context.is_daemon_away().await => {
                        Attempt::Break(Err(error))
                    }
                    done => retry::unless_passing(done),
                }
            },
        );
        if let Err(error) = destroying.await {
            tracing::warn!(activity = %self.id, %error, "the activity was not destroyed");
            if self.watch.silent_since().is_some() {
                self.lose("no answer when it was to be given back");
            }
            return Err(error);
        }
        self.watch.heard();
        self.context.emit(self.about(), ActivityDestroyed {});
        Ok(())
    }

    fn backoff(&self, label: &str) -> Backoff {
        Backoff::new(self.context.seed(), format!("{label}/{}", self.id))
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// What events of it are about.
    pub(crate) fn about(&self) -> Arc<EventContext> {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&about)
    }

    /// Changes what events of it are about: whoever is at work on it.
    pub(crate) fn concerns(&self, change: impl FnOnce(EventContext) -> EventContext) {
        let mut about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        *about = Arc::new(change((**about).clone()));
    }

    /// Where it is in a virtual network, if it is in one.
    pub(crate) fn node(&self) -> Option<&Node> {
        self.node.get()
    }

    /// It is in a network, from now to its end.
    pub(crate) fn at(&self, node: Node) {
        // An activity has one place.
        let _ = self.node.set(node);
    }

    /// Says whether scripts bring `deploy` and `start` by themselves.
    pub(crate) fn bring_init(&self, by_hand: bool) {
        self.by_hand.store(by_hand, Ordering::Relaxed);
    }

    /// Whether scripts bring `deploy` and `start` by themselves.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.by_hand.load(Ordering::Relaxed)
    }

    pub(crate) fn id(&self) -> &ActivityId {
        &self.id
    }

    pub(crate) fn rental(&self) -> &Arc<Rental> {
        &self.rental
    }

    /// Where the activity stands; changes can be waited for.
    pub(crate) fn watch(&self) -> &watch::Watch {
        &self.watch
    }

    /// Waits for the script before: an exe-unit runs one batch at a time.
    pub(crate) async fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().await
    }

    /// What a handler's time limit that is over, or a request of its own that was not answered in time,
    /// may be due to besides the provider; to be asked before the handler is dropped.
    pub(crate) fn hint(&self) -> &'static str {
        let waits_for_script = self.session.try_lock().is_err();
        if waits_for_script || !self.context.transport().is_in_memory() {
            return "";
        }
        VIRTUAL_TIME
    }

    /// From now on scripts are sent also when the provider has ended the agreement, as long as the activity
    /// lives: what is left there is to be saved.
    pub(crate) fn may_recover(&self) {
        self.recovers.store(true, Ordering::Relaxed);
    }

    pub(crate) fn recovers(&self) -> bool {
        self.recovers.load(Ordering::Relaxed)
    }

    /// Numbers scripts from 1.
    pub(crate) fn next_script(&self) -> u64 {
        self.next_script.fetch_add(1, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activity")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
