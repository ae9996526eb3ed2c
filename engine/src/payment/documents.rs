//! Follows invoices and debit notes and accepts those that are right, each exactly once.

use std::sync::Arc;

use golem_wire::payment::{Acceptance, DebitNote, DocumentStatus, Invoice, Rejection};
use golem_wire::{AgreementId, DebitNoteId, Glm, InvoiceId};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::ApiError;
use crate::event::EventKind;
use crate::golem::Core;
use crate::lifecycle::payment::{Effect, Event};
use crate::market::Rental;
use crate::retry::{Backoff, Pace};
use crate::strategy::Decision;

/// Attempts to read or accept a document.
const ATTEMPTS: u32 = 6;

macro_rules! follow {
    ($(#[$doc:meta])* $name:ident, $label:literal, $events:ident, $id:ident, $received:literal, $handle:ident) => {
        $(#[$doc])*
        pub(crate) async fn $name(core: Arc<Core>) {
            let mut backoff = Backoff::new(core.seed().fork($label));
            let wait = core.config().poll;
            let mut after: Option<Timestamp> = None;
            loop {
                let started = Instant::now();
                let api = core.rest().payment();
                match api.$events(core.app_session(), after, wait).await {
                    Ok(events) => {
                        let pace = Pace::of(events.is_empty(), started, wait);
                        for event in events {
                            after = after.max(Some(event.event_date));
                            if event.event_type == $received {
                                // Waiting here bounds the number of documents under way.
                                let gate = Arc::clone(&core.payments().gate);
                                let Ok(turn) = gate.acquire_owned().await else { return };
                                let owned = Arc::clone(&core);
                                core.tasks().spawn($label, async move {
                                    let _turn = turn;
                                    $handle(owned, event.$id).await;
                                });
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
    follow_invoices, "invoice", invoice_events, invoice_id, "InvoiceReceivedEvent", invoice_arrived
);
follow!(
    /// Runs until its task is cancelled.
    follow_debit_notes, "debit-note", debit_note_events, debit_note_id, "DebitNoteReceivedEvent", note_arrived
);

async fn invoice_arrived(core: Arc<Core>, id: InvoiceId) {
    let mut backoff = Backoff::new(core.seed().fork(&format!("invoice/{id}")));
    let invoice = backoff
        .read(ATTEMPTS, || core.rest().payment().invoice(&id))
        .await;
    let invoice = match invoice {
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
        perform(&core, &rental, effect, &mut backoff).await;
    }
}

async fn note_arrived(core: Arc<Core>, id: DebitNoteId) {
    let mut backoff = Backoff::new(core.seed().fork(&format!("debit-note/{id}")));
    let note = match backoff
        .read(ATTEMPTS, || core.rest().payment().debit_note(&id))
        .await
    {
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
    let (activity, amount) = (note.activity_id, note.total_amount_due);
    let event = Event::Note {
        id,
        activity,
        amount,
        ceiling,
        refusal,
    };
    for effect in core.payments().apply(&rental.agreement_id, event) {
        perform(&core, &rental, effect, &mut backoff).await;
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

async fn perform(core: &Arc<Core>, rental: &Rental, effect: Effect, backoff: &mut Backoff) {
    let api = core.rest().payment();
    let (job, agreement_id) = (rental.job().clone(), rental.agreement_id.clone());
    let failed = |document: String, reason: String| EventKind::PaymentFailed {
        job: job.clone(),
        agreement_id: agreement_id.clone(),
        document,
        reason,
    };
    match effect {
        Effect::AcceptNote {
            id,
            activity,
            amount,
        } => {
            let acceptance = acceptance(core, amount);
            // Accepting again is a no-op at the daemon, so it may be repeated.
            match backoff
                .read(ATTEMPTS, || api.accept_debit_note(&id, &acceptance))
                .await
            {
                Ok(()) => {
                    core.payments().apply(
                        &agreement_id,
                        Event::NoteAccepted {
                            activity: activity.clone(),
                            amount,
                        },
                    );
                    core.emit(EventKind::DebitNoteAccepted {
                        job,
                        agreement_id,
                        activity_id: activity,
                        debit_note_id: id,
                        amount,
                    });
                }
                Err(error) => core.emit(failed(format!("debit note {id}"), said(&error))),
            }
        }
        Effect::AcceptInvoice { id, amount } => {
            let acceptance = acceptance(core, amount);
            match backoff
                .read(ATTEMPTS, || api.accept_invoice(&id, &acceptance))
                .await
            {
                Ok(()) => {
                    core.emit(EventKind::InvoiceAccepted {
                        job,
                        agreement_id: agreement_id.clone(),
                        invoice_id: id.clone(),
                        provider_name: rental.provider_name.clone(),
                        amount,
                    });
                    core.payments()
                        .apply(&agreement_id, Event::InvoiceAccepted { id });
                }
                Err(error) => {
                    let reason = said(&error);
                    core.emit(failed(format!("invoice {id}"), reason.clone()));
                    core.payments()
                        .apply(&agreement_id, Event::InvoiceFailed { id, reason });
                }
            }
        }
        Effect::RefuseNote { id, reason } => core.emit(failed(format!("debit note {id}"), reason)),
        Effect::RejectInvoice { id, reason } => {
            core.emit(failed(format!("invoice {id}"), reason.clone()));
            let rejection = Rejection {
                rejection_reason: "INCORRECT_AMOUNT".into(),
                total_amount_accepted: Glm::ZERO,
                message: Some(reason),
            };
            if let Err(error) = backoff
                .read(ATTEMPTS, || api.reject_invoice(&id, &rejection))
                .await
            {
                tracing::warn!(invoice = %id, %error, "the provider was not told that its invoice is refused");
            }
        }
    }
}

fn acceptance(core: &Core, amount: Glm) -> Acceptance {
    Acceptance {
        total_amount_accepted: amount,
        allocation_id: core.payments().allocation().allocation_id,
    }
}

fn said(error: &ApiError) -> String {
    error
        .message()
        .map_or_else(|| error.to_string(), str::to_owned)
}
