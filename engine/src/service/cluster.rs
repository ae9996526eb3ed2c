//! A cluster: instances of one service on one demand. Owns: setting it up, starting, stopping and
//! showing the instances, what they share, and the end of all of them. Does not own: the life of an
//! instance (`instance.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::error::describe;
use super::instance::{Runner, StopSignal};
use super::params::{ByDefault, Given, InstanceParams};
use super::resume::{Begin, Resume, write_down};
use super::{
    ClusterError, Instance, InstanceHandle, InstanceId, InstanceInfo, Service, ServiceState,
    default_name,
};
use crate::cause::Cause;
use crate::context::{Context, JobName};
use crate::deadline;
use crate::error::Error;
use crate::event::{CallbackPanicked, EventContext, JobFinished, ServiceStateChanged};
use crate::golem::Golem;
use crate::lifecycle::service::Policy;
use crate::mailbox::Post;
use crate::market::{DemandSubscription, SHORTEST_RENTAL};
use crate::model::{JobId, ResolvedPayload};
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

/// When a cluster ends.
#[derive(Clone, Copy, Debug)]
enum Expiration {
    /// So long after its start.
    After(Duration),
    At(Timestamp),
}

/// Sets a cluster up; made by [`Golem::run_service`]. `I` says where the parameters of the instances
/// come from.
#[must_use = "nothing runs before `start()`"]
pub struct RunService<S: Service, I = ByDefault> {
    golem: Golem,
    source: I,
    num_instances: Option<usize>,
    job_id: Option<String>,
    payload: Option<Payload>,
    expiration: Expiration,
    treatment: Treatment,
    resume: Option<Resume<S::Params>>,
}

impl Golem {
    /// Runs instances of a service on rented machines: one with default parameters, unless
    /// [`num_instances`](RunService::num_instances) or
    /// [`instance_params`](RunService::instance_params) say otherwise.
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
            source: ByDefault,
            num_instances: None,
            job_id: None,
            payload: None,
            expiration: Expiration::After(Duration::from_secs(180 * 60)),
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

impl<S: Service, I> RunService<S, I> {
    pub(super) fn with_source<J>(self, source: J) -> RunService<S, J> {
        RunService {
            golem: self.golem,
            source,
            num_instances: self.num_instances,
            job_id: self.job_id,
            payload: self.payload,
            expiration: self.expiration,
            treatment: self.treatment,
            resume: self.resume,
        }
    }

    /// Parameters of the instances: one instance each, unless
    /// [`num_instances`](Self::num_instances) says less.
    pub fn instance_params(
        self,
        params: impl IntoIterator<Item = S::Params>,
    ) -> RunService<S, Given<S::Params>> {
        self.with_source(Given(params.into_iter().collect()))
    }

    /// Number of instances; none if it is 0. Without [`instance_params`](Self::instance_params) each
    /// gets default parameters; with too few of them [`start`](Self::start) fails.
    pub fn num_instances(mut self, number: usize) -> Self {
        self.num_instances = Some(number);
        self
    }

    /// What the job is called in events and reports, and its instances in front of their number,
    /// instead of `service-N`: 1 to 64 letters, digits, `.`, `_` and `-`, and no other job's name.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.job_id = Some(id.into());
        self
    }

    /// Overrides [`Service::payload`].
    pub fn payload(mut self, payload: impl Into<Payload>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// How long the cluster may live; 3 hours unless set. Instances are stopped shortly before.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = Expiration::After(expiration);
        self
    }

    /// Until when the cluster may live, by the daemon's clock; see [`expiration`](Self::expiration).
    pub fn expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expiration = Expiration::At(expires_at);
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
    /// [`Error::Payload`] and [`Error::NoPayload`], [`Error::TooFewParams`], [`Error::NameInUse`],
    /// [`Error::ExpiresTooSoon`], [`Error::JobName`], and what the market refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe: a cluster that nobody waits for any more is stopped as soon as it is there.
    pub async fn start(self) -> Result<Cluster<S>, Error>
    where
        I: InstanceParams<S::Params>,
    {
        let params = self.source.into_params(self.num_instances)?;
        let context = Arc::clone(self.golem.context());
        let now = context.now();
        let lifetime = match self.expiration {
            Expiration::After(lifetime) => lifetime,
            Expiration::At(at) => {
                let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                if left.is_zero() {
                    return Err(Error::ExpiresTooSoon {
                        expires_at: at,
                        earliest: now,
                    });
                }
                left
            }
        };
        let payload = match self.payload {
            Some(payload) => payload,
            None => S::payload().await?,
        };
        let registry = Registry::of(&context);
        let resolved = payload.resolve(&registry).await?;
        let opening = Opening {
            golem: self.golem,
            job_id: self.job_id,
            params,
            payload,
            resolved,
            lifetime,
            treatment: self.treatment,
            resume: self.resume,
        };
        // Whoever waits may go away: a demand is published, machines of an earlier life are claimed.
        let opened = context.tasks().run("start-service", opening.open()).await;
        Ok(opened.map_err(|_| Error::Stopped)??.claim())
    }
}

