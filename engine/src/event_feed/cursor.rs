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
    events: Arc<Mutex<Events>>,
}

#[derive(Default)]
struct Events {
    /// Their times, oldest first, and whether each is dealt with.
    slots: VecDeque<Slot>,
    /// More of the same page are about to be dealt with: how far it came is told once, behind the last of them.
    is_amid_page: bool,
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
    events: Arc<Mutex<Events>>,
    number: u64,
}

fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    // Every statement leaves the queue consistent.
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes down how far the feed is dealt with, if that is further than before.
fn tell(log: &Log, feed: Feed, events: &Mutex<Events>) {
    let mut reached = None;
    {
        let mut events = lock(events);
        if events.is_amid_page {
            return;
        }
        while let Some(first) = events.slots.front()
            && first.done
        {
            reached = reached.max(Some(first.at));
            events.slots.pop_front();
        }
    }
    if let Some(after) = reached {
        log.fact(Fact::Cursor { feed, after });
    }
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

    /// The events that follow came together; up to [`page_taken`](Self::page_taken) nothing is written down.
    pub(crate) fn page_came(&self) {
        lock(&self.events).is_amid_page = true;
    }

    /// All events of the page are dealt with, or under way.
    pub(crate) fn page_taken(&self) {
        lock(&self.events).is_amid_page = false;
        tell(&self.log, self.feed, &self.events);
    }

    /// An event is about to be dealt with; in the feed's order.
    pub(crate) fn begin(&self, at: Timestamp) -> InFlight {
        let slots = &mut lock(&self.events).slots;
        let number = slots.back().map_or(0, |last| last.number + 1);
        slots.push_back(Slot {
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
        {
            let slots = &mut lock(&self.events).slots;
            if let Some(slot) = slots.iter_mut().find(|slot| slot.number == self.number) {
                slot.done = true;
            }
        }
        tell(&self.log, self.feed, &self.events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::journal::{Journal, MemoryJournal};

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

    #[test]
    fn what_comes_in_one_page_is_written_down_once() {
        let journal = MemoryJournal::new();
        let log = Log::open(Box::new(journal.clone()), Arc::new(SystemClock)).expect("readable");
        let cursor = Cursor::new(&log, Feed::Agreements);
        let at = |second| Timestamp::from_second(second).expect("literal");
        cursor.page_came();
        for second in 1..=100 {
            cursor.begin(at(second)).done();
        }
        let late = cursor.begin(at(101));
        assert_eq!(cursor.start(), None, "the page is not over");
        cursor.page_taken();
        assert_eq!(cursor.start(), Some(at(100)));
        late.done();
        assert_eq!(cursor.start(), Some(at(101)), "what took longer");
        cursor.page_came();
        cursor.page_taken();
        assert_eq!(
            journal.load().expect("memory").len(),
            2,
            "nothing came with the last"
        );
    }
}
