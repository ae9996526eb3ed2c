//! Documents of agreements of an earlier life, and the budgets that were set aside for them. Owns:
//! telling what an earlier life accepted from what is still to be decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use golem_wire::payment::{Allocation, DebitNote, DocumentStatus, Invoice};
use golem_wire::{ActivityId, AgreementId, AllocationId, Glm};
use jiff::Timestamp;

use super::Payments;
use super::documents::{invoice_arrived, note_arrived};
use crate::lifecycle::payment::{Event, Sent};
use crate::market::Rental;
use crate::settle::is_accepted;

/// A budget of an earlier life.
#[derive(Clone, Debug)]
pub(crate) struct PreviousBudget {
    pub(crate) id: AllocationId,
    pub(crate) timeout: Option<Timestamp>,
    pub(crate) platform: String,
    /// The address that it is paid from.
    pub(crate) payer: String,
    /// In GLM.
    pub(crate) left: Glm,
    /// What is taken from `left` already.
    pub(super) sent: BTreeMap<AgreementId, Sent>,
}

impl PreviousBudget {
    pub(crate) fn of(allocation: &Allocation) -> Self {
        PreviousBudget {
            id: allocation.allocation_id.clone(),
            timeout: allocation.timeout.as_ref().map(|timeout| timeout.at()),
            platform: allocation.payment_platform.clone(),
            payer: allocation.address.clone(),
            left: allocation.remaining_amount.glm(),
            sent: BTreeMap::new(),
        }
    }

    /// Its id, if there is enough left of it for a document.
    pub(super) fn pay(
        &mut self,
        rental: &Rental,
        activity: Option<&ActivityId>,
        amount: Glm,
    ) -> Option<AllocationId> {
        let mut sent = self
            .sent
            .get(&rental.agreement_id)
            .cloned()
            .unwrap_or_default();
        let more = rental.more(activity, amount, &sent);
        if self.left < more {
            return None;
        }
        self.left = self.left - more;
        sent.send(activity, amount);
        self.sent.insert(rental.agreement_id.clone(), sent);
        Some(self.id.clone())
    }
}

/// Takes up the documents of restored agreements: what was accepted counts, what was not is decided
/// now, as if it had just come. The daemon's feeds may have passed them.
pub(crate) async fn take_up(
    payments: &Arc<Payments>,
    invoices: Vec<Invoice>,
    notes: Vec<DebitNote>,
) {
    let (accepted, open): (Vec<_>, Vec<_>) = notes
        .into_iter()
        .partition(|note| is_accepted(&note.status));
    for note in accepted {
        let Some(rental) = payments.rentals.get(&note.agreement_id) else {
            continue;
        };
        let usage = rental.check_usage(&note);
        let activity = note.activity_id;
        let amount = note.total_amount_due;
        let known = Event::Note {
            id: note.debit_note_id,
            activity: activity.clone(),
            amount,
            ceiling: amount,
            refusal: None,
            impossible: None,
        };
        // What an earlier life decided is not decided again.
        drop(payments.apply(&rental, known));
        // What was right tells what was used, as in the run that accepted it.
        rental.cost_known(&activity, amount, note.timestamp);
        if let Ok(Some(usage)) = usage {
            rental.usage_known(&activity, usage);
        }
        payments.apply(&rental, Event::NoteAccepted { activity, amount });
        rental.accepted_before();
    }
    for invoice in invoices {
        let Some(rental) = payments.rentals.get(&invoice.agreement_id) else {
            continue;
        };
        let refusal = match &invoice.status {
            status if is_accepted(status) => None,
            DocumentStatus::Rejected | DocumentStatus::Failed | DocumentStatus::Cancelled => {
                Some(format!("it is {} since an earlier run", invoice.status))
            }
            _ => {
                let arrived = invoice_arrived(Arc::clone(payments), invoice.invoice_id);
                let arrived: BoxFuture<'static, ()> = Box::pin(arrived);
                arrived.await;
                continue;
            }
        };
        let paid = refusal.is_none();
        let id = invoice.invoice_id.clone();
        let known = Event::Invoice {
            id: id.clone(),
            amount: invoice.amount,
            ceiling: invoice.amount,
            refusal,
        };
        drop(payments.apply(&rental, known));
        if paid {
            payments.apply(&rental, Event::InvoiceAccepted { id });
            rental.accepted_before();
        }
    }
    for note in open {
        if note.status == DocumentStatus::Received {
            let arrived = note_arrived(Arc::clone(payments), note.debit_note_id);
            let arrived: BoxFuture<'static, ()> = Box::pin(arrived);
            arrived.await;
        }
    }
}
