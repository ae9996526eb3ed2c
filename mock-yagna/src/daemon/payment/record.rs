//! The records of the payment driver: its orders and payments, and who may look at which.
//!
//! Does not own: when they come into being (`driver`).

use golem_wire::payment::Invoice;
use golem_wire::{ActivityId, AgreementId, AllocationId, DebitNoteId, Glm, NodeId};
use jiff::Timestamp;
use serde::Serialize;

use super::Payments;

/// A charge that the driver has taken on, as `GET /allocations/{id}/orders` shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    /// Naive, as the daemon's table is.
    pub(super) created_ts: String,
    pub(super) updated_ts: String,
    pub(super) order_id: String,
    pub(super) owner_id: NodeId,
    pub(super) payee_addr: String,
    pub(super) allocation_id: AllocationId,
    pub(super) amount: Glm,
    pub(super) agreement_id: AgreementId,
    pub(super) invoice_id: Option<golem_wire::InvoiceId>,
    pub(super) activity_id: Option<ActivityId>,
    pub(super) debit_note_id: Option<DebitNoteId>,
}

/// All that a payer paid on one platform at one time, as `GET /batchOrders` shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchOrder {
    pub(super) id: String,
    /// Naive, as the daemon's table is.
    pub(super) created_ts: String,
    pub(super) updated_ts: String,
    pub(super) owner_id: NodeId,
    pub(super) payer_addr: String,
    pub(super) platform: String,
    pub(super) total_amount: Glm,
    pub(super) paid_amount: Glm,
    #[serde(skip)]
    pub(super) at: Timestamp,
}

/// A payment, as `GET /payments` shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment {
    pub(super) payment_id: String,
    pub(super) payer_id: NodeId,
    pub(super) payee_id: NodeId,
    pub(super) payer_addr: String,
    pub(super) payee_addr: String,
    pub(crate) payment_platform: String,
    pub(super) amount: Glm,
    #[serde(with = "golem_wire::stamp::millis")]
    pub(super) timestamp: Timestamp,
    pub(super) agreement_payments: Vec<AgreementPayment>,
    pub(super) activity_payments: Vec<ActivityPayment>,
    /// Stands for the transaction.
    pub(super) details: String,
}

/// The part of a payment that is for an agreement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgreementPayment {
    pub(super) agreement_id: AgreementId,
    pub(super) amount: Glm,
}

/// The part of a payment that is for an activity.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ActivityPayment {
    pub(super) activity_id: ActivityId,
    pub(super) amount: Glm,
}

/// Which payments a reader wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaymentFilter {
    /// Strictly later than this.
    pub(crate) after: Option<Timestamp>,
    /// Not more than this many.
    pub(crate) max: Option<usize>,
    /// For an agreement of this app session.
    pub(crate) session: Option<String>,
    /// On this network.
    pub(crate) network: Option<String>,
    /// By this driver.
    pub(crate) driver: Option<String>,
}

impl Payments {
    /// The caller's payments, oldest first.
    pub(crate) fn payments(&self, payer: &NodeId, filter: &PaymentFilter) -> Vec<Payment> {
        let of_session = |payment: &Payment, session: &str| {
            let activities = payment.activity_payments.iter();
            let activities = activities.filter_map(|p| self.metered.get(&p.activity_id));
            let agreements = payment.agreement_payments.iter().map(|p| &p.agreement_id);
            agreements.chain(activities).any(|agreement| {
                let tab = self.tabs.get(agreement);
                tab.is_some_and(|tab| tab.session.as_deref() == Some(session))
            })
        };
        let word = |payment: &Payment, position: usize, wanted: &str| {
            payment.payment_platform.split('-').nth(position) == Some(wanted)
        };
        let later = self.payments_of.later_than(payer, filter.after);
        later
            .filter_map(|id| self.payments.get(id))
            .filter(|payment| {
                filter
                    .driver
                    .as_ref()
                    .is_none_or(|wanted| word(payment, 0, wanted))
            })
            .filter(|payment| {
                filter
                    .network
                    .as_ref()
                    .is_none_or(|wanted| word(payment, 1, wanted))
            })
            .filter(|payment| {
                filter
                    .session
                    .as_ref()
                    .is_none_or(|s| of_session(payment, s))
            })
            .take(filter.max.unwrap_or(usize::MAX))
            .cloned()
            .collect()
    }

    /// The caller's payment of this id.
    pub(crate) fn payment(&self, payer: &NodeId, id: &str) -> Option<&Payment> {
        self.payments
            .get(id)
            .filter(|payment| payment.payer_id == *payer)
    }

    /// The payments that cover a part of an invoice, or of the notes of its agreement.
    pub(crate) fn payments_of_invoice(&self, invoice: &Invoice) -> Vec<Payment> {
        let ids = self.paid_for.get(&invoice.agreement_id);
        let all = ids.into_iter().flatten();
        let all = all.filter_map(|id| self.payments.get(id));
        let covers = |payment: &&Payment| {
            payment
                .agreement_payments
                .iter()
                .any(|p| p.agreement_id == invoice.agreement_id)
                || payment
                    .activity_payments
                    .iter()
                    .any(|p| invoice.activity_ids.contains(&p.activity_id))
        };
        all.filter(covers).cloned().collect()
    }

    /// The caller's batches later than a time, oldest first.
    pub(crate) fn batch_orders(
        &self,
        payer: &NodeId,
        after: Option<Timestamp>,
    ) -> impl Iterator<Item = &BatchOrder> {
        let mine = self.batch_orders.values();
        mine.filter(move |order| {
            order.owner_id == *payer && after.is_none_or(|after| order.at > after)
        })
    }

    /// The caller's batch of this id.
    pub(crate) fn batch_order(&self, payer: &NodeId, id: &str) -> Option<&BatchOrder> {
        let found = self.batch_orders.get(id);
        found.filter(|order| order.owner_id == *payer)
    }

    /// What the driver did for an allocation.
    pub(crate) fn orders(&self, allocation: &AllocationId) -> &[Order] {
        self.orders
            .get(allocation)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}
