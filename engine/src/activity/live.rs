//! What happens to a batch while it runs. Owns: following the daemon's stream of its events, opening it again,
//! and noticing where events are missing. Does not own: what they mean for commands (`script/`), or the results,
//! which are polled beside it (`batch.rs`) and decide.
//!
//! The daemon tells only what happens while somebody listens. So there may be a gap before the first event,
//! wherever the numbers of the events leap, and each time the stream broke. A stream that is silent is none that
//! broke: a command may say nothing for hours.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use golem_wire::BatchId;
use golem_wire::activity::RuntimeEvent;
use jiff::civil::DateTime;

use super::Activity;
use crate::api::{ActivityFault, ApiError, ServerEvents};
use crate::retry::Backoff;

/// What the daemon calls events of a batch.
const RUNTIME: &str = "runtime";
/// How often in a row the stream is opened that tells nothing.
const ATTEMPTS: u32 = 8;

/// What is told of a batch.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something happened.
    Event(RuntimeEvent),
    /// Something may have happened that is not told.
    Gap,
}

struct Following {
    activity: Arc<Activity>,
    batch: BatchId,
    /// Longest event.
    max_bytes: usize,
    backoff: Backoff,
    open: Option<ServerEvents>,
    /// Attempts since the last event.
    attempts: u32,
    /// Number of the next event.
    next: u64,
    /// An event that came after a gap.
    after_gap: Option<RuntimeEvent>,
    /// When the last event happened.
    last: Option<DateTime>,
    /// Whether what was told before may be told again.
    is_again: bool,
}

impl Activity {
    /// What happens to a batch from now on. Ends when there is nothing to listen to.
    pub(crate) fn follow(
        self: &Arc<Self>,
        batch: &BatchId,
        max_bytes: usize,
    ) -> BoxStream<'static, Told> {
        let following = Following {
            backoff: self.backoff(&format!("live/{batch}")),
            activity: Arc::clone(self),
            batch: batch.clone(),
            max_bytes,
            open: None,
            attempts: 0,
            next: 0,
            after_gap: None,
            last: None,
            is_again: false,
        };
        stream::unfold(following, |mut following| async {
            let told = following.next().await?;
            Some((told, following))
        })
        .fuse()
        .boxed()
    }
}

impl Following {
    async fn next(&mut self) -> Option<Told> {
        if let Some(event) = self.after_gap.take() {
            return Some(Told::Event(event));
        }
        loop {
            let Some(events) = &mut self.open else {
                self.open().await?;
                continue;
            };
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Some(self.broke(&"it was closed")),
                Err(error) => return Some(self.broke(&error)),
            };
            self.activity.watch().heard();
            if event.name != RUNTIME && !event.name.is_empty() {
                tracing::debug!(batch = %self.batch, name = event.name, "an event of another kind");
                continue;
            }
            let read: RuntimeEvent = match serde_json::from_str(&event.data) {
                Ok(read) => read,
                Err(error) => return Some(self.broke(&error)),
            };
            let number = event.id.and_then(|id| id.parse::<u64>().ok());
            let number = number.unwrap_or(self.next);
            if number < self.next || self.was_told(&read) {
                self.next = self.next.max(number.saturating_add(1));
                continue;
            }
            // A stream that only says again what it said before is one that tells nothing.
            self.attempts = 0;
            self.backoff.reset();
            let is_missing = number > self.next;
            self.next = number.saturating_add(1);
            if is_missing {
                self.after_gap = Some(read);
                return Some(Told::Gap);
            }
            return Some(Told::Event(read));
        }
    }

    /// Whether it was told before the stream was opened again.
    fn was_told(&mut self, event: &RuntimeEvent) -> bool {
        let at: Option<DateTime> = event.timestamp.trim_end_matches('Z').parse().ok();
        let known = self.is_again && at.is_some() && at <= self.last;
        self.is_again &= known;
        self.last = self.last.max(at);
        known
    }

    /// Opens the stream; `None` when that is of no use.
    async fn open(&mut self) -> Option<()> {
        while self.attempts < ATTEMPTS {
            if self.attempts > 0 {
                self.backoff.pause().await;
            }
            self.attempts += 1;
            let api = self.activity.context().rest().activity();
            let opening = api.events(self.activity.id(), &self.batch, self.max_bytes);
            match opening.await {
                Ok(events) => {
                    self.next = 0;
                    self.is_again = self.last.is_some();
                    self.open = Some(events);
                    return Some(());
                }
                Err(error) if may_open(&error) => {
                    tracing::debug!(batch = %self.batch, %error, "its events cannot be heard yet");
                }
                Err(error) => {
                    tracing::info!(batch = %self.batch, %error, "its events cannot be heard; its output comes at the end");
                    return None;
                }
            }
        }
        tracing::info!(batch = %self.batch, "its events are not heard any more; its output comes at the end");
        None
    }

    fn broke(&mut self, why: &dyn std::fmt::Display) -> Told {
        tracing::debug!(batch = %self.batch, %why, "the stream of its events broke");
        self.open = None;
        Told::Gap
    }
}

fn may_open(error: &ApiError) -> bool {
    error.is_retryable() && ActivityFault::of(error) != ActivityFault::Unknown
}
