//! Serving HTTP/1.1 on a listener: a task for each connection, and when connections end.
//!
//! Owns the connections and how long an idle one is kept, which `axum::serve` has no word for. Does not
//! own the listener (`fault::listener`) and the service (`http`).

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// How long the daemon keeps a connection after an answer; here the head of a first request may take as
/// long, too. A request under way, an event stream and a websocket are not idle however long they are
/// silent.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Answers every connection of `listener` with the service that `service_of` makes for it, until `stop`;
/// then idle connections end at once, the others with their answer. Dropping it ends all of them.
pub(crate) async fn serve<L, S>(
    mut listener: L,
    service_of: impl Fn(&L::Io) -> S,
    stop: CancellationToken,
) where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (io, _) = listener.accept() => {
                let service = service_of(&io);
                connections.spawn(connection(io, service, stop.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, to its end or its upgrade.
async fn connection<I, S>(io: I, service: S, stop: CancellationToken)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut http = http1::Builder::new();
    // The timer reads tokio's clock: in virtual time a connection is idle in virtual time.
    http.timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE);
    let serving = http.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
    let mut serving = pin!(serving.with_upgrades());
    let ended = tokio::select! {
        biased;
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!("a connection ended: {error}");
    }
}

#[cfg(test)]
mod tests;
