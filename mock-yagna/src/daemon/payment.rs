//! Payments: allocations, the documents that arrive, what is accepted and paid.
//!
//! Owns what the daemon's payment service keeps and the rules by which it changes. Does not own: what
//! providers bill and when (`agent`), the laws (`ledger`), HTTP.

mod acceptance;
mod account;
mod allocation;
mod allocation_ops;
mod deposit;
mod driver;
mod event;
mod forget;
mod owner_index;
pub(crate) mod platform;
mod record;
mod tab;

use golem_wire::payment::{self as wire_payment, DocumentStatus};
use golem_wire::{ActivityId, AgreementId, AllocationId, DebitNoteId, Glm, InvoiceId, NodeId};
use indexmap::{IndexMap, IndexSet};
use jiff::Timestamp;

use crate::ledger::Fact;
use crate::ports::Ports;
use crate::timeline::{PaymentDue, Ticket};
use crate::topics::Topic;

pub(crate) use acceptance::DecisionError;
pub(crate) use allocation::{Allocation, AllocationError};
pub(crate) use allocation_ops::{AllocationSpec, FundsError};
pub(crate) use driver::Charge;
pub(crate) use event::{DocumentEvent, EventFilter, EventKind, EventWord};
pub(crate) use platform::PaymentPlatformEnum;
pub(crate) use record::{BatchOrder, Order, Payment, PaymentFilter};

use account::Account;
use event::EventLog;
use forget::Aging;
use owner_index::OwnerIndex;
use tab::Tab;

/// Everything the payment service remembers.
#[derive(Clone, Debug, Default)]
pub struct Payments {
    allocations: IndexMap<AllocationId, Allocation>,
    /// Live allocations of each owner, in order of creation.
    live: IndexMap<NodeId, IndexSet<AllocationId>>,
    accounts: IndexMap<(NodeId, String), Account>,
    tabs: IndexMap<AgreementId, Tab>,
    /// Under which agreement an activity is billed.
    metered: IndexMap<ActivityId, AgreementId>,
    debit_notes: IndexMap<DebitNoteId, wire_payment::DebitNote>,
    invoices: IndexMap<InvoiceId, wire_payment::Invoice>,
    /// Debit notes and invoices by recipient.
    notes_of: OwnerIndex<DebitNoteId>,
    invoices_of: OwnerIndex<InvoiceId>,
    note_events: EventLog<DebitNoteId>,
    aging: Aging,
    invoice_events: EventLog<InvoiceId>,
    /// Accepted, not paid yet.
    charges: Vec<Charge>,
    settling: Option<Ticket>,
    orders: IndexMap<AllocationId, Vec<Order>>,
    batch_orders: IndexMap<String, BatchOrder>,
    payments: IndexMap<String, Payment>,
    /// Payments by payer.
    payments_of: OwnerIndex<String>,
    /// Which payments are about an agreement.
    paid_for: IndexMap<AgreementId, Vec<String>>,
    totals: Totals,
}

/// Payments in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Invoices issued.
    pub invoices: u32,
    /// Invoices paid in full; nothing to pay counts.
    pub invoices_paid: u32,
    /// Debit notes issued.
    pub debit_notes: u32,
    /// The sum of all invoices.
    pub invoiced: Glm,
    /// The sum of everything accepted.
    pub accepted: Glm,
    /// The sum of everything transferred.
    pub paid: Glm,
}

impl Payments {
    /// Performs what payments had scheduled.
    pub(crate) fn perform(&mut self, ports: &mut Ports, due: PaymentDue) {
        match due {
            PaymentDue::ReleaseAllocation(allocation) => {
                self.allocation_timed_out(ports, &allocation);
            }
            PaymentDue::Settle => self.settle(ports),
        }
    }

    /// An agreement came into force: what its documents say is kept together.
    pub(crate) fn open_tab(
        &mut self,
        agreement: AgreementId,
        requestor: NodeId,
        session: Option<String>,
    ) {
        self.tabs.insert(agreement, Tab::new(requestor, session));
    }

