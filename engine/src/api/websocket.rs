//! Websockets of the daemon. Owns: opening one within its time, and what a failure of that is called.
//! Does not own: the handshake (`upgrade.rs`), what is said on the socket.

use std::time::Duration;

use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::upgrade::{Upgrade, UpgradeError};
use super::{ApiError, ApiErrorKind, Rest};
use crate::transport::Io;

/// A websocket of the daemon.
pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(30);

/// Which websocket is asked for.
pub(crate) struct SocketRequest {
    pub(crate) operation: &'static str,
    /// Escaped.
    pub(crate) path: String,
    /// What both sides must name, if anything.
    pub(crate) subprotocol: Option<&'static str>,
    /// It must differ from websocket to websocket.
    pub(crate) nonce: [u8; 16],
    /// Longer messages, in bytes, close it.
    pub(crate) max_frame: usize,
}

impl Rest {
    /// Opens a websocket.
    ///
    /// The app key travels in a header, not in the query as browsers must do it: queries end up in
    /// access logs.
    ///
    /// # Errors
    /// [`ApiError`]; a daemon that answers anything but a websocket is [`ApiErrorKind::Refused`].
    ///
    /// # Cancel safety
    /// Dropping it closes the stream.
    pub(crate) async fn websocket(&self, wanted: SocketRequest) -> Result<Socket, ApiError> {
        let (operation, path) = (wanted.operation, wanted.path.clone());
        let fail = |kind| ApiError::new(operation, path.clone(), kind);
        let connecting = self.handshake(wanted, &fail);
        tokio::time::timeout(HANDSHAKE_DEADLINE, connecting)
            .await
            .unwrap_or_else(|_| {
                let after = HANDSHAKE_DEADLINE;
                Err(fail(ApiErrorKind::Timeout { after }))
            })
    }

    async fn handshake(
        &self,
        wanted: SocketRequest,
        fail: &(impl Fn(ApiErrorKind) -> ApiError + Sync),
    ) -> Result<Socket, ApiError> {
        let path = &wanted.path;
        let url = self.base().url_of(path, "").map_err(|error| {
            let reason = error.to_string();
            fail(ApiErrorKind::Unsendable { reason })
        })?;
        let stream = self.transport().connect(&url).await.map_err(|source| {
            fail(ApiErrorKind::Unreachable {
                base: self.base().of(path).to_string(),
                source: source.into(),
            })
        })?;
        let upgrade = Upgrade {
            url: &url,
            authorization: self.authorization(),
            subprotocol: wanted.subprotocol,
            nonce: wanted.nonce,
            config: WebSocketConfig::default()
                .max_message_size(Some(wanted.max_frame))
                .max_frame_size(Some(wanted.max_frame)),
        };
        upgrade.perform(stream).await.map_err(|error| {
            fail(match error {
                UpgradeError::Unsendable(reason) => ApiErrorKind::Unsendable { reason },
                UpgradeError::Broken(reason) => ApiErrorKind::Broken { reason },
                UpgradeError::Refused(status) => ApiErrorKind::Refused {
                    status,
                    message: "no websocket here".into(),
                    body: None,
                },
                UpgradeError::Malformed(reason) => ApiErrorKind::Malformed {
                    reason,
                    excerpt: String::new(),
                },
            })
        })
    }
}
