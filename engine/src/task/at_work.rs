//! Tasks that are being done now, for whoever looks on. Owns: the list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use golem_wire::NodeId;
use indexmap::IndexMap;
use tokio::time::Instant;

use crate::market::Rental;

/// A task that is being done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningTask {
    /// Position in the input, from 0.
    pub index: usize,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// Who does it.
    pub provider_name: String,
    /// Node id of who does it.
    pub provider_id: NodeId,
    began: Instant,
}

impl RunningTask {
    /// How long this attempt has been going on, by the runtime's clock.
    pub fn running_time(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Tasks that are being done, by their index: as many as there are workers at the most.
#[derive(Debug, Default)]
pub(super) struct AtWork(Mutex<IndexMap<usize, RunningTask>>);

/// One of them, until this is dropped.
pub(super) struct Doing {
    at_work: Arc<AtWork>,
    index: usize,
}

impl AtWork {
    fn lock(&self) -> MutexGuard<'_, IndexMap<usize, RunningTask>> {
        // Every statement leaves the list consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<RunningTask> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn begin(self: &Arc<Self>, (index, attempt): (usize, u32), by: &Rental) -> Doing {
        let running = RunningTask {
            index,
            attempt,
            provider_name: by.provider_name.clone(),
            provider_id: by.provider_id.clone(),
            began: Instant::now(),
        };
        self.lock().insert(index, running);
        Doing {
            at_work: Arc::clone(self),
            index,
        }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.at_work.lock().shift_remove(&self.index);
    }
}
