//! Users' code at work on a rented machine: a task, a set-up, a validation. Owns: what ends it besides its own
//! end, and what its failure means. Does not own: handlers of services, which an agreement's end does not
//! end in each case (`service/instance.rs`).

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::activity::{Activity, ActivityHealth};
use crate::cause::Cause;
use crate::deadline;
use crate::panics::caught_in;
use crate::service::HandlerError;

/// What came of users' code.
#[derive(Debug)]
pub(crate) enum Called<T> {
    Done(T),
    /// What went wrong, whether another attempt may help, and whether the machine is to blame.
    Failed {
        cause: Cause,
        is_retryable: bool,
        keeps_machine: bool,
    },
    /// It is not wanted any more.
    GivenUp,
}

impl<T> Called<T> {
    /// The machine is to blame.
    pub(crate) fn failed(cause: impl Into<Cause>) -> Self {
        Called::Failed {
            cause: cause.into(),
            is_retryable: true,
            keeps_machine: false,
        }
    }
}

/// Runs users' code, called `who` in words, until its end, the machine's, its limit, or until it is `unwanted`.
///
/// # Cancel safety
/// As `work` is.
pub(crate) async fn call<T>(
    activity: &Activity,
    who: &str,
    limit: Option<Duration>,
    unwanted: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, HandlerError>>,
) -> Called<T> {
    let limit = limit.map(|limit| (deadline::within(limit), limit));
    let mut work = pin!(caught_in(work));
    let result = tokio::select! {
        biased;
        () = unwanted => return Called::GivenUp,
        health = activity.watch().troubled() => return Called::failed(words_of(health)),
        result = &mut work => result,
        limit = over(limit) => {
            let hint = activity.hint();
            return Called::failed(format!("{who} did not end within {limit:?}{hint}"));
        }
    };
    match result {
        Ok(Ok(done)) => Called::Done(done),
        Ok(Err(error)) => Called::Failed {
            is_retryable: error.is_retryable(),
            keeps_machine: error.keeps_machine(),
            cause: error.told(activity),
        },
        Err(panic) => Called::failed(format!("{who} panicked: {panic}")),
    }
}

/// Why a machine is of no use any more.
pub(super) fn words_of(health: ActivityHealth) -> Cause {
    match health {
        ActivityHealth::Lost { reason } | ActivityHealth::AgreementEnded { reason } => reason,
        ActivityHealth::Alive => "the activity is in trouble".into(),
    }
}

/// Waits for the end of the time of something; for ever, if it has none.
pub(crate) async fn over(limit: Option<(Instant, Duration)>) -> Duration {
    match limit {
        Some((deadline, limit)) => {
            tokio::time::sleep_until(deadline).await;
            limit
        }
        None => std::future::pending().await,
    }
}
