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

use super::tab::Accrued;
use super::{AllocationError, Charge, DocumentEvent, EventFilter, EventKind, FundsError, Payments};
use crate::journal::Event;
use crate::ledger::{Document, Fact};
use crate::ports::{Notice, Ports};
use crate::topics::Topic;

/// Why a document was not accepted or rejected, in the daemon's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecisionError {
    #[error("the caller has received no such document")]
    Unknown,
    #[error("Invalid amount accepted")]
    Amount,
    #[error("Allocation {0} not found")]
    NoAllocation(AllocationId),
    /// From 0.18 on.
    #[error("Allocation {allocation} is of payment platform {of}, the document of {wanted}")]
    OtherPlatform {
        allocation: AllocationId,
        of: String,
        wanted: String,
    },
    #[error("{0}")]
    Refused(AllocationError),
    #[error("Invoice accepted")]
    InvoiceAccepted,
    #[error("Invoice cancelled")]
    InvoiceCancelled,
    #[error("DebitNote cancelled")]
    DebitNoteCancelled,
}

impl Payments {
    /// The caller's debit note of this id.
    pub(crate) fn debit_note(&self, recipient: &NodeId, id: &str) -> Option<&DebitNote> {
        self.debit_notes
            .get(id)
            .filter(|note| note.recipient_id == *recipient)
    }

    /// The caller's invoice of this id.
    pub(crate) fn invoice(&self, recipient: &NodeId, id: &str) -> Option<&Invoice> {
        self.invoices
            .get(id)
            .filter(|invoice| invoice.recipient_id == *recipient)
    }

    /// The debit note of this id, if it was issued by the caller or to them.
    pub(crate) fn shown_note(&self, party: &NodeId, id: &str) -> Option<&DebitNote> {
        let note = self.debit_notes.get(id);
        note.filter(|note| note.recipient_id == *party || note.issuer_id == *party)
    }

    /// The same of an invoice.
    pub(crate) fn shown_invoice(&self, party: &NodeId, id: &str) -> Option<&Invoice> {
        let invoice = self.invoices.get(id);
        invoice.filter(|invoice| invoice.recipient_id == *party || invoice.issuer_id == *party)
    }

    /// The caller's debit notes, oldest first.
    pub(crate) fn debit_notes(
        &self,
        recipient: &NodeId,
        after: Option<Timestamp>,
    ) -> impl Iterator<Item = &DebitNote> {
        let notes = self.notes_of.later_than(recipient, after);
        notes.filter_map(|id| self.debit_notes.get(id))
    }

    /// The caller's invoices, oldest first.
    pub(crate) fn invoices(
        &self,
        recipient: &NodeId,
        after: Option<Timestamp>,
    ) -> impl Iterator<Item = &Invoice> {
        let invoices = self.invoices_of.later_than(recipient, after);
        invoices.filter_map(|id| self.invoices.get(id))
    }

    /// Events of the caller's debit notes.
    pub(crate) fn debit_note_events(
        &self,
        recipient: &NodeId,
        filter: &EventFilter,
    ) -> Vec<DocumentEvent<DebitNoteId>> {
        self.note_events.page(recipient, filter)
    }

    /// Events of the caller's invoices.
    pub(crate) fn invoice_events(
        &self,
        recipient: &NodeId,
        filter: &EventFilter,
    ) -> Vec<DocumentEvent<InvoiceId>> {
        self.invoice_events.page(recipient, filter)
    }

    /// Whether accepting this debit note would be news to its issuer: only then it matters how long one waits for that.
    pub(crate) fn is_note_news(&self, caller: &NodeId, id: &str, acceptance: &Acceptance) -> bool {
        self.debit_note(caller, id).is_some_and(|note| {
            self.is_news(caller, acceptance, note.total_amount_due, &note.status)
                && !self.is_covered(note)
        })
    }

    /// The same of an invoice.
    pub(crate) fn is_invoice_news(
        &self,
        caller: &NodeId,
        id: &str,
        acceptance: &Acceptance,
    ) -> bool {
        self.invoice(caller, id)
            .is_some_and(|it| self.is_news(caller, acceptance, it.amount, &it.status))
    }

    /// The same of refusing an invoice.
    pub(crate) fn is_refusal_news(&self, caller: &NodeId, id: &str) -> bool {
        self.invoice(caller, id)
            .is_some_and(|it| it.status == DocumentStatus::Received)
    }

    fn is_news(
        &self,
        caller: &NodeId,
        acceptance: &Acceptance,
        due: Glm,
        status: &DocumentStatus,
    ) -> bool {
        let cancelled = DecisionError::InvoiceCancelled;
        let allocation = acceptance.allocation_id.as_str();
        is_undecided(acceptance, due, status, cancelled) == Ok(true)
            && self.allocation(caller, allocation).is_some()
    }

