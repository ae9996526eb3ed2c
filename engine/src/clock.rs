//! Calendar time. Owns: the one place that reads the system's clock, and what is done when it differs
//! from the daemon's. Elapsed time and timers are tokio's, which a paused runtime controls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp, Unit};
use serde::Serialize;

/// Tells the calendar time; the stage replaces it to live in virtual time.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The computer's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others are told to use"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How far two clocks may differ that count as equal: answers take their time, and providers are given
/// more than that (`market/signing.rs`).
const TOLERANCE: SignedDuration = SignedDuration::from_secs(20);

/// A clock that goes by the daemon's: the one of this computer, corrected by how far it is off, as far as
/// answers tell. Dates of demands, agreements and budgets are judged by the daemon and by providers.
pub(crate) struct DaemonClock {
    own: Arc<dyn Clock>,
    /// How far ours is ahead, in milliseconds; 0 while they count as equal.
    ahead: AtomicI64,
}

impl DaemonClock {
    pub(crate) fn new(own: Arc<dyn Clock>) -> Self {
        DaemonClock {
            own,
            ahead: AtomicI64::new(0),
        }
    }

    /// The computer's clock, as it is.
    pub(crate) fn own(&self) -> Timestamp {
        self.own.now()
    }

    /// An answer to a request of `sent`, by the computer's clock, was made at `date` by the daemon's. Tells
    /// the difference when it is another than before.
    pub(crate) fn heard(&self, sent: Timestamp, date: Timestamp) -> Option<ClockDifference> {
        let received = self.own.now();
        if received.duration_since(sent) > TOLERANCE {
            // Our clock was set meanwhile, or the computer slept.
            return None;
        }
        // The daemon tells whole seconds.
        let ahead = received.duration_since(date) - SignedDuration::from_millis(500);
        let ahead = if ahead.abs() <= TOLERANCE {
            SignedDuration::ZERO
        } else {
            ahead
        };
        let millis = i64::try_from(ahead.as_millis()).unwrap_or_default();
        let before = self.ahead.swap(millis, Ordering::Relaxed);
        let change = SignedDuration::from_millis(millis.saturating_sub(before));
        (change.abs() > TOLERANCE).then(|| ClockDifference::of(millis))
    }

    /// How far the computer's clock is off, if it is.
    pub(crate) fn difference(&self) -> Option<ClockDifference> {
        let millis = self.ahead.load(Ordering::Relaxed);
        (millis != 0).then(|| ClockDifference::of(millis))
    }
}

impl Clock for DaemonClock {
    fn now(&self) -> Timestamp {
        let now = self.own.now();
        match self.ahead.load(Ordering::Relaxed) {
            0 => now,
            millis => {
                let ahead = SignedDuration::from_millis(millis);
                now.saturating_sub(ahead).unwrap_or(now)
            }
        }
    }
}

impl fmt::Debug for DaemonClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaemonClock")
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}

/// How far the computer's clock and the daemon's differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClockDifference {
    /// Seconds by which the computer's is ahead; negative when it is behind, 0 when they agree again.
    pub ahead_secs: i64,
}

impl ClockDifference {
    fn of(millis: i64) -> Self {
        ClockDifference {
            ahead_secs: SignedDuration::from_millis(millis).as_secs(),
        }
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ahead_secs == 0 {
            return f.write_str("this computer's clock and the daemon's agree");
        }
        let by = SignedDuration::from_secs(self.ahead_secs);
        let way = if by.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        // Answers take their time, so seconds of many minutes tell nothing.
        let by = match by.abs() {
            long if long > SignedDuration::from_mins(10) => {
                long.round(Unit::Minute).unwrap_or(long)
            }
            short => short,
        };
        write!(f, "this computer's clock is {by:#} {way} the daemon's")
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(AtomicI64);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).expect("a date")
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a date")
    }

    #[test]
    fn a_clock_that_is_off_is_corrected_and_told_of_once() {
        let own = Arc::new(Fixed(AtomicI64::new(100_000)));
        let clock = DaemonClock::new(Arc::clone(&own) as Arc<dyn Clock>);
        assert_eq!(clock.heard(at(100_000), at(99_999)), None);
        assert_eq!(clock.now(), at(100_000));

        let told = clock.heard(at(99_999), at(107_200)).expect("told");
        assert_eq!(
            told.to_string(),
            "this computer's clock is 2h behind the daemon's"
        );
        assert_eq!(clock.now().as_second(), 107_200);
        assert_eq!(clock.heard(at(99_999), at(107_200)), None);
        assert_eq!(clock.difference(), Some(told));

        // It is set right while we look: the next answers tell.
        own.0.store(107_300, Ordering::Relaxed);
        assert_eq!(clock.heard(at(100_050), at(107_299)), None);
        let told = clock.heard(at(107_299), at(107_299)).expect("told");
        assert_eq!(told.ahead_secs, 0);
        assert_eq!(clock.now(), at(107_300));
        assert_eq!(clock.difference(), None);
    }

    #[test]
    fn a_clock_that_is_ahead_is_so_in_words() {
        let difference = ClockDifference {
            ahead_secs: 26 * 3600,
        };
        let words = difference.to_string();
        assert_eq!(words, "this computer's clock is 26h ahead of the daemon's");
    }
}
