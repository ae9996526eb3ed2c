//! Demands: publishing, collecting their events, withdrawing, expiry.
//!
//! The events of a demand are a queue, not a log: what was returned is gone.

use std::collections::VecDeque;
use std::sync::Arc;

use golem_wire::market::{self as wire, DemandEvent, Properties};
use golem_wire::{DemandId, NodeId, ProposalId};
use indexmap::IndexSet;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use super::{Market, MarketError, Proposal};
use crate::config::SUBSCRIPTION_LIFE;
use crate::journal::Event;
use crate::ports::Ports;
use crate::provider::Providers;
use crate::timeline::{Action, MarketDue, Ticket};
use crate::topics::Topic;
use golem_wire::constraint::{Constraint, ParseError};

/// An ended demand and its proposals are kept so long: a draft may still become an agreement.
const MEMORY: SignedDuration = SignedDuration::from_mins(10);

/// Where a demand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Living,
    Unsubscribed,
    Expired,
}

/// What a requestor asks for; copies share it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) properties: Arc<Properties>,
    pub(super) constraints: Arc<str>,
    /// Or why the text is no expression: nothing ever matches it.
    pub(super) parsed: Result<Arc<Constraint>, ParseError>,
}

impl Terms {
    fn new(properties: Properties, constraints: String) -> Terms {
        Terms {
            // Collected anew, it takes no more room than it needs.
            properties: Arc::new(properties.into_iter().collect()),
            parsed: Constraint::parse(&constraints).map(Arc::new),
            constraints: constraints.into(),
        }
    }

    fn says(&self, properties: &Properties, constraints: &str) -> bool {
        *self.constraints == *constraints && *self.properties == *properties
    }
}

/// One demand.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(super) id: DemandId,
    pub(crate) requestor: NodeId,
    pub(super) terms: Terms,
    /// The requestor's last counter-proposal: it says the same to most providers.
    countered: Option<Terms>,
    pub(super) created_at: Timestamp,
    pub(super) life: Life,
    expiry: Ticket,
    /// Providers whose offer is on its way.
    pub(super) expected: IndexSet<NodeId>,
    rejections: VecDeque<DemandEvent>,
    /// Proposals that the requestor has not collected.
    proposals: Vec<ProposalId>,
    /// All proposals ever made for it.
    pub(super) made: Vec<ProposalId>,
}

impl Demand {
    pub(crate) fn id(&self) -> &DemandId {
        &self.id
    }

    pub(super) fn expiry(&self) -> Ticket {
        self.expiry
    }

    pub(super) fn to_wire(&self) -> wire::Demand {
        wire::Demand {
            properties: Properties::clone(&self.terms.properties),
            constraints: self.terms.constraints.to_string(),
            demand_id: self.id.clone(),
            requestor_id: self.requestor.clone(),
            timestamp: self.created_at,
        }
    }

    fn end(&mut self, life: Life) {
        self.life = life;
        self.expected.clear();
        self.rejections.clear();
        self.proposals = Vec::new();
    }
}

impl Market {
    /// Publishes a demand; offers that match will come.
    pub(crate) fn subscribe_demand(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        requestor: &NodeId,
        properties: Properties,
        constraints: String,
    ) -> DemandId {
        let id = ports.ids.demand();
        let created_at = ports.stamp();
        let expiry = Action::Market(MarketDue::ExpireDemand(id.clone()));
        let expiry = ports
            .timeline
            .schedule(created_at + SUBSCRIPTION_LIFE, expiry);
        let demand = Demand {
            id: id.clone(),
            requestor: requestor.clone(),
            terms: Terms::new(properties, constraints),
            countered: None,
            created_at,
            life: Life::Living,
            expiry,
            expected: IndexSet::new(),
            rejections: VecDeque::new(),
            proposals: Vec::new(),
            made: Vec::new(),
        };
        self.demands.insert(id.clone(), demand);
        self.living.insert(id.clone());
        ports.record(
            ports.actor(requestor),
            Event::DemandSubscribed { demand: id.clone() },
        );
        self.match_demand(ports, providers, &id);
        id
    }

    /// The living demands of one requestor.
    pub(crate) fn demands_of(&self, requestor: &NodeId) -> Vec<wire::Demand> {
        let living = self.living_demands();
        living
            .filter(|d| d.requestor == *requestor)
            .map(Demand::to_wire)
            .collect()
    }

    /// Withdraws a demand.
    pub(crate) fn unsubscribe_demand(
        &mut self,
        ports: &mut Ports,
        requestor: &NodeId,
        id: &DemandId,
    ) -> Result<(), MarketError> {
        let demand = self.demands.get_mut(id);
        let demand = demand.filter(|d| d.requestor == *requestor && d.life == Life::Living);
        let demand = demand.ok_or_else(|| MarketError::NoDemand(id.clone()))?;
        demand.end(Life::Unsubscribed);
        let expiry = demand.expiry;
        ports.timeline.cancel(expiry);
        self.living.shift_remove(id);
        self.forget_later(ports, id);
        ports.record(
            ports.actor(requestor),
            Event::DemandUnsubscribed { demand: id.clone() },
        );
        ports.wake(&Topic::Demand(id.clone()));
        Ok(())
    }

