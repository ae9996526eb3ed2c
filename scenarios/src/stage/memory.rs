//! The simulated daemon in this process, without a socket: its router as the engine's transport.

use std::io;

use golem_engine::Transport;
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, BoxError, Io};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mock_yagna::MockYagna;
use mock_yagna::fault::{NoAnswer, NotListening};
use tower::ServiceExt;

use super::layer::Layer;

/// Bytes in flight on a websocket.
const PIPE: usize = 256 * 1024;
/// Address of a daemon in memory: no name resolves to it, and none is looked up.
pub(crate) const MEMORY_URL: &str = "http://memory.invalid";

/// A connection that ended without an answer is an error where there is no connection, too.
fn answered(
    result: Result<http::Response<axum::body::Body>, std::convert::Infallible>,
) -> Result<http::Response<axum::body::Body>, BoxError> {
    match result {
        Ok(response) if response.extensions().get::<NotListening>().is_some() => {
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, NotListening).into())
        }
        Ok(response) if response.extensions().get::<NoAnswer>().is_some() => Err(NoAnswer.into()),
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The network's router as a transport: no socket anywhere. `tasks` owns the ends of websockets.
pub fn in_memory(network: &MockYagna, tasks: &TaskGroup) -> Transport {
    under(network, tasks, &Layer::default())
}

/// The same with something around the router; websockets pass it by.
pub(super) fn under(network: &MockYagna, tasks: &TaskGroup, layer: &Layer) -> Transport {
    let tasks = tasks.clone();
    // Putting its routes together takes longer than most that a connection is for: once is enough.
    let daemon = network.router();
    let router = layer
        .around(daemon.clone())
        .map_request(|request: http::Request<Body>| request.map(axum::body::Body::new))
        .map_result(answered);
    let connections = network.clone();
    Transport::in_memory(router, move || {
        if !connections.is_listening() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                NotListening,
            ));
        }
        let (client, server) = tokio::io::duplex(PIPE);
        let service = TowerToHyperService::new(daemon.clone());
        tasks.spawn_until_cancelled("connection", async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(server), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection in memory broke");
            }
        });
        io::Result::Ok(Box::new(client) as Box<dyn Io>)
    })
}
