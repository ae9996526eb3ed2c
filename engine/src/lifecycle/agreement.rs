//! The life of an agreement in force, up to its end. How it came into force is
//! [`signing`](super::signing).
//!
//! | state | event | next | effects |
//! |---|---|---|---|
//! | Approved | TerminateWanted | Terminating | Terminate |
//! | Approved | Lost | Terminating | Announce, Terminate |
//! | Approved, Terminating, LeftOpen | EndedBy | Ended | Announce, unless done |
//! | Terminating | Terminated | Ended | Announce, unless done |
//! | Terminating | NotTerminated | LeftOpen | Announce, unless done |
//! | Terminating | TerminateWanted, Lost | Terminating | |
//! | LeftOpen | TerminateWanted, SignOfLife | Terminating | Terminate |
//! | Approved, Terminating | SignOfLife | the same | |
//! | LeftOpen | Lost | LeftOpen | |
//! | Ended | any | Ended | |

use std::fmt;

use serde::Serialize;

use super::IllegalTransition;

/// Who ended an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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
#[non_exhaustive]
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

impl std::error::Error for AgreementEnd {}

impl fmt::Display for AgreementEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            EndedBy::Provider => "the provider ended the agreement",
            EndedBy::Requestor => "the agreement was ended by us",
            EndedBy::Expired => "the agreement expired",
            EndedBy::Lost => "the machine was given up",
        };
        write!(f, "{by}: {}", self.reason)
    }
}

/// Where an agreement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In force.
    Approved,
    /// Being terminated; `announced` once the renter knows.
    Terminating { end: AgreementEnd, announced: bool },
    /// Given up, and not terminated: it may still be in force. The renter knows.
    LeftOpen(AgreementEnd),
    /// Over.
    Ended(AgreementEnd),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    TerminateWanted(String),
    Terminated,
    /// All attempts failed; why.
    NotTerminated(String),
    /// The provider does something about it, so that it may be reached.
    SignOfLife,
    Lost(String),
    EndedBy(AgreementEnd),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Terminate(String),
    Announce(AgreementEnd),
}

/// The next state, and what to do about it.
pub(crate) fn step(state: State, event: Event) -> Result<(State, Vec<Effect>), IllegalTransition> {
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Approved, Event::EndedBy(_))),
        "a provider ends an agreement in force"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Approved, Event::Lost(_))),
        "a machine in use is lost"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Terminating { .. }, Event::EndedBy(_))
        ),
        "an agreement ends while it is terminated"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Terminating { .. }, Event::Lost(_))
        ),
        "a machine is lost while its agreement is terminated"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Terminating { .. }, Event::NotTerminated(_))
        ),
        "an agreement cannot be terminated"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::LeftOpen(_), Event::SignOfLife)),
        "a document comes for what was given up"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::LeftOpen(_), Event::EndedBy(_))),
        "what was given up ends after all"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Ended(_), Event::SignOfLife)),
        "a document comes after the end of its agreement"
    );
    Ok(match (state, event) {
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
        (state @ (State::Approved | State::Terminating { .. }), Event::SignOfLife) => {
            (state, vec![])
        }

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
        (state @ State::Terminating { .. }, Event::TerminateWanted(_) | Event::Lost(_)) => {
            (state, vec![])
        }

        (
            State::Terminating {
                end,
                announced: true,
            },
            Event::NotTerminated(_),
        ) => (State::LeftOpen(end), vec![]),
        (
            State::Terminating {
                announced: false, ..
            },
            Event::NotTerminated(why),
        ) => {
            let end = AgreementEnd::new(EndedBy::Lost, why);
            (State::LeftOpen(end.clone()), vec![Effect::Announce(end)])
        }

        (State::LeftOpen(end), Event::TerminateWanted(reason)) => again(end, reason),
        (State::LeftOpen(end), Event::SignOfLife) => {
            let reason = format!("it was given up: {}", end.reason);
            again(end, reason)
        }
        (State::LeftOpen(end), Event::EndedBy(_)) => (State::Ended(end), vec![]),
        (state @ State::LeftOpen(_), Event::Lost(_)) => (state, vec![]),

        // Late news of something that is over.
        (state @ State::Ended(_), _) => (state, vec![]),

        (state, event) => {
            return Err(IllegalTransition {
                state: format!("{state:?}"),
                what: format!("{event:?}"),
            });
        }
    })
}

fn again(end: AgreementEnd, reason: String) -> (State, Vec<Effect>) {
    let state = State::Terminating {
        end,
        announced: true,
    };
    (state, vec![Effect::Terminate(reason)])
}

fn ended(end: AgreementEnd) -> (State, Vec<Effect>) {
    (State::Ended(end.clone()), vec![Effect::Announce(end)])
}

#[cfg(test)]
mod tests;
