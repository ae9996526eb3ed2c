//! Invoices and debit notes as they come: which of them are right, and what follows. Each is
//! accepted exactly once, if at all (`acceptance.rs`). Does not own: hearing of them (`feeds.rs`,
//! `second_look.rs`).

use std::sync::Arc;

use golem_wire::payment::{DebitNote, DocumentStatus, Invoice, Rejection};
use golem_wire::{AgreementId, DebitNoteId, Glm, InvoiceId};

use super::acceptance::{Document, accept, acceptance};
use crate::api::{ApiError, Outcome};
use crate::event::EventKind;
use crate::golem::Core;
use crate::journal::Fact;
use crate::lifecycle::payment::{Effect, Event};
use crate::market::Rental;
use crate::retry::Backoff;
use crate::strategy::Decision;

/// Attempts to read or accept a document.
pub(super) const ATTEMPTS: u32 = 6;

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

pub(super) async fn perform(
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
pub(super) fn invoice_accepted(core: &Core, rental: &Rental, id: InvoiceId, amount: Glm) {
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

fn said(error: &ApiError) -> String {
    error
        .message()
        .map_or_else(|| error.to_string(), str::to_owned)
}
