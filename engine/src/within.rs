//! Giving up a wait: after a time, or when something else happens. Owns: the one way that holds for every call that
//! waits. Does not own: what giving up means, which each call says under `# Cancel safety`.

use std::time::Duration;

use crate::deadline;

/// A wait that was given up. What was waited for may come all the same; what it would have brought is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GivenUp {
    /// It took too long.
    #[error("given up after {after:?}")]
    TookTooLong {
        /// How long it was waited.
        after: Duration,
    },
    /// Something else happened first.
    #[error("given up, as was asked for")]
    Cancelled,
}

/// A limit or a signal for any call that waits: [`acquire`](crate::pool::MachinePool::acquire),
/// [`wait_running`](crate::service::Cluster::wait_running), [`join`](crate::service::Cluster::join),
/// [`output`](crate::script::RunCommand::output) and all others of this crate.
///
/// A call that is given up is dropped. Nothing leaks by that: what it had begun is ended, or ends by itself and is
/// given back, as its documentation says under `# Cancel safety`.
///
/// ```no_run
/// use std::time::Duration;
/// use golem_engine::{Error, Within};
/// use golem_engine::pool::MachinePool;
/// use tokio_util::sync::CancellationToken;
///
/// # async fn example(pool: MachinePool, token: CancellationToken) -> anyhow::Result<()> {
/// // The first question mark is of the limit, the second of the call.
/// let machine = pool.acquire().within(Duration::from_secs(60)).await??;
/// let said = machine.run("/bin/date", ["-u"]).unless(token.cancelled()).await??;
/// println!("{}", said.stdout_text());
/// # Ok(())
/// # }
/// ```
pub trait Within: IntoFuture + Sized {
    /// Waits for no longer than `limit`, by the runtime's clock. A call that can answer at once does, also within
    /// no time.
    ///
    /// # Errors
    /// [`GivenUp::TookTooLong`].
    ///
    /// # Cancel safety
    /// As the call's.
    fn within(self, limit: Duration) -> impl Future<Output = Result<Self::Output, GivenUp>>;

    /// Waits until `signal` completes: a token's `cancelled()`, Ctrl-C, anything. When both are ready the call's
    /// answer counts.
    ///
    /// # Errors
    /// [`GivenUp::Cancelled`].
    ///
    /// # Cancel safety
    /// As the call's; `signal` is dropped with it.
    fn unless<S: IntoFuture>(
        self,
        signal: S,
    ) -> impl Future<Output = Result<Self::Output, GivenUp>>;
}

impl<F: IntoFuture> Within for F {
    async fn within(self, limit: Duration) -> Result<F::Output, GivenUp> {
        let waiting = tokio::time::timeout_at(deadline::within(limit), self.into_future());
        let waited = waiting.await;
        waited.map_err(|_| GivenUp::TookTooLong { after: limit })
    }

    async fn unless<S: IntoFuture>(self, signal: S) -> Result<F::Output, GivenUp> {
        tokio::select! {
            biased;
            done = self.into_future() => Ok(done),
            _ = signal.into_future() => Err(GivenUp::Cancelled),
        }
    }
}

impl GivenUp {
    /// Whether it took too long.
    pub fn is_timeout(self) -> bool {
        matches!(self, GivenUp::TookTooLong { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_answer_its_limit_or_its_signal() {
        let second = Duration::from_secs(1);
        assert_eq!(ready(1).within(Duration::ZERO).await, Ok(1));
        let late = pending::<()>().within(second).await;
        assert_eq!(late, Err(GivenUp::TookTooLong { after: second }));
        assert!(late.is_err_and(GivenUp::is_timeout));
        assert_eq!(ready(1).unless(ready(())).await, Ok(1));
        let cancelled = pending::<()>().unless(ready(())).await;
        assert_eq!(cancelled, Err(GivenUp::Cancelled));
        let both = pending::<()>().within(second).unless(pending::<()>()).await;
        assert!(matches!(both, Ok(Err(_))), "{both:?}");
        assert_eq!(ready(1).within(Duration::MAX).await, Ok(1));
    }
}
