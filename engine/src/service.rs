//! Services: what runs on rented machines until it is stopped. Owns: the [`Service`]
//! trait. Does not own: clusters of them (`service/cluster.rs`), which state follows which
//! (`lifecycle/service.rs`).

mod closure;
mod cluster;
mod error;
mod handle;
mod health;
mod instance;
mod move_on;
mod params;
mod restart;
mod resume;
#[cfg(test)]
mod tests;

use std::future::Future;

pub use closure::{FnParams, FnService};
pub use cluster::{Cluster, RunService};
pub use error::{ClusterError, HandlerError};
pub use handle::InstanceHandle;
pub use health::{HealthCheck, HealthCheckFailed, Unhealthy};
pub use instance::Instance;
pub use params::{ByDefault, Given, InstanceParams, Same};
pub use restart::{EndedLife, Restart};

pub use crate::lifecycle::service::ServiceState;
pub use crate::mailbox::{MAILBOX_CAPACITY, Mailbox, MessageError};
pub use crate::model::{InstanceId, InstanceInfo};

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
/// use golem_engine::service::{HandlerError, InstanceInfo, Service};
/// use golem_engine::{Error, WorkContext};
///
/// struct Clock;
///
/// impl Service for Clock {
///     type Params = ();
///
///     fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
///         Ok(Clock)
///     }
///
///     async fn payload() -> Result<Payload, Error> {
///         Ok(vm::repo("d646d7b93083d817846c2ae5c62c72ca0507782385a2e29291a3d376").into())
///     }
///
///     async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
///         let date = ctx.run("/bin/date", ["-u"]).await?;
///         println!("{}", date.stdout_text());
///         Ok(())
///     }
/// }
/// ```
pub trait Service: Send + Sized + 'static {
    /// What distinguishes the instances of a cluster.
    ///
    /// Messages to and from an instance need no channel in here: there are
    /// [`WorkContext::mailbox`] and [`InstanceHandle::send`].
    type Params: Send + 'static;

    /// Makes the service of an instance. Called again when an instance is started anew on another
    /// provider, so nothing of the failed start is left.
    ///
    /// # Errors
    /// An error, or a panic, is the end of this instance; no machine is rented for it.
    fn new(params: &Self::Params, instance: &InstanceInfo) -> Result<Self, HandlerError>;

    /// The instance's name for people; `index` counts from 0.
    fn name(_params: &Self::Params, index: usize) -> String {
        default_name(index)
    }

    /// The payload, unless [`RunService::payload`] gives one.
    fn payload() -> impl Future<Output = Result<Payload, Error>> + Send {
        async { Err(Error::NoPayload) }
    }

    /// Brings the service up on a fresh machine. By default `deploy` and `start`; nothing, if the payload says that
    /// they are [brought by hand](crate::payload::Payload::implicit_init).
    ///
    /// Its end makes the instance running; its failure lets another provider try, unless the error is
    /// [the user's own](HandlerError::is_retryable).
    fn start(
        &mut self,
        ctx: &WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async {
            if !ctx.implicit_init() {
                return Ok(());
            }
            let mut script = ctx.script();
            drop((script.deploy(), script.start([])));
            script.execute().await?;
            Ok(())
        }
    }

    /// Called in place of [`start`](Self::start) when an instance goes on: after its requestor ended
    /// without stopping it, with a fresh service value, and after [`InstanceHandle::suspend`], with the
    /// value it had. The machine is as it was, and a script may still be at work. By default nothing;
    /// [`run`](Self::run) follows.
    fn resume(
        &mut self,
        _ctx: &WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async { Ok(()) }
    }

    /// Does what is to be done while the service runs. By default nothing, until it is stopped.
    ///
    /// Its end, well or badly, leads to [`shutdown`](Self::shutdown).
    fn run(&mut self, ctx: &WorkContext) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async {
            ctx.stop_requested().await;
            Ok(())
        }
    }

    /// Cleans up while the machine is still there; skipped when it is lost. By default `terminate`.
    ///
    /// When the provider ended the agreement and the activity still lives, scripts of this handler are sent all
    /// the same, so that results can be saved.
    fn shutdown(
        &mut self,
        ctx: &WorkContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async {
            let mut script = ctx.script();
            drop(script.terminate());
            script.execute().await?;
            Ok(())
        }
    }
}
