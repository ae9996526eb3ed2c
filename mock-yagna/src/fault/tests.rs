//! Faults over the REST API, as raw bytes in virtual time.

mod client;
mod effects;
mod restarts;
mod sockets;
