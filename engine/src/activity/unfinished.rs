//! A batch that has no waiter left. Owns: waiting for its end before the next one, since an
//! exe-unit that is busy fails whatever else it gets.

use golem_wire::BatchId;
use golem_wire::activity::{ActivityState, CommandOutcome, CommandResult};
use tokio::time::{Instant, timeout};

use super::{Activity, BatchError, Patience};
use crate::api::activity::Polled;
use crate::api::{ActivityFault, ApiError};
use crate::retry::Pace;

/// Which batch, and how many results it can have.
#[derive(Clone, Debug)]
pub(crate) struct Unfinished {
    pub(crate) batch: BatchId,
    pub(crate) commands: usize,
}

impl Activity {
    /// Waits until the exe-unit is at no command, after a batch of unknown outcome. Answers in which
    /// state it is then.
    ///
    /// # Errors
    /// [`BatchError`] when the next batch is given up meanwhile, the activity is lost, or the daemon
    /// does not tell.
    pub(crate) async fn until_idle(
        &self,
        patience: &Patience<'_>,
    ) -> Result<ActivityState, BatchError> {
        let api = self.context().rest().activity();
        let mut backoff = self.backoff("until-idle");
        loop {
            // A request that was lost on its way may still arrive in this time.
            patience.or_end(backoff.pause()).await?;
            let asking = self.answer(patience, "is-busy", || api.is_busy(self.id()));
            if asking.await? {
                continue;
            }
            let asking = self.answer(patience, "is-started", || api.state(self.id()));
            let (now, next) = asking.await?.state;
            // What is on its way to a state is at a command.
            if next.is_none() {
                return Ok(now);
            }
        }
    }

    /// Asks a provider, until it answers or is lost: its silence is waited out.
    ///
    /// # Errors
    /// [`BatchError`] when the batch is given up meanwhile, the activity is lost, or the daemon refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(super) async fn answer<T, F>(
        &self,
        patience: &Patience<'_>,
        label: &str,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, BatchError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut backoff = self.backoff(label);
        loop {
            let asked = Instant::now();
            let error = match patience.or_end(ask()).await? {
                Ok(answer) => {
                    self.watch().heard();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if ActivityFault::of(&error) == ActivityFault::Unknown {
                self.lose("the daemon knows the activity no more");
            } else if !error.is_retryable() {
                return Err(BatchError::Api {
                    activity_id: self.id().clone(),
                    source: error.into(),
                });
            }
            patience.or_end(self.unanswered(asked, &error)).await?;
            patience.or_end(backoff.pause()).await?;
        }
    }
}

impl Unfinished {
    /// Waits for its end, for a while: the next batch is worth a try after that.
    ///
    /// # Errors
    /// [`BatchError`] when the next batch is given up meanwhile.
    pub(crate) async fn outlast(&self, patience: &Patience<'_>) -> Result<(), BatchError> {
        let wait = patience.activity.context().config().activity.busy_wait;
        match patience.or_end(timeout(wait, self.ended(patience))).await? {
            Ok(()) => Ok(()),
            Err(_) => {
                let activity = patience.activity.id();
                tracing::debug!(%activity, batch = %self.batch, "a batch that was given up still runs");
                Ok(())
            }
        }
    }

    async fn ended(&self, patience: &Patience<'_>) {
        let activity = patience.activity;
        let limits = &activity.context().config().activity;
        let (poll, max) = (limits.results_poll, limits.max_result_bytes);
        let api = activity.context().rest().activity();
        let mut backoff = activity.backoff("outlast");
        let mut seen = 0;
        loop {
            let asked = Instant::now();
            let polling = api.result(activity.id(), &self.batch, seen, poll, max);
            match polling.await {
                Ok(Polled::Results(results)) if self.is_over(&results) => return,
                Ok(Polled::Results(results)) => {
                    let pace = Pace::of(results.len() <= seen, asked, poll);
                    seen = results.len();
                    backoff.keep(pace).await;
                }
                Ok(Polled::NotYet) => backoff.keep(Pace::of(true, asked, poll)).await,
                // Its results do not matter, and a lost activity is noticed by the next batch.
                Err(error) if ActivityFault::of(&error) == ActivityFault::Other => return,
                Err(_) => backoff.pause().await,
            }
        }
    }

    fn is_over(&self, results: &[CommandResult]) -> bool {
        results.len() >= self.commands
            || results
                .last()
                .is_some_and(|last| last.result != CommandOutcome::Ok)
    }
}
