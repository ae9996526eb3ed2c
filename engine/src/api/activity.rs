//! Activity API (`/activity-api/v1`). Owns: paths, bodies, and what a failure says about the activity
//! or its exe-unit. Does not own: polling, retries, deadlines (`activity/`).

use std::time::Duration;

use golem_wire::activity::{
    ActivityStatus, ActivityUsage, CommandOutcome, CommandResult, ExecRequest,
};
use golem_wire::{ActivityId, AgreementId, BatchId};
use http::StatusCode;
use tokio::time::Instant;

use super::{ApiError, ApiErrorKind, Call, Rest, ServerEvents};
use crate::address;
use crate::journal::Change;

/// The operations on activities.
#[derive(Clone, Debug)]
pub(crate) struct ActivityApi(Rest);

/// What a failed call says about an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActivityFault {
    /// The daemon knows no such activity (any more).
    Unknown,
    /// The exe-unit is not on the bus: it is gone, or not there for a moment. Its state tells.
    NoEndpoint,
    /// The provider did not answer the daemon in time.
    Silent,
    /// The daemon did not answer us.
    NoAnswer,
    /// Anything else: trying again is of no use.
    Other,
}

impl ActivityFault {
    pub(crate) fn of(error: &ApiError) -> Self {
        match &*error.kind {
            ApiErrorKind::Unreachable { .. }
            | ApiErrorKind::Timeout { .. }
            | ApiErrorKind::Broken { .. } => ActivityFault::NoAnswer,
            ApiErrorKind::Refused {
                status, message, ..
            } => match status.as_u16() {
                410 => ActivityFault::Unknown,
                408 | 504 => ActivityFault::Silent,
                429 | 502 | 503 => ActivityFault::NoAnswer,
                500 if message.contains("GSB error")
                    && message.contains("endpoint address not found") =>
                {
                    ActivityFault::NoEndpoint
                }
                500 if message.contains("Not found: agreement id for activity") => {
                    ActivityFault::Unknown
                }
                // The daemon's other inner errors pass, or a retry limit ends them.
                500 => ActivityFault::Silent,
                _ => ActivityFault::Other,
            },
            _ => ActivityFault::Other,
        }
    }
}

/// What a poll for the result of one command came to.
#[derive(Debug)]
pub(crate) enum Polled {
    /// Results, from the first command to the one that was asked for.
    Results(Vec<CommandResult>),
    /// The command has not ended. That its provider is there is not said: a daemon waits a second
    /// longer for a silent one, and then answers the same.
    NotYet,
}

/// An answer that nothing came in time, later than this after the time that was given, means that the
/// provider did not answer the daemon: the daemon waits a second longer than it asks the provider to.
const PROVIDER_MARGIN: Duration = Duration::from_millis(500);

/// Whether an exe-unit turned a batch away as a whole, because it was at another one.
pub(crate) fn is_turned_away(result: &CommandResult) -> bool {
    let said = result.message.as_deref().unwrap_or_default();
    result.index == 0 && result.result == CommandOutcome::Error && said.contains("Busy")
}

const API: [&str; 3] = ["activity-api", "v1", "activity"];

fn path(rest: &[&str]) -> String {
    address::path(API.iter().chain(rest))
}

impl Rest {
    /// The operations on activities.
    pub(crate) fn activity(&self) -> ActivityApi {
        ActivityApi(self.clone())
    }
}

