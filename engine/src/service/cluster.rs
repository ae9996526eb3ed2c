//! A cluster: instances of one service on one demand. Owns: setting it up, starting, stopping and
//! showing the instances, what they share, and the end of all of them. Does not own: the life of an
//! instance (`instance.rs`).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::error::describe;
use super::instance::{Runner, StopSignal};
use super::resume::{Begin, Resume, write_down};
use super::{ClusterError, Instance, Service, ServiceState, default_name};
use crate::context::Context;
use crate::deadline;
use crate::error::Error;
use crate::event::EventKind;
use crate::golem::Golem;
use crate::lifecycle::service::Policy;
use crate::market::{DemandSubscription, SHORTEST_RENTAL};
use crate::model::JobId;
use crate::panics::caught;
use crate::payload::{Payload, Registry};
use crate::tasks::TaskGroup;

/// Instances are stopped this long before the cluster expires, so that `shutdown` can run.
const STOP_BEFORE: Duration = Duration::from_secs(60);

/// How instances of a cluster are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Treatment {
    pub(super) policy: Policy,
    pub(super) start_timeout: Option<Duration>,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) stop_grace: Duration,
}

/// Sets a cluster up; made by [`Golem::run_service`].
#[must_use = "nothing runs before `start()`"]
pub struct RunService<S: Service> {
    golem: Golem,
    params: Vec<S::Params>,
    num_instances: Option<usize>,
    default_params: Option<fn() -> S::Params>,
    payload: Option<Payload>,
    expiration: Duration,
    treatment: Treatment,
    resume: Option<Resume<S::Params>>,
}

impl Golem {
    /// Runs instances of a service on rented machines.
    ///
    /// ```no_run
    /// # use golem_engine::service::{HandlerError, Service};
    /// # use golem_engine::Golem;
    /// # async fn example<S: Service<Params = String>>(golem: Golem) -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = golem
    ///     .run_service::<S>()
    ///     .instance_params((1..=3).map(|n| format!("simple-service-{n}")))
    ///     .start()
    ///     .await?;
    /// cluster.wait_running(std::time::Duration::from_secs(240)).await?;
    /// cluster.stop();
    /// cluster.join().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_service<S: Service>(&self) -> RunService<S> {
        RunService {
            golem: self.clone(),
            params: Vec::new(),
            num_instances: None,
            default_params: None,
            payload: None,
            expiration: Duration::from_secs(180 * 60),
            treatment: Treatment {
                policy: Policy {
                    respawn: true,
                    max_attempts: 10,
                },
                start_timeout: Some(Duration::from_secs(15 * 60)),
                shutdown_timeout: Some(Duration::from_secs(5 * 60)),
                stop_grace: Duration::ZERO,
            },
            resume: None,
        }
    }
}

impl<S: Service> RunService<S> {
    /// Parameters of the instances: one instance each, unless
    /// [`num_instances`](Self::num_instances) says less.
    pub fn instance_params(mut self, params: impl IntoIterator<Item = S::Params>) -> Self {
        self.params = params.into_iter().collect();
        self
    }

    /// Number of instances. Without [`instance_params`](Self::instance_params) each gets default
    /// parameters; with too few of them [`start`](Self::start) fails.
    pub fn num_instances(mut self, number: usize) -> Self
    where
        S::Params: Default,
    {
        self.num_instances = Some(number);
        self.default_params = Some(S::Params::default);
        self
    }

    /// Overrides [`Service::payload`].
    pub fn payload(mut self, payload: impl Into<Payload>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// How long the cluster may live; 3 hours unless set. Instances are stopped shortly before.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = expiration;
        self
    }

    /// Whether an instance that fails to start is tried again on another provider; true unless set.
    pub fn respawn_unstarted_instances(mut self, respawn: bool) -> Self {
        self.treatment.policy.respawn = respawn;
        self
    }

