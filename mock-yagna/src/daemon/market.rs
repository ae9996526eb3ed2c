//! The market: demands, offers, proposals, agreements and their events.
//!
//! Owns what the daemon's market keeps and the rules by which it changes. Does not own: what a
//! provider decides (`agent`), money (`payment`), HTTP. Everything is found by id; the only
//! walk over providers is the matching of a new demand, the only one over demands a provider's
//! return to the market.

mod agreement;
mod demand;
mod error;
mod event;
mod matching;
mod property;
mod proposal;
mod scan;
mod subscription;

use golem_wire::common::Reason;
use golem_wire::{AgreementId, DemandId, NodeId, ProposalId};
use indexmap::{IndexMap, IndexSet};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use agreement::Agreement;
pub(crate) use agreement::AgreementFilter;
pub(crate) use demand::{Demand, LIFE};
pub(crate) use error::MarketError;
pub(crate) use event::EventFilter;
pub(crate) use property::flatten;
pub(crate) use proposal::Proposal;
pub(crate) use subscription::{OfferSubscription, first_age};

use crate::rng::Seed;
use crate::world::State;
use event::AgreementLog;
use scan::Scan;

/// What the market will do by itself.
#[derive(Debug)]
pub enum Due {
    /// A demand reaches the end of its life time.
    ExpireDemand(DemandId),
    /// Nobody can want to look at what became of an ended demand any more.
    ForgetDemand(DemandId),
    /// A provider's offer reaches the end of its life time.
    ExpireOffer(NodeId),
    /// A provider's offer reaches a demand.
    Offer {
        /// To whom.
        demand: DemandId,
        /// Whose.
        provider: NodeId,
    },
    /// The provider answers a counter-proposal.
    Answer(ProposalId),
    /// The provider decides about a confirmed agreement.
    Decide(AgreementId),
    /// An agreement's time to be approved is over.
    ExpireAgreement(AgreementId),
    /// A provider's behaviour may change.
    Conduct(NodeId),
    /// A provider goes silent.
    Silence(NodeId),
    /// The provider ends an approved agreement.
    Terminate(AgreementId, Reason),
}

/// Everything the market remembers.
#[derive(Debug)]
pub struct Market {
    demands: IndexMap<DemandId, Demand>,
    /// Demands that still receive offers, in order of subscription.
    living: IndexSet<DemandId>,
    /// Boxed: the map grows by doubling.
    proposals: IndexMap<ProposalId, Box<Proposal>>,
    agreements: IndexMap<AgreementId, Agreement>,
    /// Agreements by requestor, in order of creation.
    agreements_by: IndexMap<NodeId, Vec<AgreementId>>,
    /// Agreement events by requestor.
    log: IndexMap<NodeId, AgreementLog>,
    scans: IndexMap<u64, Scan>,
    scans_begun: u64,
    /// The order in which proposals leave their queue.
    rng: ChaCha8Rng,
}

impl Default for Market {
    fn default() -> Self {
        Market {
            demands: IndexMap::new(),
            living: IndexSet::new(),
            proposals: IndexMap::new(),
            agreements: IndexMap::new(),
            agreements_by: IndexMap::new(),
            log: IndexMap::new(),
            scans: IndexMap::new(),
            scans_begun: 0,
            rng: ChaCha8Rng::seed_from_u64(0),
        }
    }
}

impl Market {
    /// A market whose random choices come from `seed`.
    pub(crate) fn new(seed: Seed) -> Self {
        Market {
            rng: seed.fork("market").rng(),
            ..Market::default()
        }
    }

    /// All agreements, in order of creation.
    pub(crate) fn agreements(&self) -> impl Iterator<Item = &Agreement> {
        self.agreements.values()
    }

    /// How many demands live.
    pub(crate) fn living_demands(&self) -> impl Iterator<Item = &Demand> {
        self.living.iter().filter_map(|id| self.demands.get(id))
    }
}

impl State {
    /// Performs what the market had scheduled.
    pub(crate) fn market_due(&mut self, due: Due) {
        match due {
            Due::ExpireDemand(demand) => self.expire_demand(&demand),
            Due::ForgetDemand(demand) => self.forget_demand(&demand),
            Due::ExpireOffer(provider) => self.expire_offer(&provider),
            Due::Offer { demand, provider } => self.deliver_offer(&demand, &provider),
            Due::Answer(proposal) => self.answer_proposal(&proposal),
            Due::Decide(agreement) => self.decide_agreement(&agreement),
            Due::ExpireAgreement(agreement) => self.expire_agreement(&agreement),
            Due::Conduct(provider) => self.reconsider(&provider),
            Due::Silence(provider) => self.set_silent(&provider, true),
            Due::Terminate(agreement, reason) => self.terminate_by_provider(&agreement, reason),
        }
    }

    /// What the daemon does not store is gone: demands, proposals, scans.
    pub(crate) fn forget_negotiations(&mut self) {
        let market = &mut self.market;
        let expiries: Vec<_> = market.living_demands().map(Demand::expiry).collect();
        for ticket in expiries {
            self.timeline.cancel(ticket);
        }
        let market = &mut self.market;
        market.demands.clear();
        market.living.clear();
        market.proposals.clear();
        market.scans.clear();
    }

    /// Looks an agreement up.
    pub(crate) fn agreement(&self, id: &AgreementId) -> Option<&Agreement> {
        self.market.agreements.get(id)
    }
}

#[cfg(test)]
mod tests;
