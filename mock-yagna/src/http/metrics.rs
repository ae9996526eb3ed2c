//! `/metrics-api/v1/expose`: the daemon's counters for Prometheus.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::world::World;

pub(super) fn routes() -> Router<World> {
    Router::new().route("/metrics-api/v1/expose", get(expose))
}

async fn expose(State(world): State<World>) -> String {
    world.with(|state| state.ports.metrics.expose(state.ports.now))
}
