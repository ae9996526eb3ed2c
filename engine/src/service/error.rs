//! Errors of handlers and workers, and of clusters.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Instance;
use crate::activity::Activity;
use crate::script::{ScriptError, TransferError};
use crate::transport::BoxError;

/// Causes behind an error that are looked at: a chain may be a circle.
const MAX_CAUSES: usize = 32;

/// Why a handler or a worker failed. Any error turns into one by `?`, like `anyhow::Error`.
pub struct HandlerError {
    source: BoxError,
    retry: bool,
}

impl HandlerError {
    /// A failure in words.
    pub fn msg(message: impl fmt::Display) -> Self {
        HandlerError {
            source: message.to_string().into(),
            retry: true,
        }
    }

    /// A failure that another provider would not change: a task or a `start` that fails with it is not
    /// tried again.
    pub fn reject(reason: impl fmt::Display) -> Self {
        HandlerError {
            retry: false,
            ..Self::msg(reason)
        }
    }

    /// Whether trying again, elsewhere, may help. It does not after [`reject`](Self::reject), nor when
    /// the cause lies on this computer: a local file that is missing or cannot be written.
    pub fn is_retryable(&self) -> bool {
        self.retry
    }

    /// The error and its causes in words, with a hint at what may be behind a time limit that was over.
    pub(crate) fn told(&self, activity: &Activity) -> String {
        let hint = if self.is_timeout() {
            activity.hint()
        } else {
            ""
        };
        format!("{self}{hint}")
    }

    /// Whether it is, or was caused by, a time limit of the user's own: one of tokio, or of a client of
    /// something other than the daemon.
    fn is_timeout(&self) -> bool {
        let error: &(dyn std::error::Error + 'static) = &*self.source;
        let causes = std::iter::successors(Some(error), |error| error.source());
        let mut causes = causes.take(MAX_CAUSES);
        if causes.clone().any(|cause| cause.is::<ScriptError>()) {
            return false;
        }
        // Clients have types of their own for it, and programs often pass on the words only.
        causes.any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            let words = cause.to_string();
            io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
                || words.contains("deadline has elapsed")
                || words.contains("timed out")
        })
    }

    /// The script's error, if it was one.
    pub fn script_error(&self) -> Option<&ScriptError> {
        self.source.downcast_ref()
    }

    /// The error itself.
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let retry = !is_own(&error);
        HandlerError {
            source: Box::new(error),
            retry,
        }
    }
}

/// Whether an error, or a cause of it, is of this computer or of the program, so that no provider can
/// do better.
fn is_own(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.take(MAX_CAUSES).any(|cause| {
        let script = cause.downcast_ref::<ScriptError>();
        let transfer = cause.downcast_ref::<TransferError>();
        let io = cause.downcast_ref::<io::Error>();
        script.is_some_and(ScriptError::is_own)
            || transfer.is_some_and(TransferError::is_own)
            || io.is_some_and(|error| is_about_files(error.kind()))
    })
}

fn is_about_files(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::DirectoryNotEmpty
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
            | Kind::FileTooLarge
            | Kind::InvalidFilename
    )
}

/// The error and its causes in one line.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::api::chain(&*self.source))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// What a cluster cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Not all instances are running.
    #[error("not all instances run after {timeout:?}: {instances}")]
    NotRunning {
        /// How long it was waited for.
        timeout: Duration,
        /// Each instance and its state.
        instances: String,
    },
    /// An instance ended before all were running.
    #[error("an instance ended before all were running: {instances}")]
    Ended {
        /// Each instance and its state.
        instances: String,
    },
    /// No such instance.
    #[error("the cluster has no instance `{id}`; it has: {known}")]
    UnknownInstance {
        /// As given.
        id: String,
        /// Ids of all instances.
        known: String,
    },
    /// The cluster was stopped.
    #[error("the cluster is stopped; start a new one")]
    Stopped,
}

/// Where each instance stands, in words.
pub(super) fn describe(instances: &[Instance]) -> String {
    let mut text = String::new();
    for instance in instances {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&format!("{} is {}", instance.name, instance.state));
        if let Some(failure) = &instance.failure {
            text.push_str(&format!(" ({failure})"));
        }
    }
    text
}
