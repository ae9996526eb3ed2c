//! Accepting and rejecting debit notes and invoices: the daemon's rules and its order of checks.
//!
//! ```text
//! RECEIVED --accept--> ACCEPTED --paid--> SETTLED        (nothing to pay: SETTLED at once)
//! RECEIVED --reject--> REJECTED --accept--> ACCEPTED     (invoices only; a rejection can be taken back)
//! ACCEPTED, SETTLED --accept--> same                     REJECTED --reject--> same
//! ```
//! Debit notes are cumulative: accepting one takes only what it adds to what is accepted already,
//! and an invoice takes only what the notes of its agreement left.
//!
//! A decision holds at once; telling the issuer's node of it is up to the caller. Nothing here waits for
//! that node: its agent heeds what was decided as if it had been told, because one that cannot be
//! reached ends no agreement, and one that is back has heard of it.

use golem_wire::payment::{Acceptance, DebitNote, DocumentStatus, Invoice, Rejection};
use golem_wire::{AllocationId, DebitNoteId, Glm, InvoiceId, NodeId};
use jiff::Timestamp;

use super::bill::Accrued;
use super::{AllocationError, Charge, DocumentEvent, EventFilter, EventKind, FundsError};
use crate::journal::{Actor, Event};
use crate::ledger::{Document, Fact};
use crate::world::{State, Topic};

/// Why a document was not accepted or rejected, in the daemon's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecisionError {
    #[error("the caller has received no such document")]
    Unknown,
    #[error("Invalid amount accepted")]
    Amount,
    #[error("Allocation {0} not found")]
    NoAllocation(AllocationId),
    #[error("{0}")]
    Refused(AllocationError),
    #[error("Invoice accepted")]
    InvoiceAccepted,
    #[error("Invoice cancelled")]
    InvoiceCancelled,
    #[error("DebitNote cancelled")]
    DebitNoteCancelled,
}

impl State {
    /// The caller's debit note of this id.
    pub(crate) fn debit_note(&self, recipient: &NodeId, id: &str) -> Option<&DebitNote> {
        self.payments
            .debit_notes
            .get(id)
            .filter(|note| note.recipient_id == *recipient)
    }

    /// The caller's invoice of this id.
    pub(crate) fn invoice(&self, recipient: &NodeId, id: &str) -> Option<&Invoice> {
        self.payments
            .invoices
            .get(id)
            .filter(|invoice| invoice.recipient_id == *recipient)
    }

    /// The caller's debit notes, oldest first.
    pub(crate) fn debit_notes(
        &self,
        recipient: &NodeId,
        after: Option<Timestamp>,
    ) -> impl Iterator<Item = &DebitNote> {
        let notes = self.payments.notes_of.later_than(recipient, after);
        notes.filter_map(|id| self.payments.debit_notes.get(id))
    }

    /// The caller's invoices, oldest first.
    pub(crate) fn invoices(
        &self,
        recipient: &NodeId,
        after: Option<Timestamp>,
    ) -> impl Iterator<Item = &Invoice> {
        let invoices = self.payments.invoices_of.later_than(recipient, after);
        invoices.filter_map(|id| self.payments.invoices.get(id))
    }

    /// Events of the caller's debit notes.
    pub(crate) fn debit_note_events(
        &self,
        recipient: &NodeId,
        filter: &EventFilter,
    ) -> Vec<DocumentEvent<DebitNoteId>> {
        self.payments.note_events.page(recipient, filter)
    }

    /// Events of the caller's invoices.
    pub(crate) fn invoice_events(
        &self,
        recipient: &NodeId,
        filter: &EventFilter,
    ) -> Vec<DocumentEvent<InvoiceId>> {
        self.payments.invoice_events.page(recipient, filter)
    }

