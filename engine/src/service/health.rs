//! Health checks of one's own. Owns: what is checked, how often, and what follows. Does not own: whether the
//! machine is there at all (`activity/watch.rs`), which is always looked after.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::HandlerError;
use crate::WorkContext;
use crate::cause::Cause;
use crate::panics::caught_in;

type Check = dyn Fn(WorkContext) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync;

/// What follows when a health check has failed for too often in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unhealthy {
    /// The instance fails: `run` is dropped, `shutdown` called, and it begins anew if its
    /// [policy](super::Restart) says so.
    Stop,
    /// The machine is given back at once, without `shutdown`, and the instance begins anew if its policy says so.
    Replace,
    /// Nothing, but that it is told: [`Instance::healthy`](super::Instance::healthy),
    /// [`ServiceHealthChanged`](crate::event::ServiceHealthChanged).
    Report,
}

/// Looks after a service while its `run` handler is active. Given to
/// [`RunService::health_check`](super::RunService::health_check).
///
/// ```
/// use std::time::Duration;
/// use golem_engine::service::{HealthCheck, Unhealthy};
///
/// let answers = HealthCheck::new(|ctx| async move {
///     ctx.run("/usr/bin/curl", ["-sf", "http://localhost/"]).await?;
///     Ok(())
/// })
/// .every(Duration::from_secs(30))
/// .threshold(3)
/// .then(Unhealthy::Replace);
/// ```
#[derive(Clone)]
pub struct HealthCheck {
    check: Arc<Check>,
    every: Duration,
    timeout: Duration,
    threshold: u32,
    then: Unhealthy,
}

/// A health check that has failed for too often; behind the failure of an instance.
#[derive(Clone, Debug, thiserror::Error)]
#[error("its health check failed {failures} times in a row")]
#[non_exhaustive]
pub struct HealthCheckFailed {
    /// How often in a row.
    pub failures: u32,
    /// With what the last time.
    #[source]
    pub last: Cause,
}

impl HealthCheck {
    /// A check: an error, a panic, or an end that does not come in time says that it is not well. It is called
    /// beside `run`; a program that it runs waits for the script that `run` is at, and that time counts, so a
    /// service with long scripts needs a long [`timeout`](Self::timeout).
    pub fn new<F>(check: impl Fn(WorkContext) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        HealthCheck {
            check: Arc::new(move |ctx| check(ctx).boxed()),
            every: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            threshold: 3,
            then: Unhealthy::Stop,
        }
    }

    /// Time from the end of a check, or the beginning of `run`, to the next check; 30 s unless set.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = period;
        self
    }

    /// How long one check may take; 30 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many checks in a row must fail; 3 unless set, 1 at the least.
    pub fn threshold(mut self, failures: u32) -> Self {
        self.threshold = failures.max(1);
        self
    }

    /// What follows then; [`Unhealthy::Stop`] unless set.
    pub fn then(mut self, what: Unhealthy) -> Self {
        self.then = what;
        self
    }

    /// Checks until what follows is the end of `run`, and tells of each change: whether it is well, how often
    /// the check failed in a row, and with what.
    pub(super) async fn watch(
        &self,
        ctx: &WorkContext,
        mut tell: impl FnMut(bool, u32, Option<Cause>),
    ) -> (Cause, bool) {
        let (mut failures, mut well) = (0u32, None);
        loop {
            tokio::time::sleep(self.every).await;
            let check = caught_in(async { (self.check)(ctx.clone()).await });
            let failure: Cause = match tokio::time::timeout(self.timeout, check).await {
                Ok(Ok(Ok(()))) => {
                    failures = 0;
                    if well.replace(true) != Some(true) {
                        tell(true, 0, None);
                    }
                    continue;
                }
                Ok(Ok(Err(error))) => error.into_cause(),
                Ok(Err(panic)) => format!("the health check panicked: {panic}").into(),
                Err(_) => format!("the health check did not end within {:?}", self.timeout).into(),
            };
            failures = failures.saturating_add(1);
            if failures < self.threshold {
                tracing::debug!(%failure, failures, "a health check failed");
                continue;
            }
            if well.replace(false) != Some(false) {
                tell(false, failures, Some(failure.clone()));
            }
            let failed = HealthCheckFailed {
                failures,
                last: failure,
            };
            match self.then {
                Unhealthy::Report => {}
                Unhealthy::Stop => return (Cause::new(failed), false),
                Unhealthy::Replace => return (Cause::new(failed), true),
            }
        }
    }
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheck")
            .field("every", &self.every)
            .field("timeout", &self.timeout)
            .field("threshold", &self.threshold)
            .field("then", &self.then)
            .finish_non_exhaustive()
    }
}
