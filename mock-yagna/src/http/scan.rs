//! `/market-api/v1/scan`: looking at offers without a demand. The event stream form is absent.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use golem_wire::NodeId;
use golem_wire::market::Offer;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{ApiJson, ApiQuery, Caller};
use super::time::deadline;
use crate::world::World;

const DEFAULT_TIMEOUT: f64 = 5.0;
const DEFAULT_OFFERS: usize = 500;

pub(super) fn routes() -> Router<World> {
    Router::new()
        .route("/market-api/v1/scan", post(begin))
        .route("/market-api/v1/scan/{scan}", delete(end))
        .route("/market-api/v1/scan/{scan}/events", get(collect))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Offer,
    Demand,
}

#[derive(Debug, Deserialize)]
struct NewScan {
    #[serde(rename = "type")]
    kind: Kind,
    constraints: Option<String>,
}

async fn begin(
    State(world): State<World>,
    Caller(me): Caller,
    ApiJson(new): ApiJson<NewScan>,
) -> Result<(StatusCode, Json<String>), ApiError> {
    let offers = new.kind == Kind::Offer;
    let constraints = new.constraints.as_deref();
    let id = world.with(|state| state.begin_scan(&me.node, offers, constraints))?;
    Ok((StatusCode::CREATED, Json(id)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScanQuery {
    timeout: Option<f64>,
    max_events: Option<usize>,
    peer_id: Option<NodeId>,
}

async fn collect(
    State(world): State<World>,
    Caller(me): Caller,
    Path(scan): Path<String>,
    ApiQuery(query): ApiQuery<ScanQuery>,
) -> Result<Json<Vec<Offer>>, ApiError> {
    let deadline = deadline(world.now(), query.timeout, DEFAULT_TIMEOUT);
    let max = query.max_events.unwrap_or(DEFAULT_OFFERS);
    let found = world.poll_until(&[], deadline, |state| {
        match state.scan(&me.node, &scan, query.peer_id.as_ref(), max) {
            Ok(offers) if offers.is_empty() => None,
            found => Some(found),
        }
    });
    Ok(Json(found.await.transpose()?.unwrap_or_default()))
}

async fn end(
    State(world): State<World>,
    Caller(me): Caller,
    Path(scan): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.with(|state| state.end_scan(&me.node, &scan))?;
    Ok(StatusCode::NO_CONTENT)
}
