//! The daemon's feeds of invoices and debit notes. Owns: which of their events bring a document, and
//! how many documents are under way. Does not own: following a feed (`event_feed`), or what becomes of
//! a document (`documents.rs`).

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use golem_wire::payment::{DebitNoteEvent, InvoiceEvent};

use super::Payments;
use super::documents::{invoice_arrived, note_arrived};
use crate::api::payment::brings_document;
use crate::event_feed::{Follower, InFlight};
use crate::journal::Feed;

/// Runs until its task is cancelled.
pub(crate) async fn follow_invoices(payments: Arc<Payments>) {
    let (api, session) = (
        payments.context.rest().payment(),
        payments.context.app_session(),
    );
    let read = |after, wait| api.invoice_events(session, after, wait);
    let take = |event: InvoiceEvent, in_flight| {
        let came = brings_document(&event.event_type);
        let work = came.then(|| invoice_arrived(Arc::clone(&payments), event.invoice_id).boxed());
        begin(&payments, "invoice", work, in_flight)
    };
    follower(&payments, Feed::Invoices).run(read, take).await;
}

/// Runs until its task is cancelled.
pub(crate) async fn follow_debit_notes(payments: Arc<Payments>) {
    let (api, session) = (
        payments.context.rest().payment(),
        payments.context.app_session(),
    );
    let read = |after, wait| api.debit_note_events(session, after, wait);
    let take = |event: DebitNoteEvent, in_flight| {
        let came = brings_document(&event.event_type);
        let work = came.then(|| note_arrived(Arc::clone(&payments), event.debit_note_id).boxed());
        begin(&payments, "debit-note", work, in_flight)
    };
    follower(&payments, Feed::DebitNotes).run(read, take).await;
}

fn follower(payments: &Payments, feed: Feed) -> Follower {
    let context = &payments.context;
    Follower::new(feed, context.log(), context.seed(), context.config().poll)
}

/// Deals with a document in a task of its own, once it is its turn: waiting here bounds how many are
/// under way.
async fn begin(
    payments: &Payments,
    label: &'static str,
    work: Option<BoxFuture<'static, ()>>,
    in_flight: InFlight,
) {
    let Some(work) = work else {
        in_flight.done();
        return;
    };
    // It is never closed.
    let turn = Arc::clone(&payments.gate).acquire_owned().await;
    payments.context.tasks().spawn(label, async move {
        let _turn = turn;
        work.await;
        in_flight.done();
    });
}