    /// Whether a decision about the invoice covers a note, which then stays as it is.
    fn is_covered(&self, note: &DebitNote) -> bool {
        self.tabs.get(&note.agreement_id).is_some_and(|tab| {
            let invoice = tab.invoice.as_ref().and_then(|id| self.invoices.get(id));
            tab.invoice_accepted || invoice.is_some_and(|it| it.status == DocumentStatus::Rejected)
        })
    }

    /// Accepts a debit note; the node to be told of it, unless it was accepted before.
    pub(crate) fn accept_debit_note(
        &mut self,
        ports: &mut Ports,
        caller: &NodeId,
        id: &str,
        acceptance: &Acceptance,
    ) -> Result<Option<NodeId>, DecisionError> {
        let note = self
            .debit_note(caller, id)
            .ok_or(DecisionError::Unknown)?
            .clone();
        let cancelled = DecisionError::DebitNoteCancelled;
        if !is_undecided(acceptance, note.total_amount_due, &note.status, cancelled)? {
            return Ok(None);
        }
        self.check_platform(
            ports,
            caller,
            &acceptance.allocation_id,
            &note.payment_platform,
        )?;
        if self.is_covered(&note) {
            golem_probe::sometimes!(true, "a debit note is accepted after its invoice");
            return Ok(None);
        }
        let tab = self
            .tabs
            .get(&note.agreement_id)
            .ok_or(DecisionError::Unknown)?;
        let accepted = tab
            .activities
            .get(&note.activity_id)
            .map_or(Glm::ZERO, |activity| activity.accepted);
        let more = (note.total_amount_due - accepted).max(Glm::ZERO);
        let purpose = (note.agreement_id.clone(), Some(note.activity_id.clone()));
        self.charge(caller, &acceptance.allocation_id, purpose, more)?;

        let now_settled = note.total_amount_due.is_zero();
        self.set_note_status(&note.debit_note_id, now_settled);
        let mut payable = Vec::new();
        if let Some(tab) = self.tabs.get_mut(&note.agreement_id) {
            tab.accepted = tab.accepted + more;
            let activity = tab.activities.entry(note.activity_id.clone()).or_default();
            activity.accepted = activity.accepted + more;
            activity.last = Some(note.debit_note_id.clone());
            if !now_settled {
                activity.unsettled.push(note.debit_note_id.clone());
            }
            if more > Glm::ZERO {
                activity.accrued.push(Accrued {
                    note: note.debit_note_id.clone(),
                    allocation: acceptance.allocation_id.clone(),
                    amount: more,
                });
            }
            if note.payment_due_date.is_some() {
                payable = std::mem::take(&mut activity.accrued);
            }
        }
        ports.tell(Notice::NoteAccepted(
            note.activity_id.clone(),
            note.debit_note_id.clone(),
        ));
        let document = Document::DebitNote(note.debit_note_id.clone());
        let event = Event::DebitNoteAccepted {
            debit_note: note.debit_note_id.clone(),
            amount: note.total_amount_due,
        };
        self.was_accepted(ports, caller, document, event, acceptance, more);
        self.tell_note(ports, &note, EventKind::Accepted);
        if now_settled {
            self.tell_note(ports, &note, EventKind::Settled);
        }
        self.pay_later(
            ports,
            payable
                .into_iter()
                .map(|accrued| Charge::of_note(&note, accrued))
                .collect(),
        );
        let paid = self.paid_for_activity(&note.agreement_id, &note.activity_id);
        if more.is_zero() && note.total_amount_due <= paid {
            self.settle_documents(ports, &note.agreement_id);
        }
        Ok(Some(note.issuer_id))
    }