    /// A debit note arrives from its provider.
    pub(crate) fn receive_note(&mut self, ports: &mut Ports, note: wire_payment::DebitNote) {
        let (id, recipient) = (note.debit_note_id.clone(), note.recipient_id.clone());
        let fact = Fact::DebitNoteIssued {
            note: id.clone(),
            activity: note.activity_id.clone(),
            total: note.total_amount_due,
        };
        ports.post(ports.actor(&note.issuer_id), fact);
        let event = DocumentEvent {
            id: id.clone(),
            at: ports.stamp(),
            session: self.session(&note.agreement_id),
            kind: EventKind::Received,
        };
        self.note_events.push(&recipient, event);
        let (activity, agreement) = (note.activity_id.clone(), note.agreement_id.clone());
        self.metered.insert(activity, agreement);
        self.totals.debit_notes += 1;
        self.notes_of.put(&recipient, note.timestamp, id.clone());
        self.aging.put(ports.now, id.clone());
        self.debit_notes.insert(id, note);
        self.forget_covered_notes(ports);
        ports.wake(&Topic::DebitNoteEvents(recipient));
    }

    /// An invoice arrives from its provider; the first one for an agreement counts.
    pub(crate) fn receive_invoice(&mut self, ports: &mut Ports, invoice: wire_payment::Invoice) {
        let (id, recipient) = (invoice.invoice_id.clone(), invoice.recipient_id.clone());
        let fact = Fact::InvoiceIssued {
            invoice: id.clone(),
            agreement: invoice.agreement_id.clone(),
            amount: invoice.amount,
        };
        ports.post(ports.actor(&invoice.issuer_id), fact);
        if let Some(tab) = self.tabs.get_mut(&invoice.agreement_id) {
            tab.invoice.get_or_insert_with(|| id.clone());
        }
        self.totals.invoices += 1;
        self.totals.invoiced = self.totals.invoiced + invoice.amount;
        let at = invoice.timestamp;
        self.invoices_of.put(&recipient, at, id.clone());
        self.invoices.insert(id, invoice.clone());
        self.tell_invoice(ports, &invoice, EventKind::Received);
    }

    /// Another invoice counts for its agreement than the first one.
    pub(crate) fn prefer_invoice(&mut self, agreement: &AgreementId, invoice: InvoiceId) {
        if let Some(tab) = self.tabs.get_mut(agreement) {
            tab.invoice = Some(invoice);
        }
    }

    /// A provider cancels an invoice; answers whether it still could.
    pub(crate) fn cancel_invoice(&mut self, ports: &mut Ports, id: &InvoiceId) -> bool {
        let Some(invoice) = self.invoices.get_mut(id) else {
            return false;
        };
        if invoice.status != DocumentStatus::Received {
            return false;
        }
        invoice.status = DocumentStatus::Cancelled;
        let invoice = invoice.clone();
        self.tell_invoice(ports, &invoice, EventKind::Cancelled);
        true
    }

    /// The provider of a debit note, and the note, whosever it is.
    pub(crate) fn any_note(&self, id: &DebitNoteId) -> Option<&wire_payment::DebitNote> {
        self.debit_notes.get(id)
    }

    /// The debit notes that are kept, whosever they are, in the order of their coming.
    pub(crate) fn all_notes(&self) -> impl Iterator<Item = &wire_payment::DebitNote> {
        self.debit_notes.values()
    }

    /// The invoices, whosever they are, in the order of their coming.
    pub(crate) fn all_invoices(&self) -> impl Iterator<Item = &wire_payment::Invoice> {
        self.invoices.values()
    }

    /// Whether everything that a debit note asks for is paid.
    pub(crate) fn is_paid(&self, note: &wire_payment::DebitNote) -> bool {
        let paid = self.paid_for_activity(&note.agreement_id, &note.activity_id);
        note.status == DocumentStatus::Settled || paid >= note.total_amount_due
    }

    fn paid_for_activity(&self, agreement: &AgreementId, activity: &ActivityId) -> Glm {
        let tab = self.tabs.get(agreement);
        let part = tab.and_then(|tab| tab.activities.get(activity));
        part.map_or(Glm::ZERO, |part| part.paid)
    }

    fn session(&self, agreement: &AgreementId) -> Option<String> {
        self.tabs.get(agreement)?.session.clone()
    }

    /// Payments in numbers.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is accepted and not paid yet; the payment driver will pay it.
    pub fn unsettled(&self) -> Glm {
        self.charges.iter().map(|charge| charge.amount).sum()
    }
}

/// Documents are stamped in milliseconds …
pub(crate) fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// … and their due dates in microseconds.
pub(crate) fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
