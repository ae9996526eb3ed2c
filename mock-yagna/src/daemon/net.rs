//! Virtual private networks: which exist, whose addresses and nodes they have.
//!
//! Owns networks and who may see them. Does not own: which machines joined (`activity`), what they
//! serve and whether they can be reached (`machine`), websockets (`http::net`).

mod subnet;

use std::collections::BTreeMap;
use std::net::{AddrParseError, IpAddr};

use golem_wire::{NetworkId, NodeId};
use indexmap::{IndexMap, IndexSet};
use tokio_util::sync::CancellationToken;

pub(crate) use subnet::host;

use crate::journal::Event;
use crate::ports::Ports;
use subnet::Subnet;

/// Why a call about a network fails, in the daemon's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetError {
    #[error("Invalid IP address: {0}")]
    Address(#[from] AddrParseError),
    #[error("IP address not allowed: {0}")]
    NotAllowed(IpAddr),
    #[error("Invalid network IP address: {0}")]
    Subnet(String),
    #[error("Network not found for IP address: {0}")]
    Mismatch(IpAddr),
    /// The caller has no network at all.
    #[error("Network not found")]
    NotFound,
    /// The caller has others.
    #[error("Forbidden")]
    Forbidden,
    #[error("Connection timed out")]
    Timeout,
    /// The daemon's own stack takes no such address, and its handler ends.
    #[error("Cancelled")]
    Cancelled,
    /// No service has the port 0.
    #[error("Connection error: unaddressable destination")]
    Unaddressable,
}

/// One virtual network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    id: NetworkId,
    subnet: Subnet,
    gateway: IpAddr,
    /// The owner's own addresses.
    addresses: IndexSet<IpAddr>,
    /// Which node has an address; the first one to ask keeps it.
    nodes: BTreeMap<IpAddr, NodeId>,
    /// Cancelled when the network is removed.
    stop: CancellationToken,
}

impl Network {
    pub(crate) fn id(&self) -> &NetworkId {
        &self.id
    }

    pub(crate) fn address(&self) -> String {
        self.subnet.to_string()
    }

    pub(crate) fn mask(&self) -> IpAddr {
        self.subnet.mask()
    }

    pub(crate) fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The address from which the owner connects.
    pub(crate) fn own_address(&self) -> IpAddr {
        self.addresses.first().copied().unwrap_or(self.gateway)
    }

    /// The owner's addresses with the network's prefix.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().map(|ip| self.subnet.with_prefix(*ip))
    }

    /// The node that has an address.
    pub(crate) fn node_at(&self, ip: IpAddr) -> Option<&NodeId> {
        self.nodes.get(&ip)
    }

    /// Cancelled when the network is removed.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Nodes by address.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&NodeId, IpAddr)> {
        self.nodes.iter().map(|(ip, node)| (node, *ip))
    }
}

/// All networks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    by_id: IndexMap<NetworkId, Network>,
    /// In the order of their creation.
    by_owner: IndexMap<NodeId, IndexSet<NetworkId>>,
}

impl Networks {
    /// Creates a network.
    pub(crate) fn create_network(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        ip: &str,
        mask: Option<&str>,
        gateway: Option<&str>,
    ) -> Result<&Network, NetError> {
        let subnet = Subnet::parse(ip, mask)?;
        let gateway = gateway.map(str::parse).transpose()?;
        let first = subnet.first_host();
        let is_broadcast = matches!(first, IpAddr::V4(first) if first.is_broadcast());
        if first.is_multicast() || is_broadcast {
            return Err(NetError::Cancelled);
        }
        let id = ports.ids.network();
        let network = Network {
            id: id.clone(),
            subnet,
            gateway: gateway.unwrap_or(first),
            addresses: IndexSet::from([first]),
            nodes: BTreeMap::new(),
            stop: CancellationToken::new(),
        };
        let event = Event::NetworkCreated {
            network: id.clone(),
            address: subnet.to_string(),
        };
        ports.record(ports.actor(owner), event);
        self.by_owner
            .entry(owner.clone())
            .or_default()
            .insert(id.clone());
        Ok(self.by_id.entry(id).or_insert(network))
    }

