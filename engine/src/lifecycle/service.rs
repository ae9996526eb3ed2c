//! The life of one service instance, as a pure function. Owns: which state follows which event, and
//! what must be done then. Does not own: time, back-off, handlers, requests (`service/instance.rs`
//! performs the effects).
//!
//! | state      | event                    | next       | effects                        |
//! |------------|--------------------------|------------|--------------------------------|
//! | pending    | rented                   | starting   | run `start`                    |
//! | pending    | resumed while running    | running    | run `resume`, then `run`       |
//! | pending    | resumed while stopping   | stopping   | run `shutdown`                 |
//! | pending    | activity failed          | pending ¹  | release, rent another machine  |
//! | pending    | rent failed, stop        | terminated | finish                         |
//! | starting   | handler finished         | running    | run `run`                      |
//! | starting   | handler failed for good  | terminated | release, finish                |
//! | starting   | handler failed, lost, agreement ended | pending ¹ | release, rent another machine |
//! | starting   | stop                     | terminated | cancel handler, release, finish |
//! | running    | handler finished, failed | stopping   | run `shutdown`                 |
//! | running    | stop, agreement ended    | stopping   | cancel handler, run `shutdown` |
//! | running    | unhealthy                | stopping   | cancel handler, run `shutdown` |
//! | running    | moving                   | stopping   | cancel handler, run `shutdown` |
//! | running    | lost, to be replaced     | terminated ² | cancel handler, release, finish |
//! | stopping   | handler finished, failed | terminated ² | release, finish                |
//! | stopping   | lost                     | terminated ² | cancel handler, release, finish |
//! | stopping   | stop                     | terminated | cancel handler, release, finish |
//! | pending    | budget used up           | terminated | finish                         |
//! | starting   | budget used up           | terminated | cancel handler, release, finish |
//! | running    | budget used up           | stopping   | cancel handler, run `shutdown` |
//! | stopping   | budget used up           | terminated | cancel handler, release, finish |
//! | running    | suspend                  | suspended  | cancel handler                 |
//! | suspended  | resume                   | running    | run `resume`, then `run`       |
//! | suspended  | stop, agreement ended, budget used up | stopping | run `shutdown`      |
//! | suspended  | lost                     | terminated ² | release, finish              |
//! | any        | terminate                | terminated | cancel handler, release, finish |
//!
//! ¹ terminated, with `release, finish`, when the policy allows no further attempt.
//!
//! ² pending, with `release, rent another machine`, when the policy has what ran begin anew, unless its end
//! was wanted: by a stop, the end of the budget, or a failure that would be the same on any machine.
//!
//! # Guarantees
//! In each life, `shutdown` runs at most once, and never on a machine that is lost; `running` is entered
//! anew from `suspended` only, on the same machine. A machine that was rented is released exactly once. A
//! new life begins from `pending`, on another machine, and only as the policy says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::IllegalTransition;
use crate::cause::Cause;

/// Where a service instance is in its life, as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ServiceState {
    /// Not yet assigned to a provider.
    Pending,
    /// On a provider; the `start` handler is active.
    Starting,
    /// The `start` handler has finished, the `run` handler is active.
    Running,
    /// It has its machine, but no handler is active, until it is resumed.
    Suspended,
    /// The `run` handler has finished, the `shutdown` handler is active.
    Stopping,
    /// Not bound to an activity any more.
    Terminated,
}

impl ServiceState {
    /// Whether the instance has a machine: starting, running, suspended or stopping.
    pub fn is_available(self) -> bool {
        !matches!(self, Self::Pending | Self::Terminated)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Stopping => "stopping",
            Self::Terminated => "terminated",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The full state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Attempts count from 1.
    Pending {
        attempt: u32,
    },
    Starting {
        attempt: u32,
    },
    Running,
    Suspended,
    /// `failure`: what `run` failed with; `wanted`: nothing is to follow.
    Stopping {
        failure: Option<Cause>,
        wanted: bool,
    },
    Terminated {
        failure: Option<Cause>,
    },
}

impl State {
    pub(crate) const FIRST: State = State::Pending { attempt: 1 };

    pub(crate) fn public(&self) -> ServiceState {
        match self {
            State::Pending { .. } => ServiceState::Pending,
            State::Starting { .. } => ServiceState::Starting,
            State::Running => ServiceState::Running,
            State::Suspended => ServiceState::Suspended,
            State::Stopping { .. } => ServiceState::Stopping,
            State::Terminated { .. } => ServiceState::Terminated,
        }
    }

