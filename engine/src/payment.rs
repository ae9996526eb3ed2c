//! Paying: the allocation, and the documents of our agreements. Owns: the accounts of all
//! agreements. The rules are in [`lifecycle::payment`](crate::lifecycle::payment).

mod acceptance;
mod allocation;
mod documents;
mod feed_cursor;
mod feeds;
mod previous_run;
mod reconcile;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::payment::{Allocation, DemandDecoration};
use golem_wire::{AgreementId, AllocationId, Glm, InvoiceId};
use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

pub(crate) use allocation::{Budgets, begin, keep_alive, release, release_previous_budgets};
pub(crate) use feed_cursor::FeedCursor;
pub(crate) use feeds::{follow_debit_notes, follow_invoices};
pub(crate) use previous_run::{PreviousBudget, is_accepted, take_up};
pub(crate) use reconcile::{catch_up, settlement, try_again};

use crate::OpenDocument;
use crate::api::ApiError;
use crate::context::Context;
use crate::lifecycle::payment::{Account, Effect, Event, InvoiceState};
use crate::market::Rental;

/// Accepted invoices that are watched for settlement, the latest ones.
const MAX_UNSETTLED: usize = 10_000;

/// What the engine owes and paid.
pub(crate) struct Payments {
    allocation: Allocation,
    /// Budgets of earlier lives, for their debts.
    earlier: Mutex<Vec<PreviousBudget>>,
    accounts: Mutex<Accounts>,
    /// Counts changes, for those who wait for invoices.
    changed: watch::Sender<u64>,
    /// Documents accepted at the same time.
    gate: Arc<Semaphore>,
}

#[derive(Default)]
struct Accounts {
    open: IndexMap<AgreementId, Account>,
    /// What accounts that are forgotten came to.
    closed: Totals,
    /// Accepted, and not known to be settled.
    unsettled: IndexMap<InvoiceId, OpenDocument>,
}

/// Money, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) invoices_accepted: u64,
    pub(crate) accepted: Glm,
}

