//! A service from a closure. Owns: calling it as the `run` handler; all else is as by default.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{HandlerError, InstanceInfo, RunService, Same, Service};
use crate::WorkContext;
use crate::golem::Golem;
use crate::payload::Payload;

/// A service whose `run` handler is a closure; made by [`Golem::run_service_with`].
pub struct FnService(FnParams);

type Run = dyn Fn(WorkContext) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync;

/// The closure, which all instances share.
#[derive(Clone)]
pub struct FnParams(Arc<Run>);

impl Service for FnService {
    type Params = FnParams;

    fn new(params: &FnParams, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(FnService(params.clone()))
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        (self.0.0)(ctx.clone()).await
    }
}

impl Golem {
    /// Runs a service whose `run` handler is a closure: one instance, unless
    /// [`num_instances`](RunService::num_instances) says more. `start` deploys and starts the payload,
    /// `shutdown` terminates it. What the instances do not share comes from
    /// [`WorkContext::instance`], or as messages.
    ///
    /// ```no_run
    /// # async fn example(golem: golem_engine::Golem, payload: golem_engine::payload::Payload) -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = golem
    ///     .run_service_with(payload, |ctx| async move {
    ///         loop {
    ///             let path: String = ctx.mailbox().receive().await?;
    ///             let size = ctx.run("/usr/bin/stat", ["-c", "%s", &path]).await?;
    ///             ctx.send(size.stdout_text().trim().parse::<u64>()?).await?;
    ///         }
    ///     })
    ///     .start()
    ///     .await?;
    /// let instance = &cluster.all()[0];
    /// instance.send("/etc/hosts".to_owned()).await?;
    /// println!("{} bytes", instance.receive::<u64>().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_service_with<W, F>(
        &self,
        payload: impl Into<Payload>,
        run: W,
    ) -> RunService<FnService, Same<FnParams>>
    where
        W: Fn(WorkContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let run = FnParams(Arc::new(move |ctx| run(ctx).boxed()));
        self.run_service::<FnService>()
            .with_source(Same(run))
            .payload(payload)
    }
}

impl fmt::Debug for FnParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnParams")
    }
}

impl fmt::Debug for FnService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnService")
    }
}
