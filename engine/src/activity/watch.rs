//! Whether an activity is still there. Owns: the health check and the end of its agreement, brought
//! together as one [`ActivityHealth`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use golem_wire::activity::ActivityState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Activity;
use crate::api::{ActivityFault, ApiError};
use crate::cause::Cause;
use crate::deadline;
use crate::watch;

/// Where an activity stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ActivityHealth {
    /// Nothing bad is known.
    #[default]
    Alive,
    /// Its agreement ended; it still answers.
    AgreementEnded { reason: Cause },
    /// It is gone.
    Lost { reason: Cause },
}

impl ActivityHealth {
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, ActivityHealth::Lost { .. })
    }
}

/// What is known of an activity.
#[derive(Debug)]
pub(crate) struct Watch {
    health: watch::Sender<ActivityHealth>,
    hearing: watch::Sender<Hearing>,
    closed: CancellationToken,
}

/// When something was heard of a provider.
#[derive(Clone, Copy, Debug)]
struct Hearing {
    /// When it last answered something.
    heard: Instant,
    /// When the first question was asked of those that it has not answered since.
    silent_since: Option<Instant>,
}

/// Why a question had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The daemon is away, so nothing is known of the provider.
    DaemonAway,
    /// The provider is silent.
    Silent,
}

impl Default for Watch {
    fn default() -> Self {
        let hearing = Hearing {
            heard: Instant::now(),
            silent_since: None,
        };
        Watch {
            health: watch::Sender::new(ActivityHealth::Alive),
            hearing: watch::Sender::new(hearing),
            closed: CancellationToken::new(),
        }
    }
}

impl Watch {
    pub(crate) fn health(&self) -> ActivityHealth {
        self.health.borrow().clone()
    }

    /// Waits until it is lost, and says why.
    pub(crate) async fn lost(&self) -> Cause {
        match self.until(ActivityHealth::is_lost).await {
            ActivityHealth::Lost { reason } => reason,
            ActivityHealth::Alive | ActivityHealth::AgreementEnded { .. } => {
                std::future::pending().await
            }
        }
    }

    /// Waits until it is lost or its agreement ended.
    pub(crate) async fn troubled(&self) -> ActivityHealth {
        self.until(|health| *health != ActivityHealth::Alive).await
    }

    async fn until(&self, wanted: fn(&ActivityHealth) -> bool) -> ActivityHealth {
        let mut health = self.health.subscribe();
        let reached = health
            .wait_for(wanted)
            .await
            .ok()
            .map(|health| health.clone());
        match reached {
            Some(health) => health,
            // The sender lives in `self`.
            None => std::future::pending().await,
        }
    }

    /// The provider answered something.
    pub(crate) fn heard(&self) {
        self.hearing.send_replace(Hearing {
            heard: Instant::now(),
            silent_since: None,
        });
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.hearing.borrow().heard
    }

    /// Since when it has been silent, if it is.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.hearing.borrow().silent_since
    }

    /// Waits until it is silent, and answers since when.
    pub(crate) async fn silent(&self) -> Instant {
        let mut hearing = self.hearing.subscribe();
        let silent = hearing.wait_for(|hearing| hearing.silent_since.is_some());
        match silent.await.ok().and_then(|hearing| hearing.silent_since) {
            Some(since) => since,
            // The sender lives in `self`.
            None => std::future::pending().await,
        }
    }

    /// Waits until it has been silent for so long.
    pub(crate) async fn silent_for(&self, time: Duration) {
        loop {
            let since = self.silent().await;
            tokio::select! {
                biased;
                () = self.answered() => {}
                () = tokio::time::sleep_until(deadline::after(since, time)) => return,
            }
        }
    }

    /// Waits until it is not silent any more.
    pub(crate) async fn answered(&self) {
        let mut hearing = self.hearing.subscribe();
        let answered = hearing.wait_for(|hearing| hearing.silent_since.is_none());
        if answered.await.is_err() {
            // The sender lives in `self`.
            std::future::pending().await
        }
    }

    /// A question of that time has no answer.
    fn unanswered(&self, asked: Instant) {
        self.hearing.send_if_modified(|hearing| {
            let is_first = hearing.silent_since.is_none() && hearing.heard <= asked;
            if is_first {
                hearing.silent_since = Some(asked);
            }
            is_first
        });
    }

    /// Its silence says nothing, and begins anew.
    fn excuse(&self) {
        self.hearing
            .send_if_modified(|hearing| hearing.silent_since.take().is_some());
    }

    /// It is gone; the first reason stays.
    pub(crate) fn lose(&self, reason: impl Into<Cause>) {
        self.health.send_if_modified(|health| {
            let change = !health.is_lost();
            if change {
                *health = ActivityHealth::Lost {
                    reason: reason.into(),
                };
            }
            change
        });
    }

    fn agreement_ended(&self, reason: Cause) {
        self.health.send_if_modified(|health| {
            let change = *health == ActivityHealth::Alive;
            if change {
                *health = ActivityHealth::AgreementEnded { reason };
            }
            change
        });
    }

    /// It is being destroyed by us: nothing more to watch.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

