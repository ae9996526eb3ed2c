//! `/mock-api/v1`: the control API, described by `control-api.yaml`.
//!
//! Key-protected like the daemon's own APIs, and never hit by a fault. The page that uses it is `inspector`'s.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::{ApiJson, ApiQuery};
use crate::control::{self, Act, ActError, AgreementView, ProviderView, Summary, Waiting};
use crate::daemon::market::DemandMatches;
use crate::fault::{Fault, FaultReport};
use crate::journal::{Entry, Told, counted};
use crate::world::World;
use crate::world::held_time::AdvanceError;
use crate::world::snapshot::{SnapshotError, SnapshotView};

/// Where the control API is; nothing of the daemon begins so.
pub(super) const PREFIX: &str = "/mock-api/";

/// The description of this API.
const OPENAPI: &str = include_str!("../../control-api.yaml");
/// Most journal entries of one answer.
const MOST_ENTRIES: usize = 10_000;
/// Most agreements of one answer, and how many there are unless more are asked for.
const AGREEMENTS: (usize, usize) = (10_000, 200);
/// Timers that are told of, beside their number.
const TIMERS: usize = 50;

pub(super) fn routes() -> Router<World> {
    let control = Router::new()
        .route("/providers", get(providers))
        .route("/providers/{name}", get(provider))
        .route("/matching", get(matches))
        .route("/acts", post(act))
        .route("/faults", get(faults).post(add_fault).delete(lift_all))
        .route("/faults/{name}", delete(lift))
        .route("/agreements", get(agreements))
        .route("/waiting", get(waiting))
        .route("/time", get(time).post(advance))
        .route("/snapshots", get(snapshots))
        .route("/snapshots/{name}", put(save).post(load).delete(forget))
        .route("/journal", get(journal))
        .route("/story", get(story))
        .route("/ledger", get(ledger))
        .route("/reset", post(reset))
        .route("/openapi.yaml", get(openapi));
    Router::new().nest("/mock-api/v1", control)
}

async fn providers(State(world): State<World>) -> Json<Vec<ProviderView>> {
    Json(world.with(|state| control::provider_views(state)))
}

async fn provider(
    State(world): State<World>,
    Path(name): Path<String>,
) -> Result<Json<ProviderView>, ApiError> {
    let found = world.with(|state| control::provider_view(state, &name));
    found.map(Json).map_err(refused)
}

#[derive(Debug, Deserialize)]
struct OfDemand {
    demand: Option<String>,
}

async fn matches(
    State(world): State<World>,
    ApiQuery(query): ApiQuery<OfDemand>,
) -> Result<Json<Vec<DemandMatches>>, ApiError> {
    let mut found = world.with(|state| state.market.matches(&state.providers, state.ports.now));
    if let Some(wanted) = query.demand {
        let known = found.len();
        found.retain(|matches| matches.demand.as_str().starts_with(&wanted));
        if found.is_empty() {
            let counted = counted(known, "demand is", "demands are");
            let why = format!("no demand begins with `{wanted}`; {counted} known");
            return Err(ApiError::message(StatusCode::NOT_FOUND, why));
        }
    }
    Ok(Json(found))
}

fn refused(error: ActError) -> ApiError {
    let status = match &error {
        ActError::NoProvider { .. } | ActError::NoFault { .. } => StatusCode::NOT_FOUND,
        ActError::Fault(_) | ActError::Change { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    };
    ApiError::message(status, error.to_string())
}

async fn act(
    State(world): State<World>,
    ApiJson(act): ApiJson<Act>,
) -> Result<StatusCode, ApiError> {
    world
        .with(|state| control::act(state, &act))
        .map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn faults(State(world): State<World>) -> Json<Vec<FaultReport>> {
    Json(world.with(|state| state.faults.reports()))
}

async fn add_fault(
    State(world): State<World>,
    ApiJson(fault): ApiJson<Fault>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let added = world.with(|state| state.faults.add(&mut state.ports, fault));
    let name = added.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok((StatusCode::CREATED, Json(json!({ "name": name }))))
}

async fn lift_all(State(world): State<World>) -> StatusCode {
    world.with(|state| state.faults.lift_all(&mut state.ports));
    StatusCode::NO_CONTENT
}

async fn lift(
    State(world): State<World>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    world
        .with(|state| control::act(state, &Act::LiftFault { name }))
        .map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
    max: Option<usize>,
}

async fn journal(State(world): State<World>, ApiQuery(query): ApiQuery<Since>) -> Json<Vec<Entry>> {
    let max = query.max.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
    let page = |entries: &[Entry]| entries.iter().take(max).cloned().collect();
    Json(world.with(|state| page(state.ports.journal.since(query.since))))
}

async fn story(State(world): State<World>, ApiQuery(query): ApiQuery<Since>) -> Json<Vec<Told>> {
    let max = query.max.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
    let page = |entries: &[Entry]| entries.iter().take(max).map(Entry::told).collect();
    Json(world.with(|state| page(state.ports.journal.since(query.since))))
}

#[derive(Debug, Deserialize)]
struct Newest {
    max: Option<usize>,
}

async fn agreements(
    State(world): State<World>,
    ApiQuery(query): ApiQuery<Newest>,
) -> Json<Vec<AgreementView>> {
    let max = query.max.unwrap_or(AGREEMENTS.1).min(AGREEMENTS.0);
    Json(world.with(|state| control::agreement_views(state, max)))
}

async fn waiting(State(world): State<World>) -> Json<Waiting> {
    Json(world.with(|state| control::waiting(state, TIMERS)))
}

/// The network's time, and whether it is moved by hand.
async fn time(State(world): State<World>) -> Json<Value> {
    let held = world.is_time_held();
    let began = world.with(|state| state.ports.began);
    Json(json!({ "now": world.now(), "began": began, "held": held }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(with = "crate::duration")]
    advance: Duration,
}

async fn advance(
    State(world): State<World>,
    ApiJson(step): ApiJson<Step>,
) -> Result<Json<Value>, ApiError> {
    let refused = |error: AdvanceError| {
        let status = match error {
            AdvanceError::NotHeld => StatusCode::CONFLICT,
            AdvanceError::TooFar => StatusCode::BAD_REQUEST,
        };
        ApiError::message(status, error.to_string())
    };
    let now = world.advance(step.advance).await.map_err(refused)?;
    Ok(Json(json!({ "now": now })))
}

async fn snapshots(State(world): State<World>) -> Json<Vec<SnapshotView>> {
    Json(world.snapshots())
}

fn not_kept(error: SnapshotError) -> ApiError {
    let status = match &error {
        SnapshotError::Unknown { .. } => StatusCode::NOT_FOUND,
        SnapshotError::Name { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    };
    ApiError::message(status, error.to_string())
}

async fn save(
    State(world): State<World>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    world.save(&name).map_err(not_kept)?;
    Ok((StatusCode::CREATED, Json(json!({ "name": name }))))
}

async fn load(
    State(world): State<World>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.load(&name).map_err(not_kept)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn forget(
    State(world): State<World>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.forget(&name).map_err(not_kept)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ledger(State(world): State<World>) -> Json<Summary> {
    Json(world.with(|state| control::summary(state)))
}

async fn reset(State(world): State<World>) -> StatusCode {
    world.with(|state| state.reset());
    StatusCode::NO_CONTENT
}

async fn openapi() -> Response {
    let kind = HeaderValue::from_static("application/yaml");
    ([(header::CONTENT_TYPE, kind)], OPENAPI).into_response()
}

#[cfg(test)]
#[path = "control/tests.rs"]
mod tests;
