//! Activities over the REST API, as raw JSON in virtual time.

mod background;
mod batches;
mod daemons;
mod deployment;
mod harness;
mod lifecycle;
#[cfg(feature = "files")]
mod networks;
mod processes;
mod results;
mod stream;
mod transfers;
mod web;
