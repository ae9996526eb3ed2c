//! Scenarios: the engine and the simulated network on one stage.
//!
//! A [`Scenario`] (a YAML file, or one of the [`catalog`]) describes a network, what is run on it,
//! what happens meanwhile and what is expected. [`rehearse`] runs it on one of three backends and
//! reports. `rehearse` the command is [`cli`].

mod backend;
pub mod cli;
mod error;
pub mod language;
pub mod report;
mod run;
mod stage;
pub mod sweep;
pub mod workload;

pub use backend::Backend;
pub use error::Error;
pub use language::{Scenario, catalog};
pub use report::Report;
pub use run::{Options, Rehearsal, rehearse};
pub use stage::{Layer, Offline, OfflineStage, in_memory};
