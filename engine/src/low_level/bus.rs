//! The operations on services of the daemon's bus by hand.

use std::fmt;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rand::RngExt;
use tokio_tungstenite::tungstenite::Message;

use super::LowLevel;
use crate::api::gsb::Binding;
use crate::api::{ApiError, ApiErrorKind, Socket};
use crate::journal::services_at;

/// Largest message, in bytes.
const MAX_FRAME: usize = 16 << 20;

/// Operations on services of the daemon's bus; made by [`LowLevel::bus`]. Cheap to clone.
#[derive(Clone)]
pub struct BusOperations(pub(super) LowLevel);

/// The messages of a service, as frames in FlexBuffers; made by [`BusOperations::messages`]. Dropping it closes the
/// websocket, and the daemon keeps what comes for the next one.
pub struct BusMessages {
    socket: Socket,
    path: String,
}

impl BusMessages {
    /// Waits for the next frame; `None` when the daemon closed the websocket.
    ///
    /// # Errors
    /// [`ApiErrorKind::Broken`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(frame))) => return Ok(Some(frame)),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                // Pings are answered by the websocket itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.broken(&error)),
            }
        }
    }

    /// Sends a frame, an answer.
    ///
    /// # Errors
    /// [`ApiErrorKind::Broken`].
    ///
    /// # Cancel safety
    /// Not safe: half a frame may have gone.
    pub async fn send(&mut self, frame: Bytes) -> Result<(), ApiError> {
        let sent = self.socket.send(Message::Binary(frame)).await;
        sent.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &dyn fmt::Display) -> ApiError {
        let reason = error.to_string();
        let kind = ApiErrorKind::Broken { reason };
        ApiError::new("getServiceMessages", self.path.as_str(), kind)
    }
}

impl fmt::Debug for BusMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusMessages")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl BusOperations {
    /// `bindServices`: the daemon collects messages of these kinds (`GetMetadata`, …) sent to an address; the id
    /// of the service. It is unbound when the engine stops; an address that this identity has bound already is
    /// answered with the same id, and left to whoever bound it.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; one that nobody waited for is unbound when the engine stops.
    pub async fn bind_services(
        &self,
        address: &str,
        components: &[&str],
    ) -> Result<String, ApiError> {
        let address = address.to_owned();
        let components: Vec<String> = components.iter().map(|&kind| kind.to_owned()).collect();
        let request = |low: LowLevel| async move {
            let components: Vec<&str> = components.iter().map(String::as_str).collect();
            let bound = low.rest().gsb().bind(&address, &components).await?;
            Ok(match bound {
                Binding::New(id) => {
                    low.by_hand().service_bound(&id);
                    id
                }
                // Whoever bound it unbinds it.
                Binding::Taken => services_at(&address),
            })
        };
        self.0.open("bindServices", request).await
    }

    /// `unbindServices`: closes its websocket, too.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when it is gone.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn unbind_services(&self, id: &str) -> Result<(), ApiError> {
        let id = id.to_owned();
        let request = |low: LowLevel| async move {
            let unbound = low.rest().gsb().unbind(&id).await;
            if unbound.as_ref().err().is_none_or(ApiError::is_gone) {
                low.by_hand().service_gone(&id);
            }
            unbound
        };
        self.0.change("unbindServices", request).await
    }

    /// `getServiceMessages`: the websocket on which the messages of a service arrive and are answered.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe: dropping it closes the websocket.
    pub async fn messages(&self, id: &str) -> Result<BusMessages, ApiError> {
        let context = &self.0.context;
        let label = format!("by-hand/websocket/{}", self.0.by_hand().number());
        let nonce = context.seed().fork(&label).rng().random();
        let socket = context.rest().gsb().connect(id, nonce, MAX_FRAME).await?;
        let path = format!("/gsb-api/v1/services/{id}");
        Ok(BusMessages { socket, path })
    }
}
