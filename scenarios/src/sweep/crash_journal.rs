//! The engine's journal as one run of the engine sees it: entries of all runs in one place, and a
//! switch that may end the writing before or after any of them.

use golem_engine::journal::{Entry, Journal, JournalError, MemoryJournal};

use super::crash_switch::{CrashSwitch, Passage};

/// A journal that writes as long as its switch lets it.
pub(super) struct CrashJournal {
    kept: MemoryJournal,
    switch: CrashSwitch,
}

impl CrashJournal {
    pub(super) fn new(kept: MemoryJournal, switch: CrashSwitch) -> CrashJournal {
        CrashJournal { kept, switch }
    }

    /// Lets a write pass as far as the switch does.
    fn pass(&self, write: impl FnOnce() -> Result<(), JournalError>) -> Result<(), JournalError> {
        match self.switch.write() {
            Passage::Free | Passage::Fault(_) => write(),
            Passage::Cut => Err(cut()),
            Passage::Last => {
                let written = write();
                self.switch.cut();
                written
            }
        }
    }
}

fn cut() -> JournalError {
    JournalError::Storage {
        action: "written",
        reason: "this run of the engine is over".into(),
    }
}

impl Journal for CrashJournal {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.kept.load()
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.pass(|| self.kept.append(entry))
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        self.pass(|| self.kept.compact(snapshot))
    }
}

impl Drop for CrashJournal {
    fn drop(&mut self) {
        self.switch.released().cancel();
    }
}
