//! The daemon's event feeds, each followed by one loop. Owns: reading on from where an earlier run got
//! to ([`cursor`]), the order of stamps, and pauses when the feed cannot be read. Does not own: what
//! an event means (`market/`, `payment/`).

mod cursor;

use std::time::Duration;

use golem_wire::market::AgreementEvent;
use golem_wire::payment::{DebitNoteEvent, InvoiceEvent};
use jiff::Timestamp;
use tokio::time::Instant;

pub(crate) use cursor::InFlight;

use crate::api::{ApiError, Page};
use crate::journal::{Feed, Log};
use crate::retry::{Backoff, Pace};
use crate::rng::Seed;
use cursor::Cursor;

/// An event of a feed.
pub(crate) trait Stamped {
    /// When it happened; strictly increasing within a feed.
    fn stamp(&self) -> Timestamp;
}

macro_rules! stamped {
    ($($event:ty),+) => {$(
        impl Stamped for $event {
            fn stamp(&self) -> Timestamp {
                self.event_date
            }
        }
    )+};
}

stamped!(AgreementEvent, DebitNoteEvent, InvoiceEvent);

/// Follows one feed.
pub(crate) struct Follower {
    feed: Feed,
    cursor: Cursor,
    backoff: Backoff,
    wait: Duration,
}

impl Follower {
    /// Reads `feed` on from where the runs of this journal got to; each question waits up to `wait`
    /// for something to happen.
    pub(crate) fn new(feed: Feed, log: &Log, seed: &Seed, wait: Duration) -> Self {
        Follower {
            feed,
            cursor: Cursor::new(log, feed),
            backoff: Backoff::new(seed, name(feed)),
            wait,
        }
    }

    /// Runs until its task is cancelled. `read` asks for the events after a stamp; `take` deals with
    /// one event, in the feed's order, and holds the next ones back until it returns. It may go on
    /// beside them: the feed counts as read up to the first event that is not
    /// [`done`](InFlight::done).
    pub(crate) async fn run<E, R, T>(
        mut self,
        mut read: impl FnMut(Option<Timestamp>, Duration) -> R,
        mut take: impl FnMut(E, InFlight) -> T,
    ) where
        E: Stamped,
        R: Future<Output = Result<Page<E>, ApiError>>,
        T: Future<Output = ()>,
    {
        let mut after = self.cursor.start();
        loop {
            let started = Instant::now();
            match read(after, self.wait).await {
                Ok(page) => {
                    // A page of nothing but nonsense that cannot be read on behind comes at once, again and again.
                    let nothing = page.events.is_empty() && after >= page.passed_over;
                    let pace = Pace::of(nothing, started, self.wait);
                    after = after.max(page.passed_over);
                    self.cursor.page_came();
                    for event in page.events {
                        let stamp = event.stamp();
                        // A feed that goes back must not move us back.
                        after = after.max(Some(stamp));
                        take(event, self.cursor.begin(stamp)).await;
                    }
                    self.cursor.page_taken();
                    self.backoff.keep(pace).await;
                }
                Err(error) => {
                    let feed = name(self.feed);
                    if error.is_retryable() {
                        // A daemon that is away is told of once for all.
                        tracing::debug!(feed, %error, "events cannot be read; trying again");
                    } else {
                        tracing::warn!(feed, %error, "events cannot be read; trying again");
                    }
                    self.backoff.pause().await;
                }
            }
        }
    }
}

fn name(feed: Feed) -> &'static str {
    match feed {
        Feed::Agreements => "agreement-events",
        Feed::Invoices => "invoice-events",
        Feed::DebitNotes => "debit-note-events",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use super::*;
    use crate::api::ApiErrorKind;
    use crate::clock::SystemClock;
    use crate::journal::MemoryJournal;

    /// An event that is nothing but its stamp.
    struct Tick(i64);

    impl Stamped for Tick {
        fn stamp(&self) -> Timestamp {
            Timestamp::from_second(self.0).expect("literal")
        }
    }

    fn log(journal: &MemoryJournal) -> Log {
        Log::open(Box::new(journal.clone()), Arc::new(SystemClock)).expect("readable")
    }

    /// Follows a feed that gives these answers and then waits for ever; what it was asked for, and
    /// what was taken.
    async fn follow(
        log: &Log,
        answers: Vec<Result<Vec<i64>, ApiError>>,
        undone: i64,
    ) -> (Vec<Option<i64>>, Vec<i64>) {
        let answers = RefCell::new(answers.into_iter());
        let (asked, taken) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let follower = Follower::new(
            Feed::Invoices,
            log,
            &Seed::from_u64(1),
            Duration::from_secs(10),
        );
        let run = follower.run(
            |after, _| {
                asked.borrow_mut().push(after.map(Timestamp::as_second));
                let answer = answers.borrow_mut().next();
                async move {
                    let Some(answer) = answer else {
                        return std::future::pending().await;
                    };
                    // What is below zero makes no sense.
                    answer.map(|stamps| {
                        let (ticks, nonsense): (Vec<_>, Vec<_>) =
                            stamps.into_iter().partition(|it| *it >= 0);
                        Page {
                            events: ticks.into_iter().map(Tick).collect(),
                            passed_over: nonsense.into_iter().map(|it| Tick(-it).stamp()).max(),
                        }
                    })
                }
            },
            |Tick(at), in_flight| {
                taken.borrow_mut().push(at);
                if at != undone {
                    in_flight.done();
                }
                std::future::ready(())
            },
        );
        let ended = tokio::time::timeout(Duration::from_secs(3600), run).await;
        assert!(ended.is_err(), "it runs until it is cancelled");
        (asked.into_inner(), taken.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_read_on_after_its_latest_stamp_and_never_goes_back() {
        let journal = MemoryJournal::new();
        let answers = vec![Ok(vec![1, 3]), Ok(vec![2]), Ok(vec![])];
        let (asked, taken) = follow(&log(&journal), answers, 0).await;
        assert_eq!(asked, [None, Some(3), Some(3), Some(3)]);
        assert_eq!(taken, [1, 3, 2]);
        let (asked, _) = follow(&log(&journal), vec![], 0).await;
        assert_eq!(asked, [Some(3)], "the next run reads on");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_dealt_with_is_read_again_by_the_next_run() {
        let journal = MemoryJournal::new();
        follow(&log(&journal), vec![Ok(vec![1, 2, 3])], 2).await;
        let (asked, _) = follow(&log(&journal), vec![], 0).await;
        assert_eq!(asked, [Some(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_read_on_behind_events_that_make_no_sense() {
        let answers = vec![Ok(vec![1, -2]), Ok(vec![-5, 4, 6, -7]), Ok(vec![-3])];
        let (asked, taken) = follow(&log(&MemoryJournal::new()), answers, 0).await;
        assert_eq!(asked, [None, Some(2), Some(7), Some(7)]);
        assert_eq!(taken, [1, 4, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_cannot_be_read_is_asked_for_the_same_again() {
        let kind = ApiErrorKind::Broken {
            reason: "gone".into(),
        };
        let broken = || Err(ApiError::new("getInvoiceEvents", "/", kind.clone()));
        let answers = vec![Ok(vec![5]), broken(), broken(), Ok(vec![6])];
        let (asked, taken) = follow(&log(&MemoryJournal::new()), answers, 0).await;
        assert_eq!(asked, [None, Some(5), Some(5), Some(5), Some(6)]);
        assert_eq!(taken, [5, 6]);
    }
}
