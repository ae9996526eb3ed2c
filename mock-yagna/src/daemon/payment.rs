//! Payments: allocations, debit notes, invoices, the payment driver, and what providers do about
//! money by themselves.
//!
//! Owns what the daemon's payment service keeps and the rules by which it changes, and the billing
//! half of a provider: metering, notes, deadlines, invoices. Does not own: usage (`activity`), the
//! state of agreements (`market`), the laws (`ledger`), HTTP. Everything that happens by the clock
//! is on the timeline; one live activity has at most one note and one deadline there.

mod acceptance;
mod account;
mod allocation;
mod allocation_ops;
mod bill;
mod billing;
mod deadline;
mod debit_note;
mod deposit;
mod driver;
mod event;
mod invoice;
mod owner_index;
mod platform;
mod record;
mod replayed_documents;
mod tariff;

use golem_wire::payment as wire_payment;
use golem_wire::{ActivityId, AgreementId, AllocationId, DebitNoteId, Glm, InvoiceId, NodeId};
use indexmap::{IndexMap, IndexSet};

use crate::timeline::Ticket;
use crate::world::State;

pub(crate) use acceptance::DecisionError;
pub(crate) use allocation::{Allocation, AllocationError};
pub(crate) use allocation_ops::{AllocationSpec, FundsError};
pub(crate) use driver::Charge;
pub(crate) use event::{DocumentEvent, EventFilter, EventKind, EventWord};
pub(crate) use platform::PlatformRequest;
pub(crate) use record::{Order, Payment, PaymentFilter};

use account::Account;
use bill::Bill;
use event::EventLog;
use owner_index::OwnerIndex;

/// What payments will do by themselves.
#[derive(Debug)]
pub enum Due {
    /// An allocation reaches its timeout.
    ReleaseAllocation(AllocationId),
    /// The provider issues the next debit note of an activity.
    DebitNote(ActivityId),
    /// The oldest debit note of an activity had to be accepted by now.
    AcceptDeadline(ActivityId),
    /// A payable debit note had to be paid by now.
    PayDeadline(DebitNoteId),
    /// The agreement has been without an activity for too long.
    Idle(AgreementId),
    /// The agreement's own time is over.
    Expire(AgreementId),
    /// The only activity of a single-activity agreement has ended.
    Finish(AgreementId),
    /// The provider issues the invoice of an ended agreement.
    Invoice(AgreementId),
    /// The payment driver pays what was accepted.
    Settle,
}

/// Everything the payment service remembers.
#[derive(Debug, Default)]
pub struct Payments {
    allocations: IndexMap<AllocationId, Allocation>,
    /// Live allocations of each owner, in order of creation.
    live: IndexMap<NodeId, IndexSet<AllocationId>>,
    accounts: IndexMap<(NodeId, String), Account>,
    bills: IndexMap<AgreementId, Bill>,
    /// Whose bill an activity is on.
    metered: IndexMap<ActivityId, AgreementId>,
    debit_notes: IndexMap<DebitNoteId, wire_payment::DebitNote>,
    invoices: IndexMap<InvoiceId, wire_payment::Invoice>,
    /// Debit notes and invoices by recipient.
    notes_of: OwnerIndex<DebitNoteId>,
    invoices_of: OwnerIndex<InvoiceId>,
    note_events: EventLog<DebitNoteId>,
    invoice_events: EventLog<InvoiceId>,
    /// Accepted, not paid yet.
    charges: Vec<Charge>,
    settling: Option<Ticket>,
    orders: IndexMap<AllocationId, Vec<Order>>,
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
    /// Keeps a debit note.
    fn file_note(&mut self, note: wire_payment::DebitNote) {
        let id = note.debit_note_id.clone();
        self.notes_of
            .put(&note.recipient_id, note.timestamp, id.clone());
        self.debit_notes.insert(id, note);
    }

    /// Keeps an invoice.
    fn file_invoice(&mut self, invoice: wire_payment::Invoice) {
        let id = invoice.invoice_id.clone();
        self.invoices_of
            .put(&invoice.recipient_id, invoice.timestamp, id.clone());
        self.invoices.insert(id, invoice);
    }
}

impl State {
    /// Performs what payments had scheduled.
    pub(crate) fn payment_due(&mut self, due: Due) {
        match due {
            Due::ReleaseAllocation(allocation) => self.allocation_timed_out(&allocation),
            Due::DebitNote(activity) => self.interval_passed(&activity),
            Due::AcceptDeadline(activity) => self.accept_deadline_passed(&activity),
            Due::PayDeadline(note) => self.pay_deadline_passed(&note),
            Due::Idle(agreement) => self.idle_for_too_long(&agreement),
            Due::Expire(agreement) => self.agreement_time_is_over(&agreement),
            Due::Finish(agreement) => self.finish_single_activity(&agreement),
            Due::Invoice(agreement) => self.issue_invoice(&agreement),
            Due::Settle => self.settle(),
        }
    }

    /// Payments in numbers.
    pub fn payment_totals(&self) -> Totals {
        self.payments.totals
    }

    /// What is accepted and not paid yet; the payment driver will pay it.
    pub fn unsettled(&self) -> Glm {
        self.payments
            .charges
            .iter()
            .map(|charge| charge.amount)
            .sum()
    }
}

#[cfg(test)]
mod tests;
