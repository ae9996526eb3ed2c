//! The engine's handle. Owns: what can be asked of a running engine, and noticing that nobody holds
//! it any more.

mod builder;
mod start;

use std::fmt;
use std::sync::Arc;

use golem_wire::NodeId;

pub use builder::GolemBuilder;

use crate::config::Config;
use crate::context::Context;
use crate::recovery::{self, RecoveryReport};
use crate::summary::Summary;

/// A running engine. Cheap to clone; ended by [`stop`](Self::stop). When the last handle is dropped
/// without it, everything is cut off, and what was rented stays rented until the daemon's timeouts.
#[derive(Clone)]
pub struct Golem {
    context: Arc<Context>,
    _alive: Arc<Alive>,
}

impl Golem {
    /// A builder that takes what it is not told from the environment.
    pub fn builder() -> GolemBuilder {
        GolemBuilder::default()
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Who we are on the network.
    pub fn node_id(&self) -> &NodeId {
        self.context.node_id()
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        self.context.config()
    }

    /// What an earlier life of the journal left open, and what became of it up to now.
    pub fn recovered(&self) -> RecoveryReport {
        self.context.recovered.report(&self.context)
    }

    /// Settles what an earlier life left open and is open still: because the daemon did not tell
    /// about it, or by [`Recovery::Report`](crate::Recovery::Report). What this life opened is not
    /// touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn recover(&self) -> RecoveryReport {
        let context = Arc::clone(&self.context);
        let done = self.context.tasks.run("recover-again", async move {
            recovery::again(&context).await;
        });
        if let Err(lost) = done.await {
            tracing::error!(%lost, "recovery did not end in order");
        }
        self.recovered()
    }

    /// What happened so far.
    pub fn summary(&self) -> Summary {
        self.context.summary.summary()
    }
}

impl fmt::Debug for Golem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Golem")
            .field("node_id", &self.context.node_id)
            .finish_non_exhaustive()
    }
}

/// Notices that the last handle is gone.
struct Alive(Arc<Context>);

impl Drop for Alive {
    fn drop(&mut self) {
        let context = &self.0;
        if context.stop_request.is_wanted() {
            return;
        }
        for rental in context.rentals.all() {
            if rental.is_open() {
                tracing::error!(agreement = %rental.agreement_id, provider = %rental.provider_name,
                    "dropped without stop(): the agreement stays in force until the provider ends it");
            }
        }
        let allocation = context.payments.allocation().allocation_id;
        tracing::error!(%allocation, "dropped without stop(): the budget stays reserved until its timeout");
        context.jobs.cancel();
        context.tasks.cancel();
        context.rentals.clear();
    }
}
