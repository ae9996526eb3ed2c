//! The daemon's REST API: routes, extractors, answers. Translates only; the rules are in the nouns.

mod activity;
mod control;
mod cors;
mod edge;
mod error;
mod extract;
mod gsb;
mod identity;
pub(crate) mod inspector;
pub(crate) mod listener;
mod market;
mod metrics;
mod net;
mod operations;
mod paths;
mod payment;
mod router;
mod scan;
mod time;
mod websocket;

pub(crate) use router::{control_router, router};
