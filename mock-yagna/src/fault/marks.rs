//! What an answer carries that never came, for clients in the same process.

/// Mark of a connection that ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended without an answer")]
pub struct NoAnswer;

/// Further mark of an answer that never was because the daemon is down: the connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens: the daemon is down")]
pub struct NotListening;
