//! What all parts of an engine share. Owns: handing it to them. Does not own: putting it together
//! (`start.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use golem_wire::NodeId;
use jiff::Timestamp;

use crate::api::Rest;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon_health::DaemonHealth;
use crate::event::{Emitter, EventKind};
use crate::journal::{Log, OpenState};
use crate::market::{DemandSubscription, Rentals};
use crate::model::JobId;
use crate::payment::Payments;
use crate::recovery::{Recovered, ResumableInstances};
use crate::rng::Seed;
use crate::shutdown::StopRequest;
use crate::strategy::MarketStrategy;
use crate::summary::SummaryLogger;
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// What all parts of an engine share.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) rest: Rest,
    pub(crate) transport: Transport,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: Seed,
    pub(crate) emitter: Emitter,
    pub(crate) strategy: Arc<dyn MarketStrategy>,
    pub(crate) tasks: TaskGroup,
    pub(crate) loops: TaskGroup,
    pub(crate) signing: TaskGroup,
    pub(crate) jobs: TaskGroup,
    pub(crate) node_id: NodeId,
    pub(crate) app_session: String,
    pub(crate) log: Log,
    pub(crate) rentals: Rentals,
    pub(crate) payments: Payments,
    pub(crate) daemon_health: DaemonHealth,
    pub(crate) markets: Mutex<Vec<Weak<DemandSubscription>>>,
    pub(crate) next_job: AtomicU64,
    pub(crate) summary: SummaryLogger,
    pub(crate) stop_request: StopRequest,
    /// Number of the first request of this life.
    pub(crate) first_op: u64,
    /// What was open when this life began.
    pub(crate) before: OpenState,
    pub(crate) recovered: Recovered,
    pub(crate) resumable: ResumableInstances,
}

impl Context {
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
    pub(crate) fn remember_market(&self, subscription: &Arc<DemandSubscription>) {
        let mut markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        markets.retain(|subscription| subscription.strong_count() > 0);
        markets.push(Arc::downgrade(subscription));
    }

    /// The markets that may still be open.
    pub(crate) fn markets(&self) -> Vec<Arc<DemandSubscription>> {
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
    pub(crate) fn before(&self) -> &OpenState {
        &self.before
    }

    /// What earlier lives left open, and what became of it.
    pub(crate) fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Instances of earlier lives that wait for their service.
    pub(crate) fn resumable(&self) -> &ResumableInstances {
        &self.resumable
    }

    /// The wish to stop, and the end.
    pub(crate) fn stop_request(&self) -> &StopRequest {
        &self.stop_request
    }

    /// Knows whether the daemon is there.
    pub(crate) fn daemon_health(&self) -> &DaemonHealth {
        &self.daemon_health
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
