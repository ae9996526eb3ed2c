//! The engine's handle. Owns: what can be asked of a running engine, and noticing that nobody holds
//! it any more.

mod builder;
mod core;
mod start;

use std::fmt;
use std::sync::Arc;

use golem_wire::NodeId;

pub(crate) use self::core::Core;
pub use builder::GolemBuilder;

use crate::config::Config;
use crate::recovery::{self, RecoveryReport};
use crate::summary::Summary;

/// A running engine. Cheap to clone; ended by [`stop`](Self::stop). When the last handle is dropped
/// without it, everything is cut off, and what was rented stays rented until the daemon's timeouts.
#[derive(Clone)]
pub struct Golem {
    core: Arc<Core>,
    _alive: Arc<Alive>,
}

impl Golem {
    /// A builder that takes what it is not told from the environment.
    pub fn builder() -> GolemBuilder {
        GolemBuilder::default()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Who we are on the network.
    pub fn node_id(&self) -> &NodeId {
        self.core.node_id()
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        self.core.config()
    }

    /// What an earlier life of the journal left open, and what became of it up to now.
    pub fn recovered(&self) -> RecoveryReport {
        self.core.recovered.report(&self.core)
    }

    /// Settles what an earlier life left open and is open still: because the daemon did not tell
    /// about it, or by [`Recovery::Report`](crate::Recovery::Report). What this life opened is not
    /// touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn recover(&self) -> RecoveryReport {
        let core = Arc::clone(&self.core);
        let done = self.core.tasks.run("recover-again", async move {
            recovery::again(&core).await;
        });
        if let Err(lost) = done.await {
            tracing::error!(%lost, "recovery did not end in order");
        }
        self.recovered()
    }

    /// What happened so far.
    pub fn summary(&self) -> Summary {
        self.core.summary.summary()
    }
}

impl fmt::Debug for Golem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Golem")
            .field("node_id", &self.core.node_id)
            .finish_non_exhaustive()
    }
}

/// Notices that the last handle is gone.
struct Alive(Arc<Core>);

impl Drop for Alive {
    fn drop(&mut self) {
        let core = &self.0;
        if core.ending.is_wanted() {
            return;
        }
        for rental in core.rentals.all() {
            if rental.is_open() {
                tracing::error!(agreement = %rental.agreement_id, provider = %rental.provider_name,
                    "dropped without stop(): the agreement stays in force until the provider ends it");
            }
        }
        let allocation = core.payments.allocation().allocation_id;
        tracing::error!(%allocation, "dropped without stop(): the budget stays reserved until its timeout");
        core.jobs.cancel();
        core.tasks.cancel();
        core.rentals.clear();
    }
}
