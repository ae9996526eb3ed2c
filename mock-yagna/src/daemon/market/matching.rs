//! Matching demands with offers, both ways, and bringing offers to demands.

use std::sync::Arc;

use golem_wire::market::ProposalState;
use golem_wire::{DemandId, NodeId};

use super::Market;
use super::demand::{Demand, Life};
use super::proposal::{Base, Proposal, Side};
use crate::journal::Event;
use crate::ports::Ports;
use crate::provider::{Adopted, Provider, Providers};
use crate::timeline::{Action, MarketDue};
use crate::topics::Topic;

fn match_each_other(demand: &Demand, provider: &Provider) -> bool {
    let demand_accepts = demand
        .terms
        .parsed
        .as_ref()
        .is_ok_and(|c| c.matches(&*provider.offer));
    demand_accepts && provider.constraint.matches(&*demand.terms.properties)
}

impl Market {
    /// Lets the offers that match a new demand be on their way.
    pub(super) fn match_demand(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &DemandId,
    ) {
        let Some(demand) = self.demands.get(id) else {
            return;
        };
        let all = providers.by_id.values();
        let matching = all.filter(|p| p.offers(ports.now) && match_each_other(demand, p));
        let matching: Vec<_> = matching.map(|provider| provider.id.clone()).collect();
        for provider in matching {
            self.send_offer(ports, providers, id, provider);
        }
    }

    /// Brings the standing offer of a provider to a demand once more.
    pub(crate) fn match_again(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &DemandId,
        provider: &NodeId,
    ) {
        let demand = self.demands.get(id);
        let matching = demand.filter(|demand| demand.life == Life::Living).zip(
            providers
                .get(provider)
                .filter(|provider| provider.offers(ports.now)),
        );
        if matching.is_some_and(|(demand, provider)| match_each_other(demand, provider)) {
            self.send_offer(ports, providers, id, provider.clone());
        }
    }

    /// Brings the offer of a provider to every living demand that it matches.
    pub(crate) fn bring_offer(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        provider: &NodeId,
    ) {
        let Some(provider) = providers.get(provider).filter(|p| p.offers(ports.now)) else {
            return;
        };
        let living = self.living.iter().filter_map(|id| self.demands.get(id));
        let matching = living.filter(|demand| match_each_other(demand, provider));
        let matching: Vec<_> = matching.map(|demand| demand.id.clone()).collect();
        let provider = provider.id.clone();
        for demand in matching {
            self.send_offer(ports, providers, &demand, provider.clone());
        }
        ports.wake(&Topic::Offers);
    }

    fn send_offer(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        demand: &DemandId,
        provider: NodeId,
    ) {
        let Some(target) = self.demands.get_mut(demand) else {
            return;
        };
        if !target.expected.insert(provider.clone()) {
            return;
        }
        let usual = ports.config.latency.matching;
        let delay = providers.market_latency(&provider, |l| &l.matching, usual);
        let due = MarketDue::Offer {
            demand: demand.clone(),
            provider,
        };
        ports
            .timeline
            .schedule(ports.now + delay, Action::Market(due));
    }

    /// The offer arrives as an initial proposal, if both sides still care.
    pub(super) fn deliver_offer(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        demand: &DemandId,
        provider: &NodeId,
    ) {
        let Some(target) = self.demands.get_mut(demand) else {
            return;
        };
        target.expected.swap_remove(provider);
        if target.life != Life::Living {
            return;
        }
        let Some(provider) = providers.get(provider) else {
            return;
        };
        if !provider.offers(ports.now) {
            return;
        }
        let (provider, offer) = (provider.id.clone(), Arc::clone(&provider.publication));
        let source = &providers.by_id[&provider];
        let proposal = Proposal {
            id: ports.ids.proposal(),
            demand: demand.clone(),
            provider: provider.clone(),
            offer,
            side: Side::Provider,
            base: Base::Offer(Arc::clone(&source.offer)),
            adopted: Adopted::new(),
            constraints: source.constraints.clone(),
            parsed: Some(Arc::clone(&source.constraint)),
            state: ProposalState::Initial,
            created_at: ports.now,
            previous: None,
            countered: false,
            agreement: None,
        };
        let event = Event::OfferMatched {
            demand: demand.clone(),
            proposal: proposal.id.clone(),
        };
        ports.record(ports.actor(&provider), event);
        self.publish_proposal(ports, proposal);
    }

    /// Keeps a provider's proposal and tells the requestor of it.
    pub(super) fn publish_proposal(&mut self, ports: &mut Ports, mut proposal: Proposal) {
        proposal.created_at = ports.stamp();
        let (demand, id) = (proposal.demand.clone(), proposal.id.clone());
        self.keep_proposal(proposal);
        self.push_proposal(ports, &demand, id);
    }
}
