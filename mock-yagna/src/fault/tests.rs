//! Faults over the REST API, as raw bytes in virtual time.

mod client;
mod effects;
mod polls;
mod restarts;
mod sockets;
mod streams;
