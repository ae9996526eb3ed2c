//! The payment driver: pays what was accepted, in batches, and settles the documents.
//!
//! The first acceptance after a batch schedules the next one; a batch pays every provider once.
//! Does not own: how its orders and payments are read (`record`).

use base64::Engine;
use golem_wire::payment::{DebitNote, DocumentStatus, Invoice};
use golem_wire::{ActivityId, AgreementId, AllocationId, Glm, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use sha3::{Digest, Sha3_256};

use super::record::{ActivityPayment, AgreementPayment, BatchOrder, Order, Payment};
use super::tab::Accrued;
use super::{DocumentEvent, EventKind, Payments};
use crate::journal::{Actor, Event};
use crate::ledger::{Document, Fact};
use crate::ports::Ports;
use crate::timeline::{Action, PaymentDue};
use crate::topics::Topic;

/// An accepted amount that is to be paid.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(super) document: Document,
    pub(super) allocation: AllocationId,
    pub(super) agreement: AgreementId,
    pub(super) activity: Option<ActivityId>,
    pub(super) amount: Glm,
    pub(super) transfer: Transfer,
}

/// From whom to whom, on which platform: what one payment can cover.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transfer {
    payer: NodeId,
    payee: NodeId,
    payer_addr: String,
    payee_addr: String,
    platform: String,
}

impl Charge {
    /// What a payable note accepts.
    pub(super) fn of_note(note: &DebitNote, accrued: Accrued) -> Charge {
        Charge {
            document: Document::DebitNote(accrued.note),
            allocation: accrued.allocation,
            agreement: note.agreement_id.clone(),
            activity: Some(note.activity_id.clone()),
            amount: accrued.amount,
            transfer: Transfer {
                payer: note.recipient_id.clone(),
                payee: note.issuer_id.clone(),
                payer_addr: note.payer_addr.clone(),
                payee_addr: note.payee_addr.clone(),
                platform: note.payment_platform.clone(),
            },
        }
    }

    /// What notes of `activity` had accepted before the invoice.
    pub(super) fn of_activity(
        invoice: &Invoice,
        activity: &ActivityId,
        accrued: Accrued,
    ) -> Charge {
        Charge {
            document: Document::DebitNote(accrued.note),
            activity: Some(activity.clone()),
            ..Charge::of_invoice(invoice, &accrued.allocation, accrued.amount)
        }
    }

    /// What the invoice adds.
    pub(super) fn of_invoice(invoice: &Invoice, allocation: &AllocationId, amount: Glm) -> Charge {
        Charge {
            document: Document::Invoice(invoice.invoice_id.clone()),
            allocation: allocation.clone(),
            agreement: invoice.agreement_id.clone(),
            activity: None,
            amount,
            transfer: Transfer {
                payer: invoice.recipient_id.clone(),
                payee: invoice.issuer_id.clone(),
                payer_addr: invoice.payer_addr.clone(),
                payee_addr: invoice.payee_addr.clone(),
                platform: invoice.payment_platform.clone(),
            },
        }
    }
}

/// A time as the daemon's tables have it: without a zone.
fn naive(at: Timestamp, digits: u8) -> String {
    let stamp = golem_wire::stamp::fixed(at, digits);
    stamp.trim_end_matches('Z').to_owned()
}

impl Payments {
    /// Hands accepted amounts to the driver.
    pub(super) fn pay_later(&mut self, ports: &mut Ports, charges: Vec<Charge>) {
        if charges.is_empty() {
            return;
        }
        self.charges.extend(charges);
        if self.settling.is_none() {
            let settle = Action::Payment(PaymentDue::Settle);
            self.settling = Some(ports.after(ports.config.latency.settlement, settle));
        }
    }

    /// The driver pays everything accepted so far, one transfer for each pair of accounts.
    /// Whether something was accepted and is not paid yet.
    pub(crate) fn has_orders(&self) -> bool {
        !self.charges.is_empty()
    }

    /// What was accepted and not paid yet is never paid. For a bug that is planted.
    pub(crate) fn forget_orders(&mut self) {
        self.charges.clear();
    }

