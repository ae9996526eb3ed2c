//! The engine's way to the daemon as one run of the engine sees it: every request passes a switch,
//! which may have one go wrong, and may cut the way off. After the cut nothing passes in either
//! direction, for ever. Does not own: what goes wrong, which the simulated daemon does at its edge.

use std::io;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future, stream};
use golem_engine::Transport;
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, BoxError, Io, TransportError};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use mock_yagna::fault::Spoiled;

use super::crash_switch::{CrashSwitch, Passage};

/// Bytes in flight on a websocket.
const PIPE: usize = 64 * 1024;

/// `inner`, as far as `switch` lets pass. `tasks` owns what carries websockets.
pub(super) fn through(
    inner: &Transport,
    switch: &CrashSwitch,
    url: &http::Uri,
    tasks: &TaskGroup,
) -> Transport {
    let (requests, passing) = (inner.clone(), switch.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        pass(requests.clone(), passing.clone(), request)
    });
    let (inner, switch, url, tasks) = (inner.clone(), switch.clone(), url.clone(), tasks.clone());
    Transport::in_memory(service, move || connect(&inner, &switch, &url, &tasks))
}

/// Whether a request changes the daemon's state: all but reading ones, and the one that waits.
fn is_change(request: &Request<Bytes>) -> bool {
    request.method() != Method::GET && !request.uri().path().ends_with("/wait")
}

/// A request's name: its ids left out, so that requests of a kind have one name.
pub(super) fn name(method: &Method, path: &str) -> String {
    let is_word =
        |segment: &str| segment.len() < 24 && !segment.starts_with("0x") && !segment.contains('@');
    let segments = path.split('/').skip(1);
    let segments = segments.map(|s| if is_word(s) { s } else { "{}" });
    let path: Vec<_> = segments.collect();
    format!("{method} /{}", path.join("/"))
}

async fn pass(
    inner: Transport,
    switch: CrashSwitch,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut request = Request::from_parts(parts, body);
    let passage = match is_change(&request) {
        true => switch.request(&name(request.method(), request.uri().path())),
        false if switch.is_dead() => Passage::Cut,
        false => Passage::Free,
    };
    let answer = async {
        match passage {
            Passage::Free => send(&inner, request).await,
            Passage::Cut => future::pending().await,
            Passage::Last => {
                drop(send(&inner, request).await);
                switch.cut();
                future::pending().await
            }
            Passage::Fault(effect) => {
                request.extensions_mut().insert(Spoiled(effect));
                send(&inner, request).await
            }
        }
    };
    tokio::select! {
        biased;
        () = switch.dead().cancelled() => future::pending().await,
        answer = answer => answer.map(|response| behind(response, switch.clone())),
    }
}

/// An answer whose body stops coming at the cut.
fn behind(response: Response<Body>, switch: CrashSwitch) -> Response<Body> {
    response.map(|body| {
        let dead = switch.dead().clone();
        let frames = BodyStream::new(body).take_until(dead.cancelled_owned());
        // It ended by itself, or at the cut: then the end is never seen either.
        let end = stream::once(async move {
            match switch.is_dead() {
                true => future::pending().await,
                false => stream::empty(),
            }
        });
        StreamBody::new(frames.chain(end.flatten())).boxed_unsync()
    })
}

async fn send(inner: &Transport, request: Request<Bytes>) -> Result<Response<Body>, BoxError> {
    inner.call(request).await.map_err(|error| match error {
        TransportError::Connect(error)
        | TransportError::Broken(error)
        | TransportError::Unsendable(error) => error,
        error => error.into(),
    })
}

/// A websocket's stream; its far end closes at the cut, as that of a process that was killed.
fn connect(
    inner: &Transport,
    switch: &CrashSwitch,
    url: &http::Uri,
    tasks: &TaskGroup,
) -> io::Result<Box<dyn Io>> {
    if switch.is_dead() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    // In memory it is there at once, or refused.
    let mut far = match inner.connect(url).now_or_never() {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return Err(io::Error::new(io::ErrorKind::ConnectionRefused, error)),
        None => return Err(io::ErrorKind::WouldBlock.into()),
    };
    let (near, mut end) = tokio::io::duplex(PIPE);
    let switch = switch.clone();
    tasks.spawn_until_cancelled("websocket", async move {
        tokio::select! {
            biased;
            () = switch.dead().cancelled() => {}
            // A side that went away ends the stream.
            _ = tokio::io::copy_bidirectional(&mut far, &mut end) => {}
        }
    });
    Ok(Box::new(near))
}
