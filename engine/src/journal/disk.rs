//! Records as they lie on disk: their JSON, in the format of today and in those before it.
//! Owns: types of its own for a snapshot, so that what the engine folds entries into may change
//! without the files. Does not own: tables and checksums (`schema.rs`), the steps of a migration
//! (`migrate.rs`).
//!
//! | format | a snapshot is |
//! |---|---|
//! | 1, 2 | the fold of that time under `book`: maps by id |
//! | 3 | lists under `open`, in the order in which things were opened |
//! | 4, 5 | the same with `networks` |
//!
//! Intents, outcomes and facts are alike in all of them; those about virtual networks came with format 4.

#[cfg(feature = "sqlite")]
mod format_2;

use std::borrow::Cow;

use golem_wire::{ActivityId, AgreementId, AllocationId, DemandId, Glm, InvoiceId, NetworkId};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::change::{Change, Fact, Feed, InstanceRecord, NetworkRecord, Outcome, is_false};
use super::entry::Record;
use super::open_state::{AllocationEntry, OpenState, Owner, RunsOn};
use super::requests::Unresolved;
use crate::agreement_record::{AgreementRecord, Lifetime};

/// Records are written in the format of today, wherever an implementation of
/// [`Journal`](super::Journal) keeps them.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = match self {
            Record::Intent { op, change } => Row::Intent {
                op: *op,
                change: Cow::Borrowed(change),
            },
            Record::Outcome { op, outcome } => Row::Outcome {
                op: *op,
                outcome: Cow::Borrowed(outcome),
            },
            Record::Fact { fact } => Row::Fact {
                fact: Cow::Borrowed(fact),
            },
            Record::Snapshot { open_state } => {
                let open = Box::new(Snapshot::from((**open_state).clone()));
                Row::Snapshot(Lists { open })
            }
        };
        row.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Row::<'static, Lists>::deserialize(deserializer).map(Record::from)
    }
}