    pub(super) fn settle(&mut self, ports: &mut Ports) {
        self.settling = None;
        let mut transfers = IndexMap::<Transfer, Vec<Charge>>::new();
        if golem_probe::planted!("a-payment-is-sent-twice") {
            self.charges.extend(self.charges.clone());
        }
        for charge in std::mem::take(&mut self.charges) {
            transfers
                .entry(charge.transfer.clone())
                .or_default()
                .push(charge);
        }
        let mut orders = IndexMap::<(NodeId, String), String>::new();
        for (transfer, charges) in transfers {
            let paid: indexmap::IndexSet<_> = charges.iter().map(|c| c.agreement.clone()).collect();
            // All that a payer pays on one platform at one time is one order of the driver.
            let batch = (transfer.payer.clone(), transfer.platform.clone());
            let order_id = match orders.get(&batch) {
                Some(id) => String::clone(id),
                None => orders.entry(batch).or_insert(ports.ids.order()).clone(),
            };
            self.pay(ports, transfer, charges, &order_id);
            for agreement in paid {
                self.settle_documents(ports, &agreement);
            }
        }
        self.forget_covered_notes(ports);
    }

    fn pay(&mut self, ports: &mut Ports, transfer: Transfer, charges: Vec<Charge>, order_id: &str) {
        let payment_id = ports.ids.payment();
        let timestamp = super::to_millis(ports.stamp());
        let (mut agreements, mut activities) = (IndexMap::new(), IndexMap::new());
        let mut total = Glm::ZERO;
        for charge in &charges {
            total = total + charge.amount;
            let part: &mut Glm = match &charge.activity {
                Some(activity) => activities.entry(activity.clone()).or_default(),
                None => agreements.entry(charge.agreement.clone()).or_default(),
            };
            *part = *part + charge.amount;
            if let Some(tab) = self.tabs.get_mut(&charge.agreement) {
                tab.paid = tab.paid + charge.amount;
                let activity = charge.activity.as_ref();
                if let Some(part) = activity.and_then(|activity| tab.activities.get_mut(activity)) {
                    part.paid = part.paid + charge.amount;
                }
            }
            let fact = Fact::Paid {
                document: charge.document.clone(),
                amount: charge.amount,
            };
            ports.post(Actor::Daemon, fact);
            let paid_for = &mut self.paid_for;
            let payments = paid_for.entry(charge.agreement.clone()).or_default();
            if payments.last() != Some(&payment_id) {
                payments.push(payment_id.clone());
            }
        }
        // The daemon orders what is due for agreements before what is due for activities.
        let (of_activities, of_agreements): (Vec<_>, Vec<_>) = charges
            .into_iter()
            .partition(|charge| charge.activity.is_some());
        for charge in of_agreements.into_iter().chain(of_activities) {
            self.order(ports, charge, order_id);
        }
        self.totals.paid = self.totals.paid + total;
        self.add_to_batch(ports, &transfer, total, order_id);
        let hash = Sha3_256::digest(payment_id.as_bytes());
        let payment = Payment {
            payment_id: payment_id.clone(),
            payer_id: transfer.payer.clone(),
            payee_id: transfer.payee,
            payer_addr: transfer.payer_addr,
            payee_addr: transfer.payee_addr,
            payment_platform: transfer.platform,
            amount: total,
            timestamp,
            agreement_payments: agreements
                .into_iter()
                .map(|(agreement_id, amount)| AgreementPayment {
                    agreement_id,
                    amount,
                })
                .collect(),
            activity_payments: activities
                .into_iter()
                .map(|(activity_id, amount)| ActivityPayment {
                    activity_id,
                    amount,
                })
                .collect(),
            details: base64::engine::general_purpose::STANDARD.encode(hash),
        };
        self.payments_of
            .put(&payment.payer_id, timestamp, payment_id.clone());
        self.payments.insert(payment_id, payment);
        // Readers of payments wait on the topics of the documents that payments settle.
        ports.wake(&Topic::InvoiceEvents(transfer.payer));
    }

