//! Asks whether the daemon is there. Owns: the question, asked once for all who want to know, and
//! waiting until it is back. The rule is in [`lifecycle::daemon_health`](crate::lifecycle::daemon_health).

use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::api::{ApiError, ApiErrorKind, Rest};
use crate::lifecycle::daemon_health::{Answers, Standing};
use crate::retry::Backoff;

/// A daemon answers who we are from its memory; one that needs longer is as good as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How the daemon stands, shared by all parts of an engine.
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

    /// Asks, unless the answer is a moment old.
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

    /// Whether it is away, and worth waiting for.
    pub(crate) async fn is_away(&self, rest: &Rest) -> bool {
        self.ask(rest).await == Standing::Away
    }

    /// Whether it was found away at some time after `at`.
    pub(crate) fn was_away(&self, at: Instant) -> bool {
        self.last_away.borrow().is_some_and(|last| last >= at)
    }

    /// Waits until it is back; `false` when it stays away beyond the limit.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn back(&self, rest: &Rest, backoff: &mut Backoff) -> bool {
        loop {
            match self.ask(rest).await {
                Standing::Here => return true,
                Standing::Gone => return false,
                Standing::Away => backoff.pause().await,
            }
        }
    }
}

/// Whether a purely local question fails like this only when the daemon is not there.
fn is_absence(error: &ApiError) -> bool {
    match &*error.kind {
        ApiErrorKind::Unreachable { .. }
        | ApiErrorKind::Timeout { .. }
        | ApiErrorKind::Broken { .. } => true,
        ApiErrorKind::Refused { status, .. } => status.is_server_error(),
        _ => false,
    }
}
