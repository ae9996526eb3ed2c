//! Who waits for what: the topics of long polls, their words, and waking them.
//!
//! Does not own: the polls themselves (`world`).

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::sync::Notify;

/// What a long poll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Lifting faults.
    Faults,
    /// Offers of the market.
    Offers,
    /// Events of one demand.
    Demand(golem_wire::DemandId),
    /// Approval of one agreement.
    Agreement(golem_wire::AgreementId),
    /// Agreement events of one identity.
    AgreementEvents(golem_wire::NodeId),
    /// State of one activity.
    Activity(golem_wire::ActivityId),
    /// Results of one batch.
    Batch(golem_wire::BatchId),
    /// Invoice events of one identity.
    InvoiceEvents(golem_wire::NodeId),
    /// Debit-note events of one identity.
    DebitNoteEvents(golem_wire::NodeId),
    /// Frames for one gsb service.
    Gsb(String),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Faults => f.write_str("the end of a fault"),
            Topic::Offers => f.write_str("offers of the market"),
            Topic::Demand(id) => write!(f, "events of demand {id}"),
            Topic::Agreement(id) => write!(f, "the approval of agreement {id}"),
            Topic::AgreementEvents(node) => write!(f, "agreement events of {node}"),
            Topic::Activity(id) => write!(f, "the state of activity {id}"),
            Topic::Batch(id) => write!(f, "results of batch {id}"),
            Topic::InvoiceEvents(node) => write!(f, "invoice events of {node}"),
            Topic::DebitNoteEvents(node) => write!(f, "debit-note events of {node}"),
            Topic::Gsb(what) => write!(f, "gsb: {what}"),
        }
    }
}

/// The topics that somebody waits for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topics {
    waiting: IndexMap<Topic, Arc<Notify>>,
}

impl Topics {
    /// Wakes the long polls on `topic`.
    pub(crate) fn wake(&self, topic: &Topic) {
        if let Some(notify) = self.waiting.get(topic) {
            notify.notify_waiters();
        }
    }

    /// Begins to wait for `topic`.
    pub(crate) fn watch(&mut self, topic: &Topic) -> Arc<Notify> {
        self.waiting.entry(topic.clone()).or_default().clone()
    }

    /// Gives up waiting for `topic`.
    pub(crate) fn unwatch(&mut self, topic: &Topic, notify: &Arc<Notify>) {
        // The map's handle and the caller's: no other waiter is left.
        if Arc::strong_count(notify) <= 2 {
            self.waiting.swap_remove(topic);
        }
    }

    /// What is waited for, and by how many.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Topic, usize)> {
        // Beside the map's own handle each waiter has one.
        let waiters = |notify: &Arc<Notify>| Arc::strong_count(notify) - 1;
        self.waiting
            .iter()
            .map(move |(topic, notify)| (topic, waiters(notify)))
    }

    /// How many topics somebody waits for.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
