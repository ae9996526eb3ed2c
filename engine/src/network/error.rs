//! Why something about a virtual network is not possible.

use std::fmt;
use std::net::IpAddr;

use golem_wire::{NetworkId, NodeId};

use crate::api::ApiError;
use crate::tasks::TaskLost;

/// Whose an address is that no machine can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReservedFor {
    /// The network itself: the first of its addresses.
    Network,
    /// All of its nodes: the last of its addresses.
    Broadcast,
    /// Its gateway.
    Gateway,
    /// Its owner, the requestor.
    Owner,
}

impl fmt::Display for ReservedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReservedFor::Network => "the address of the network itself",
            ReservedFor::Broadcast => "the address of all nodes",
            ReservedFor::Gateway => "the gateway's address",
            ReservedFor::Owner => "an address of the owner",
        })
    }
}

/// Why something about a virtual network is not possible.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A text is no address, or none that a network can have.
    #[error("`{given}` is no address of a network: {reason}")]
    InvalidAddress {
        /// As given, shortened.
        given: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is no netmask of the network's family.
    #[error(
        "`{given}` is no netmask; write it as in `255.255.255.0`, or a prefix behind the address"
    )]
    InvalidMask {
        /// As given, shortened.
        given: String,
    },
    /// The prefix of the address and the mask beside it contradict each other.
    #[error("the prefix of `{ip}` and the mask `{mask}` contradict each other; give one of them")]
    TwoMasks {
        /// The address with its prefix.
        ip: String,
        /// The mask.
        mask: String,
    },
    /// There is no room for the owner and a machine.
    #[error(
        "the network {address} has no room for the owner and a machine; an IPv4 prefix is 30 at the most"
    )]
    TooSmall {
        /// The network's address.
        address: String,
    },
    /// The address belongs to another network.
    #[error("{address} is not in the network {network}")]
    OutsideNetwork {
        /// The address.
        address: IpAddr,
        /// The network's address with its prefix.
        network: String,
    },
    /// No machine can have the address.
    #[error("no machine can have {address}: it is {what}")]
    Reserved {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        what: ReservedFor,
    },
    /// Somebody has the address, or it is kept for an instance.
    #[error("{address} is taken{}", whose(by))]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The provider whose machine has it; `None` when it is kept for an instance that has no
        /// machine now.
        by: Option<NodeId>,
    },
    /// More instances than addresses.
    #[error(
        "all addresses of network {network} ({address}) are taken; use a shorter prefix, or a second network"
    )]
    Exhausted {
        /// The network.
        network: NetworkId,
        /// Its address with its prefix.
        address: String,
    },
    /// Addresses were given, but no network that they belong to.
    #[error("addresses are given, but no network: call `network()` as well")]
    NoNetwork,
    /// The instance has no place in a network: it was started without one, or has no machine now.
    #[error("{who} has no address: it was started without a network, or has no machine now")]
    NoAddress {
        /// The instance.
        who: String,
    },
    /// It was removed.
    #[error("network {network} was removed")]
    Removed {
        /// The network.
        network: NetworkId,
    },
    /// The daemon does not know it any more: it restarted, or somebody else removed the network. Machines
    /// that were deployed into it cannot be reached; create another network and start anew.
    #[error(
        "the daemon does not have network {network} any more: it keeps none over a restart; create another one, and start its machines anew"
    )]
    Lost {
        /// The network.
        network: NetworkId,
    },
    /// A network of this name is in use.
    #[error("a network named `{name}` is in use by this engine; each needs a name of its own")]
    NameInUse {
        /// The name.
        name: String,
    },
    /// Nothing takes connections there, or the machine cannot be reached.
    #[error(
        "no connection to {address}:{port} in network {network}: the daemon gave up after 5 s; is the service listening on all of its machine's addresses?"
    )]
    Unreachable {
        /// The network.
        network: NetworkId,
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// What the daemon refused, or did not answer.
    #[error("a request about a network failed")]
    Api(#[from] ApiError),
    /// The engine's task is gone.
    #[error(transparent)]
    Task(#[from] TaskLost),
    /// The engine is stopping or stopped.
    #[error("the engine is stopped; start a new `Golem`")]
    Stopped,
}

fn whose(node: &Option<NodeId>) -> String {
    match node {
        Some(node) => format!(" by a machine of provider {node}"),
        None => " by an instance".to_owned(),
    }
}

impl NetworkError {
    /// Whether it may work on another machine, or a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            NetworkError::Api(error) => error.is_retryable(),
            NetworkError::Unreachable { .. } => true,
            _ => false,
        }
    }
}