    pub(crate) fn failure(&self) -> Option<&Cause> {
        match self {
            State::Stopping { failure, .. } | State::Terminated { failure } => failure.as_ref(),
            State::Pending { .. } | State::Starting { .. } | State::Running | State::Suspended => {
                None
            }
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An agreement is in force and its activity is up.
    Rented,
    /// The machine of an earlier life of this instance is still there; it was in `shutdown` if
    /// `stopping`, else in `run`.
    Resumed { stopping: bool },
    /// An agreement was in force, but its activity could not be created.
    ActivityFailed { reason: Cause },
    /// No machine can be had at all.
    RentFailed { reason: Cause },
    /// The active handler returned well.
    HandlerFinished,
    /// The active handler returned an error, or panicked; `is_final`: it would on any machine.
    HandlerFailed { reason: Cause, is_final: bool },
    /// The user, or the end of the engine, wants it to stop.
    StopRequested,
    /// The user wants it to end at once.
    TerminateRequested,
    /// The user wants it to rest.
    SuspendRequested,
    /// The user wants it to go on.
    ResumeRequested,
    /// The activity is gone: nothing can be sent to it any more.
    Lost { reason: Cause },
    /// The agreement ended, the activity still answers.
    AgreementEnded { reason: Cause },
    /// Its own health check failed for too long: it stops, or its machine is as good as lost if `replace`.
    Unhealthy { reason: Cause, replace: bool },
    /// It is started on another machine already: it stops on this one, and goes on there.
    Moving,
    /// The budget is used up: it stops; told again while it does, it is cut off.
    BudgetExhausted { reason: Cause },
}

/// A handler of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    Start,
    /// `resume`, and `run` after it.
    Resume,
    Run,
    Shutdown,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Find another provider, after the back-off of this attempt.
    Rent { attempt: u32 },
    /// Call a handler.
    Handle(Handler),
    /// Drop the active handler.
    CancelHandler,
    /// Destroy the activity and terminate the agreement; `failed` tells which reason to give.
    Release { failed: bool },
    /// Nothing follows.
    Finish,
}

/// Whether an instance begins anew on another machine, if this is its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// One that could not start.
    pub(crate) respawn: bool,
    /// Attempts to start in all.
    pub(crate) max_attempts: u32,
    /// One that has run.
    pub(crate) restart: bool,
}

/// One step of an instance's life.
pub(crate) fn step(
    state: State,
    event: Event,
    policy: Policy,
) -> Result<(State, Vec<Effect>), IllegalTransition> {
    use Effect::{CancelHandler, Finish, Handle, Release};
    use Event as E;
    use State as S;
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (S::Pending { .. }, E::Resumed { stopping: false })
        ),
        "an instance goes on after a crash"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (S::Pending { .. }, E::Resumed { stopping: true })
        ),
        "an instance that was stopping goes on after a crash"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Pending { .. }, E::StopRequested)),
        "a stop comes while a machine is rented"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Starting { .. }, E::StopRequested)),
        "a stop comes while an instance starts"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Stopping { .. }, E::Lost { .. })),
        "a machine is lost while its instance stops"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (
                S::Starting { .. },
                E::Lost { .. } | E::AgreementEnded { .. }
            )
        ),
        "a machine is lost while its instance starts"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Running, E::Lost { .. })),
        "a machine is lost under a running instance"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Running, E::AgreementEnded { .. })),
        "an agreement ends under a running instance"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Running, E::BudgetExhausted { .. })),
        "the budget ends under a running instance"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (_, E::TerminateRequested)),
        "an instance is terminated at once"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Running, E::Unhealthy { .. })),
        "an instance is not healthy"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (S::Running, E::Moving)),
        "an instance moves to another machine"
    );
    let ended = |failure| S::Terminated { failure };
    Ok(match (state, event) {
        (S::Pending { attempt }, E::Rented) => {
            (S::Starting { attempt }, vec![Handle(Handler::Start)])
        }
        (S::Pending { .. }, E::Resumed { stopping: false }) => {
            (S::Running, vec![Handle(Handler::Resume)])
        }
        (S::Pending { .. }, E::Resumed { stopping: true }) => {
            (stopping(None, true), vec![Handle(Handler::Shutdown)])
        }
        (S::Pending { attempt }, E::ActivityFailed { reason }) => retry(attempt, reason, policy),
        (S::Pending { .. }, E::RentFailed { reason }) => (ended(Some(reason)), vec![Finish]),
        (S::Pending { .. }, E::StopRequested) => (ended(None), vec![Finish]),

        (S::Pending { .. }, E::BudgetExhausted { reason }) => (ended(Some(reason)), vec![Finish]),
        (S::Starting { .. }, E::BudgetExhausted { reason }) => (
            ended(Some(reason)),
            vec![CancelHandler, Release { failed: false }, Finish],
        ),
        (S::Running, E::BudgetExhausted { reason }) => (
            stopping(Some(reason), true),
            vec![CancelHandler, Handle(Handler::Shutdown)],
        ),
        (S::Stopping { failure, .. }, E::BudgetExhausted { reason }) => (
            ended(failure.or(Some(reason))),
            vec![CancelHandler, Release { failed: false }, Finish],
        ),

        (S::Starting { .. }, E::HandlerFinished) => (S::Running, vec![Handle(Handler::Run)]),
        (
            S::Starting { .. },
            E::HandlerFailed {
                reason,
                is_final: true,
            },
        ) => (ended(Some(reason)), vec![Release { failed: true }, Finish]),
        (
            S::Starting { attempt },
            E::HandlerFailed { reason, .. } | E::Lost { reason } | E::AgreementEnded { reason },
        ) => retry(attempt, reason, policy),
        (S::Starting { .. }, E::StopRequested) => (
            ended(None),
            vec![CancelHandler, Release { failed: false }, Finish],
        ),

        (S::Running, E::SuspendRequested) => (S::Suspended, vec![CancelHandler]),
        (S::Suspended, E::ResumeRequested) => (S::Running, vec![Handle(Handler::Resume)]),
        (S::Suspended, E::StopRequested) => (stopping(None, true), vec![Handle(Handler::Shutdown)]),
        (S::Suspended, E::BudgetExhausted { reason }) => (
            stopping(Some(reason), true),
            vec![Handle(Handler::Shutdown)],
        ),
        (S::Suspended, E::AgreementEnded { reason }) => (
            stopping(Some(reason), false),
            vec![Handle(Handler::Shutdown)],
        ),
        (S::Suspended, E::Lost { reason }) => over(Some(reason), true, policy.restart),

        (S::Pending { .. }, E::TerminateRequested) => (ended(None), vec![Finish]),
        (S::Starting { .. } | S::Running | S::Suspended, E::TerminateRequested) => (
            ended(None),
            vec![CancelHandler, Release { failed: false }, Finish],
        ),
        (S::Stopping { failure, .. }, E::TerminateRequested) => (
            ended(failure),
            vec![CancelHandler, Release { failed: false }, Finish],
        ),

        (S::Running, E::HandlerFinished) => {
            (stopping(None, false), vec![Handle(Handler::Shutdown)])
        }
        (S::Running, E::HandlerFailed { reason, is_final }) => (
            stopping(Some(reason), is_final),
            vec![Handle(Handler::Shutdown)],
        ),
        (S::Running, E::Moving) => (
            stopping(None, false),
            vec![CancelHandler, Handle(Handler::Shutdown)],
        ),
        (S::Running, E::StopRequested) => (
            stopping(None, true),
            vec![CancelHandler, Handle(Handler::Shutdown)],
        ),
        (
            S::Running,
            E::AgreementEnded { reason }
            | E::Unhealthy {
                reason,
                replace: false,
            },
        ) => (
            stopping(Some(reason), false),
            vec![CancelHandler, Handle(Handler::Shutdown)],
        ),
        (
            S::Running,
            E::Lost { reason }
            | E::Unhealthy {
                reason,
                replace: true,
            },
        ) => cut(over(Some(reason), true, policy.restart)),

        (S::Stopping { failure, wanted }, E::HandlerFinished) => {
            let failed = failure.is_some();
            let wanted =
                wanted && !golem_probe::planted!("an-instance-begins-again-after-the-stop");
            over(failure, failed, policy.restart && !wanted)
        }
        // The first failure explains the ones that follow it.
        (S::Stopping { failure, wanted }, E::HandlerFailed { reason, is_final }) => over(
            failure.or(Some(reason)),
            true,
            policy.restart && !wanted && !is_final,
        ),
        (S::Stopping { failure, .. }, E::StopRequested) => {
            let failed = failure.is_some();
            cut(over(failure, failed, false))
        }
        (S::Stopping { failure, wanted }, E::Lost { reason }) => cut(over(
            failure.or(Some(reason)),
            true,
            policy.restart && !wanted,
        )),

        // Late words about a machine that was given back, and a stop that comes too late.
        (state @ S::Pending { .. }, E::Lost { .. } | E::AgreementEnded { .. }) => (state, vec![]),
        (
            state @ S::Terminated { .. },
            E::Lost { .. }
            | E::AgreementEnded { .. }
            | E::BudgetExhausted { .. }
            | E::StopRequested
            | E::TerminateRequested,
        ) => (state, vec![]),

        (state, event) => {
            return Err(IllegalTransition {
                state: state.public().to_string(),
                what: format!("{event:?}"),
            });
        }
    })
}

