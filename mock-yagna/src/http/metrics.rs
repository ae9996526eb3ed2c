//! `/metrics-api/v1/expose`, and `/sorted`: the daemon's counters for Prometheus.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::world::World;

pub(super) fn routes() -> Router<World> {
    Router::new()
        .route("/metrics-api/v1/expose", get(expose))
        .route("/metrics-api/v1/sorted", get(sorted))
}

async fn expose(State(world): State<World>) -> String {
    world.with(|state| state.ports.metrics.expose(state.ports.now))
}

/// The same by name, one metric a paragraph.
async fn sorted(State(world): State<World>) -> String {
    let (now, text) = world.with(|state| {
        let now = state.ports.now;
        (now, state.ports.metrics.expose(now))
    });
    let mut metrics: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match metrics.last_mut() {
            Some(metric) if !line.starts_with("# TYPE") => *metric += &format!("{line}\n"),
            _ if line.starts_with("# TYPE") => metrics.push(format!("{line}\n")),
            _ => {}
        }
    }
    metrics.sort();
    let began = now.as_second();
    format!(
        "# metrics snapshot (ts={began}) (prometheus exposition format)\n{}",
        metrics.join("\n")
    )
}
