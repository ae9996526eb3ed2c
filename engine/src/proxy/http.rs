//! A local web server in front of the instances of a cluster. Owns: whose turn it is, what is passed on of a
//! request and an answer, their limits, and what the client is told when there is no answer. Does not own:
//! HTTP itself (`hyper`).

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ProxyError;
use super::listener::Listener;
use super::relay::relay;
use crate::cause::chain;
use crate::deadline;
use crate::network::{NetworkError, TcpConnection};
use crate::service::{Cluster, InstanceHandle, Service, ServiceState};
use crate::tasks::TaskGroup;
use crate::transport::{BoxError, Io};

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Buffer of a connection that was upgraded, in bytes each way.
const BUFFER: usize = 64 * 1024;

/// What a hop says to the next one only (RFC 9110, section 7.6.1).
const OF_THE_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Sets up a local web server whose requests are answered by the instances of a cluster, in turn. The cluster
/// has to have a [virtual network](crate::network::Network).
///
/// Bodies are passed on as they come, both ways, whatever their length; connections that are upgraded
/// (websockets) are passed on as bytes. Where no instance answers, the client is told why, in a line of
/// text:
///
/// | status | when |
/// |---|---|
/// | 413 | the body is longer than [`max_request_size`](Self::max_request_size) |
/// | 502 | no instance is running, none takes a connection, or the connection broke before the answer began |
/// | 504 | the answer did not begin within [`response_timeout`](Self::response_timeout) |
///
/// A request whose instance takes no connection is tried on the next one; one that was sent is not sent twice.
///
/// ```no_run
/// # use golem_engine::proxy::LocalHttpProxy;
/// # use golem_engine::service::{Cluster, Service};
/// # async fn example<S: Service>(cluster: Cluster<S>) -> Result<(), golem_engine::proxy::ProxyError> {
/// let proxy = LocalHttpProxy::new(&cluster, 8080).remote_port(80).run().await?;
/// println!("open http://{}", proxy.local_addr());
/// // …
/// proxy.stop().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing listens before `run()`"]
pub struct LocalHttpProxy {
    instances: Instances,
    group: TaskGroup,
    has_network: bool,
    address: String,
    port: u16,
    settings: Settings,
}

/// The living instances.
type Instances = Arc<dyn Fn() -> Vec<InstanceHandle> + Send + Sync>;

#[derive(Clone, Debug)]
struct Settings {
    remote_port: u16,
    remote_host: Option<String>,
    response_timeout: Duration,
    max_request_size: usize,
}

impl LocalHttpProxy {
    /// Requests to `port` of this computer go to the instances of `cluster`. Port 0 is any that is free.
    pub fn new<S: Service>(cluster: &Cluster<S>, port: u16) -> Self {
        let source = cluster.clone();
        LocalHttpProxy {
            group: cluster.context().loops().child("http-proxy"),
            has_network: cluster.network().is_some(),
            instances: Arc::new(move || source.live()),
            address: Ipv4Addr::LOCALHOST.to_string(),
            port,
            settings: Settings {
                remote_port: 80,
                remote_host: None,
                response_timeout: Duration::from_secs(30),
                max_request_size: 128 << 20,
            },
        }
    }

    /// The address of this computer to listen on; 127.0.0.1 unless set, which other computers do not reach.
    pub fn address(mut self, address: impl ToString) -> Self {
        self.address = address.to_string();
        self
    }

    /// The port that the service listens on in its machine; 80 unless set.
    pub fn remote_port(mut self, port: u16) -> Self {
        self.settings.remote_port = port;
        self
    }

    /// The host that requests name to the service (`Host`); what the client says unless set.
    pub fn remote_host(mut self, host: impl Into<String>) -> Self {
        self.settings.remote_host = Some(host.into());
        self
    }

    /// How long it may take from the request to the beginning of the answer; 30 seconds unless set. The body of
    /// an answer may take any time.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.settings.response_timeout = timeout;
        self
    }

    /// The longest body of a request, in bytes; 128 MiB unless set.
    pub fn max_request_size(mut self, bytes: usize) -> Self {
        self.settings.max_request_size = bytes;
        self
    }

    /// Begins to listen. It ends with what is returned, or with the engine.
    ///
    /// # Errors
    /// [`ProxyError::PortInUse`], [`ProxyError::Bind`], [`ProxyError::InvalidAddress`],
    /// [`NetworkError::NoNetwork`] for a cluster without a network, [`ProxyError::Stopped`].
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing listens when it is dropped.
    pub async fn run(self) -> Result<HttpProxyServer, ProxyError> {
        if !self.has_network {
            return Err(NetworkError::NoNetwork.into());
        }
        let address: IpAddr = self
            .address
            .parse()
            .map_err(|_| ProxyError::invalid(&self.address))?;
        let stop = CancellationToken::new();
        let front = Arc::new(Front {
            instances: self.instances,
            settings: self.settings,
            turn: AtomicUsize::new(0),
            group: self.group.clone(),
            stop: stop.clone(),
        });
        let serve = move |io, peer| serve(Arc::clone(&front), io, peer);
        let address = SocketAddr::new(address, self.port);
        let listener = Listener::bind(address, self.group, stop, serve).await?;
        Ok(HttpProxyServer(listener))
    }
}

