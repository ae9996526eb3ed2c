//! Services: what runs on rented machines until it is stopped. Owns: the [`Service`]
//! trait. Does not own: clusters of them (`service/cluster.rs`), which state follows which
//! (`lifecycle/service.rs`).

mod cluster;
mod error;
mod instance;
mod resume;
#[cfg(test)]
mod tests;

use std::future::Future;

pub use cluster::{Cluster, RunService};
pub use error::{ClusterError, HandlerError};
pub use instance::Instance;

pub use crate::lifecycle::service::ServiceState;

use crate::WorkContext;
use crate::error::Error;
use crate::payload::Payload;

/// What an instance is called by itself.
fn default_name(index: usize) -> String {
    format!("instance-{}", index + 1)
}

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
    /// provider, so nothing of the failed start is left. A panic is the end of this instance.
    fn new(params: &Self::Params) -> Self;

    /// The instance's name for people; `index` counts from 0.
    fn name(_params: &Self::Params, index: usize) -> String {
        default_name(index)
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
    /// Its end makes the instance running; its failure lets another provider try, unless the error is
    /// [the user's own](HandlerError::is_retryable).
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
