//! Agreements.

use golem_wire::market::{AgreementEvent, AgreementState, Demand, Offer};
use golem_wire::{AgreementId, NodeId};
use jiff::Timestamp;
use serde_json::Value;

/// One agreement.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub(crate) id: AgreementId,
    pub(crate) requestor: NodeId,
    pub(crate) provider: NodeId,
    /// The requestor's last counter-proposal.
    pub(crate) demand: Demand,
    /// The provider's draft that was promoted.
    pub(crate) offer: Offer,
    pub(crate) state: AgreementState,
    pub(crate) valid_to: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) approved_at: Option<Timestamp>,
    /// When an approved agreement ended.
    pub(crate) ended_at: Option<Timestamp>,
    /// Given at confirmation; filters events.
    pub(crate) app_session: Option<String>,
    /// The event that ended it.
    pub(crate) terminated: Option<AgreementEvent>,
}

impl Agreement {
    /// The offer's value of a property that both sides carry, such as the `?` properties of payment.
    pub(crate) fn negotiated(&self, key: &str) -> Option<&Value> {
        self.demand.properties.get(key)?;
        self.offer.properties.get(key)
    }
}