impl ActivityApi {
    /// `createActivity`, in the form with a bare agreement id.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn create(
        &self,
        agreement: &AgreementId,
        wait: Duration,
    ) -> Result<ActivityId, ApiError> {
        let change = Change::CreateActivity {
            agreement: agreement.clone(),
        };
        let call = Call::post("createActivity", path(&[]), change).long_poll(wait);
        let call = call.json(agreement)?;
        self.0.send(call).await
    }

    /// `destroyActivity`; doing it twice is no error.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn destroy(
        &self,
        activity: &ActivityId,
        wait: Duration,
    ) -> Result<(), ApiError> {
        let path = path(&[activity.as_str()]);
        let change = Change::DestroyActivity {
            activity: activity.clone(),
        };
        self.0
            .send_unit(Call::delete("destroyActivity", path, change).long_poll(wait))
            .await
    }

    /// `getActivities` of an agreement.
    pub(crate) async fn of_agreement(
        &self,
        agreement: &AgreementId,
    ) -> Result<Vec<ActivityId>, ApiError> {
        let call = Call::get("getActivities", path(&[])).query("agreementId", agreement);
        self.0.send(call).await
    }

    /// `getActivityState`.
    pub(crate) async fn state(&self, activity: &ActivityId) -> Result<ActivityStatus, ApiError> {
        self.0
            .get("getActivityState", path(&[activity.as_str(), "state"]))
            .await
    }

    /// `getActivityAgreement`.
    pub(crate) async fn agreement(&self, activity: &ActivityId) -> Result<AgreementId, ApiError> {
        let path = path(&[activity.as_str(), "agreement"]);
        self.0.get("getActivityAgreement", path).await
    }

    /// `getRunningCommand`: what the exe-unit is at, if it is at something.
    pub(crate) async fn running_command(
        &self,
        activity: &ActivityId,
    ) -> Result<Option<serde_json::Value>, ApiError> {
        let path = path(&[activity.as_str(), "command"]);
        match self.0.get("getRunningCommand", path).await {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Ok(None),
            told => told.map(Some),
        }
    }

    /// `getRunningCommand`: whether the exe-unit is at a command.
    pub(crate) async fn is_busy(&self, activity: &ActivityId) -> Result<bool, ApiError> {
        let path = path(&[activity.as_str(), "command"]);
        match self.0.send_unit(Call::get("getRunningCommand", path)).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Ok(false),
            // Daemons whose exe-units cannot tell: a busy one turns scripts away by itself.
            Err(error) if ActivityFault::of(&error) == ActivityFault::NoEndpoint => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `getActivityUsage`.
    pub(crate) async fn usage(&self, activity: &ActivityId) -> Result<ActivityUsage, ApiError> {
        self.0
            .get("getActivityUsage", path(&[activity.as_str(), "usage"]))
            .await
    }

    /// `exec`: sends a batch; `script` is a JSON array of commands.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn exec(
        &self,
        activity: &ActivityId,
        script: String,
    ) -> Result<BatchId, ApiError> {
        let body = ExecRequest { text: script };
        let change = Change::Exec {
            activity: activity.clone(),
        };
        let path = path(&[activity.as_str(), "exec"]);
        let call = Call::post("exec", path, change).json(&body)?;
        self.0.send(call).await
    }

    /// `getExecBatchResults` for one command: waits up to `wait` for its end, be it good or bad. The
    /// results begin at the first command; only the one that is asked for has its output.
    pub(crate) async fn result(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
        command: usize,
        wait: Duration,
        max_bytes: usize,
    ) -> Result<Polled, ApiError> {
        let asked = Instant::now();
        let call = Self::results_call(activity, batch, wait, max_bytes);
        match self.0.send(call.query("commandIndex", command)).await {
            Ok(results) => Ok(Polled::Results(results)),
            Err(error)
                if error.is_status(StatusCode::REQUEST_TIMEOUT)
                    && asked.elapsed() < wait.saturating_add(PROVIDER_MARGIN) =>
            {
                Ok(Polled::NotYet)
            }
            Err(error) => Err(error),
        }
    }

    /// `getExecBatchResults` for all commands, without waiting: the results that there are, from the
    /// first command on, each with its output.
    pub(crate) async fn results(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
        max_bytes: usize,
    ) -> Result<Vec<CommandResult>, ApiError> {
        let call = Self::results_call(activity, batch, Duration::ZERO, max_bytes);
        self.0.send(call).await
    }

    /// `getExecBatchResults` as a stream: what happens to the commands from now on, while it happens. It
    /// does not end by itself, also after the batch.
    pub(crate) async fn events(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
        max_bytes: usize,
    ) -> Result<ServerEvents, ApiError> {
        let path = path(&[activity.as_str(), "exec", batch.as_str()]);
        let call = Call::get("getExecBatchResults", path).max_bytes(max_bytes);
        self.0.events(call).await
    }

    fn results_call(
        activity: &ActivityId,
        batch: &BatchId,
        wait: Duration,
        max_bytes: usize,
    ) -> Call {
        let path = path(&[activity.as_str(), "exec", batch.as_str()]);
        Call::get("getExecBatchResults", path)
            .long_poll(wait)
            .max_bytes(max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> ApiError {
        let kind = ApiErrorKind::Refused {
            status: StatusCode::from_u16(status).expect("a status"),
            message: message.into(),
            body: None,
        };
        ApiError::new("exec", "/x", kind)
    }

    #[test]
    fn the_words_of_the_daemon_tell_a_lost_activity_from_a_silent_one() {
        for (status, message, fault) in [
            (
                500,
                "GSB error: Bad request: Bad request: endpoint address not found",
                ActivityFault::NoEndpoint,
            ),
            (
                500,
                "DAO error: Not found: agreement id for activity: 0f",
                ActivityFault::Unknown,
            ),
            (500, "Service error: whatever", ActivityFault::Silent),
            (408, "Timeout", ActivityFault::Silent),
            (410, "", ActivityFault::Unknown),
            (404, "Not found: batch_id = 1", ActivityFault::Other),
            (503, "", ActivityFault::NoAnswer),
        ] {
            assert_eq!(
                ActivityFault::of(&refused(status, message)),
                fault,
                "{message}"
            );
        }
    }
}
