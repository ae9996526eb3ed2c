//! net-api (`/net-api/v1`): virtual networks, their addresses and nodes, and the websockets that carry
//! TCP connections through them. Owns: the operations, and that a network which is not this identity's,
//! or not any more, is told by 403 as well. Does not own: which addresses are free (`network/`).

use golem_wire::net::{Address, NetworkInfo, NetworkNode, NewNetwork};
use golem_wire::{NetworkId, NodeId};
use http::StatusCode;
use http::uri::{Authority, Scheme};

use super::{ApiError, Call, Rest, Socket, SocketRequest};
use crate::address;
use crate::journal::{Change, NetworkRecord};

/// The operations on virtual networks.
#[derive(Clone, Debug)]
pub(crate) struct NetApi(Rest);

const API: [&str; 3] = ["net-api", "v1", "net"];

fn path(rest: &[&str]) -> String {
    address::path(API.iter().chain(rest))
}

/// Largest message that is taken from the daemon, in bytes; its own are 64 KiB.
const MAX_FRAME: usize = 16 << 20;

impl Rest {
    /// The operations on virtual networks.
    pub(crate) fn net(&self) -> NetApi {
        NetApi(self.clone())
    }
}

/// Whether the daemon does not have a network any more: to whoever owns others it says that this one is
/// not theirs.
pub(crate) fn is_no_network(error: &ApiError) -> bool {
    error.is_gone() || error.is_status(StatusCode::FORBIDDEN)
}

impl NetApi {
    /// `createNetwork`. `others` are the networks that this identity had before: what tells a network
    /// whose creation had no answer.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn create(
        &self,
        new: &NewNetwork,
        record: NetworkRecord,
        others: Vec<NetworkId>,
    ) -> Result<NetworkInfo, ApiError> {
        let change = Change::CreateNetwork { record, others };
        let call = Call::post("createNetwork", path(&[]), change).json(new)?;
        self.0.send(call).await
    }

    /// `getNetworks`.
    pub(crate) async fn list(&self) -> Result<Vec<NetworkInfo>, ApiError> {
        self.0.list(Call::get("getNetworks", path(&[]))).await
    }

    /// `getNetwork`.
    pub(crate) async fn network(&self, id: &NetworkId) -> Result<NetworkInfo, ApiError> {
        let path = path(&[id.as_str()]);
        self.0.get("getNetwork", path).await
    }

    /// `removeNetwork`, with its nodes and connections.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn remove(&self, id: &NetworkId) -> Result<(), ApiError> {
        let path = path(&[id.as_str()]);
        let network = id.clone();
        let change = Change::RemoveNetwork { network };
        self.0
            .send_unit(Call::delete("removeNetwork", path, change))
            .await
    }

    /// `getNetworkAddresses`: the owner's own, with the network's prefix.
    pub(crate) async fn addresses(&self, id: &NetworkId) -> Result<Vec<Address>, ApiError> {
        let path = path(&[id.as_str(), "addresses"]);
        self.0.list(Call::get("getNetworkAddresses", path)).await
    }

    /// `addNetworkAddress`: one more of the owner's; the same again is no error.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn add_address(&self, id: &NetworkId, ip: &str) -> Result<(), ApiError> {
        let path = path(&[id.as_str(), "addresses"]);
        let change = Change::AddAddress {
            network: id.clone(),
            ip: ip.to_owned(),
        };
        let body = Address { ip: ip.to_owned() };
        let call = Call::post("addNetworkAddress", path, change).json(&body)?;
        self.0.send_unit(call).await
    }

    /// `getNetworkNodes`.
    pub(crate) async fn nodes(&self, id: &NetworkId) -> Result<Vec<NetworkNode>, ApiError> {
        let path = path(&[id.as_str(), "nodes"]);
        self.0.list(Call::get("getNetworkNodes", path)).await
    }

    /// `addNetworkNode`; the same again is no error, and tells the other nodes of it once more.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn add_node(
        &self,
        id: &NetworkId,
        node: &NodeId,
        ip: &str,
    ) -> Result<(), ApiError> {
        let path = path(&[id.as_str(), "nodes"]);
        let change = Change::AddNode {
            network: id.clone(),
            node: node.clone(),
            ip: ip.to_owned(),
        };
        let body = NetworkNode {
            id: node.clone(),
            ip: ip.to_owned(),
        };
        let call = Call::post("addNetworkNode", path, change).json(&body)?;
        self.0.send_unit(call).await
    }

    /// `removeNetworkNode`, with all its addresses; there need not be one.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn remove_node(&self, id: &NetworkId, node: &NodeId) -> Result<(), ApiError> {
        let path = path(&[id.as_str(), "nodes", node.as_str()]);
        let change = Change::RemoveNode {
            network: id.clone(),
            node: node.clone(),
        };
        self.0
            .send_unit(Call::delete("removeNetworkNode", path, change))
            .await
    }

    /// Where a websocket to a port of a node is opened: for programs that do it by themselves, with the
    /// app key in the header `Authorization`.
    pub(crate) fn connection_uri(&self, id: &NetworkId, ip: &str, port: u16) -> String {
        let port = port.to_string();
        let path = path(&[id.as_str(), "tcp", ip, &port]);
        let Ok(url) = self.0.base().url_of(&path, "") else {
            // The daemon's address is no whole one: no request can be sent either.
            return path;
        };
        let scheme = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => "wss",
            _ => "ws",
        };
        let authority = url.authority().map_or("", Authority::as_str);
        format!("{scheme}://{authority}{}", url.path())
    }

    /// `connectTcp`: a connection to a port of a node, once that has taken it; the daemon gives up
    /// after 5 s, with 504. `nonce` must differ from websocket to websocket.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub(crate) async fn connect(
        &self,
        id: &NetworkId,
        ip: &str,
        port: u16,
        nonce: [u8; 16],
    ) -> Result<Socket, ApiError> {
        let port = port.to_string();
        let path = path(&[id.as_str(), "tcp", ip, &port]);
        let wanted = SocketRequest {
            operation: "connectTcp",
            path,
            subprotocol: None,
            nonce,
            max_frame: MAX_FRAME,
        };
        self.0.websocket(wanted).await
    }
}
