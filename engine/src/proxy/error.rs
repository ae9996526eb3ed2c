//! Why a proxy cannot be set up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::network::NetworkError;

/// Why a proxy cannot be set up.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Another program, or another proxy, listens there.
    #[error("{address} is in use; choose another port, or 0 for any that is free")]
    PortInUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The system does not let it listen there.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// A text is no address of this computer.
    #[error("`{given}` is no IP address to listen on")]
    InvalidAddress {
        /// As given, shortened.
        given: String,
    },
    /// More ports of machines than local ones.
    #[error(
        "all {given} local ports are in use, and {wanted} more are wanted; give more of them, or 0 once for each"
    )]
    NoPortsLeft {
        /// Local ports that were given.
        given: usize,
        /// Ports of machines that have none.
        wanted: usize,
    },
    /// The cluster, or the machine, has no virtual network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The engine, or the proxy, is stopped.
    #[error("the proxy is stopped, or its engine")]
    Stopped,
}

impl ProxyError {
    pub(super) fn bind(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => ProxyError::PortInUse { address },
            _ => ProxyError::Bind {
                address,
                source: Arc::new(error),
            },
        }
    }

    pub(super) fn invalid(given: &str) -> Self {
        let given = given.chars().take(100).collect();
        ProxyError::InvalidAddress { given }
    }
}
