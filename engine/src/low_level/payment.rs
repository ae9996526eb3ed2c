//! The payment operations by hand.

use std::time::Duration;

use golem_wire::payment::{
    Acceptance, Account, Allocation, AllocationUpdate, DebitNote, DebitNoteEvent, DemandDecoration,
    Invoice, InvoiceEvent, NewAllocation, Payment, Rejection,
};
use golem_wire::{AllocationId, DebitNoteId, InvoiceId};
use jiff::Timestamp;

use super::LowLevel;
use crate::api::{ApiError, Outcome};
use crate::journal::Fact;
use crate::payment::named;

/// Operations on allocations, documents and payments; made by [`LowLevel::payment`]. Cheap to clone.
#[derive(Clone)]
pub struct PaymentOperations(pub(super) LowLevel);

impl PaymentOperations {
    /// `getRequestorAccounts`: what this identity can pay from.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_requestor_accounts(&self) -> Result<Vec<Account>, ApiError> {
        self.0.rest().payment().accounts().await
    }

    /// `createAllocation`: sets money aside. It is released when the engine stops, unless it is
    /// [kept](Self::keep_allocation). Its timeout is up to a second later than asked for: allocations have no name, so
    /// that is how it is found again when the daemon's answer is lost. Without a timeout it cannot be: then the
    /// [report](crate::ShutdownReport::leftovers) of the engine's end says that it may be left.
    ///
    /// # Errors
    /// [`ApiError`]; 400 when the account does not hold it.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; one that nobody waited for is released when the engine stops.
    pub async fn create_allocation(
        &self,
        mut wanted: NewAllocation,
    ) -> Result<Allocation, ApiError> {
        let request = |low: LowLevel| async move {
            let by_hand = low.by_hand();
            let number = by_hand.number();
            let seed = low.context.seed().fork("allocation-by-hand");
            let seed = seed.fork(&number.to_string());
            wanted.timeout = wanted.timeout.map(|timeout| named(timeout, &seed));
            by_hand.allocation_asked(number, &wanted);
            let made = low.rest().payment().allocate_by_hand(&wanted).await;
            match &made {
                Ok(made) => by_hand.allocation_made(number, &made.allocation_id),
                Err(error) if error.outcome() == Outcome::Unknown => {}
                Err(_) => by_hand.allocation_refused(number),
            }
            made
        };
        self.0.open("createAllocation", request).await
    }

    /// Leaves an allocation to somebody else, to another engine
    /// ([`GolemBuilder::allocation`](crate::GolemBuilder::allocation)) or a later run: this one does not release
    /// it when it stops, and its journal forgets it. It is of no effect on one that was not made here.
    pub fn keep_allocation(&self, id: &AllocationId) {
        if self.0.by_hand().allocation_gone(id) {
            let allocation = id.clone();
            self.0
                .context
                .log()
                .fact(Fact::AllocationGone { allocation });
        }
    }

    /// `getAllocations`: those of this identity, the engine's own and other programs' included.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_allocations(&self) -> Result<Vec<Allocation>, ApiError> {
        self.0.rest().payment().allocations().await
    }

    /// `getAllocation`.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when there is none, 410 when it is released.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_allocation(&self, id: &AllocationId) -> Result<Allocation, ApiError> {
        self.0.rest().payment().allocation(id).await
    }

    /// `amendAllocation`: sets its total or its timeout. For the engine's own budget there is
    /// [`Golem::amend_budget`](crate::Golem::amend_budget).
    ///
    /// # Errors
    /// [`ApiError`]; 400 when more is spent already.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn amend_allocation(
        &self,
        id: &AllocationId,
        update: AllocationUpdate,
    ) -> Result<Allocation, ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move { low.rest().payment().amend(&id, &update).await };
        self.0.open("amendAllocation", request).await
    }

    /// `releaseAllocation`: what is left of it is free again.
    ///
    /// # Errors
    /// [`ApiError`]; 410 when it is released already.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn release_allocation(&self, id: &AllocationId) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            let released = low.rest().payment().release(&id).await;
            if released.as_ref().err().is_none_or(ApiError::is_gone) {
                low.by_hand().allocation_gone(&id);
            }
            released
        };
        self.0.change("releaseAllocation", request).await
    }

    /// `getDemandDecorations`: what a demand has to say so that it can be paid from these allocations.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when the daemon does not know one of them.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_demand_decorations(
        &self,
        allocations: &[AllocationId],
    ) -> Result<DemandDecoration, ApiError> {
        self.0.rest().payment().decorations_of(allocations).await
    }

    /// `getInvoiceEvents`: waits up to `wait` for what happened to invoices of the engine's session after
    /// `after`; at most a hundred events.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_invoice_events(
        &self,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Vec<InvoiceEvent>, ApiError> {
        let session = self.0.context.app_session();
        let api = self.0.rest().payment();
        let page = api.invoice_events(session, after, wait).await?;
        Ok(page.events)
    }

    /// `getDebitNoteEvents`: waits up to `wait` for what happened to debit notes of the engine's session after
    /// `after`; at most a hundred events.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_debit_note_events(
        &self,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Vec<DebitNoteEvent>, ApiError> {
        let session = self.0.context.app_session();
        let api = self.0.rest().payment();
        let page = api.debit_note_events(session, after, wait).await?;
        Ok(page.events)
    }

    /// `getInvoices`: all of this identity that came after `after`.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_invoices(&self, after: Option<Timestamp>) -> Result<Vec<Invoice>, ApiError> {
        self.0.rest().payment().invoices(after).await
    }

    /// `getDebitNotes`: all of this identity that came after `after`.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_debit_notes(
        &self,
        after: Option<Timestamp>,
    ) -> Result<Vec<DebitNote>, ApiError> {
        self.0.rest().payment().debit_notes(after).await
    }

    /// `getInvoice`.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when there is none.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_invoice(&self, id: &InvoiceId) -> Result<Invoice, ApiError> {
        self.0.rest().payment().invoice(id).await
    }

    /// `getDebitNote`.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when there is none.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_debit_note(&self, id: &DebitNoteId) -> Result<DebitNote, ApiError> {
        self.0.rest().payment().debit_note(id).await
    }

    /// `acceptInvoice`: it is paid. The amount must be the invoice's own, to the digit; twice is as good as once.
    ///
    /// # Errors
    /// [`ApiError`]; 400 for another amount, or an allocation that does not hold it or pays elsewhere, 410 for one
    /// that is released.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn accept_invoice(
        &self,
        id: &InvoiceId,
        acceptance: Acceptance,
    ) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            low.rest().payment().accept_invoice(&id, &acceptance).await
        };
        self.0.change("acceptInvoice", request).await
    }

    /// `rejectInvoice`: tells its provider that it is not paid, and why.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn reject_invoice(
        &self,
        id: &InvoiceId,
        rejection: Rejection,
    ) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            low.rest().payment().reject_invoice(&id, &rejection).await
        };
        self.0.change("rejectInvoice", request).await
    }

    /// `acceptDebitNote`: what an activity costs up to now is paid, now or with the invoice.
    ///
    /// # Errors
    /// As [`accept_invoice`](Self::accept_invoice).
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn accept_debit_note(
        &self,
        id: &DebitNoteId,
        acceptance: Acceptance,
    ) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            let api = low.rest().payment();
            api.accept_debit_note(&id, &acceptance).await
        };
        self.0.change("acceptDebitNote", request).await
    }

    /// `getPayments`: what the payment driver paid after `after`; waits up to `wait` for something.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_payments(
        &self,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Vec<Payment>, ApiError> {
        self.0.rest().payment().payments(after, wait).await
    }

    /// `getPayment`.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when there is none.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_payment(&self, id: &str) -> Result<Payment, ApiError> {
        self.0.rest().payment().payment_made(id).await
    }

    /// `getPaymentsForInvoice`: what was paid of an invoice, debit notes of its agreement included.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_payments_for_invoice(&self, id: &InvoiceId) -> Result<Vec<Payment>, ApiError> {
        self.0.rest().payment().payments_of(id).await
    }

    /// `paymentsStatus`: what troubles the payment driver, in its own JSON; empty when nothing does.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn payments_status(&self) -> Result<Vec<serde_json::Value>, ApiError> {
        self.0.rest().payment().driver_status().await
    }
}
