//! The life of an agreement, from its creation at the daemon to its end.
//!
//! | state | event | next | effects |
//! |---|---|---|---|
//! | Created | Confirmed | Pending | AwaitApproval |
//! | Created | ConfirmFailed, refused or not sent | Withdrawing | Cancel |
//! | Created | ConfirmFailed, unknown | Unclear | LookUp |
//! | Pending | Approved | Approved | HandOver |
//! | Pending | Refused | Ended | Announce |
//! | Pending | NotInTime | Withdrawing | Cancel |
//! | Pending | WaitFailed | Unclear | LookUp |
//! | Withdrawing | Cancelled | Ended | Announce |
//! | Withdrawing | CancelFailed | Unclear (withdrawn) | LookUp |
//! | Unclear | Found | by what was found | |
//! | Approved | TerminateWanted | Terminating | Terminate |
//! | Approved | Lost | Terminating | Announce, Terminate |
//! | Approved, Terminating | EndedBy | Ended | Announce, unless done |
//! | Terminating | Terminated | Ended | Announce, unless done |
//! | Terminating | TerminateWanted, Lost | Terminating | |
//! | Ended | any | Ended | |

use std::fmt;

use golem_wire::market::AgreementState;

use super::IllegalTransition;
use crate::api::Outcome;

/// Who ended an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// We did.
    Requestor,
    /// The provider did, or refused to begin.
    Provider,
    /// Its time ran out.
    Expired,
    /// The machine does not answer any more.
    Lost,
}

/// How an agreement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementEnd {
    /// Who ended it.
    pub by: EndedBy,
    /// Why, in words.
    pub reason: String,
}

impl AgreementEnd {
    pub(crate) fn new(by: EndedBy, reason: impl Into<String>) -> Self {
        AgreementEnd {
            by,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for AgreementEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            EndedBy::Requestor => "ended by us",
            EndedBy::Provider => "ended by the provider",
            EndedBy::Expired => "expired",
            EndedBy::Lost => "lost",
        };
        write!(f, "{by}: {}", self.reason)
    }
}

/// Where an agreement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Exists at the daemon; the provider does not know of it.
    Created,
    /// The provider decides.
    Pending,
    /// Being cancelled because of `reason`.
    Withdrawing { reason: String },
    /// A request's outcome is unknown. `withdrawn`: we do not want it any more, because of it.
    Unclear { withdrawn: Option<String> },
    /// In force.
    Approved,
    /// Being terminated; `announced` once the renter knows.
    Terminating { end: AgreementEnd, announced: bool },
    /// Over.
    Ended(AgreementEnd),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Confirmed,
    ConfirmFailed(Outcome, String),
    Approved,
    Refused(AgreementEnd),
    NotInTime,
    WaitFailed(String),
    Cancelled,
    CancelFailed,
    Found(AgreementState),
    TerminateWanted(String),
    Terminated,
    Lost(String),
    EndedBy(AgreementEnd),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    AwaitApproval,
    Cancel(String),
    LookUp,
    HandOver,
    Terminate(String),
    Announce(AgreementEnd),
}