    /// Accepts a debit note; the node to be told of it, unless it was accepted before.
    pub(crate) fn accept_debit_note(
        &mut self,
        caller: &NodeId,
        id: &str,
        acceptance: &Acceptance,
    ) -> Result<Option<NodeId>, DecisionError> {
        let note = self
            .debit_note(caller, id)
            .ok_or(DecisionError::Unknown)?
            .clone();
        if acceptance.total_amount_accepted != note.total_amount_due {
            return Err(DecisionError::Amount);
        }
        match note.status {
            DocumentStatus::Accepted | DocumentStatus::Settled => return Ok(None),
            DocumentStatus::Cancelled => return Err(DecisionError::DebitNoteCancelled),
            _ => {}
        }
        let bill = self
            .payments
            .bills
            .get(&note.agreement_id)
            .ok_or(DecisionError::Unknown)?;
        if bill.invoice_accepted {
            return Ok(None); // The invoice covers it; the note stays as it is.
        }
        let session = bill.session.clone();
        let accepted = bill
            .meters
            .get(&note.activity_id)
            .map_or(Glm::ZERO, |meter| meter.accepted);
        let more = (note.total_amount_due - accepted).max(Glm::ZERO);
        let purpose = (note.agreement_id.clone(), Some(note.activity_id.clone()));
        self.charge(caller, &acceptance.allocation_id, purpose, more)?;

        let now_settled = note.total_amount_due.is_zero();
        self.set_note_status(&note.debit_note_id, now_settled);
        self.payments.totals.accepted = self.payments.totals.accepted + more;
        if let Some(bill) = self.payments.bills.get_mut(&note.agreement_id) {
            bill.accepted = bill.accepted + more;
        }
        let mut payable = Vec::new();
        if let Some(meter) = self.meter(&note.activity_id) {
            meter.accepted = meter.accepted + more;
            if !now_settled {
                meter.unsettled.push(note.debit_note_id.clone());
            }
            if more > Glm::ZERO {
                meter.accrued.push(Accrued {
                    note: note.debit_note_id.clone(),
                    allocation: acceptance.allocation_id.clone(),
                    amount: more,
                });
            }
            if note.payment_due_date.is_some() {
                payable = std::mem::take(&mut meter.accrued);
            }
        }
        self.note_deadline_met(&note.activity_id, &note.debit_note_id);
        let actor = self.actor(caller);
        self.post_acceptance(
            &actor,
            Document::DebitNote(note.debit_note_id.clone()),
            acceptance,
            more,
        );
        let amount = note.total_amount_due;
        self.record(
            actor,
            Event::DebitNoteAccepted {
                debit_note: note.debit_note_id.clone(),
                amount,
            },
        );
        let mut kinds = vec![EventKind::Accepted];
        kinds.extend(now_settled.then_some(EventKind::Settled));
        for kind in kinds {
            let (id, at) = (note.debit_note_id.clone(), self.stamp());
            let event = DocumentEvent {
                id,
                at,
                session: session.clone(),
                kind,
            };
            self.payments.note_events.push(caller, event);
        }
        self.wake(&Topic::DebitNoteEvents(caller.clone()));
        self.pay_later(
            payable
                .into_iter()
                .map(|accrued| Charge::of_note(&note, accrued))
                .collect(),
        );
        let paid = self
            .meter(&note.activity_id)
            .map_or(Glm::ZERO, |meter| meter.paid);
        if more.is_zero() && note.total_amount_due <= paid {
            self.settle_documents(&note.agreement_id);
        }
        Ok(Some(note.issuer_id))
    }

    /// Accepts an invoice; the node to be told of it, unless it was accepted before.
    pub(crate) fn accept_invoice(
        &mut self,
        caller: &NodeId,
        id: &str,
        acceptance: &Acceptance,
    ) -> Result<Option<NodeId>, DecisionError> {
        let invoice = self
            .invoice(caller, id)
            .ok_or(DecisionError::Unknown)?
            .clone();
        if acceptance.total_amount_accepted != invoice.amount {
            return Err(DecisionError::Amount);
        }
        match invoice.status {
            DocumentStatus::Accepted | DocumentStatus::Settled => return Ok(None),
            DocumentStatus::Cancelled => return Err(DecisionError::InvoiceCancelled),
            _ => {}
        }
        let bill = self
            .payments
            .bills
            .get(&invoice.agreement_id)
            .ok_or(DecisionError::Unknown)?;
        let more = (invoice.amount - bill.accepted).max(Glm::ZERO);
        let purpose = (invoice.agreement_id.clone(), None);
        self.charge(caller, &acceptance.allocation_id, purpose, more)?;

        self.payments.totals.accepted = self.payments.totals.accepted + more;
        let mut charges = Vec::new();
        if let Some(bill) = self.payments.bills.get_mut(&invoice.agreement_id) {
            bill.accepted = bill.accepted + more;
            bill.invoice_accepted = true;
            // What notes without a due date had accepted is paid with the invoice.
            for (activity, meter) in &mut bill.meters {
                let accrued = std::mem::take(&mut meter.accrued).into_iter();
                charges.extend(
                    accrued.map(|accrued| Charge::of_activity(&invoice, activity, accrued)),
                );
            }
        }
        if more > Glm::ZERO {
            charges.push(Charge::of_invoice(
                &invoice,
                &acceptance.allocation_id,
                more,
            ));
        }
        if let Some(stored) = self.payments.invoices.get_mut(&invoice.invoice_id) {
            stored.status = DocumentStatus::Accepted;
        }
        let actor = self.actor(caller);
        self.post_acceptance(
            &actor,
            Document::Invoice(invoice.invoice_id.clone()),
            acceptance,
            more,
        );
        let event = Event::InvoiceAccepted {
            invoice: invoice.invoice_id.clone(),
            amount: invoice.amount,
        };
        self.record(actor, event);
        self.tell_invoice(&invoice, EventKind::Accepted);
        self.pay_later(charges);
        self.settle_documents(&invoice.agreement_id);
        Ok(Some(invoice.issuer_id))
    }

