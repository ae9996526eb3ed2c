//! What every step of the network works with, whichever noun takes it: the time, ids, what is due,
//! the journal, the ledger, who waits for what, and the messages to the providers' agents.
//!
//! Does not own: what any noun remembers; the lock around it all and the loop that moves the time
//! (`world`).

mod notice;

use std::collections::VecDeque;
use std::time::Duration;

use golem_wire::NodeId;
use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::identity::Identities;
use crate::ids::IdSource;
use crate::journal::{Actor, Event, Journal};
use crate::ledger::{Fact, Ledger};
use crate::metrics::Metrics;
use crate::rng::Seed;
use crate::timeline::{Action, Ticket, Timeline};
use crate::topics::{Topic, Topics};

pub(crate) use notice::{Moment, Notice};

/// What every step of the network works with.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Calendar time of the current step.
    pub now: Timestamp,
    /// When the network started.
    pub(crate) began: Timestamp,
    last_stamp: Timestamp,
    /// Without its providers.
    pub(crate) config: Config,
    pub(crate) seed: Seed,
    pub(crate) ids: IdSource,
    pub(crate) timeline: Timeline<Action>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) metrics: Metrics,
    pub(crate) identities: Identities,
    pub(crate) topics: Topics,
    /// Messages to agents that have not arrived.
    pub(crate) notices: VecDeque<Notice>,
}

impl Ports {
    pub(crate) fn new(config: Config, now: Timestamp) -> Self {
        let seed = config.seed;
        Ports {
            now,
            began: now,
            last_stamp: now,
            seed,
            ids: IdSource::new(seed.fork("ids")),
            timeline: Timeline::default(),
            journal: Journal::default(),
            ledger: Ledger::default(),
            metrics: Metrics::default(),
            identities: Identities::new(&config.app_keys, seed),
            topics: Topics::default(),
            notices: VecDeque::new(),
            config,
        }
    }

    /// The network begins anew: stamps go on rising, and who waits goes on waiting.
    pub(crate) fn take_over(&mut self, old: &mut Ports) {
        self.last_stamp = old.last_stamp;
        self.take_over_waiters(old);
    }

    /// Who waits goes on waiting.
    pub(crate) fn take_over_waiters(&mut self, old: &mut Ports) {
        self.topics = std::mem::take(&mut old.topics);
    }

    /// Nobody waits.
    pub(crate) fn forget_waiters(&mut self) {
        self.topics = Topics::default();
    }

    /// A stamp for an event: now, at microsecond precision, strictly after every earlier stamp.
    /// Clients page by these stamps with `>` (`yagna-rest.md` trap 4).
    pub fn stamp(&mut self) -> Timestamp {
        let micros = self
            .now
            .as_microsecond()
            .max(self.last_stamp.as_microsecond() + 1);
        self.last_stamp = Timestamp::from_microsecond(micros).unwrap_or(self.now);
        self.last_stamp
    }

    /// Wakes the long polls on `topic`.
    pub(crate) fn wake(&self, topic: &Topic) {
        self.topics.wake(topic);
    }

    /// Sends a message to a provider's agent.
    pub(crate) fn tell(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }

    /// `delay` after now, or the end of time.
    pub(crate) fn later(&self, delay: Duration) -> Timestamp {
        later(self.now, delay)
    }

    /// Schedules `action`, `delay` after now.
    pub(crate) fn after(&mut self, delay: Duration, action: Action) -> Ticket {
        let at = self.later(delay);
        self.timeline.schedule(at, action)
    }

    /// Withdraws what was scheduled, if it was.
    pub(crate) fn cancel(&mut self, tickets: impl IntoIterator<Item = Ticket>) {
        for ticket in tickets {
            self.timeline.cancel(ticket);
        }
    }

    /// Writes down that something happened now.
    pub(crate) fn record(&mut self, actor: Actor, event: Event) {
        self.metrics.count(&actor, &event);
        self.journal.push(self.now, actor, event);
    }

    /// How the journal names `node`.
    pub(crate) fn actor(&self, node: &NodeId) -> Actor {
        self.identities.actor(node)
    }

    /// Tells the ledger what just happened.
    pub(crate) fn post(&mut self, by: Actor, fact: Fact) {
        self.ledger.post(self.now, by, fact);
    }

    /// Books what was posted since the last step; broken laws go to the journal.
    pub(crate) fn check_laws(&mut self) {
        for violation in self.ledger.book_pending() {
            tracing::error!("{violation}");
            let law = format!("{}: {}", violation.law, violation.detail);
            self.record(violation.by, Event::LawBroken { law });
        }
    }
}

/// `delay` after `now`, or the end of time.
pub(crate) fn later(now: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| now.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}
