//! Why a script, or one of its commands, did not give its result.

use std::sync::Arc;
use std::time::Duration;

use golem_wire::ActivityId;

use super::CommandExecuted;
use crate::activity::BatchError;
use crate::api::ApiError;
use crate::cause::Cause;
use crate::tasks::TaskLost;
use crate::transfer::TransferError;

/// A script that did not run to its end. Cheap to clone: the script and each of its commands that
/// did not run get the same one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// A command failed; later ones did not run. The activity can be used further.
    #[error("command {} of the script, `{}`, failed: {}", .0.index, .0.text, .0.failure())]
    CommandFailed(Box<CommandExecuted>),
    /// The script did not end in time. The provider may still be busy with it.
    #[error("the script did not end within {timeout:?} on activity {activity_id}")]
    Timeout {
        /// Where.
        activity_id: ActivityId,
        /// The script's timeout.
        timeout: Duration,
    },
    /// The activity is gone: nothing more can be sent to it.
    #[error("activity {activity_id} on provider {provider_name} is lost")]
    ActivityLost {
        /// Which.
        activity_id: ActivityId,
        /// Whose.
        provider_name: String,
        /// Why: an [`AgreementEnd`](crate::AgreementEnd) where its agreement ended.
        #[source]
        cause: Cause,
    },
    /// Whether the provider got the script is unknown; it is not sent twice.
    #[error("it is not known whether activity {activity_id} got the script")]
    OutcomeUnknown {
        /// Where.
        activity_id: ActivityId,
        /// What happened.
        #[source]
        source: Arc<ApiError>,
    },
    /// The daemon refused.
    #[error("the script on activity {activity_id} was refused")]
    Api {
        /// Where.
        activity_id: ActivityId,
        /// Why.
        #[source]
        source: Arc<ApiError>,
    },
    /// Output beyond the limit.
    #[error(
        "the script's output on activity {activity_id} is longer than {limit} bytes; print less, download it as a file, or raise `Script::max_result_bytes`"
    )]
    ResultTooLarge {
        /// Where.
        activity_id: ActivityId,
        /// The limit.
        limit: usize,
    },
    /// A variable that cannot be set; see [`Command::env`](super::Command::env).
    #[error("the variable `{name}` cannot be set: {reason}")]
    Environment {
        /// Its name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A command of one's own is none; nothing was sent.
    #[error(
        "`{command}` is no command: one is an object with one member, such as `{{\"terminate\": {{}}}}`"
    )]
    NotACommand {
        /// As given.
        command: String,
    },
    /// Progress was asked for of a command that has none to tell.
    #[error("`{command}` tells no progress: only `deploy` and transfers do")]
    NoProgress {
        /// The command, as shown in events.
        command: String,
    },
    /// Only [`OutputStream`](super::OutputStream) gives it: part of the output was not told while the program
    /// ran, and what was told cannot be gone on with. The program's result has all of it.
    #[error(
        "part of the output on activity {activity_id} was not told while the program ran; its result has all of it"
    )]
    OutputMissing {
        /// Where.
        activity_id: ActivityId,
    },
    /// A file did not travel.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The daemon's answer contradicts itself.
    #[error("the daemon's answer makes no sense: {what}")]
    Protocol {
        /// What is wrong.
        what: String,
    },
    /// No waiter was left for it, or the engine stopped.
    #[error("the script was given up before its end")]
    Cancelled,
    /// A result was waited for, but the script that holds the command was dropped without being
    /// executed, or was not executed within ten seconds.
    #[error(
        "the command's script was not executed: call `execute` before its results are awaited, or beside it"
    )]
    NotExecuted,
    /// A command that did not run because one before it failed.
    #[error("an earlier command of the script failed")]
    Skipped(#[source] Box<ScriptError>),
    /// A task inside the engine failed.
    #[error(transparent)]
    Task(#[from] TaskLost),
}

impl ScriptError {
    /// Whether the cause lies on this computer or in the program, so that no provider can do better.
    pub(crate) fn is_own(&self) -> bool {
        match self {
            ScriptError::Transfer(error) => error.is_own(),
            ScriptError::NotExecuted
            | ScriptError::Environment { .. }
            | ScriptError::NotACommand { .. }
            | ScriptError::NoProgress { .. } => true,
            ScriptError::Skipped(earlier) => earlier.is_own(),
            _ => false,
        }
    }
}

impl From<BatchError> for ScriptError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Timeout {
                activity_id,
                timeout,
            } => ScriptError::Timeout {
                activity_id,
                timeout,
            },
            BatchError::ActivityLost {
                activity_id,
                provider_name,
                cause,
            } => ScriptError::ActivityLost {
                activity_id,
                provider_name,
                cause,
            },
            BatchError::OutcomeUnknown {
                activity_id,
                source,
            } => ScriptError::OutcomeUnknown {
                activity_id,
                source,
            },
            BatchError::Api {
                activity_id,
                source,
            } => ScriptError::Api {
                activity_id,
                source,
            },
            BatchError::ResultTooLarge { activity_id, limit } => {
                ScriptError::ResultTooLarge { activity_id, limit }
            }
            BatchError::Protocol { what } => ScriptError::Protocol { what },
            BatchError::Cancelled => ScriptError::Cancelled,
        }
    }
}

impl ScriptError {
    /// Whether the machine itself is at fault: another provider may do better.
    pub fn is_lost(&self) -> bool {
        match self {
            ScriptError::ActivityLost { .. } => true,
            ScriptError::Skipped(first) => first.is_lost(),
            _ => false,
        }
    }
}