    /// Counts what was paid to one provider in the order that it is of.
    fn add_to_batch(&mut self, ports: &Ports, transfer: &Transfer, paid: Glm, order_id: &str) {
        let batch = self.batch_orders.entry(order_id.to_owned());
        let batch = batch.or_insert_with(|| {
            let created = naive(ports.now, 3);
            BatchOrder {
                id: order_id.to_owned(),
                updated_ts: created.clone(),
                created_ts: created,
                owner_id: transfer.payer.clone(),
                payer_addr: transfer.payer_addr.clone(),
                platform: transfer.platform.clone(),
                total_amount: Glm::ZERO,
                paid_amount: Glm::ZERO,
                at: ports.now,
            }
        });
        batch.total_amount = batch.total_amount + paid;
        batch.paid_amount = batch.paid_amount + paid;
    }

    /// Writes down what the driver did for one charge.
    fn order(&mut self, ports: &Ports, charge: Charge, order_id: &str) {
        let purpose = (charge.agreement.clone(), charge.activity.clone());
        let found = self.allocations.get_mut(&charge.allocation);
        if let Some(expenditure) = found.and_then(|a| a.expenditures.get_mut(&purpose)) {
            expenditure.scheduled = expenditure.scheduled + charge.amount;
        }
        let (created_ts, updated_ts) = (naive(ports.now, 3), naive(ports.now, 6));
        let (invoice_id, debit_note_id) = match charge.document {
            Document::Invoice(id) => (Some(id), None),
            Document::DebitNote(id) => (None, Some(id)),
        };
        let order = Order {
            created_ts,
            updated_ts,
            order_id: order_id.to_owned(),
            owner_id: charge.transfer.payer,
            payee_addr: charge.transfer.payee_addr,
            allocation_id: charge.allocation.clone(),
            amount: charge.amount,
            agreement_id: charge.agreement,
            invoice_id,
            activity_id: charge.activity,
            debit_note_id,
        };
        self.orders
            .entry(charge.allocation)
            .or_default()
            .push(order);
    }

    /// Marks the documents of `agreement` whose amounts are paid.
    pub(super) fn settle_documents(&mut self, ports: &mut Ports, agreement: &AgreementId) {
        let Some(tab) = self.tabs.get_mut(agreement) else {
            return;
        };
        let (requestor, session) = (tab.requestor.clone(), tab.session.clone());
        let (invoice, paid) = (
            tab.invoice.clone().filter(|_| tab.invoice_accepted),
            tab.paid,
        );
        let mut settled = Vec::new();
        for part in tab.activities.values_mut() {
            let (notes, paid) = (&self.debit_notes, part.paid);
            settled.extend(part.unsettled.extract_if(.., |id| {
                notes
                    .get(id)
                    .is_none_or(|note| note.total_amount_due <= paid)
            }));
        }
        for id in settled {
            if let Some(note) = self.debit_notes.get_mut(&id) {
                note.status = DocumentStatus::Settled;
            }
            let (at, session, kind) = (ports.stamp(), session.clone(), EventKind::Settled);
            self.note_events.push(
                &requestor,
                DocumentEvent {
                    id,
                    at,
                    session,
                    kind,
                },
            );
            ports.wake(&Topic::DebitNoteEvents(requestor.clone()));
        }
        let Some(invoice) = invoice.and_then(|id| self.invoices.get_mut(&id)) else {
            return;
        };
        if invoice.status == DocumentStatus::Accepted && invoice.amount <= paid {
            invoice.status = DocumentStatus::Settled;
            let invoice = invoice.clone();
            let (id, amount) = (invoice.invoice_id.clone(), invoice.amount);
            self.totals.invoices_paid += 1;
            ports.post(
                Actor::Daemon,
                Fact::Settled {
                    invoice: id.clone(),
                },
            );
            ports.record(
                Actor::Daemon,
                Event::InvoiceSettled {
                    invoice: id,
                    amount,
                },
            );
            self.tell_invoice(ports, &invoice, EventKind::Settled);
        }
    }
}
