//! The server's side of a websocket's opening handshake (RFC 6455, section 4.2), in the words of the daemon.
//!
//! Owns: which requests are refused, the answer, the limits of frames. Does not own: what is said on the
//! socket. axum's own extractor needs an older version of the websocket library, of its hashes and of
//! its random numbers, all of them a second time.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::world::World;

pub(super) use tokio_tungstenite::tungstenite::Message;
pub(super) use tokio_tungstenite::tungstenite::protocol::CloseFrame;
pub(super) use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A client's socket.
pub(super) type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A request that asks for a websocket.
pub(super) struct Upgrade {
    key: HeaderValue,
    /// As the client lists them.
    protocols: Vec<String>,
    on_upgrade: OnUpgrade,
}

/// Why a request is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoUpgrade {
    #[error("Request method must be `GET`")]
    Method,
    #[error("connection upgrade is expected")]
    Connection,
    #[error("WebSocket upgrade is expected")]
    Protocol,
    #[error("unknown WebSocket key")]
    Key,
    #[error("unsupported WebSocket version")]
    Version,
    #[error("WebSocket version header is required")]
    NoVersion,
    #[error("WebSocket request couldn't be upgraded since no upgrade state was present")]
    Connectionless,
}

impl IntoResponse for NoUpgrade {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = NoUpgrade;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoUpgrade> {
        if parts.method != Method::GET {
            return Err(NoUpgrade::Method);
        }
        let says = |name: HeaderName| text(&parts.headers, name).to_ascii_lowercase();
        if says(header::UPGRADE) != "websocket" {
            return Err(NoUpgrade::Protocol);
        }
        if !says(header::CONNECTION).contains("upgrade") {
            return Err(NoUpgrade::Connection);
        }
        match text(&parts.headers, header::SEC_WEBSOCKET_VERSION) {
            "13" => {}
            "" => return Err(NoUpgrade::NoVersion),
            _ => return Err(NoUpgrade::Version),
        }
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        let key = key.ok_or(NoUpgrade::Key)?;
        let protocols = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let protocols = protocols
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(|protocol| protocol.trim().to_owned())
            .collect();
        let on_upgrade = parts.extensions.remove();
        Ok(Upgrade {
            key,
            protocols,
            on_upgrade: on_upgrade.ok_or(NoUpgrade::Connectionless)?,
        })
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

impl Upgrade {
    /// Answers the request, with `protocol` if the client lists it; `serve` has the socket then, in a task of
    /// `world`. Its frames and messages are at most `limit` bytes long.
    pub(super) fn accept<F: Future<Output = ()> + Send + 'static>(
        self,
        world: &World,
        protocol: Option<&'static str>,
        limit: usize,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response {
        let config = WebSocketConfig::default()
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let on_upgrade = self.on_upgrade;
        let socket = async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let io = TokioIo::new(upgraded);
                    serve(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
                        .await;
                }
                Err(error) => tracing::debug!("a websocket was gone before it was opened: {error}"),
            }
        };
        world.spawn_to_say_goodbye(socket);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(self.key.as_bytes())) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        let listed = |protocol: &&str| self.protocols.iter().any(|it| it == protocol);
        if let Some(protocol) = protocol.filter(listed) {
            let protocol = HeaderValue::from_static(protocol);
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(headers: &[(&str, &str)]) -> Option<NoUpgrade> {
        let mut request = axum::http::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        let upgrade = Upgrade::from_request_parts(&mut parts, &()).await;
        upgrade.err()
    }

    #[tokio::test]
    async fn each_missing_header_is_named() {
        let headers = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let refusals = [
            NoUpgrade::Protocol,
            NoUpgrade::Connection,
            NoUpgrade::NoVersion,
            NoUpgrade::Key,
            NoUpgrade::Connectionless,
        ];
        for (present, refused) in refusals.into_iter().enumerate() {
            assert_eq!(refusal(&headers[..present]).await, Some(refused));
        }
    }
}
