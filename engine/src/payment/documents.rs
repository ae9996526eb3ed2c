//! Invoices and debit notes as they come: which of them are right, and what follows. Each is
//! accepted exactly once, if at all. Does not own: hearing of them (`feeds.rs`, `reconcile.rs`), how an
//! acceptance of unknown outcome is looked up (`settle/`).

use std::sync::Arc;

use golem_wire::payment::{Acceptance, DebitNote, DocumentStatus, Invoice, Rejection};
use golem_wire::{ActivityId, AgreementId, DebitNoteId, Glm, InvoiceId};

use super::Payments;
use crate::api::payment::lacks_funds;
use crate::api::{ApiError, Outcome};
use crate::cause::Cause;
use crate::event::{
    DebitNoteAccepted, DebitNoteReceived, InvoiceAccepted, InvoiceReceived, PaymentFailed,
    ProtocolViolation,
};
use crate::journal::Fact;
use crate::lifecycle::payment::{Again, Effect, Event};
use crate::market::Rental;
use crate::model::DocumentId;
use crate::retry::Backoff;
use crate::settle::{Document, Ender};
use crate::strategy::Decision;

/// Attempts to read or accept a document.
pub(super) const ATTEMPTS: u32 = 6;

pub(super) async fn invoice_arrived(payments: Arc<Payments>, id: InvoiceId) {
    let mut backoff = Backoff::new(payments.context.seed(), format!("invoice/{id}"));
    let read = || payments.context.rest().payment().invoice(&id);
    let invoice = match payments.context.insist(&mut backoff, ATTEMPTS, read).await {
        Ok(invoice) => invoice,
        Err(error) => {
            tracing::warn!(invoice = %id, %error, "the invoice cannot be read");
            return;
        }
    };
    let Some(rental) = owner(&payments, &invoice.agreement_id, &invoice.issuer_id) else {
        return;
    };
    let received = InvoiceReceived {
        invoice_id: id.clone(),
        amount: invoice.amount,
    };
    payments.context.emit(rental.about(), received);
    payments.context.log().fact(Fact::InvoiceSeen {
        agreement: rental.agreement_id.clone(),
        invoice: id.clone(),
        amount: invoice.amount,
    });
    rental.sign_of_life();
    golem_probe::sometimes!(
        rental.is_open(),
        "an invoice comes before its agreement ends"
    );
    let ceiling = rental.ceiling(None);
    let mut part = Glm::ZERO;
    let refusal = wrong_invoice(&payments, &rental, &invoice).or_else(|| {
        let strategy = payments.context.strategy();
        match strategy.accept_invoice(&invoice, ceiling) {
            Decision::AcceptPart { amount, reason } if amount < invoice.amount => {
                part = amount.max(Glm::ZERO).min(ceiling);
                Some(reason)
            }
            Decision::Accept | Decision::AcceptPart { .. } => None,
            Decision::Refuse(reason) => Some(reason),
        }
    });
    let event = Event::Invoice {
        id,
        amount: invoice.amount,
        ceiling,
        refusal,
    };
    for effect in payments.apply(&rental, event) {
        match effect {
            Effect::RejectInvoice { id, reason, .. } if !part.is_zero() => {
                reject(&payments, &rental, (&id, reason, part), &mut backoff).await;
            }
            effect => perform(&payments, &rental, effect, &invoice.status, &mut backoff).await,
        }
    }
}

