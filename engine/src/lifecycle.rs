//! Decisions without side effects: state and event in, state and effects out. Owns: what may happen
//! when. Does not own: requests, timers, randomness; the loops perform the effects.

pub(crate) mod agreement;
pub(crate) mod daemon_health;
pub(crate) mod negotiation;
pub(crate) mod payment;
pub(crate) mod service;
pub(crate) mod signing;

/// An event that its state has no rule for: the daemon did not keep to its protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot happen in state {state}")]
pub(crate) struct IllegalTransition {
    pub(crate) state: String,
    pub(crate) what: String,
}