impl Payments {
    pub(crate) fn new(allocation: Allocation, concurrent: usize) -> Self {
        Payments {
            allocation,
            earlier: Mutex::default(),
            accounts: Mutex::default(),
            changed: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(concurrent.max(1))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        // An account is replaced in one statement.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget as the daemon keeps it.
    pub(crate) fn allocation(&self) -> Allocation {
        self.allocation.clone()
    }

    fn earlier(&self) -> MutexGuard<'_, Vec<PreviousBudget>> {
        // Every statement leaves the list consistent.
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Debts of earlier lives may use these budgets.
    pub(crate) fn add_previous_budgets(&self, budgets: impl IntoIterator<Item = PreviousBudget>) {
        self.earlier().extend(budgets);
    }

    /// The budgets of earlier lives, which nobody uses from now on.
    pub(crate) fn take_previous_budgets(&self) -> Vec<PreviousBudget> {
        std::mem::take(&mut *self.earlier())
    }

    /// The budget that a document is paid from: that of the life which owes it, as far as it goes.
    fn budget_for(&self, rental: &Rental, amount: Glm, now: Timestamp) -> AllocationId {
        if rental.is_restored() {
            let mut earlier = self.earlier();
            let fits = |budget: &&mut PreviousBudget| {
                budget.left >= amount && budget.timeout.is_none_or(|timeout| timeout > now)
            };
            if let Some(budget) = earlier.iter_mut().find(fits) {
                budget.left = budget.left - amount;
                return budget.id.clone();
            }
        }
        self.allocation.allocation_id.clone()
    }

    /// What the allocation adds to a demand.
    pub(crate) async fn decorations(
        &self,
        context: &Context,
    ) -> Result<DemandDecoration, ApiError> {
        let mut backoff = crate::retry::Backoff::new(context.seed().fork("decorations"));
        let id = &self.allocation.allocation_id;
        context
            .insist(&mut backoff, 5, || context.rest().payment().decorations(id))
            .await
    }

    fn apply(&self, id: &AgreementId, event: Event) -> Vec<Effect> {
        let effects = {
            let mut accounts = self.lock();
            let account = accounts.open.entry(id.clone()).or_default();
            let (next, effects) = std::mem::take(account).step(event);
            *account = next;
            effects
        };
        self.changed.send_modify(|count| *count += 1);
        effects
    }

    /// How far the invoice of an agreement is.
    pub(crate) fn invoice(&self, id: &AgreementId) -> InvoiceState {
        self.lock()
            .open
            .get(id)
            .map_or(InvoiceState::None, |account| account.invoice().clone())
    }

    /// What was accepted for an agreement.
    pub(crate) fn accepted(&self, id: &AgreementId) -> Glm {
        self.lock()
            .open
            .get(id)
            .map_or(Glm::ZERO, Account::accepted)
    }

    /// Whether the invoice of an agreement is accepted.
    pub(crate) fn is_paid(&self, id: &AgreementId) -> bool {
        let accounts = self.lock();
        let invoice = accounts.open.get(id).map(Account::invoice);
        matches!(invoice, Some(InvoiceState::Accepted { .. }))
    }

    /// Nothing more comes of an agreement: only its totals stay.
    pub(crate) fn forget(&self, id: &AgreementId) {
        let mut accounts = self.lock();
        if let Some(account) = accounts.open.shift_remove(id) {
            accounts.closed.add(&account);
        }
    }

    /// How many agreements have an account.
    pub(crate) fn known(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether the invoice of an agreement is owed, and only its acceptance failed, or is not known
    /// to have worked.
    pub(crate) fn may_be_paid_later(&self, id: &AgreementId) -> bool {
        matches!(
            self.invoice(id),
            InvoiceState::Accepting { .. } | InvoiceState::Refused { passing: true, .. }
        )
    }

    /// Whether the acceptance of an invoice failed and may work later.
    pub(crate) fn any_failed(&self) -> bool {
        let accounts = self.lock();
        let mut invoices = accounts.open.values().map(Account::invoice);
        invoices.any(|it| matches!(it, InvoiceState::Refused { passing: true, .. }))
    }

    /// Documents that came and are not accepted.
    pub(crate) fn debts(&self, rentals: &[Arc<Rental>]) -> Vec<OpenDocument> {
        let debt = |rental: &Arc<Rental>| match self.invoice(&rental.agreement_id) {
            InvoiceState::Accepting { id, amount } | InvoiceState::Refused { id, amount, .. } => {
                Some(document(rental, &id, amount))
            }
            InvoiceState::None | InvoiceState::Accepted { .. } => None,
        };
        rentals.iter().filter_map(debt).collect()
    }

    /// An invoice was accepted: the driver is to settle it.
    fn expect_settlement(&self, rental: &Rental, id: &InvoiceId, amount: Glm) {
        let mut accounts = self.lock();
        let document = document(rental, id, amount);
        accounts.unsettled.insert(id.clone(), document);
        if accounts.unsettled.len() > MAX_UNSETTLED {
            accounts.unsettled.shift_remove_index(0);
        }
    }

    fn settled(&self, id: &InvoiceId) {
        self.lock().unsettled.shift_remove(id);
    }

    /// Accepted invoices that are not known to be settled.
    pub(crate) fn unsettled(&self) -> Vec<OpenDocument> {
        self.lock().unsettled.values().cloned().collect()
    }

    /// Wakes when an account changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn totals(&self) -> Totals {
        let accounts = self.lock();
        let mut totals = accounts.closed;
        for account in accounts.open.values() {
            totals.add(account);
        }
        totals
    }
}

impl Totals {
    fn add(&mut self, account: &Account) {
        let accepted = matches!(account.invoice(), InvoiceState::Accepted { .. });
        self.invoices_accepted += u64::from(accepted);
        self.accepted = self.accepted + account.accepted();
    }
}

fn document(rental: &Rental, id: &InvoiceId, amount: Glm) -> OpenDocument {
    OpenDocument {
        agreement_id: rental.agreement_id.clone(),
        provider_name: rental.provider_name.clone(),
        document: format!("invoice {id}"),
        amount,
    }
}
