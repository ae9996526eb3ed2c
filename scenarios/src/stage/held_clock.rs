//! Virtual time that waits for something real.

use std::future::Future;
use std::sync::mpsc;

/// Awaits `real` with the clock of virtual time held: for requests to databases, web services, other
/// processes in a program of [`Offline`](super::Offline). Meanwhile everything goes on that is due by
/// then, and no timer ends: not `real`'s own time limit either, so that something that never answers
/// holds the run for ever. In real time it changes nothing.
///
/// ```
/// use std::time::Duration;
/// use golem_scenarios::{Offline, hold_the_clock};
///
/// let answer = Offline::new(1).run(async |_| {
///     let other_thread = tokio::task::spawn_blocking(|| "real");
///     hold_the_clock(tokio::time::timeout(Duration::from_secs(1), other_thread)).await
/// });
/// assert_eq!(answer.expect("in time").expect("no panic"), "real");
/// ```
///
/// # Panics
/// Outside a runtime of tokio.
///
/// # Cancel safety
/// As `real` is: dropping it lets the clock go.
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time is to stand still while a thread is at work: this is that thread"
)]
pub async fn hold_the_clock<F: Future>(real: F) -> F::Output {
    // The clock of a paused runtime stands still while a blocking thread is at work.
    let (release, held) = mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || held.recv().is_ok());
    let output = real.await;
    drop(release);
    // It ends by this, and cannot panic.
    let _ = holding.await;
    output
}
