//! The daemon's REST API: one method per operation, on top of `Rest`. Owns: paths, limits, and
//! what an answer means. Does not own: when to call what, or how often.

mod base;
mod call;
mod error;
mod rest;
mod server_events;
mod trace;
mod upgrade;
mod websocket;

pub(crate) mod activity;
pub(crate) mod gsb;
pub(crate) mod identity;
pub(crate) mod market;
pub(crate) mod net;
pub(crate) mod payment;
#[cfg(test)]
mod tests;

pub(crate) use activity::ActivityFault;
pub(crate) use call::Call;
pub use error::{ApiError, ApiErrorKind, Outcome};
pub(crate) use gsb::GsbApi;
pub(crate) use rest::{Limits, Page, Rest};
pub(crate) use server_events::ServerEvents;
#[cfg(feature = "logger")]
pub(crate) use trace::target;
pub(crate) use websocket::{Socket, SocketRequest};
