//! gsb-api (`/gsb-api/v1`): services a requestor offers on the daemon's bus. Owns: binding,
//! unbinding and the websocket's handshake. Does not own: what the frames say (`transfer/`).

use std::time::Duration;

use golem_wire::gsb::{BindRequest, Bound, Listen, SUBPROTOCOL};
use http::uri::InvalidUri;
use http::{StatusCode, Uri};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::upgrade::{Upgrade, UpgradeError};
use super::{ApiError, ApiErrorKind, Call, Rest};
use crate::address;
use crate::journal::Change;
use crate::transport::Io;

/// The websocket of a bound service.
pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

/// What came of asking for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// It is bound now, as this service.
    New(String),
    /// It was taken already.
    Taken,
}

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
    ) -> Result<Binding, ApiError> {
        let body = BindRequest {
            listen: Listen {
                on: address.into(),
                components: components
                    .iter()
                    .map(|&component| component.into())
                    .collect(),
            },
        };
        let change = Change::Bind {
            address: address.into(),
        };
        let call = Call::post("bindServices", &API, change).json(&body)?;
        match self.0.send::<Bound>(call).await {
            Ok(bound) => Ok(Binding::New(bound.services_id)),
            Err(error)
                if error.is_status(StatusCode::BAD_REQUEST)
                    && error.to_string().contains("Duplicated") =>
            {
                Ok(Binding::Taken)
            }
            Err(error) => Err(error),
        }
    }

    /// `unbindServices`: closes the websocket too.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn unbind(&self, services_id: &str) -> Result<(), ApiError> {
        let path = [&API[..], &[services_id]].concat();
        let change = Change::Unbind {
            services: services_id.into(),
        };
        self.0
            .send_unit(Call::delete("unbindServices", &path, change))
            .await
    }

    /// `getServiceMessages`: opens the websocket on which the messages arrive. Frames longer than
    /// `max_frame` bytes close it; `nonce` must differ from websocket to websocket.
    ///
    /// The app key travels in a header, not in the query as browsers must do it: queries end up in
    /// access logs.
    pub(crate) async fn connect(
        &self,
        services_id: &str,
        nonce: [u8; 16],
        max_frame: usize,
    ) -> Result<Socket, ApiError> {
        let connecting = self.handshake(services_id, nonce, max_frame);
        tokio::time::timeout(HANDSHAKE_DEADLINE, connecting)
            .await
            .unwrap_or_else(|_| {
                let kind = ApiErrorKind::Timeout {
                    after: HANDSHAKE_DEADLINE,
                };
                Err(ApiError::new("getServiceMessages", path(services_id), kind))
            })
    }

    async fn handshake(
        &self,
        services_id: &str,
        nonce: [u8; 16],
        max_frame: usize,
    ) -> Result<Socket, ApiError> {
        let fail = |kind| ApiError::new("getServiceMessages", path(services_id), kind);
        let url =
            address::below::<_, &str>(self.0.base_url(), &[&API[..], &[services_id]].concat(), &[]);
        let unsendable = |error: InvalidUri| {
            let reason = error.to_string();
            fail(ApiErrorKind::Unsendable { reason })
        };
        let url: Uri = url.parse().map_err(unsendable)?;
        let stream = self.0.transport().connect(&url).await.map_err(|source| {
            fail(ApiErrorKind::Unreachable {
                base: self.0.base_url().to_string(),
                source: source.into(),
            })
        })?;
        let upgrade = Upgrade {
            url: &url,
            authorization: self.0.authorization(),
            subprotocol: SUBPROTOCOL,
            nonce,
            config: WebSocketConfig::default()
                .max_message_size(Some(max_frame))
                .max_frame_size(Some(max_frame)),
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

fn path(services_id: &str) -> String {
    format!("/{}/{services_id}", API.join("/"))
}
