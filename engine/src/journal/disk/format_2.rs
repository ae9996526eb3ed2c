//! Snapshots of formats 1 and 2: the fold of that time as it was, maps by id. Read, and not written.

use std::collections::BTreeMap;

use golem_wire::{ActivityId, AgreementId, AllocationId, DemandId, Glm};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;

use super::super::change::{Change, Feed, InstanceRecord};
use super::super::open_state::{OpenState, Owner};
use super::{Activity, Agreement, Budget, Demand, Invoice, Request, Snapshot};

#[derive(Deserialize)]
pub(super) struct Format2 {
    book: Box<Book>,
}

impl From<Format2> for OpenState {
    fn from(snapshot: Format2) -> Self {
        (*snapshot.book).into()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Book {
    next_op: u64,
    first_op: u64,
    owner: Option<Owner>,
    unresolved: BTreeMap<u64, RequestOf2>,
    allocations: IndexMap<AllocationId, BudgetOf2>,
    demands: IndexMap<DemandId, String>,
    agreements: IndexMap<AgreementId, AgreementOf2>,
    services: Vec<String>,
    instances: BTreeMap<String, InstanceRecord>,
    cursors: BTreeMap<Feed, Timestamp>,
    stopped: bool,
}

#[derive(Deserialize)]
struct RequestOf2 {
    change: Change,
    at: Timestamp,
}

#[derive(Deserialize)]
struct BudgetOf2 {
    total: Glm,
    timeout: Timestamp,
}

#[derive(Deserialize)]
struct AgreementOf2 {
    created: Timestamp,
    confirmed: bool,
    ended: Option<Timestamp>,
    activities: IndexMap<ActivityId, LifetimeOf2>,
    invoice: Option<Invoice>,
}

#[derive(Deserialize)]
struct LifetimeOf2 {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl From<Book> for OpenState {
    fn from(book: Book) -> Self {
        let requests = book.unresolved.into_iter();
        let requests = requests.map(|(op, RequestOf2 { change, at })| Request { op, at, change });
        let allocations = book.allocations.into_iter();
        let allocations = allocations.map(|(id, BudgetOf2 { total, timeout })| Budget {
            id,
            total,
            timeout,
            exhausted: false,
            by_hand: false,
        });
        let demands = book.demands.into_iter();
        let agreements = book.agreements.into_iter().map(|(id, before)| {
            let lives = before.activities.into_iter();
            let activities = lives.map(|(id, LifetimeOf2 { from, to })| Activity { id, from, to });
            Agreement {
                id,
                since: before.created,
                confirmed: before.confirmed,
                ended: before.ended,
                activities: activities.collect(),
                invoice: before.invoice,
            }
        });
        Snapshot {
            next_op: book.next_op,
            first_op: book.first_op,
            owner: book.owner,
            requests: requests.collect(),
            allocations: allocations.collect(),
            demands: demands.map(|(id, job)| Demand { id, job }).collect(),
            agreements: agreements.collect(),
            services: book.services,
            networks: Vec::new(),
            instances: book.instances.into_values().collect(),
            cursors: book.cursors.into_iter().collect(),
            stopped: book.stopped,
        }
        .into()
    }
}
