//! Asks whether the daemon is there. Owns: the question, asked once for all who want to know, waiting
//! until it is back, and telling of its absence while it lasts. The rule is in [`lifecycle::daemon_health`](crate::lifecycle::daemon_health).

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::api::{ApiError, ApiErrorKind, Rest};
use crate::event::{DaemonAway, DaemonBack, Emitter, EventContext};
use crate::lifecycle::daemon_health::{Answers, Standing};
use crate::retry::Backoff;
use crate::watch;

/// A daemon answers who we are from its memory; one that needs longer is as good as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// An absence that is over before is not told: any request may fail once.
const BLINK: Duration = Duration::from_secs(2);

/// How often a daemon that is away is asked again by whoever tells of it.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long after its beginning an absence is told of again; from then on that doubles.
const FIRST_REMINDER: Duration = Duration::from_secs(10);

/// The longest time between two reminders.
const LAST_REMINDER: Duration = Duration::from_secs(5 * 60);

/// An absence of the daemon.
#[derive(Clone, Debug)]
struct Absence {
    since: Instant,
    /// What became of the first question.
    reason: String,
}

/// How the daemon stands, shared by all parts of an engine.
#[derive(Debug)]
pub(crate) struct DaemonHealth {
    /// How long an absence is waited out.
    limit: Duration,
    known: Mutex<Answers>,
    /// When it was last found away.
    last_away: watch::Sender<Option<Instant>>,
    /// The absence that goes on.
    absence: watch::Sender<Option<Absence>>,
}

impl DaemonHealth {
    pub(crate) fn new(limit: Duration) -> Self {
        DaemonHealth {
            limit,
            known: Mutex::default(),
            last_away: watch::Sender::new(None),
            absence: watch::Sender::new(None),
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
            let absence = match answer {
                Ok(Err(error)) if is_absence(&error) => Some(crate::cause::chain(&error)),
                Ok(_) => None,
                Err(_) => Some(format!("no answer within {ANSWER_WITHIN:?}")),
            };
            known.found(asked, absence.is_none(), Instant::now());
            if absence.is_some() {
                self.last_away.send_replace(Some(Instant::now()));
            }
            self.absence.send_if_modified(|known| {
                let changed = known.is_some() != absence.is_some();
                if changed {
                    *known = absence.map(|reason| Absence {
                        since: asked,
                        reason,
                    });
                }
                changed
            });
        }
        let standing = known.standing(Instant::now(), self.limit);
        golem_probe::sometimes!(standing == Standing::Away, "the daemon is away");
        golem_probe::sometimes!(
            standing == Standing::Gone,
            "the daemon is away for too long"
        );
        standing
    }

    /// Whether it is away, and worth waiting for.
    pub(crate) async fn is_away(&self, rest: &Rest) -> bool {
        self.ask(rest).await == Standing::Away
    }

    /// Whether it was found away at some time after `at`.
    pub(crate) fn was_away(&self, at: Instant) -> bool {
        self.last_away.borrow().is_some_and(|last| last >= at)
    }

    /// Tells of each absence: soon after its beginning, at growing intervals while it lasts, and at its
    /// end. Runs until its task is cancelled.
    pub(crate) async fn tell(&self, rest: &Rest, emitter: &Emitter) {
        let mut absence = self.absence.subscribe();
        loop {
            let began = absence.wait_for(Option::is_some).await;
            let Some(Absence { since, reason }) = began.ok().and_then(|absence| absence.clone())
            else {
                // The sender lives in `self`.
                return std::future::pending().await;
            };
            if self.is_back_within(BLINK, rest).await {
                continue;
            }
            let mut pause = FIRST_REMINDER.saturating_sub(BLINK);
            loop {
                let seconds = since.elapsed().as_secs();
                tracing::warn!(seconds, reason, "the daemon is away");
                let away = DaemonAway {
                    reason: reason.clone(),
                    seconds,
                };
                emitter.emit(EventContext::default(), away);
                if self.is_back_within(pause, rest).await {
                    break;
                }
                pause = (since.elapsed()).min(LAST_REMINDER);
            }
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "the daemon is back");
            emitter.emit(EventContext::default(), DaemonBack { seconds });
        }
    }

    /// Waits for the end of an absence, and asks for it.
    async fn is_back_within(&self, time: Duration, rest: &Rest) -> bool {
        let mut absence = self.absence.subscribe();
        let end = Instant::now() + time;
        loop {
            let next = end.min(Instant::now() + ASK_EVERY);
            tokio::select! {
                biased;
                _ = absence.wait_for(Option::is_none) => return true,
                () = tokio::time::sleep_until(next) => {}
            }
            self.ask(rest).await;
            if self.absence.borrow().is_none() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
        }
    }

    /// Waits until it is back; `false` when it stays away beyond the limit.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn back(&self, rest: &Rest, backoff: &mut Backoff) -> bool {
        loop {
            match self.ask(rest).await {
                Standing::Here => return true,
                Standing::Away if golem_probe::planted!("a-daemon-that-is-away-is-gone") => {
                    return false;
                }
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
