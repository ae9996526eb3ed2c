//! A journal in memory: it outlives an engine, not a process. For tests; an engine that is given none keeps none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, Journal, JournalError};

/// Entries in memory. Clones share them, so that a later engine continues where one ended.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal(Arc<Mutex<Vec<Entry>>>);

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // Every statement leaves the list consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Journal for MemoryJournal {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        Ok(self.lock().clone())
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.lock().push(entry.clone());
        Ok(())
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        *self.lock() = vec![snapshot.clone()];
        Ok(())
    }
}
