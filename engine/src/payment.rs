//! Paying: the allocation, and the documents of our agreements. Owns: hearing of documents, and
//! accepting each once. The rules are in [`lifecycle::payment`](crate::lifecycle::payment), how far
//! each document is stands in the agreement's record ([`Rental`]).

mod allocation;
mod documents;
mod feeds;
mod previous_run;
mod reconcile;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::{ActivityId, AgreementId, AllocationId, Glm, InvoiceId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;

pub(crate) use allocation::{Budgets, begin, keep_alive, named};
pub(crate) use feeds::{follow_debit_notes, follow_invoices};
pub(crate) use previous_run::{PreviousBudget, take_up};
pub(crate) use reconcile::{catch_up, settlement, try_again};

use crate::context::Context;
use crate::lifecycle::payment::{Effect, Event, InvoiceState};
use crate::market::{OwnAllocations, Rental, Rentals};
use crate::model::DocumentId;
use crate::watch;

/// Accepted invoices that are watched for settlement, the latest ones.
const MAX_UNSETTLED: usize = 10_000;

/// A document of a provider that is not accepted although its agreement was used, or that is
/// accepted and not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OpenDocument {
    /// Its agreement.
    pub agreement_id: AgreementId,
    /// The provider's name.
    pub provider_name: String,
    /// Which.
    pub document: DocumentId,
    /// What it asks for, in GLM.
    pub amount: Glm,
}

/// Accepting and refusing what providers ask for.
pub(crate) struct Payments {
    context: Arc<Context>,
    rentals: Arc<Rentals>,
    own_allocations: Arc<OwnAllocations>,
    /// Budgets of earlier lives, for their debts.
    earlier: Mutex<Vec<PreviousBudget>>,
    /// Accepted, and not known to be settled.
    unsettled: Mutex<IndexMap<InvoiceId, (NodeId, OpenDocument)>>,
    /// Something happened to a document, for those who wait for invoices.
    changed: watch::Sender<()>,
    /// Documents accepted at the same time.
    gate: Arc<Semaphore>,
}

impl Payments {
    pub(crate) fn new(
        context: Arc<Context>,
        rentals: Arc<Rentals>,
        own_allocations: Arc<OwnAllocations>,
    ) -> Self {
        let concurrent = context.config().payment.concurrent_acceptances;
        Payments {
            context,
            rentals,
            own_allocations,
            earlier: Mutex::default(),
            unsettled: Mutex::default(),
            changed: watch::Sender::new(()),
            gate: Arc::new(Semaphore::new(concurrent.max(1))),
        }
    }

    fn lock_unsettled(&self) -> MutexGuard<'_, IndexMap<InvoiceId, (NodeId, OpenDocument)>> {
        // Every statement leaves the map consistent.
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What new work is paid from.
    pub(crate) fn own_allocations(&self) -> &OwnAllocations {
        &self.own_allocations
    }

    fn earlier(&self) -> MutexGuard<'_, Vec<PreviousBudget>> {
        // Every statement leaves the list consistent.
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Debts of earlier lives may use these budgets.
    pub(crate) fn add_previous_budgets(&self, budgets: impl IntoIterator<Item = PreviousBudget>) {
        let budgets: Vec<PreviousBudget> = budgets.into_iter().collect();
        for own in self.own_allocations.all() {
            let there = budgets.iter().filter(|it| it.platform == own.platform());
            own.budget
                .add_earlier(there.map(|budget| budget.left).sum());
        }
        self.earlier().extend(budgets);
    }

    /// The budgets of earlier lives, which are not used from now on.
    fn take_previous_budgets(&self) -> Vec<PreviousBudget> {
        std::mem::take(&mut *self.earlier())
    }

