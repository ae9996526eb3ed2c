//! From the requestor's confirmation to the provider's answer, and waiting for it.
//!
//! Does not own: what the provider decides (`agent::decide`), what follows an end (`termination`).

use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::market::{AgreementEventKind, AgreementState};
use golem_wire::{AgreementId, NodeId};

use super::{Agreement, Market, MarketError};
use crate::journal::Event;
use crate::ports::{Notice, Ports};
use crate::provider::Providers;
use crate::timeline::{Action, AgentDue};
use crate::topics::Topic;

impl Market {
    /// The requestor binds itself; now the provider may approve.
    pub(crate) fn confirm_agreement(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        requestor: &NodeId,
        id: &AgreementId,
        session: Option<String>,
    ) -> Result<(), MarketError> {
        self.can_reach(providers, id)?;
        let unconfirmed = self
            .own_agreement(requestor, id)
            .filter(|found| found.state == AgreementState::Proposal);
        if let Some(agreement) = unconfirmed
            && let Some(draft) = self.proposals.get(&agreement.promoted)
            && draft.countered
        {
            return Err(MarketError::ConfirmedCountered {
                agreement: id.clone(),
                proposal: draft.id.clone(),
            });
        }
        let agreement = self.step_agreement(requestor, id, AgreementState::Pending)?;
        agreement.confirmed = true;
        agreement.app_session = session;
        let event = Event::AgreementConfirmed {
            agreement: id.clone(),
        };
        ports.record(ports.actor(requestor), event);
        ports.wake(&Topic::Agreement(id.clone()));
        ports.tell(Notice::AgreementProposed(id.clone()));
        Ok(())
    }

    /// The provider rejects what the requestor confirmed; answers whether it still could.
    pub(crate) fn reject_agreement(
        &mut self,
        ports: &mut Ports,
        id: &AgreementId,
        reason: Reason,
    ) -> bool {
        let Some(agreement) = self.agreements.get_mut(id) else {
            return false;
        };
        if agreement.step(AgreementState::Rejected).is_err() {
            return false;
        }
        let event = Event::AgreementRejected {
            agreement: id.clone(),
            reason: reason.message.clone(),
        };
        ports.record(ports.actor(&agreement.provider), event);
        let reason = Some(reason);
        self.log_agreement(
            ports,
            id,
            AgreementEventKind::AgreementRejectedEvent { reason },
        );
        self.leave_agreement(ports, id);
        true
    }

    /// The provider approves what the requestor confirmed; answers whether it still could.
    pub(crate) fn approve_agreement(&mut self, ports: &mut Ports, id: &AgreementId) -> bool {
        let Some(agreement) = self.agreements.get_mut(id) else {
            return false;
        };
        if agreement.step(AgreementState::Approved).is_err() {
            return false;
        }
        agreement.approved_at = Some(ports.stamp());
        ports.cancel(agreement.expiry.take());
        let event = Event::AgreementApproved {
            agreement: id.clone(),
        };
        ports.record(ports.actor(&agreement.provider), event);
        self.log_agreement(ports, id, AgreementEventKind::AgreementApprovedEvent);
        ports.wake(&Topic::Agreement(id.clone()));
        true
    }

    /// Who calls as the provider approves what waits for its approval; its agent has the last word.
    ///
    /// # Errors
    /// When it never heard of the agreement, or nobody waits any more.
    pub(crate) fn approve_by_api(
        &self,
        ports: &mut Ports,
        party: &NodeId,
        id: &AgreementId,
    ) -> Result<(), MarketError> {
        match &self.heard_by(party, id)?.state {
            AgreementState::Pending => {
                let decide = Action::Agent(AgentDue::Decide(id.clone()));
                ports.after(Duration::ZERO, decide);
                Ok(())
            }
            AgreementState::Cancelled => Err(MarketError::NotApproved(AgreementState::Cancelled)),
            from => Err(MarketError::Transition {
                from: from.clone(),
                to: AgreementState::Other("Approving".to_owned()),
            }),
        }
    }

    /// Who calls as the provider rejects what waits for its approval.
    ///
    /// # Errors
    /// When it never heard of the agreement, or nobody waits any more.
    pub(crate) fn reject_by_api(
        &mut self,
        ports: &mut Ports,
        party: &NodeId,
        id: &AgreementId,
        reason: Option<Reason>,
    ) -> Result<(), MarketError> {
        let from = self.heard_by(party, id)?.state.clone();
        let reason = reason.unwrap_or_else(|| Reason::from(""));
        match self.reject_agreement(ports, id, reason) {
            true => Ok(()),
            false => Err(MarketError::Transition {
                from,
                to: AgreementState::Rejected,
            }),
        }
    }

    /// An agreement of this provider, which it was asked for.
    fn heard_by(&self, party: &NodeId, id: &AgreementId) -> Result<&Agreement, MarketError> {
        let found = self.agreement(id).filter(|found| found.is_known_to(party));
        found.ok_or_else(|| MarketError::NoAgreementOfProvider(id.clone()))
    }

    /// What waiting for approval answers at first; `Ok(false)`: nothing yet.
    pub(crate) fn ask_for_approval(
        &mut self,
        requestor: &NodeId,
        id: &AgreementId,
    ) -> Result<bool, MarketError> {
        self.touch(requestor, id);
        self.approval(requestor, id)
    }

    /// What waiting for approval answers now; `Ok(false)`: nothing yet.
    pub(crate) fn approval(
        &self,
        requestor: &NodeId,
        id: &AgreementId,
    ) -> Result<bool, MarketError> {
        let agreement = self.own_agreement(requestor, id);
        let agreement = agreement.ok_or_else(|| MarketError::NoAgreementOfRequestor(id.clone()))?;
        match &agreement.state {
            AgreementState::Approved => Ok(true),
            AgreementState::Pending => Ok(false),
            AgreementState::Proposal => Err(MarketError::NotConfirmed(id.clone())),
            AgreementState::Terminated => Err(MarketError::Terminated(id.clone())),
            AgreementState::Expired => Err(MarketError::Expired(id.clone())),
            state => Err(MarketError::NotApproved(state.clone())),
        }
    }
}
