//! Matching demands with offers, both ways, and bringing offers to demands.

use std::sync::Arc;

use golem_wire::market::ProposalState;
use golem_wire::{DemandId, NodeId};

use super::Due;
use super::demand::{Demand, Life};
use super::proposal::{Base, Proposal, Side};
use crate::agent::Provider;
use crate::journal::Event;
use crate::world::{Action, State, Topic};

fn match_each_other(demand: &Demand, provider: &Provider) -> bool {
    let demand_accepts = demand
        .terms
        .parsed
        .as_ref()
        .is_some_and(|c| c.matches(&*provider.offer));
    demand_accepts && provider.constraint.matches(&*demand.terms.properties)
}

impl State {
    /// Lets the offers that match a new demand be on their way.
    pub(super) fn match_demand(&mut self, id: &DemandId) {
        let Some(demand) = self.market.demands.get(id) else {
            return;
        };
        let providers = self.providers.by_id.values();
        let matching = providers.filter(|p| p.offers(self.now) && match_each_other(demand, p));
        let matching: Vec<_> = matching.map(|provider| provider.id.clone()).collect();
        for provider in matching {
            self.send_offer(id, provider);
        }
    }

    /// Brings the standing offer of a provider to a demand once more.
    pub(super) fn match_again(&mut self, id: &DemandId, provider: &NodeId) {
        let demand = self.market.demands.get(id);
        let matching = demand.filter(|demand| demand.life == Life::Living).zip(
            self.providers
                .by_id
                .get(provider)
                .filter(|provider| provider.offers(self.now)),
        );
        if matching.is_some_and(|(demand, provider)| match_each_other(demand, provider)) {
            self.send_offer(id, provider.clone());
        }
    }

    /// A place became free: most providers bring a fresh offer; a silent one when it answers again.
    pub(crate) fn offer_again(&mut self, provider: &NodeId) {
        if self.comes_back(provider) {
            self.offer_anew(provider);
        }
    }

    /// A place is left: most providers bring the offer once more that stands.
    pub(super) fn offer_once_more(&mut self, provider: &NodeId) {
        if self.comes_back(provider) {
            self.bring_offer(provider);
        }
    }

    fn comes_back(&self, provider: &NodeId) -> bool {
        let provider = self.provider(provider);
        provider.is_some_and(|p| p.spec.behaviour.reoffer && p.answers())
    }

    /// Takes the offer of a provider with room from the market and publishes a fresh one.
    pub(crate) fn offer_anew(&mut self, provider: &NodeId) {
        if !self.provider(provider).is_some_and(Provider::has_room) {
            return;
        }
        self.withdraw_offer(provider);
        self.raise_prices(provider);
        self.subscribe_offer(provider);
        self.bring_offer(provider);
    }

    /// Brings the offer of a provider to every living demand that it matches.
    pub(super) fn bring_offer(&mut self, provider: &NodeId) {
        let Some(provider) = self.provider(provider).filter(|p| p.offers(self.now)) else {
            return;
        };
        let living = self
            .market
            .living
            .iter()
            .filter_map(|id| self.market.demands.get(id));
        let matching = living.filter(|demand| match_each_other(demand, provider));
        let matching: Vec<_> = matching.map(|demand| demand.id.clone()).collect();
        let provider = provider.id.clone();
        for demand in matching {
            self.send_offer(&demand, provider.clone());
        }
        self.wake(&Topic::Offers);
    }

    fn send_offer(&mut self, demand: &DemandId, provider: NodeId) {
        let Some(target) = self.market.demands.get_mut(demand) else {
            return;
        };
        if !target.expected.insert(provider.clone()) {
            return;
        }
        let usual = self.config.latency.matching;
        let delay = self.market_latency(&provider, |l| &l.matching, usual);
        let due = Due::Offer {
            demand: demand.clone(),
            provider,
        };
        self.timeline
            .schedule(self.now + delay, Action::Market(due));
    }

    /// The offer arrives as an initial proposal, if both sides still care.
    pub(super) fn deliver_offer(&mut self, demand: &DemandId, provider: &NodeId) {
        let Some(target) = self.market.demands.get_mut(demand) else {
            return;
        };
        target.expected.swap_remove(provider);
        if target.life != Life::Living {
            return;
        }
        let Some(provider) = self.providers.by_id.get(provider) else {
            return;
        };
        if !provider.offers(self.now) {
            return;
        }
        let (provider, offer) = (provider.id.clone(), Arc::clone(&provider.subscription));
        let source = &self.providers.by_id[&provider];
        let proposal = Proposal {
            id: self.ids.proposal(),
            demand: demand.clone(),
            provider: provider.clone(),
            offer,
            side: Side::Provider,
            base: Base::Offer(Arc::clone(&source.offer)),
            adopted: crate::agent::Adopted::new(),
            constraints: source.constraints.clone(),
            parsed: Some(Arc::clone(&source.constraint)),
            state: ProposalState::Initial,
            created_at: self.now,
            previous: None,
            countered: false,
            agreement: None,
        };
        let event = Event::OfferMatched {
            demand: demand.clone(),
            proposal: proposal.id.clone(),
        };
        self.record(self.actor(&provider), event);
        self.publish_proposal(proposal);
    }

    /// Keeps a provider's proposal and tells the requestor of it.
    pub(super) fn publish_proposal(&mut self, mut proposal: Proposal) {
        proposal.created_at = self.stamp();
        let (demand, id) = (proposal.demand.clone(), proposal.id.clone());
        self.keep_proposal(proposal);
        self.push_proposal(&demand, id);
    }
}