/// A cluster about to be opened.
struct Opening<S: Service> {
    golem: Golem,
    job_id: Option<String>,
    params: Vec<S::Params>,
    payload: Payload,
    resolved: ResolvedPayload,
    lifetime: Duration,
    treatment: Treatment,
    resume: Option<Resume<S::Params>>,
}

/// A cluster on its way to whoever started it, who has its instances begin. If it does not get there it is
/// stopped; of its instances only those begin, and end, that have a machine of an earlier life.
struct Unclaimed<S: Service> {
    cluster: Cluster<S>,
    begin: BTreeMap<usize, Begin<S::Params>>,
    claimed: bool,
}

impl<S: Service> Unclaimed<S> {
    fn claim(mut self) -> Cluster<S> {
        for (index, instance) in std::mem::take(&mut self.begin) {
            // Where the engine stops meanwhile, nothing begins any more.
            let _ = self.cluster.spawn(index, instance);
        }
        self.claimed = true;
        self.cluster.clone()
    }
}

impl<S: Service> Drop for Unclaimed<S> {
    fn drop(&mut self) {
        if self.claimed {
            return;
        }
        for (index, instance) in std::mem::take(&mut self.begin) {
            if matches!(instance, Begin::Going { .. }) {
                let _ = self.cluster.spawn(index, instance);
            }
        }
        self.cluster.stop();
    }
}

impl<S: Service> Opening<S> {
    async fn open(self) -> Result<Unclaimed<S>, Error> {
        let Opening {
            golem,
            job_id,
            params,
            payload,
            resolved,
            lifetime,
            treatment,
            resume,
        } = self;
        let context = Arc::clone(golem.context());
        let name = context.job_name(job_id.as_deref(), "service")?;
        let job = name.id.clone();
        let expiration = deadline::date_after(context.now(), lifetime);
        let tasks = context.jobs().child(job.as_str());
        if tasks.is_cancelled() {
            return Err(Error::Stopped);
        }
        let giving_back = context.tasks().child(job.as_str());
        let begin = match &resume {
            Some(resume) => {
                let recovered = &golem.engine().recovered;
                resume.begin(recovered, &context, (&job, &giving_back), params)?
            }
            None => params.into_iter().map(Begin::Fresh).enumerate().collect(),
        };
        let market = golem.market();
        let rentable = deadline::date_after(context.now(), lifetime.max(SHORTEST_RENTAL));
        let demand = DemandSubscription::begin(market, &job, resolved, rentable).await?;
        let shared = Arc::new(Shared {
            context,
            _name: name,
            job,
            demand,
            treatment,
            resume,
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
        let cluster = Cluster { shared, payload };
        Ok(Unclaimed {
            cluster,
            begin,
            claimed: false,
        })
    }
}

impl<S: Service, I> fmt::Debug for RunService<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunService")
            .field("num_instances", &self.num_instances)
            .finish_non_exhaustive()
    }
}

/// Instances of a service. Cheap to clone; lives until [`stop`](Self::stop), its expiration, or the
/// engine's end, also when every handle is dropped.
pub struct Cluster<S: Service> {
    shared: Arc<Shared<S>>,
    payload: Payload,
}

impl<S: Service> Cluster<S> {
    /// All instances, ended ones too, in the order they were spawned.
    pub fn all(&self) -> Vec<InstanceHandle> {
        let entries = self.shared.entries();
        let all = entries.instances.iter();
        all.map(|entry| entry.handle.clone()).collect()
    }

    /// The instances that have not ended, in the order they were spawned.
    pub fn live(&self) -> Vec<InstanceHandle> {
        let mut live = self.all();
        live.retain(InstanceHandle::is_live);
        live
    }

    /// One instance.
    ///
    /// # Errors
    /// [`ClusterError::UnknownInstance`].
    pub fn instance(&self, id: &InstanceId) -> Result<InstanceHandle, ClusterError> {
        let mut all = self.all();
        match all.iter().position(|handle| handle.id() == id) {
            Some(found) => Ok(all.swap_remove(found)),
            None => {
                let known: Vec<_> = all.iter().map(|handle| handle.id().as_str()).collect();
                Err(ClusterError::UnknownInstance {
                    id: id.clone(),
                    known: known.join(", "),
                })
            }
        }
    }

