//! Agreements: their states, promotion of a draft, looking them up.
//!
//! ```text
//! Proposal ─confirm→ Pending ─approve→ Approved ─terminate (either side)→ Terminated
//!    │                  ├─cancel→ Cancelled
//!    └─validTo passes───┼→ Expired
//!                       └─reject→ Rejected
//! ```
//!
//! One that was not confirmed cannot be cancelled: its provider, who is asked, does not know of it. Lists show an
//! expired one where it stood before until its requestor asks for it by its id.
//!
//! Does not own the way to the approval ([`approval`]), nor to the end ([`termination`]).

mod approval;
mod termination;

use std::sync::Arc;

use golem_wire::common::Reason;
use golem_wire::market::{self as wire, AgreementEvent, AgreementState, Party};
use golem_wire::{AgreementId, GivenTime, NodeId, ProposalId};
use jiff::Timestamp;
use serde_json::Value;

use super::proposal::Side;
use super::{Market, MarketError};
use crate::journal::Event;
use crate::ports::Ports;
use crate::provider::{Providers, Publication};
use crate::timeline::{Action, MarketDue, Ticket};

/// The literal that stands for every signature.
const SIGNATURE: &str = "NoSignature";

/// An end that a provider announced.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnnouncedEnd {
    deadline: Timestamp,
    reason: Option<Reason>,
}

/// One agreement.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub(crate) id: AgreementId,
    pub(crate) requestor: NodeId,
    pub(crate) provider: NodeId,
    /// The requestor's last counter-proposal.
    pub(crate) demand: wire::Demand,
    /// The provider's draft that was promoted.
    pub(crate) offer: wire::Offer,
    /// The publication that it came of.
    publication: Arc<Publication>,
    pub(crate) state: AgreementState,
    pub(crate) valid_to: GivenTime,
    pub(crate) created_at: Timestamp,
    pub(crate) approved_at: Option<Timestamp>,
    /// When an approved agreement ended.
    pub(crate) ended_at: Option<Timestamp>,
    /// Given at confirmation; filters events.
    pub(crate) app_session: Option<String>,
    /// The end that its provider announced.
    pub(crate) announced: Option<AnnouncedEnd>,
    /// The event that ended it.
    pub(crate) terminated: Option<AgreementEvent>,
    confirmed: bool,
    /// The draft that was promoted.
    promoted: ProposalId,
    /// Where lists show it although it has expired.
    listed_as: Option<AgreementState>,
    /// The end of the time to approve it.
    expiry: Option<Ticket>,
}

/// Which agreements to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct AgreementFilter {
    pub(crate) state: Option<AgreementState>,
    pub(crate) before: Option<Timestamp>,
    pub(crate) after: Option<Timestamp>,
    pub(crate) session: Option<String>,
}

impl Agreement {
    /// The offer's value of a property that both sides carry, such as the `?` properties of payment.
    pub(crate) fn negotiated(&self, key: &str) -> Option<&Value> {
        self.demand.properties.get(key)?;
        self.offer.properties.get(key)
    }

    /// Whether its provider hears of it: one that was not confirmed, or came to an earlier offer, reaches no
    /// agent.
    pub(crate) fn is_heard(&self, now: Timestamp) -> bool {
        self.confirmed && self.publication.stands(now)
    }

    /// Whether it was approved at some time.
    pub(crate) fn was_approved(&self) -> bool {
        self.approved_at.is_some()
    }

    /// Whether its requestor asked its provider for it: it is binding for nobody before.
    pub(crate) fn was_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether `node` is the provider and was asked already.
    fn is_known_to(&self, node: &NodeId) -> bool {
        self.provider == *node && self.confirmed
    }

    fn to_wire(&self) -> wire::Agreement {
        let signature = |signed: bool| signed.then(|| SIGNATURE.to_owned());
        wire::Agreement {
            agreement_id: self.id.clone(),
            demand: self.demand.clone(),
            offer: self.offer.clone(),
            valid_to: self.valid_to.clone(),
            approved_date: self.approved_at,
            state: self.state.clone(),
            timestamp: self.created_at,
            app_session_id: self.app_session.clone(),
            proposed_signature: signature(self.confirmed),
            approved_signature: signature(self.was_approved()),
            committed_signature: signature(self.was_approved()),
        }
    }

