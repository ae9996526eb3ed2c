//! Activities over the REST API, as raw JSON in virtual time.

mod batches;
mod harness;
mod lifecycle;
mod processes;
mod stream;
mod transfers;
