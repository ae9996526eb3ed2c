//! What a provider does about time: it ends agreements that are idle, over, or not paid for.
//!
//! Each reason carries the code of the real provider agent in `golem.provider.code`.

use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::{ActivityId, AgreementId, DebitNoteId};
use serde_json::Value;

use super::billing::after;
use super::{Agents, Network};
use crate::timeline::{Action, AgentDue};

/// How much later than its due date a payment may arrive before the provider gives up.
const PAYMENT_GRACE: Duration = Duration::from_secs(60);

impl Agents {
    /// The agreement has been without an activity for too long.
    pub(super) fn idle_for_too_long(&mut self, net: &mut Network<'_>, agreement: &AgreementId) {
        let Some(bill) = self.bills.get_mut(agreement) else {
            return;
        };
        bill.idle = None;
        golem_probe::sometimes!(
            bill.running == 0,
            "an agreement is ended since nobody uses it"
        );
        if bill.running == 0 {
            let patience = bill.terms.idle_timeout.as_secs_f64();
            self.end(
                net,
                agreement,
                "NoActivity",
                format!("No activity created within {patience}s"),
            );
        }
    }

    /// The time the requestor asked for is over.
    pub(super) fn agreement_time_is_over(
        &mut self,
        net: &mut Network<'_>,
        agreement: &AgreementId,
    ) {
        if let Some(bill) = self.bills.get_mut(agreement) {
            bill.expiry = None;
        }
        self.end(
            net,
            agreement,
            "Expired",
            format!("Agreement expired @ {}", net.ports.now),
        );
    }

    /// An agreement for one activity ends with it.
    pub(super) fn finish_single_activity(
        &mut self,
        net: &mut Network<'_>,
        agreement: &AgreementId,
    ) {
        self.end(net, agreement, "Success", "Finished with success.".into());
    }

    /// The oldest unaccepted note of the activity has waited for too long.
    pub(super) fn accept_deadline_passed(&mut self, net: &mut Network<'_>, activity: &ActivityId) {
        let Some(bill) = self.bill_of(activity) else {
            return;
        };
        let agreement = bill.agreement.clone();
        let Some(meter) = bill.meters.get_mut(activity) else {
            return;
        };
        meter.deadline = None;
        golem_probe::sometimes!(
            !meter.unaccepted.is_empty(),
            "a debit note is not accepted in time"
        );
        if !meter.unaccepted.is_empty() {
            let message = "Requestor isn't accepting DebitNotes in time".into();
            self.end(net, &agreement, "DebitNotesDeadline", message);
        }
    }

    /// Has the provider look whether a payable note was paid, somewhat after its due date.
    pub(super) fn watch_payment(
        &mut self,
        net: &mut Network<'_>,
        note: &DebitNoteId,
        timeout: Duration,
    ) {
        let due = AgentDue::PayDeadline(note.clone());
        after(net, timeout.saturating_add(PAYMENT_GRACE), due);
    }

    /// A payable note should have been paid by now.
    pub(super) fn pay_deadline_passed(&mut self, net: &mut Network<'_>, note: &DebitNoteId) {
        let Some(note) = net.payments.any_note(note) else {
            return;
        };
        let ended = self
            .bills
            .get(&note.agreement_id)
            .is_some_and(|bill| bill.ended);
        if ended || net.payments.is_paid(note) {
            return;
        }
        let message = format!("debit note {} was not paid in time", note.debit_note_id);
        let agreement = note.agreement_id.clone();
        self.end(net, &agreement, "DebitNoteNotPaid", message);
    }

    /// A note was accepted, and with it all earlier ones of its series.
    pub(super) fn note_deadline_met(
        &mut self,
        net: &mut Network<'_>,
        activity: &ActivityId,
        note: &DebitNoteId,
    ) {
        let Some(meter) = self.meter(activity) else {
            return;
        };
        let Some(position) = meter.unaccepted.iter().position(|(id, _)| id == note) else {
            return;
        };
        meter.unaccepted.drain(..=position);
        let (old, next) = (
            meter.deadline.take(),
            meter.unaccepted.front().map(|(_, at)| *at),
        );
        net.ports.cancel(old);
        if let Some(at) = next {
            let due = Action::Agent(AgentDue::AcceptDeadline(activity.clone()));
            let ticket = net.ports.timeline.schedule(at, due);
            if let Some(meter) = self.meter(activity) {
                meter.deadline = Some(ticket);
            }
        }
    }

    fn end(&mut self, net: &mut Network<'_>, agreement: &AgreementId, code: &str, message: String) {
        let ended = self
            .bills
            .get(agreement)
            .is_none_or(|bill| bill.ended || !net.providers.answers(&bill.provider));
        if ended {
            return;
        }
        let mut reason = Reason {
            message,
            ..Reason::default()
        };
        reason
            .extra
            .insert("golem.provider.code".into(), Value::from(code));
        net.market
            .terminate_by_provider(net.ports, agreement, reason);
    }
}