impl Activity {
    /// Asks for the state. An answer that it is gone is remembered.
    ///
    /// # Errors
    /// The call's, when the state is not known.
    pub(crate) async fn check(&self) -> Result<(), ApiError> {
        match self.gone().await? {
            Some(reason) => self.lose(&reason),
            None => self.watch.heard(),
        }
        Ok(())
    }

    /// A question of that time had no answer: the activity is lost if that goes on for too long.
    pub(super) async fn unanswered(
        &self,
        asked: Instant,
        error: &(dyn fmt::Display + Sync),
    ) -> Unanswered {
        if self.context.is_daemon_away().await {
            // How the provider is cannot be known: its silence begins when the daemon is back.
            self.watch.excuse();
            return Unanswered::DaemonAway;
        }
        self.watch.unanswered(asked);
        let silence = self.context.config().activity.silence;
        let since = self.watch.silent_since();
        if since.is_some_and(|since| since.elapsed() >= silence) {
            self.lose(&format!("no answer for {silence:?}: {error}"));
        }
        Unanswered::Silent
    }

    /// Why it is gone, if it is.
    async fn gone(&self) -> Result<Option<String>, ApiError> {
        let status = match self.context.rest().activity().state(&self.id).await {
            Ok(status) => status,
            Err(error) if ActivityFault::of(&error) == ActivityFault::Unknown => {
                return Ok(Some("the daemon knows the activity no more".into()));
            }
            Err(error) => return Err(error),
        };
        let (now, next) = &status.state;
        let ended = [Some(now), next.as_ref()]
            .into_iter()
            .flatten()
            .find(|state| {
                matches!(
                    state,
                    ActivityState::Terminated | ActivityState::Unresponsive
                )
            });
        Ok(ended.map(|state| {
            let mut reason = format!("its state is {state}");
            for detail in [&status.reason, &status.error_message]
                .into_iter()
                .flatten()
            {
                reason.push_str(": ");
                reason.push_str(detail);
            }
            reason
        }))
    }

    /// It is gone, and with it what the agreement was for.
    pub(crate) fn lose(&self, reason: &str) {
        if golem_probe::planted!("a-dead-machine-is-not-noticed") {
            return;
        }
        self.watch.lose(reason);
        self.rental.notify_dead(reason);
    }
}

/// Watches an activity until it is destroyed or lost.
pub(super) fn spawn(activity: &Arc<Activity>) {
    let watched = Arc::clone(activity);
    let closed = activity.watch.closed.clone();
    activity
        .context
        .loops()
        .spawn_until_cancelled("watch-activity", async move {
            tokio::select! {
                biased;
                () = closed.cancelled() => {}
                _ = watched.watch.lost() => {}
                () = follow(&watched) => {}
            }
        });
}

async fn follow(activity: &Activity) {
    let mut ended = activity.rental.ended();
    let ended = async {
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end
                .clone()
                .map_or_else(|| "it has ended".into(), Cause::new),
            Err(_) => "the agreement is not followed any more".into(),
        }
    };
    tokio::select! {
        biased;
        reason = ended => {
            // Usually the activity ends with it; if not, `shutdown` handlers can still use it.
            // Boxed, as the health checks below: a machine that only lives needs no room for them.
            match Box::pin(activity.gone()).await {
                Ok(None) => activity.watch.agreement_ended(reason),
                Ok(Some(_)) | Err(_) => activity.watch.lose(reason),
            }
        }
        () = check_health(activity) => {}
    }
}

/// Returns when the activity is lost.
async fn check_health(activity: &Activity) {
    let limits = &activity.context.config().activity;
    let watch = &activity.watch;
    let mut asked = Instant::now();
    while !watch.health().is_lost() {
        // A batch may do the asking. What is silent is asked once more when its time is over.
        let due = deadline::after(asked.max(watch.last_heard()), limits.health_interval);
        let over = watch.silent_since();
        let over = over.map(|since| deadline::after(since, limits.silence));
        let next = over.map_or(due, |over| over.min(due));
        if next > Instant::now() {
            tokio::time::sleep_until(next).await;
            continue;
        }
        asked = Instant::now();
        let checking = async {
            if let Err(error) = activity.check().await {
                tracing::debug!(activity = %activity.id, %error, "health check without an answer");
                activity.unanswered(asked, &error).await;
            }
        };
        Box::pin(checking).await;
    }
}
