//! gsb-api: services that a requestor binds on the daemon's service bus, and the frames of their
//! websocket. Frames are FlexBuffers maps; these types fit serde's data model, the codec is the user's.

use serde::{Deserialize, Serialize};

/// `POST /gsb-api/v1/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRequest {
    /// What to listen on.
    pub listen: ServiceListenRequest,
}

/// Address and message kinds of a bound service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceListenRequest {
    /// Bus address, e.g. `/public/gftp/<name>`.
    pub on: String,
    /// Message kinds, e.g. `GetMetadata`.
    pub components: Vec<String>,
}

/// Answer to a bind (201).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// The echo of the request.
    pub listen: ServiceListenRequest,
    /// Unpadded base64url of the address.
    pub services_id: String,
}

/// Websocket subprotocol that both sides must name.
pub const SUBPROTOCOL: &str = "gsb+flexbuffers";

/// Message kinds of a gftp file served to a provider (its download).
pub const UPLOAD_COMPONENTS: [&str; 2] = ["GetMetadata", "GetChunk"];

/// Message kinds of a gftp file received from a provider (its upload).
pub const DOWNLOAD_COMPONENTS: [&str; 2] = ["UploadChunk", "UploadFinished"];
