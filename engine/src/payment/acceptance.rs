//! The acceptance of a document. Owns: saying it exactly once. Does not own: whether a document is
//! right (`documents.rs`).

use golem_wire::payment::{Acceptance, DocumentStatus};
use golem_wire::{DebitNoteId, Glm, InvoiceId};

use super::Payments;
use super::documents::ATTEMPTS;
use super::previous_run::is_accepted;
use crate::api::ApiError;
use crate::market::Rental;
use crate::retry::Backoff;

/// Which document an acceptance is about.
#[derive(Clone, Copy)]
pub(super) enum Document<'a> {
    Note(&'a DebitNoteId),
    Invoice(&'a InvoiceId),
}

impl Document<'_> {
    async fn accept(self, payments: &Payments, acceptance: &Acceptance) -> Result<(), ApiError> {
        let api = payments.context.rest().payment();
        match self {
            Document::Note(id) => api.accept_debit_note(id, acceptance).await,
            Document::Invoice(id) => api.accept_invoice(id, acceptance).await,
        }
    }

    async fn status(self, payments: &Payments) -> Result<DocumentStatus, ApiError> {
        let api = payments.context.rest().payment();
        match self {
            Document::Note(id) => Ok(api.debit_note(id).await?.status),
            Document::Invoice(id) => Ok(api.invoice(id).await?.status),
        }
    }
}

/// Accepts a document. After a failure the daemon is asked how the document stands before it is said
/// again, so that nothing is accepted twice and nothing counts as failed that worked.
pub(super) async fn accept(
    payments: &Payments,
    backoff: &mut Backoff,
    status: &DocumentStatus,
    document: Document<'_>,
    acceptance: &Acceptance,
) -> Result<(), ApiError> {
    if is_accepted(status) {
        return Ok(());
    }
    let mut attempt = 0;
    loop {
        let Err(error) = document.accept(payments, acceptance).await else {
            return Ok(());
        };
        attempt += 1;
        tracing::debug!(%error, attempt, "an acceptance failed");
        match payments
            .context
            .insist(backoff, ATTEMPTS, || document.status(payments))
            .await
        {
            Ok(found) if is_accepted(&found) => return Ok(()),
            Ok(DocumentStatus::Cancelled) | Err(_) => return Err(error),
            Ok(_) if !error.is_retryable() || attempt >= ATTEMPTS => return Err(error),
            Ok(_) => backoff.pause().await,
        }
    }
}

pub(super) fn acceptance(payments: &Payments, rental: &Rental, amount: Glm) -> Acceptance {
    Acceptance {
        total_amount_accepted: amount,
        allocation_id: payments.budget_for(rental, amount, payments.context.now()),
    }
}