impl fmt::Debug for LocalHttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHttpProxy")
            .field("address", &self.address)
            .field("port", &self.port)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A local web server in front of a cluster; made by [`LocalHttpProxy::run`]. Dropping it cuts off what is under
/// way; [`stop`](Self::stop) lets it end.
pub struct HttpProxyServer(Listener);

impl HttpProxyServer {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its address for browsers.
    pub fn url(&self) -> String {
        format!("http://{}", self.local_addr())
    }

    /// A client's connection without a socket: HTTP/1.1 is spoken on it as on one to
    /// [`local_addr`](Self::local_addr). For programs in virtual time.
    ///
    /// # Errors
    /// [`ProxyError::Stopped`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn connect(
        &self,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug + use<>, ProxyError> {
        self.0.connect().await
    }

    /// Takes no new connections, lets requests under way end for five seconds, and cuts off the rest. A second
    /// time does nothing.
    ///
    /// # Cancel safety
    /// Cancel-safe: what was not cut off is when this is dropped.
    pub async fn stop(&self) {
        self.0.stop().await;
    }
}

impl fmt::Debug for HttpProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProxyServer")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// What all connections share.
struct Front {
    instances: Instances,
    settings: Settings,
    turn: AtomicUsize,
    group: TaskGroup,
    stop: CancellationToken,
}

/// Why a request has no answer of an instance.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("no instance of the service is running")]
    NoInstance,
    #[error("{instance} takes no connection: {why}")]
    Unreachable { instance: String, why: String },
    #[error("{instance} did not answer: {why}")]
    Broken { instance: String, why: String },
    #[error("no instance took a connection within {after:?}")]
    NoConnection { after: Duration },
    #[error("{instance} did not begin to answer within {after:?}")]
    Late { instance: String, after: Duration },
    #[error("the request's body is longer than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the request cannot be passed on: {why}")]
    Unsendable { why: String },
}

impl NoAnswer {
    fn status(&self) -> StatusCode {
        match self {
            NoAnswer::NoInstance | NoAnswer::Unreachable { .. } | NoAnswer::Broken { .. } => {
                StatusCode::BAD_GATEWAY
            }
            NoAnswer::Late { .. } | NoAnswer::NoConnection { .. } => StatusCode::GATEWAY_TIMEOUT,
            NoAnswer::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            NoAnswer::Unsendable { .. } => StatusCode::BAD_REQUEST,
        }
    }

    fn told(&self) -> Response<Body> {
        tracing::info!("a request has no answer: {self}");
        let text = Full::from(format!("{self}\n"));
        let mut response = Response::new(text.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = self.status();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}

/// Serves a client's connection.
async fn serve(front: Arc<Front>, io: Box<dyn Io>, peer: Option<SocketAddr>) {
    let stop = front.stop.clone();
    let service = service_fn(move |request| {
        let front = Arc::clone(&front);
        async move {
            let answered = front.answer(request, peer).await;
            Ok::<_, std::convert::Infallible>(answered.unwrap_or_else(|why| why.told()))
        }
    });
    let mut server = server::Builder::new();
    let connection = server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = chain(&error), "a client's connection ended");
    }
}

