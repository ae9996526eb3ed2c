//! The life of one provider's proposal on one of our demands.
//!
//! | state | event | next | effects |
//! |---|---|---|---|
//! | Received | Scored, good | Ranked | |
//! | Received | Scored, bad | Refused | Reject, Record |
//! | Ranked | Picked | Countering | Counter |
//! | Countering | Sent | Awaiting | |
//! | Countering | SendFailed | Refused | Record |
//! | Awaiting | Answered, good | Draft | Offer |
//! | Awaiting | Answered, bad | Refused | Reject, Record |
//! | Awaiting | ProviderRejected, Silent | Refused | Record |
//! | Ranked, Countering, Awaiting, Draft | DemandGone | Refused | |
//! | Draft | Superseded | Refused | |
//! | Draft | Promoted | Promoted | |
//! | Refused, Promoted | any | the same | |

use serde::Serialize;

use super::IllegalTransition;

/// Who refused a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum RefusedBy {
    /// We did: our strategy, or what the engine needs of an offer.
    Requestor,
    /// The provider did.
    Provider,
}

/// Why a proposal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum RefusedFor {
    /// It cannot be paid on the engine's payment platform.
    Platform,
    /// Its provider asked for more than was right, or broke what was agreed, before.
    Distrust,
    /// It tells no prices, or none that can be reckoned with.
    Prices,
    /// The [strategy](crate::strategy::MarketStrategy) does not want it, or not its provider.
    Strategy,
    /// What the provider answered to our counter-proposal is outside of the strategy's ranges.
    Terms,
    /// Its provider did not want our counter-proposal.
    Provider,
}

/// What the strategy thinks of an offer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Good, the higher the better.
    Good(f64),
    /// Not wanted.
    Bad(RefusedFor, String),
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Received,
    Ranked(f64),
    Countering(f64),
    Awaiting(f64),
    Draft(f64),
    Promoted,
    Refused,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Scored(Verdict),
    Picked,
    Sent,
    SendFailed(String),
    Answered(Verdict),
    ProviderRejected(String),
    Silent,
    DemandGone,
    /// The provider published its offer anew: it would not decide about an agreement on this one.
    Superseded,
    Promoted,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send a counter-proposal.
    Counter,
    /// Tell the provider that we do not want it.
    Reject(RefusedFor, String),
    /// Hand the draft to whoever wants to sign.
    Offer(f64),
    /// Count the refusal for the report.
    Record(String),
}

/// The next state, and what to do about it.
pub(crate) fn step(state: State, event: Event) -> Result<(State, Vec<Effect>), IllegalTransition> {
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Received, Event::Scored(Verdict::Bad(..)))
        ),
        "an offer is refused"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Countering(_), Event::SendFailed(_))
        ),
        "a counter-proposal fails"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Awaiting(_), Event::ProviderRejected(_))
        ),
        "a provider rejects a counter-proposal"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Awaiting(_), Event::Silent)),
        "a provider does not answer a counter-proposal"
    );
    golem_probe::sometimes!(
        matches!((&state, &event), (State::Draft(_), Event::Superseded)),
        "a draft is superseded by a later offer"
    );
    golem_probe::sometimes!(
        matches!(
            (&state, &event),
            (State::Draft(_) | State::Awaiting(_), Event::DemandGone)
        ),
        "a demand goes while it is negotiated"
    );
    Ok(match (state, event) {
        (State::Received, Event::Scored(Verdict::Good(score))) => (State::Ranked(score), vec![]),
        (State::Received, Event::Scored(Verdict::Bad(why, reason)))
        | (State::Awaiting(_), Event::Answered(Verdict::Bad(why, reason))) => (
            State::Refused,
            vec![Effect::Reject(why, reason.clone()), Effect::Record(reason)],
        ),
        (State::Ranked(score), Event::Picked) => (State::Countering(score), vec![Effect::Counter]),
        (State::Countering(score), Event::Sent) => (State::Awaiting(score), vec![]),
        (State::Countering(_), Event::SendFailed(reason)) => refused(reason),
        (State::Awaiting(_), Event::Answered(Verdict::Good(score))) => {
            (State::Draft(score), vec![Effect::Offer(score)])
        }
        (State::Awaiting(_), Event::ProviderRejected(reason)) => {
            refused(format!("the provider refused: {reason}"))
        }
        (State::Awaiting(_), Event::Silent) => refused("the provider did not answer".into()),
        (
            State::Received
            | State::Ranked(_)
            | State::Countering(_)
            | State::Awaiting(_)
            | State::Draft(_),
            Event::DemandGone,
        ) => (State::Refused, vec![]),
        (State::Draft(_), Event::Superseded) => (State::Refused, vec![]),
        (State::Draft(_), Event::Promoted) => (State::Promoted, vec![]),
        (state @ (State::Refused | State::Promoted), _) => (state, vec![]),
        (state, event) => {
            return Err(IllegalTransition {
                state: format!("{state:?}"),
                what: format!("{event:?}"),
            });
        }
    })
}

