//! Proposals: the requestor's counters and rejections, the provider's answers.
//!
//! ```text
//! Initial(P) ─counter→ Draft(R) ─answer→ Draft(P) ─counter→ Draft(R) …
//!     └reject→ Rejected    └answer→ Rejected + event   └promote→ Accepted
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use golem_wire::common::Reason;
use golem_wire::market::{self as wire, DemandEvent, Properties, ProposalState};
use golem_wire::{AgreementId, DemandId, NodeId, ProposalId};
use jiff::Timestamp;

use super::demand::Life;
use super::{Due, MarketError, OfferSubscription};
use crate::agent::{Adopted, Answer, SharedProperties, counter_offer, negotiate};
use crate::behaviour::Step;
use crate::constraint::{Constraint, Verdict};
use crate::journal::Event;
use crate::world::{Action, State};

/// Who issued a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Requestor,
    Provider,
}

/// What a proposal begins with.
#[derive(Debug)]
pub(super) enum Base {
    /// A requestor's counter-proposal, all of it.
    Demand(Arc<Properties>),
    /// A provider's offer.
    Offer(Arc<SharedProperties>),
}

/// One proposal of a negotiation.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(super) id: ProposalId,
    pub(super) demand: DemandId,
    pub(super) provider: NodeId,
    /// The publication that it came of.
    pub(super) offer: Arc<OfferSubscription>,
    pub(super) side: Side,
    /// What it begins with.
    pub(super) base: Base,
    /// What the provider changes of its offer.
    pub(super) adopted: Adopted,
    pub(super) constraints: Arc<str>,
    /// `None`: the text is no expression.
    pub(super) parsed: Option<Arc<Constraint>>,
    pub(super) state: ProposalState,
    pub(super) created_at: Timestamp,
    pub(super) previous: Option<ProposalId>,
    pub(super) countered: bool,
    /// What it was promoted to.
    pub(super) agreement: Option<AgreementId>,
}

impl Proposal {
    /// Its properties; providers share what they do not change.
    pub(super) fn properties(&self) -> Cow<'_, Properties> {
        match &self.base {
            Base::Demand(properties) => Cow::Borrowed(properties),
            Base::Offer(offer) => Cow::Owned(counter_offer(offer, &self.adopted)),
        }
    }
}

/// The names that keep an expression from being decided.
fn undefined(constraint: Option<&Constraint>, properties: &Properties) -> Result<(), Vec<String>> {
    match constraint.map(|c| c.verdict(properties)) {
        Some(Verdict::True) => Ok(()),
        Some(Verdict::Undefined(names)) => Err(names),
        Some(Verdict::False) | None => Err(Vec::new()),
    }
}

impl State {
    pub(super) fn proposal_to_wire(&self, proposal: &Proposal) -> Option<wire::Proposal> {
        let issuer = match proposal.side {
            Side::Provider => proposal.provider.clone(),
            Side::Requestor => self.market.demands.get(&proposal.demand)?.requestor.clone(),
        };
        Some(wire::Proposal {
            properties: proposal.properties().into_owned(),
            constraints: proposal.constraints.to_string(),
            proposal_id: proposal.id.clone(),
            issuer_id: issuer,
            state: proposal.state.clone(),
            timestamp: proposal.created_at,
            prev_proposal_id: proposal.previous.clone(),
        })
    }

    /// A proposal of this requestor's demand.
    fn own_proposal(
        &self,
        requestor: &NodeId,
        demand: &DemandId,
        id: &ProposalId,
    ) -> Option<&Proposal> {
        let owner = self.market.demands.get(demand)?;
        let proposal = self.market.proposals.get(id)?;
        (owner.requestor == *requestor && proposal.demand == *demand).then_some(proposal)
    }

    /// Looks a proposal up for its requestor.
    pub(crate) fn get_proposal(
        &self,
        requestor: &NodeId,
        demand: &DemandId,
        id: &ProposalId,
    ) -> Result<wire::Proposal, MarketError> {
        let found = self.own_proposal(requestor, demand, id);
        found
            .and_then(|proposal| self.proposal_to_wire(proposal))
            .ok_or_else(|| MarketError::NoProposal {
                proposal: id.clone(),
                demand: demand.clone(),
            })
    }

    /// Whether both sides' subscriptions let a proposal be answered, in the daemon's order: to it an
    /// expired demand is one that was unsubscribed.
    fn check_answerable(&self, proposal: &Proposal) -> Result<(), MarketError> {
        if proposal.side == Side::Requestor {
            return Err(MarketError::OwnProposal(proposal.id.clone()));
        }
        proposal.offer.check(self.now)?;
        let demand = self.market.demands.get(&proposal.demand);
        if !demand.is_some_and(|demand| demand.life == Life::Living) {
            return Err(MarketError::SubscriptionGone(proposal.demand.clone()));
        }
        Ok(())
    }

