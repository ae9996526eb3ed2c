//! What the benchmarks share: a network through either door, and the two ways to negotiate on it.
//!
//! Both ways end when the last agreement is approved; what follows (activities, payments, the end)
//! is not in the figures. Latencies of the simulated network are zero, so that work is measured and
//! not waiting.

pub mod bare;
pub mod door;
pub mod engine;
pub mod history;
pub mod question;
