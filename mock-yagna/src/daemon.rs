//! What yagna does: the market, activities, payments, virtual networks and the service bus.
//!
//! Does not own: what providers decide (`agent`), HTTP (`http`).

pub(crate) mod activity;
pub(crate) mod gsb;
pub(crate) mod market;
pub(crate) mod net;
pub(crate) mod payment;