    /// How often an instance is tried to start at the most; 10 unless set.
    pub fn max_start_attempts(mut self, attempts: u32) -> Self {
        self.treatment.policy.max_attempts = attempts.max(1);
        self
    }

    /// How long a `start` handler may take; 15 minutes unless set.
    pub fn start_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.treatment.start_timeout = timeout;
        self
    }

    /// How long a `shutdown` handler may take; 5 minutes unless set.
    pub fn shutdown_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.treatment.shutdown_timeout = timeout;
        self
    }

    /// How long a handler may go on after [`WorkContext::stop_requested`](crate::WorkContext::stop_requested); none
    /// unless set.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.treatment.stop_grace = grace;
        self
    }

    /// Goes on with the instances that an earlier run of this program started under the same name,
    /// and left running by a crash: their machines, if they still answer, and their parameters, from
    /// the journal. Parameters given here only fill up the rest. An instance that had ended, or was
    /// stopped alone, stays ended; when the service or the engine was being stopped, all start anew
    /// with the parameters given here. What is not claimed by its name
    /// within [`claim_within`](crate::recovery::RecoveryLimits::claim_within) is given back.
    ///
    /// Needs a journal that outlives the process, and
    /// [`Recovery::Adopt`](crate::Recovery::Adopt).
    pub fn resume(mut self, name: impl Into<String>) -> Self
    where
        S::Params: Serialize + DeserializeOwned,
    {
        self.resume = Some(Resume::new(name.into()));
        self
    }

    /// Completes parameters from the journal by what JSON cannot carry. To be called after
    /// [`resume`](Self::resume).
    pub fn complete_params(
        mut self,
        complete: impl Fn(S::Params) -> S::Params + Send + Sync + 'static,
    ) -> Self {
        if let Some(resume) = &mut self.resume {
            resume.complete = Some(Arc::new(complete));
        }
        self
    }

    /// Publishes the demand and begins to start the instances, all at once.
    ///
    /// # Errors
    /// [`Error::Payload`] when payload or parameters do not fit, and what the market refuses.
    ///
    /// # Cancel safety
    /// Not safe: a demand may be left until the engine stops.
    pub async fn start(self) -> Result<Cluster<S>, Error> {
        let params = self.all_params()?;
        let payload = match self.payload {
            Some(payload) => payload,
            None => S::payload().await?,
        };
        let registry = Registry::of(self.golem.context());
        let resolved = payload
            .resolve(&registry)
            .await
            .map_err(|error| Error::Payload {
                message: error.to_string(),
            })?;
        let golem = &self.golem;
        let context = Arc::clone(golem.context());
        let job = context.next_job("service");
        let lifetime = self.expiration;
        let expiration = deadline::date_after(context.now(), lifetime);
        let tasks = context.jobs().child(job.as_str());
        if tasks.is_cancelled() {
            return Err(Error::Stopped);
        }
        let giving_back = context.tasks().child(job.as_str());
        let begin = match &self.resume {
            Some(resume) => {
                let recovered = &golem.engine().recovered;
                resume.begin(recovered, &context, (&job, &giving_back), params)?
            }
            None => params.into_iter().map(Begin::Fresh).enumerate().collect(),
        };
        context.emit(EventKind::JobStarted { job: job.clone() });
        let market = golem.market();
        let rentable = deadline::date_after(context.now(), lifetime.max(SHORTEST_RENTAL));
        let opening = DemandSubscription::open(market, job.clone(), &resolved, rentable);
        let demand = match opening.await.map_err(Error::from) {
            Ok(demand) => demand,
            Err(error) => {
                let text = Some(error.to_string());
                context.emit(EventKind::JobFinished { job, error: text });
                return Err(error);
            }
        };
        let shared = Arc::new(Shared {
            context,
            job,
            demand,
            treatment: self.treatment,
            resume: self.resume,
            expiration,
            tasks,
            giving_back,
            entries: Mutex::default(),
            version: watch::Sender::new(0),
            live: watch::Sender::new(0),
            stop: CancellationToken::new(),
            service: std::marker::PhantomData,
        });
        let margin = STOP_BEFORE.min(lifetime / 10);
        let deadline = deadline::within(lifetime.saturating_sub(margin));
        let supervising = supervise(Arc::clone(&shared), deadline);
        shared.tasks.spawn("supervise", supervising);
        let cluster = Cluster {
            shared,
            payload,
            seen: AtomicU64::new(0),
        };
        for (index, instance) in begin {
            // It was made here, so it cannot have been stopped yet.
            let _ = cluster.spawn(index, instance);
        }
        Ok(cluster)
    }

    fn all_params(&self) -> Result<Vec<S::Params>, Error> {
        let misfit = |message: String| Error::Payload { message };
        match (self.num_instances, self.default_params) {
            (Some(number), Some(default)) if self.params.is_empty() => {
                Ok((0..number).map(|_| default()).collect())
            }
            (Some(number), _) if number > self.params.len() => Err(misfit(format!(
                "{number} instances are wanted, but parameters are given for {}",
                self.params.len()
            ))),
            (Some(number), _) => Ok(self.params[..number].to_vec()),
            (None, _) => Ok(self.params.clone()),
        }
    }
}

