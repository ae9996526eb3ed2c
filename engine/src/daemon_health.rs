//! Asks whether the daemon is there. Owns: the question, asked once for all who want to know, and
//! waiting until it is back. The rule is in [`lifecycle::daemon_health`](crate::lifecycle::daemon_health).

use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::api::{ApiError, ApiErrorKind, Rest};
use crate::context::Context;
use crate::lifecycle::daemon_health::{Answers, Standing};
use crate::retry::Backoff;

/// A daemon answers who we are from its memory; one that needs longer is as good as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The daemon's presence, shared by all parts of an engine.
#[derive(Debug)]
pub(crate) struct DaemonHealth {
    /// How long an absence is waited out.
    limit: Duration,
    known: Mutex<Answers>,
    /// When it was last found away.
    last_away: watch::Sender<Option<Instant>>,
}

impl DaemonHealth {
    pub(crate) fn new(limit: Duration) -> Self {
        DaemonHealth {
            limit,
            known: Mutex::default(),
            last_away: watch::Sender::new(None),
        }
    }

    /// Asks, unless somebody did just now.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    async fn ask(&self, rest: &Rest) -> Standing {
        // Held while asking: those who come meanwhile get the same answer.
        let mut known = self.known.lock().await;
        if !known.is_fresh(Instant::now()) {
            let asked = Instant::now();
            let answer = timeout(ANSWER_WITHIN, rest.me()).await;
            let answers = match answer {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => !is_absence(&error),
                Err(_) => false,
            };
            known.found(asked, answers, Instant::now());
            if !answers {
                self.last_away.send_replace(Some(Instant::now()));
            }
        }
        known.standing(Instant::now(), self.limit)
    }
}

/// Whether a purely local question fails like this only when nobody is there to answer.
fn is_absence(error: &ApiError) -> bool {
    match &*error.kind {
        ApiErrorKind::Unreachable { .. }
        | ApiErrorKind::Timeout { .. }
        | ApiErrorKind::Broken { .. } => true,
        ApiErrorKind::Refused { status, .. } => status.is_server_error(),
        _ => false,
    }
}

impl Context {
    /// Whether the daemon is away, and worth waiting for: nothing may be given up then.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn is_daemon_away(&self) -> bool {
        self.daemon_health().ask(self.rest()).await == Standing::Away
    }

    /// Whether the daemon was found away at some time after `at`.
    pub(crate) fn was_daemon_away(&self, at: Instant) -> bool {
        let last = *self.daemon_health().last_away.borrow();
        last.is_some_and(|last| last >= at)
    }

    /// Waits until the daemon is back; `false` when it stays away beyond the limit.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn daemon_back(&self, backoff: &mut Backoff) -> bool {
        loop {
            match self.daemon_health().ask(self.rest()).await {
                Standing::Here => return true,
                Standing::Gone => return false,
                Standing::Away => backoff.pause().await,
            }
        }
    }

    /// Repeats a call that does no harm when repeated, until it works, fails for good, or
    /// `attempts` of it failed although the daemon was there.
    ///
    /// # Errors
    /// The last call's.
    pub(crate) async fn insist<T, F>(
        &self,
        backoff: &mut Backoff,
        attempts: u32,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, attempt, "call failed");
                    if !self.is_daemon_away().await {
                        if attempt >= attempts {
                            return Err(error);
                        }
                        attempt += 1;
                    }
                    backoff.pause().await;
                }
                done => return done,
            }
        }
    }
}
