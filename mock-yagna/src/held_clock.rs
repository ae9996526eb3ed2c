//! Holding the clock of a paused runtime, which else leaps ahead whenever everything waits.

use std::sync::mpsc::{Sender, channel};

use tokio::task::JoinHandle;

/// Holds the clock of virtual time still until it is dropped or [let go](Self::let_go). In real time it changes
/// nothing.
#[must_use = "the clock goes on when this is dropped"]
#[derive(Debug)]
pub struct HeldClock {
    release: Sender<()>,
    holding: JoinHandle<()>,
}

impl HeldClock {
    /// Holds the clock from now on.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time is to stand still while a thread is at work: this is that thread"
    )]
    pub fn hold() -> HeldClock {
        // The clock of a paused runtime stands still while a blocking thread is at work.
        let (release, held) = channel::<()>();
        let holding = tokio::task::spawn_blocking(move || {
            // It ends with the other end.
            let _ = held.recv();
        });
        HeldClock { release, holding }
    }

    /// Lets the clock go, and waits until it may move. Cancel safe: it is let go in any case.
    pub async fn let_go(self) {
        drop(self.release);
        // It ends by this, and cannot panic.
        let _ = self.holding.await;
    }
}