impl<S: Service> std::fmt::Debug for RunService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunService")
            .field(
                "instances",
                &self.num_instances.unwrap_or(self.params.len()),
            )
            .finish_non_exhaustive()
    }
}

/// Instances of a service. Cheap to clone; lives until [`stop`](Self::stop), its expiration, or the
/// engine's end, also when every handle is dropped.
pub struct Cluster<S: Service> {
    shared: Arc<Shared<S>>,
    payload: Payload,
    /// Version of the states last shown by this handle.
    seen: AtomicU64,
}

impl<S: Service> Cluster<S> {
    /// All instances, ended ones too, in the order they were spawned.
    pub fn instances(&self) -> Vec<Instance> {
        self.seen
            .store(*self.shared.version.borrow(), Ordering::Relaxed);
        self.shared.snapshot()
    }

    /// Waits until an instance changed since this handle last showed them, and shows them again.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn changed(&self) -> Vec<Instance> {
        let seen = self.seen.load(Ordering::Relaxed);
        self.shared.until(|version, _| version != seen).await;
        self.instances()
    }

    /// Waits until the instances are as wanted, and shows them.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_until(&self, mut wanted: impl FnMut(&[Instance]) -> bool) -> Vec<Instance> {
        self.shared.until(|_, instances| wanted(instances)).await;
        self.instances()
    }

    /// Waits until every instance is running.
    ///
    /// # Errors
    /// [`ClusterError::NotRunning`] after the timeout, [`ClusterError::Ended`] as soon as one
    /// cannot become running any more.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_running(&self, timeout: Duration) -> Result<Vec<Instance>, ClusterError> {
        let over = |instance: &Instance| {
            matches!(
                instance.state,
                ServiceState::Stopping | ServiceState::Terminated
            )
        };
        let settled = self.wait_until(|instances| {
            instances
                .iter()
                .all(|instance| instance.state == ServiceState::Running)
                || instances.iter().any(over)
        });
        let Ok(instances) = tokio::time::timeout(timeout, settled).await else {
            return Err(ClusterError::NotRunning {
                timeout,
                instances: describe(&self.instances()),
            });
        };
        if instances.iter().any(over) {
            return Err(ClusterError::Ended {
                instances: describe(&instances),
            });
        }
        Ok(instances)
    }

    /// Starts more instances.
    ///
    /// # Errors
    /// [`ClusterError::Stopped`].
    pub fn spawn_instances(
        &self,
        params: impl IntoIterator<Item = S::Params>,
    ) -> Result<(), ClusterError> {
        let shared = &self.shared;
        for params in params {
            let index = shared.entries().next;
            self.spawn(index, Begin::Fresh(params))?;
        }
        Ok(())
    }

    fn spawn(&self, index: usize, begin: Begin<S::Params>) -> Result<(), ClusterError> {
        let shared = &self.shared;
        let (params, resumed, ended) = match begin {
            Begin::Fresh(params) => (params, None, false),
            Begin::Ended(params) => (params, None, true),
            Begin::Going {
                params,
                machine,
                stopping,
            } => (params, Some((machine, stopping)), false),
        };
        let name = caught(|| S::name(&params, index)).unwrap_or_else(|panic| {
            shared.context.emit(EventKind::CallbackPanicked {
                callback: "Service::name".into(),
                message: panic.message,
                place: panic.place,
            });
            default_name(index)
        });
        {
            let mut entries = shared.entries();
            if entries.stopped {
                return Err(ClusterError::Stopped);
            }
            entries.next = entries.next.max(index + 1);
            let instance = Instance {
                id: format!("{}/{}", shared.job, index + 1),
                name,
                state: match ended {
                    true => ServiceState::Terminated,
                    false => ServiceState::Pending,
                },
                provider_name: None,
                provider_id: None,
                agreement_id: None,
                activity_id: None,
                failure: None,
                attempts: 0,
            };
            if resumed.is_none() {
                // One that goes on is written down already, with its machine.
                shared.write_down(index, &params, &instance);
            }
            let task = format!("instance-{}", index + 1);
            let (status, receiver) = watch::channel(instance);
            let stop = StopSignal::new();
            entries.instances.push((receiver, stop.clone()));
            drop(entries);
            if ended {
                // Whether its end was told of in the life in which it ended is not known.
                let id = format!("{}/{}", shared.job, index + 1);
                shared.context.emit(EventKind::ServiceStateChanged {
                    job: shared.job.clone(),
                    service: id,
                    old: ServiceState::Pending,
                    new: ServiceState::Terminated,
                    agreement_id: None,
                    activity_id: None,
                    provider_name: None,
                    error: None,
                });
                shared.touch();
                return Ok(());
            }
            shared.live.send_modify(|live| *live += 1);
            let runner = Runner {
                shared: Arc::clone(shared),
                params,
                index,
                resumed,
                status,
                stop,
                heard: 0,
                budget_heard: 0,
                avoid: Vec::new(),
                machine: None,
            };
            let alive = Alive(Arc::clone(shared));
            let span = tracing::info_span!("service", job = %shared.job, instance = index + 1);
            let life = async move {
                let _alive = alive;
                runner.run().await;
            };
            shared.tasks.spawn(&task, life.instrument(span));
            shared.touch();
        }
        Ok(())
    }

    /// Stops all instances: running ones go through their `shutdown` handler. Returns at once;
    /// [`join`](Self::join) waits. Doing it twice changes nothing.
    pub fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.stop_all();
    }

    /// Stops one instance. A second time, while it is stopping, cuts its `shutdown` handler short.
    ///
    /// # Errors
    /// [`ClusterError::UnknownInstance`].
    pub fn stop_instance(&self, id: &str) -> Result<(), ClusterError> {
        let entries = self.shared.entries();
        let found = entries
            .instances
            .iter()
            .find(|(instance, _)| instance.borrow().id == id);
        let Some((_, stop)) = found else {
            let ids: Vec<_> = entries
                .instances
                .iter()
                .map(|(instance, _)| instance.borrow().id.clone())
                .collect();
            return Err(ClusterError::UnknownInstance {
                id: id.into(),
                known: ids.join(", "),
            });
        };
        stop.signal();
        Ok(())
    }

    /// Waits until all instances have ended and their machines are given back.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn join(&self) -> Vec<Instance> {
        self.shared.all_ended().await;
        self.instances()
    }

    /// When the cluster has ended at the latest. Its demand and agreements expire then, too, or a few
    /// minutes later when it is shorter than providers rent out.
    pub fn expiration(&self) -> Timestamp {
        self.shared.expiration
    }

    /// What the instances run.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The job of this cluster in events.
    pub fn job(&self) -> &JobId {
        &self.shared.job
    }
}

