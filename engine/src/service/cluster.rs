//! A cluster: instances of one service on one demand. Owns: starting, stopping and showing them.
//! Does not own: the life of an instance (`instance.rs`), and what instances share
//! (`cluster/shared.rs`).

mod shared;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub(super) use shared::Shared;
use shared::{Alive, supervise};

use super::error::describe;
use super::instance::{Runner, StopSignal};
use super::resume::{Begin, Resume};
use super::{ClusterError, Instance, Service, ServiceState, Treatment};
use crate::error::Error;
use crate::event::EventKind;
use crate::golem::Golem;
use crate::model::{JobId, ResolvedPayload};
use crate::payload::Payload;

/// Instances are stopped this long before the cluster expires, so that `shutdown` can run.
const STOP_BEFORE: Duration = Duration::from_secs(60);

/// Instances of a service. Cheap to clone; lives until [`stop`](Self::stop), its expiration, or the
/// engine's end, also when every handle is dropped.
pub struct Cluster<S: Service> {
    shared: Arc<Shared<S>>,
    payload: Payload,
    /// Version of the states last shown by this handle.
    seen: AtomicU64,
}

impl<S: Service> Cluster<S> {
    pub(super) async fn open(
        golem: &Golem,
        payload: Payload,
        resolved: ResolvedPayload,
        lifetime: Duration,
        treatment: Treatment,
        resume: Option<Resume<S::Params>>,
        params: Vec<S::Params>,
    ) -> Result<Self, Error> {
        let context = Arc::clone(golem.context());
        let job = context.next_job("service");
        let expiration = context
            .now()
            .saturating_add(lifetime)
            .map_err(|_| Error::Payload {
                message: format!("an expiration of {lifetime:?} is too far away"),
            })?;
        let tasks = context.jobs().child(job.as_str());
        if tasks.is_cancelled() {
            return Err(Error::Stopped);
        }
        let begin = match &resume {
            Some(resume) => resume.begin(&golem.engine().recovered, &context, &job, params)?,
            None => params.into_iter().map(Begin::Fresh).enumerate().collect(),
        };
        context.emit(EventKind::JobStarted { job: job.clone() });
        let market = golem.market();
        let demand = match market.subscribe(job.clone(), &resolved, expiration).await {
            Ok(demand) => demand,
            Err(error) => {
                let text = Some(error.to_string());
                context.emit(EventKind::JobFinished { job, error: text });
                return Err(error.into());
            }
        };
        let shared = Arc::new(Shared {
            context,
            job,
            demand,
            treatment,
            resume,
            expiration,
            tasks,
            entries: Mutex::default(),
            version: watch::Sender::new(0),
            live: watch::Sender::new(0),
            stop: CancellationToken::new(),
            service: std::marker::PhantomData,
        });
        let margin = STOP_BEFORE.min(lifetime / 10);
        let deadline = Instant::now() + lifetime.saturating_sub(margin);
        shared
            .tasks
            .spawn("supervise", supervise(Arc::clone(&shared), deadline));
        let cluster = Cluster {
            shared,
            payload,
            seen: AtomicU64::new(0),
        };
        for (index, instance) in begin {
            // Nobody else can have stopped it.
            let _ = cluster.spawn(index, instance);
        }
        Ok(cluster)
    }

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
        {
            let mut entries = shared.entries();
            if entries.stopped {
                return Err(ClusterError::Stopped);
            }
            entries.next = entries.next.max(index + 1);
            let instance = Instance {
                id: format!("{}/{}", shared.job, index + 1),
                name: S::name(&params, index),
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
                // Nobody may have heard of it in the life in which it ended.
                let id = format!("{}/{}", shared.job, index + 1);
                shared.context.emit(EventKind::ServiceStateChanged {
                    job: shared.job.clone(),
                    service: id,
                    old: ServiceState::Pending.to_string(),
                    new: ServiceState::Terminated.to_string(),
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

    /// When the demand and its agreements expire.
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
