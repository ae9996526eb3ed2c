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
    /// Calendar time is `epoch` now, and advances with tokio's clock.
    ///
    /// # Panics
    /// Outside a tokio runtime when its clock is paused.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Timebase {
            epoch,
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

    /// Calendar time now.
    pub fn now(&self) -> Timestamp {
        self.epoch
            + SignedDuration::try_from(Instant::now() - self.start).unwrap_or(SignedDuration::MAX)
    }

    /// The instant at which the calendar shows `at`; the past maps to the start.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let since = at.duration_since(self.epoch);
        self.start + Duration::try_from(since).unwrap_or(Duration::ZERO)
    }
}
