//! What a provider does about time: it ends agreements that are idle, over, or not paid for.
//!
//! Each reason carries the code of the real provider agent in `golem.provider.code`.

use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::payment::DocumentStatus;
use golem_wire::{ActivityId, AgreementId, DebitNoteId};
use serde_json::Value;

use super::Due;
use crate::world::State;

/// How much later than its due date a payment may arrive before the provider gives up.
const PAYMENT_GRACE: Duration = Duration::from_secs(60);

impl State {
    /// Nobody has used the agreement for too long.
    pub(super) fn idle_for_too_long(&mut self, agreement: &AgreementId) {
        let Some(bill) = self.payments.bills.get_mut(agreement) else {
            return;
        };
        bill.idle = None;
        if bill.running == 0 {
            let patience = bill.terms.idle_timeout.as_secs_f64();
            self.end(
                agreement,
                "NoActivity",
                format!("no activity for {patience} s"),
            );
        }
    }

    /// The time the requestor asked for is over.
    pub(super) fn agreement_time_is_over(&mut self, agreement: &AgreementId) {
        if let Some(bill) = self.payments.bills.get_mut(agreement) {
            bill.expiry = None;
        }
        self.end(
            agreement,
            "Expired",
            format!("the agreement ended at {}", self.now),
        );
    }

    /// An agreement for one activity ends with it.
    pub(super) fn finish_single_activity(&mut self, agreement: &AgreementId) {
        self.end(
            agreement,
            "Success",
            "the only activity of the agreement has finished".into(),
        );
    }

    /// The oldest unaccepted note of the activity has waited for too long.
    pub(super) fn accept_deadline_passed(&mut self, activity: &ActivityId) {
        let Some(bill) = self.bill_of(activity) else {
            return;
        };
        let patience = bill.terms.accept_timeout.unwrap_or_default().as_secs_f64();
        let agreement = bill.agreement.clone();
        let Some(meter) = bill.meters.get_mut(activity) else {
            return;
        };
        meter.deadline = None;
        if let Some((note, _)) = meter.unaccepted.front() {
            let message = format!("debit note {note} was not accepted within {patience} s");
            self.end(&agreement, "DebitNotesDeadline", message);
        }
    }

    /// Has the provider look whether a payable note was paid, somewhat after its due date.
    pub(super) fn watch_payment(&mut self, note: &DebitNoteId, timeout: Duration) {
        self.after(
            timeout.saturating_add(PAYMENT_GRACE),
            Due::PayDeadline(note.clone()),
        );
    }

    /// A payable note should have been paid by now.
    pub(super) fn pay_deadline_passed(&mut self, note: &DebitNoteId) {
        let Some(note) = self.payments.debit_notes.get(note) else {
            return;
        };
        let covered = self
            .payments
            .bills
            .get(&note.agreement_id)
            .is_some_and(|bill| {
                let paid = bill.meters.get(&note.activity_id).map(|meter| meter.paid);
                bill.ended || paid.is_some_and(|paid| paid >= note.total_amount_due)
            });
        if covered || note.status == DocumentStatus::Settled {
            return;
        }
        let message = format!("debit note {} was not paid in time", note.debit_note_id);
        let agreement = note.agreement_id.clone();
        self.end(&agreement, "DebitNoteNotPaid", message);
    }

    /// A note was accepted, and with it all earlier ones of its series.
    pub(super) fn note_deadline_met(&mut self, activity: &ActivityId, note: &DebitNoteId) {
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
        if let Some(ticket) = old {
            self.timeline.cancel(ticket);
        }
        if let Some(at) = next {
            let due = crate::world::Action::Payment(Due::AcceptDeadline(activity.clone()));
            let ticket = self.timeline.schedule(at, due);
            if let Some(meter) = self.meter(activity) {
                meter.deadline = Some(ticket);
            }
        }
    }

    fn end(&mut self, agreement: &AgreementId, code: &str, message: String) {
        let ended = self
            .payments
            .bills
            .get(agreement)
            .is_none_or(|bill| bill.ended || !self.answers(&bill.provider));
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
        self.terminate_by_provider(agreement, reason);
    }
}
