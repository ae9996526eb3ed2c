//! What a simulated machine serves on its network: an echo on port 7, a small web server on port 80,
//! what its daemons answer (`nginx` on port 80, `sshd` on port 22), and ports that its provider's
//! configuration forwards to this computer.
//!
//! Owns finding the service behind an address and the bytes it answers. Who may connect is the
//! network's business.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
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

use super::{NetError, nginx, ssh};
use crate::daemon::activity;
use crate::world::{State, World};
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

impl State {
    /// The service at an address of the caller's network; `None` if nobody listens there now.
    pub(crate) fn tcp_target(
        &self,
        owner: &NodeId,
        network: &NetworkId,
        ip: &str,
        port: u16,
    ) -> Result<Option<Target>, NetError> {
        let network = self.network(owner, network)?;
        let ip: IpAddr = super::subnet::host(ip)?;
        let found = self
            .machine_at(network, ip)
            .and_then(|id| Some((id, self.activity(id)?)));
        let Some((id, activity)) = found else {
            return Ok(None);
        };
        let forwarded = self
            .provider(&activity.provider)
            .and_then(|p| p.spec.ports.get(&port));
        let service = match (forwarded, port) {
            (Some(real), _) => Service::Forward(*real),
            (None, ECHO) => Service::Echo,
            (None, HTTP) => Service::Http,
            (None, SSH) if activity.file(SSHD_PID).is_some() => Service::Ssh,
            _ => return Ok(None),
        };
        let ends = [network.stop.clone(), activity.stop_token()];
        Ok(Some(Target {
            activity: id.clone(),
            service,
            client: network.own_address(),
            ends,
        }))
    }
}

impl World {
    /// Connects to a service.
    pub(crate) async fn tcp_connect(&self, target: &Target) -> io::Result<Box<dyn Stream>> {
        let (near, far) = tokio::io::duplex(WINDOW);
        match target.service {
            Service::Forward(real) => return Ok(Box::new(TcpStream::connect(real).await?)),
            Service::Echo => self.spawn(echo(far)),
            Service::Ssh => self.spawn(ssh::serve(far)),
            Service::Http => self.spawn(web_server(self.clone(), target.clone(), far)),
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
        let index = world.with(|state| state.machine_page(activity));
        return page(StatusCode::OK, "text/html; charset=utf-8", index);
    }
    match activity::read_volume(world, activity, &format!("{SERVED}{path}")).await {
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

impl State {
    /// The machine's own page: whose it is, and its files.
    fn machine_page(&mut self, id: &ActivityId) -> String {
        let files = self.machine_files(id).map(|files| files.list(SERVED));
        let Some(activity) = self.activity(id) else {
            return String::new();
        };
        let node = &activity.provider;
        let name = self
            .provider(node)
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
}
