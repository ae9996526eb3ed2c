//! One line of a journal. Owns: what an entry is, and folding entries into what they leave open. Does
//! not own: what each of them changes (`open_state.rs`), its text (`disk.rs`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::{Change, Fact, Outcome};
use super::open_state::OpenState;

/// Version of the format of files.
pub const FORMAT: u32 = 5;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, on the engine's clock.
    pub at: Timestamp,
    /// What.
    pub record: Record,
}

/// What an entry records. Serialises as in a file of format [`FORMAT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A request is about to be sent.
    Intent {
        /// Number of the request; rises by one, never used twice in a journal.
        op: u64,
        /// What it changes.
        change: Change,
    },
    /// The request with this number ended.
    Outcome {
        /// Number of the request.
        op: u64,
        /// How.
        outcome: Outcome,
    },
    /// Something that was learned otherwise.
    Fact {
        /// What.
        fact: Fact,
    },
    /// Everything before this entry, in short.
    Snapshot {
        /// What was open.
        open_state: Box<OpenState>,
    },
}

impl OpenState {
    /// What these entries leave open.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut open_state = OpenState::default();
        for entry in entries {
            open_state.apply(entry);
        }
        open_state
    }

    /// Takes the next entry in. An entry that fits nothing known changes nothing.
    pub fn apply(&mut self, entry: &Entry) {
        self.take_in(entry.clone());
    }

    /// Takes the next entry in, of which parts are kept.
    pub(super) fn take_in(&mut self, Entry { at, record }: Entry) {
        match record {
            Record::Snapshot { open_state } => *self = *open_state,
            Record::Intent { op, change } => self.announced(op, change, at),
            Record::Outcome { op, outcome } => self.ended(op, &outcome, at),
            Record::Fact { fact } => self.learn(fact, at),
        }
    }
}
