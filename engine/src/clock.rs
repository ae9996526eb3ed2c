//! Calendar time. Owns: the one place that reads the system's clock. Elapsed time and timers are
//! tokio's, which a paused runtime controls.

use std::sync::Arc;

use jiff::Timestamp;

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

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
