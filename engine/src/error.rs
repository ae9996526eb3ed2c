//! The errors users meet. Owns: [`Error`], [`ConfigError`]; each area has its own narrower enum.

use golem_wire::Glm;

use crate::api::ApiError;
use crate::journal::JournalError;
use crate::market::SignError;
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
    /// The engine is stopping or stopped.
    #[error("the engine is stopped; start a new `Golem`")]
    Stopped,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No app key.
    #[error(
        "no app key: set YAGNA_APPKEY (create one with `yagna app-key create requestor`) or call `app_key()` on the builder"
    )]
    MissingAppKey,
    /// The app key cannot travel in a header.
    #[error(
        "the app key (YAGNA_APPKEY) holds characters that no HTTP header can carry; check for line breaks"
    )]
    UnusableAppKey,
    /// The URL of the daemon is none.
    #[error("`{text}` (YAGNA_API_URL) is not a URL the daemon can be reached at: {reason}")]
    BadUrl {
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that cannot work.
    #[error("`{name}` = `{value}`: {reason}")]
    BadValue {
        /// Name of the setting.
        name: &'static str,
        /// As given.
        value: String,
        /// What is wrong.
        reason: String,
    },
}
