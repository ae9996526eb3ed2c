//! Virtual private networks: which exist, whose addresses and nodes they have, which machines joined.
//!
//! Owns networks and who may see them. Does not own: what machines serve (`machine`), the life of
//! activities, websockets (`http::net`). A machine is reachable while its provider is a node of the
//! network and an activity that joined with that address is ready.

mod machine;
mod nginx;
mod ssh;
mod subnet;

use std::collections::BTreeMap;
use std::net::{AddrParseError, IpAddr};

use golem_wire::activity::{ActivityState, DeployNetwork};
use golem_wire::{ActivityId, NetworkId, NodeId};
use indexmap::{IndexMap, IndexSet};
use tokio_util::sync::CancellationToken;

pub(crate) use machine::{Stream, Target};

use crate::journal::Event;
use crate::world::State;
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
}

/// One virtual network.
#[derive(Debug)]
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

    /// Nodes by address.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&NodeId, IpAddr)> {
        self.nodes.iter().map(|(ip, node)| (node, *ip))
    }
}

/// All networks.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    by_id: IndexMap<NetworkId, Network>,
    /// In the order of their creation.
    by_owner: IndexMap<NodeId, IndexSet<NetworkId>>,
    /// The activity that joined a network with an address, whether the network exists or not.
    joined: IndexMap<(NetworkId, IpAddr), ActivityId>,
}

impl State {
    /// Creates a network.
    pub(crate) fn create_network(
        &mut self,
        owner: &NodeId,
        ip: &str,
        mask: Option<&str>,
        gateway: Option<&str>,
    ) -> Result<&Network, NetError> {
        let subnet = Subnet::parse(ip, mask)?;
        let gateway = gateway.map(str::parse).transpose()?;
        let first = subnet.first_host();
        let id = self.ids.network();
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
        self.record(self.actor(owner), event);
        self.networks
            .by_owner
            .entry(owner.clone())
            .or_default()
            .insert(id.clone());
        Ok(self.networks.by_id.entry(id).or_insert(network))
    }

    /// The networks of one owner.
    pub(crate) fn networks_of(&self, owner: &NodeId) -> impl Iterator<Item = &Network> {
        let own = self.networks.by_owner.get(owner).into_iter().flatten();
        own.filter_map(|id| self.networks.by_id.get(id))
    }

    /// Whether `owner` may touch the network: the daemon tells those who have none that it does not
    /// exist, and others nothing.
    fn check_network(&self, owner: &NodeId, id: &NetworkId) -> Result<(), NetError> {
        match self.networks.by_owner.get(owner) {
            None => Err(NetError::NotFound),
            Some(own) if own.contains(id) => Ok(()),
            Some(_) => Err(NetError::Forbidden),
        }
    }

    /// The daemon restarts: it does not store networks.
    pub(crate) fn forget_networks(&mut self) {
        for network in self.networks.by_id.values() {
            network.stop.cancel();
        }
        self.networks.by_id.clear();
        self.networks.by_owner.clear();
    }

    /// A network of this owner.
    pub(crate) fn network(&self, owner: &NodeId, id: &NetworkId) -> Result<&Network, NetError> {
        self.check_network(owner, id)?;
        self.networks.by_id.get(id).ok_or(NetError::NotFound)
    }

    fn network_mut(&mut self, owner: &NodeId, id: &NetworkId) -> Result<&mut Network, NetError> {
        self.check_network(owner, id)?;
        self.networks.by_id.get_mut(id).ok_or(NetError::NotFound)
    }

    /// Removes a network with its connections.
    pub(crate) fn remove_network(
        &mut self,
        owner: &NodeId,
        id: &NetworkId,
    ) -> Result<(), NetError> {
        self.network(owner, id)?.stop.cancel();
        self.networks.by_id.shift_remove(id);
        if let Some(own) = self.networks.by_owner.get_mut(owner) {
            own.shift_remove(id);
            if own.is_empty() {
                self.networks.by_owner.shift_remove(owner);
            }
        }
        self.record(
            self.actor(owner),
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

    /// A machine joins the networks that its `deploy` names. Returns how it is known there; an address
    /// that is none joins nothing.
    pub(crate) fn join_networks(
        &mut self,
        activity: &ActivityId,
        networks: &[DeployNetwork],
    ) -> Vec<(NetworkId, IpAddr)> {
        let addresses = networks.iter();
        let addresses =
            addresses.filter_map(|net| Some((net.id.clone(), net.node_ip.parse().ok()?)));
        let places: Vec<(NetworkId, IpAddr)> = addresses.collect();
        for place in &places {
            self.networks.joined.insert(place.clone(), activity.clone());
        }
        places
    }

    /// A machine is gone from where it had joined.
    pub(crate) fn leave_networks(&mut self, activity: &ActivityId, places: &[(NetworkId, IpAddr)]) {
        for place in places {
            if self.networks.joined.get(place) == Some(activity) {
                self.networks.joined.swap_remove(place);
            }
        }
    }

    /// The ready machine behind an address of a network; a silent provider does not pass bytes on.
    fn machine_at(&self, network: &Network, ip: IpAddr) -> Option<&ActivityId> {
        let node = network.nodes.get(&ip)?;
        let id = self.networks.joined.get(&(network.id.clone(), ip))?;
        let activity = self.activity(id)?;
        let there = activity.provider == *node && activity.state == ActivityState::Ready;
        (there && self.is_reachable(node) && self.answers(node)).then_some(id)
    }
}