    /// Rejects an invoice; the node to be told of it, unless it was rejected before.
    pub(crate) fn reject_invoice(
        &mut self,
        caller: &NodeId,
        id: &str,
        rejection: Rejection,
    ) -> Result<Option<NodeId>, DecisionError> {
        let invoice = self
            .invoice(caller, id)
            .ok_or(DecisionError::Unknown)?
            .clone();
        match invoice.status {
            DocumentStatus::Accepted | DocumentStatus::Settled => {
                return Err(DecisionError::InvoiceAccepted);
            }
            DocumentStatus::Cancelled => return Err(DecisionError::InvoiceCancelled),
            DocumentStatus::Rejected => return Ok(None),
            _ => {}
        }
        if let Some(stored) = self.payments.invoices.get_mut(&invoice.invoice_id) {
            stored.status = DocumentStatus::Rejected;
        }
        let actor = self.actor(caller);
        self.post(
            actor.clone(),
            Fact::Rejected {
                invoice: invoice.invoice_id.clone(),
            },
        );
        let reason = match &rejection.message {
            Some(message) => format!("{}: {message}", rejection.rejection_reason),
            None => rejection.rejection_reason.clone(),
        };
        self.record(
            actor,
            Event::InvoiceRejected {
                invoice: invoice.invoice_id.clone(),
                reason,
            },
        );
        self.tell_invoice(&invoice, EventKind::Rejected(rejection));
        Ok(Some(invoice.issuer_id))
    }

    /// Tells the recipient of `invoice` what happened to it.
    pub(super) fn tell_invoice(&mut self, invoice: &Invoice, kind: EventKind) {
        let session = self
            .payments
            .bills
            .get(&invoice.agreement_id)
            .and_then(|b| b.session.clone());
        let (id, at) = (invoice.invoice_id.clone(), self.stamp());
        self.push_invoice_event(
            &invoice.recipient_id,
            DocumentEvent {
                id,
                at,
                session,
                kind,
            },
        );
    }

    fn charge(
        &mut self,
        caller: &NodeId,
        allocation: &AllocationId,
        purpose: super::allocation::Purpose,
        amount: Glm,
    ) -> Result<(), DecisionError> {
        let missing = || DecisionError::NoAllocation(allocation.clone());
        self.allocation(caller, allocation.as_str())
            .ok_or_else(missing)?;
        match self.charge_allocation(allocation.as_str(), purpose, amount) {
            Ok(()) => Ok(()),
            Err(FundsError::Refused(refusal @ AllocationError::NotEnough { .. })) => {
                Err(DecisionError::Refused(refusal))
            }
            Err(_) => Err(missing()),
        }
    }

    fn set_note_status(&mut self, id: &DebitNoteId, settled: bool) {
        if let Some(note) = self.payments.debit_notes.get_mut(id) {
            note.status = if settled {
                DocumentStatus::Settled
            } else {
                DocumentStatus::Accepted
            };
        }
    }

    fn post_acceptance(
        &mut self,
        by: &Actor,
        document: Document,
        acceptance: &Acceptance,
        charged: Glm,
    ) {
        let allocation = acceptance.allocation_id.clone();
        self.post(
            by.clone(),
            Fact::Accepted {
                document,
                allocation,
                charged,
            },
        );
    }
}
