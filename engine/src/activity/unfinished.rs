//! A batch that nobody waits for any more. Owns: waiting for its end before the next one, since an
//! exe-unit that is busy fails whatever else it gets.

use golem_wire::BatchId;
use golem_wire::activity::{CommandOutcome, CommandResult};
use tokio::time::{Instant, timeout};

use super::Patience;
use crate::api::ActivityFault;
use crate::retry::Pace;
use crate::script::ScriptError;

/// Which batch, and how many results it can have.
#[derive(Clone, Debug)]
pub(crate) struct Unfinished {
    pub(crate) batch: BatchId,
    pub(crate) commands: usize,
}

impl Unfinished {
    /// Waits for its end, for a while: the next batch is worth a try after that.
    ///
    /// # Errors
    /// [`ScriptError`] when the next batch is given up meanwhile.
    pub(crate) async fn outlast(&self, patience: &Patience<'_>) -> Result<(), ScriptError> {
        let wait = patience.activity.core().config().activity.busy_wait;
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
        let limits = &activity.core().config().activity;
        let (poll, max) = (limits.results_poll, limits.max_result_bytes);
        let api = activity.core().rest().activity();
        let mut backoff = activity.backoff("outlast");
        loop {
            let asked = Instant::now();
            match api.results(activity.id(), &self.batch, poll, max).await {
                Ok(results) if self.is_over(&results) => return,
                Ok(_) => backoff.keep(Pace::of(true, asked, poll)).await,
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
                .is_some_and(|last| last.result != CommandOutcome::Ok || last.is_batch_finished)
    }
}
