//! Virtual time that waits for something real.

use std::future::Future;

use mock_yagna::keeper::HeldClock;

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
pub async fn hold_the_clock<F: Future>(real: F) -> F::Output {
    let held = HeldClock::hold();
    let output = real.await;
    held.let_go().await;
    output
}
