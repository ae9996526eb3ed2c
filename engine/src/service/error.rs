//! Errors of handlers and workers, and of clusters.

use std::fmt;
use std::time::Duration;

use super::Instance;
use crate::script::ScriptError;
use crate::transport::BoxError;

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

    /// A failure that another provider would not change: a task that fails with it is not retried.
    pub fn reject(reason: impl fmt::Display) -> Self {
        HandlerError {
            retry: false,
            ..Self::msg(reason)
        }
    }

    /// Whether trying again, elsewhere, may help.
    pub fn is_retryable(&self) -> bool {
        self.retry
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
        HandlerError {
            source: Box::new(error),
            retry: true,
        }
    }
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
