//! Time that stands until somebody moves it on: the clock of a network by hand.
//!
//! Owns holding the clock and letting it go for a while. Does not own: the clock (`timebase`), the time of
//! programs that say when they wait (`keeper`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use super::World;
use crate::held_clock::HeldClock;

/// The longest step of a clock that is moved by hand.
const LONGEST_STEP: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why time was not moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvanceError {
    /// It moves by itself.
    #[error(
        "time moves by itself here; `mock-yagna --time held` serves a network whose time is moved by hand"
    )]
    NotHeld,
    /// It is too much for one step.
    #[error("one step is a year at the most")]
    TooFar,
}

/// The clock that is held, if it is.
#[derive(Debug, Default)]
pub(super) struct HeldTime {
    clock: Mutex<Option<HeldClock>>,
    by_hand: AtomicBool,
}

impl HeldTime {
    /// Whether time is moved by hand, also while it moves.
    pub(super) fn is_by_hand(&self) -> bool {
        self.by_hand.load(Ordering::Acquire)
    }
}

/// Holds the clock again when it is dropped.
struct LetGo<'a>(MutexGuard<'a, Option<HeldClock>>);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        *self.0 = Some(HeldClock::hold());
    }
}

impl World {
    /// From now on time stands but for what [`advance`](Self::advance) moves it on. Needs a runtime of one thread
    /// whose clock is paused.
    pub(crate) async fn hold_time(&self) {
        let mut held = self.shared.held_time.clock.lock().await;
        held.get_or_insert_with(HeldClock::hold);
        self.shared.held_time.by_hand.store(true, Ordering::Release);
    }

    /// Whether time is moved by hand.
    pub(crate) fn is_time_held(&self) -> bool {
        self.shared.held_time.is_by_hand()
    }

    /// Moves time on by so much; everything that is due meanwhile happens at its own time, in order. Returns the
    /// new time. Steps that are asked for at once are taken one after the other. Cancel safe: time stands again
    /// wherever it has got to.
    ///
    /// # Errors
    /// When time is not held, or for a step of more than a year.
    pub(crate) async fn advance(&self, by: Duration) -> Result<Timestamp, AdvanceError> {
        if by > LONGEST_STEP {
            return Err(AdvanceError::TooFar);
        }
        let mut held = self.shared.held_time.clock.lock().await;
        let Some(clock) = held.take() else {
            return Err(AdvanceError::NotHeld);
        };
        let until = Instant::now() + by;
        let moving = LetGo(held);
        clock.let_go().await;
        tokio::select! {
            biased;
            () = sleep_until(until) => {}
            () = self.shared.stopping.cancelled() => {}
        }
        drop(moving);
        Ok(self.now())
    }

    /// Lets time go for good: the network ends.
    pub(super) async fn let_time_go(&self) {
        drop(self.shared.held_time.clock.lock().await.take());
    }
}
