//! Scripts of an activity, their results, and the stream of their events.
//!
//! Does not own: who may use an activity and how long a request waits (`activity`).

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::operations::Operations;
use super::{DEFAULT_TIMEOUT, Wait, or_silence, own};
use crate::config::Operation;
use crate::daemon::activity::{Activity, ActivityError};
use crate::http::error::ApiError;
use crate::http::extract::{ApiQuery, Caller, TextJson, wants_stream};
use crate::world::{State as Network, Topic, World};

/// Silence after which the event stream sends a ping.
const PING: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<World> {
    Router::new()
        .operation(Operation::Exec, exec)
        .operation(Operation::GetExecBatchResults, results)
}

/// The body of `POST …/exec`; its name is part of the daemon's message for anything else.
#[derive(Debug, Deserialize)]
struct ExeScriptRequest {
    text: String,
}

async fn exec(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    ApiQuery(wait): ApiQuery<Wait>,
    TextJson(body): TextJson<ExeScriptRequest>,
) -> Result<Json<BatchId>, ApiError> {
    let known = world.with(|state| own(state, &caller.node, &id));
    let deadline = wait.deadline(&world, DEFAULT_TIMEOUT, known)?;
    let sent = world.with(|state| {
        own(state, &caller.node, &id)?;
        state
            .activities
            .exec(&mut state.ports, &mut state.providers, &id, &body.text)
    });
    Ok(Json(or_silence(&world, sent, deadline).await?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultsQuery {
    timeout: Option<f32>,
    command_index: Option<usize>,
}

async fn results(
    State(world): State<World>,
    Caller(caller): Caller,
    Path((id, batch)): Path<(ActivityId, BatchId)>,
    ApiQuery(query): ApiQuery<ResultsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = world.with(|state| own(state, &caller.node, &id));
    let wait = Wait {
        timeout: query.timeout,
    };
    let deadline = wait.deadline(&world, 0.0, asked.clone())?;
    or_silence(&world, asked, deadline).await?;
    if wants_stream(&headers) {
        // What happened before the connection is not told, but for what was under way.
        let from = world.with(|state| {
            let under_way = state.ports.config.latency.under_way;
            let since = state
                .ports
                .now
                .saturating_sub(under_way)
                .unwrap_or(Timestamp::MIN);
            let events = state.activities.batch_events(&id, &batch, 0);
            events
                .iter()
                .take_while(|event| event.at() <= since)
                .count()
        });
        return Ok(stream(world, id, batch, from));
    }
    let wanted = query.command_index;
    // The end of the activity wakes its batches.
    let topics = [Topic::Batch(batch.clone())];
    let began = world.with(|state| {
        state
            .activities
            .get(&id)
            .is_some_and(Activity::has_exe_unit)
    });
    let hears = |state: &Network| {
        let activity = state.activities.get(&id);
        !(began && activity.is_some_and(Activity::is_lost))
            && activity.is_none_or(|it| state.providers.reaches(&it.provider))
    };
    let arrived = world.poll_until(&topics, deadline, |state| {
        if !hears(state) {
            return None;
        }
        match state.activities.batch_results(&id, &batch, wanted) {
            Ok((true, results)) => Some(Ok(results)),
            Ok((false, _)) => None,
            Err(error) => Some(Err(error)),
        }
    });
    let results = match arrived.await {
        Some(results) => results,
        // Its exe-unit was killed meanwhile, or its node is gone.
        None if !world.with(|state| hears(state)) => Err(ActivityError::Unreachable),
        None if wanted.is_some() => Err(ActivityError::Timeout),
        None => world
            .with(|state| state.activities.batch_results(&id, &batch, wanted))
            .map(|(_, results)| results),
    };
    let results = or_silence(&world, results, deadline).await?;
    Ok(Json(results).into_response())
}

/// Events of a batch from number `first` on as they come, counted from 0, then pings for ever.
fn stream(world: World, id: ActivityId, batch: BatchId, first: usize) -> Response {
    let frames = futures::stream::unfold((world, first), move |(world, from)| {
        let (id, batch) = (id.clone(), batch.clone());
        async move {
            let deadline = world.now() + PING;
            let topics = [Topic::Batch(batch.clone())];
            let news = world.poll_until(&topics, deadline, |state| {
                let events = state.activities.batch_events(&id, &batch, from);
                (!events.is_empty()).then(|| events.to_vec())
            });
            let mut text = String::new();
            let mut next = from;
            match news.await {
                Some(events) => {
                    for event in events {
                        let data = event.to_json(&batch);
                        text += &format!("event: runtime\ndata: {data}\nid: {}\n\n", next - first);
                        next += 1;
                    }
                }
                None if world.now() >= deadline => text += ":ping\n\n",
                None => return None,
            }
            Some((
                Ok::<_, std::convert::Infallible>(Bytes::from(text)),
                (world, next),
            ))
        }
    });
    let mut response = Response::new(Body::from_stream(frames));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
