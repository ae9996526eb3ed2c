//! What all parts of an engine share. Owns: handing it to them. Does not own: putting it together
//! (`start.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use golem_wire::NodeId;
use jiff::Timestamp;

use crate::api::Rest;
use crate::clock::Clock;
use crate::config::Config;
use crate::event::{Emitter, EventKind};
use crate::journal::{Book, Log};
use crate::market::{Desk, Rentals};
use crate::model::JobId;
use crate::payment::Payments;
use crate::presence::Watchman;
use crate::recovery::{Claims, Recovered};
use crate::rng::Seed;
use crate::shutdown::Ending;
use crate::strategy::MarketStrategy;
use crate::summary::SummaryLogger;
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// What all parts of an engine share.
pub(crate) struct Core {
    pub(super) config: Config,
    pub(super) rest: Rest,
    pub(super) transport: Transport,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: Seed,
    pub(super) emitter: Emitter,
    pub(super) strategy: Arc<dyn MarketStrategy>,
    pub(super) tasks: TaskGroup,
    pub(super) loops: TaskGroup,
    pub(super) signing: TaskGroup,
    pub(super) jobs: TaskGroup,
    pub(super) node_id: NodeId,
    pub(super) app_session: String,
    pub(super) log: Log,
    pub(super) rentals: Rentals,
    pub(super) payments: Payments,
    pub(super) watchman: Watchman,
    pub(super) markets: Mutex<Vec<Weak<Desk>>>,
    pub(super) next_job: AtomicU64,
    pub(super) summary: SummaryLogger,
    pub(super) ending: Ending,
    /// Number of the first request of this life.
    pub(super) first_op: u64,
    /// What was open when this life began.
    pub(super) before: Book,
    pub(super) recovered: Recovered,
    pub(super) claims: Claims,
}

impl Core {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        self.emitter.emit(kind);
    }

    pub(crate) fn strategy(&self) -> &dyn MarketStrategy {
        &*self.strategy
    }

    /// Requests that change the daemon's state, and the engine's loops. Lives until the very end.
    pub(crate) fn tasks(&self) -> &TaskGroup {
        &self.tasks
    }

    /// Loops that follow the daemon's events.
    pub(crate) fn loops(&self) -> &TaskGroup {
        &self.loops
    }

    /// Agreements on their way.
    pub(crate) fn signing(&self) -> &TaskGroup {
        &self.signing
    }

    /// The way to the daemon, for websockets and registries.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Remembers a market, to close it when the engine stops.
    pub(crate) fn remember_market(&self, desk: &Arc<Desk>) {
        let mut markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        markets.retain(|desk| desk.strong_count() > 0);
        markets.push(Arc::downgrade(desk));
    }

    /// The markets that may still be open.
    pub(crate) fn markets(&self) -> Vec<Arc<Desk>> {
        let markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        markets.iter().filter_map(Weak::upgrade).collect()
    }

    /// Services and task lists. Cancelled first when the engine stops: they then end in order,
    /// and still may use [`tasks`](Self::tasks).
    pub(crate) fn jobs(&self) -> &TaskGroup {
        &self.jobs
    }

    /// The engine's seed; fork it by a label of your own.
    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    pub(crate) fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    pub(crate) fn app_session(&self) -> &str {
        &self.app_session
    }

    /// The journal: what is open, and the place for facts that no request tells.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Requests with smaller numbers are those of earlier lives.
    pub(crate) fn first_op(&self) -> u64 {
        self.first_op
    }

    /// What was open when this life began.
    pub(crate) fn before(&self) -> &Book {
        &self.before
    }

    /// What earlier lives left open, and what became of it.
    pub(crate) fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Instances of earlier lives that wait for their service.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The wish to stop, and the end.
    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Knows whether the daemon is there.
    pub(crate) fn watchman(&self) -> &Watchman {
        &self.watchman
    }

    pub(crate) fn rentals(&self) -> &Rentals {
        &self.rentals
    }

    pub(crate) fn payments(&self) -> &Payments {
        &self.payments
    }

    /// The id of the next job: `service-1`, `tasks-2`, …
    pub(crate) fn next_job(&self, kind: &str) -> JobId {
        JobId::new(format!(
            "{kind}-{}",
            self.next_job.fetch_add(1, Ordering::Relaxed)
        ))
    }
}
