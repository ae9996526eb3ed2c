//! A production requestor engine for the Golem Network.
//!
//! Start at [`Golem`]: it owns the connection to a yagna daemon, the budget and everything that was
//! rented. [`Golem::run_service`] keeps services running, [`Golem::execute_tasks`] works off a list.
//! Names follow the Golem Python API reference; inside, the daemon's nouns and verbs.
//!
//! Layers, lowest first: `transport` (bytes) → `api` (one method per daemon operation) →
//! `lifecycle` (pure decisions) → `market`, `payment`, `activity` (the loops that perform them) →
//! `service`, `task` (what users see).

mod activity;
pub mod api;
pub mod clock;
pub mod config;
mod context;
mod daemon_health;
pub mod doctor;
pub mod error;
pub mod event;
mod event_feed;
mod gauges;
mod golem;
pub mod journal;
mod lifecycle;
mod market;
pub mod model;
pub mod payload;
mod payment;
pub mod recovery;
mod retry;
pub mod rng;
pub mod script;
pub mod service;
mod shutdown;
mod signal;
pub mod strategy;
mod summary;
pub mod task;
pub mod tasks;
#[cfg(test)]
mod testing;
mod transfer;
pub mod transport;
mod work_context;

pub use config::{AppKey, Config};
pub use error::{ConfigError, Error};
pub use event::{Event, EventKind};
pub use gauges::Gauges;
pub use golem::{Golem, GolemBuilder};
pub use golem_wire as wire;
pub use golem_wire::Glm;
pub use market::{AgreementEnd, EndedBy, MarketSummary, OpenAgreement, Refusal, SignError};
pub use payment::OpenDocument;
pub use recovery::{Recovery, RecoveryReport};
pub use shutdown::{ShutdownReport, StageReport};
pub use summary::{ProviderSummary, Summary, SummaryLogger};
pub use transport::Transport;
pub use work_context::WorkContext;
