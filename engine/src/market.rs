//! Renting machines: demands, proposals, agreements. Owns: the loops that perform what
//! [`lifecycle`](crate::lifecycle) decides. Used by services and tasks through [`Market`] and
//! [`Rental`], and by nobody else.

mod agreement_events;
mod demand;
mod handshake;
mod negotiator;
mod pool;
mod proposal_index;
mod provider_debts;
mod provider_history;
mod refusals;
mod rental;
mod rentals;
mod subscription;
mod terminate;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use golem_wire::NodeId;
use jiff::Timestamp;

pub use crate::lifecycle::agreement::{AgreementEnd, EndedBy};
pub(crate) use agreement_events::follow_agreements;
pub(crate) use demand::SESSION_PROPERTY;
pub(crate) use provider_debts::{DebtStanding, ProviderDebts};
pub use refusals::{MarketSummary, Refusal};
pub(crate) use rental::{RECOVERED, Rental, offer_of};
pub(crate) use rentals::{LeftOpen, Rentals};
pub(crate) use subscription::DemandSubscription;
pub(crate) use terminate::terminate;

use crate::api::ApiError;
use crate::context::Context;
use crate::error::Error;
use crate::model::{JobId, ResolvedPayload};

/// Why no machine was rented.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// Nothing usable was offered within the deadline.
    #[error("no offer was good enough within {within:?}: {summary}")]
    NoOffers {
        /// The deadline.
        within: std::time::Duration,
        /// What was seen, and why it was refused.
        summary: Box<MarketSummary>,
    },
    /// The demand's time is over.
    #[error("the demand's expiration {0} has passed; give the job more time")]
    Expired(Timestamp),
    /// The market of this job was closed.
    #[error("the market of this job is closed")]
    Closed,
    /// The daemon refused in a way that trying again cannot change.
    #[error(transparent)]
    Api(ApiError),
}

/// A published demand and everything that came of it. Cheap to clone; closed by
/// [`close`](Self::close), not by being dropped.
#[derive(Clone)]
pub(crate) struct Market(Arc<DemandSubscription>);

impl Context {
    /// Publishes a demand for the payload and begins to collect and counter proposals.
    ///
    /// # Errors
    /// The daemon's refusal of the demand, or [`Error::Stopped`].
    pub(crate) async fn open_market(
        self: &Arc<Self>,
        job: JobId,
        payload: &ResolvedPayload,
        expiration: Timestamp,
    ) -> Result<Market, Error> {
        DemandSubscription::open(self, job, payload, expiration)
            .await
            .map(Market)
    }
}

impl Market {
    /// Rents a machine: waits for a draft, promotes and confirms it, and waits for the provider's
    /// approval; the next draft after a refusal. Many run at once. Providers in `avoid` are the
    /// last resort.
    ///
    /// # Errors
    /// [`SignError`], when nothing was rented.
    ///
    /// # Cancel safety
    /// Cancel-safe: an agreement that nobody waits for any more is cancelled or terminated.
    pub(crate) async fn sign(&self, avoid: &[NodeId]) -> Result<Arc<Rental>, SignError> {
        self.0.sign(avoid).await
    }

    /// Withdraws the demand. Agreements are not touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }

    /// Offers seen up to now, and why they were refused.
    #[cfg(test)]
    pub(crate) fn refusals(&self) -> MarketSummary {
        self.0.summary()
    }
}
