//! The edge of the daemon: what faults do to requests and answers, with or without a socket.
//!
//! "No answer" is a body that fails at once: a server that meets it closes the connection before a
//! byte of the answer is sent. Such an answer carries [`NoAnswer`], so that a client in the same
//! process can tell it from one that began.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use std::time::Duration;

use super::{Effect, Hit};
use crate::control::PREFIX;
use crate::world::{Topic, World};

/// Mark of a connection that ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended without an answer")]
pub struct NoAnswer;

/// Largest answer that is altered.
const LIMIT: usize = 64 * 1024 * 1024;

/// Lets a request through as far as the faults of now allow.
pub(crate) async fn apply(State(world): State<World>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with(PREFIX) {
        return next.run(request).await;
    }
    let (down, hits, dropping) = world.with(|state| {
        let down = state.is_down();
        let hits = match down {
            true => Vec::new(),
            false => state.hits(request.method(), path),
        };
        (down, hits, state.dropping())
    });
    if down {
        return no_answer();
    }
    let mut dropped = std::pin::pin!(dropping.notified());
    dropped.as_mut().enable();
    let answer = async {
        if hits.is_empty() {
            next.run(request).await
        } else {
            meet(&world, hits, request, next).await
        }
    };
    tokio::select! {
        biased;
        response = answer => ends_with(response, dropping.clone()),
        () = dropped => no_answer(),
    }
}

async fn meet(world: &World, hits: Vec<Hit>, request: Request, next: Next) -> Response {
    let mut after = Vec::new();
    for hit in hits {
        match hit.effect {
            Effect::Delay(_) => pause(world, hit.delay).await,
            Effect::Refuse(status) => return refusal(status),
            Effect::Reset => return no_answer(),
            Effect::Wedge => wait_for_the_end(world, &hit.name).await,
            Effect::Restart(down) => {
                world.with(|state| state.restart_daemon(down));
                return no_answer();
            }
            other => after.push(other),
        }
    }
    let mut response = next.run(request).await;
    for effect in after {
        response = match effect {
            Effect::LoseAnswer => return no_answer(),
            Effect::Misreport(status) => refusal(status),
            Effect::Truncate => truncated(response).await,
            Effect::DuplicateEvents => {
                altered(response, |events| events.extend_from_within(..)).await
            }
            Effect::ReorderEvents => altered(response, |events| events.reverse()).await,
            _ => response,
        };
    }
    response
}

async fn pause(world: &World, delay: Duration) {
    let at = world
        .now()
        .saturating_add(delay)
        .unwrap_or(jiff::Timestamp::MAX);
    let _: Option<()> = world.poll_until(&[], at, |_| None).await;
}

async fn wait_for_the_end(world: &World, fault: &str) {
    while let Some(end) = world.with(|state| state.fault_end(fault)) {
        // Far enough to be "never", near enough for any clock.
        let end = end.min(world.now() + jiff::SignedDuration::from_hours(24 * 365));
        let over = |state: &mut crate::world::State| state.fault_end(fault).is_none().then_some(());
        if world
            .poll_until(&[Topic::Faults], end, over)
            .await
            .is_none()
            && world.is_stopping()
        {
            return;
        }
    }
}

/// A connection that ends before an answer.
/// The connection ends without an answer.
pub(crate) fn no_answer() -> Response {
    let mut response = Response::new(Body::from_stream(stream::once(async {
        Err::<Bytes, NoAnswer>(NoAnswer)
    })));
    response.extensions_mut().insert(NoAnswer);
    response
}

/// A refusal as the daemon words it; what stands before a daemon answers 502 to 504 with a page.
fn refusal(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or("Error");
    if (502..=504).contains(&status.as_u16()) {
        let page = format!(
            "<html>\n<head><title>{0} {reason}</title></head>\n<body><h1>{0} {reason}</h1></body>\n</html>\n",
            status.as_u16()
        );
        let kind = HeaderValue::from_static("text/html");
        return (status, [(header::CONTENT_TYPE, kind)], page).into_response();
    }
    let message = match status {
        StatusCode::REQUEST_TIMEOUT => "Timeout",
        _ => reason,
    };
    (status, axum::Json(json!({ "message": message }))).into_response()
}

/// The first half of the answer, then the end of the connection.
async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return no_answer();
    };
    let whole = body.to_bytes();
    if whole.is_empty() {
        return no_answer();
    }
    let half = whole.slice(..whole.len() / 2);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let end = stream::once(async {
        // The half has to leave the server before its connection breaks.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Err(NoAnswer)
    });
    let body = stream::once(async { Ok::<_, NoAnswer>(half) }).chain(end);
    Response::from_parts(parts, Body::from_stream(body))
}

/// A list of events that is not as it was; any other answer stays.
async fn altered(response: Response, change: impl FnOnce(&mut Vec<Value>)) -> Response {
    let (mut parts, body) = response.into_parts();
    let kind = parts
        .headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    if kind != Some(b"application/json".as_slice()) {
        return Response::from_parts(parts, body);
    }
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return no_answer();
    };
    let whole = body.to_bytes();
    let Ok(mut events) = serde_json::from_slice::<Vec<Value>>(&whole) else {
        return Response::from_parts(parts, Body::from(whole));
    };
    change(&mut events);
    let text = Value::Array(events).to_string();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}

/// An event stream also ends when the daemon restarts.
fn ends_with(response: Response, dropping: std::sync::Arc<tokio::sync::Notify>) -> Response {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    if kind != Some(b"text/event-stream".as_slice()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let dropped = Box::pin(async move { dropping.notified().await });
    let events = body.into_data_stream().take_until(dropped);
    Response::from_parts(parts, Body::from_stream(events))
}
