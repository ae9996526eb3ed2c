//! Scenarios: the engine and the simulated network on one stage.
//!
//! Your own program in a test, with [`Offline`]: a network, an engine, virtual time.
//!
//! ```
//! use futures::TryStreamExt;
//! use golem_engine::payload::vm;
//! use golem_scenarios::Offline;
//!
//! let (results, summary) = Offline::new(7).run(async |stage| {
//!     let golem = stage.golem().start().await.expect("the engine starts");
//!     let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
//!         .image_url("http://images.example/hello.gvmi");
//!     let tasks = golem.execute_tasks(image).data(1..=3).worker(|ctx, task| async move {
//!         let said = ctx.run("/bin/sh", ["-c".to_owned(), format!("echo {}", task.data)]).await?;
//!         Ok(said.stdout_text().trim().to_owned())
//!     });
//!     let tasks = tasks.start().await.expect("the tasks start");
//!     let results: Vec<_> = tasks.try_collect().await.expect("all are done");
//!     println!("{}", golem.stop().await);
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
//! | feature | brings |
//! |---|---|
//! | none | [`Offline`], [`HandlerTest`], [`hold_the_clock`], [`in_memory`], [`Layer`], the [`prelude`] |
//! | `files` | scenario files, runs, sweeps |
//! | `simple-service` | `files`, and the tutorial's payload (SQLite, plots, a font) as a workload |
//! | `harness` | `files`, and the module `harness`: a test target in which every scenario file is a test |
//! | `proptest` | `files`, and the module `strategies`: any network and any trouble for properties of your own |
//! | `http` | daemons behind a socket, [`Offline::real_time`] |
//! | `sqlite` | the engine's journal in a file |
//! | `cli` (default) | all of these, and the command `rehearse` |
//!
//! A crate that wants [`Offline`] for its tests takes `default-features = false`; [`engine`] and [`mock`] are the crates
//! below, so that it needs no other dependency.

#![cfg_attr(
    not(feature = "cli"),
    allow(
        dead_code,
        reason = "the command uses more of runs and reports than tests do, and scenario files more of a stage"
    )
)]

mod backend;
#[cfg(feature = "cli")]
pub mod cli;
mod error;
#[cfg(feature = "cli")]
pub mod exec;
#[cfg(feature = "files")]
pub mod explore;
mod handler_test;
#[cfg(feature = "harness")]
pub mod harness;
#[cfg(feature = "files")]
pub mod language;
#[cfg(feature = "files")]
mod process_group;
#[cfg(feature = "files")]
pub mod report;
#[cfg(feature = "files")]
mod run;
mod stage;
#[cfg(feature = "files")]
pub mod sweep;
#[cfg(feature = "files")]
pub mod workload;

/// What a test of a service or of tasks needs, of all the crates here: `use golem_scenarios::prelude::*;`.
pub mod prelude {
    pub use golem_engine::payload::{Payload, vm};
    pub use golem_engine::service::{HandlerError, InstanceInfo, Service};
    pub use golem_engine::{Error, Event, EventKind, Glm, Golem, WorkContext};
    pub use mock_yagna::{Act, Behaviour, Delay, Effect, Fault, Image, MockYagna, ProviderSpec};

    pub use crate::{HandlerTest, Offline, OfflineStage, TestMachine};
}

pub use golem_engine as engine;
pub use mock_yagna as mock;

pub use backend::Backend;
pub use error::Error;
#[cfg(feature = "proptest")]
pub use explore::strategies;
pub use handler_test::{HandlerTest, TestMachine};
#[cfg(feature = "files")]
pub use language::{Scenario, catalog};
#[cfg(feature = "files")]
pub use report::Report;
#[cfg(feature = "files")]
pub use run::{Listener, Options, Rehearsal, rehearse};
pub use stage::{Layer, Line, Offline, OfflineStage, hold_the_clock, in_memory};
