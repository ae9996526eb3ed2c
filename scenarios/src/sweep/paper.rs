//! The engine's journal as one life sees it: entries of all lives in one place, and a line that may
//! be cut before or after any of them.

use golem_engine::journal::{Entry, Journal, JournalError, MemoryJournal};

use super::line::{Line, Passage};

/// A journal behind a line.
pub(super) struct Paper {
    kept: MemoryJournal,
    line: Line,
}

impl Paper {
    pub(super) fn new(kept: MemoryJournal, line: Line) -> Paper {
        Paper { kept, line }
    }

    /// Lets a write pass as far as the line does.
    fn pass(&self, write: impl FnOnce() -> Result<(), JournalError>) -> Result<(), JournalError> {
        match self.line.write() {
            Passage::Free | Passage::Mishap(_) => write(),
            Passage::Cut => Err(cut()),
            Passage::Last => {
                let written = write();
                self.line.cut();
                written
            }
        }
    }
}

fn cut() -> JournalError {
    JournalError::Storage {
        action: "written",
        reason: "this life of the engine is over".into(),
    }
}

impl Journal for Paper {
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

impl Drop for Paper {
    fn drop(&mut self) {
        self.line.released().cancel();
    }
}
