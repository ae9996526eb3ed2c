//! The payment API with raw JSON, in virtual time.

mod allocations;
mod daemon;
mod history;
mod lives;
mod refusals;
