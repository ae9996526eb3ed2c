//! Everything the daemon and its network remember: what is due, who waits for what, and the work
//! that a step leaves to tasks.
//!
//! Does not own: the lock around it, the loop that moves its time and the tasks (`world`).

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::World;
use crate::agent::Providers;
use crate::config::{Config, ProviderSpec};
use crate::daemon::activity::{self, Activities};
use crate::daemon::gsb::Gsb;
use crate::daemon::market::{self, Market};
use crate::daemon::net::Networks;
use crate::daemon::payment::{self, Payments};
use crate::fault::Faults;
use crate::identity::Identities;
use crate::ids::IdSource;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::rng::Seed;
use crate::timeline::Timeline;

/// Something that will happen, owned by the noun that knows how.
#[derive(Debug)]
pub enum Action {
    /// Offers, proposals, agreements.
    Market(market::Due),
    /// Exe-units and their commands.
    Activity(activity::Due),
    /// Debit notes, invoices, allocations.
    Payment(payment::Due),
}

/// What a long poll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Lifting faults.
    Faults,
    /// Offers of the market.
    Offers,
    /// Events of one demand.
    Demand(golem_wire::DemandId),
    /// Approval of one agreement.
    Agreement(golem_wire::AgreementId),
    /// Agreement events of one identity.
    AgreementEvents(golem_wire::NodeId),
    /// State of one activity.
    Activity(golem_wire::ActivityId),
    /// Results of one batch.
    Batch(golem_wire::BatchId),
    /// Invoice events of one identity.
    InvoiceEvents(golem_wire::NodeId),
    /// Debit-note events of one identity.
    DebitNoteEvents(golem_wire::NodeId),
    /// Frames for one gsb service.
    Gsb(String),
}

/// Everything the daemon and its network remember.
#[derive(Debug)]
pub struct State {
    /// Calendar time of the current step.
    pub now: Timestamp,
    /// When the network started.
    pub(crate) began: Timestamp,
    pub(crate) last_stamp: Timestamp,
    /// Without its providers: those are the fleet.
    pub(crate) config: Config,
    /// The providers as they were configured.
    pub(crate) fleet: Vec<Arc<ProviderSpec>>,
    pub(crate) seed: Seed,
    pub(crate) ids: IdSource,
    pub(crate) timeline: Timeline<Action>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) identities: Identities,
    pub(crate) market: Market,
    pub(crate) providers: Providers,
    pub(crate) activities: Activities,
    pub(crate) gsb: Gsb,
    pub(crate) networks: Networks,
    pub(crate) metrics: Metrics,
    pub(crate) payments: Payments,
    pub(crate) faults: Faults,
    pub(super) topics: IndexMap<Topic, Arc<Notify>>,
    pub(super) background: Vec<Job>,
}

/// Work that needs `await`: it runs as a task once the step that asked for it is over.
pub(super) enum Job {
    /// Ends with the network at the latest.
    Work(Box<dyn FnOnce(World) -> BoxFuture<'static, ()> + Send>),
    /// Runs to its end; the network's stop waits for it.
    CleanUp(BoxFuture<'static, ()>),
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

impl State {
    pub(crate) fn new(mut config: Config, now: Timestamp) -> Self {
        let fleet = std::mem::take(&mut config.providers)
            .into_iter()
            .map(Arc::new)
            .collect();
        Self::with_fleet(config, fleet, now)
    }

    /// A network of the same configuration, as if it had just been started.
    pub(crate) fn anew(&self) -> Self {
        Self::with_fleet(self.config.clone(), self.fleet.clone(), self.now)
    }

    fn with_fleet(config: Config, fleet: Vec<Arc<ProviderSpec>>, now: Timestamp) -> Self {
        let seed = config.seed;
        let mut state = State {
            now,
            began: now,
            last_stamp: now,
            seed,
            ids: IdSource::new(seed.fork("ids")),
            timeline: Timeline::default(),
            journal: Journal::default(),
            ledger: Ledger::default(),
            identities: Identities::default(),
            market: Market::default(),
            providers: Providers::default(),
            activities: Activities::default(),
            gsb: Gsb::default(),
            networks: Networks::default(),
            metrics: Metrics::default(),
            payments: Payments::default(),
            faults: Faults::default(),
            topics: IndexMap::new(),
            background: Vec::new(),
            fleet,
            config,
        };
        state.populate();
        state.begin_phases();
        state.begin_faults();
        state
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
    pub(crate) fn wake(&mut self, topic: &Topic) {
        if let Some(notify) = self.topics.get(topic) {
            notify.notify_waiters();
        }
    }

    /// Starts `job` as a task of the network after the current step.
    pub(crate) fn in_background<F>(&mut self, job: impl FnOnce(World) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.background
            .push(Job::Work(Box::new(|world| job(world).boxed())));
    }

    /// Like [`State::in_background`] for work that has to be finished even when the network stops.
    pub(crate) fn clean_up(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.background.push(Job::CleanUp(job.boxed()));
    }

    pub(super) fn watch(&mut self, topic: &Topic) -> Arc<Notify> {
        self.topics.entry(topic.clone()).or_default().clone()
    }

    pub(super) fn unwatch(&mut self, topic: &Topic, notify: &Arc<Notify>) {
        // The map's handle and the caller's: nobody else waits.
        if Arc::strong_count(notify) <= 2 {
            self.topics.swap_remove(topic);
        }
    }

    /// Takes over from `old` what the world still has to do with.
    pub(crate) fn take_over(&mut self, old: &mut State) {
        self.keep_open_requests(old);
        self.topics = std::mem::take(&mut old.topics);
        self.background.append(&mut old.background);
    }

    pub(super) fn run_due(&mut self, now: Timestamp) {
        while let Some((due, action)) = self.timeline.pop_due(now) {
            self.now = self.now.max(due);
            match action {
                Action::Market(due) => self.market_due(due),
                Action::Activity(due) => self.activity_due(due),
                Action::Payment(due) => self.payment_due(due),
            }
            self.check_laws();
        }
        self.now = self.now.max(now);
    }
}
