//! gsb-api (`/gsb-api/v1`): services a requestor offers on the daemon's bus. Owns: binding,
//! unbinding and the websocket's handshake. Does not own: what the frames say (`transfer/`).

use std::time::Duration;

use golem_wire::gsb::{BindRequest, Bound, Listen, SUBPROTOCOL};
use http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{ApiError, ApiErrorKind, Call, Rest};
use crate::transport::Io;

/// The websocket of a bound service.
pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

/// The operations on bus services.
#[derive(Clone, Debug)]
pub(crate) struct GsbApi(Rest);

const API: [&str; 3] = ["gsb-api", "v1", "services"];
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(30);

impl Rest {
    /// The operations on bus services.
    pub(crate) fn gsb(&self) -> GsbApi {
        GsbApi(self.clone())
    }
}

impl GsbApi {
    /// `bindServices`: makes the daemon collect messages sent to `address`.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn bind(
        &self,
        address: &str,
        components: &[&str],
    ) -> Result<String, ApiError> {
        let body = BindRequest {
            listen: Listen {
                on: address.into(),
                components: components.iter().map(|&component| component.into()).collect(),
            },
        };
        let bound: Bound = self.0.post("bindServices", &API, &body).await?;
        Ok(bound.services_id)
    }

    /// `unbindServices`: closes the websocket too.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn unbind(&self, services_id: &str) -> Result<(), ApiError> {
        let path = [&API[..], &[services_id]].concat();
        self.0.send_unit(Call::delete("unbindServices", &path)).await
    }

    /// `getServiceMessages`: opens the websocket on which the messages arrive. Frames longer than
    /// `max_frame` bytes close it.
    ///
    /// The app key travels in a header, not in the query as browsers must do it: queries end up in
    /// access logs.
    pub(crate) async fn connect(
        &self,
        services_id: &str,
        max_frame: usize,
    ) -> Result<Socket, ApiError> {
        let connecting = self.handshake(services_id, max_frame);
        tokio::time::timeout(HANDSHAKE_DEADLINE, connecting).await.unwrap_or_else(|_| {
            let path = format!("/{}/{services_id}", API.join("/"));
            let after = HANDSHAKE_DEADLINE;
            Err(ApiError::new("getServiceMessages", path, ApiErrorKind::Timeout { after }))
        })
    }

    async fn handshake(&self, services_id: &str, max_frame: usize) -> Result<Socket, ApiError> {
        let operation = "getServiceMessages";
        let path = format!("/{}/{services_id}", API.join("/"));
        let fail = |kind| ApiError::new(operation, path.clone(), kind);
        let unsendable = |reason: String| fail(ApiErrorKind::Unsendable { reason });

        let mut url = self.0.base_url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(API).push(services_id);
        }
        let stream = self.0.transport().connect(&url).await.map_err(|source| {
            fail(ApiErrorKind::Unreachable {
                base: self.0.base_url().to_string(),
                source: std::sync::Arc::new(source),
            })
        })?;
        let websocket_url = url.as_str().replacen("http", "ws", 1);
        let mut request = websocket_url
            .into_client_request()
            .map_err(|error| unsendable(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.0.authorization());
        headers.insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
        let limits = WebSocketConfig::default()
            .max_message_size(Some(max_frame))
            .max_frame_size(Some(max_frame));
        let (socket, _) = client_async_with_config(request, stream, Some(limits))
            .await
            .map_err(|error| {
                fail(ApiErrorKind::Malformed {
                    reason: format!("the websocket handshake failed: {error}"),
                    excerpt: String::new(),
                })
            })?;
        Ok(socket)
    }
}
