//! What a simulated machine serves on its network: an echo on port 7, a small web server on port 80,
//! what its daemons answer (`nginx` on port 80, `sshd` on port 22), and ports that its provider's
//! configuration forwards to this computer.
//!
//! Owns finding the service behind an address and the bytes it answers. Does not own: who may connect
//! (`daemon::net`).

mod nginx;
mod ssh;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use golem_wire::activity::ActivityState;
use golem_wire::{ActivityId, NetworkId, NodeId};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::daemon::activity::Activity;
use crate::daemon::net::{self, NetError, Network};
use crate::world::{State, World, transfer};
use mock_yagna_shell::places::SSHD_PID;

/// Port of the echo.
const ECHO: u16 = 7;
/// Port of `sshd`, while it runs.
const SSH: u16 = 22;
/// Port of the web server.
const HTTP: u16 = 80;
/// What the web server serves.
const SERVED: &str = "/golem/output";
/// Bytes that may be on their way in each direction.
const WINDOW: usize = 64 * 1024;

/// A connection's bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Echo,
    Http,
    Ssh,
    Forward(SocketAddr),
}

/// A service that can be connected to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    activity: ActivityId,
    service: Service,
    /// Who connects.
    client: IpAddr,
    /// The network is removed, or what the activity runs ends.
    pub(crate) ends: [CancellationToken; 2],
}

/// The service at an address of the caller's network; `None` if nothing listens there now.
pub(crate) fn find(
    state: &State,
    owner: &NodeId,
    network: &NetworkId,
    ip: &str,
    port: u16,
) -> Result<Option<Target>, NetError> {
    let network = state.networks.network(owner, network)?;
    let ip = net::host(ip)?;
    let Some((id, activity)) = machine_at(state, network, ip) else {
        return Ok(None);
    };
    let forwarded = state
        .providers
        .get(&activity.provider)
        .and_then(|p| p.spec.ports.get(&port));
    let service = match (forwarded, port) {
        (Some(real), _) => Service::Forward(*real),
        (None, ECHO) => Service::Echo,
        (None, HTTP) => Service::Http,
        (None, SSH) if activity.file(SSHD_PID).is_some() => Service::Ssh,
        _ => return Ok(None),
    };
    let ends = [network.stop_token(), activity.stop_token()];
    Ok(Some(Target {
        activity: id.clone(),
        service,
        client: network.own_address(),
        ends,
    }))
}

/// The ready machine behind an address of a network, while its provider is a node of that network
/// and passes bytes on.
fn machine_at<'a>(
    state: &'a State,
    network: &Network,
    ip: IpAddr,
) -> Option<(&'a ActivityId, &'a Activity)> {
    let node = network.node_at(ip)?;
    let (id, activity) = state.activities.joined(network.id(), ip)?;
    let there = activity.provider == *node && activity.state == ActivityState::Ready;
    (there && state.providers.answers(node)).then_some((id, activity))
}

impl Target {
    /// Connects to the service.
    pub(crate) async fn connect(&self, world: &World) -> io::Result<Box<dyn Stream>> {
        let (near, far) = tokio::io::duplex(WINDOW);
        match self.service {
            Service::Forward(real) => return Ok(Box::new(TcpStream::connect(real).await?)),
            Service::Echo => world.spawn(echo(far)),
            Service::Ssh => world.spawn(ssh::serve(far)),
            Service::Http => world.spawn(web_server(world.clone(), self.clone(), far)),
        };
        Ok(Box::new(near))
    }
}

async fn echo(stream: DuplexStream) {
    let (mut read, mut write) = tokio::io::split(stream);
    // The other side went away in the middle of it: nothing is left to do.
    drop(tokio::io::copy(&mut read, &mut write).await);
}

async fn web_server(world: World, target: Target, stream: DuplexStream) {
    let service = service_fn(|request| {
        let (world, target) = (world.clone(), target.clone());
        async move { Ok::<_, Infallible>(answer(&world, &target, &request).await) }
    });
    // No date: the machine's clock is the network's, and the library knows only the real one.
    let mut server = hyper::server::conn::http1::Builder::new();
    let connection = server
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the web server of a machine ended: {error}");
    }
}

pub(super) fn page(
    status: StatusCode,
    kind: &'static str,
    content: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(content.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "log" | "csv") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The answer of the web server, through `nginx` if it was started.
async fn answer(
    world: &World,
    target: &Target,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let activity = &target.activity;
    if !nginx::runs(world, activity) {
        return own_pages(world, activity, request).await;
    }
    let mut response = match nginx::answer(world, activity, request) {
        Some(response) => response,
        None => match own_pages(world, activity, request).await {
            none if none.status() == StatusCode::NOT_FOUND => nginx::error(StatusCode::NOT_FOUND),
            found => found,
        },
    };
    nginx::finish(world, activity, target.client, request, &mut response);
    response
}

async fn own_pages(
    world: &World,
    activity: &ActivityId,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
    }
    let path = request.uri().path();
    if path == "/" {
        let index = world.with(|state| machine_page(state, activity));
        return page(StatusCode::OK, "text/html; charset=utf-8", index);
    }
    match transfer::read_volume(world, activity, &format!("{SERVED}{path}")).await {
        Some(content) => page(StatusCode::OK, kind_of(path), content),
        None => page(
            StatusCode::NOT_FOUND,
            TEXT,
            format!("no {SERVED}{path} here\n"),
        ),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The machine's own page: whose it is, and its files.
fn machine_page(state: &mut State, id: &ActivityId) -> String {
    let files = state.activities.files(state.ports.now, id);
    let files = files.map(|files| files.list(SERVED));
    let Some(activity) = state.activities.get(id) else {
        return String::new();
    };
    let node = &activity.provider;
    let name = state
        .providers
        .get(node)
        .map_or(node.as_str(), |provider| provider.name.as_str());
    let name = escaped(name);
    let mut page = format!(
        "<!doctype html>\n<html>\n<head><title>{name}</title></head>\n<body>\n<h1>{name}</h1>\n\
             <p>provider {node}</p>\n<p>activity {id}</p>\n<ul>\n"
    );
    for file in files.unwrap_or_default() {
        let file = escaped(&file);
        page += &format!("<li><a href=\"/{file}\">{file}</a></li>\n");
    }
    page + "</ul>\n</body>\n</html>\n"
}
