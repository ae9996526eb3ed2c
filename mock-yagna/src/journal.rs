//! The journal of a simulated network: everything that happened, in order, for reports and for the
//! proof that two runs with one seed are equal.
//!
//! Owns the entries and their order, and how they are told (`story`, `folded`). Each noun adds the events it
//! records to [`Event`] (`event`).

mod event;
mod folded;
mod story;

use std::fmt;

use golem_wire::Glm;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use event::Event;
pub use folded::FoldedStory;
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

/// An entry as a line that a person can read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    seq: u64,
    line: String,
}

impl Entry {
    /// The entry as the log tells it.
    pub(crate) fn told(&self) -> Told {
        let line = Line {
            at: self.at,
            actor: &self.actor,
            event: &self.event,
        };
        Told {
            seq: self.seq,
            line: line.to_string(),
        }
    }
}

/// What the entries amount to, those that are forgotten included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Agreements approved.
    pub(crate) agreements: usize,
    /// Activities created.
    pub(crate) activities: usize,
    /// Invoices issued, and their sum.
    pub(crate) invoices: usize,
    pub(crate) invoiced: Glm,
    /// Invoices settled, and their sum.
    pub(crate) settled: usize,
    pub(crate) paid: Glm,
}

/// All entries so far, but those that nobody needs any more.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    /// How many are forgotten.
    forgotten: u64,
    totals: Totals,
}

impl Journal {
    /// The entries from number `seq` on, as far as they are kept.
    pub fn since(&self, seq: u64) -> &[Entry] {
        let from = usize::try_from(seq.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        self.entries.get(from..).unwrap_or_default()
    }

    /// How many entries there were so far: the number of the next one.
    pub(crate) fn length(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// Forgets the entries before number `seq`.
    pub(crate) fn forget(&mut self, seq: u64) {
        let count = usize::try_from(seq.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        let count = count.min(self.entries.len());
        self.entries.drain(..count);
        self.forgotten += count as u64;
    }

    /// What happened so far, in numbers.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Writes an entry down, and tells it as a line of the story.
    pub(crate) fn push(&mut self, at: Timestamp, actor: Actor, event: Event) {
        let line = Line {
            at,
            actor: &actor,
            event: &event,
        };
        tracing::info!(target: STORY, "{line}");
        self.totals.count(&event);
        let seq = self.length();
        self.entries.push(Entry {
            seq,
            at,
            actor,
            event,
        });
    }
}

impl Totals {
    fn count(&mut self, event: &Event) {
        match event {
            Event::AgreementApproved { .. } => self.agreements += 1,
            Event::ActivityCreated { .. } => self.activities += 1,
            Event::InvoiceIssued { amount, .. } => {
                self.invoices += 1;
                self.invoiced = self.invoiced + *amount;
            }
            Event::InvoiceSettled { amount, .. } => {
                self.settled += 1;
                self.paid = self.paid + *amount;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_keeps_its_numbers_and_counts() {
        let mut journal = Journal::default();
        let push = |times: usize, journal: &mut Journal| {
            for _ in 0..times {
                let event = Event::AgreementApproved {
                    agreement: "a".into(),
                };
                journal.push(Timestamp::UNIX_EPOCH, Actor::Daemon, event);
            }
        };
        push(5, &mut journal);
        journal.forget(3);
        push(1, &mut journal);
        let numbers = |from| {
            journal
                .since(from)
                .iter()
                .map(|e| e.seq)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(0), [3, 4, 5]);
        assert_eq!(numbers(4), [4, 5]);
        assert_eq!(numbers(9), [0; 0]);
        assert_eq!(journal.totals().agreements, 6);
        journal.forget(2);
        journal.forget(100);
        assert!(journal.since(0).is_empty());
        push(1, &mut journal);
        assert_eq!(journal.since(0)[0].seq, 6);
    }

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
