//! All agreements of an engine: those in force, and those that could not be ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::AgreementId;
use indexmap::IndexMap;

use super::{AgreementEnd, Rental};

/// An agreement that the engine could not bring to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOpen {
    pub(crate) agreement_id: AgreementId,
    pub(crate) provider_name: String,
    pub(crate) reason: String,
}

/// Agreements by id.
#[derive(Default)]
pub(crate) struct Rentals {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    slots: IndexMap<AgreementId, Slot>,
    left_open: IndexMap<AgreementId, LeftOpen>,
}

enum Slot {
    /// Being signed; an end that was heard of before the approval.
    Expected(Option<AgreementEnd>),
    Live(Arc<Rental>),
}

impl Rentals {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the maps consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of this agreement are ours from now on.
    pub(super) fn expect(&self, id: &AgreementId) {
        self.lock().slots.insert(id.clone(), Slot::Expected(None));
    }

    /// The agreement came to nothing.
    pub(super) fn forget(&self, id: &AgreementId) {
        self.lock().slots.shift_remove(id);
    }

    /// The agreement is in force; returns an end that was heard of before.
    pub(super) fn insert(&self, rental: Arc<Rental>) -> Option<AgreementEnd> {
        let id = rental.agreement_id.clone();
        match self.lock().slots.insert(id, Slot::Live(rental)) {
            Some(Slot::Expected(end)) => end,
            _ => None,
        }
    }

    /// Hands an end from the event feed to the agreement it belongs to, if that is ours.
    pub(super) fn ended(&self, id: &AgreementId, end: AgreementEnd) {
        let rental = match self.lock().slots.get_mut(id) {
            Some(Slot::Live(rental)) => Arc::clone(rental),
            Some(Slot::Expected(early)) => {
                early.get_or_insert(end);
                return;
            }
            None => return,
        };
        rental.heard_end(end);
    }

    /// The agreement, if it is or was ours.
    pub(crate) fn get(&self, id: &AgreementId) -> Option<Arc<Rental>> {
        match self.lock().slots.get(id) {
            Some(Slot::Live(rental)) => Some(Arc::clone(rental)),
            _ => None,
        }
    }

    /// All that were ever in force, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Rental>> {
        let inner = self.lock();
        inner
            .slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Live(rental) => Some(Arc::clone(rental)),
                Slot::Expected(_) => None,
            })
            .collect()
    }

    pub(super) fn leave_open(&self, open: LeftOpen) {
        self.lock()
            .left_open
            .insert(open.agreement_id.clone(), open);
    }

    pub(super) fn not_open(&self, id: &AgreementId) {
        self.lock().left_open.shift_remove(id);
    }

    /// Agreements that could not be ended.
    pub(crate) fn left_open(&self) -> Vec<LeftOpen> {
        self.lock().left_open.values().cloned().collect()
    }

    /// Drops everything, so that the engine's parts no longer hold each other.
    pub(crate) fn clear(&self) {
        let slots = std::mem::take(&mut self.lock().slots);
        drop(slots);
    }
}
