//! `GET /me` and `GET /version/get`.

use crate::NodeId;
use serde::{Deserialize, Serialize};

/// `GET /me`: who the app key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Node id, `0x` and 40 lower-case hex digits.
    pub identity: NodeId,
    /// Name of the app key.
    pub name: String,
    /// Role of the app key, `manager` by default.
    pub role: String,
}

/// `GET /version/get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The running release.
    pub current: Release,
    /// A newer release, if one is known.
    pub pending: Option<Release>,
}

/// One release of the daemon; its stamps carry no time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Semantic version.
    pub version: String,
    /// Commit and date.
    pub name: String,
    /// Whether the user has seen the notice.
    pub seen: bool,
    /// Release date, naive.
    pub release_ts: String,
    /// First seen, naive.
    pub insertion_ts: String,
    /// Last change, naive.
    pub update_ts: Option<String>,
}
