//! Follows invoices and debit notes and accepts those that are right, each exactly once.

use std::sync::Arc;
use std::time::Duration;

use golem_wire::payment::{Acceptance, DebitNote, DocumentStatus, Invoice, Rejection};
use golem_wire::{AgreementId, DebitNoteId, Glm, InvoiceId};
use jiff::Timestamp;
use tokio::time::Instant;

use super::earlier::is_accepted;
use super::tide::Tide;
use crate::api::{ApiError, Outcome};
use crate::event::EventKind;
use crate::golem::Core;
use crate::journal::{Fact, Feed};
use crate::lifecycle::payment::{Effect, Event, InvoiceState};
use crate::market::Rental;
use crate::retry::{Backoff, Pace};
use crate::strategy::Decision;

/// Attempts to read or accept a document.
const ATTEMPTS: u32 = 6;
/// When they are begun anew.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

macro_rules! follow {
    ($(#[$doc:meta])* $name:ident, $label:literal, $feed:ident, $events:ident, $id:ident, $received:literal, $handle:ident) => {
        $(#[$doc])*
        pub(crate) async fn $name(core: Arc<Core>) {
            let mut backoff = Backoff::new(core.seed().fork($label));
            let wait = core.config().poll;
            let tide = Tide::new(core.log(), Feed::$feed);
            let mut after: Option<Timestamp> = tide.start();
            loop {
                let started = Instant::now();
                let api = core.rest().payment();
                match api.$events(core.app_session(), after, wait).await {
                    Ok(events) => {
                        let pace = Pace::of(events.is_empty(), started, wait);
                        for event in events {
                            after = after.max(Some(event.event_date));
                            let mark = tide.begin(event.event_date);
                            if event.event_type == $received {
                                // Waiting here bounds the number of documents under way.
                                let gate = Arc::clone(&core.payments().gate);
                                let Ok(turn) = gate.acquire_owned().await else { return };
                                let owned = Arc::clone(&core);
                                core.tasks().spawn($label, async move {
                                    let _turn = turn;
                                    $handle(owned, event.$id).await;
                                    mark.done();
                                });
                            } else {
                                mark.done();
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

pub(super) async fn invoice_arrived(core: Arc<Core>, id: InvoiceId) {
    let mut backoff = Backoff::new(core.seed().fork(&format!("invoice/{id}")));
    let read = || core.rest().payment().invoice(&id);
    let invoice = match core.insist(&mut backoff, ATTEMPTS, read).await {
        Ok(invoice) => invoice,
        Err(error) => {
            tracing::warn!(invoice = %id, %error, "the invoice cannot be read");
            return;
        }
    };
    let Some(rental) = owner(&core, &invoice.agreement_id, &invoice.issuer_id) else {
        return;
    };
    core.emit(EventKind::InvoiceReceived {
        job: rental.job().clone(),
        agreement_id: rental.agreement_id.clone(),
        invoice_id: id.clone(),
        provider_name: rental.provider_name.clone(),
        amount: invoice.amount,
    });
    core.log().fact(Fact::InvoiceSeen {
        agreement: rental.agreement_id.clone(),
        invoice: id.clone(),
        amount: invoice.amount,
    });
    let ceiling = rental.ceiling(None);
    let refusal = wrong_invoice(&core, &invoice).or_else(|| {
        match core.strategy().accept_invoice(&invoice, ceiling) {
            Decision::Accept => None,
            Decision::Refuse(reason) => Some(reason),
        }
    });
    let event = Event::Invoice {
        id,
        amount: invoice.amount,
        ceiling,
        refusal,
    };
    for effect in core.payments().apply(&rental.agreement_id, event) {
        perform(&core, &rental, effect, &invoice.status, &mut backoff).await;
    }
}

pub(super) async fn note_arrived(core: Arc<Core>, id: DebitNoteId) {
    let mut backoff = Backoff::new(core.seed().fork(&format!("debit-note/{id}")));
    let read = || core.rest().payment().debit_note(&id);
    let note = match core.insist(&mut backoff, ATTEMPTS, read).await {
        Ok(note) => note,
        Err(error) => {
            tracing::warn!(debit_note = %id, %error, "the debit note cannot be read");
            return;
        }
    };
    let Some(rental) = owner(&core, &note.agreement_id, &note.issuer_id) else {
        return;
    };
    core.emit(EventKind::DebitNoteReceived {
        job: rental.job().clone(),
        agreement_id: rental.agreement_id.clone(),
        activity_id: note.activity_id.clone(),
        debit_note_id: id.clone(),
        amount: note.total_amount_due,
    });
    let ceiling = rental.ceiling(Some(&note.activity_id));
    let refusal = wrong_note(&core, &note).or_else(|| {
        match core.strategy().accept_debit_note(&note, ceiling) {
            Decision::Accept => None,
            Decision::Refuse(reason) => Some(reason),
        }
    });
    let (activity, amount, status) = (note.activity_id, note.total_amount_due, note.status);
    let event = Event::Note {
        id,
        activity,
        amount,
        ceiling,
        refusal,
    };
    for effect in core.payments().apply(&rental.agreement_id, event) {
        perform(&core, &rental, effect, &status, &mut backoff).await;
    }
}

/// Our agreement that a document is for; documents of others are none of our business.
fn owner(core: &Core, agreement: &AgreementId, issuer: &golem_wire::NodeId) -> Option<Arc<Rental>> {
    let rental = core.rentals().get(agreement);
    match &rental {
        None => {
            tracing::warn!(%agreement, "a document for an agreement that is not ours is ignored")
        }
        Some(rental) if rental.provider_id != *issuer => {
            let what =
                format!("{issuer} sent a document for agreement {agreement} of another provider");
            core.emit(EventKind::ProtocolViolation { what });
            return None;
        }
        Some(_) => {}
    }
    rental
}

fn wrong_invoice(core: &Core, invoice: &Invoice) -> Option<String> {
    wrong(
        core,
        &invoice.payment_platform,
        &invoice.payer_addr,
        &invoice.status,
    )
}

fn wrong_note(core: &Core, note: &DebitNote) -> Option<String> {
    wrong(core, &note.payment_platform, &note.payer_addr, &note.status)
}

fn wrong(core: &Core, platform: &str, payer: &str, status: &DocumentStatus) -> Option<String> {
    let allocation = core.payments().allocation();
    if platform != allocation.payment_platform {
        return Some(format!(
            "it wants to be paid on {platform}, we pay on {}",
            allocation.payment_platform
        ));
    }
    // Addresses may differ by the case of their digits.
    if !payer.eq_ignore_ascii_case(&allocation.address) {
        return Some(format!(
            "it names {payer} as payer, we pay from {}",
            allocation.address
        ));
    }
    (*status == DocumentStatus::Cancelled).then(|| "the provider cancelled it".into())
}

async fn perform(
    core: &Arc<Core>,
    rental: &Arc<Rental>,
    effect: Effect,
    status: &DocumentStatus,
    backoff: &mut Backoff,
) {
    let api = || core.rest().payment();
    let (job, agreement_id) = (rental.job().clone(), rental.agreement_id.clone());
    let failed = |document: String, reason: String| EventKind::PaymentFailed {
        job: job.clone(),
        agreement_id: agreement_id.clone(),
        document,
        reason,
    };
    let owed = core.rentals().owed();
    match effect {
        Effect::AcceptNote {
            id,
            activity,
            amount,
        } => {
            let acceptance = acceptance(core, rental, amount);
            let document = Document::Note(&id);
            match accept(core, backoff, status, document, &acceptance).await {
                Ok(()) => {
                    core.payments().apply(
                        &agreement_id,
                        Event::NoteAccepted {
                            activity: activity.clone(),
                            amount,
                        },
                    );
                    if rental.ended_by().is_none() {
                        // Notes are cumulative: this one covers those that failed before.
                        owed.clear(&rental.provider_id, &agreement_id);
                    }
                    core.emit(EventKind::DebitNoteAccepted {
                        job,
                        agreement_id,
                        activity_id: activity,
                        debit_note_id: id,
                        amount,
                    });
                }
                Err(error) => {
                    owed.owe(&rental.provider_id, &agreement_id);
                    core.emit(failed(format!("debit note {id}"), said(&error)));
                }
            }
        }
        Effect::AcceptInvoice { id, amount } => {
            let acceptance = acceptance(core, rental, amount);
            let document = Document::Invoice(&id);
            match accept(core, backoff, status, document, &acceptance).await {
                Ok(()) => invoice_accepted(core, rental, id, amount),
                Err(error) => {
                    let reason = said(&error);
                    core.emit(failed(format!("invoice {id}"), reason.clone()));
                    let passing = error.is_retryable() || error.outcome() == Outcome::Unknown;
                    let failed = Event::InvoiceFailed {
                        id,
                        reason,
                        passing,
                    };
                    core.payments().apply(&agreement_id, failed);
                }
            }
        }
        Effect::RefuseNote { id, reason } => {
            owed.owe(&rental.provider_id, &agreement_id);
            core.emit(failed(format!("debit note {id}"), reason));
        }
        Effect::RejectInvoice { id, reason } => {
            core.emit(failed(format!("invoice {id}"), reason.clone()));
            let rejection = Rejection {
                rejection_reason: "INCORRECT_AMOUNT".into(),
                total_amount_accepted: Glm::ZERO,
                message: Some(reason),
            };
            // Rejecting twice leaves it rejected.
            let rejecting =
                core.insist(backoff, ATTEMPTS, || api().reject_invoice(&id, &rejection));
            if let Err(error) = rejecting.await {
                tracing::warn!(invoice = %id, %error, "the provider was not told that its invoice is refused");
            }
        }
    }
}

/// Everything that follows from an accepted invoice.
fn invoice_accepted(core: &Core, rental: &Rental, id: InvoiceId, amount: Glm) {
    let agreement_id = rental.agreement_id.clone();
    core.emit(EventKind::InvoiceAccepted {
        job: rental.job().clone(),
        agreement_id: agreement_id.clone(),
        invoice_id: id.clone(),
        provider_name: rental.provider_name.clone(),
        amount,
    });
    if core.config().shutdown.settlement.is_some() {
        core.payments().expect_settlement(rental, &id, amount);
    }
    core.payments()
        .apply(&agreement_id, Event::InvoiceAccepted { id });
    core.rentals()
        .owed()
        .clear(&rental.provider_id, &agreement_id);
    rental.close_if_settled();
    core.rentals().prune(core);
}

/// Which document an acceptance is about.
#[derive(Clone, Copy)]
enum Document<'a> {
    Note(&'a DebitNoteId),
    Invoice(&'a InvoiceId),
}

impl Document<'_> {
    async fn accept(self, core: &Core, acceptance: &Acceptance) -> Result<(), ApiError> {
        let api = core.rest().payment();
        match self {
            Document::Note(id) => api.accept_debit_note(id, acceptance).await,
            Document::Invoice(id) => api.accept_invoice(id, acceptance).await,
        }
    }

    async fn status(self, core: &Core) -> Result<DocumentStatus, ApiError> {
        let api = core.rest().payment();
        match self {
            Document::Note(id) => Ok(api.debit_note(id).await?.status),
            Document::Invoice(id) => Ok(api.invoice(id).await?.status),
        }
    }
}

/// Accepts a document. After a failure the daemon is asked how the document stands before it is said
/// again, so that nothing is accepted twice and nothing counts as failed that worked.
async fn accept(
    core: &Core,
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
        let Err(error) = document.accept(core, acceptance).await else {
            return Ok(());
        };
        attempt += 1;
        tracing::debug!(%error, attempt, "an acceptance failed");
        match core
            .insist(backoff, ATTEMPTS, || document.status(core))
            .await
        {
            Ok(found) if is_accepted(&found) => return Ok(()),
            Ok(DocumentStatus::Cancelled) | Err(_) => return Err(error),
            Ok(_) if !error.is_retryable() || attempt >= ATTEMPTS => return Err(error),
            Ok(_) => backoff.pause().await,
        }
    }
}

/// Waits until the driver settled everything that was accepted. A requestor is not told, so it asks.
pub(crate) async fn settlement(core: &Core) {
    let mut backoff = Backoff::new(core.seed().fork("settlement"));
    let since = core.payments().allocation().timestamp;
    while !core.payments().unsettled().is_empty() {
        match core.rest().payment().invoices(Some(since)).await {
            Ok(invoices) => {
                let settled = |invoice: &Invoice| invoice.status == DocumentStatus::Settled;
                for invoice in invoices.into_iter().filter(settled) {
                    core.payments().settled(&invoice.invoice_id);
                }
                if core.payments().unsettled().is_empty() {
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
pub(crate) async fn catch_up(core: &Arc<Core>) {
    let mut backoff = Backoff::new(core.seed().fork("catch-up"));
    let since = core.payments().allocation().timestamp;
    let list = || core.rest().payment().invoices(Some(since));
    let invoices = match core.insist(&mut backoff, ATTEMPTS, list).await {
        Ok(invoices) => invoices,
        Err(error) => {
            tracing::warn!(%error, "the invoices cannot be listed");
            return;
        }
    };
    for invoice in invoices {
        let Some(rental) = core.rentals().get(&invoice.agreement_id) else {
            continue;
        };
        match core.payments().invoice(&invoice.agreement_id) {
            InvoiceState::None => {
                let owned = Arc::clone(core);
                let id = invoice.invoice_id;
                core.tasks().spawn("invoice", invoice_arrived(owned, id));
            }
            InvoiceState::Refused { id, amount, .. }
                if id == invoice.invoice_id && is_accepted(&invoice.status) =>
            {
                invoice_accepted(core, &rental, id, amount);
            }
            InvoiceState::Refused {
                id, passing: true, ..
            } if id == invoice.invoice_id => {
                let event = Event::InvoiceAgain { id };
                let effects = core.payments().apply(&rental.agreement_id, event);
                let owned = Arc::clone(core);
                core.tasks().spawn("invoice", async move {
                    again(&owned, &rental, &invoice, effects).await;
                });
            }
            _ => {}
        }
    }
}

/// Tries acceptances again that failed in passing, as long as there are any. Runs until its task is
/// cancelled.
pub(crate) async fn try_again(core: Arc<Core>) {
    let mut changes = core.payments().changes();
    loop {
        if core.payments().any_failed() {
            tokio::time::sleep(AGAIN_AFTER).await;
            catch_up(&core).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Tries an acceptance again that failed in passing.
async fn again(core: &Arc<Core>, rental: &Arc<Rental>, invoice: &Invoice, effects: Vec<Effect>) {
    let id = &invoice.invoice_id;
    let mut backoff = Backoff::new(core.seed().fork(&format!("invoice-again/{id}")));
    for effect in effects {
        perform(core, rental, effect, &invoice.status, &mut backoff).await;
    }
}

fn acceptance(core: &Core, rental: &Rental, amount: Glm) -> Acceptance {
    Acceptance {
        total_amount_accepted: amount,
        allocation_id: core.payments().budget_for(rental, amount, core.now()),
    }
}

fn said(error: &ApiError) -> String {
    error
        .message()
        .map_or_else(|| error.to_string(), str::to_owned)
}
