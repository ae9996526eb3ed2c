//! Renting machines: demands, proposals, agreements. Owns: the loops that perform what
//! [`lifecycle`](crate::lifecycle) decides, and the record of each agreement ([`Rental`]). Does not
//! own: documents and money (`payment/`).

mod agreement_events;
mod budget;
mod demand;
mod own_allocations;
mod pool;
mod proposal_index;
mod provider_debts;
mod provider_history;
mod refusals;
mod rental;
mod rentals;
mod scan;
mod signing;
mod starvation;
mod subscription;
mod terms;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;

pub use crate::lifecycle::agreement::{AgreementEnd, EndedBy};
pub use crate::lifecycle::negotiation::{RefusedBy, RefusedFor};
pub use crate::model::{MarketSummary, Refusal};
pub(crate) use agreement_events::follow_agreements;
pub(crate) use budget::{Budget, watch_over};
pub use budget::{BudgetExhausted, BudgetStatus};
pub use demand::DemandPreview;
pub(crate) use demand::{SHORTEST_RENTAL, of_subnet, preview};
pub(crate) use own_allocations::{OwnAllocation, OwnAllocations, OwnBudget};
pub(crate) use provider_debts::{DebtStanding, ProviderDebts};
pub(crate) use rental::Rental;
pub use rentals::OpenAgreement;
pub(crate) use rentals::Rentals;
pub use scan::Scan;
pub(crate) use scan::{Filter as ScanFilter, begin as begin_scan};
pub(crate) use subscription::DemandSubscription;

use crate::api::ApiError;
use crate::cause::Cause;
use crate::context::Context;
use crate::strategy::HookPanic;

/// Longest that anything is waited for here: "for ever" in a setting is no reason to panic.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

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
    /// The budget is used up, or has no room for one more machine.
    #[error(transparent)]
    Budget(#[from] BudgetExhausted),
    /// The daemon refused in a way that trying again cannot change.
    #[error(transparent)]
    Api(ApiError),
}

/// Why no demand was published.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    /// The engine is stopping or stopped.
    #[error("the engine is stopped")]
    Stopped,
    /// The daemon refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Code of the user's panicked.
    #[error("{0}")]
    Callback(HookPanic),
}

impl SubscribeError {
    /// It, as the error that it is.
    fn cause(&self) -> Cause {
        match self {
            SubscribeError::Api(error) => Cause::new(error.clone()),
            SubscribeError::Stopped | SubscribeError::Callback(_) => Cause::new(self.clone()),
        }
    }
}

/// The demands of an engine, and the agreements that came of them.
pub(crate) struct Market {
    context: Arc<Context>,
    rentals: Arc<Rentals>,
    /// What agreements are paid from.
    own_allocations: Arc<OwnAllocations>,
    subscriptions: Mutex<Vec<Weak<DemandSubscription>>>,
}

impl Market {
    pub(crate) fn new(
        context: Arc<Context>,
        rentals: Arc<Rentals>,
        own_allocations: Arc<OwnAllocations>,
    ) -> Self {
        Market {
            context,
            rentals,
            own_allocations,
            subscriptions: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<DemandSubscription>>> {
        // Every statement leaves the list consistent.
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Agreements by id.
    pub(crate) fn rentals(&self) -> &Arc<Rentals> {
        &self.rentals
    }

    /// What may still be spent, and on what.
    pub(crate) fn own_allocations(&self) -> &Arc<OwnAllocations> {
        &self.own_allocations
    }

    /// Demands that may still be published.
    pub(crate) fn subscriptions(&self) -> Vec<Arc<DemandSubscription>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Remembers a demand, to withdraw it when the engine stops.
    fn remember(&self, subscription: &Arc<DemandSubscription>) {
        let mut subscriptions = self.lock();
        subscriptions.retain(|subscription| subscription.strong_count() > 0);
        subscriptions.push(Arc::downgrade(subscription));
    }
}