fn stopping(failure: Option<Cause>, wanted: bool) -> State {
    State::Stopping { failure, wanted }
}

/// The end of a life, and the beginning of the next one if there is one.
fn over(failure: Option<Cause>, failed: bool, again: bool) -> (State, Vec<Effect>) {
    let release = Effect::Release { failed };
    if again {
        let attempt = 1;
        (
            State::Pending { attempt },
            vec![release, Effect::Rent { attempt }],
        )
    } else {
        (State::Terminated { failure }, vec![release, Effect::Finish])
    }
}

/// With a handler that is still active.
fn cut((state, mut effects): (State, Vec<Effect>)) -> (State, Vec<Effect>) {
    effects.insert(0, Effect::CancelHandler);
    (state, effects)
}

fn retry(attempt: u32, reason: Cause, policy: Policy) -> (State, Vec<Effect>) {
    let release = Effect::Release { failed: true };
    if policy.respawn
        && (attempt < policy.max_attempts || golem_probe::planted!("it-is-tried-for-ever"))
    {
        let attempt = attempt + 1;
        (
            State::Pending { attempt },
            vec![release, Effect::Rent { attempt }],
        )
    } else {
        golem_probe::sometimes!(policy.respawn, "an instance has no attempt left");
        let failure = Some(reason);
        (State::Terminated { failure }, vec![release, Effect::Finish])
    }
}

#[cfg(test)]
mod tests;
