//! From an agreement's creation at the daemon to its approval, or to nothing.
//!
//! | state | event | next | effect |
//! |---|---|---|---|
//! | Created | Confirmed | Pending | AwaitApproval |
//! | Created | ConfirmFailed, refused or not sent | Withdrawing | Cancel |
//! | Created | ConfirmUnclear | Unclear | LookUp |
//! | Pending | Approved | Over | HandOver |
//! | Pending | Refused | Over | Conclude |
//! | Pending | NotInTime | Withdrawing | Cancel |
//! | Pending | WaitFailed | Unclear | LookUp |
//! | Withdrawing | Cancelled | Over | Conclude |
//! | Withdrawing | CancelFailed | NotCancelled | LookUp |
//! | NotCancelled | Found never confirmed | Over | Conclude |
//! | NotCancelled | Found anything else | as Unclear (withdrawn) | |
//! | Unclear | Found in force | Over | HandOver; GiveBack if withdrawn |
//! | Unclear | Found in force once, and ended | Over | AccountFor |
//! | Unclear | Found never in force | Over | Conclude |
//! | Unclear | Found undecided | Withdrawing | Cancel |
//!
//! An agreement that was not confirmed cannot be cancelled (yagna 0.17.6 answers 500): its provider does not know of
//! it, nobody but us could confirm it, and it expires.
//!
//! Each step has one effect, and each effect but the last ones asks for the next event. What follows
//! the approval is [`agreement`](super::agreement).

use golem_wire::market::AgreementState;

use super::IllegalTransition;
use super::agreement::{AgreementEnd, EndedBy};

/// Where the signing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Exists at the daemon; the provider does not know of it.
    Created,
    /// The provider decides.
    Pending,
    /// Being cancelled because of `reason`.
    Withdrawing { reason: String },
    /// Not cancelled, but not wanted because of `reason`.
    NotCancelled { reason: String },
    /// A request's outcome is unknown. `withdrawn`: it is not wanted any more, because of it.
    Unclear { withdrawn: Option<String> },
    /// Signed, or nothing came of it.
    Over,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Confirmed,
    ConfirmFailed(String),
    /// Whether it was confirmed is unknown.
    ConfirmUnclear(String),
    Approved,
    Refused(AgreementEnd),
    NotInTime,
    WaitFailed,
    Cancelled,
    CancelFailed,
    Found(AgreementState),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    AwaitApproval,
    Cancel(String),
    LookUp,
    /// It is in force: a machine is rented.
    HandOver,
    /// It is in force although it is not wanted any more: the only way out is to terminate it.
    GiveBack(String),
    /// It was in force and has ended: its invoice may still come.
    AccountFor(AgreementEnd),
    /// Nothing came of it.
    Conclude(AgreementEnd),
}

/// The next state, and what to do about it.
pub(crate) fn step(state: State, event: Event) -> Result<(State, Effect), IllegalTransition> {
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (
                State::Unclear { withdrawn: Some(_) } | State::NotCancelled { .. },
                Event::Found(AgreementState::Approved)
            )
        ),
        "an agreement is approved while it is cancelled"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Pending, Event::Refused(_))),
        "a provider refuses an agreement"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Pending, Event::NotInTime)),
        "an agreement is not approved in time"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Pending, Event::WaitFailed)),
        "the wait for an approval fails"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Created, Event::ConfirmUnclear(_))),
        "a confirmation has no answer"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Created, Event::ConfirmFailed(_))),
        "a confirmation is refused"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Withdrawing { .. }, Event::CancelFailed)
        ),
        "a cancellation fails"
    );
    golem_probe::sometimes!(
        matches!(&event, Event::Found(AgreementState::Terminated)),
        "an agreement is over before its approval is known"
    );
    Ok(match (state, event) {
        (State::Created, Event::Confirmed) => (State::Pending, Effect::AwaitApproval),
        (State::Created, Event::ConfirmUnclear(reason)) => unclear(Some(reason)),
        (State::Created, Event::ConfirmFailed(reason)) => withdraw(reason),

        (State::Pending, Event::Approved) => (State::Over, Effect::HandOver),
        (State::Pending, Event::Refused(end)) => (State::Over, Effect::Conclude(end)),
        (State::Pending, Event::NotInTime)
            if golem_probe::planted!("what-is-not-approved-in-time-is-left") =>
        {
            conclude(EndedBy::Requestor, "not approved in time".into())
        }
        (State::Pending, Event::NotInTime) => withdraw("not approved in time".into()),
        (State::Pending, Event::WaitFailed) => unclear(None),

        (State::Withdrawing { reason }, Event::Cancelled) => conclude(EndedBy::Requestor, reason),
        (State::Withdrawing { reason }, Event::CancelFailed) => {
            (State::NotCancelled { reason }, Effect::LookUp)
        }

        (State::NotCancelled { reason }, Event::Found(AgreementState::Proposal)) => {
            conclude(EndedBy::Requestor, reason)
        }
        (State::NotCancelled { reason }, Event::Found(found)) => found_out(Some(reason), &found),

        (State::Unclear { withdrawn }, Event::Found(found)) => found_out(withdrawn, &found),

        (state, event) => {
            return Err(IllegalTransition {
                state: format!("{state:?}"),
                what: format!("{event:?}"),
            });
        }
    })
}

fn withdraw(reason: String) -> (State, Effect) {
    let effect = Effect::Cancel(reason.clone());
    (State::Withdrawing { reason }, effect)
}

fn unclear(withdrawn: Option<String>) -> (State, Effect) {
    (State::Unclear { withdrawn }, Effect::LookUp)
}

fn conclude(by: EndedBy, reason: String) -> (State, Effect) {
    (State::Over, Effect::Conclude(AgreementEnd::new(by, reason)))
}

fn found_out(withdrawn: Option<String>, found: &AgreementState) -> (State, Effect) {
    let (by, word) = match found {
        AgreementState::Cancelled => (EndedBy::Requestor, "cancelled"),
        AgreementState::Rejected => (EndedBy::Provider, "rejected"),
        AgreementState::Expired => (EndedBy::Expired, "expired"),
        AgreementState::Terminated => {
            let reason = withdrawn.unwrap_or_else(|| "terminated".into());
            let end = AgreementEnd::new(EndedBy::Provider, reason);
            return (State::Over, Effect::AccountFor(end));
        }
        AgreementState::Approved
            if withdrawn.is_some()
                && golem_probe::planted!("approved-while-cancelling-is-forgotten") =>
        {
            (EndedBy::Requestor, "cancelled")
        }
        AgreementState::Approved => {
            let effect = withdrawn.map_or(Effect::HandOver, Effect::GiveBack);
            return (State::Over, effect);
        }
        AgreementState::Proposal | AgreementState::Pending | AgreementState::Other(_) => {
            return withdraw(withdrawn.unwrap_or_else(|| "the wait for approval failed".into()));
        }
    };
    conclude(by, withdrawn.unwrap_or_else(|| word.to_owned()))
}

#[cfg(test)]
mod tests;
