//! The payment API with raw JSON, in virtual time.

mod allocations;
mod daemon;
mod lives;
mod refusals;
