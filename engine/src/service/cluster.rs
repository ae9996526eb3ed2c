//! A cluster: instances of one service on one demand. Owns: starting, stopping and showing the instances,
//! what they share, and the end of all of them. Does not own: setting it up (`cluster/run_service.rs`), the
//! life of an instance (`instance.rs`).

mod run_service;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, stream};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use run_service::RunService;

use super::error::describe;
use super::instance::{Runner, StopSignal};
use super::resume::{Begin, Resume, write_down};
use super::{
    ClusterError, HealthCheck, Instance, InstanceHandle, InstanceId, InstanceInfo, Restart,
    Service, ServiceState, default_name,
};
use crate::cause::Cause;
use crate::context::{Context, JobName};
use crate::event::{CallbackPanicked, EventContext, JobFinished, ServiceStateChanged};
use crate::mailbox::Post;
use crate::market::DemandSubscription;
use crate::model::JobId;
use crate::network::{Claim, Network, NetworkError, Place};
use crate::panics::caught;
use crate::payload::Payload;
use crate::tasks::TaskGroup;
use crate::watch;

/// How instances of a cluster are treated.
#[derive(Clone, Debug)]
pub(super) struct Treatment {
    pub(super) restart: Restart,
    pub(super) max_attempts: u32,
    pub(super) health: Option<HealthCheck>,
    pub(super) start_timeout: Option<Duration>,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) stop_grace: Duration,
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
            spawned.push(self.spawn(index, Begin::Fresh(params), None)?);
        }
        Ok(spawned)
    }

    /// Starts so many more instances with default parameters; none if it is 0.
    ///
    /// # Errors
    /// As [`spawn_instances`](Self::spawn_instances).
    pub fn spawn_number(&self, number: usize) -> Result<Vec<InstanceHandle>, ClusterError>
    where
        S::Params: Default,
    {
        self.spawn_instances((0..number).map(|_| S::Params::default()))
    }

    /// Starts more instances, each with an address of its own in the cluster's network.
    ///
    /// # Errors
    /// [`ClusterError::Stopped`]; [`ClusterError::Network`] when an address cannot be had, or the cluster has
    /// no network: none is started then.
    pub fn spawn_instances_at<A: ToString>(
        &self,
        instances: impl IntoIterator<Item = (S::Params, A)>,
    ) -> Result<Vec<InstanceHandle>, ClusterError> {
        let shared = &self.shared;
        let network = shared.network.as_ref().ok_or(NetworkError::NoNetwork)?;
        let claimed: Result<Vec<_>, NetworkError> = instances
            .into_iter()
            .map(|(params, address)| Ok((params, network.claim(&address.to_string())?)))
            .collect();
        let claimed = claimed?;
        shared.forget_failures();
        let mut spawned = Vec::new();
        for (params, claim) in claimed {
            let index = shared.entries().next;
            spawned.push(self.spawn(index, Begin::Fresh(params), Some(claim))?);
        }
        Ok(spawned)
    }

    fn spawn(
        &self,
        index: usize,
        begin: Begin<S::Params>,
        claim: Option<Arc<Claim>>,
    ) -> Result<InstanceHandle, ClusterError> {
        let shared = &self.shared;
        let place = shared.network.as_ref().map(|network| Place {
            network: network.clone(),
            claim: claim.or_else(|| shared.claims().remove(&index)),
        });
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
                node: None,
                failure: failure.clone(),
                attempts: 0,
                has_run: false,
                restarts: 0,
                healthy: None,
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
            let mut runner = Runner {
                shared: Arc::clone(shared),
                params,
                info,
                post: Arc::clone(&post),
                resumed,
                place,
                status,
                stop,
                heard: 0,
                budget_heard: 0,
                avoid: Vec::new(),
                machine: None,
                successor: None,
                leaving: None,
                started_before: false,
                began: Instant::now(),
            };
            let alive = Alive(Arc::clone(shared), post);
            let span = tracing::info_span!("service", job = %shared.job, instance = index + 1);
            let life = async move {
                let _alive = alive;
                runner.run().await;
            };
            shared.tasks.spawn(task, life.instrument(span));
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

    /// The virtual network of the instances, if they have one.
    pub fn network(&self) -> Option<&Network> {
        self.shared.network.as_ref()
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.shared.context
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
    network: Option<Network>,
    /// Addresses that are kept for instances to come, by their index.
    claims: Mutex<BTreeMap<usize, Arc<Claim>>>,
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

    fn claims(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Claim>>> {
        // Every statement leaves the map consistent.
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Whether a later engine can go on with its instances.
    pub(super) fn is_resumable(&self) -> bool {
        self.resume.is_some()
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
    shared.claims().clear();
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
