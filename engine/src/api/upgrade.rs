//! The opening handshake of a websocket (RFC 6455, section 4.1). Owns: the one request and the check
//! of its answer. Done here because the websocket library logs whole requests, and this one carries
//! the app key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use crate::transport::Io;

/// An answer's head is a few hundred bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Why there is no websocket.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UpgradeError {
    /// The connection broke under way.
    #[error("{0}")]
    Broken(String),
    /// The daemon answered something else.
    #[error("status {0}")]
    Refused(StatusCode),
    /// The daemon does not speak the protocol.
    #[error("{0}")]
    Malformed(&'static str),
}

/// What to ask for.
pub(super) struct Upgrade<'a> {
    pub(super) url: &'a Url,
    pub(super) authorization: HeaderValue,
    pub(super) subprotocol: &'static str,
    /// 16 bytes that differ from handshake to handshake.
    pub(super) nonce: [u8; 16],
    pub(super) config: WebSocketConfig,
}

impl Upgrade<'_> {
    /// Turns a byte stream into a websocket.
    pub(super) async fn perform(
        self,
        mut stream: Box<dyn Io>,
    ) -> Result<WebSocketStream<Box<dyn Io>>, UpgradeError> {
        let broken = |error: std::io::Error| UpgradeError::Broken(error.to_string());
        let key = STANDARD.encode(self.nonce);
        stream
            .write_all(&self.request(&key))
            .await
            .map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if read.len() > MAX_HEAD {
                return Err(UpgradeError::Malformed(
                    "the head of the answer does not end",
                ));
            }
            let mut piece = [0u8; 1024];
            let length = stream.read(&mut piece).await.map_err(broken)?;
            if length == 0 {
                return Err(UpgradeError::Broken("the connection was closed".into()));
            }
            read.extend_from_slice(&piece[..length]);
        };
        // Frames may have come along with the answer.
        let frames = read.split_off(end);
        check(&read, &key, self.subprotocol)?;
        Ok(
            WebSocketStream::from_partially_read(stream, frames, Role::Client, Some(self.config))
                .await,
        )
    }

    fn request(&self, key: &str) -> Vec<u8> {
        let host = self.url.host_str().unwrap_or_default();
        let port = self
            .url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: {}\r\nAuthorization: ",
            self.url.path(),
            self.subprotocol
        )
        .into_bytes();
        request.extend_from_slice(self.authorization.as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request
    }
}

fn check(head: &[u8], key: &str, subprotocol: &str) -> Result<(), UpgradeError> {
    let head = std::str::from_utf8(head).map_err(|_| UpgradeError::Malformed("it is no text"))?;
    let mut lines = head.split("\r\n");
    let mut status = lines.next().unwrap_or_default().splitn(3, ' ');
    if !status
        .next()
        .is_some_and(|version| version.starts_with("HTTP/1."))
    {
        return Err(UpgradeError::Malformed("it is no HTTP"));
    }
    let status = status
        .next()
        .and_then(|code| code.parse::<StatusCode>().ok());
    match status.ok_or(UpgradeError::Malformed("it has no status"))? {
        StatusCode::SWITCHING_PROTOCOLS => {}
        status => return Err(UpgradeError::Refused(status)),
    }
    let header = |wanted: &str| {
        lines.clone().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    if header("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(UpgradeError::Malformed(
            "its `Sec-WebSocket-Accept` does not fit",
        ));
    }
    if header("sec-websocket-protocol") != Some(subprotocol) {
        return Err(UpgradeError::Malformed(
            "it names another subprotocol, or none",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    /// The RFC's own example.
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn answer(status: &str, accept: &str, protocol: &str) -> Result<(), UpgradeError> {
        let head = format!(
            "HTTP/1.1 {status}\r\nUpgrade: websocket\r\nsec-websocket-ACCEPT: {accept}\r\n\
             Sec-WebSocket-Protocol:{protocol}\r\n\r\n"
        );
        check(head.as_bytes(), KEY, "p")
    }

    #[test]
    fn the_answer_must_fit_the_question() {
        assert_eq!(answer("101 Switching Protocols", ACCEPT, "p"), Ok(()));
        assert!(matches!(
            answer("101 x", "other", "p"),
            Err(UpgradeError::Malformed(_))
        ));
        assert!(matches!(
            answer("101 x", ACCEPT, "q"),
            Err(UpgradeError::Malformed(_))
        ));
        let refused = answer("404 Not Found", ACCEPT, "p");
        assert_eq!(refused, Err(UpgradeError::Refused(StatusCode::NOT_FOUND)));
    }

    #[test]
    fn an_answer_that_is_no_http_is_refused() {
        for head in [
            &b""[..],
            b"\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"\xff\xfe\r\n\r\n",
        ] {
            assert!(
                matches!(check(head, KEY, "p"), Err(UpgradeError::Malformed(_))),
                "{head:?}"
            );
        }
    }
}
