//! Which entries are on the disk. Owns: that one sync serves all who wait for theirs. Does not own: the
//! entries (`journal.rs`), the disk ([`GroupCommit`]).

use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::{GroupCommit, JournalError};

/// How long entries that nobody waits for may wait for company.
const IDLE: Duration = Duration::from_millis(100);

/// How far a journal is on the disk, in entries since it was opened.
#[derive(Default)]
pub(super) struct Group {
    /// Whoever holds it syncs; those who come meanwhile find out afterwards whether theirs was among it.
    synced: Mutex<u64>,
    wake: Notify,
}

impl Group {
    /// An entry was written.
    pub(super) fn note(&self) {
        self.wake.notify_one();
    }

    /// Waits until something was written, and a while longer: where a sync is cheap, for those who are about to write.
    pub(super) async fn written(&self, is_cheap: bool) {
        self.wake.notified().await;
        if is_cheap {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(IDLE).await;
        }
    }

    /// Returns once the first `wanted` entries are on the disk; `written` tells how many there are.
    pub(super) async fn sync_to(
        &self,
        wanted: u64,
        written: impl Fn() -> u64,
        disk: &dyn GroupCommit,
    ) -> Result<(), JournalError> {
        let mut synced = self.synced.lock().await;
        if *synced >= wanted {
            return Ok(());
        }
        // Whoever is about to write something comes along: they wait for the lock then, and find it done.
        tokio::task::yield_now().await;
        let all = written();
        disk.sync()?;
        *synced = all;
        Ok(())
    }
}