    /// The requestor answers a proposal with one of its own.
    pub(crate) fn counter_proposal(
        &mut self,
        requestor: &NodeId,
        demand: &DemandId,
        id: &ProposalId,
        properties: Properties,
        constraints: String,
    ) -> Result<ProposalId, MarketError> {
        let previous =
            self.own_proposal(requestor, demand, id)
                .ok_or_else(|| MarketError::NoProposal {
                    proposal: id.clone(),
                    demand: demand.clone(),
                })?;
        self.check_answerable(previous)?;
        if previous.countered {
            return Err(MarketError::AlreadyCountered(id.clone()));
        }
        let terms = self.counter_terms(demand, properties, constraints);
        let counter = self.ids.proposal();
        let previous = &self.market.proposals[id];
        let theirs = undefined(previous.parsed.as_deref(), &terms.properties);
        let ours = undefined(terms.parsed.as_deref(), &previous.properties());
        if theirs.is_err() || ours.is_err() {
            return Err(MarketError::NotMatching {
                counter,
                previous: id.clone(),
                offer: theirs.err().unwrap_or_default(),
                demand: ours.err().unwrap_or_default(),
            });
        }
        let provider = previous.provider.clone();
        if !self.provider(&provider).is_some_and(|p| p.online) {
            return Err(MarketError::ProposalUnreachable(id.clone()));
        }
        let proposal = Proposal {
            id: counter.clone(),
            demand: demand.clone(),
            provider: provider.clone(),
            offer: Arc::clone(&previous.offer),
            side: Side::Requestor,
            base: Base::Demand(terms.properties),
            adopted: Adopted::new(),
            constraints: terms.constraints,
            parsed: terms.parsed,
            state: ProposalState::Draft,
            created_at: self.stamp(),
            previous: Some(id.clone()),
            countered: false,
            agreement: None,
        };
        if let Some(previous) = self.market.proposals.get_mut(id) {
            previous.countered = true;
        }
        self.keep_proposal(proposal);
        let event = Event::ProposalCountered {
            previous: id.clone(),
            proposal: counter.clone(),
        };
        self.record(self.actor(requestor), event);
        let usual = self.config.latency.negotiation;
        let delay = self.market_latency(&provider, |l| &l.negotiation, usual);
        let answer = Action::Market(Due::Answer(counter.clone()));
        self.timeline.schedule(self.now + delay, answer);
        Ok(counter)
    }

    /// The requestor refuses a proposal; the provider of an initial one never learns of it.
    pub(crate) fn reject_proposal(
        &mut self,
        requestor: &NodeId,
        demand: &DemandId,
        id: &ProposalId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let found = self.own_proposal(requestor, demand, id).ok_or_else(|| {
            MarketError::NoProposalToReject {
                proposal: id.clone(),
                demand: demand.clone(),
            }
        })?;
        self.check_answerable(found)
            .map_err(|refusal| match refusal {
                MarketError::OfferExpired(offer) => MarketError::OfferExpiredForReject(offer),
                refusal => refusal,
            })?;
        if let Some(proposal) = self.market.proposals.get_mut(id) {
            proposal.state = ProposalState::Rejected;
        }
        let reason = reason.map_or_else(String::new, |reason| reason.message);
        let event = Event::ProposalRejected {
            proposal: id.clone(),
            reason,
        };
        self.record(self.actor(requestor), event);
        Ok(())
    }

    /// The provider answers a counter-proposal, unless it went away meanwhile.
    pub(super) fn answer_proposal(&mut self, id: &ProposalId) {
        let Some(node) = self.market.proposals.get(id).map(|p| p.provider.clone()) else {
            return;
        };
        if self.answers(&node) && !self.dies_before(&node, Step::Negotiation) {
            self.answer_as_provider(id);
            self.may_die_after(&node, Step::Negotiation);
        }
    }

    fn answer_as_provider(&mut self, id: &ProposalId) {
        let Some(counter) = self.market.proposals.get(id) else {
            return;
        };
        let Some(provider) = self.providers.by_id.get(&counter.provider) else {
            return;
        };
        if !provider.online || counter.countered || !counter.offer.stands(self.now) {
            return;
        }
        let answer = negotiate(provider, &counter.properties(), self.now);
        let actor = self.actor(&counter.provider);
        let demand = counter.demand.clone();
        match answer {
            Answer::Reject(reason) => {
                let message = reason.message.clone();
                let event = Event::ProposalRejected {
                    proposal: id.clone(),
                    reason: message,
                };
                self.record(actor, event);
                if let Some(counter) = self.market.proposals.get_mut(id) {
                    counter.state = ProposalState::Rejected;
                }
                let event_date = self.stamp();
                // Always with a reason: some clients do not survive its absence.
                let event = DemandEvent::ProposalRejectedEvent {
                    event_date,
                    proposal_id: id.clone(),
                    reason: Some(reason),
                };
                self.push_rejection(&demand, event);
            }
            Answer::Counter(mut adopted) => {
                adopted.shrink_to_fit();
                let proposal = Proposal {
                    id: self.ids.proposal(),
                    demand,
                    provider: counter.provider.clone(),
                    offer: Arc::clone(&counter.offer),
                    side: Side::Provider,
                    base: Base::Offer(Arc::clone(&provider.offer)),
                    adopted,
                    constraints: provider.constraints.clone(),
                    parsed: Some(Arc::clone(&provider.constraint)),
                    state: ProposalState::Draft,
                    created_at: self.now,
                    previous: Some(id.clone()),
                    countered: false,
                    agreement: None,
                };
                if let Some(counter) = self.market.proposals.get_mut(id) {
                    counter.countered = true;
                }
                let answer = proposal.id.clone();
                let event = Event::ProposalCountered {
                    previous: id.clone(),
                    proposal: answer,
                };
                self.record(actor, event);
                self.publish_proposal(proposal);
            }
        }
    }
}
