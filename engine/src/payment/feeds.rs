//! The daemon's feeds of invoices and debit notes. Owns: following them from where an earlier life
//! got to, and how many documents are under way. Does not own: what becomes of a document
//! (`documents.rs`).

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Payments;
use super::documents::{invoice_arrived, note_arrived};
use super::feed_cursor::FeedCursor;
use crate::journal::Feed;
use crate::retry::{Backoff, Pace};

macro_rules! follow {
    ($(#[$doc:meta])* $name:ident, $label:literal, $feed:ident, $events:ident, $id:ident, $received:literal, $handle:ident) => {
        $(#[$doc])*
        pub(crate) async fn $name(payments: Arc<Payments>) {
            let mut backoff = Backoff::new(payments.context.seed().fork($label));
            let wait = payments.context.config().poll;
            let cursor = FeedCursor::new(payments.context.log(), Feed::$feed);
            let mut after: Option<Timestamp> = cursor.start();
            loop {
                let started = Instant::now();
                let api = payments.context.rest().payment();
                match api.$events(payments.context.app_session(), after, wait).await {
                    Ok(events) => {
                        let pace = Pace::of(events.is_empty(), started, wait);
                        for event in events {
                            after = after.max(Some(event.event_date));
                            let in_flight = cursor.begin(event.event_date);
                            if event.event_type == $received {
                                // Waiting here bounds the number of documents under way.
                                let gate = Arc::clone(&payments.gate);
                                let Ok(turn) = gate.acquire_owned().await else { return };
                                let owned = Arc::clone(&payments);
                                payments.context.tasks().spawn($label, async move {
                                    let _turn = turn;
                                    $handle(owned, event.$id).await;
                                    in_flight.done();
                                });
                            } else {
                                in_flight.done();
                            }
                        }
                        backoff.keep(pace).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, concat!($label, " events cannot be read; trying again"));
                        backoff.pause().await;
                    }
                }
            }
        }
    };
}

follow!(
    /// Runs until its task is cancelled.
    follow_invoices, "invoice", Invoices, invoice_events, invoice_id, "InvoiceReceivedEvent",
    invoice_arrived
);
follow!(
    /// Runs until its task is cancelled.
    follow_debit_notes, "debit-note", DebitNotes, debit_note_events, debit_note_id, "DebitNoteReceivedEvent",
    note_arrived
);
