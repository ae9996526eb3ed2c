//! From the requestor's confirmation to the provider's decision, and waiting for it.
//!
//! Does not own what makes a provider refuse (`agent`), nor what follows an end
//! (`termination`).

use std::sync::Arc;

use golem_wire::common::Reason;
use golem_wire::market::{AgreementEventKind, AgreementState};
use golem_wire::{AgreementId, NodeId};
use jiff::Timestamp;

use super::MarketError;
use crate::behaviour::Step;
use crate::daemon::market::Due;
use crate::journal::Event;
use crate::world::{Action, State, Topic};

impl State {
    /// The requestor binds itself; now the provider may approve.
    pub(crate) fn confirm_agreement(
        &mut self,
        requestor: &NodeId,
        id: &AgreementId,
        session: Option<String>,
    ) -> Result<(), MarketError> {
        self.can_reach(id)?;
        let agreement = self.step_agreement(requestor, id, AgreementState::Pending)?;
        agreement.confirmed = true;
        agreement.app_session = session;
        let provider = agreement.provider.clone();
        let subscription = Arc::clone(&agreement.subscription);
        self.record(
            self.actor(requestor),
            Event::AgreementConfirmed {
                agreement: id.clone(),
            },
        );
        self.wake(&Topic::Agreement(id.clone()));
        let Some(behaviour) = self.provider(&provider).map(|p| p.spec.behaviour.clone()) else {
            return Ok(());
        };
        // Agents look at what comes to the offer that stands: an agreement on an earlier one waits
        // until its `validTo`.
        if !behaviour.never_approve && subscription.stands(self.now) {
            let own = self.own_latency(&provider, |l| &l.approval);
            let at = self
                .now
                .checked_add(own.unwrap_or(behaviour.approve_after))
                .unwrap_or(Timestamp::MAX);
            let ticket = self
                .timeline
                .schedule(at, Action::Market(Due::Decide(id.clone())));
            if let Some(agreement) = self.market.agreements.get_mut(id) {
                agreement.scheduled.push(ticket);
            }
        }
        Ok(())
    }

    /// The provider approves or rejects what the requestor confirmed.
    pub(in crate::daemon::market) fn decide_agreement(&mut self, id: &AgreementId) {
        let Some(agreement) = self.market.agreements.get_mut(id) else {
            return;
        };
        let node = agreement.provider.clone();
        if agreement.state != AgreementState::Pending
            || !self.answers(&node)
            || self.dies_before(&node, Step::Approval)
        {
            return;
        }
        let Some(agreement) = self.market.agreements.get_mut(id) else {
            return;
        };
        let Some(provider) = self.providers.by_id.get_mut(&node) else {
            return;
        };
        if let Some(reason) = provider.refusal() {
            if agreement.step(AgreementState::Rejected).is_ok() {
                let message = reason.message.clone();
                let event = Event::AgreementRejected {
                    agreement: id.clone(),
                    reason: message,
                };
                self.record(self.actor(&node), event);
                let reason = Some(reason);
                self.log_agreement(id, AgreementEventKind::AgreementRejectedEvent { reason });
                self.leave_agreement(id);
            }
        } else if agreement.step(AgreementState::Approved).is_ok() {
            provider.busy += 1;
            self.approve(id, &node);
            self.may_die_after(&node, Step::Approval);
        }
    }

    fn approve(&mut self, id: &AgreementId, node: &NodeId) {
        let approved_at = self.stamp();
        let early = self
            .provider(node)
            .and_then(|p| p.spec.behaviour.terminate_after);
        let early = early.and_then(|after| self.now.checked_add(after).ok());
        if let Some(agreement) = self.market.agreements.get_mut(id) {
            agreement.approved_at = Some(approved_at);
            for ticket in std::mem::take(&mut agreement.scheduled) {
                self.timeline.cancel(ticket);
            }
            if let Some(at) = early {
                let mut reason = Reason::from("provider needs its machine back");
                reason
                    .extra
                    .insert("golem.provider.code".into(), "Shutdown".into());
                let due = Action::Market(Due::Terminate(id.clone(), reason));
                agreement.scheduled.push(self.timeline.schedule(at, due));
            }
        }
        self.record(
            self.actor(node),
            Event::AgreementApproved {
                agreement: id.clone(),
            },
        );
        self.log_agreement(id, AgreementEventKind::AgreementApprovedEvent);
        self.wake(&Topic::Agreement(id.clone()));
        self.agreement_approved(id);
        let silent_after = self
            .provider(node)
            .and_then(|p| p.spec.behaviour.silent_after);
        if let Some(after) = silent_after {
            let at = self.now.saturating_add(after).unwrap_or(Timestamp::MAX);
            self.timeline
                .schedule(at, Action::Market(Due::Silence(node.clone())));
        }
        // A provider with room for more stays on the market.
        self.offer_once_more(node);
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