impl<S: Service> Clone for Cluster<S> {
    fn clone(&self) -> Self {
        Cluster {
            shared: Arc::clone(&self.shared),
            payload: self.payload.clone(),
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
        }
    }
}

impl<S: Service> fmt::Debug for Cluster<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("job", &self.shared.job)
            .field("instances", &self.shared.snapshot())
            .finish_non_exhaustive()
    }
}

/// What instances share.
pub(super) struct Shared<S: Service> {
    pub(super) context: Arc<Context>,
    pub(super) job: JobId,
    pub(super) demand: Arc<DemandSubscription>,
    pub(super) treatment: Treatment,
    resume: Option<Resume<S::Params>>,
    expiration: Timestamp,
    tasks: TaskGroup,
    /// Machines that are being given back.
    pub(super) giving_back: TaskGroup,
    entries: Mutex<Entries>,
    /// Counts changes.
    version: watch::Sender<u64>,
    /// Instances that have not ended.
    live: watch::Sender<usize>,
    stop: CancellationToken,
    service: std::marker::PhantomData<fn() -> S>,
}

#[derive(Default)]
struct Entries {
    instances: Vec<(watch::Receiver<Instance>, StopSignal)>,
    /// Index of the next one.
    next: usize,
    stopped: bool,
}

impl<S: Service> Shared<S> {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every statement leaves the list consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Vec<Instance> {
        self.entries()
            .instances
            .iter()
            .map(|(instance, _)| instance.borrow().clone())
            .collect()
    }

