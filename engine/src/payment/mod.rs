//! Paying: the allocation, and the documents of our agreements. Owns: the accounts of all
//! agreements. The rules are in [`lifecycle::payment`](crate::lifecycle::payment).

mod allocation;
mod documents;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::payment::{Allocation, DemandDecoration};
use golem_wire::{AgreementId, Glm};
use indexmap::IndexMap;
use tokio::sync::{Semaphore, watch};

pub(crate) use allocation::{keep_alive, release, reserve};
pub(crate) use documents::{follow_debit_notes, follow_invoices};

use crate::api::ApiError;
use crate::golem::Core;
use crate::lifecycle::payment::{Account, Effect, Event, InvoiceState};

/// What the engine owes and paid.
pub(crate) struct Payments {
    allocation: Allocation,
    accounts: Mutex<IndexMap<AgreementId, Account>>,
    /// Counts changes, for those who wait for invoices.
    changed: watch::Sender<u64>,
    /// Documents accepted at the same time.
    gate: Arc<Semaphore>,
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
            accounts: Mutex::default(),
            changed: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(concurrent.max(1))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, IndexMap<AgreementId, Account>> {
        // An account is replaced in one statement.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget as the daemon keeps it.
    pub(crate) fn allocation(&self) -> Allocation {
        self.allocation.clone()
    }

    /// What the allocation adds to a demand.
    pub(crate) async fn decorations(&self, core: &Core) -> Result<DemandDecoration, ApiError> {
        let mut backoff = crate::retry::Backoff::new(core.seed().fork("decorations"));
        let id = &self.allocation.allocation_id;
        backoff
            .read(5, || core.rest().payment().decorations(id))
            .await
    }

    fn apply(&self, id: &AgreementId, event: Event) -> Vec<Effect> {
        let effects = {
            let mut accounts = self.lock();
            let account = accounts.entry(id.clone()).or_default();
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
            .get(id)
            .map_or(InvoiceState::None, |account| account.invoice().clone())
    }

    /// What was accepted for an agreement.
    pub(crate) fn accepted(&self, id: &AgreementId) -> Glm {
        self.lock().get(id).map_or(Glm::ZERO, Account::accepted)
    }

    /// Wakes when an account changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn totals(&self) -> Totals {
        let accounts = self.lock();
        Totals {
            invoices_accepted: accounts
                .values()
                .filter(|account| matches!(account.invoice(), InvoiceState::Accepted { .. }))
                .count() as u64,
            accepted: accounts.values().map(Account::accepted).sum(),
        }
    }
}
