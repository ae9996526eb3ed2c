//! What clients in the same process and the daemon tell each other beside a request: that its answer
//! never came, or what is to go wrong with it.

use crate::config::Effect;

/// Mark of a connection that ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended without an answer")]
pub struct NoAnswer;

/// Further mark of an answer that never was because the daemon is down: the connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens: the daemon is down")]
pub struct NotListening;

/// What goes wrong with the request that carries it among its extensions, besides the faults that
/// were added. It is an effect that is over with its request and needs neither a delay nor events.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoiled(pub Effect);
