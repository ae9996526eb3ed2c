//! A second look at invoices: those that no event told of, those whose acceptance failed in
//! passing, and those that are to be settled. Does not own: what becomes of a document
//! (`documents.rs`).

use std::sync::Arc;
use std::time::Duration;

use golem_wire::payment::{DocumentStatus, Invoice};

use super::documents::{ATTEMPTS, invoice_accepted, invoice_arrived, perform};
use super::previous_run::is_accepted;
use crate::context::Context;
use crate::lifecycle::payment::{Effect, Event, InvoiceState};
use crate::market::Rental;
use crate::retry::Backoff;

/// When they are begun anew.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Waits until the driver settled everything that was accepted. A requestor is not told, so it asks.
pub(crate) async fn settlement(context: &Context) {
    let mut backoff = Backoff::new(context.seed().fork("settlement"));
    let since = context.payments().allocation().timestamp;
    while !context.payments().unsettled().is_empty() {
        match context.rest().payment().invoices(Some(since)).await {
            Ok(invoices) => {
                let settled = |invoice: &Invoice| invoice.status == DocumentStatus::Settled;
                for invoice in invoices.into_iter().filter(settled) {
                    context.payments().settled(&invoice.invoice_id);
                }
                if context.payments().unsettled().is_empty() {
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
pub(crate) async fn catch_up(context: &Arc<Context>) {
    let mut backoff = Backoff::new(context.seed().fork("catch-up"));
    let since = context.payments().allocation().timestamp;
    let list = || context.rest().payment().invoices(Some(since));
    let invoices = match context.insist(&mut backoff, ATTEMPTS, list).await {
        Ok(invoices) => invoices,
        Err(error) => {
            tracing::warn!(%error, "the invoices cannot be listed");
            return;
        }
    };
    for invoice in invoices {
        let Some(rental) = context.rentals().get(&invoice.agreement_id) else {
            continue;
        };
        match context.payments().invoice(&invoice.agreement_id) {
            InvoiceState::None => {
                let owned = Arc::clone(context);
                let id = invoice.invoice_id;
                context.tasks().spawn("invoice", invoice_arrived(owned, id));
            }
            InvoiceState::Refused { id, amount, .. }
                if id == invoice.invoice_id && is_accepted(&invoice.status) =>
            {
                invoice_accepted(context, &rental, id, amount);
            }
            InvoiceState::Refused {
                id, passing: true, ..
            } if id == invoice.invoice_id => {
                let event = Event::InvoiceAgain { id };
                let effects = context.payments().apply(&rental.agreement_id, event);
                let owned = Arc::clone(context);
                context.tasks().spawn("invoice", async move {
                    again(&owned, &rental, &invoice, effects).await;
                });
            }
            _ => {}
        }
    }
}

/// Tries acceptances again that failed in passing, as long as there are any. Runs until its task is
/// cancelled.
pub(crate) async fn try_again(context: Arc<Context>) {
    let mut changes = context.payments().changes();
    loop {
        if context.payments().any_failed() {
            tokio::time::sleep(AGAIN_AFTER).await;
            catch_up(&context).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Tries an acceptance again that failed in passing.
async fn again(
    context: &Arc<Context>,
    rental: &Arc<Rental>,
    invoice: &Invoice,
    effects: Vec<Effect>,
) {
    let id = &invoice.invoice_id;
    let mut backoff = Backoff::new(context.seed().fork(&format!("invoice-again/{id}")));
    for effect in effects {
        perform(context, rental, effect, &invoice.status, &mut backoff).await;
    }
}
