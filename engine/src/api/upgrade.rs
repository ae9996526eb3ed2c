//! The opening handshake of a websocket (RFC 6455, section 4.1). Owns: the one request and the check
//! of its answer. Does not own: HTTP (`hyper`). The websocket library's own handshake is not used,
//! because it logs whole requests, and this one carries the app key.

use std::pin::pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::cause::chain;
use crate::transport::Io;

/// An answer's head is a few hundred bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Why there is no websocket.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UpgradeError {
    /// The request cannot be sent at all.
    #[error("{0}")]
    Unsendable(String),
    /// The connection broke under way.
    #[error("{0}")]
    Broken(String),
    /// The daemon answered something else.
    #[error("status {0}")]
    Refused(StatusCode),
    /// The daemon does not speak the protocol.
    #[error("{0}")]
    Malformed(String),
}

/// What to ask for.
pub(super) struct Upgrade<'a> {
    pub(super) url: &'a Uri,
    pub(super) authorization: HeaderValue,
    /// What both sides must name, if anything.
    pub(super) subprotocol: Option<&'static str>,
    /// 16 bytes that differ from handshake to handshake.
    pub(super) nonce: [u8; 16],
    pub(super) config: WebSocketConfig,
}

impl Upgrade<'_> {
    /// Turns a byte stream into a websocket.
    ///
    /// # Cancel safety
    /// Dropping it closes the stream.
    pub(super) async fn perform(
        self,
        stream: Box<dyn Io>,
    ) -> Result<WebSocketStream<Box<dyn Io>>, UpgradeError> {
        let key = STANDARD.encode(self.nonce);
        let request = self.request(&key)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let asking = async {
            let response = sender.send_request(request).await?;
            match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => {}
                status => return Err(UpgradeError::Refused(status)),
            }
            check(response.headers(), &key, self.subprotocol)?;
            Ok(hyper::upgrade::on(response).await?)
        };
        let mut asking = pin!(asking);
        let upgraded = tokio::select! {
            biased;
            upgraded = &mut asking => upgraded,
            // It ends when it hands its stream over, or with the error that `asking` is told as well.
            _ = connection.with_upgrades() => asking.await,
        }?;
        let parts = upgraded
            .downcast::<TokioIo<Box<dyn Io>>>()
            .map_err(|_| UpgradeError::Broken("the connection is lost".into()))?;
        // Frames may have come along with the answer.
        let frames = parts.read_buf.into();
        let stream = parts.io.into_inner();
        Ok(
            WebSocketStream::from_partially_read(stream, frames, Role::Client, Some(self.config))
                .await,
        )
    }

    fn request(&self, key: &str) -> Result<Request<Empty<Bytes>>, UpgradeError> {
        let host = self.url.authority().map_or("", |host| host.as_str());
        let mut request = Request::get(self.url.path());
        if let Some(subprotocol) = self.subprotocol {
            request = request.header(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        request
            .header(header::HOST, host)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, key)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .body(Empty::new())
            .map_err(|error| UpgradeError::Unsendable(error.to_string()))
    }
}

impl From<hyper::Error> for UpgradeError {
    fn from(error: hyper::Error) -> Self {
        let reason = chain(&error);
        if error.is_parse() {
            UpgradeError::Malformed(reason)
        } else {
            UpgradeError::Broken(reason)
        }
    }
}

fn check(headers: &HeaderMap, key: &str, subprotocol: Option<&str>) -> Result<(), UpgradeError> {
    let says = |name, text: &str| headers.get(name).is_some_and(|value| value == text);
    if !says(
        header::SEC_WEBSOCKET_ACCEPT,
        &derive_accept_key(key.as_bytes()),
    ) {
        return Err(UpgradeError::Malformed(
            "its `Sec-WebSocket-Accept` does not fit".into(),
        ));
    }
    if subprotocol.is_some_and(|wanted| !says(header::SEC_WEBSOCKET_PROTOCOL, wanted)) {
        return Err(UpgradeError::Malformed(
            "it names another subprotocol, or none".into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_tungstenite::tungstenite::Message;

    use super::*;

    /// The RFC's own example: what follows from the nonce "the sample nonce".
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    /// Asks a daemon that answers `answer` and then closes the connection.
    async fn ask(answer: &[u8]) -> Result<WebSocketStream<Box<dyn Io>>, UpgradeError> {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let url = Uri::from_static("http://daemon:7465/a%20b");
        let upgrade = Upgrade {
            url: &url,
            authorization: HeaderValue::from_static("Bearer secret"),
            subprotocol: Some("p"),
            nonce: *b"the sample nonce",
            config: WebSocketConfig::default(),
        };
        let daemon = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                theirs.read_buf(&mut request).await.expect("the request");
            }
            // It may be closed to us by then.
            let _ = theirs.write_all(answer).await;
            drop(theirs);
            String::from_utf8(request).expect("a request is text")
        };
        let (socket, request) = tokio::join!(upgrade.perform(Box::new(ours)), daemon);
        assert!(request.starts_with("GET /a%20b HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("host: daemon:7465\r\n"), "{request}");
        socket
    }

    async fn answer(status: &str, accept: &str, protocol: &str) -> Result<(), UpgradeError> {
        let head = format!(
            "HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
             sec-websocket-ACCEPT: {accept}\r\nSec-WebSocket-Protocol:{protocol}\r\n\r\n"
        );
        ask(head.as_bytes()).await.map(drop)
    }

    #[tokio::test]
    async fn the_answer_must_fit_the_question() {
        assert_eq!(answer("101 Switching Protocols", ACCEPT, "p").await, Ok(()));
        assert!(matches!(
            answer("101 x", "other", "p").await,
            Err(UpgradeError::Malformed(_))
        ));
        assert!(matches!(
            answer("101 x", ACCEPT, "q").await,
            Err(UpgradeError::Malformed(_))
        ));
        let refused = answer("404 Not Found", ACCEPT, "p").await;
        assert_eq!(refused, Err(UpgradeError::Refused(StatusCode::NOT_FOUND)));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_http_is_refused() {
        for head in [
            &b"HTTP/1.1\r\n\r\n"[..],
            b"HTTP/1.1 abc\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"\xff\xfe\r\n\r\n",
        ] {
            let refused = ask(head).await.map(drop);
            assert!(
                matches!(refused, Err(UpgradeError::Malformed(_))),
                "{head:?}: {refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_a_broken_connection() {
        for head in [&b""[..], b"\r\n\r\n", b"HTTP/1.1 101 x\r\nUpgra"] {
            let broken = ask(head).await.map(drop);
            assert!(
                matches!(broken, Err(UpgradeError::Broken(_))),
                "{head:?}: {broken:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_given_up_at_its_limit() {
        let line = format!("a: {}\r\n", "b".repeat(1000));
        let head = format!("HTTP/1.1 101 x\r\n{}", line.repeat(40));
        let refused = ask(head.as_bytes()).await.map(drop);
        assert!(
            matches!(refused, Err(UpgradeError::Malformed(_))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn frames_that_come_along_with_the_answer_are_kept() {
        let head = format!(
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: p\r\n\r\n"
        );
        let answer = [head.as_bytes(), b"\x81\x02hi"].concat();
        let mut socket = ask(&answer).await.expect("a websocket");
        let first = socket.next().await.expect("a frame").expect("whole");
        assert_eq!(first, Message::text("hi"));
    }
}
