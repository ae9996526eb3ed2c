//! The errors users meet. Owns: [`Error`], which takes in the narrower enum of each area.
//!
//! Each error says what it is about itself; what is behind it is its [`source`](std::error::Error::source), and says
//! each thing once. [`chain`] gives an error and what is behind it in one line, [`find`] looks for a type among
//! them. What several are told of, an event, an instance, a task, is shared as a [`Cause`].

use std::sync::Arc;

use golem_wire::Glm;

pub use crate::activity::AttachError;
pub use crate::api::{ApiError, ApiErrorKind, Outcome};
pub use crate::cause::{Cause, chain, find};
pub use crate::config::ConfigError;
use crate::context::NotAJobName;
pub use crate::journal::JournalError;
use crate::market::SubscribeError;
pub use crate::network::NetworkError;
pub use crate::payload::PayloadError;
pub use crate::rng::NoEntropy;
use crate::strategy::HookPanic;
pub use crate::tasks::TaskLost;
use crate::within::GivenUp;

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
    /// The engine has no budget on a platform.
    #[error(
        "the engine has no budget on `{platform}` (it has some on: {known}); `also_pay_on()` on the builder adds one"
    )]
    NoBudgetOn {
        /// As given.
        platform: String,
        /// Where it has some.
        known: String,
    },
    /// The allocation that the budget is to be taken from cannot be used.
    #[error("allocation {id} cannot be used: {reason}")]
    Allocation {
        /// As given.
        id: golem_wire::AllocationId,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to draw names from that nobody may guess.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The payload cannot be published.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Nothing says what a service runs.
    #[error(
        "the service names no payload: implement `Service::payload` or call `payload()` on the builder"
    )]
    NoPayload,
    /// More instances are wanted than there are parameters for.
    #[error("{wanted} instances are wanted, but parameters are given for {given}")]
    TooFewParams {
        /// Instances.
        wanted: usize,
        /// Parameters.
        given: usize,
    },
    /// Two services are resumed under one name.
    #[error("a service named `{name}` is resumed already; each needs a name of its own")]
    NameInUse {
        /// The name.
        name: String,
    },
    /// Code of the user's that the engine calls panicked.
    #[error("{callback} panicked: {message}{}", at(place))]
    Callback {
        /// Which, `MarketStrategy::decorate_demand` for one.
        callback: String,
        /// What it said.
        message: String,
        /// File, line and column, where they are known.
        place: Option<String>,
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
    /// A pool cannot have these sizes.
    #[error("a pool cannot keep {min} machines ready when it may rent {max} at the most")]
    PoolSize {
        /// Machines that are kept ready.
        min: usize,
        /// Machines at a time.
        max: usize,
    },
    /// The system has no thread for an event consumer.
    #[error("the system has no thread for an event consumer")]
    NoThread(#[source] Arc<std::io::Error>),
    /// Something about a virtual network is not possible.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Nobody offers such machines at a price that can be reckoned with.
    #[error(
        "no offer with a price came within {within:?} ({seen} came in all): loosen the constraints, or name another subnet"
    )]
    NoOffers {
        /// Offers that came.
        seen: usize,
        /// How long it was looked.
        within: std::time::Duration,
    },
    /// A machine that is there already cannot be used.
    #[error(transparent)]
    Attach(Box<AttachError>),
    /// A wait for it was [given up](crate::Within).
    #[error(transparent)]
    GivenUp(#[from] GivenUp),
    /// The engine is stopping or stopped.
    #[error("the engine is stopped; start a new `Golem`")]
    Stopped,
}

fn at(place: &Option<String>) -> String {
    place
        .as_ref()
        .map(|place| format!(" (at {place})"))
        .unwrap_or_default()
}

impl From<AttachError> for Error {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Api(error) => Error::Api(error),
            AttachError::Stopped => Error::Stopped,
            other => Error::Attach(Box::new(other)),
        }
    }
}

impl From<SubscribeError> for Error {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Stopped => Error::Stopped,
            SubscribeError::Api(error) => Error::Api(error),
            SubscribeError::Callback(HookPanic { hook, panic }) => Error::Callback {
                callback: hook.to_owned(),
                message: panic.message,
                place: panic.place,
            },
        }
    }
}

impl From<NotAJobName> for Error {
    fn from(NotAJobName { name, reason }: NotAJobName) -> Self {
        Error::JobName { name, reason }
    }
}

#[cfg(test)]
mod tests;
