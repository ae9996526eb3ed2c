//! Scenarios: the engine and the simulated network on one stage.
//!
//! A [`Scenario`] (a YAML file, or one of the [`catalog`]) describes a network, what is run on it,
//! what happens meanwhile and what is expected. [`rehearse`] runs it on one of three backends and
//! reports. `rehearse` the command is [`cli`].

pub mod catalog;
pub mod cli;
pub mod doctor;
mod draw;
mod error;
pub mod expect;
pub mod file;
pub mod image;
mod journal;
mod layer;
pub mod offline;
pub mod outcome;
mod output;
mod program;
mod progress;
mod registry;
pub mod report;
mod runner;
pub mod service;
mod stage;
mod suggest;
pub mod sweep;
mod timeline;
mod validate;
pub mod values;
mod watch;
mod work;

pub use error::Error;
pub use file::Scenario;
pub use layer::Layer;
pub use offline::{Offline, OfflineStage};
pub use report::Report;
pub use runner::{Options, Rehearsal, rehearse};
pub use stage::in_memory;
pub use values::Backend;
