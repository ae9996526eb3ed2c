//! A second look at invoices: those that no event told of, those whose acceptance failed in
//! passing, and those that are to be settled. Does not own: what becomes of a document
//! (`documents.rs`).

use std::sync::Arc;
use std::time::Duration;

use golem_wire::payment::{DocumentStatus, Invoice};

use super::Payments;
use super::documents::{ATTEMPTS, invoice_accepted, invoice_arrived, perform};
use crate::lifecycle::payment::{Again, Effect, Event, InvoiceState};
use crate::market::Rental;
use crate::retry::Backoff;
use crate::settle::is_accepted;

/// When they are begun anew.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Waits until the driver settled everything that was accepted and is to be settled. A requestor is not told, so it asks.
pub(crate) async fn settlement(payments: &Payments) {
    let mut backoff = Backoff::new(payments.context.seed(), "settlement");
    let since = payments.own_allocations().since();
    while !payments.unsettled().0.is_empty() {
        match payments
            .context
            .rest()
            .payment()
            .invoices(Some(since))
            .await
        {
            Ok(invoices) => {
                let settled = |invoice: &Invoice| invoice.status == DocumentStatus::Settled;
                for invoice in invoices.into_iter().filter(settled) {
                    payments.settled(&invoice.invoice_id);
                }
                if payments.unsettled().0.is_empty() {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, "the invoices cannot be listed"),
        }
        backoff.pause().await;
    }
}

/// Asks for all invoices: finds those whose event was lost or that could not be read, and those whose
/// acceptance worked although it seemed to fail.
pub(crate) async fn catch_up(payments: &Arc<Payments>) {
    if golem_probe::planted!("an-invoice-whose-event-was-lost-is-not-looked-for") {
        return;
    }
    let mut backoff = Backoff::new(payments.context.seed(), "catch-up");
    let since = payments.own_allocations().since();
    let list = || payments.context.rest().payment().invoices(Some(since));
    let invoices = match payments.context.insist(&mut backoff, ATTEMPTS, list).await {
        Ok(invoices) => invoices,
        Err(error) => {
            tracing::warn!(%error, "the invoices cannot be listed");
            return;
        }
    };
    for invoice in invoices {
        let Some(rental) = payments.rentals.get(&invoice.agreement_id) else {
            continue;
        };
        match rental.invoice() {
            InvoiceState::None => {
                golem_probe::sometimes!(true, "an invoice is found that no event told of");
                let owned = Arc::clone(payments);
                let id = invoice.invoice_id;
                payments
                    .context
                    .tasks()
                    .spawn("invoice", invoice_arrived(owned, id));
            }
            InvoiceState::Refused { id, amount, .. }
                if id == invoice.invoice_id && is_accepted(&invoice.status) =>
            {
                golem_probe::sometimes!(true, "an acceptance that seemed to fail had worked");
                invoice_accepted(payments, &rental, id, amount);
            }
            InvoiceState::Refused {
                id,
                again: Again::Later | Again::Funded,
                ..
            } if id == invoice.invoice_id => {
                let event = Event::InvoiceAgain { id };
                let effects = payments.apply(&rental, event);
                let owned = Arc::clone(payments);
                payments.context.tasks().spawn("invoice", async move {
                    again(&owned, &rental, &invoice, effects).await;
                });
            }
            _ => {}
        }
    }
}

/// How long changes are gathered before it is looked which acceptances failed.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Tries acceptances again that failed in passing, as long as there are any. Runs until its task is
/// cancelled.
pub(crate) async fn try_again(payments: Arc<Payments>) {
    let mut changes = payments.changes();
    loop {
        if payments.rentals.any_failed(Again::Later) {
            tokio::time::sleep(AGAIN_AFTER).await;
            catch_up(&payments).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
        // All agreements are looked through: once for what comes together.
        tokio::time::sleep(LOOK_AFTER).await;
    }
}

/// Tries an acceptance again that failed in passing.
async fn again(
    payments: &Arc<Payments>,
    rental: &Arc<Rental>,
    invoice: &Invoice,
    effects: Vec<Effect>,
) {
    let id = &invoice.invoice_id;
    let mut backoff = Backoff::new(payments.context.seed(), format!("invoice-again/{id}"));
    for effect in effects {
        perform(payments, rental, effect, &invoice.status, &mut backoff).await;
    }
}
