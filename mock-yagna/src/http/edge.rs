//! The edge of the daemon: what faults do to requests and answers, with or without a socket.
//!
//! "No answer" is a body that fails at once: a server that meets it closes the connection before a
//! byte of the answer is sent. Such an answer carries [`NoAnswer`], so that a client in the same
//! process can tell it from one that began.

mod stream;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::connect_info::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::stream::once;
use futures::{FutureExt as _, StreamExt};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::control::PREFIX;
use super::router::Next;
use crate::fault::listener::Peer;
use crate::fault::{
    Effect, Hit, NoAnswer, NotListening, OpenRequests, Poll, Spoiled, WhichAnswer, poll_of,
};
use crate::topics::Topic;
use crate::world::World;
use stream::{Trouble, is_stream, troubled};

/// Largest answer that is altered.
const LIMIT: usize = 64 * 1024 * 1024;

/// Lets a request through as far as the faults of now allow.
pub(super) fn apply(request: Request, next: &mut Next) -> BoxFuture<'static, Response> {
    let control = request.uri().path().starts_with(PREFIX);
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.clone());
    if let Some(peer) = &peer {
        peer.0.serves_control(control);
    }
    if control {
        return next.run(request).boxed();
    }
    let open_requests = Arc::clone(next.world.open_requests());
    let watched = open_requests.is_watched() || request.extensions().get::<Spoiled>().is_some();
    // Most are not, and hold no room for it.
    match watched {
        true => {
            let answer = watch(next.clone(), peer, request).boxed();
            until_a_restart(open_requests, answer).boxed()
        }
        false => until_a_restart(open_requests, next.run(request)).boxed(),
    }
}

/// The answer, unless the daemon is restarted before it is whole.
async fn until_a_restart(
    open_requests: Arc<OpenRequests>,
    answer: impl Future<Output = Response>,
) -> Response {
    let drops = open_requests.drops();
    let mut answer = pin!(answer);
    // Most requests are answered at once: they need not be told of a restart.
    let response = match futures::poll!(answer.as_mut()) {
        std::task::Poll::Ready(response) => response,
        std::task::Poll::Pending => tokio::select! {
            biased;
            response = answer => response,
            () = open_requests.dropped_since(drops) => no_answer(),
        },
    };
    match is_stream(&response) {
        true => ends_with(response, open_requests, drops),
        false => response,
    }
}

/// A request while there are faults, or traces of one.
async fn watch(mut next: Next, peer: Option<Peer>, mut request: Request) -> Response {
    let world = &next.world.clone();
    let (down, mut hits) = world.with(|state| {
        let down = state.faults.is_down(state.ports.now);
        let hits = match down {
            true => Vec::new(),
            false => state
                .faults
                .hits(&mut state.ports, request.method(), request.uri().path()),
        };
        (down, hits)
    });
    if down {
        return not_listening();
    }
    if let Some(Spoiled(effect)) = request.extensions_mut().remove() {
        hits.push(Hit::of_one_request(effect));
    }
    let mut after = Vec::new();
    for hit in hits {
        match hit.effect {
            Effect::Delay(_) => pause(world, hit.delay).await,
            Effect::Refuse(status) => return refusal(status),
            Effect::Reset => return reset(peer, no_answer()),
            Effect::Unreachable => return reset(peer, not_listening()),
            Effect::Wedge => wait_for_the_end(world, &hit.name).await,
            Effect::Restart(down) => {
                world.with(|state| state.restart_daemon(down));
                return no_answer();
            }
            _ => after.push(hit),
        }
    }
    let poll = poll_of(&request);
    let has_due = world.with(|state| state.faults.prepare(state.ports.now, &poll, &mut request));
    let twice = after.iter().find_map(|hit| match hit.effect {
        Effect::Twice(which) => Some(which),
        _ => None,
    });
    let mut response = match twice {
        Some(which) => processed_twice(next, request, which).await,
        None => next.run(request).await,
    };
    if has_due {
        let add = |events: &mut Vec<Value>| world.with(|state| state.faults.add_due(&poll, events));
        response = altered(response, &poll, add).await;
    }
    if is_stream(&response) {
        let strikes = |hit: &Hit| {
            world.with(|state| state.faults.strike(&mut state.ports, &hit.name, &poll.1))
        };
        let hits = after.iter_mut();
        let trouble: Vec<_> = hits
            .filter_map(|hit| trouble(hit).filter(|_| strikes(hit)))
            .collect();
        if !trouble.is_empty() {
            response = troubled(response, trouble);
        }
    }
    for hit in after {
        response = match hit.effect {
            Effect::LoseAnswer => return no_answer(),
            Effect::Misreport(status) => refusal(status),
            Effect::Truncate => truncated(response).await,
            Effect::DuplicateEvents | Effect::ReorderEvents => {
                let twice = hit.effect == Effect::DuplicateEvents;
                let change = |events: &mut Vec<Value>| {
                    let enough = events.len() >= if twice { 1 } else { 2 };
                    match enough
                        && world
                            .with(|state| state.faults.strike(&mut state.ports, &hit.name, &poll.1))
                    {
                        true if twice => events.extend_from_within(..),
                        true => events.reverse(),
                        false => {}
                    }
                };
                altered(response, &poll, change).await
            }
            Effect::RepeatEvents | Effect::PostponeEvent => {
                remembered(world, &hit, &poll, response).await
            }
            _ => response,
        };
    }
    response
}

