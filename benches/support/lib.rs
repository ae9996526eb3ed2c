//! What the benchmarks share: a network through either door, and the two ways to negotiate on it.
//!
//! Both ways end when the last machine is there: its agreement approved, its activity created. What follows (scripts,
//! payments, the end) is not in these figures; what a rented machine costs is in `machine`. Latencies of the simulated network are zero, so that work is measured and
//! not waiting.

use std::time::Instant;

pub mod bare;
pub mod door;
pub mod engine;
pub mod history;
pub mod machine;
pub mod negotiation;
pub mod polled;
pub mod question;

/// Now, on the wall's clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The middle one.
///
/// # Panics
/// When there is none.
pub fn median<T: PartialOrd + Copy>(mut of: Vec<T>) -> T {
    of.sort_by(|a, b| a.partial_cmp(b).expect("comparable"));
    of[of.len() / 2]
}