impl Front {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: Option<SocketAddr>,
    ) -> Result<Response<Body>, NoAnswer> {
        let limit = self.settings.max_request_size;
        if request.body().size_hint().lower() > limit as u64 {
            return Err(NoAnswer::TooLarge { limit });
        }
        let upgrade = upgrade_of(request.headers());
        let theirs = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let request = self.passed_on(request, upgrade.as_ref(), peer)?;
        let after = self.settings.response_timeout;
        let deadline = deadline::after(Instant::now(), after);
        let (instance, connection) = match timeout_at(deadline, self.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(NoAnswer::NoConnection { after }),
        };
        let name = || instance.id().to_string();
        let broken = |error: &(dyn StdError + 'static)| match is_too_long(error) {
            true => NoAnswer::TooLarge { limit },
            false => NoAnswer::Broken {
                instance: name(),
                why: chain(error),
            },
        };
        let late = || NoAnswer::Late {
            instance: name(),
            after,
        };
        let io = TokioIo::new(connection);
        let (mut sender, carrying) = match timeout_at(deadline, client::handshake(io)).await {
            Ok(opened) => opened.map_err(|error| broken(&error))?,
            Err(_) => return Err(late()),
        };
        self.group.spawn_until_cancelled("request", async move {
            if let Err(error) = carrying.with_upgrades().await {
                tracing::debug!(error = chain(&error), "a connection to an instance ended");
            }
        });
        let sending = sender.send_request(request);
        let mut response = match timeout_at(deadline, sending).await {
            Ok(answered) => answered.map_err(|error| broken(&error))?,
            Err(_) => return Err(late()),
        };
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let (true, Some(theirs)) = (switched, theirs) {
            let ours = hyper::upgrade::on(&mut response);
            self.upgraded(theirs, ours);
        }
        let (mut head, body) = response.into_parts();
        head.version = Version::HTTP_11;
        let upgrade = head.headers.get(header::UPGRADE).cloned();
        without_hop(&mut head.headers);
        if let (true, Some(upgrade)) = (switched, upgrade) {
            as_upgrade(&mut head.headers, upgrade);
        }
        let body = body.map_err(BoxError::from).boxed_unsync();
        Ok(Response::from_parts(head, body))
    }

    /// Bytes both ways from now on.
    fn upgraded(&self, theirs: hyper::upgrade::OnUpgrade, ours: hyper::upgrade::OnUpgrade) {
        let stop = self.stop.clone();
        let carrying = async move {
            let (theirs, ours) = match tokio::try_join!(theirs, ours) {
                Ok(both) => both,
                Err(error) => {
                    tracing::debug!(error = chain(&error), "an upgrade came to nothing");
                    return;
                }
            };
            let (theirs, ours) = (TokioIo::new(theirs), TokioIo::new(ours));
            if let Err(error) = relay(theirs, ours, BUFFER, None).await {
                tracing::debug!(%error, "an upgraded connection ended");
            }
        };
        self.group.spawn_until_cancelled("upgraded", async move {
            stop.run_until_cancelled(carrying).await;
        });
    }

    /// The request as the instance gets it.
    fn passed_on(
        &self,
        request: Request<Incoming>,
        upgrade: Option<&HeaderValue>,
        peer: Option<SocketAddr>,
    ) -> Result<Request<Body>, NoAnswer> {
        let (mut head, body) = request.into_parts();
        let unsendable = |why: &dyn fmt::Display| NoAnswer::Unsendable {
            why: why.to_string(),
        };
        let root = || PathAndQuery::from_static("/");
        let path = head.uri.path_and_query().cloned().unwrap_or_else(root);
        let said = head.uri.authority().map(|host| host.as_str().to_owned());
        head.uri = Uri::from(path);
        head.version = Version::HTTP_11;
        without_hop(&mut head.headers);
        if let Some(upgrade) = upgrade {
            as_upgrade(&mut head.headers, upgrade.clone());
        }
        let host = self.settings.remote_host.clone().or(said);
        let host = match host {
            Some(host) => Some(HeaderValue::try_from(host).map_err(|error| unsendable(&error))?),
            None if !head.headers.contains_key(header::HOST) => {
                Some(HeaderValue::from_static("localhost"))
            }
            None => None,
        };
        if let Some(host) = host {
            head.headers.insert(header::HOST, host);
        }
        if let Some(from) = peer.and_then(|peer| HeaderValue::try_from(peer.ip().to_string()).ok())
        {
            head.headers.append("x-forwarded-for", from);
        }
        let body = Limited::new(body, self.settings.max_request_size);
        Ok(Request::from_parts(head, body.boxed_unsync()))
    }

    /// A connection to the instance whose turn it is, or to the next that takes one.
    async fn connect(&self) -> Result<(InstanceHandle, TcpConnection), NoAnswer> {
        let mut instances = (self.instances)();
        instances.retain(|it| it.state() == ServiceState::Running && it.address().is_some());
        if instances.is_empty() {
            return Err(NoAnswer::NoInstance);
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % instances.len();
        instances.rotate_left(first);
        let mut last = NoAnswer::NoInstance;
        for instance in instances {
            match instance.connect_tcp(self.settings.remote_port).await {
                Ok(connection) => return Ok((instance, connection)),
                Err(why) => {
                    last = NoAnswer::Unreachable {
                        instance: instance.id().to_string(),
                        why: chain(&why),
                    };
                }
            }
        }
        Err(last)
    }
}

/// What a request wants its connection to become.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let says = |value: &HeaderValue| {
        let tokens = value.to_str().unwrap_or_default().split(',');
        tokens
            .map(str::trim)
            .any(|token| token.eq_ignore_ascii_case("upgrade"))
    };
    let wanted = headers.get_all(header::CONNECTION).iter().any(says);
    headers.get(header::UPGRADE).filter(|_| wanted).cloned()
}

fn as_upgrade(headers: &mut HeaderMap, to: HeaderValue) {
    let upgrade = HeaderValue::from_static("upgrade");
    headers.insert(header::CONNECTION, upgrade);
    headers.insert(header::UPGRADE, to);
}

/// Takes out what is said to the next hop only, and what it names as such.
fn without_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_THE_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// Whether a body was cut off at its limit.
fn is_too_long(error: &(dyn StdError + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(it) = error {
        if it.is::<LengthLimitError>() {
            return true;
        }
        error = it.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_one_hop_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Mine"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("accept", "text/html"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        assert_eq!(upgrade_of(&headers), None);
        without_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept"]);
    }

    #[test]
    fn an_upgrade_is_wanted_only_where_the_connection_says_so() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        assert_eq!(upgrade_of(&headers), None);
        let says = HeaderValue::from_static("keep-alive, Upgrade");
        headers.insert(header::CONNECTION, says);
        let websocket = HeaderValue::from_static("websocket");
        assert_eq!(upgrade_of(&headers), Some(websocket));
    }
}