    /// Writes down where an instance stands.
    pub(super) fn write_down(&self, index: usize, params: &S::Params, instance: &Instance) {
        let cluster = (self.job.as_str(), self.resume.as_ref());
        // What ends because everything is stopped is started anew by the next life.
        let goes_on = !self.tasks.is_cancelled() && !self.stop.is_cancelled();
        write_down::<S>(&self.context, cluster, index, params, instance, goes_on);
    }

    /// Something about an instance changed.
    pub(super) fn touch(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    async fn until(&self, mut wanted: impl FnMut(u64, &[Instance]) -> bool) {
        let mut version = self.version.subscribe();
        loop {
            let now = *version.borrow_and_update();
            if wanted(now, &self.snapshot()) {
                return;
            }
            if version.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn all_ended(&self) {
        let mut live = self.live.subscribe();
        // The sender lives in `self`.
        let _ = live.wait_for(|live| *live == 0).await;
        self.giving_back.idle().await;
    }

    fn stop_all(&self) {
        let mut entries = self.entries();
        entries.stopped = true;
        for (_, stop) in &entries.instances {
            stop.signal_once();
        }
    }
}

/// Counts an instance as live, also when its task is aborted.
struct Alive<S: Service>(Arc<Shared<S>>);

impl<S: Service> Drop for Alive<S> {
    fn drop(&mut self) {
        self.0
            .live
            .send_modify(|live| *live = live.saturating_sub(1));
        self.0.touch();
    }
}

/// Ends the cluster when it is stopped, expires, or the engine stops.
async fn supervise<S: Service>(shared: Arc<Shared<S>>, deadline: Instant) {
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        () = shared.tasks.token().cancelled() => {}
        () = tokio::time::sleep_until(deadline) => {}
    }
    shared.stop_all();
    shared.all_ended().await;
    shared.demand.close().await;
    let failures: Vec<_> = shared
        .snapshot()
        .into_iter()
        .filter_map(|instance| instance.failure)
        .collect();
    shared.context.emit(EventKind::JobFinished {
        job: shared.job.clone(),
        error: (!failures.is_empty()).then(|| failures.join("; ")),
    });
}
