//! `/market-api/v1/scan`: looking at offers without a demand, as a list or as an event stream.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use golem_wire::NodeId;
use golem_wire::market::Offer;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use super::extract::{ApiJson, ApiQuery, Caller, wants_stream};
use super::time::{after, strict_deadline};
use crate::daemon::market::MarketError;
use crate::world::{Topic, World};

const DEFAULT_TIMEOUT: f64 = 5.0;
const DEFAULT_OFFERS: usize = 500;
/// How long a stream waits for offers at a time, in seconds.
const QUIET: f64 = 60.0;

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
    /// Its life in seconds; scans live as long as they are used here.
    #[serde(rename = "timeout")]
    _timeout: Option<u64>,
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
    let id = world.with(|state| {
        state
            .market
            .begin_scan(state.ports.now, &me.node, offers, constraints)
    })?;
    Ok((StatusCode::CREATED, Json(id)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScanQuery {
    timeout: Option<f64>,
    max_events: Option<i32>,
    #[serde(default, deserialize_with = "node_id")]
    peer_id: Option<NodeId>,
}

/// The daemon knows no other form of a node's id.
fn node_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodeId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix("0x").unwrap_or_default();
    if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(D::Error::custom("invalid format"));
    }
    Ok(Some(NodeId::new(text.to_ascii_lowercase())))
}

async fn collect(
    State(world): State<World>,
    Caller(me): Caller,
    Path(scan): Path<String>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<ScanQuery>,
) -> Result<Response, ApiError> {
    if wants_stream(&headers) {
        return Ok(stream(world, me.node, scan)?);
    }
    let timeout = query.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let deadline = strict_deadline(world.now(), Some(timeout), DEFAULT_TIMEOUT)?;
    let max = query.max_events.map_or(Ok(DEFAULT_OFFERS), usize::try_from);
    let Ok(max) = max else {
        // The daemon gives up at such numbers before it looks for the scan; what is no number is none.
        if scan.parse::<u64>().is_err() {
            world.with(|state| state.market.check_scan(&me.node, &scan))?;
        }
        return Err(ApiError::hang_up());
    };
    if let Some(peer) = &query.peer_id {
        world.with(|state| {
            state.market.check_scan(&me.node, &scan)?;
            let there = state.providers.get(peer).is_some_and(|peer| peer.online);
            there.then_some(()).ok_or(MarketError::NoPeer)
        })?;
    }
    let found = world.poll_until(&[Topic::Offers], deadline, |state| {
        match state.market.scan(
            state.ports.now,
            &state.providers,
            &me.node,
            &scan,
            query.peer_id.as_ref(),
            max,
        ) {
            Ok(offers) if offers.is_empty() => None,
            found => Some(found),
        }
    });
    let offers = found.await.transpose()?.unwrap_or_default();
    Ok(Json(offers).into_response())
}

/// The offers that the scan has not shown yet, then new ones as they are published. The stream of a
/// scan that ended stays open and silent.
fn stream(world: World, me: NodeId, scan: String) -> Result<Response, MarketError> {
    world.with(|state| {
        state
            .market
            .scan(state.ports.now, &state.providers, &me, &scan, None, 0)
    })?;
    let frames = futures::stream::unfold(world, move |world| {
        let (me, scan) = (me.clone(), scan.clone());
        async move {
            loop {
                let deadline = after(world.now(), QUIET);
                let news = world.poll_until(&[Topic::Offers], deadline, |state| {
                    let offers = state.market.scan(
                        state.ports.now,
                        &state.providers,
                        &me,
                        &scan,
                        None,
                        DEFAULT_OFFERS,
                    );
                    offers.ok().filter(|offers| !offers.is_empty())
                });
                match news.await {
                    Some(offers) => {
                        let frames: String = offers.iter().map(frame).collect();
                        return Some((Ok::<_, Infallible>(Bytes::from(frames)), world));
                    }
                    None if world.now() >= deadline => {}
                    None => return None,
                }
            }
        }
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn frame(offer: &Offer) -> String {
    let data = serde_json::to_string(offer).unwrap_or_default();
    format!("event: offer\ndata: {data}\n\n")
}

async fn end(
    State(world): State<World>,
    Caller(me): Caller,
    Path(scan): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.with(|state| state.market.end_scan(&me.node, &scan))?;
    Ok(StatusCode::NO_CONTENT)
}