    /// Polls that span the expiry are not woken: they end empty at their time.
    pub(super) fn expire_demand(&mut self, ports: &mut Ports, id: &DemandId) {
        let Some(demand) = self.demands.get_mut(id) else {
            return;
        };
        demand.end(Life::Expired);
        self.living.shift_remove(id);
        self.forget_later(ports, id);
        ports.record(
            crate::journal::Actor::Daemon,
            Event::DemandExpired { demand: id.clone() },
        );
    }

    fn forget_later(&mut self, ports: &mut Ports, id: &DemandId) {
        let at = ports.now.saturating_add(MEMORY).unwrap_or(Timestamp::MAX);
        ports
            .timeline
            .schedule(at, Action::Market(MarketDue::ForgetDemand(id.clone())));
    }

    /// Drops an ended demand with every proposal that was made for it.
    pub(super) fn forget_demand(&mut self, id: &DemandId) {
        let Some(demand) = self.demands.swap_remove(id) else {
            return;
        };
        for proposal in demand.made {
            self.proposals.swap_remove(&proposal);
        }
    }

    /// Keeps a proposal as long as its demand.
    pub(super) fn keep_proposal(&mut self, proposal: Proposal) {
        if let Some(demand) = self.demands.get_mut(&proposal.demand) {
            demand.made.push(proposal.id.clone());
            self.proposals
                .insert(proposal.id.clone(), Box::new(proposal));
        }
    }

    /// What a counter-proposal says, shared with an earlier one that says the same.
    pub(super) fn counter_terms(
        &mut self,
        id: &DemandId,
        properties: Properties,
        constraints: String,
    ) -> Terms {
        let Some(demand) = self.demands.get_mut(id) else {
            return Terms::new(properties, constraints);
        };
        let same = |terms: &&Terms| terms.says(&properties, &constraints);
        let known = [demand.countered.as_ref(), Some(&demand.terms)];
        if let Some(terms) = known.into_iter().flatten().find(same) {
            return terms.clone();
        }
        let terms = Terms::new(properties, constraints);
        demand.countered = Some(terms.clone());
        terms
    }

    /// Whether `requestor` may collect events of this demand at all.
    pub(crate) fn check_collect(
        &self,
        requestor: &NodeId,
        id: &DemandId,
    ) -> Result<(), MarketError> {
        let demand = self.demands.get(id);
        match demand.filter(|d| d.requestor == *requestor).map(|d| d.life) {
            Some(Life::Living) => Ok(()),
            Some(Life::Expired) => Err(MarketError::SubscriptionExpired(id.clone())),
            Some(Life::Unsubscribed) | None => Err(MarketError::NoSubscription(id.clone())),
        }
    }

    /// Takes up to `max` waiting events; `None` when there is none yet. Rejections come first, then
    /// proposals in random order, as the daemon has it.
    pub(crate) fn collect(
        &mut self,
        id: &DemandId,
        max: usize,
    ) -> Option<Result<Vec<DemandEvent>, MarketError>> {
        let demand = self.demands.get_mut(id)?;
        if demand.life == Life::Unsubscribed {
            return Some(Err(MarketError::NoSubscription(id.clone())));
        }
        let rejections = demand.rejections.len().min(max);
        let mut events: Vec<_> = demand.rejections.drain(..rejections).collect();
        let wanted = (max - events.len()).min(demand.proposals.len());
        let mut chosen = Vec::with_capacity(wanted);
        for _ in 0..wanted {
            let index = self.rng.random_range(0..demand.proposals.len());
            chosen.push(demand.proposals.swap_remove(index));
        }
        events.extend(chosen.iter().filter_map(|id| {
            let proposal = self.proposals.get(id)?;
            let event_date = proposal.created_at;
            let proposal = Box::new(self.proposal_to_wire(proposal)?);
            Some(DemandEvent::ProposalEvent {
                event_date,
                proposal,
            })
        }));
        (!events.is_empty()).then_some(Ok(events))
    }

    /// Tells the requestor that the provider refused its counter-proposal.
    pub(super) fn push_rejection(&mut self, ports: &mut Ports, id: &DemandId, event: DemandEvent) {
        self.push_event(ports, id, |demand| demand.rejections.push_back(event));
    }

    /// Tells the requestor of a provider's proposal.
    pub(super) fn push_proposal(&mut self, ports: &mut Ports, id: &DemandId, proposal: ProposalId) {
        self.push_event(ports, id, |demand| demand.proposals.push(proposal));
    }

    fn push_event(&mut self, ports: &mut Ports, id: &DemandId, push: impl FnOnce(&mut Demand)) {
        let demand = self.demands.get_mut(id);
        if let Some(demand) = demand.filter(|demand| demand.life == Life::Living) {
            push(demand);
            ports.wake(&Topic::Demand(id.clone()));
        }
    }
}
