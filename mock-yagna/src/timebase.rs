//! The one clock of the simulated network: calendar time as an epoch plus tokio's elapsed time.
//!
//! Under a paused tokio clock the whole network lives in virtual time; on a socket it is real.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Maps tokio's instants to calendar time.
#[derive(Clone, Copy, Debug)]
pub struct Timebase {
    epoch: Timestamp,
    start: Instant,
}

impl Timebase {
    /// The latest epoch, the beginning of year 9800: the calendar ends with year 9999, and some dates lie
    /// a century after the present.
    pub const LATEST: Timestamp = Timestamp::constant(247_090_953_600, 0);

    /// Calendar time is `epoch` now, [`LATEST`](Self::LATEST) at the most, and advances with tokio's
    /// clock.
    ///
    /// # Panics
    /// Outside a tokio runtime when its clock is paused.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Timebase {
            epoch: epoch.min(Self::LATEST),
            start: Instant::now(),
        }
    }

    /// Calendar time is the machine's: for a mock on a real socket.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn wall_clock() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// Calendar time now; the calendar's last moment once it is over.
    pub fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.start.elapsed()).unwrap_or(SignedDuration::MAX);
        self.epoch.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    /// The instant at which the calendar shows `at`; the past maps to the start.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let since = at.duration_since(self.epoch);
        self.start + Duration::try_from(since).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_epoch_and_no_time_leads_out_of_the_calendar() {
        assert_eq!(Timebase::LATEST.to_string(), "9800-01-01T00:00:00Z");
        let timebase = Timebase::starting_at(Timestamp::MAX);
        assert_eq!(timebase.now(), Timebase::LATEST);
        let late = timebase.instant(Timestamp::MAX);
        let centuries = Duration::from_secs(400 * 366 * 24 * 3600);
        tokio::time::advance(centuries).await;
        assert!(Instant::now() > late);
        assert_eq!(timebase.now(), Timestamp::MAX);
    }
}
