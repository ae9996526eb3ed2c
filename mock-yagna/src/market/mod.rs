//! The market: demands, offers, proposals, agreements and their events.
//!
//! Owns what the daemon's market keeps and the rules by which it changes. Does not own: what a
//! provider decides (`provider`), money (`payment`), HTTP.

mod agreement;

pub use agreement::Agreement;

use golem_wire::AgreementId;
use golem_wire::common::Reason;
use indexmap::IndexMap;

use crate::world::State;

/// What the market will do by itself.
#[derive(Debug)]
pub enum Due {
    /// The provider decides about a confirmed agreement.
    Decide(AgreementId),
}

/// Everything the market remembers.
#[derive(Debug, Default)]
pub struct Market {
    pub(crate) agreements: IndexMap<AgreementId, Agreement>,
}

impl State {
    /// Performs what the market had scheduled.
    pub(crate) fn market_due(&mut self, due: Due) {
        match due {
            Due::Decide(_) => {}
        }
    }

    /// Looks an agreement up.
    pub(crate) fn agreement(&self, id: &AgreementId) -> Option<&Agreement> {
        self.market.agreements.get(id)
    }

    /// The provider ends an agreement; nothing happens unless it is approved.
    pub(crate) fn terminate_by_provider(&mut self, _agreement: &AgreementId, _reason: Reason) {}
}
