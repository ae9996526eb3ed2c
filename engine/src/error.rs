//! The error users meet. Owns: [`Error`], which takes in the narrower enum of each area.

use golem_wire::Glm;

use crate::api::ApiError;
pub use crate::config::ConfigError;
use crate::journal::JournalError;
use crate::market::{SignError, SubscribeError};
use crate::rng::NoEntropy;
use crate::tasks::TaskLost;

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon did not answer, or not as it should.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No machine could be rented.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A task inside the engine failed.
    #[error(transparent)]
    Task(#[from] TaskLost),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No account for the payment driver and network of the configuration.
    #[error(
        "the daemon has no account that can pay with driver `{driver}` on network `{network}` (it has: {known}); run `yagna payment init --sender --network {network}`"
    )]
    NoPaymentAccount {
        /// Wanted driver.
        driver: String,
        /// Wanted network.
        network: String,
        /// Platforms the daemon has.
        known: String,
    },
    /// The wallet does not hold the budget.
    #[error(
        "the budget does not fit: {needed} GLM wanted on {platform}, {available} GLM available{reserved}; fund the wallet, release allocations, or lower the budget"
    )]
    BudgetTooSmall {
        /// What the budget asks for.
        needed: Glm,
        /// What the daemon has left.
        available: Glm,
        /// Extra words about reserved funds, or empty.
        reserved: String,
        /// Payment platform.
        platform: String,
    },
    /// There is nothing to draw names from that nobody may guess.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The payload cannot be resolved.
    #[error("payload: {message}")]
    Payload {
        /// What is wrong, and where.
        message: String,
    },
    /// Code of the user's that the engine calls panicked.
    #[error("{message}")]
    Callback {
        /// Which, what it said, and where.
        message: String,
    },
    /// What is to expire then cannot be rented: it is over, or too near for any provider.
    #[error(
        "{expires_at} is too soon to expire: nothing can be rented that ends before {earliest}"
    )]
    ExpiresTooSoon {
        /// As given.
        expires_at: jiff::Timestamp,
        /// The earliest that is possible, by the daemon's clock.
        earliest: jiff::Timestamp,
    },
    /// A job cannot be called so.
    #[error("a job cannot be called `{name}`: {reason}")]
    JobName {
        /// As given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The engine is stopping or stopped.
    #[error("the engine is stopped; start a new `Golem`")]
    Stopped,
}

impl From<SubscribeError> for Error {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Stopped => Error::Stopped,
            SubscribeError::Api(error) => Error::Api(error),
            SubscribeError::Callback(message) => Error::Callback { message },
        }
    }
}
