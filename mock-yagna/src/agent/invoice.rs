//! The invoice of a provider: one for each agreement that has ended, or as many as its behaviour
//! says.
//!
//! Does not own: when an agreement and its activities have ended (`billing`), what is decided about
//! an invoice (`daemon::payment`).

use std::time::Duration;

use golem_wire::AgreementId;
use golem_wire::payment::{self as wire_payment, DocumentStatus};

use super::bill::Bill;
use super::billing::{RETRY, after};
use super::{Agents, Network};
use crate::behaviour::Step;
use crate::daemon::payment::{to_micros, to_millis};
use crate::journal::Event;
use crate::ports::later;
use crate::timeline::AgentDue;

/// Time to pay an invoice when no payment timeout was negotiated.
const INVOICE_TERM: Duration = Duration::from_secs(24 * 3600);

impl Agents {
    pub(super) fn invoice_if_ready(&mut self, net: &mut Network<'_>, agreement: &AgreementId) {
        let ready = self
            .bills
            .get(agreement)
            .is_some_and(Bill::is_ready_for_invoice);
        if ready {
            let provider = self.bills.get(agreement).map(|bill| bill.provider.clone());
            let wanted = provider.as_ref().and_then(|p| net.providers.get(p));
            if wanted.is_some_and(|p| p.spec.behaviour.invoices == 0) {
                return;
            }
            // The requestor's daemon takes no invoice over an activity that it does not know.
            if net.activities.has_unlisted(agreement) {
                return;
            }
            let own = provider.and_then(|p| net.providers.own_latency(&p, |l| &l.invoice));
            let delay = own.unwrap_or(net.ports.config.latency.invoice);
            let ticket = after(net, delay, AgentDue::Invoice(agreement.clone()));
            if let Some(bill) = self.bills.get_mut(agreement) {
                bill.invoicing = Some(ticket);
            }
        }
    }

    /// The provider bills the whole agreement; one without activities costs nothing.
    pub(super) fn issue_invoice(&mut self, net: &mut Network<'_>, agreement: &AgreementId) {
        let provider = self.bills.get(agreement).map(|bill| bill.provider.clone());
        let behaviour = provider.as_ref().and_then(|p| net.providers.get(p));
        let behaviour = behaviour
            .map(|p| p.spec.behaviour.clone())
            .unwrap_or_default();
        if let Some(provider) = &provider
            && net
                .providers
                .vanishes_before(net.ports, provider, Step::Invoice)
        {
            return;
        }
        if provider.is_some_and(|provider| !net.providers.answers(&provider)) {
            let ticket = after(net, RETRY, AgentDue::Invoice(agreement.clone()));
            if let Some(bill) = self.bills.get_mut(agreement) {
                bill.invoicing = Some(ticket);
            }
            return;
        }
        golem_probe::sometimes!(
            self.bills.get(agreement).is_some_and(|bill| bill.ended),
            "an invoice comes after the termination"
        );
        self.issue_last_notes(net, agreement);
        let (now, id) = (net.ports.now, net.ports.ids.invoice());
        let Some(bill) = self.bills.get_mut(agreement) else {
            return;
        };
        // The first one counts; more of them are the provider's mistake.
        bill.invoice.get_or_insert_with(|| id.clone());
        bill.invoicing = None;
        bill.invoices += 1;
        let again = bill.invoices < behaviour.invoices;
        let amount = behaviour.invoice_factor.times(bill.due());
        let (requestor, provider) = (bill.requestor.clone(), bill.provider.clone());
        let term = bill.terms.payment_timeout.unwrap_or(INVOICE_TERM);
        let invoice = wire_payment::Invoice {
            invoice_id: id.clone(),
            issuer_id: provider.clone(),
            recipient_id: requestor,
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
        net.payments.receive_invoice(net.ports, invoice);
        let event = Event::InvoiceIssued {
            invoice: id,
            agreement: agreement.clone(),
            amount,
        };
        net.ports.record(net.ports.actor(&provider), event);
        if again {
            after(net, RETRY, AgentDue::Invoice(agreement.clone()));
        }
        net.providers
            .may_vanish_after(net.ports, &provider, Step::Invoice);
    }
}
