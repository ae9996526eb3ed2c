//! A production requestor engine for the Golem Network.
//!
//! Start at [`Golem`]: it owns the connection to a yagna daemon, the budget and everything that was
//! rented. [`Golem::run_service`] keeps services running, [`Golem::execute_tasks`] works off a list,
//! [`Golem::one_of`] and [`Golem::many_of`] rent machines to be used from the program's own code.
//! Names follow the Golem Python API reference; inside, the daemon's nouns and verbs.
//!
//! ```no_run
//! use golem_engine::payload::{Payload, vm};
//! use golem_engine::service::{HandlerError, InstanceInfo, Service};
//! use golem_engine::{Error, Glm, Golem, WorkContext};
//!
//! struct Clock;
//!
//! impl Service for Clock {
//!     type Params = ();
//!
//!     fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
//!         Ok(Clock)
//!     }
//!
//!     async fn payload() -> Result<Payload, Error> {
//!         Ok(vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae").into())
//!     }
//!
//!     async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
//!         let date = ctx.run("/bin/date", ["-u"]).await?;
//!         println!("{} says: {}", ctx.provider_name(), date.stdout_text());
//!         Ok(())
//!     }
//! }
//!
//! # async fn example() -> Result<(), Error> {
//! // The daemon and its key come from YAGNA_API_URL and YAGNA_APPKEY.
//! let golem = Golem::builder().budget(Glm::from(1)).start().await?;
//! let cluster = golem.run_service::<Clock>().num_instances(2).start().await?;
//! cluster.join().await;
//! println!("{}", golem.stop().await);
//! # Ok(())
//! # }
//! ```
//!
//! Layers, lowest first: `transport` (bytes) → `api` (one method per daemon operation) →
//! `lifecycle` (pure decisions) → `market`, `payment`, `activity` (the loops that perform them) →
//! `service`, `task` (what users see). `DESIGN.md` tells more.

// The examples of README are compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod activity;
mod address;
mod agreement_record;
mod api;
mod by_hand;
mod cause;
pub mod clock;
pub mod config;
mod context;
mod daemon_health;
mod deadline;
pub mod doctor;
pub mod error;
pub mod event;
mod event_feed;
mod gauges;
mod golem;
mod id_map;
pub mod journal;
mod lifecycle;
#[cfg(feature = "logger")]
pub mod log;
pub mod low_level;
mod mailbox;
mod market;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod model;
pub mod network;
mod news;
pub mod panics;
pub mod payload;
mod payment;
pub mod pool;
pub mod proxy;
pub mod recovery;
mod retry;
pub mod rng;
pub mod script;
pub mod service;
mod settle;
mod shutdown;
mod signal;
pub mod strategy;
mod summary;
pub mod task;
#[doc(hidden)]
pub mod tasks;
#[cfg(test)]
mod testing;
mod transfer;
pub mod transport;
mod watch;
mod within;
mod work_context;

/// The version of this engine.
///
/// ```
/// assert!(golem_engine::get_version().split('.').count() >= 3);
/// ```
pub fn get_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

pub use activity::AttachError;
pub use config::{ApiUrls, AppKey, Config};
pub use error::{Cause, ConfigError, Error};
pub use event::{Event, EventFilter, EventGroup, EventKind};
pub use gauges::Gauges;
pub use golem::{
    AttachedMachine, BudgetEstimate, CreateNetwork, DaemonVersion, Golem, GolemBuilder, PriceSpan,
    RunError, ScanOffers, WorkFailed,
};
pub use golem_wire as wire;
pub use golem_wire::{Glm, props};
pub use market::{
    AgreementEnd, BudgetExhausted, BudgetStatus, DemandPreview, EndedBy, MarketSummary,
    OpenAgreement, Refusal, RefusedBy, RefusedFor, Scan, SignError,
};
pub use payment::OpenDocument;
pub use recovery::{Recovery, RecoveryReport};
pub use shutdown::{ShutdownReport, StageReport, SuspendedInstance};
pub use summary::{
    Absences, AcceptedCosts, ProviderSummary, Summary, SummaryLogger, UnpaidInvoice,
    UnpaidInvoices, log_summary,
};
/// A signal that ends waits, of `tokio_util`: see [`Within::unless`].
pub use tokio_util::sync::CancellationToken;
pub use transport::Transport;
pub use within::{GivenUp, Within};
pub use work_context::{TimedUsage, WorkContext};
