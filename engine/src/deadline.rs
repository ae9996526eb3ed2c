//! Deadlines. Owns: adding a time that users chose to an instant or a date, so that "no limit"
//! (`Duration::MAX`) is one that nobody lives to see. Nothing else in the engine adds a setting to
//! the present.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a longer time amounts to, thirty years: so much can be added to any present, and anybody to
/// whom a date is told (the daemon, providers) can read it.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The instant a time after another.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time.min(LONGEST)).unwrap_or(start)
}

/// The instant a time from now.
pub(crate) fn within(time: Duration) -> Instant {
    after(Instant::now(), time)
}

/// The date a time after another; the calendar's last one at the most.
pub(crate) fn date_after(start: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time.min(LONGEST)).unwrap_or_default();
    start.saturating_add(time).unwrap_or(Timestamp::MAX)
}

/// Something was not done before its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// What `work` comes to, unless it is not done by then. A timer is made only where it is not done at once, as most
/// answers of a daemon in the same process are, and all but the first piece of others.
///
/// # Errors
/// [`Late`].
///
/// # Cancel safety
/// As `work` is.
pub(crate) fn before<F: Future + Unpin>(
    deadline: Instant,
    mut work: F,
) -> impl Future<Output = Result<F::Output, Late>> {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |context| {
        if let Poll::Ready(done) = work.poll_unpin(context) {
            return Poll::Ready(Ok(done));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.poll_unpin(context).map(|()| Err(Late))
    })
}

/// When a job ends, as users say it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiration {
    /// So long after its start.
    After(Duration),
    /// Then, by the daemon's clock.
    At(Timestamp),
}

impl Expiration {
    /// How long it is until then; an error with the date if it has passed.
    pub(crate) fn left(self, now: Timestamp) -> Result<Duration, Timestamp> {
        match self {
            Expiration::After(time) => Ok(time),
            Expiration::At(at) => match Duration::try_from(at.duration_since(now)) {
                Ok(left) if !left.is_zero() => Ok(left),
                _ => Err(at),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_waited_for_until_its_deadline_and_not_longer() {
        let begin = Instant::now();
        let lasting = |seconds| Box::pin(tokio::time::sleep(Duration::from_secs(seconds)));
        let deadline = begin + Duration::from_secs(5);
        assert_eq!(before(deadline, lasting(3)).await, Ok(()));
        assert_eq!(begin.elapsed().as_secs(), 3);
        assert_eq!(before(deadline, lasting(3)).await, Err(Late));
        assert_eq!(begin.elapsed().as_secs(), 5);
        // What is done already is in time at any time.
        let done = std::future::ready("done");
        assert_eq!(before(begin, done).await, Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn any_time_gives_a_deadline_that_can_be_waited_for_and_added_to() {
        let now = Instant::now();
        let far = within(Duration::MAX);
        assert_eq!(far, now + LONGEST);
        assert_eq!(after(far, Duration::MAX), now + LONGEST * 2);
        assert_eq!(within(Duration::ZERO), now);
        let minute = Duration::from_secs(60);
        let waiting = tokio::time::timeout(minute, tokio::time::sleep_until(far));
        assert!(waiting.await.is_err());
    }

    #[test]
    fn no_date_is_behind_the_end_of_the_calendar() {
        let now = Timestamp::from_second(1_800_000_000).expect("literal");
        let years = |from, to: Timestamp| to.duration_since(from).as_hours() / (24 * 365);
        assert_eq!(years(now, date_after(now, Duration::MAX)), 30);
        assert_eq!(date_after(Timestamp::MAX, Duration::MAX), Timestamp::MAX);
    }
}
