//! net-api: virtual networks, their addresses and nodes.

use serde::{Deserialize, Serialize};

use crate::{NetworkId, NodeId};

/// `POST /net-api/v1/net`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNetwork {
    /// Address of the network, with its prefix or beside a mask.
    pub ip: String,
    /// Netmask, if the address has no prefix.
    pub mask: Option<String>,
    /// Gateway; the first address of a host unless given.
    pub gateway: Option<String>,
}

impl NewNetwork {
    /// Of an address with its prefix, `192.168.0.0/24`.
    pub fn new(ip: impl Into<String>) -> Self {
        NewNetwork {
            ip: ip.into(),
            mask: None,
            gateway: None,
        }
    }
}

/// A network, as the daemon tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Its id.
    pub id: NetworkId,
    /// Its address as it was given, with the prefix.
    pub ip: String,
    /// Its netmask.
    #[serde(default)]
    pub mask: Option<String>,
    /// Its gateway.
    #[serde(default)]
    pub gateway: Option<String>,
}

/// An address of the owner: bare in a request, with the network's prefix in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: String,
}

/// A node of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkNode {
    /// Its node id.
    pub id: NodeId,
    /// Its address in the network.
    pub ip: String,
}
