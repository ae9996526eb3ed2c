//! gsb-api (`/gsb-api/v1`): services a requestor offers on the daemon's bus. Owns: binding,
//! unbinding and opening the websocket. Does not own: what the frames say (`transfer/`).

use golem_wire::gsb::{Bound, SUBPROTOCOL, ServiceListenRequest, ServiceRequest};
use http::StatusCode;

use super::{ApiError, Call, Rest, Socket, SocketRequest};
use crate::address;
use crate::journal::Change;

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

fn path(rest: &[&str]) -> String {
    address::path(API.iter().chain(rest))
}

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
        let body = ServiceRequest {
            listen: ServiceListenRequest {
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
        let call = Call::post("bindServices", path(&[]), change).json(&body)?;
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
        let path = path(&[services_id]);
        let change = Change::Unbind {
            services: services_id.into(),
        };
        self.0
            .send_unit(Call::delete("unbindServices", path, change))
            .await
    }

    /// `getServiceMessages`: opens the websocket on which the messages arrive. Frames longer than
    /// `max_frame` bytes close it; `nonce` must differ from websocket to websocket.
    pub(crate) async fn connect(
        &self,
        services_id: &str,
        nonce: [u8; 16],
        max_frame: usize,
    ) -> Result<Socket, ApiError> {
        let path = path(&[services_id]);
        let wanted = SocketRequest {
            operation: "getServiceMessages",
            path,
            subprotocol: Some(SUBPROTOCOL),
            nonce,
            max_frame,
        };
        self.0.websocket(wanted).await
    }
}