async fn remembered(world: &World, hit: &Hit, poll: &Poll, response: Response) -> Response {
    let remember = |events: &mut Vec<Value>| {
        world.with(|state| {
            let (faults, ports) = (&mut state.faults, &mut state.ports);
            faults.remember(ports, &hit.name, &hit.effect, poll, events);
        });
    };
    altered(response, poll, remember).await
}

/// What an effect does to a stream of events.
fn trouble(hit: &mut Hit) -> Option<Trouble> {
    match &hit.effect {
        Effect::LoseEvents(share) => Some(Trouble::Lose(*share, Box::new(hit.rng.take()?))),
        Effect::DuplicateEvents => Some(Trouble::Duplicate),
        Effect::ReorderEvents => Some(Trouble::Swap(None)),
        Effect::CutStream(after) => Some(Trouble::Cut(*after)),
        _ => None,
    }
}

/// The request arrives a second time once it was answered.
async fn processed_twice(mut next: Next, request: Request, which: WhichAnswer) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return no_answer();
    };
    let body = body.to_bytes();
    let again = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let request = Request::from_parts(parts, Body::from(body));
    let first = next.run(request).await;
    match which {
        WhichAnswer::First => {
            drop(next.run(again).await);
            first
        }
        WhichAnswer::Second => {
            drop(first);
            next.run(again).await
        }
    }
}

/// The connection is reset, if there is one; without one, `answer` tells.
fn reset(peer: Option<Peer>, answer: Response) -> Response {
    if let Some(peer) = peer {
        peer.0.reset();
    }
    answer
}

async fn pause(world: &World, delay: Duration) {
    let at = world
        .now()
        .saturating_add(delay)
        .unwrap_or(jiff::Timestamp::MAX);
    let _: Option<()> = world.poll_until(&[], at, |_| None).await;
}

async fn wait_for_the_end(world: &World, fault: &str) {
    while let Some(end) = world.with(|state| state.faults.end_of(state.ports.now, fault)) {
        // Far enough to be "never", near enough for any clock.
        let end = end.min(world.now() + jiff::SignedDuration::from_hours(24 * 365));
        let over = |state: &mut crate::world::State| {
            state
                .faults
                .end_of(state.ports.now, fault)
                .is_none()
                .then_some(())
        };
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

/// The connection ends without an answer.
pub(crate) fn no_answer() -> Response {
    let mut response = Response::new(Body::from_stream(once(async {
        Err::<Bytes, NoAnswer>(NoAnswer)
    })));
    response.extensions_mut().insert(NoAnswer);
    response
}

/// The connection is refused.
fn not_listening() -> Response {
    let mut response = no_answer();
    response.extensions_mut().insert(NotListening);
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

/// What was passed on has to leave the server before its connection breaks.
pub(super) async fn leave_the_server() {
    tokio::time::sleep(Duration::from_millis(1)).await;
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
    let end = once(async {
        leave_the_server().await;
        Err(NoAnswer)
    });
    let body = once(async { Ok::<_, NoAnswer>(half) }).chain(end);
    Response::from_parts(parts, Body::from_stream(body))
}

/// Whether a path is one of events: no other list is one.
fn has_events(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next();
    last.is_some_and(|last| last == "events" || last.ends_with("Events"))
}

/// A list of events that is not as it was; any other answer stays.
async fn altered(
    response: Response,
    poll: &Poll,
    change: impl FnOnce(&mut Vec<Value>),
) -> Response {
    if response.status() != StatusCode::OK || !has_events(&poll.1) {
        return response;
    }
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
fn ends_with(response: Response, open_requests: Arc<OpenRequests>, drops: u64) -> Response {
    let (parts, body) = response.into_parts();
    let dropped = Box::pin(async move { open_requests.dropped_since(drops).await });
    let events = body.into_data_stream().take_until(dropped);
    Response::from_parts(parts, Body::from_stream(events))
}