    /// What is known of all instances, ended ones too, in the order they were spawned.
    pub fn instances(&self) -> Vec<Instance> {
        self.shared.snapshot()
    }

    /// How all instances are now, and then each time one of them changed; what changed twice before it
    /// was looked at is shown once. Ends when the cluster was stopped and all have ended.
    pub fn watch(&self) -> impl Stream<Item = Vec<Instance>> + Send + Unpin + 'static + use<S> {
        let shared = Arc::clone(&self.shared);
        let mut version = shared.version.subscribe();
        version.mark_changed();
        let beginning = Some((shared, version));
        Box::pin(stream::unfold(beginning, |watching| async {
            let (shared, mut version) = watching?;
            version.changed().await.ok()?;
            version.mark_unchanged();
            let over = shared.entries().stopped && *shared.live.borrow() == 0;
            let instances = shared.snapshot();
            Some((instances, (!over).then_some((shared, version))))
        }))
    }

    /// Waits until the instances, ended ones among them, are as wanted, and shows them.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_until(&self, mut wanted: impl FnMut(&[Instance]) -> bool) -> Vec<Instance> {
        self.shared.until(|instances| wanted(instances)).await;
        self.instances()
    }

    /// Waits until every living instance is running, or suspended, and shows these. What ran and ended
    /// is of the past and not waited for; what ended before it ever ran counts as a failure until more
    /// are spawned in its place.
    ///
    /// # Errors
    /// [`ClusterError::NotRunning`] after the timeout, [`ClusterError::Ended`] as soon as one
    /// cannot become running any more, or when none is left.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_running(&self, timeout: Duration) -> Result<Vec<Instance>, ClusterError> {
        let mut judged = (Vec::new(), false, 0);
        let settled = self.shared.until(|_| {
            judged = self.shared.judge();
            let (_, failed, waiting) = &judged;
            *failed || *waiting == 0
        });
        if tokio::time::timeout(timeout, settled).await.is_err() {
            return Err(ClusterError::NotRunning {
                timeout,
                instances: describe(&self.instances()),
            });
        }
        let (running, failed, _) = judged;
        let instances = self.instances();
        if failed || (running.is_empty() && !instances.is_empty()) {
            return Err(ClusterError::Ended {
                instances: describe(&instances),
            });
        }
        Ok(running)
    }

    /// Starts more instances.
    ///
    /// # Errors
    /// [`ClusterError::Stopped`]; instances that were spawned before go on to stop.
    pub fn spawn_instances(
        &self,
        params: impl IntoIterator<Item = S::Params>,
    ) -> Result<Vec<InstanceHandle>, ClusterError> {
        let shared = &self.shared;
        shared.forget_failures();
        let mut spawned = Vec::new();
        for params in params {
            let index = shared.entries().next;
            spawned.push(self.spawn(index, Begin::Fresh(params))?);
        }
        Ok(spawned)
    }

    fn spawn(&self, index: usize, begin: Begin<S::Params>) -> Result<InstanceHandle, ClusterError> {
        let shared = &self.shared;
        let mut failure = None;
        let (params, resumed, ended) = match begin {
            Begin::Fresh(params) => (params, None, false),
            Begin::Ended(params, why) => {
                failure = why.map(Cause::from);
                (params, None, true)
            }
            Begin::Going {
                params,
                machine,
                stopping,
            } => (params, Some((machine, stopping)), false),
        };
        let name = caught(|| S::name(&params, index)).unwrap_or_else(|panic| {
            let told = CallbackPanicked::of("Service::name", panic);
            shared.context.emit(EventContext::of_job(&shared.job), told);
            default_name(index)
        });
        {
            let mut entries = shared.entries();
            if entries.stopped {
                return Err(ClusterError::Stopped);
            }
            entries.next = entries.next.max(index + 1);
            let id = InstanceId::new(format!("{}/{}", shared.job, index + 1));
            let info = InstanceInfo {
                id: id.clone(),
                name: name.clone(),
                index,
                job: shared.job.clone(),
                attempt: 1,
            };
            let instance = Instance {
                id: id.clone(),
                name: name.clone(),
                state: match ended {
                    true => ServiceState::Terminated,
                    false => ServiceState::Pending,
                },
                provider_name: None,
                provider_id: None,
                agreement_id: None,
                activity_id: None,
                failure: failure.clone(),
                attempts: 0,
                has_run: false,
            };
            if resumed.is_none() {
                // One that goes on is written down already, with its machine.
                shared.write_down(index, &params, &instance);
            }
            let task = format!("instance-{}", index + 1);
            let (status, receiver) = watch::channel(instance);
            let (stop, post) = (StopSignal::new(), Arc::new(Post::new(&id)));
            let handle = InstanceHandle::new(id.clone(), receiver, stop.clone(), Arc::clone(&post));
            entries.instances.push(Entry {
                handle: handle.clone(),
                // How it ended was told in the life in which it did.
                is_past: ended,
            });
            drop(entries);
            if ended {
                post.close();
                // Whether its end was told of in the life in which it ended is not known.
                let about = EventContext::of_job(&shared.job).with_instance(&id, &name);
                let changed = ServiceStateChanged {
                    old: ServiceState::Pending,
                    new: ServiceState::Terminated,
                    error: failure,
                };
                shared.context.emit(about, changed);
                shared.touch();
                return Ok(handle);
            }
            shared.live.send_modify(|live| *live += 1);
            let runner = Runner {
                shared: Arc::clone(shared),
                params,
                info,
                post: Arc::clone(&post),
                resumed,
                status,
                stop,
                heard: 0,
                budget_heard: 0,
                avoid: Vec::new(),
                machine: None,
            };
            let alive = Alive(Arc::clone(shared), post);
            let span = tracing::info_span!("service", job = %shared.job, instance = index + 1);
            let life = async move {
                let _alive = alive;
                runner.run().await;
            };
            shared.tasks.spawn(&task, life.instrument(span));
            shared.touch();
            Ok(handle)
        }
    }

    /// Stops all instances: running ones go through their `shutdown` handler. Returns at once;
    /// [`join`](Self::join) waits. Doing it twice changes nothing.
    pub fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.stop_all();
    }

    /// Stops one instance, as [`InstanceHandle::stop`] does.
    ///
    /// # Errors
    /// [`ClusterError::UnknownInstance`].
    pub fn stop_instance(&self, id: &InstanceId) -> Result<(), ClusterError> {
        self.instance(id)?.stop();
        Ok(())
    }

    /// Ends all instances at once, without their `shutdown` handlers. Returns at once;
    /// [`join`](Self::join) waits.
    pub fn terminate(&self) {
        self.stop();
        for instance in self.all() {
            instance.terminate();
        }
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
    _name: JobName,
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

/// An instance, and whether its end is of the past: others were spawned since.
struct Entry {
    handle: InstanceHandle,
    is_past: bool,
}

#[derive(Default)]
struct Entries {
    instances: Vec<Entry>,
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
            .map(|entry| entry.handle.snapshot())
            .collect()
    }

    /// Which instances run, whether one failed before it ever did, and how many are still to run.
    fn judge(&self) -> (Vec<Instance>, bool, usize) {
        let (mut running, mut failed, mut waiting) = (Vec::new(), false, 0);
        for entry in &self.entries().instances {
            let instance = entry.handle.snapshot();
            match instance.state {
                ServiceState::Running | ServiceState::Suspended => running.push(instance),
                ServiceState::Pending | ServiceState::Starting => waiting += 1,
                ServiceState::Stopping | ServiceState::Terminated => {
                    failed |= !entry.is_past && !instance.has_run;
                }
            }
        }
        (running, failed, waiting)
    }

    /// Instances that ended are replaced.
    fn forget_failures(&self) {
        for entry in &mut self.entries().instances {
            entry.is_past |= !entry.handle.is_live();
        }
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

    async fn until(&self, mut wanted: impl FnMut(&[Instance]) -> bool) {
        let mut version = self.version.subscribe();
        loop {
            version.mark_unchanged();
            if wanted(&self.snapshot()) {
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
        for entry in &entries.instances {
            entry.handle.wishes().signal_once();
        }
    }
}

/// Counts an instance as live, also when its task is aborted.
struct Alive<S: Service>(Arc<Shared<S>>, Arc<Post>);

impl<S: Service> Drop for Alive<S> {
    fn drop(&mut self) {
        self.1.close();
        self.0
            .live
            .send_modify(|live| *live = live.saturating_sub(1));
        self.0.touch();
    }
}

/// Why a cluster failed: the failure of its only instance that did, or the words of all.
fn joined(mut failures: Vec<Cause>) -> Option<Cause> {
    if failures.len() > 1 {
        let words: Vec<_> = failures.iter().map(|it| format!("{it:#}")).collect();
        return Some(words.join("; ").into());
    }
    failures.pop()
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
    let error = joined(failures);
    let about = EventContext::of_job(&shared.job);
    shared.context.emit(about, JobFinished { error });
}