    /// The networks of one owner.
    pub(crate) fn networks_of(&self, owner: &NodeId) -> impl Iterator<Item = &Network> {
        let own = self.by_owner.get(owner).into_iter().flatten();
        own.filter_map(|id| self.by_id.get(id))
    }

    /// All of them, with their owners.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&NodeId, &NetworkId)> {
        let by_owner = self.by_owner.iter();
        by_owner.flat_map(|(owner, own)| own.iter().map(move |id| (owner, id)))
    }

    /// Whether `owner` may touch the network: the daemon tells those who have none that it does not
    /// exist, and others nothing.
    fn check_network(&self, owner: &NodeId, id: &NetworkId) -> Result<(), NetError> {
        match self.by_owner.get(owner) {
            None => Err(NetError::NotFound),
            Some(own) if own.contains(id) => Ok(()),
            Some(_) => Err(NetError::Forbidden),
        }
    }

    /// The daemon restarts: it does not store networks.
    pub(crate) fn forget(&mut self) {
        for network in self.by_id.values() {
            network.stop.cancel();
        }
        self.by_id.clear();
        self.by_owner.clear();
    }

    /// A network of this owner.
    pub(crate) fn network(&self, owner: &NodeId, id: &NetworkId) -> Result<&Network, NetError> {
        self.check_network(owner, id)?;
        self.by_id.get(id).ok_or(NetError::NotFound)
    }

    fn network_mut(&mut self, owner: &NodeId, id: &NetworkId) -> Result<&mut Network, NetError> {
        self.check_network(owner, id)?;
        self.by_id.get_mut(id).ok_or(NetError::NotFound)
    }

    /// Removes a network with its connections.
    pub(crate) fn remove_network(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        id: &NetworkId,
    ) -> Result<(), NetError> {
        self.network(owner, id)?.stop.cancel();
        self.by_id.shift_remove(id);
        if let Some(own) = self.by_owner.get_mut(owner) {
            own.shift_remove(id);
            if own.is_empty() {
                self.by_owner.shift_remove(owner);
            }
        }
        ports.record(
            ports.actor(owner),
            Event::NetworkRemoved {
                network: id.clone(),
            },
        );
        Ok(())
    }

    /// Gives the owner another address; the same one again is no error.
    pub(crate) fn add_address(
        &mut self,
        owner: &NodeId,
        id: &NetworkId,
        ip: &str,
    ) -> Result<(), NetError> {
        let network = self.network_mut(owner, id)?;
        let given: IpAddr = ip.parse()?;
        if !network.subnet.contains(given) {
            return Err(NetError::Mismatch(given));
        }
        network.addresses.insert(subnet::host(ip)?);
        Ok(())
    }

    /// Names the node behind an address. The same again is no error; an address that another node has
    /// stays with it, and the caller does not hear of that either.
    pub(crate) fn add_node(
        &mut self,
        owner: &NodeId,
        id: &NetworkId,
        node: NodeId,
        ip: &str,
    ) -> Result<(), NetError> {
        let network = self.network_mut(owner, id)?;
        let ip = subnet::host(ip)?;
        if !network.subnet.contains(ip) {
            return Err(NetError::Subnet(ip.to_string()));
        }
        network.nodes.entry(ip).or_insert(node);
        Ok(())
    }

    /// Forgets a node with all its addresses; there need not be one.
    pub(crate) fn remove_node(
        &mut self,
        owner: &NodeId,
        id: &NetworkId,
        node: &NodeId,
    ) -> Result<(), NetError> {
        let network = self.network_mut(owner, id)?;
        network.nodes.retain(|_, other| other != node);
        Ok(())
    }
}