pub(super) async fn note_arrived(payments: Arc<Payments>, id: DebitNoteId) {
    let mut backoff = Backoff::new(payments.context.seed(), format!("debit-note/{id}"));
    let read = || payments.context.rest().payment().debit_note(&id);
    let note = match payments.context.insist(&mut backoff, ATTEMPTS, read).await {
        Ok(note) => note,
        Err(error) => {
            tracing::warn!(debit_note = %id, %error, "the debit note cannot be read");
            return;
        }
    };
    let Some(rental) = owner(&payments, &note.agreement_id, &note.issuer_id) else {
        return;
    };
    let received = DebitNoteReceived {
        debit_note_id: id.clone(),
        amount: note.total_amount_due,
    };
    let about = rental.about().with_activity(&note.activity_id);
    payments.context.emit(about, received);
    rental.sign_of_life();
    let ceiling = rental.ceiling(Some(&note.activity_id));
    let usage = rental.check_usage(&note);
    if usage.is_err() {
        rental.claimed(&note);
    }
    let refusal = wrong_note(&payments, &rental, &note).or_else(|| {
        let strategy = payments.context.strategy();
        match strategy.accept_debit_note(&note, ceiling) {
            Decision::Accept => None,
            Decision::AcceptPart { amount, .. } if amount >= note.total_amount_due => None,
            Decision::AcceptPart { amount, reason } => {
                Some(format!("no more than {amount} GLM would be paid: {reason}"))
            }
            Decision::Refuse(reason) => Some(reason),
        }
    });
    let breach = rental.breach(&note);
    let (activity, amount, status) = (note.activity_id, note.total_amount_due, note.status);
    let event = Event::Note {
        id,
        activity: activity.clone(),
        amount,
        ceiling,
        refusal,
        impossible: usage.as_ref().err().cloned(),
    };
    for effect in payments.apply(&rental, event) {
        if let Effect::AcceptNote { .. } = effect {
            rental.cost_known(&activity, amount, note.timestamp);
            if let Ok(Some(usage)) = &usage {
                rental.usage_known(&activity, usage.clone());
            }
        }
        perform(&payments, &rental, effect, &status, &mut backoff).await;
    }
    // What it is owed is paid all the same.
    if let Some(reason) = breach
        && rental.is_open()
    {
        payments.rentals.distrust(&rental, &reason);
        rental.breaks_terms(&reason);
    }
}

/// Our agreement that a document is for; documents of others are none of our business.
fn owner(
    payments: &Payments,
    agreement: &AgreementId,
    issuer: &golem_wire::NodeId,
) -> Option<Arc<Rental>> {
    let rental = payments.rentals.get(agreement);
    match &rental {
        None if payments.context.by_hand.signed(agreement) => {
            tracing::debug!(%agreement, "a document for an agreement that was signed by hand");
        }
        None => {
            tracing::warn!(%agreement, "a document for an agreement that is not ours is ignored")
        }
        Some(rental) if rental.provider_id != *issuer => {
            let what =
                format!("{issuer} sent a document for agreement {agreement} of another provider");
            payments
                .context
                .emit(rental.about(), ProtocolViolation { what });
            return None;
        }
        Some(_) => {}
    }
    rental
}

fn wrong_invoice(payments: &Payments, rental: &Rental, invoice: &Invoice) -> Option<String> {
    wrong(
        payments,
        rental,
        &invoice.payment_platform,
        &invoice.payer_addr,
        &invoice.status,
    )
}

fn wrong_note(payments: &Payments, rental: &Rental, note: &DebitNote) -> Option<String> {
    wrong(
        payments,
        rental,
        &note.payment_platform,
        &note.payer_addr,
        &note.status,
    )
}

fn wrong(
    payments: &Payments,
    rental: &Rental,
    platform: &str,
    payer: &str,
    status: &DocumentStatus,
) -> Option<String> {
    let agreed = rental.platform();
    if *platform != **agreed {
        return Some(format!(
            "it wants to be paid on {platform}, we pay on {agreed}"
        ));
    }
    let Some(address) = payments.payer_on(platform) else {
        return Some(format!(
            "it wants to be paid on {platform}, where there is no budget"
        ));
    };
    // Addresses may differ by the case of their digits.
    if !payer.eq_ignore_ascii_case(&address) {
        return Some(format!("it names {payer} as payer, we pay from {address}"));
    }
    (*status == DocumentStatus::Cancelled).then(|| "the provider cancelled it".into())
}