/// The record of a row in a file of this format.
///
/// # Errors
/// What is wrong with the text.
#[cfg(feature = "sqlite")]
pub(super) fn from_text(format: u32, text: &str) -> serde_json::Result<Record> {
    Ok(if format < 3 {
        serde_json::from_str::<Row<'static, format_2::Format2>>(text)?.into()
    } else {
        serde_json::from_str(text)?
    })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Row<'a, S> {
    Intent { op: u64, change: Cow<'a, Change> },
    Outcome { op: u64, outcome: Cow<'a, Outcome> },
    Fact { fact: Cow<'a, Fact> },
    Snapshot(S),
}

#[derive(Serialize, Deserialize)]
struct Lists {
    open: Box<Snapshot>,
}

impl<S: Into<OpenState>> From<Row<'_, S>> for Record {
    fn from(row: Row<'_, S>) -> Self {
        match row {
            Row::Intent { op, change } => Record::Intent {
                op,
                change: change.into_owned(),
            },
            Row::Outcome { op, outcome } => Record::Outcome {
                op,
                outcome: outcome.into_owned(),
            },
            Row::Fact { fact } => Record::Fact {
                fact: fact.into_owned(),
            },
            Row::Snapshot(snapshot) => Record::Snapshot {
                open_state: Box::new(snapshot.into()),
            },
        }
    }
}

impl From<Lists> for OpenState {
    fn from(snapshot: Lists) -> Self {
        (*snapshot.open).into()
    }
}

/// What was open. Members that a reader does not know are left out by it, those that are missing are
/// empty.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Snapshot {
    next_op: u64,
    first_op: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    requests: Vec<Request>,
    allocations: Vec<Budget>,
    demands: Vec<Demand>,
    agreements: Vec<Agreement>,
    services: Vec<String>,
    networks: Vec<Network>,
    instances: Vec<InstanceRecord>,
    cursors: Vec<(Feed, Timestamp)>,
    stopped: bool,
}

#[derive(Serialize, Deserialize)]
struct Network {
    id: NetworkId,
    #[serde(flatten)]
    record: NetworkRecord,
}

/// A request of unknown outcome.
#[derive(Serialize, Deserialize)]
struct Request {
    op: u64,
    at: Timestamp,
    change: Change,
}

#[derive(Serialize, Deserialize)]
struct Budget {
    id: AllocationId,
    total: Glm,
    timeout: Timestamp,
    #[serde(default, skip_serializing_if = "is_false")]
    exhausted: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    by_hand: bool,
}

#[derive(Serialize, Deserialize)]
struct Demand {
    id: DemandId,
    job: String,
}

#[derive(Serialize, Deserialize)]
struct Agreement {
    id: AgreementId,
    since: Timestamp,
    confirmed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    activities: Vec<Activity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invoice: Option<Invoice>,
}

#[derive(Serialize, Deserialize)]
struct Activity {
    id: ActivityId,
    from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Invoice {
    id: InvoiceId,
    amount: Glm,
    accepted: bool,
}

impl From<OpenState> for Snapshot {
    fn from(open: OpenState) -> Self {
        let requests = open.unresolved.into_iter();
        let requests = requests.map(|(op, Unresolved { change, at })| Request { op, at, change });
        let allocations = open.allocations.into_iter();
        let allocations = allocations.map(|(id, entry)| Budget {
            id,
            total: entry.total,
            timeout: entry.timeout,
            exhausted: entry.exhausted,
            by_hand: entry.by_hand,
        });
        let demands = open.demands.into_iter();
        let agreements = open.agreements.into_iter().map(|(id, record)| {
            let lives = record.activities.into_iter();
            let activities = lives.map(|(id, Lifetime { from, to })| Activity { id, from, to });
            let invoice = record.documents.journaled();
            Agreement {
                id,
                since: record.since,
                confirmed: record.confirmed,
                ended: record.ended,
                activities: activities.collect(),
                invoice: invoice.map(|(id, amount, accepted)| Invoice {
                    id,
                    amount,
                    accepted,
                }),
            }
        });
        let networks = open.networks.into_iter();
        Snapshot {
            next_op: open.next_op,
            first_op: open.first_op,
            owner: open.owner,
            requests: requests.collect(),
            allocations: allocations.collect(),
            demands: demands.map(|(id, job)| Demand { id, job }).collect(),
            agreements: agreements.collect(),
            services: open.services,
            networks: networks
                .map(|(id, record)| Network { id, record })
                .collect(),
            instances: open.instances.into_values().collect(),
            cursors: open.cursors.into_iter().collect(),
            stopped: open.stopped,
        }
    }
}

impl From<Snapshot> for OpenState {
    fn from(disk: Snapshot) -> Self {
        let requests = disk.requests.into_iter();
        let requests = requests.map(|Request { op, at, change }| (op, Unresolved { change, at }));
        let allocations = disk.allocations.into_iter();
        let allocations = allocations.map(|budget| {
            let entry = AllocationEntry {
                total: budget.total,
                timeout: budget.timeout,
                exhausted: budget.exhausted,
                by_hand: budget.by_hand,
            };
            (budget.id, entry)
        });
        let demands = disk.demands.into_iter();
        let agreements = disk.agreements.into_iter().map(|agreement| {
            let lives = agreement.activities.into_iter();
            let lives = lives.map(|Activity { id, from, to }| (id, Lifetime { from, to }));
            let mut record = AgreementRecord::created(agreement.since);
            record.confirmed = agreement.confirmed;
            record.ended = agreement.ended;
            record.activities = lives.collect();
            if let Some(Invoice {
                id,
                amount,
                accepted,
            }) = agreement.invoice
            {
                record.documents.journal_invoice(id, amount, accepted);
            }
            (agreement.id, record)
        });
        let instances = disk.instances.into_iter();
        let networks = disk.networks.into_iter();
        OpenState {
            next_op: disk.next_op,
            first_op: disk.first_op,
            owner: disk.owner,
            unresolved: requests.collect(),
            allocations: allocations.collect(),
            demands: demands.map(|Demand { id, job }| (id, job)).collect(),
            agreements: agreements.collect(),
            services: disk.services,
            networks: networks
                .map(|Network { id, record }| (id, record))
                .collect(),
            instances: instances.map(|it| (it.name(), it)).collect(),
            cursors: disk.cursors.into_iter().collect(),
            stopped: disk.stopped,
            runs_on: RunsOn::default(),
        }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        let at = Timestamp::from_second(1_780_000_000).expect("literal");
        let mut open = OpenState {
            next_op: 7,
            ..OpenState::default()
        };
        let change = Change::Terminate {
            agreement: "a".into(),
        };
        open.unresolved.insert(6, Unresolved { change, at });
        for (id, accepted) in [("b", true), ("a", false)] {
            let mut record = AgreementRecord::created(at);
            record.activity_created("x".into(), at);
            record.end(at);
            let amount = Glm::from(1);
            record
                .documents
                .journal_invoice("i".into(), amount, accepted);
            open.agreements.insert(id.into(), record);
        }
        let network = NetworkRecord {
            address: "192.168.0.0/24".into(),
            gateway: None,
            name: Some("n".into()),
        };
        open.networks.insert("0123".into(), network);
        let open_state = Box::new(open);
        let record = Record::Snapshot { open_state };
        let text = serde_json::to_string(&record).expect("written");
        assert_eq!(from_text(4, &text).expect("read"), record);
        assert!(from_text(2, &text).is_err(), "the formats are told apart");
    }
}
