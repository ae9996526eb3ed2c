//! Real sockets, by reqwest.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::net::TcpStream;

use super::{Body, BoxFuture, Io, TransportError, Wire};

/// A daemon is near; one that does not answer a SYN for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where `http` lives if an address does not say.
const HTTP_PORT: u16 = 80;

pub(super) struct HttpClient {
    client: Result<reqwest::Client, String>,
}

impl HttpClient {
    pub(super) fn new() -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            // Below the daemon's own keep-alive of 60 s, so that it never closes under a request.
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| error.to_string());
        HttpClient { client }
    }
}

impl Wire for HttpClient {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, TransportError>> {
        let client = self.client.clone();
        Box::pin(async move {
            let client = client.map_err(|error| TransportError::Unsendable(error.into()))?;
            let request = reqwest::Request::try_from(request).map_err(unsendable)?;
            let response = client.execute(request).await.map_err(|error| {
                if error.is_connect() {
                    TransportError::Connect(error.into())
                } else if error.is_builder() {
                    unsendable(error)
                } else {
                    TransportError::Broken(error.into())
                }
            })?;
            let response = Response::<reqwest::Body>::from(response);
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    }

    fn connect(&self, url: &Uri) -> BoxFuture<Result<Box<dyn Io>, TransportError>> {
        let address = url
            .host()
            .map(|host| host.trim_matches(['[', ']']).to_owned())
            .zip(Some(url.port_u16().unwrap_or(HTTP_PORT)))
            .ok_or_else(|| TransportError::Unsendable(format!("no host in {url}").into()));
        Box::pin(async move {
            let connect = TcpStream::connect(address?);
            match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
                Ok(Ok(stream)) => {
                    // Frames are small; waiting for more of them only adds latency.
                    stream
                        .set_nodelay(true)
                        .map_err(|error| TransportError::Connect(error.into()))?;
                    Ok(Box::new(stream) as Box<dyn Io>)
                }
                Ok(Err(error)) => Err(TransportError::Connect(error.into())),
                Err(elapsed) => Err(TransportError::Connect(elapsed.into())),
            }
        })
    }
}

fn unsendable(error: reqwest::Error) -> TransportError {
    TransportError::Unsendable(error.into())
}
