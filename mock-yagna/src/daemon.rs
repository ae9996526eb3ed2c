//! What yagna does: the market, activities, payments, virtual networks and the service bus.
//!
//! Does not own: what providers decide (`agent`), HTTP (`http`).

pub mod activity;
pub mod gsb;
pub mod market;
pub(crate) mod net;
pub mod payment;