    /// Moves to `to` if the state machine has that step.
    fn step(&mut self, to: AgreementState) -> Result<(), MarketError> {
        use AgreementState::{
            Approved, Cancelled, Expired, Pending, Proposal, Rejected, Terminated,
        };
        match (&self.state, &to) {
            (Cancelled, Approved) if golem_probe::planted!("a-cancelled-agreement-is-approved") => {
                self.state = to;
                Ok(())
            }
            (Terminated, Terminated) if golem_probe::planted!("an-agreement-ends-once-more") => {
                Ok(())
            }
            (Proposal, Pending | Expired)
            | (Pending, Cancelled | Expired | Approved | Rejected)
            | (Approved, Terminated) => {
                self.state = to;
                Ok(())
            }
            (from, _) => {
                golem_probe::sometimes!(
                    *from == Approved && to == Cancelled,
                    "a cancellation comes after the approval"
                );
                golem_probe::sometimes!(
                    *from == Terminated && to == Terminated,
                    "both sides terminate an agreement"
                );
                Err(MarketError::Transition {
                    from: from.clone(),
                    to,
                })
            }
        }
    }
}

impl Market {
    /// Looks an agreement up.
    pub(crate) fn agreement(&self, id: &AgreementId) -> Option<&Agreement> {
        self.agreements.get(id)
    }

    /// The agreements of a provider that are in force.
    pub(crate) fn in_force(&self, provider: &NodeId) -> Vec<AgreementId> {
        let living = self
            .agreements()
            .filter(|a| a.provider == *provider && a.state == AgreementState::Approved);
        living.map(|agreement| agreement.id.clone()).collect()
    }

    /// An agreement of this requestor.
    fn own_agreement(&self, requestor: &NodeId, id: &AgreementId) -> Option<&Agreement> {
        self.agreement(id)
            .filter(|agreement| agreement.requestor == *requestor)
    }

    /// Promotes a provider's draft; neither side is bound yet.
    pub(crate) fn create_agreement(
        &mut self,
        ports: &mut Ports,
        requestor: &NodeId,
        proposal: &ProposalId,
        valid_to: GivenTime,
    ) -> Result<AgreementId, MarketError> {
        use golem_wire::market::ProposalState::{Initial, Rejected};
        let missing = || MarketError::NothingToPromote(proposal.clone());
        let draft = self.proposals.get(proposal).ok_or_else(missing)?;
        let demand = self.demands.get(&draft.demand).ok_or_else(missing)?;
        if demand.requestor != *requestor {
            return Err(missing());
        }
        if draft.side == Side::Requestor {
            return Err(MarketError::PromotedOwn(proposal.clone()));
        }
        if draft.state == Initial {
            return Err(MarketError::PromotedInitial(proposal.clone()));
        }
        // One that was countered after its end is what it was last.
        if draft.countered && (draft.state == Rejected || draft.agreement.is_none()) {
            return Err(MarketError::PromotedCountered(proposal.clone()));
        }
        if draft.state == Rejected {
            return Err(MarketError::PromotedRejected(proposal.clone()));
        }
        if draft.agreement.is_some() {
            return Err(MarketError::PromotedTwice(proposal.clone()));
        }
        let counter = draft
            .previous
            .as_ref()
            .and_then(|id| self.proposals.get(id));
        let counter = counter.ok_or_else(missing)?;
        let id = ports.ids.agreement();
        let mut agreement = Agreement {
            id: id.clone(),
            requestor: requestor.clone(),
            provider: draft.provider.clone(),
            demand: wire::Demand {
                properties: counter.properties().into_owned(),
                constraints: counter.constraints.to_string(),
                ..demand.to_wire()
            },
            offer: wire::Offer {
                properties: draft.properties().into_owned(),
                constraints: draft.constraints.to_string(),
                offer_id: draft.offer.id().clone(),
                provider_id: draft.provider.clone(),
                timestamp: ports.now,
            },
            publication: Arc::clone(&draft.offer),
            state: AgreementState::Proposal,
            valid_to,
            created_at: ports.now,
            approved_at: None,
            ended_at: None,
            app_session: None,
            announced: None,
            terminated: None,
            confirmed: false,
            promoted: proposal.clone(),
            listed_as: None,
            expiry: None,
        };
        agreement.created_at = ports.stamp();
        agreement.demand.timestamp = agreement.created_at;
        agreement.offer.timestamp = agreement.created_at;
        let expires = agreement.valid_to.at();
        let expiry = Action::Market(MarketDue::ExpireAgreement(id.clone()));
        agreement.expiry = Some(ports.timeline.schedule(expires, expiry));
        if let Some(draft) = self.proposals.get_mut(proposal) {
            draft.state = golem_wire::market::ProposalState::Accepted;
            draft.agreement = Some(id.clone());
        }
        let provider = agreement.provider.clone();
        self.agreements.insert(id.clone(), agreement);
        self.agreements_by
            .entry(requestor.clone())
            .or_default()
            .push(id.clone());
        let event = Event::AgreementCreated {
            agreement: id.clone(),
            provider,
        };
        ports.record(ports.actor(requestor), event);
        Ok(id)
    }

