//! Documents that a provider's agent issues by hand, for re-enactments of recorded sessions.
//!
//! Like any agent it may contradict itself: a note may be smaller than the one before, an invoice
//! may come while the agreement lives. The daemon passes all of it on, and so does this.

use std::time::Duration;

use golem_wire::payment::{self as wire_payment, DocumentStatus};
use golem_wire::{ActivityId, AgreementId, DebitNoteId, Glm, InvoiceId};
use serde_json::Value;

use crate::daemon::payment::{to_micros, to_millis};
use crate::world::State;

impl State {
    /// The agreement that the provider called `name` approved last.
    pub fn last_agreement(&self, name: &str) -> Option<AgreementId> {
        let provider = self.providers.by_name.get(name)?;
        let bills = self.agents.bills().rev();
        bills
            .filter(|bill| bill.provider == *provider)
            .map(|bill| bill.agreement.clone())
            .next()
    }

    /// The last activity under `agreement`.
    pub fn last_activity(&mut self, agreement: &AgreementId) -> Option<ActivityId> {
        let bill = self.agents.bill(agreement)?;
        bill.meters.keys().last().cloned()
    }

    /// Issues a debit note of `total` for `activity`, to be paid within `term` if it is payable.
    pub fn issue_note_by_hand(
        &mut self,
        activity: &ActivityId,
        total: Glm,
        usage: &[f64],
        term: Option<Duration>,
    ) -> Option<DebitNoteId> {
        let ports = &mut self.ports;
        let id = ports.ids.debit_note();
        let bill = self.agents.bill_of(activity)?;
        let meter = bill.meters.get_mut(activity);
        let previous = meter.and_then(|meter| meter.last_note.replace(id.clone()));
        let note = wire_payment::DebitNote {
            debit_note_id: id.clone(),
            issuer_id: bill.provider.clone(),
            recipient_id: bill.requestor.clone(),
            payee_addr: bill.terms.payee.clone(),
            payer_addr: bill.terms.payer.clone(),
            payment_platform: bill.terms.platform.clone(),
            previous_debit_note_id: previous,
            timestamp: to_millis(ports.now),
            agreement_id: bill.agreement.clone(),
            activity_id: activity.clone(),
            total_amount_due: total,
            usage_counter_vector: Some(usage.iter().copied().map(Value::from).collect()),
            payment_due_date: term.map(|term| to_micros(ports.later(term))),
            status: DocumentStatus::Received,
        };
        self.payments.receive_note(ports, note);
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
        let ports = &mut self.ports;
        let id = ports.ids.invoice();
        let bill = self.agents.bill(agreement)?;
        bill.invoice = Some(id.clone());
        let invoice = wire_payment::Invoice {
            invoice_id: id.clone(),
            issuer_id: bill.provider.clone(),
            recipient_id: bill.requestor.clone(),
            payee_addr: bill.terms.payee.clone(),
            payer_addr: bill.terms.payer.clone(),
            payment_platform: bill.terms.platform.clone(),
            timestamp: to_millis(ports.now),
            agreement_id: agreement.clone(),
            activity_ids: activities,
            amount,
            payment_due_date: to_micros(ports.later(term)),
            status: DocumentStatus::Received,
        };
        self.payments.receive_invoice(ports, invoice);
        self.payments.prefer_invoice(agreement, id.clone());
        Some(id)
    }

    /// The provider cancels an invoice that was not accepted.
    pub fn cancel_invoice_by_hand(&mut self, id: &InvoiceId) -> bool {
        self.payments.cancel_invoice(&mut self.ports, id)
    }
}
