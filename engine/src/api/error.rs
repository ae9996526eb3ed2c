//! Why a call to the daemon failed, and whether it may have taken effect all the same.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::journal::JournalError;
use crate::tasks::TaskLost;
use crate::transport::TransportError;

/// Whether a failed request changed the daemon's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It never reached the daemon.
    NotSent,
    /// The daemon said no.
    Refused,
    /// Nobody knows: look it up, do not repeat it.
    Unknown,
}

/// A failed call. Its words are the operation's and the kind's; what is behind the kind is its source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiError {
    /// Name of the daemon's operation.
    pub operation: &'static str,
    /// Path of the request, without the query.
    pub path: String,
    /// What happened.
    pub kind: Box<ApiErrorKind>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiError {
            operation,
            path,
            kind,
        } = self;
        write!(f, "{operation} ({path}): {kind}")
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Not the kind: it is told above.
        std::error::Error::source(&*self.kind)
    }
}

/// What happened to a failed call.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// The app key is missing or unknown to the daemon.
    #[error(
        "the daemon refused the app key: {message}; check YAGNA_APPKEY against `yagna app-key list`"
    )]
    Unauthorized {
        /// The daemon's words.
        message: String,
    },
    /// The daemon said no.
    #[error("refused with {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The daemon's words, shortened.
        message: String,
        /// The body as JSON, if it was: problems carry details in members.
        body: Option<serde_json::Value>,
    },
    /// No complete answer in time.
    #[error("no complete answer within {after:?}")]
    Timeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// Nobody listens.
    #[error("cannot reach the daemon at {base}; is yagna running, and YAGNA_API_URL right?")]
    Unreachable {
        /// Base URL.
        base: String,
        /// Why.
        #[source]
        source: Arc<TransportError>,
    },
    /// The connection broke under way.
    #[error("the connection broke before the answer was complete: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
    /// The answer is not what the operation answers.
    #[error("the answer makes no sense: {reason}; it begins with `{excerpt}`")]
    Malformed {
        /// What is wrong.
        reason: String,
        /// Its first characters.
        excerpt: String,
    },
    /// The answer does not end.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The daemon's API never redirects; following would send the app key elsewhere.
    #[error(
        "redirected with {status} to `{location}`, which a daemon never does; is YAGNA_API_URL right?"
    )]
    Redirect {
        /// HTTP status.
        status: StatusCode,
        /// Where to.
        location: String,
    },
    /// What it would have opened could not be written down, so it was not sent.
    #[error(
        "not sent, because it could not be written down, and a crash would leave it behind: {0} (what is open is still ended and paid for)"
    )]
    Journal(JournalError),
    /// It would have opened something, and the engine that would have ended it is stopping, or stopped.
    #[error("not sent, because the engine is stopping and ends what is open; start another one")]
    Stopped,
    /// The request could not be built.
    #[error("the request cannot be sent: {reason}")]
    Unsendable {
        /// Why.
        reason: String,
    },
    /// The task that carried the request is gone.
    #[error(transparent)]
    Task(TaskLost),
}

impl ApiError {
    pub(crate) fn new(
        operation: &'static str,
        path: impl Into<String>,
        kind: ApiErrorKind,
    ) -> Self {
        ApiError {
            operation,
            path: path.into(),
            kind: Box::new(kind),
        }
    }

    /// The status the daemon refused with.
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.kind {
            ApiErrorKind::Refused { status, .. } => Some(*status),
            ApiErrorKind::Unauthorized { .. } => Some(StatusCode::UNAUTHORIZED),
            _ => None,
        }
    }

    /// The daemon's words of a refusal.
    pub fn message(&self) -> Option<&str> {
        match &*self.kind {
            ApiErrorKind::Refused { message, .. } | ApiErrorKind::Unauthorized { message } => {
                Some(message)
            }
            _ => None,
        }
    }

    /// Whether the daemon refused with this status.
    pub fn is_status(&self, status: StatusCode) -> bool {
        self.status() == Some(status)
    }

    /// Whether the daemon does not know the subject, or it is not in a state that the request fits: for
    /// most things it is gone then; an agreement may be in any other state.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_status(StatusCode::NOT_FOUND) || self.is_status(StatusCode::GONE)
    }

    /// Whether the request may have changed something.
    pub fn outcome(&self) -> Outcome {
        match &*self.kind {
            ApiErrorKind::Unreachable { .. }
            | ApiErrorKind::Unsendable { .. }
            | ApiErrorKind::Stopped
            | ApiErrorKind::Journal(_) => Outcome::NotSent,
            ApiErrorKind::Unauthorized { .. } | ApiErrorKind::Redirect { .. } => Outcome::Refused,
            // The daemon gave up waiting for a provider that may still act.
            ApiErrorKind::Refused { status, .. }
                if *status == StatusCode::REQUEST_TIMEOUT || status.is_server_error() =>
            {
                Outcome::Unknown
            }
            ApiErrorKind::Refused { .. } => Outcome::Refused,
            ApiErrorKind::Timeout { .. }
            | ApiErrorKind::Broken { .. }
            | ApiErrorKind::Malformed { .. }
            | ApiErrorKind::TooLarge { .. }
            | ApiErrorKind::Task(_) => Outcome::Unknown,
        }
    }

    /// Whether the same read may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match &*self.kind {
            ApiErrorKind::Unreachable { .. }
            | ApiErrorKind::Timeout { .. }
            | ApiErrorKind::Broken { .. } => true,
            ApiErrorKind::Refused { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }
}
