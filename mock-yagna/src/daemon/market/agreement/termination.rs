//! Every end of an agreement: cancelled, terminated by one of its sides, expired; and what follows.

use golem_wire::common::Reason;
use golem_wire::market::{AgreementEvent, AgreementEventKind, AgreementState, Party};
use golem_wire::{AgreementId, NodeId};

use super::MarketError;
use crate::journal::{Actor, Event};
use crate::world::{State, Topic};

impl State {
    /// The requestor withdraws before the approval.
    pub(crate) fn cancel_agreement(
        &mut self,
        requestor: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        self.step_agreement(requestor, id, AgreementState::Cancelled)?;
        self.record(
            self.actor(requestor),
            Event::AgreementCancelled {
                agreement: id.clone(),
            },
        );
        self.log_agreement(id, AgreementEventKind::AgreementCancelledEvent { reason });
        self.leave_agreement(id);
        Ok(())
    }

    /// One of its sides ends an approved agreement.
    pub(crate) fn terminate_by(
        &mut self,
        party: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let agreement = self.market.agreements.get_mut(id);
        let Some(agreement) = agreement.filter(|agreement| agreement.is_known_to(party)) else {
            return self.terminate_by_requestor(party, id, reason);
        };
        agreement.step(AgreementState::Terminated)?;
        self.end_agreement(id, Party::Provider, self.actor(party), reason);
        Ok(())
    }

    fn terminate_by_requestor(
        &mut self,
        requestor: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let found = self.own_agreement(requestor, id);
        let found = found.ok_or_else(|| MarketError::NoAgreement(id.clone()))?;
        if found.state == AgreementState::Approved {
            self.can_reach(id)?;
            let provider = self.agreement(id).and_then(|a| self.provider(&a.provider));
            if provider.is_some_and(|p| p.spec.behaviour.refuse_termination) {
                return Err(MarketError::TerminationRefused(id.clone()));
            }
        }
        self.step_agreement(requestor, id, AgreementState::Terminated)?;
        self.end_agreement(id, Party::Requestor, self.actor(requestor), reason);
        Ok(())
    }

    /// The provider ends an approved agreement; nothing happens in any other state.
    pub(crate) fn terminate_by_provider(&mut self, id: &AgreementId, reason: Reason) {
        let Some(agreement) = self.market.agreements.get_mut(id) else {
            return;
        };
        if agreement.step(AgreementState::Terminated).is_err() {
            return;
        }
        let actor = self.actor(&self.market.agreements[id].provider);
        self.end_agreement(id, Party::Provider, actor, Some(reason));
    }

    fn end_agreement(
        &mut self,
        id: &AgreementId,
        terminator: Party,
        actor: Actor,
        reason: Option<Reason>,
    ) {
        let message = reason
            .as_ref()
            .map_or_else(String::new, |reason| reason.message.clone());
        let event = Event::AgreementTerminated {
            agreement: id.clone(),
            reason: message,
        };
        self.record(actor, event);
        let signature = String::new();
        let kind = AgreementEventKind::AgreementTerminatedEvent {
            terminator,
            signature,
            reason,
        };
        let event = self.log_agreement(id, kind);
        if let Some(agreement) = self.market.agreements.get_mut(id) {
            agreement.ended_at = event.as_ref().map(|event| event.event_date);
            agreement.terminated = event;
        }
        self.leave_agreement(id);
    }

    /// What follows every end of an agreement, approved or not: the provider is free again.
    pub(super) fn leave_agreement(&mut self, id: &AgreementId) {
        let Some(agreement) = self.market.agreements.get_mut(id) else {
            return;
        };
        let provider = agreement.provider.clone();
        let demand = agreement.demand.demand_id.clone();
        let approved = agreement.was_approved();
        // Of one that came to an earlier offer the provider knows nothing.
        let heard = agreement.subscription.stands(self.now);
        for ticket in std::mem::take(&mut agreement.scheduled) {
            self.timeline.cancel(ticket);
        }
        self.wake(&Topic::Agreement(id.clone()));
        if approved {
            self.end_activities_of(id);
            self.agreement_ended(id);
            if let Some(provider) = self.providers.by_id.get_mut(&provider) {
                provider.busy = provider.busy.saturating_sub(1);
            }
        }
        let brings_fresh_offers = self
            .provider(&provider)
            .is_none_or(|p| p.spec.behaviour.reoffer);
        if approved && !brings_fresh_offers {
            // The daemon itself proposes the standing offer again.
            self.match_again(&demand, &provider);
        }
        if approved || heard {
            self.offer_again(&provider);
        }
    }

    /// The time to approve is over. Nobody is woken: waiting clients run into their own timeout.
    pub(in crate::daemon::market) fn expire_agreement(&mut self, id: &AgreementId) {
        let Some(agreement) = self.market.agreements.get_mut(id) else {
            return;
        };
        if agreement.step(AgreementState::Expired).is_ok() {
            self.record(
                Actor::Daemon,
                Event::AgreementExpired {
                    agreement: id.clone(),
                },
            );
            self.leave_agreement(id);
        }
    }

    /// The event that ended an agreement.
    pub(crate) fn termination(
        &self,
        requestor: &NodeId,
        id: &AgreementId,
    ) -> Result<AgreementEvent, MarketError> {
        let agreement = self.own_agreement(requestor, id);
        let agreement = agreement.ok_or_else(|| MarketError::NoAgreement(id.clone()))?;
        agreement
            .terminated
            .clone()
            .ok_or_else(|| MarketError::NotTerminated(id.clone()))
    }
}
