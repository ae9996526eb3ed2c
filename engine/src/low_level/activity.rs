//! The activities' operations by hand.

use std::fmt;
use std::time::Duration;

use golem_wire::activity::{
    ActivityStatus, ActivityUsage, CommandResult, ExeScriptCommand, RuntimeEvent,
};
use golem_wire::{ActivityId, AgreementId, BatchId};

use super::LowLevel;
use crate::api::activity::Polled;
use crate::api::{ApiError, ApiErrorKind, ServerEvents};

/// Largest answer and largest event of a batch, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// Operations on activities and scripts; made by [`LowLevel::activity`]. Cheap to clone.
#[derive(Clone)]
pub struct ActivityOperations(pub(super) LowLevel);

/// An event of a batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchEvent {
    /// Its number in the stream, if the daemon tells one.
    pub number: Option<u64>,
    /// What happened.
    pub event: RuntimeEvent,
}

/// What happens to a batch while it runs; made by [`ActivityOperations::exec_batch_events`]. Dropping it closes the
/// connection.
pub struct BatchEvents {
    events: ServerEvents,
    path: String,
}

impl BatchEvents {
    /// Waits for the next event; `None` when the daemon closed the stream, which it does not do with the batch's
    /// end.
    ///
    /// # Errors
    /// [`ApiError`]: the connection broke, or an event makes no sense.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<BatchEvent>, ApiError> {
        let Some(event) = self.events.next().await? else {
            return Ok(None);
        };
        let number = event.id.as_deref().and_then(|id| id.parse().ok());
        match serde_json::from_str(&event.data) {
            Ok(event) => Ok(Some(BatchEvent { number, event })),
            Err(error) => Err(ApiError::new(
                "getExecBatchResults",
                self.path.as_str(),
                ApiErrorKind::Malformed {
                    reason: error.to_string(),
                    excerpt: event.data.chars().take(80).collect(),
                },
            )),
        }
    }
}

impl fmt::Debug for BatchEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchEvents")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ActivityOperations {
    /// `createActivity`: starts an exe-unit on an agreement in force; waits up to `wait` until it is there.
    ///
    /// # Errors
    /// [`ApiError`]; a provider that does not answer in time is 408, and may have created it all the same.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; it ends with its agreement.
    pub async fn create_activity(
        &self,
        agreement: &AgreementId,
        wait: Duration,
    ) -> Result<ActivityId, ApiError> {
        let agreement = agreement.clone();
        let request =
            |low: LowLevel| async move { low.rest().activity().create(&agreement, wait).await };
        self.0.open("createActivity", request).await
    }

    /// `destroyActivity`; doing it twice is no error.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn destroy_activity(&self, id: &ActivityId, wait: Duration) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move { low.rest().activity().destroy(&id, wait).await };
        self.0.change("destroyActivity", request).await
    }

    /// `getActivities`: those of an agreement.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_activities(
        &self,
        agreement: &AgreementId,
    ) -> Result<Vec<ActivityId>, ApiError> {
        self.0.rest().activity().of_agreement(agreement).await
    }

    /// `getActivityState`.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_activity_state(&self, id: &ActivityId) -> Result<ActivityStatus, ApiError> {
        self.0.rest().activity().state(id).await
    }

    /// `getActivityUsage`, in the order of the offer's usage vector.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_activity_usage(&self, id: &ActivityId) -> Result<ActivityUsage, ApiError> {
        self.0.rest().activity().usage(id).await
    }

    /// `getActivityAgreement`: which agreement it is on.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_activity_agreement(&self, id: &ActivityId) -> Result<AgreementId, ApiError> {
        self.0.rest().activity().agreement(id).await
    }

    /// `getRunningCommand`: what the exe-unit is at, in the daemon's own JSON; `None` when it is at nothing. Many
    /// exe-units cannot tell, which is an error with status 500.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_running_command(
        &self,
        id: &ActivityId,
    ) -> Result<Option<serde_json::Value>, ApiError> {
        self.0.rest().activity().running_command(id).await
    }

    /// `exec`: sends a script.
    ///
    /// # Errors
    /// [`ApiError`]; 400 when the daemon cannot read it.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn exec(
        &self,
        id: &ActivityId,
        commands: &[ExeScriptCommand],
    ) -> Result<BatchId, ApiError> {
        match serde_json::to_string(commands) {
            Ok(script) => self.exec_text(id, script).await,
            Err(error) => {
                let reason = error.to_string();
                Err(ApiError::new(
                    "exec",
                    "",
                    ApiErrorKind::Unsendable { reason },
                ))
            }
        }
    }

    /// `exec` of a script as it is: the text of a JSON array of commands.
    ///
    /// # Errors
    /// As [`exec`](Self::exec).
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn exec_text(
        &self,
        id: &ActivityId,
        script: impl Into<String>,
    ) -> Result<BatchId, ApiError> {
        let (id, script) = (id.clone(), script.into());
        let request = |low: LowLevel| async move { low.rest().activity().exec(&id, script).await };
        self.0.open("exec", request).await
    }

    /// `getExecBatchResults`: the results that there are, without waiting, each with its output.
    ///
    /// # Errors
    /// [`ApiError`]; 404 for a batch that is not known (any more).
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_exec_batch_results(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
    ) -> Result<Vec<CommandResult>, ApiError> {
        let api = self.0.rest().activity();
        api.results(activity, batch, MAX_BYTES).await
    }

    /// `getExecBatchResults` up to one command, counted from 0: waits up to `wait` for its end, be it good or bad.
    /// `None` when it has not ended. Only that command's result has its output.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_for_command(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
        command: usize,
        wait: Duration,
    ) -> Result<Option<Vec<CommandResult>>, ApiError> {
        let api = self.0.rest().activity();
        let polled = api.result(activity, batch, command, wait, MAX_BYTES);
        Ok(match polled.await? {
            Polled::Results(results) => Some(results),
            Polled::NotYet => None,
        })
    }

    /// `getExecBatchResults` as a stream of events: what happens to the commands from now on; what happened before
    /// may be missing.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn exec_batch_events(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
    ) -> Result<BatchEvents, ApiError> {
        let api = self.0.rest().activity();
        let events = api.events(activity, batch, MAX_BYTES).await?;
        let path = format!("/activity-api/v1/activity/{activity}/exec/{batch}");
        Ok(BatchEvents { events, path })
    }
}
