//! How far a feed was dealt with, when its events are dealt with side by side: up to the first that
//! is still under way. Owns: writing that into the journal, so that a later life reads on from there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::journal::{Fact, Feed, Log};

/// One feed.
pub(crate) struct Cursor {
    log: Log,
    feed: Feed,
    /// Times of events, oldest first, and whether each is dealt with.
    events: Arc<Mutex<VecDeque<Slot>>>,
}

struct Slot {
    at: Timestamp,
    done: bool,
    number: u64,
}

/// An event under way; dropped without [`done`](Self::done), it holds the feed back.
pub(crate) struct InFlight {
    log: Log,
    feed: Feed,
    events: Arc<Mutex<VecDeque<Slot>>>,
    number: u64,
}

fn lock(events: &Mutex<VecDeque<Slot>>) -> MutexGuard<'_, VecDeque<Slot>> {
    // Every statement leaves the queue consistent.
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cursor {
    /// The feed of a journal.
    pub(crate) fn new(log: &Log, feed: Feed) -> Self {
        Cursor {
            log: log.clone(),
            feed,
            events: Arc::default(),
        }
    }

    /// Up to when earlier lives dealt with it.
    pub(crate) fn start(&self) -> Option<Timestamp> {
        self.log
            .read(|open_state| open_state.cursors.get(&self.feed).copied())
    }

    /// An event is about to be dealt with; in the feed's order.
    pub(crate) fn begin(&self, at: Timestamp) -> InFlight {
        let mut events = lock(&self.events);
        let number = events.back().map_or(0, |last| last.number + 1);
        events.push_back(Slot {
            at,
            done: false,
            number,
        });
        InFlight {
            log: self.log.clone(),
            feed: self.feed,
            events: Arc::clone(&self.events),
            number,
        }
    }
}

impl InFlight {
    /// It is dealt with.
    pub(crate) fn done(self) {
        let mut reached = None;
        {
            let mut events = lock(&self.events);
            if let Some(slot) = events.iter_mut().find(|slot| slot.number == self.number) {
                slot.done = true;
            }
            while let Some(first) = events.front()
                && first.done
            {
                reached = reached.max(Some(first.at));
                events.pop_front();
            }
        }
        if let Some(after) = reached {
            let feed = self.feed;
            self.log.fact(Fact::Cursor { feed, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::journal::MemoryJournal;

    #[test]
    fn a_feed_is_read_on_from_the_first_event_that_is_not_dealt_with() {
        let journal = Box::new(MemoryJournal::new());
        let log = Log::open(journal, Arc::new(SystemClock)).expect("readable");
        let cursor = Cursor::new(&log, Feed::Invoices);
        let at = |second| Timestamp::from_second(second).expect("literal");
        assert_eq!(cursor.start(), None);
        let (first, second, third) = (
            cursor.begin(at(1)),
            cursor.begin(at(2)),
            cursor.begin(at(3)),
        );
        second.done();
        assert_eq!(cursor.start(), None);
        first.done();
        assert_eq!(cursor.start(), Some(at(2)));
        drop(third);
        cursor.begin(at(4)).done();
        assert_eq!(
            cursor.start(),
            Some(at(2)),
            "the third was never dealt with"
        );
    }
}
