//! The operations on virtual networks by hand.

use std::net::IpAddr;

use golem_wire::net::{Address, NetworkInfo, NetworkNode, NewNetwork};
use golem_wire::{NetworkId, NodeId};
use rand::RngExt;

use super::LowLevel;
use crate::api::ApiError;
use crate::journal::NetworkRecord;
use crate::network::TcpConnection;

/// Operations on virtual networks; made by [`LowLevel::net`]. Cheap to clone. They do not know of the networks of
/// [`Golem::create_network`](crate::Golem::create_network) more than the daemon does: those give addresses to
/// machines by themselves.
#[derive(Clone)]
pub struct NetOperations(pub(super) LowLevel);

impl NetOperations {
    /// `createNetwork`. It is removed when the engine stops. The daemon gives it no name of ours, so the networks
    /// that there are are listed before.
    ///
    /// # Errors
    /// [`ApiError`]; 400 for an address that is none.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; one that nobody waited for is removed when the engine stops.
    pub async fn create_network(&self, wanted: NewNetwork) -> Result<NetworkInfo, ApiError> {
        let request = |low: LowLevel| async move {
            let api = low.rest().net();
            let others = api.list().await?;
            let others = others.into_iter().map(|network| network.id).collect();
            let address = match &wanted.mask {
                Some(mask) => format!("{}/{mask}", wanted.ip),
                None => wanted.ip.clone(),
            };
            let record = NetworkRecord {
                address,
                gateway: wanted.gateway.clone(),
                name: None,
            };
            let made = api.create(&wanted, record, others).await?;
            low.by_hand().network_made(&made.id);
            Ok(made)
        };
        self.0.open("createNetwork", request).await
    }

    /// `getNetworks`: those of this identity, also of other programs.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_networks(&self) -> Result<Vec<NetworkInfo>, ApiError> {
        self.0.rest().net().list().await
    }

    /// `getNetwork`.
    ///
    /// # Errors
    /// [`ApiError`]; 404 or 403 when it is not ours.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_network(&self, id: &NetworkId) -> Result<NetworkInfo, ApiError> {
        self.0.rest().net().network(id).await
    }

    /// `removeNetwork`, with its nodes and connections.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn remove_network(&self, id: &NetworkId) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            low.rest().net().remove(&id).await?;
            low.by_hand().network_gone(&id);
            Ok(())
        };
        self.0.change("removeNetwork", request).await
    }

    /// `getAddresses`: the owner's own, with the network's prefix.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_addresses(&self, id: &NetworkId) -> Result<Vec<Address>, ApiError> {
        self.0.rest().net().addresses(id).await
    }

    /// `addAddress`: one more of the owner's; the same again is no error.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn add_address(&self, id: &NetworkId, ip: IpAddr) -> Result<(), ApiError> {
        let id = id.clone();
        let request =
            |low: LowLevel| async move { low.rest().net().add_address(&id, &ip.to_string()).await };
        self.0.open("addAddress", request).await
    }

    /// `getNodes`.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_nodes(&self, id: &NetworkId) -> Result<Vec<NetworkNode>, ApiError> {
        self.0.rest().net().nodes(id).await
    }

    /// `addNode`: a provider gets an address; the same again is no error.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn add_node(
        &self,
        id: &NetworkId,
        node: &NodeId,
        ip: IpAddr,
    ) -> Result<(), ApiError> {
        let (id, node) = (id.clone(), node.clone());
        let request = |low: LowLevel| async move {
            let api = low.rest().net();
            api.add_node(&id, &node, &ip.to_string()).await
        };
        self.0.open("addNode", request).await
    }

    /// `removeNode`, with all its addresses; there need not be one.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn remove_node(&self, id: &NetworkId, node: &NodeId) -> Result<(), ApiError> {
        let (id, node) = (id.clone(), node.clone());
        let request = |low: LowLevel| async move { low.rest().net().remove_node(&id, &node).await };
        self.0.change("removeNode", request).await
    }

    /// `connectTcp`: a byte stream to a port of a node; the daemon gives up after 5 s, with 504. It ends with the
    /// engine.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe: dropping it closes the connection.
    pub async fn connect_tcp(
        &self,
        id: &NetworkId,
        ip: IpAddr,
        port: u16,
    ) -> Result<TcpConnection, ApiError> {
        let context = &self.0.context;
        let label = format!("by-hand/connection/{}", self.0.by_hand().number());
        let nonce = context.seed().fork(&label).rng().random();
        let api = context.rest().net();
        let socket = api.connect(id, &ip.to_string(), port, nonce).await?;
        Ok(TcpConnection::over(socket, context.loops()))
    }
}
