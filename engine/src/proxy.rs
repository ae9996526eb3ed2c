//! Local ports that lead to services on a virtual network. Owns: listening, the limits of connections, bytes
//! from one to the other. Does not own: connections into the network (`network/`), which instances live
//! (`service/`).
//!
//! | what | for |
//! |---|---|
//! | [`LocalHttpProxy`] | HTTP services: requests go to the living instances in turn |
//! | [`SocketProxy`] | any TCP service: one local port for each port of each machine |
//!
//! Both listen on this computer only, unless they are told another address. Both take connections without
//! a socket as well (`connect`): that is how a program speaks to them in virtual time, where a real socket
//! would be waited for too short.

mod error;
mod http;
mod listener;
mod relay;
mod socket;

pub use error::ProxyError;
pub use http::{HttpProxyServer, LocalHttpProxy};
pub use socket::{ProxyTarget, SocketProxy, SocketServer};
