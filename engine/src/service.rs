//! Services: what runs on rented machines until it is stopped. Owns: the [`Service`] trait and how a
//! cluster of them is started. Does not own: which state follows which (`lifecycle/service.rs`).

mod cluster;
mod error;
mod instance;
mod resume;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use cluster::Cluster;
pub use error::{ClusterError, HandlerError};
pub use instance::Instance;
pub(crate) use instance::panic_text;

pub use crate::lifecycle::service::ServiceState;

use resume::Resume;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::WorkContext;
use crate::error::Error;
use crate::golem::Golem;
use crate::lifecycle::service::Policy;
use crate::payload::{Payload, Registry};

/// What an instance runs, and what is done in each part of its life.
///
/// Handlers are dropped at an await point when the instance is stopped or its machine is lost.
///
/// ```
/// use golem_engine::payload::{Payload, vm};
/// use golem_engine::service::{HandlerError, Service};
/// use golem_engine::{Error, WorkContext};
///
/// struct Clock;
///
/// impl Service for Clock {
///     type Params = ();
///
///     fn new((): &()) -> Self {
///         Clock
///     }
///
///     async fn payload() -> Result<Payload, Error> {
///         Ok(vm::repo("d646d7b93083d817846c2ae5c62c72ca0507782385a2e29291a3d376").into())
///     }
///
///     async fn run(&mut self, ctx: &mut WorkContext) -> Result<(), HandlerError> {
///         let date = ctx.run("/bin/date", ["-u"]).await?;
///         println!("{}", date.stdout_text());
///         Ok(())
///     }
/// }
/// ```
pub trait Service: Send + Sized + 'static {
    /// What distinguishes the instances of a cluster.
    type Params: Clone + Send + Sync + 'static;

    /// Makes the service of an instance. Called again when an instance is started anew on another
    /// provider, so nothing of the failed start is left.
    fn new(params: &Self::Params) -> Self;

    /// The instance's name for people; `index` counts from 0.
    fn name(_params: &Self::Params, index: usize) -> String {
        format!("instance-{}", index + 1)
    }

    /// The payload, unless [`RunService::payload`] gives one.
    fn payload() -> impl Future<Output = Result<Payload, Error>> + Send {
        async {
            Err(Error::Payload {
                message: "the service names none: implement `Service::payload` or call `payload()` on the builder".into(),
            })
        }
    }

    /// Brings the service up on a fresh machine. By default `deploy` and `start`.
    ///
    /// Its end makes the instance running; its failure lets another provider try.
    fn start(
        &mut self,
        ctx: &mut WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async {
            let mut script = ctx.script();
            let no_args: [String; 0] = [];
            drop((script.deploy(), script.start(no_args)));
            script.execute().await?;
            Ok(())
        }
    }

    /// Called in place of [`start`](Self::start) when an instance goes on after its requestor ended
    /// without stopping it: the machine is as it was, the service value is a fresh one, and a script
    /// may still be at work. By default nothing; [`run`](Self::run) follows.
    fn resume(
        &mut self,
        _ctx: &mut WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async { Ok(()) }
    }

    /// Does what is to be done while the service runs. By default nothing, until it is stopped.
    ///
    /// Its end, well or badly, leads to [`shutdown`](Self::shutdown).
    fn run(
        &mut self,
        ctx: &mut WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async {
            ctx.stop_requested().await;
            Ok(())
        }
    }

    /// Cleans up while the machine is still there; skipped when it is lost. By default `terminate`.
    fn shutdown(
        &mut self,
        ctx: &mut WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async {
            let mut script = ctx.script();
            drop(script.terminate());
            script.execute().await?;
            Ok(())
        }
    }
}

/// How instances of a cluster are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Treatment {
    policy: Policy,
    start_timeout: Option<Duration>,
    shutdown_timeout: Option<Duration>,
    stop_grace: Duration,
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

    /// How long a handler may go on after [`WorkContext::stop_requested`]; none unless set.
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
        Cluster::open(
            &self.golem,
            payload,
            resolved,
            self.expiration,
            self.treatment,
            self.resume,
            params,
        )
        .await
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
