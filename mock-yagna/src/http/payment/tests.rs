//! The payment API with raw JSON, in virtual time.

mod allocations;
mod daemon;
mod documents;
mod history;
mod lives;
mod refusals;
mod unreachable;
