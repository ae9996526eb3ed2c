//! Events of invoices and debit notes, as their recipient polls them.
//!
//! One log per recipient, in strictly increasing order of time, so that a page is found by a binary
//! search. Limits count what a reader sees; the daemon counts before it filters, a defect that is
//! not copied.

use golem_wire::NodeId;
use golem_wire::payment::Rejection;
use indexmap::IndexMap;
use jiff::Timestamp;

/// What happened to a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EventKind {
    Received,
    Accepted,
    Rejected(Rejection),
    Cancelled,
    Settled,
}

/// The words by which a reader asks for kinds of events (header `X-Requestor-Events`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventWord {
    Received,
    Accepted,
    Rejected,
    Cancelled,
    Settled,
}

impl EventWord {
    /// What a requestor gets without asking.
    pub(crate) const USUAL: [EventWord; 2] = [EventWord::Received, EventWord::Cancelled];

    pub(crate) fn parse(word: &str) -> Option<EventWord> {
        match word.trim().to_ascii_uppercase().as_str() {
            "RECEIVED" => Some(EventWord::Received),
            "ACCEPTED" => Some(EventWord::Accepted),
            "REJECTED" => Some(EventWord::Rejected),
            "CANCELLED" => Some(EventWord::Cancelled),
            "SETTLED" => Some(EventWord::Settled),
            _ => None,
        }
    }
}

impl EventKind {
    pub(crate) fn word(&self) -> EventWord {
        match self {
            EventKind::Received => EventWord::Received,
            EventKind::Accepted => EventWord::Accepted,
            EventKind::Rejected(_) => EventWord::Rejected,
            EventKind::Cancelled => EventWord::Cancelled,
            EventKind::Settled => EventWord::Settled,
        }
    }

    /// `Received`, `Accepted`, …: the middle of the event's type name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            EventKind::Received => "Received",
            EventKind::Accepted => "Accepted",
            EventKind::Rejected(_) => "Rejected",
            EventKind::Cancelled => "Cancelled",
            EventKind::Settled => "Settled",
        }
    }
}

/// One event of one document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DocumentEvent<Id> {
    pub(crate) id: Id,
    pub(crate) at: Timestamp,
    /// The agreement's app session.
    pub(crate) session: Option<String>,
    pub(crate) kind: EventKind,
}

/// Which events a reader wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    /// Strictly later than this.
    pub(crate) after: Option<Timestamp>,
    /// Not more than this many.
    pub(crate) max: Option<usize>,
    /// Of this app session.
    pub(crate) session: Option<String>,
    /// Of these kinds.
    pub(crate) words: Vec<EventWord>,
}

/// The events of one kind of document, by recipient.
#[derive(Clone, Debug)]
pub(crate) struct EventLog<Id> {
    by_recipient: IndexMap<NodeId, Vec<DocumentEvent<Id>>>,
}

impl<Id> Default for EventLog<Id> {
    fn default() -> Self {
        EventLog {
            by_recipient: IndexMap::new(),
        }
    }
}

impl<Id: Clone> EventLog<Id> {
    /// Appends; `event.at` is later than every earlier event's.
    pub(crate) fn push(&mut self, recipient: &NodeId, event: DocumentEvent<Id>) {
        match self.by_recipient.get_mut(recipient) {
            Some(events) => events.push(event),
            None => {
                self.by_recipient.insert(recipient.clone(), vec![event]);
            }
        }
    }

    /// Forgets the events of documents that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&Id) -> bool) {
        for events in self.by_recipient.values_mut() {
            events.retain(|event| keep(&event.id));
            events.shrink_to(2 * events.len());
        }
    }

    /// What `filter` selects of `recipient`'s events, oldest first.
    pub(crate) fn page(&self, recipient: &NodeId, filter: &EventFilter) -> Vec<DocumentEvent<Id>> {
        let events = self
            .by_recipient
            .get(recipient)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let from = match filter.after {
            Some(after) => events.partition_point(|event| event.at <= after),
            None => 0,
        };
        let wanted = |event: &&DocumentEvent<Id>| {
            filter.words.contains(&event.kind.word())
                && filter
                    .session
                    .as_ref()
                    .is_none_or(|s| event.session.as_ref() == Some(s))
        };
        let limit = filter.max.unwrap_or(usize::MAX);
        events
            .get(from..)
            .unwrap_or_default()
            .iter()
            .filter(wanted)
            .take(limit)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_page_is_what_time_kind_session_and_limit_leave() {
        let mut log = EventLog::<u32>::default();
        let me = NodeId::new("0x1");
        let kinds = [
            EventKind::Received,
            EventKind::Accepted,
            EventKind::Received,
            EventKind::Settled,
        ];
        for (n, kind) in (1u32..).zip(kinds) {
            let session = (n != 3).then(|| "s".to_owned());
            log.push(
                &me,
                DocumentEvent {
                    id: n,
                    at: at(i64::from(n)),
                    session,
                    kind,
                },
            );
        }
        let all = vec![EventWord::Received, EventWord::Accepted, EventWord::Settled];
        let usual = EventWord::USUAL.to_vec();
        let table = [
            (None, None, None, all.clone(), vec![1, 2, 3, 4]),
            (None, None, None, usual.clone(), vec![1, 3]),
            (Some(at(1)), None, None, all.clone(), vec![2, 3, 4]),
            (Some(at(4)), None, None, all.clone(), vec![]),
            (None, Some(2), None, all.clone(), vec![1, 2]),
            (None, Some(0), None, all.clone(), vec![]),
            (Some(at(1)), Some(1), None, usual.clone(), vec![3]),
            (None, None, Some("s"), all.clone(), vec![1, 2, 4]),
            (None, None, Some("other"), all, vec![]),
        ];
        for (after, max, session, words, expected) in table {
            let filter = EventFilter {
                after,
                max,
                session: session.map(str::to_owned),
                words,
            };
            let ids: Vec<_> = log
                .page(&me, &filter)
                .iter()
                .map(|event| event.id)
                .collect();
            assert_eq!(ids, expected, "{filter:?}");
        }
        let filter = EventFilter {
            words: usual,
            ..EventFilter::default()
        };
        assert!(
            log.page(&NodeId::new("0x2"), &filter).is_empty(),
            "events are private"
        );
    }
}