pub(super) async fn perform(
    payments: &Arc<Payments>,
    rental: &Arc<Rental>,
    effect: Effect,
    status: &DocumentStatus,
    backoff: &mut Backoff,
) {
    let ender = Ender::of(&payments.context, "accept");
    let failed = |document: DocumentId, reason: Cause| {
        let failed = PaymentFailed { document, reason };
        payments.context.emit(rental.about(), failed);
    };
    match effect {
        Effect::AcceptNote {
            id,
            activity,
            amount,
        } => {
            let acceptance = acceptance(payments, rental, Some(&activity), amount);
            let document = Document::Note(&id);
            match ender.accept(document, status, &acceptance).await {
                Ok(()) => {
                    payments.apply(
                        rental,
                        Event::NoteAccepted {
                            activity: activity.clone(),
                            amount,
                        },
                    );
                    if rental.ended_by().is_none() {
                        // Notes are cumulative: this one covers those that failed before.
                        rental.owes_nothing();
                    }
                    let accepted = DebitNoteAccepted {
                        debit_note_id: id,
                        amount,
                    };
                    let about = rental.about().with_activity(&activity);
                    payments.context.emit(about, accepted);
                }
                Err(error) => {
                    rental.owe();
                    let lacks_funds = lacks_funds(&error);
                    failed(DocumentId::DebitNote(id), Cause::new(error));
                    if lacks_funds {
                        payments.own_allocations.of(rental).budget.refused();
                    }
                }
            }
        }
        Effect::AcceptInvoice { id, amount } => {
            let acceptance = acceptance(payments, rental, None, amount);
            let document = Document::Invoice(&id);
            match ender.accept(document, status, &acceptance).await {
                Ok(()) => invoice_accepted(payments, rental, id, amount),
                Err(error) => {
                    let reason = said(&error);
                    let again = if lacks_funds(&error) {
                        Again::Funded
                    } else if error.is_retryable() || error.outcome() == Outcome::Unknown {
                        Again::Later
                    } else {
                        Again::Never
                    };
                    failed(DocumentId::Invoice(id.clone()), Cause::new(error));
                    payments.apply(rental, Event::InvoiceFailed { id, reason, again });
                    if again == Again::Funded {
                        payments.own_allocations.of(rental).budget.refused();
                    }
                }
            }
        }
        Effect::RefuseNote {
            id,
            reason,
            overbilled,
        } => {
            rental.owe();
            if overbilled {
                payments.rentals.distrust(rental, &reason);
            }
            failed(DocumentId::DebitNote(id), reason.into());
        }
        Effect::RejectInvoice {
            id,
            reason,
            overbilled,
        } => {
            if overbilled {
                payments.rentals.distrust(rental, &reason);
            }
            reject(payments, rental, (&id, reason, Glm::ZERO), backoff).await;
        }
    }
}

/// Tells the provider that its invoice is not paid, and how much would be.
async fn reject(
    payments: &Payments,
    rental: &Rental,
    (id, reason, part): (&InvoiceId, String, Glm),
    backoff: &mut Backoff,
) {
    let failed = PaymentFailed {
        document: DocumentId::Invoice(id.clone()),
        reason: reason.as_str().into(),
    };
    payments.context.emit(rental.about(), failed);
    let rejection = Rejection {
        rejection_reason: "INCORRECT_AMOUNT".into(),
        total_amount_accepted: part,
        message: Some(reason),
    };
    let api = payments.context.rest().payment();
    // Rejecting twice leaves it rejected.
    let rejecting = payments
        .context
        .insist(backoff, ATTEMPTS, || api.reject_invoice(id, &rejection));
    if let Err(error) = rejecting.await {
        tracing::warn!(invoice = %id, %error, "the provider was not told that its invoice is refused");
    }
}

/// Of a debit note of this activity, or of the invoice.
fn acceptance(
    payments: &Payments,
    rental: &Rental,
    activity: Option<&ActivityId>,
    amount: Glm,
) -> Acceptance {
    let now = payments.context.now();
    Acceptance {
        total_amount_accepted: amount,
        allocation_id: payments.budget_for(rental, activity, amount, now),
    }
}

/// Everything that follows from an accepted invoice.
pub(super) fn invoice_accepted(payments: &Payments, rental: &Rental, id: InvoiceId, amount: Glm) {
    let accepted = InvoiceAccepted {
        invoice_id: id.clone(),
        amount,
    };
    payments.context.emit(rental.about(), accepted);
    if payments.context.config().shutdown.settlement.is_some() {
        payments.expect_settlement(rental, &id, amount);
    }
    payments.apply(rental, Event::InvoiceAccepted { id });
    rental.owes_nothing();
    rental.close_if_settled();
    payments.rentals.prune();
}

fn said(error: &ApiError) -> String {
    error
        .message()
        .map_or_else(|| error.to_string(), str::to_owned)
}