fn refused(reason: String) -> (State, Vec<Effect>) {
    (State::Refused, vec![Effect::Record(reason)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<(State, Event, State, Vec<Effect>)> {
        let bad = || Verdict::Bad(RefusedFor::Strategy, "dear".into());
        let reject = || {
            let why = RefusedFor::Strategy;
            vec![
                Effect::Reject(why, "dear".into()),
                Effect::Record("dear".into()),
            ]
        };
        let record = |text: &str| vec![Effect::Record(text.into())];
        use State::{Awaiting, Countering, Draft, Promoted, Ranked, Received, Refused};
        vec![
            (
                Received,
                Event::Scored(Verdict::Good(2.0)),
                Ranked(2.0),
                vec![],
            ),
            (Received, Event::Scored(bad()), Refused, reject()),
            (
                Ranked(2.0),
                Event::Picked,
                Countering(2.0),
                vec![Effect::Counter],
            ),
            (Countering(2.0), Event::Sent, Awaiting(2.0), vec![]),
            (
                Countering(2.0),
                Event::SendFailed("404".into()),
                Refused,
                record("404"),
            ),
            (
                Awaiting(2.0),
                Event::Answered(Verdict::Good(1.0)),
                Draft(1.0),
                vec![Effect::Offer(1.0)],
            ),
            (Awaiting(2.0), Event::Answered(bad()), Refused, reject()),
            (
                Awaiting(2.0),
                Event::ProviderRejected("busy".into()),
                Refused,
                record("the provider refused: busy"),
            ),
            (
                Awaiting(2.0),
                Event::Silent,
                Refused,
                record("the provider did not answer"),
            ),
            (Draft(1.0), Event::Promoted, Promoted, vec![]),
            (Draft(1.0), Event::DemandGone, Refused, vec![]),
            (Draft(1.0), Event::Superseded, Refused, vec![]),
            (Refused, Event::Sent, Refused, vec![]),
            (Promoted, Event::DemandGone, Promoted, vec![]),
        ]
    }

    #[test]
    fn every_row_of_the_table_holds() {
        for (state, event, next, effects) in table() {
            assert_eq!(
                step(state, event.clone()),
                Ok((next, effects)),
                "{state:?} + {event:?}"
            );
        }
    }

    #[test]
    fn a_draft_that_became_dearer_is_refused() {
        let (state, effects) = step(
            State::Awaiting(9.0),
            Event::Answered(Verdict::Bad(RefusedFor::Terms, "dear".into())),
        )
        .expect("legal");
        assert_eq!(state, State::Refused);
        assert!(effects.contains(&Effect::Reject(RefusedFor::Terms, "dear".into())));
    }

    #[test]
    fn an_answer_to_nothing_breaks_the_protocol() {
        assert!(step(State::Received, Event::Answered(Verdict::Good(1.0))).is_err());
        assert!(step(State::Draft(1.0), Event::Sent).is_err());
    }
}
