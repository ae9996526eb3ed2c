//! Signing, by what happens on the way.

use super::*;

fn run(events: Vec<Event>) -> (State, Vec<Effect>) {
    let mut state = State::Created;
    let mut all = Vec::new();
    for event in events {
        let (next, effect) = step(state, event).expect("legal");
        state = next;
        all.push(effect);
    }
    (state, all)
}

fn end(by: EndedBy, reason: &str) -> AgreementEnd {
    AgreementEnd::new(by, reason)
}

#[test]
fn an_approved_agreement_is_handed_over() {
    let (state, effects) = run(vec![Event::Confirmed, Event::Approved]);
    assert_eq!(state, State::Over);
    assert_eq!(effects, [Effect::AwaitApproval, Effect::HandOver]);
}

#[test]
fn an_agreement_not_approved_in_time_is_cancelled() {
    let (_, effects) = run(vec![Event::Confirmed, Event::NotInTime, Event::Cancelled]);
    assert_eq!(
        effects[1..],
        [
            Effect::Cancel("not approved in time".into()),
            Effect::Conclude(end(EndedBy::Requestor, "not approved in time")),
        ]
    );
}

#[test]
fn an_approval_that_crosses_the_cancellation_is_terminated() {
    let (state, effects) = run(vec![
        Event::Confirmed,
        Event::NotInTime,
        Event::CancelFailed,
        Event::Found(AgreementState::Approved),
    ]);
    assert_eq!(state, State::Over);
    assert_eq!(
        effects.last(),
        Some(&Effect::GiveBack("not approved in time".into()))
    );
}

#[test]
fn an_agreement_that_was_not_confirmed_is_left_to_expire_when_it_cannot_be_cancelled() {
    let (state, effects) = run(vec![
        Event::ConfirmFailed("no answer".into()),
        Event::CancelFailed,
        Event::Found(AgreementState::Proposal),
    ]);
    assert_eq!(state, State::Over);
    assert_eq!(
        effects.last(),
        Some(&Effect::Conclude(end(EndedBy::Requestor, "no answer")))
    );
}

#[test]
fn an_unknown_confirmation_is_looked_up_and_never_repeated() {
    for (found, expected) in [
        (AgreementState::Proposal, Effect::Cancel("cut".into())),
        (AgreementState::Pending, Effect::Cancel("cut".into())),
        (AgreementState::Approved, Effect::GiveBack("cut".into())),
        // Approved, and ended by its provider: its invoice may still come.
        (
            AgreementState::Terminated,
            Effect::AccountFor(end(EndedBy::Provider, "cut")),
        ),
        (
            AgreementState::Expired,
            Effect::Conclude(end(EndedBy::Expired, "cut")),
        ),
    ] {
        let (_, effects) = run(vec![
            Event::ConfirmUnclear("cut".into()),
            Event::Found(found),
        ]);
        assert_eq!(effects, [Effect::LookUp, expected]);
    }
}

#[test]
fn what_is_over_takes_no_more_events() {
    for event in [
        Event::Confirmed,
        Event::Approved,
        Event::NotInTime,
        Event::Cancelled,
        Event::CancelFailed,
        Event::Found(AgreementState::Approved),
    ] {
        assert!(step(State::Over, event).is_err());
    }
}

#[test]
fn an_approval_before_the_confirmation_breaks_the_protocol() {
    let error = step(State::Created, Event::Approved).expect_err("illegal");
    assert!(error.to_string().contains("Created"));
}
