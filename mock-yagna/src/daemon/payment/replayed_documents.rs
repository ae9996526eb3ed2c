//! Documents that a provider's agent issues by hand, for re-enactments of recorded sessions.
//!
//! Like any agent it may contradict itself: a note may be smaller than the one before, an invoice
//! may come while the agreement lives. The daemon passes all of it on, and so does this.

use std::time::Duration;

use golem_wire::payment::{self as wire_payment, DocumentStatus};
use golem_wire::{ActivityId, AgreementId, DebitNoteId, Glm, InvoiceId};
use serde_json::Value;

use super::billing::later;
use super::{DocumentEvent, EventKind};
use crate::ledger::Fact;
use crate::world::{State, Topic};

impl State {
    /// The agreement that the provider called `name` approved last.
    pub fn last_agreement(&self, name: &str) -> Option<AgreementId> {
        let provider = self.providers.by_name.get(name)?;
        let bills = self.payments.bills.values().rev();
        bills
            .filter(|bill| bill.provider == *provider)
            .map(|bill| bill.agreement.clone())
            .next()
    }

    /// The last activity under `agreement`.
    pub fn last_activity(&self, agreement: &AgreementId) -> Option<ActivityId> {
        self.payments
            .bills
            .get(agreement)?
            .meters
            .keys()
            .last()
            .cloned()
    }

    /// Issues a debit note of `total` for `activity`, to be paid within `term` if it is payable.
    pub fn issue_note_by_hand(
        &mut self,
        activity: &ActivityId,
        total: Glm,
        usage: &[f64],
        term: Option<Duration>,
    ) -> Option<DebitNoteId> {
        let (now, id) = (self.now, self.ids.debit_note());
        let bill = self.bill_of(activity)?;
        let (agreement, requestor, provider) = (
            bill.agreement.clone(),
            bill.requestor.clone(),
            bill.provider.clone(),
        );
        let (terms, session) = (bill.terms.clone(), bill.session.clone());
        let previous = bill
            .meters
            .get_mut(activity)
            .and_then(|m| m.last_note.replace(id.clone()));
        let note = wire_payment::DebitNote {
            debit_note_id: id.clone(),
            issuer_id: provider.clone(),
            recipient_id: requestor.clone(),
            payee_addr: terms.payee,
            payer_addr: terms.payer,
            payment_platform: terms.platform,
            previous_debit_note_id: previous,
            timestamp: super::billing::to_millis(now),
            agreement_id: agreement,
            activity_id: activity.clone(),
            total_amount_due: total,
            usage_counter_vector: Some(usage.iter().copied().map(Value::from).collect()),
            payment_due_date: term.map(|term| super::billing::to_micros(later(now, term))),
            status: DocumentStatus::Received,
        };
        self.payments.file_note(note);
        let fact = Fact::DebitNoteIssued {
            note: id.clone(),
            activity: activity.clone(),
            total,
        };
        self.post(self.actor(&provider), fact);
        let event = DocumentEvent {
            id: id.clone(),
            at: self.stamp(),
            session,
            kind: EventKind::Received,
        };
        self.payments.note_events.push(&requestor, event);
        self.wake(&Topic::DebitNoteEvents(requestor));
        Some(id)
    }

    /// Issues an invoice of `amount` under `agreement` for `activities`.
    pub fn issue_invoice_by_hand(
        &mut self,
        agreement: &AgreementId,
        activities: Vec<ActivityId>,
        amount: Glm,
        term: Duration,
    ) -> Option<InvoiceId> {
        let (now, id) = (self.now, self.ids.invoice());
        let bill = self.payments.bills.get_mut(agreement)?;
        bill.invoice = Some(id.clone());
        let (requestor, provider) = (bill.requestor.clone(), bill.provider.clone());
        let (terms, session) = (bill.terms.clone(), bill.session.clone());
        let invoice = wire_payment::Invoice {
            invoice_id: id.clone(),
            issuer_id: provider.clone(),
            recipient_id: requestor.clone(),
            payee_addr: terms.payee,
            payer_addr: terms.payer,
            payment_platform: terms.platform,
            timestamp: super::billing::to_millis(now),
            agreement_id: agreement.clone(),
            activity_ids: activities,
            amount,
            payment_due_date: super::billing::to_micros(later(now, term)),
            status: DocumentStatus::Received,
        };
        self.payments.file_invoice(invoice);
        let fact = Fact::InvoiceIssued {
            invoice: id.clone(),
            agreement: agreement.clone(),
            amount,
        };
        self.post(self.actor(&provider), fact);
        let event = DocumentEvent {
            id: id.clone(),
            at: self.stamp(),
            session,
            kind: EventKind::Received,
        };
        self.push_invoice_event(&requestor, event);
        Some(id)
    }

    /// The provider cancels an invoice that nobody accepted.
    pub fn cancel_invoice_by_hand(&mut self, id: &InvoiceId) -> bool {
        let Some(invoice) = self.payments.invoices.get_mut(id) else {
            return false;
        };
        if invoice.status != DocumentStatus::Received {
            return false;
        }
        invoice.status = DocumentStatus::Cancelled;
        let (requestor, agreement) = (invoice.recipient_id.clone(), invoice.agreement_id.clone());
        let session = self
            .payments
            .bills
            .get(&agreement)
            .and_then(|bill| bill.session.clone());
        let event = DocumentEvent {
            id: id.clone(),
            at: self.stamp(),
            session,
            kind: EventKind::Cancelled,
        };
        self.push_invoice_event(&requestor, event);
        true
    }
}
