//! Panics of users' code. Owns: calling it so that a panic ends there, in words and with its place.
//! Does not own: what becomes of whoever called (`strategy/guarded.rs`, `event.rs`, handlers and
//! workers).

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use futures::FutureExt;

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// File, line and column, unless the program's panic hook does not tell ours.
    pub place: Option<String>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.place {
            Some(place) => write!(f, " (at {place})"),
            None => Ok(()),
        }
    }
}

/// Calls users' code.
///
/// # Errors
/// Its panic.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    note_places();
    panic::catch_unwind(AssertUnwindSafe(call)).map_err(|payload| found(&*payload))
}

/// Runs users' code.
///
/// # Errors
/// Its panic.
///
/// # Cancel safety
/// As `work` is.
pub fn caught_in<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panic>> {
    // Not an `async fn`, which would hold the work twice: as it came, and as it is run.
    note_places();
    let catching = AssertUnwindSafe(work).catch_unwind();
    // On the thread that panicked: nothing was awaited since.
    catching.map(|done| done.map_err(|payload| found(&*payload)))
}

/// A panic that was caught, and may go on.
pub(crate) struct Unwinding {
    panic: Panic,
    payload: Box<dyn Any + Send>,
}

impl Unwinding {
    /// Lets it go on. The program's panic hook was told already.
    pub(crate) fn resume(self) -> ! {
        panic::resume_unwind(self.payload)
    }
}

impl fmt::Display for Unwinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.panic.fmt(f)
    }
}

/// Runs users' code, and keeps its panic for later.
///
/// # Errors
/// Its panic.
///
/// # Cancel safety
/// As `work` is.
pub(crate) async fn unwinding<T>(work: impl Future<Output = T>) -> Result<T, Unwinding> {
    note_places();
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|payload| Unwinding {
        panic: found(&*payload),
        payload,
    })
}

fn found(payload: &(dyn Any + Send)) -> Panic {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    Panic {
        message: message.to_owned(),
        place: PLACE.try_with(RefCell::take).ok().flatten(),
    }
}

/// What is caught carries no place; only the hook is told. The program's own hook goes on as before.
fn note_places() {
    static HOOK: Once = Once::new();
    if std::thread::panicking() {
        // Hooks cannot be changed now.
        return;
    }
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            // A thread that ends has no place to note it in any more.
            let _ = PLACE.try_with(|last| last.replace(place));
            before(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_with_its_words_and_its_place() {
        let panic: Result<(), _> = caught(|| panic!("number {}", 7));
        let panic = panic.expect_err("it panics");
        assert_eq!(panic.message, "number 7");
        let place = panic.place.expect("a place");
        assert!(place.contains("panics.rs:"), "{place}");
        let later: Result<(), _> = caught_in(async {
            tokio::task::yield_now().await;
            panic!("later")
        })
        .await;
        let panic = later.expect_err("it panics");
        assert!(panic.to_string().starts_with("later (at "), "{panic}");
        assert_eq!(caught(|| 1), Ok(1));
    }
}
