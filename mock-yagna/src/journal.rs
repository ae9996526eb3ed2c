//! The journal of a simulated network: everything that happened, in order, for reports and for the
//! proof that two runs with one seed are equal.
//!
//! Owns the entries and their order, and how they are told (`story`). Each noun adds the events it
//! records to [`Event`] (`event`).

mod event;
mod story;

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use event::Event;
pub(crate) use story::counted;

use story::Line;

/// Where the story is told: the target of its log lines.
pub const STORY: &str = "mock_yagna::story";

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The renting side, by the name of its app key.
    Requestor(String),
    /// A provider, by name.
    Provider(String),
    /// The daemon itself.
    Daemon,
    /// Whoever directs the network: a scenario's timeline.
    Scenario,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Requestor(name) => write!(f, "requestor {name}"),
            Actor::Provider(name) => write!(f, "provider {name}"),
            Actor::Daemon => f.write_str("daemon"),
            Actor::Scenario => f.write_str("scenario"),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Position, from 0 without gaps.
    pub seq: u64,
    /// Calendar time of the network.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// All entries so far.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
}

impl Journal {
    /// The entries from number `seq` on.
    pub fn since(&self, seq: u64) -> &[Entry] {
        let from = usize::try_from(seq).unwrap_or(usize::MAX);
        self.entries.get(from..).unwrap_or_default()
    }

    /// Writes an entry down, and tells it as a line of the story.
    pub(crate) fn push(&mut self, at: Timestamp, actor: Actor, event: Event) {
        let line = Line {
            at,
            actor: &actor,
            event: &event,
        };
        tracing::info!(target: STORY, "{line}");
        let seq = self.entries.len() as u64;
        self.entries.push(Entry {
            seq,
            at,
            actor,
            event,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_flat_object() {
        let entry = Entry {
            seq: 3,
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Provider("bob".into()),
            event: Event::ProviderOnline { online: true },
        };
        assert_eq!(
            serde_json::to_string(&entry).expect("JSON"),
            r#"{"seq":3,"at":"1970-01-01T00:00:00Z","actor":"provider bob","event":"provider_online","online":true}"#
        );
    }
}
