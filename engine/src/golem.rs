//! The engine's handle. Owns: construction from the environment, the shared core (allocation,
//! identity, loops) and the order in which everything starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use golem_wire::{Glm, NodeId};
use jiff::Timestamp;

use crate::api::Rest;
use crate::clock::{Clock, SystemClock};
use crate::config::{AppKey, Config};
use crate::error::{ConfigError, Error};
use crate::event::{Consumer, Emitter, Event, EventKind};
use crate::market::Rentals;
use crate::model::JobId;
use crate::payment::Payments;
use crate::rng::Seed;
use crate::shutdown::ShutdownReport;
use crate::strategy::MarketStrategy;
use crate::summary::SummaryLogger;
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// A running engine. Cheap to clone; ended by [`stop`](Self::stop).
#[derive(Clone)]
pub struct Golem {
    core: Arc<Core>,
}

/// What all parts of an engine share.
pub(crate) struct Core {
    config: Config,
    rest: Rest,
    clock: Arc<dyn Clock>,
    seed: Seed,
    emitter: Emitter,
    strategy: Arc<dyn MarketStrategy>,
    tasks: TaskGroup,
    jobs: TaskGroup,
    node_id: NodeId,
    app_session: String,
    rentals: Rentals,
    payments: Payments,
    next_job: AtomicU64,
    summary: SummaryLogger,
}

impl Core {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn emitter(&self) -> &Emitter {
        &self.emitter
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

    pub(crate) fn rentals(&self) -> &Rentals {
        &self.rentals
    }

    pub(crate) fn payments(&self) -> &Payments {
        &self.payments
    }

    /// The id of the next job: `service-1`, `tasks-2`, …
    pub(crate) fn next_job(&self, kind: &str) -> JobId {
        JobId::new(format!("{kind}-{}", self.next_job.fetch_add(1, Ordering::Relaxed)))
    }
}
