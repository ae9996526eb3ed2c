//! The payload of Golem's "simple service" tutorial: it collects observations of a source (here
//! random numbers with the distribution N(14, 3), one a second), and answers questions about them.
//!
//! One library, used two ways. The executables `simple_service`, `simulate_observations` and
//! `simulate_observations_ctl` run as real processes on a provider, with a SQLite file of their
//! activity. [`Simulation`] is the same service inside another program, in a time that the caller
//! tells: same command lines, same database, same plots, no clock and no process of its own.

pub mod command;
pub mod daemon;
pub mod database;
mod error;
pub mod executables;
mod frame;
pub mod observations;
pub mod place;
pub mod plot;
pub mod service;
mod simulation;
pub mod statistics;

pub use command::PlotKind;
pub use database::{Database, Observation};
pub use error::Error;
pub use observations::Observations;
pub use service::Service;
pub use simulation::{Run, Simulation};
pub use statistics::Statistics;
