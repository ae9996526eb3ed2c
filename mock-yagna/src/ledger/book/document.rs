//! What is booked about debit notes and invoices: issued, accepted, paid, settled, and the laws
//! that compare their amounts.
//!
//! Does not own: the books themselves and the order of postings (`book`).

use golem_wire::{ActivityId, AgreementId, AllocationId, DebitNoteId, Glm, InvoiceId};
use jiff::Timestamp;

use super::{Broken, DocumentBook, Ledger, within_allocated};
use crate::ledger::{Document, Law};

impl Ledger {
    pub(super) fn note_issued(
        &mut self,
        at: Timestamp,
        note: DebitNoteId,
        activity: &ActivityId,
        total: Glm,
    ) -> Vec<Broken> {
        let document = Document::DebitNote(note.clone());
        let Some(book) = self.activities.get_mut(activity) else {
            return vec![(
                Law::DocumentExists,
                format!("{document} is for the unknown activity {activity}"),
            )];
        };
        let before = book.noted;
        book.noted = before.max(total);
        if let Some(agreement) = self.agreements.get_mut(&book.agreement) {
            agreement.noted = agreement.noted + (book.noted - before);
        }
        let agreement = book.agreement.clone();
        self.notes
            .insert(note, DocumentBook::new(agreement, at, total));
        if total < before {
            let detail =
                format!("{document} over {total} follows one over {before} of activity {activity}");
            return vec![(Law::DebitNotesMonotone, detail)];
        }
        Vec::new()
    }

    pub(super) fn invoice_issued(
        &mut self,
        at: Timestamp,
        invoice: InvoiceId,
        agreement: AgreementId,
        amount: Glm,
    ) -> Vec<Broken> {
        let Some(book) = self.agreements.get_mut(&agreement) else {
            return vec![(
                Law::DocumentExists,
                format!("invoice {invoice} is for the unknown agreement {agreement}"),
            )];
        };
        book.invoiced = book.invoiced.max(amount);
        self.invoices
            .insert(invoice, DocumentBook::new(agreement, at, amount));
        Vec::new()
    }

    pub(super) fn accepted(
        &mut self,
        document: &Document,
        allocation: &AllocationId,
        charged: Glm,
    ) -> Vec<Broken> {
        let mut broken = Vec::new();
        match self.allocations.get_mut(allocation) {
            Some(book) => {
                book.charged = book.charged + charged;
                if !book.live {
                    let detail = format!(
                        "{document} was accepted with allocation {allocation} after its release"
                    );
                    broken.push((Law::EndedOnce, detail));
                }
                if charged > Glm::ZERO {
                    broken.extend(within_allocated(allocation, book));
                }
            }
            None => {
                let detail =
                    format!("{document} was accepted with the unknown allocation {allocation}");
                broken.push((Law::AcceptedWithinAllocated, detail));
            }
        }
        let book = match document {
            Document::Invoice(id) => self.invoices.get_mut(id),
            Document::DebitNote(id) => self.notes.get_mut(id),
        };
        let Some(book) = book else {
            broken.push((
                Law::DocumentExists,
                format!("{document} was accepted but never issued"),
            ));
            return broken;
        };
        book.decided = true;
        book.accepted = book.accepted + charged;
        if book.accepted > book.amount {
            let detail = format!(
                "{} was accepted for {document} over {}",
                book.accepted, book.amount
            );
            broken.push((Law::AcceptedWithinDocument, detail));
        }
        if let Some(agreement) = self.agreements.get_mut(&book.agreement) {
            agreement.accepted = agreement.accepted + charged;
            if agreement.accepted > agreement.billed() {
                let detail = format!(
                    "with {document}, {} is accepted for agreement {}, billed {}",
                    agreement.accepted,
                    book.agreement,
                    agreement.billed()
                );
                broken.push((Law::AcceptedWithinInvoiced, detail));
            }
            if let Some(used) = agreement.used
                && agreement.accepted > used
            {
                let detail = format!(
                    "with {document}, {} is accepted for agreement {}, of which its use explains {used}",
                    agreement.accepted, book.agreement
                );
                broken.push((Law::AcceptedWithinUsed, detail));
            }
        }
        broken
    }

    pub(super) fn paid(&mut self, document: &Document, amount: Glm) -> Vec<Broken> {
        let book = match document {
            Document::Invoice(id) => self.invoices.get_mut(id),
            Document::DebitNote(id) => self.notes.get_mut(id),
        };
        let Some(book) = book else {
            return vec![(
                Law::DocumentExists,
                format!("{amount} was paid for {document}, which was never issued"),
            )];
        };
        let mut broken = Vec::new();
        if let Document::Invoice(_) = document
            && (book.settled || book.paid + amount > book.amount)
        {
            let detail = format!(
                "{amount} was paid for {document} over {} after {}",
                book.amount, book.paid
            );
            broken.push((Law::InvoicePaidOnce, detail));
        }
        book.paid = book.paid + amount;
        if let Some(agreement) = self.agreements.get_mut(&book.agreement) {
            agreement.paid = agreement.paid + amount;
            let pays = |what: &str, limit: Glm| {
                format!(
                    "with {document}, {} is paid for agreement {}, {what} {limit}",
                    agreement.paid, book.agreement
                )
            };
            if agreement.paid > agreement.accepted {
                broken.push((
                    Law::PaidWithinAccepted,
                    pays("accepted", agreement.accepted),
                ));
            }
            if agreement.paid > agreement.billed() {
                broken.push((Law::PaidWithinInvoiced, pays("billed", agreement.billed())));
            }
        }
        broken
    }

    pub(super) fn settled(&mut self, invoice: &InvoiceId) -> Vec<Broken> {
        match self.invoices.get_mut(invoice) {
            Some(book) if book.settled => {
                vec![(
                    Law::InvoicePaidOnce,
                    format!("invoice {invoice} was settled twice"),
                )]
            }
            Some(book) => {
                book.settled = true;
                Vec::new()
            }
            None => vec![(
                Law::DocumentExists,
                format!("invoice {invoice} was settled but never issued"),
            )],
        }
    }
}

impl DocumentBook {
    fn new(agreement: AgreementId, since: Timestamp, amount: Glm) -> Self {
        DocumentBook {
            agreement,
            since,
            amount,
            accepted: Glm::ZERO,
            paid: Glm::ZERO,
            decided: false,
            settled: false,
        }
    }
}
