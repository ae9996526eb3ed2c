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
mod mismatch;
mod property;
mod proposal;
mod scan;

use golem_wire::{AgreementId, DemandId, NodeId, ProposalId};
use indexmap::{IndexMap, IndexSet};

pub(crate) use agreement::Agreement;
pub(crate) use agreement::AgreementFilter;
pub(crate) use demand::Demand;
pub(crate) use error::MarketError;
pub(crate) use event::EventFilter;
pub use mismatch::{DemandMatches, Mismatch, UnmatchedOffer};
pub(crate) use property::flatten;
pub(crate) use proposal::Proposal;

use crate::ports::Ports;
use crate::provider::Providers;
use crate::rng::{Seed, Stream};
use crate::timeline::MarketDue;
use event::AgreementLog;
use scan::Scan;

/// Everything the market remembers.
#[derive(Clone, Debug)]
pub(crate) struct Market {
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
    rng: Stream,
}

impl Market {
    /// A market whose random choices come from `seed`.
    pub(crate) fn new(seed: Seed) -> Self {
        Market {
            demands: IndexMap::new(),
            living: IndexSet::new(),
            proposals: IndexMap::new(),
            agreements: IndexMap::new(),
            agreements_by: IndexMap::new(),
            log: IndexMap::new(),
            scans: IndexMap::new(),
            scans_begun: 0,
            rng: seed.fork("market").stream(),
        }
    }

    /// Draws from another seed from now on.
    pub(crate) fn draw_anew(&mut self, seed: Seed) {
        self.rng = seed.fork("market").stream();
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

impl Market {
    /// Performs what the market had scheduled.
    pub(crate) fn perform(&mut self, ports: &mut Ports, providers: &Providers, due: MarketDue) {
        match due {
            MarketDue::ExpireDemand(demand) => self.expire_demand(ports, &demand),
            MarketDue::ForgetDemand(demand) => self.forget_demand(&demand),
            MarketDue::Offer { demand, provider } => {
                self.deliver_offer(ports, providers, &demand, &provider);
            }
            MarketDue::ExpireAgreement(agreement) => self.expire_agreement(ports, &agreement),
        }
    }

    /// What the daemon does not store is gone: demands, proposals, scans.
    pub(crate) fn forget_negotiations(&mut self, ports: &mut Ports) {
        ports.cancel(self.living_demands().map(Demand::expiry));
        self.demands.clear();
        self.living.clear();
        self.proposals.clear();
        self.scans.clear();
    }
}

#[cfg(test)]
mod tests;