    /// Its requestor asks for an agreement by its id: from now on lists show where it stands.
    pub(crate) fn touch(&mut self, party: &NodeId, id: &AgreementId) {
        if let Some(agreement) = self.agreements.get_mut(id)
            && agreement.requestor == *party
        {
            agreement.listed_as = None;
        }
    }

    /// Looks an agreement up for one of its sides.
    pub(crate) fn get_agreement(
        &mut self,
        party: &NodeId,
        id: &AgreementId,
    ) -> Result<wire::Agreement, MarketError> {
        self.touch(party, id);
        let found = self
            .agreement(id)
            .filter(|found| found.requestor == *party || found.is_known_to(party));
        let found = found.map(|found| wire::Agreement {
            // The session is its requestor's business.
            app_session_id: found
                .app_session
                .clone()
                .filter(|_| found.requestor == *party),
            ..found.to_wire()
        });
        found.ok_or_else(|| MarketError::NoAgreement(id.clone()))
    }

    /// The agreements of a requestor, or those that a provider knows of.
    pub(crate) fn agreements_of(
        &self,
        party: &NodeId,
        filter: &AgreementFilter,
    ) -> Vec<wire::AgreementListEntry> {
        let own = self.agreements_by.get(party);
        if own.is_none() {
            return self.agreements_with(party, filter);
        }
        let own = own.map_or(&[][..], Vec::as_slice);
        // In order of creation: what is too old or too new is not even looked at.
        let created = |id: &AgreementId| self.agreements[id].created_at;
        let from = filter
            .after
            .map_or(0, |after| own.partition_point(|id| created(id) <= after));
        let own = &own[from..];
        let to = filter.before.map_or(own.len(), |before| {
            own.partition_point(|id| created(id) < before)
        });
        let wanted = |a: &&Agreement| {
            let listed = a.listed_as.as_ref().unwrap_or(&a.state);
            filter.state.as_ref().is_none_or(|state| state == listed)
                && (filter.session.is_none() || filter.session == a.app_session)
        };
        let entry = |a: &Agreement| wire::AgreementListEntry {
            id: a.id.clone(),
            timestamp: a.created_at,
            approved_date: a.approved_at,
            role: Party::Requestor,
        };
        let own = own[..to].iter().filter_map(|id| self.agreement(id));
        own.filter(wanted).map(entry).collect()
    }

    /// The agreements that a provider knows of, oldest first; sessions are the requestors' business.
    fn agreements_with(
        &self,
        provider: &NodeId,
        filter: &AgreementFilter,
    ) -> Vec<wire::AgreementListEntry> {
        if filter.session.is_some() {
            return Vec::new();
        }
        let wanted = |a: &&Agreement| {
            a.is_known_to(provider)
                && filter.state.as_ref().is_none_or(|state| *state == a.state)
                && filter.after.is_none_or(|after| a.created_at > after)
                && filter.before.is_none_or(|before| a.created_at < before)
        };
        let mut known: Vec<_> = self.agreements().filter(wanted).collect();
        known.sort_by_key(|agreement| agreement.created_at);
        let entry = |a: &Agreement| wire::AgreementListEntry {
            id: a.id.clone(),
            timestamp: a.created_at,
            approved_date: a.approved_at,
            role: Party::Provider,
        };
        known.into_iter().map(entry).collect()
    }

    /// Takes a step if the requestor owns the agreement and the state machine has it.
    fn step_agreement(
        &mut self,
        requestor: &NodeId,
        id: &AgreementId,
        to: AgreementState,
    ) -> Result<&mut Agreement, MarketError> {
        self.touch(requestor, id);
        let agreement = self.agreements.get_mut(id);
        let agreement = agreement.filter(|agreement| agreement.requestor == *requestor);
        let agreement = agreement.ok_or_else(|| MarketError::NoAgreementOfRequestor(id.clone()))?;
        agreement.step(to)?;
        Ok(agreement)
    }

    fn can_reach(&self, providers: &Providers, agreement: &AgreementId) -> Result<(), MarketError> {
        let provider = self
            .agreement(agreement)
            .and_then(|a| providers.get(&a.provider));
        if provider.is_some_and(|provider| !provider.online) {
            return Err(MarketError::AgreementUnreachable(agreement.clone()));
        }
        Ok(())
    }
}
