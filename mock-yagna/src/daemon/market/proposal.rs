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
use super::{Market, MarketError};
use crate::journal::Event;
use crate::ports::Ports;
use crate::provider::{Adopted, Provider, Providers, Publication, SharedProperties, Standing};
use crate::timeline::{Action, AgentDue};
use golem_wire::constraint::{Constraint, Verdict};

/// Who issued a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Requestor,
    Provider,
}

/// What a proposal begins with.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// A requestor's counter-proposal, all of it.
    Demand(Arc<Properties>),
    /// A provider's offer.
    Offer(Arc<SharedProperties>),
}

/// One proposal of a negotiation.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(super) id: ProposalId,
    pub(super) demand: DemandId,
    pub(super) provider: NodeId,
    /// The publication that it came of.
    pub(super) offer: Arc<Publication>,
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
            Base::Offer(offer) => Cow::Owned(offer.changed(&self.adopted)),
        }
    }
}

/// The names that an expression looks for in vain, if it does not hold.
fn missing(constraint: &Constraint, properties: &Properties) -> Option<Vec<String>> {
    match constraint.verdict(properties) {
        Verdict::True => None,
        Verdict::False(names) | Verdict::Undefined(names) => Some(names),
    }
}

impl Market {
    pub(super) fn proposal_to_wire(&self, proposal: &Proposal) -> Option<wire::Proposal> {
        let issuer = match proposal.side {
            Side::Provider => proposal.provider.clone(),
            Side::Requestor => self.demands.get(&proposal.demand)?.requestor.clone(),
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
        let owner = self.demands.get(demand)?;
        let proposal = self.proposals.get(id)?;
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

    /// Whether both sides' subscriptions let a proposal be answered, in the daemon's order: a withdrawn offer, the
    /// demand, an expired offer. To it an expired demand is one that was unsubscribed.
    fn check_answerable(&self, now: Timestamp, proposal: &Proposal) -> Result<(), MarketError> {
        if proposal.side == Side::Requestor {
            return Err(MarketError::OwnProposal(proposal.id.clone()));
        }
        let offer = &proposal.offer;
        let standing = offer.standing(now);
        if standing == Standing::Withdrawn {
            return Err(MarketError::OfferWithdrawn(offer.id().clone()));
        }
        let demand = self.demands.get(&proposal.demand);
        if !demand.is_some_and(|demand| demand.life == Life::Living) {
            return Err(MarketError::SubscriptionGone(proposal.demand.clone()));
        }
        if standing == Standing::Expired {
            return Err(MarketError::OfferExpired(offer.id().clone()));
        }
        Ok(())
    }

    /// The requestor answers a proposal with one of its own.
    pub(crate) fn counter_proposal(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        requestor: &NodeId,
        demand: &DemandId,
        id: &ProposalId,
        (properties, constraints): (Properties, String),
    ) -> Result<ProposalId, MarketError> {
        let previous =
            self.own_proposal(requestor, demand, id)
                .ok_or_else(|| MarketError::NoProposal {
                    proposal: id.clone(),
                    demand: demand.clone(),
                })?;
        self.check_answerable(ports.now, previous)?;
        let terms = self.counter_terms(demand, properties, constraints);
        let counter = ports.ids.proposal();
        let previous = &self.proposals[id];
        let ours = match &terms.parsed {
            Ok(ours) => ours,
            Err(why) => {
                return Err(MarketError::NotComparable {
                    counter,
                    previous: id.clone(),
                    why: why.clone(),
                });
            }
        };
        let of_offer = missing(ours, &previous.properties());
        let theirs = previous.parsed.as_deref();
        let of_demand = theirs.and_then(|theirs| missing(theirs, &terms.properties));
        if of_offer.is_some() || of_demand.is_some() {
            return Err(MarketError::NotMatching {
                counter,
                previous: id.clone(),
                offer: of_offer.unwrap_or_default(),
                demand: of_demand.unwrap_or_default(),
            });
        }
        if previous.countered {
            return Err(MarketError::AlreadyCountered(id.clone()));
        }
        let provider = previous.provider.clone();
        if !providers.get(&provider).is_some_and(|p| p.online) {
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
            parsed: terms.parsed.ok(),
            state: ProposalState::Draft,
            created_at: ports.stamp(),
            previous: Some(id.clone()),
            countered: false,
            agreement: None,
        };
        if let Some(previous) = self.proposals.get_mut(id) {
            previous.countered = true;
        }
        self.keep_proposal(proposal);
        let event = Event::ProposalCountered {
            previous: id.clone(),
            proposal: counter.clone(),
        };
        ports.record(ports.actor(requestor), event);
        let usual = ports.config.latency.negotiation;
        let delay = providers.market_latency(&provider, |l| &l.negotiation, usual);
        let answer = Action::Agent(AgentDue::Answer(counter.clone()));
        ports.timeline.schedule(ports.now + delay, answer);
        Ok(counter)
    }

    /// The requestor refuses a proposal; the provider of an initial one never learns of it.
    pub(crate) fn reject_proposal(
        &mut self,
        ports: &mut Ports,
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
        self.check_answerable(ports.now, found)
            .map_err(|refusal| match refusal {
                MarketError::OfferExpired(offer) => MarketError::OfferExpiredForReject(offer),
                refusal => refusal,
            })?;
        if let Some(proposal) = self.proposals.get_mut(id) {
            proposal.state = ProposalState::Rejected;
        }
        let reason = reason.map_or_else(String::new, |reason| reason.message);
        let event = Event::ProposalRejected {
            proposal: id.clone(),
            reason,
        };
        ports.record(ports.actor(requestor), event);
        Ok(())
    }

    /// The provider to whom a counter-proposal goes.
    pub(crate) fn provider_of(&self, id: &ProposalId) -> Option<&NodeId> {
        self.proposals.get(id).map(|proposal| &proposal.provider)
    }

    /// What a counter-proposal says, while its provider hears of it and has not answered.
    pub(crate) fn unanswered(
        &self,
        now: Timestamp,
        id: &ProposalId,
    ) -> Option<Cow<'_, Properties>> {
        let counter = self.proposals.get(id)?;
        let open = !counter.countered && counter.offer.stands(now);
        open.then(|| counter.properties())
    }

    /// The provider refuses a counter-proposal.
    pub(crate) fn refuse_counter(&mut self, ports: &mut Ports, id: &ProposalId, reason: Reason) {
        let Some(counter) = self.proposals.get_mut(id) else {
            return;
        };
        counter.state = ProposalState::Rejected;
        let demand = counter.demand.clone();
        let event = Event::ProposalRejected {
            proposal: id.clone(),
            reason: reason.message.clone(),
        };
        ports.record(ports.actor(&counter.provider), event);
        let event_date = ports.stamp();
        // Always with a reason: some clients do not survive its absence.
        let event = DemandEvent::ProposalRejectedEvent {
            event_date,
            proposal_id: id.clone(),
            reason: Some(reason),
        };
        self.push_rejection(ports, &demand, event);
    }

    /// The provider answers a counter-proposal with its offer, changed as `adopted` says.
    pub(crate) fn answer_counter(
        &mut self,
        ports: &mut Ports,
        provider: &Provider,
        id: &ProposalId,
        mut adopted: Adopted,
    ) {
        let Some(counter) = self.proposals.get_mut(id) else {
            return;
        };
        adopted.shrink_to_fit();
        counter.countered = true;
        let proposal = Proposal {
            id: ports.ids.proposal(),
            demand: counter.demand.clone(),
            provider: counter.provider.clone(),
            offer: Arc::clone(&counter.offer),
            side: Side::Provider,
            base: Base::Offer(Arc::clone(&provider.offer)),
            adopted,
            constraints: provider.constraints.clone(),
            parsed: Some(Arc::clone(&provider.constraint)),
            state: ProposalState::Draft,
            created_at: ports.now,
            previous: Some(id.clone()),
            countered: false,
            agreement: None,
        };
        let event = Event::ProposalCountered {
            previous: id.clone(),
            proposal: proposal.id.clone(),
        };
        ports.record(ports.actor(&proposal.provider), event);
        self.publish_proposal(ports, proposal);
    }
}
