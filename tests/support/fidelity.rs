//! Comparing the mock with the real daemon: what a difference is, and calls that are made to both.
//!
//! `recording` reads what was recorded of the daemon, `compare` tells in what two answers differ,
//! `identifiers` which of our ids stands for which of its. `sequence` is calls whose ids are names,
//! `asked` reads those that people wrote,
//! `lockstep` makes them to a daemon (live or recorded) and to the mock, `network` is the simulated
//! network that stands for a devnet.
//!
//! Does not own: drawing and shrinking of sequences (the program `differential`), the stage of the
//! first recordings (the tests `fidelity`).

pub mod asked;
pub mod compare;
pub mod explained;
pub mod identifiers;
pub mod lockstep;
pub mod network;
pub mod recorded;
pub mod recording;
pub mod sequence;
