//! Why no machine was handed out.

use std::time::Duration;

use crate::cause::Cause;
use crate::market::BudgetExhausted;
use crate::model::JobId;

/// Why no machine was handed out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// All machines that may be rented are in use, and none was released in time.
    #[error(
        "all {max} machines of {pool} are in use, and none was released within {limit:?}; release one, wait longer, or raise `max`"
    )]
    Exhausted {
        /// The pool.
        pool: JobId,
        /// Machines at a time, at the most.
        max: usize,
        /// How long it was waited.
        limit: Duration,
    },
    /// No machine was ready in time.
    #[error(
        "no machine of {pool} was ready within {limit:?}: {in_use} are in use, {renting} are being rented{}",
        told(last_failure)
    )]
    Timeout {
        /// The pool.
        pool: JobId,
        /// How long it was waited.
        limit: Duration,
        /// Machines in use.
        in_use: usize,
        /// Machines that are being rented and set up.
        renting: usize,
        /// Why the last one that was to be kept ready was not to be had, if one was not.
        last_failure: Option<Cause>,
    },
    /// No machine could be rented.
    #[error("no machine could be rented for {pool}")]
    NoMachine {
        /// The pool.
        pool: JobId,
        /// What happened: a `SignError` where the market had none.
        #[source]
        cause: Cause,
    },
    /// The set-up failed: on several machines in a row, of which this was the last one, or for a reason that would
    /// hold on any.
    #[error("the set-up of a machine of {pool} on provider {provider_name} failed")]
    SetupFailed {
        /// The pool.
        pool: JobId,
        /// Who rents the machine out.
        provider_name: String,
        /// What happened; [`Cause::find`] tells its type.
        #[source]
        cause: Cause,
    },
    /// The validation failed: of several machines in a row, of which this was the last one, or for a reason that
    /// would hold on any.
    #[error("the validation of a machine of {pool} on provider {provider_name} failed")]
    ValidationFailed {
        /// The pool.
        pool: JobId,
        /// Who rents the machine out.
        provider_name: String,
        /// What happened; [`Cause::find`] tells its type.
        #[source]
        cause: Cause,
    },
    /// The budget was used up before there was a machine, or has no room for one.
    #[error("no machine can be handed out by {pool}")]
    BudgetExhausted {
        /// The pool.
        pool: JobId,
        /// How far the budget is used.
        #[source]
        source: BudgetExhausted,
    },
    /// The machine was lost, or taken away.
    #[error("the machine {machine} on provider {provider_name} is not there any more")]
    Lost {
        /// The machine, by its name in the pool.
        machine: String,
        /// Who rents it out.
        provider_name: String,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// The pool ends: it is being drained, or its time is over.
    #[error("{pool} is being drained, and hands out no machine any more; start another pool")]
    Draining {
        /// The pool.
        pool: JobId,
    },
    /// The engine is stopping or stopped.
    #[error("the engine is stopped, and {pool} with it; start a new `Golem`")]
    Stopped {
        /// The pool.
        pool: JobId,
    },
}

fn told(failure: &Option<Cause>) -> String {
    let told = failure.as_ref();
    told.map(|cause| format!(" (the last one was not to be had: {cause:#})"))
        .unwrap_or_default()
}
