//! The invoice of a provider: one for each agreement that has ended, or as many as its behaviour
//! says.
//!
//! Does not own: when an agreement and its activities have ended (`billing`), what is decided about
//! an invoice (`acceptance`).

use std::time::Duration;

use golem_wire::payment::{self as wire_payment, DocumentStatus};
use golem_wire::{AgreementId, NodeId};

use super::bill::Bill;
use super::billing::{RETRY, later, to_micros, to_millis};
use super::{DocumentEvent, Due, EventKind};
use crate::behaviour::Step;
use crate::journal::Event;
use crate::ledger::Fact;
use crate::world::{State, Topic};

/// Time to pay an invoice when no payment timeout was negotiated.
const INVOICE_TERM: Duration = Duration::from_secs(24 * 3600);

impl State {
    pub(super) fn invoice_if_ready(&mut self, agreement: &AgreementId) {
        let ready = self
            .payments
            .bills
            .get(agreement)
            .is_some_and(Bill::is_ready_for_invoice);
        if ready {
            let provider = self
                .payments
                .bills
                .get(agreement)
                .map(|bill| bill.provider.clone());
            let wanted = provider.as_ref().and_then(|p| self.provider(p));
            if wanted.is_some_and(|p| p.spec.behaviour.invoices == 0) {
                return;
            }
            let own = provider.and_then(|p| self.own_latency(&p, |l| &l.invoice));
            let delay = own.unwrap_or(self.config.latency.invoice);
            let ticket = self.after(delay, Due::Invoice(agreement.clone()));
            if let Some(bill) = self.payments.bills.get_mut(agreement) {
                bill.invoicing = Some(ticket);
            }
        }
    }

    /// The provider bills the whole agreement; one without activities costs nothing.
    pub(super) fn issue_invoice(&mut self, agreement: &AgreementId) {
        let provider = self
            .payments
            .bills
            .get(agreement)
            .map(|bill| bill.provider.clone());
        let behaviour = provider.as_ref().and_then(|p| self.provider(p));
        let behaviour = behaviour
            .map(|p| p.spec.behaviour.clone())
            .unwrap_or_default();
        if let Some(provider) = &provider
            && self.dies_before(provider, Step::Invoice)
        {
            return;
        }
        if provider.is_some_and(|provider| !self.answers(&provider)) {
            let ticket = self.after(RETRY, Due::Invoice(agreement.clone()));
            if let Some(bill) = self.payments.bills.get_mut(agreement) {
                bill.invoicing = Some(ticket);
            }
            return;
        }
        self.issue_last_notes(agreement);
        let (now, id) = (self.now, self.ids.invoice());
        let Some(bill) = self.payments.bills.get_mut(agreement) else {
            return;
        };
        // The first one counts; more of them are the provider's mistake.
        bill.invoice.get_or_insert_with(|| id.clone());
        bill.invoicing = None;
        bill.invoices += 1;
        let again = bill.invoices < behaviour.invoices;
        let amount = behaviour.invoice_factor.times(bill.due());
        let (requestor, provider) = (bill.requestor.clone(), bill.provider.clone());
        let session = bill.session.clone();
        let term = bill.terms.payment_timeout.unwrap_or(INVOICE_TERM);
        let invoice = wire_payment::Invoice {
            invoice_id: id.clone(),
            issuer_id: provider.clone(),
            recipient_id: requestor.clone(),
            payee_addr: bill.terms.payee.clone(),
            payer_addr: bill.terms.payer.clone(),
            payment_platform: bill.terms.platform.clone(),
            timestamp: to_millis(now),
            agreement_id: agreement.clone(),
            activity_ids: bill.meters.keys().cloned().collect(),
            amount,
            payment_due_date: to_micros(later(now, term)),
            status: DocumentStatus::Received,
        };
        self.payments.file_invoice(invoice);
        let totals = &mut self.payments.totals;
        totals.invoices += 1;
        totals.invoiced = totals.invoiced + amount;
        let (actor, agreement) = (self.actor(&provider), agreement.clone());
        let billed = agreement.clone();
        let fact = Fact::InvoiceIssued {
            invoice: id.clone(),
            agreement: agreement.clone(),
            amount,
        };
        self.post(actor.clone(), fact);
        self.record(
            actor,
            Event::InvoiceIssued {
                invoice: id.clone(),
                agreement,
                amount,
            },
        );
        let event = DocumentEvent {
            id,
            at: self.stamp(),
            session,
            kind: EventKind::Received,
        };
        self.push_invoice_event(&requestor, event);
        if again {
            self.after(RETRY, Due::Invoice(billed));
        }
        self.may_die_after(&provider, Step::Invoice);
    }

    pub(super) fn push_invoice_event(
        &mut self,
        requestor: &NodeId,
        event: DocumentEvent<golem_wire::InvoiceId>,
    ) {
        self.payments.invoice_events.push(requestor, event);
        self.wake(&Topic::InvoiceEvents(requestor.clone()));
    }
}
