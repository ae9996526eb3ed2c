//! Scenarios: the engine and the simulated network on one stage.
//!
//! Your own program in a test, with [`Offline`]: a network, an engine, virtual time.
//!
//! ```
//! use golem_scenarios::Offline;
//! use golem_scenarios::workload::hello_tasks::{hello, payload};
//! use futures::TryStreamExt;
//!
//! let (results, summary) = Offline::new(7).run(async |stage| {
//!     let golem = stage.golem().start().await.expect("the engine starts");
//!     let tasks = golem.execute_tasks(payload(), 1..=3, |ctx, task| async move {
//!         hello(&ctx, task.data).await
//!     });
//!     let tasks = tasks.start().await.expect("the tasks start");
//!     let results: Vec<_> = tasks.try_collect().await.expect("all are done");
//!     golem.stop().await;
//!     (results, stage.network().summary())
//! });
//! assert_eq!(results.len(), 3);
//! assert!(summary.violations.is_empty() && summary.open.is_empty());
//! ```
//!
//! Or a [`Scenario`] (a YAML file, or one of the [`catalog`]): it describes a network, what is run on
//! it, what happens meanwhile and what is expected. [`rehearse`] runs it on one of three backends and
//! reports; [`sweep`] runs it once for every point at which it can be disturbed. What scenarios run are
//! [`workload`]s: built in, or your own.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `simple-service` | with `cli` | the tutorial's payload, with SQLite, plots and a font, as a workload |
//! | `cli` | yes | the command `rehearse` |
//!
//! A crate that wants [`Offline`] for its tests takes `default-features = false`.

mod backend;
#[cfg(feature = "cli")]
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
pub use run::{Listener, Options, Rehearsal, rehearse};
pub use stage::{Layer, Offline, OfflineStage, in_memory};
