//! What users opened by the daemon's own operations (`low_level/`): as long as it may be open, so that stopping
//! ends it as well. Owns: the list. Does not own: ending it (`shutdown/`), what outlives the engine (the journal).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use golem_wire::payment::NewAllocation;
use golem_wire::{AgreementId, AllocationId, Glm, NetworkId};
use indexmap::{IndexMap, IndexSet};
use jiff::Timestamp;

/// Things of each kind that are remembered; of more, the journal and the daemon's lists know.
const MAX: usize = 10_000;

/// Opened by hand, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) agreements: IndexSet<AgreementId>,
    pub(crate) allocations: IndexSet<AllocationId>,
    pub(crate) networks: IndexSet<NetworkId>,
    pub(crate) services: IndexSet<String>,
}

/// An allocation that was asked for: by this it is known from others, although its answer was lost or named a second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) total: Glm,
    /// As good as a name; without one there is none.
    pub(crate) timeout: Option<Timestamp>,
    /// Which the answer named.
    pub(crate) made: Option<AllocationId>,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct ByHand {
    opened: Mutex<Opened>,
    asked: Mutex<IndexMap<u64, Asked>>,
    numbers: AtomicU64,
}

impl ByHand {
    fn lock(&self) -> MutexGuard<'_, Opened> {
        // Every statement leaves it consistent.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that may be open.
    pub(crate) fn opened(&self) -> Opened {
        self.lock().clone()
    }

    /// A number that nothing else of this engine has, for names.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn agreement_made(&self, id: &AgreementId) {
        add(&mut self.lock().agreements, id.clone());
    }

    /// Whether it was made by hand.
    pub(crate) fn signed(&self, id: &AgreementId) -> bool {
        self.lock().agreements.contains(id)
    }

    /// Nothing more can come of it.
    pub(crate) fn agreement_closed(&self, id: &AgreementId) {
        self.lock().agreements.shift_remove(id);
    }

    fn lock_asked(&self) -> MutexGuard<'_, IndexMap<u64, Asked>> {
        // Every statement leaves it consistent.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allocations that were asked for and not refused, released ones included: the daemon may have made two of one.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock_asked().values().cloned().collect()
    }

    /// One is about to be asked for; `number` is [its own](Self::number).
    pub(crate) fn allocation_asked(&self, number: u64, wanted: &NewAllocation) {
        let mut asked = self.lock_asked();
        let new = Asked {
            total: wanted.total_amount,
            timeout: wanted.timeout,
            made: None,
        };
        asked.insert(number, new);
        if asked.len() > MAX {
            asked.shift_remove_index(0);
        }
    }

    /// It was not made.
    pub(crate) fn allocation_refused(&self, number: u64) {
        self.lock_asked().shift_remove(&number);
    }

    /// It was made, and this is it.
    pub(crate) fn allocation_made(&self, number: u64, id: &AllocationId) {
        if let Some(asked) = self.lock_asked().get_mut(&number) {
            asked.made = Some(id.clone());
        }
        add(&mut self.lock().allocations, id.clone());
    }

    /// It is gone, or somebody else's from now on; whether it was here.
    pub(crate) fn allocation_gone(&self, id: &AllocationId) -> bool {
        self.lock().allocations.shift_remove(id)
    }

    pub(crate) fn network_made(&self, id: &NetworkId) {
        add(&mut self.lock().networks, id.clone());
    }

    pub(crate) fn network_gone(&self, id: &NetworkId) {
        self.lock().networks.shift_remove(id);
    }

    pub(crate) fn service_bound(&self, id: &str) {
        add(&mut self.lock().services, id.to_owned());
    }

    pub(crate) fn service_gone(&self, id: &str) {
        self.lock().services.shift_remove(id);
    }
}

fn add<T: Eq + std::hash::Hash>(to: &mut IndexSet<T>, id: T) {
    to.insert(id);
    if to.len() > MAX {
        to.shift_remove_index(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_remembered_until_it_is_gone_and_without_growing() {
        let by_hand = ByHand::default();
        let number = by_hand.number();
        by_hand.allocation_asked(number, &NewAllocation::new(Glm::from(1)));
        by_hand.allocation_made(number, &"a".into());
        assert!(by_hand.allocation_gone(&"a".into()));
        assert!(!by_hand.allocation_gone(&"a".into()));
        assert_eq!(by_hand.opened(), Opened::default());
        for number in 0..MAX + 5 {
            by_hand.service_bound(&number.to_string());
            let wanted = NewAllocation::new(Glm::from(2));
            by_hand.allocation_asked(by_hand.number(), &wanted);
        }
        let asked = by_hand.asked();
        assert!(asked.len() == MAX && asked.iter().all(|it| it.total == Glm::from(2)));
        let opened = by_hand.opened();
        assert_eq!(opened.services.len(), MAX);
        assert_eq!(opened.services.first().map(String::as_str), Some("5"));
        assert_ne!(by_hand.number(), by_hand.number());
    }
}