    /// Accepts an invoice; the node to be told of it, unless it was accepted before.
    pub(crate) fn accept_invoice(
        &mut self,
        ports: &mut Ports,
        caller: &NodeId,
        id: &str,
        acceptance: &Acceptance,
    ) -> Result<Option<NodeId>, DecisionError> {
        let invoice = self
            .invoice(caller, id)
            .ok_or(DecisionError::Unknown)?
            .clone();
        let cancelled = DecisionError::InvoiceCancelled;
        if !is_undecided(acceptance, invoice.amount, &invoice.status, cancelled)? {
            return Ok(None);
        }
        self.check_platform(
            ports,
            caller,
            &acceptance.allocation_id,
            &invoice.payment_platform,
        )?;
        let tab = self
            .tabs
            .get(&invoice.agreement_id)
            .ok_or(DecisionError::Unknown)?;
        let mut more = (invoice.amount - tab.accepted).max(Glm::ZERO);
        if golem_probe::planted!("an-invoice-pays-the-debit-notes-again") {
            more = invoice.amount;
        }
        if golem_probe::planted!("an-invoice-takes-more-than-it-says") {
            more = invoice.amount + Glm::from(1);
        }
        let purpose = (invoice.agreement_id.clone(), None);
        self.charge(caller, &acceptance.allocation_id, purpose, more)?;

        golem_probe::sometimes!(
            invoice.status == DocumentStatus::Rejected,
            "a rejected invoice is accepted after all"
        );
        let mut charges = Vec::new();
        if let Some(tab) = self.tabs.get_mut(&invoice.agreement_id) {
            tab.accepted = tab.accepted + more;
            tab.invoice_accepted = true;
            // What notes without a due date had accepted is paid with the invoice.
            for (activity, part) in &mut tab.activities {
                let accrued = std::mem::take(&mut part.accrued).into_iter();
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
        if let Some(stored) = self.invoices.get_mut(&invoice.invoice_id) {
            stored.status = DocumentStatus::Accepted;
        }
        let document = Document::Invoice(invoice.invoice_id.clone());
        let event = Event::InvoiceAccepted {
            invoice: invoice.invoice_id.clone(),
            amount: invoice.amount,
        };
        self.was_accepted(ports, caller, document, event, acceptance, more);
        self.tell_invoice(ports, &invoice, EventKind::Accepted);
        self.pay_later(ports, charges);
        self.settle_documents(ports, &invoice.agreement_id);
        Ok(Some(invoice.issuer_id))
    }

    /// Rejects an invoice; the node to be told of it, unless it was rejected before.
    pub(crate) fn reject_invoice(
        &mut self,
        ports: &mut Ports,
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
        if let Some(stored) = self.invoices.get_mut(&invoice.invoice_id) {
            stored.status = DocumentStatus::Rejected;
        }
        let actor = ports.actor(caller);
        ports.post(
            actor.clone(),
            Fact::Rejected {
                invoice: invoice.invoice_id.clone(),
            },
        );
        let reason = match &rejection.message {
            Some(message) => format!("{}: {message}", rejection.rejection_reason),
            None => rejection.rejection_reason.clone(),
        };
        ports.record(
            actor,
            Event::InvoiceRejected {
                invoice: invoice.invoice_id.clone(),
                reason,
            },
        );
        self.tell_invoice(ports, &invoice, EventKind::Rejected(rejection));
        Ok(Some(invoice.issuer_id))
    }

    /// Tells the recipient of `note` what happened to it.
    fn tell_note(&mut self, ports: &mut Ports, note: &DebitNote, kind: EventKind) {
        let session = self.session(&note.agreement_id);
        let event = DocumentEvent {
            id: note.debit_note_id.clone(),
            at: ports.stamp(),
            session,
            kind,
        };
        self.note_events.push(&note.recipient_id, event);
        ports.wake(&Topic::DebitNoteEvents(note.recipient_id.clone()));
    }

    /// Tells the recipient of `invoice` what happened to it.
    pub(super) fn tell_invoice(&mut self, ports: &mut Ports, invoice: &Invoice, kind: EventKind) {
        let session = self.session(&invoice.agreement_id);
        let event = DocumentEvent {
            id: invoice.invoice_id.clone(),
            at: ports.stamp(),
            session,
            kind,
        };
        self.invoice_events.push(&invoice.recipient_id, event);
        ports.wake(&Topic::InvoiceEvents(invoice.recipient_id.clone()));
    }

    /// A daemon from 0.18 on pays from an allocation of the document's platform only.
    fn check_platform(
        &self,
        ports: &Ports,
        caller: &NodeId,
        allocation: &AllocationId,
        wanted: &str,
    ) -> Result<(), DecisionError> {
        if !ports.config.daemon.checks_payment_platforms() {
            return Ok(());
        }
        match self.allocation(caller, allocation.as_str()) {
            Some(found) if found.platform != wanted => Err(DecisionError::OtherPlatform {
                allocation: allocation.clone(),
                of: found.platform.clone(),
                wanted: wanted.to_owned(),
            }),
            _ => Ok(()),
        }
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
        if let Some(note) = self.debit_notes.get_mut(id) {
            note.status = if settled {
                DocumentStatus::Settled
            } else {
                DocumentStatus::Accepted
            };
        }
    }

    /// Notes in the books and the journal that a document was accepted.
    fn was_accepted(
        &mut self,
        ports: &mut Ports,
        caller: &NodeId,
        document: Document,
        event: Event,
        acceptance: &Acceptance,
        charged: Glm,
    ) {
        self.totals.accepted = self.totals.accepted + charged;
        let by = ports.actor(caller);
        let allocation = acceptance.allocation_id.clone();
        ports.post(
            by.clone(),
            Fact::Accepted {
                document,
                allocation,
                charged,
            },
        );
        ports.record(by, event);
    }
}

/// The daemon's first look at an acceptance: at its amount, then at what was decided before; `false`: it is accepted.
fn is_undecided(
    acceptance: &Acceptance,
    due: Glm,
    status: &DocumentStatus,
    cancelled: DecisionError,
) -> Result<bool, DecisionError> {
    if acceptance.total_amount_accepted != due {
        return Err(DecisionError::Amount);
    }
    match status {
        DocumentStatus::Accepted | DocumentStatus::Settled => {
            golem_probe::sometimes!(true, "a document is accepted twice");
            Ok(false)
        }
        DocumentStatus::Cancelled => Err(cancelled),
        _ => Ok(true),
    }
}