    /// The budget that a document is paid from, a debit note of this activity or the invoice: that of the life which owes
    /// it, as far as it goes, and on the platform that its agreement names in any case. Documents are cumulative: what was
    /// accepted before is not taken again, nor what it was sent with before.
    fn budget_for(
        &self,
        rental: &Rental,
        activity: Option<&ActivityId>,
        amount: Glm,
        now: Timestamp,
    ) -> AllocationId {
        if rental.is_restored() {
            let mut earlier = self.earlier();
            let platform = rental.platform();
            let pays = |budget: &&mut PreviousBudget| {
                *budget.platform == **platform && budget.timeout.is_none_or(|timeout| timeout > now)
            };
            let mut there = earlier.iter_mut().filter(pays);
            if let Some(budget) = there.find_map(|it| it.pay(rental, activity, amount)) {
                return budget;
            }
            if self.own_allocations.on(platform).is_none()
                && let Some(budget) = earlier.iter().find(|it| *it.platform == **platform)
            {
                // The daemon says what it lacks.
                return budget.id.clone();
            }
        }
        self.own_allocations
            .of(rental)
            .allocation
            .allocation_id
            .clone()
    }

    /// From which address a platform is paid; `None` where there is no budget on it.
    fn payer_on(&self, platform: &str) -> Option<String> {
        let own = self.own_allocations.on(platform);
        let own = own.map(|own| own.allocation.address.clone());
        own.or_else(|| {
            let earlier = self.earlier();
            let there = earlier.iter().find(|it| it.platform == platform);
            there.map(|budget| budget.payer.clone())
        })
    }

    fn apply(&self, rental: &Rental, event: Event) -> Vec<Effect> {
        let effects = rental.document(event);
        self.changed.send_replace(());
        effects
    }

    /// Documents that came and are not accepted.
    pub(crate) fn debts(&self, rentals: &[Arc<Rental>]) -> Vec<OpenDocument> {
        let debt = |rental: &Arc<Rental>| match rental.invoice() {
            InvoiceState::Accepting { id, amount } | InvoiceState::Refused { id, amount, .. } => {
                Some(document(rental, &id, amount))
            }
            InvoiceState::None | InvoiceState::Accepted { .. } => None,
        };
        rentals.iter().filter_map(debt).collect()
    }

    /// An invoice was accepted: the driver is to settle it.
    fn expect_settlement(&self, rental: &Rental, id: &InvoiceId, amount: Glm) {
        let mut unsettled = self.lock_unsettled();
        let payee = rental.provider_id.clone();
        unsettled.insert(id.clone(), (payee, document(rental, id, amount)));
        if unsettled.len() > MAX_UNSETTLED {
            unsettled.shift_remove_index(0);
        }
    }

    fn settled(&self, id: &InvoiceId) {
        self.lock_unsettled().shift_remove(id);
    }

    /// Accepted invoices that are not known to be settled: those that are to be, and those that the daemon never
    /// settles, since all together they do not come to enough for their provider.
    pub(crate) fn unsettled(&self) -> (Vec<OpenDocument>, Vec<OpenDocument>) {
        let least = self.context.config().payment.min_settled;
        let unsettled = self.lock_unsettled();
        let mut sums: IndexMap<&NodeId, Glm> = IndexMap::new();
        for (payee, document) in unsettled.values() {
            let sum = sums.entry(payee).or_insert(Glm::ZERO);
            *sum = *sum + document.amount;
        }
        let is_below = |payee| !least.is_zero() && sums.get(payee).is_some_and(|sum| *sum <= least);
        let (below, due): (Vec<_>, Vec<_>) =
            unsettled.values().partition(|(payee, _)| is_below(payee));
        let documents = |of: Vec<&(NodeId, OpenDocument)>| {
            let documents = of.into_iter().map(|(_, document)| document.clone());
            documents.collect()
        };
        (documents(due), documents(below))
    }

    /// Wakes when something happened to a document.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

fn document(rental: &Rental, id: &InvoiceId, amount: Glm) -> OpenDocument {
    OpenDocument {
        agreement_id: rental.agreement_id.clone(),
        provider_name: rental.provider_name.clone(),
        document: DocumentId::Invoice(id.clone()),
        amount,
    }
}