/// The next state, and what to do about it.
pub(crate) fn step(state: State, event: Event) -> Result<(State, Vec<Effect>), IllegalTransition> {
    Ok(match (state, event) {
        (State::Created, Event::Confirmed) => (State::Pending, vec![Effect::AwaitApproval]),
        (State::Created, Event::ConfirmFailed(Outcome::Unknown, reason)) => (
            State::Unclear {
                withdrawn: Some(reason),
            },
            vec![Effect::LookUp],
        ),
        (State::Created, Event::ConfirmFailed(_, reason)) => withdraw(reason),

        (State::Pending, Event::Approved) => (State::Approved, vec![Effect::HandOver]),
        (State::Pending, Event::Refused(end)) => ended(end),
        (State::Pending, Event::NotInTime) => withdraw("not approved in time".into()),
        (State::Pending, Event::WaitFailed(_)) => {
            (State::Unclear { withdrawn: None }, vec![Effect::LookUp])
        }

        (State::Withdrawing { reason }, Event::Cancelled) => {
            ended(AgreementEnd::new(EndedBy::Requestor, reason))
        }
        (State::Withdrawing { reason }, Event::CancelFailed) => (
            State::Unclear {
                withdrawn: Some(reason),
            },
            vec![Effect::LookUp],
        ),

        (State::Unclear { withdrawn }, Event::Found(found)) => found_out(withdrawn, &found),

        (State::Approved, Event::TerminateWanted(reason)) => (
            State::Terminating {
                end: AgreementEnd::new(EndedBy::Requestor, reason.clone()),
                announced: false,
            },
            vec![Effect::Terminate(reason)],
        ),
        (State::Approved, Event::Lost(reason)) => {
            let end = AgreementEnd::new(EndedBy::Lost, reason.clone());
            (
                State::Terminating {
                    end: end.clone(),
                    announced: true,
                },
                vec![Effect::Announce(end), Effect::Terminate(reason)],
            )
        }
        (State::Approved, Event::EndedBy(end)) => ended(end),
        (State::Approved, Event::Approved) => (State::Approved, vec![]),

        (State::Terminating { end, announced }, Event::Terminated) => {
            let effects = if announced {
                vec![]
            } else {
                vec![Effect::Announce(end.clone())]
            };
            (State::Ended(end), effects)
        }
        (
            State::Terminating {
                end,
                announced: true,
            },
            Event::EndedBy(_),
        ) => (State::Ended(end), vec![]),
        (
            State::Terminating {
                announced: false, ..
            },
            Event::EndedBy(by),
        ) => ended(by),
        (
            state @ State::Terminating { .. },
            Event::TerminateWanted(_) | Event::Lost(_) | Event::Approved,
        ) => (state, vec![]),

        // Late news of something that is over.
        (state @ State::Ended(_), _) => (state, vec![]),

        // The event feed may tell of the end before the request does.
        (
            State::Created | State::Pending | State::Withdrawing { .. } | State::Unclear { .. },
            Event::EndedBy(end),
        ) => ended(end),

        (state, event) => {
            return Err(IllegalTransition {
                state: format!("{state:?}"),
                what: format!("{event:?}"),
            });
        }
    })
}

fn ended(end: AgreementEnd) -> (State, Vec<Effect>) {
    (State::Ended(end.clone()), vec![Effect::Announce(end)])
}

fn withdraw(reason: String) -> (State, Vec<Effect>) {
    let effects = vec![Effect::Cancel(reason.clone())];
    (State::Withdrawing { reason }, effects)
}

fn found_out(withdrawn: Option<String>, found: &AgreementState) -> (State, Vec<Effect>) {
    let gone = |by, word: &str| {
        let reason = withdrawn.clone().unwrap_or_else(|| word.to_owned());
        ended(AgreementEnd::new(by, reason))
    };
    match found {
        AgreementState::Cancelled => gone(EndedBy::Requestor, "cancelled"),
        AgreementState::Terminated => gone(EndedBy::Requestor, "terminated"),
        AgreementState::Rejected => gone(EndedBy::Provider, "rejected"),
        AgreementState::Expired => gone(EndedBy::Expired, "expired"),
        AgreementState::Approved => match withdrawn {
            None => (State::Approved, vec![Effect::HandOver]),
            // It was approved behind our back: the only way out is to terminate.
            Some(reason) => (
                State::Terminating {
                    end: AgreementEnd::new(EndedBy::Requestor, reason.clone()),
                    announced: false,
                },
                vec![Effect::Terminate(reason)],
            ),
        },
        AgreementState::Proposal | AgreementState::Pending | AgreementState::Other(_) => {
            withdraw(withdrawn.unwrap_or_else(|| "the wait for approval failed".into()))
        }
    }
}

#[cfg(test)]
mod tests;
