//! The seam between the engine and a daemon: requests in, responses out, and raw byte streams for
//! websockets. Owns: nothing of the protocol. Real sockets live in `http`, a daemon in the same
//! process is any tower service.

#[cfg(feature = "http")]
mod http_client;
mod memory;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

/// Any error of the layers below.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that arrives piece by piece.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why a request did not get an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection: the request was not sent.
    #[error("cannot connect")]
    Connect(#[source] BoxError),
    /// The connection broke with the request under way: nobody knows whether it was carried out.
    #[error("the connection broke before the answer came")]
    Broken(#[source] BoxError),
    /// The request itself cannot be sent.
    #[error("the request cannot be sent")]
    Unsendable(#[source] BoxError),
}

trait Wire: Send + Sync {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, TransportError>>;
    fn connect(&self, url: &Uri) -> BoxFuture<Result<Box<dyn Io>, TransportError>>;
    /// Whether the daemon is in this process, and dies with it.
    fn is_in_memory(&self) -> bool {
        false
    }
}

/// Stands for real sockets in a build that only knows a daemon in the same process.
#[cfg(not(feature = "http"))]
struct NoSockets;

#[cfg(not(feature = "http"))]
impl NoSockets {
    fn refuse<T>() -> Result<T, TransportError> {
        let reason = "a daemon behind a socket needs the feature `http` of golem-engine, which this program was built without";
        Err(TransportError::Unsendable(reason.into()))
    }
}

#[cfg(not(feature = "http"))]
impl Wire for NoSockets {
    fn call(&self, _: Request<Bytes>) -> BoxFuture<Result<Response<Body>, TransportError>> {
        Box::pin(async { Self::refuse() })
    }

    fn connect(&self, _: &Uri) -> BoxFuture<Result<Box<dyn Io>, TransportError>> {
        Box::pin(async { Self::refuse() })
    }
}

/// A way to reach a daemon. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Transport {
    wire: Arc<dyn Wire>,
    /// Engines that were started on it.
    engines: Arc<AtomicU64>,
}

impl Transport {
    /// Real sockets: connections are kept alive, redirects are not followed, proxies not used. Without
    /// the feature `http` no request can be sent: each says so.
    pub fn http() -> Self {
        #[cfg(feature = "http")]
        let wire = http_client::HttpClient::new();
        #[cfg(not(feature = "http"))]
        let wire = NoSockets;
        Self::over(wire)
    }

    /// A daemon in this process: `service` answers requests, `connect` opens websockets' streams.
    pub fn in_memory<S, B, C>(service: S, connect: C) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        C: Fn() -> io::Result<Box<dyn Io>> + Send + Sync + 'static,
    {
        Self::over(memory::Memory::new(service, connect))
    }

    fn over(wire: impl Wire + 'static) -> Self {
        Transport {
            wire: Arc::new(wire),
            engines: Arc::default(),
        }
    }

    /// How many engines were started on this transport and its clones before the one that asks.
    pub(crate) fn count_engine(&self) -> u64 {
        self.engines.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the daemon is in this process, and dies with it.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.wire.is_in_memory()
    }

    /// Sends a request; the body of the answer is still to be read, and limited by the reader.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came. A refusal is an answer.
    ///
    /// # Cancel safety
    /// Not safe: whether the daemon has got and processed a request whose future was dropped is not known.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        self.begin(request).await
    }

    /// The same; what is given back has to be waited for, and may be moved.
    pub(crate) fn begin(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<Result<Response<Body>, TransportError>> {
        self.wire.call(request)
    }

    /// Opens a byte stream to the daemon at `url`, for a websocket handshake.
    ///
    /// # Errors
    /// [`TransportError::Connect`] when nobody listens there.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is sent on the connection, and dropping closes it.
    pub async fn connect(&self, url: &Uri) -> Result<Box<dyn Io>, TransportError> {
        self.wire.connect(url).await
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}
