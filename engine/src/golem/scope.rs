//! A scope around a program's work that always stops the engine. Owns: starting before, stopping after,
//! whatever the work does.

use super::{Golem, GolemBuilder};
use crate::cause::Cause;
use crate::error::Error;
use crate::event::ExecutionInterrupted;
use crate::panics::unwinding;
use crate::shutdown::{ShutdownReport, Urgency};
use crate::transport::BoxError;

/// Why [`Golem::run`] has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The engine did not start; nothing was done.
    #[error("the engine did not start")]
    Start(#[source] Error),
    /// The work failed, and the engine was stopped after it.
    #[error(transparent)]
    Work(Box<WorkFailed>),
}

/// The work of a [`Golem::run`] failed.
#[derive(Debug, thiserror::Error)]
#[error("the work failed")]
#[non_exhaustive]
pub struct WorkFailed {
    /// Its error; [`Cause::find`] tells its type.
    #[source]
    pub cause: Cause,
    /// What became of everything when the engine was stopped for it.
    pub report: ShutdownReport,
}

impl Golem {
    /// Starts an engine, does some work with it, and stops it, in every case:
    ///
    /// ```no_run
    /// # use golem_engine::service::Service;
    /// use golem_engine::{Glm, Golem};
    ///
    /// # async fn example<S: Service<Params = ()>>() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Golem::builder().budget(Glm::from(1));
    /// let (instances, report) = Golem::run(builder, async |golem| {
    ///     let cluster = golem.run_service::<S>().instance_params([()]).start().await?;
    ///     Ok::<_, golem_engine::Error>(cluster.join().await)
    /// })
    /// .await?;
    /// println!("{}: {report}", instances.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The engine is [stopped](Self::stop) when the work has ended, well or badly; when it panics, and the panic
    /// goes on after that; and when the engine was stopped before, by a signal for one, its report is that of
    /// then. Work that failed is told by [`ExecutionInterrupted`].
    ///
    /// # Errors
    /// [`RunError`]: the engine did not start, or the work failed. What is left open when stopping is no error:
    /// the report names it ([`ShutdownReport::is_clean`]).
    ///
    /// # Cancel safety
    /// Dropping it drops the work at its await point, and the engine stops by itself in an owned task, like by
    /// [`stop`](Self::stop), if the runtime lives so long: nobody is told what became of it but by the log. A
    /// program that is about to end has to wait for this call. Without a runtime nothing asynchronous can be
    /// done: what was rented is ended by its timeouts, or by the next life of the journal.
    pub async fn run<T, E, W>(
        builder: GolemBuilder,
        work: W,
    ) -> Result<(T, ShutdownReport), RunError>
    where
        W: AsyncFnOnce(Golem) -> Result<T, E>,
        E: Into<BoxError>,
    {
        let golem = builder.start().await.map_err(RunError::Start)?;
        let stopping = StopWhenDropped(golem.clone());
        let done = unwinding(work(golem.clone())).await;
        let done = done.map(|done| done.map_err(Cause::new));
        match &done {
            Ok(Ok(_)) => {}
            Ok(Err(cause)) => golem.interrupted(cause.clone()),
            Err(panic) => golem.interrupted(Cause::new(format!("the work panicked: {panic}"))),
        }
        let report = golem.stop().await;
        drop(stopping);
        match done {
            Ok(Ok(value)) => Ok((value, report)),
            Ok(Err(cause)) => Err(RunError::Work(Box::new(WorkFailed { cause, report }))),
            Err(panic) => panic.resume(),
        }
    }

    fn interrupted(&self, reason: Cause) {
        self.context().tell(ExecutionInterrupted { reason });
    }
}

/// Begins to stop the engine when it is dropped; an engine that is stopped stays so.
struct StopWhenDropped(Golem);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        let inside = tokio::runtime::Handle::try_current().is_ok();
        if inside {
            self.0.engine.shutdown.begin(Urgency::Drain);
        }
    }
}
