//! Every end of an agreement: cancelled, terminated by one of its sides, expired; and what follows.

use golem_wire::common::Reason;
use golem_wire::market::{AgreementEvent, AgreementEventKind, AgreementState, Party};
use golem_wire::{AgreementId, NodeId};

use jiff::Timestamp;

use super::{AnnouncedEnd, Market, MarketError};
use crate::journal::{Actor, Event};
use crate::ports::{Notice, Ports};
use crate::provider::Providers;
use crate::topics::Topic;

impl Market {
    /// The requestor withdraws before the approval, but not before it confirmed.
    pub(crate) fn cancel_agreement(
        &mut self,
        ports: &mut Ports,
        requestor: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let found = self.own_agreement(requestor, id);
        if found.is_some_and(|found| found.state == AgreementState::Proposal) {
            return Err(MarketError::CancelledUnconfirmed(id.clone()));
        }
        self.step_agreement(requestor, id, AgreementState::Cancelled)?;
        ports.record(
            ports.actor(requestor),
            Event::AgreementCancelled {
                agreement: id.clone(),
            },
        );
        self.log_agreement(
            ports,
            id,
            AgreementEventKind::AgreementCancelledEvent { reason },
        );
        self.leave_agreement(ports, id);
        Ok(())
    }

    /// One of its sides ends an approved agreement.
    pub(crate) fn terminate_by(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        party: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let agreement = self.agreements.get_mut(id);
        let Some(agreement) = agreement.filter(|agreement| agreement.is_known_to(party)) else {
            return self.terminate_by_requestor(ports, providers, party, id, reason);
        };
        agreement.step(AgreementState::Terminated)?;
        let actor = ports.actor(party);
        self.end_agreement(ports, id, Party::Provider, actor, reason);
        Ok(())
    }

    fn terminate_by_requestor(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        requestor: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let found = self.own_agreement(requestor, id);
        let found = found.ok_or_else(|| MarketError::NoAgreement(id.clone()))?;
        if found.state == AgreementState::Approved {
            self.can_reach(providers, id)?;
            let behaviour = self
                .agreement(id)
                .and_then(|agreement| providers.behaviour(&agreement.provider));
            if behaviour.is_some_and(|behaviour| behaviour.refuse_termination) {
                return Err(MarketError::TerminationRefused(id.clone()));
            }
        }
        self.step_agreement(requestor, id, AgreementState::Terminated)?;
        let actor = ports.actor(requestor);
        self.end_agreement(ports, id, Party::Requestor, actor, reason);
        Ok(())
    }

    /// The provider ends an approved agreement; nothing happens in any other state.
    pub(crate) fn terminate_by_provider(
        &mut self,
        ports: &mut Ports,
        id: &AgreementId,
        reason: Reason,
    ) {
        let Some(agreement) = self.agreements.get_mut(id) else {
            return;
        };
        if agreement.step(AgreementState::Terminated).is_err() {
            return;
        }
        let actor = ports.actor(&self.agreements[id].provider);
        self.end_agreement(ports, id, Party::Provider, actor, Some(reason));
    }

    /// The provider announces that it will end an approved agreement at `deadline`; it stays approved, and may end
    /// earlier. The same announcement again is fine, another one is not.
    pub(crate) fn announce_end(
        &mut self,
        ports: &mut Ports,
        id: &AgreementId,
        deadline: Timestamp,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let found = self.agreements.get_mut(id);
        let agreement = found.ok_or_else(|| MarketError::NoAgreement(id.clone()))?;
        match &agreement.state {
            AgreementState::Approved => {}
            AgreementState::Terminated | AgreementState::Expired | AgreementState::Cancelled => {
                return Err(MarketError::AnnouncedTooLate(id.clone()));
            }
            _ => return Err(MarketError::AnnouncedUnapproved(id.clone())),
        }
        let announced = AnnouncedEnd { deadline, reason };
        match &agreement.announced {
            Some(before) if *before == announced => return Ok(()),
            Some(_) => return Err(MarketError::AnnouncedOtherwise(id.clone())),
            None if deadline <= ports.now => {
                return Err(MarketError::AnnouncedPast(id.clone(), deadline));
            }
            None => {}
        }
        let reason = announced.reason.clone();
        agreement.announced = Some(announced);
        let actor = ports.actor(&agreement.provider);
        let event = Event::TerminationAnnounced {
            agreement: id.clone(),
            deadline,
        };
        ports.record(actor, event);
        let kind = AgreementEventKind::AgreementTerminationNoticeEvent {
            termination_deadline: deadline,
            reason,
        };
        self.log_agreement(ports, id, kind);
        Ok(())
    }

    /// The same by a caller of the daemon: only the provider may.
    pub(crate) fn announce_end_by(
        &mut self,
        ports: &mut Ports,
        party: &NodeId,
        id: &AgreementId,
        deadline: Timestamp,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let found = self.agreement(id);
        let party_of = found.filter(|it| it.is_known_to(party) || it.requestor == *party);
        let agreement = party_of.ok_or_else(|| MarketError::NoAgreement(id.clone()))?;
        if agreement.provider != *party {
            return Err(MarketError::AnnouncedByRequestor(id.clone()));
        }
        self.announce_end(ports, id, deadline, reason)
    }

    fn end_agreement(
        &mut self,
        ports: &mut Ports,
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
        ports.record(actor, event);
        let signature = String::new();
        let kind = AgreementEventKind::AgreementTerminatedEvent {
            terminator,
            signature,
            reason,
        };
        let event = self.log_agreement(ports, id, kind);
        if let Some(agreement) = self.agreements.get_mut(id) {
            agreement.ended_at = event.as_ref().map(|event| event.event_date);
            agreement.terminated = event;
        }
        self.leave_agreement(ports, id);
    }

    /// What follows every end of an agreement, approved or not.
    pub(super) fn leave_agreement(&mut self, ports: &mut Ports, id: &AgreementId) {
        let Some(agreement) = self.agreements.get_mut(id) else {
            return;
        };
        ports.cancel(agreement.expiry.take());
        ports.wake(&Topic::Agreement(id.clone()));
        if agreement.was_approved() {
            ports.tell(Notice::AgreementEnded(id.clone()));
        }
        ports.tell(Notice::AgreementLeft(id.clone()));
    }

    /// The time to approve is over. No poll is woken: waiting clients run into their own timeout.
    pub(in crate::daemon::market) fn expire_agreement(
        &mut self,
        ports: &mut Ports,
        id: &AgreementId,
    ) {
        let Some(agreement) = self.agreements.get_mut(id) else {
            return;
        };
        let stood = agreement.state.clone();
        if agreement.step(AgreementState::Expired).is_ok() {
            agreement.listed_as = Some(stood);
            ports.record(
                Actor::Daemon,
                Event::AgreementExpired {
                    agreement: id.clone(),
                },
            );
            self.leave_agreement(ports, id);
        }
    }

    /// The event that ended an agreement.
    pub(crate) fn termination(
        &mut self,
        party: &NodeId,
        id: &AgreementId,
    ) -> Result<AgreementEvent, MarketError> {
        self.touch(party, id);
        let agreement = self.agreement(id);
        let agreement = agreement.filter(|it| it.requestor == *party || it.is_known_to(party));
        let agreement = agreement.ok_or_else(|| MarketError::NoAgreement(id.clone()))?;
        agreement
            .terminated
            .clone()
            .ok_or_else(|| match agreement.requestor == *party {
                true => MarketError::NotTerminated(id.clone()),
                false => MarketError::NotTerminatedByProvider(id.clone()),
            })
    }
}
