//! The life of an agreement, by what happens to it.

use super::*;

fn run(events: Vec<Event>) -> (State, Vec<Effect>) {
    let mut state = State::Created;
    let mut all = Vec::new();
    for event in events {
        let (next, effects) = step(state, event).expect("legal");
        state = next;
        all.extend(effects);
    }
    (state, all)
}

fn end(by: EndedBy, reason: &str) -> AgreementEnd {
    AgreementEnd::new(by, reason)
}

#[test]
fn the_usual_life_ends_with_one_announcement() {
    let (state, effects) = run(vec![
        Event::Confirmed,
        Event::Approved,
        Event::TerminateWanted("done".into()),
        Event::Terminated,
        Event::EndedBy(end(EndedBy::Requestor, "done")),
    ]);
    let over = end(EndedBy::Requestor, "done");
    assert_eq!(state, State::Ended(over.clone()));
    assert_eq!(
        effects,
        [
            Effect::AwaitApproval,
            Effect::HandOver,
            Effect::Terminate("done".into()),
            Effect::Announce(over),
        ]
    );
}

#[test]
fn an_agreement_not_approved_in_time_is_cancelled() {
    let (_, effects) = run(vec![Event::Confirmed, Event::NotInTime, Event::Cancelled]);
    assert_eq!(
        effects[1..],
        [
            Effect::Cancel("not approved in time".into()),
            Effect::Announce(end(EndedBy::Requestor, "not approved in time")),
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
    assert!(matches!(
        state,
        State::Terminating {
            announced: false,
            ..
        }
    ));
    assert_eq!(
        effects.last(),
        Some(&Effect::Terminate("not approved in time".into()))
    );
}

#[test]
fn an_unknown_confirmation_is_looked_up_and_never_repeated() {
    for (found, expected) in [
        (AgreementState::Proposal, Effect::Cancel("cut".into())),
        (AgreementState::Pending, Effect::Cancel("cut".into())),
        (AgreementState::Approved, Effect::Terminate("cut".into())),
        (
            AgreementState::Expired,
            Effect::Announce(end(EndedBy::Expired, "cut")),
        ),
    ] {
        let (_, effects) = run(vec![
            Event::ConfirmFailed(Outcome::Unknown, "cut".into()),
            Event::Found(found),
        ]);
        assert_eq!(effects, [Effect::LookUp, expected]);
    }
}

#[test]
fn a_provider_that_ends_it_is_named_even_while_we_terminate() {
    let by = end(EndedBy::Provider, "DebitNotesDeadline");
    let (state, effects) = run(vec![
        Event::Confirmed,
        Event::Approved,
        Event::TerminateWanted("done".into()),
        Event::EndedBy(by.clone()),
        Event::Terminated,
    ]);
    assert_eq!(state, State::Ended(by.clone()));
    assert_eq!(
        effects
            .iter()
            .filter(|e| matches!(e, Effect::Announce(_)))
            .count(),
        1
    );
}

#[test]
fn a_lost_machine_is_announced_at_once_and_terminated_once() {
    let (state, effects) = run(vec![
        Event::Confirmed,
        Event::Approved,
        Event::Lost("no answer".into()),
        Event::Lost("no answer".into()),
        Event::TerminateWanted("x".into()),
        Event::Terminated,
    ]);
    let lost = end(EndedBy::Lost, "no answer");
    assert_eq!(state, State::Ended(lost.clone()));
    assert_eq!(
        effects[2..],
        [
            Effect::Announce(lost),
            Effect::Terminate("no answer".into())
        ]
    );
}

#[test]
fn nothing_wakes_the_dead() {
    let over = State::Ended(end(EndedBy::Expired, "x"));
    for event in [
        Event::Confirmed,
        Event::Approved,
        Event::NotInTime,
        Event::Cancelled,
        Event::CancelFailed,
        Event::Terminated,
        Event::Found(AgreementState::Approved),
        Event::TerminateWanted("y".into()),
        Event::Lost("y".into()),
        Event::EndedBy(end(EndedBy::Provider, "y")),
    ] {
        assert_eq!(step(over.clone(), event), Ok((over.clone(), vec![])));
    }
}

#[test]
fn an_approval_before_the_confirmation_breaks_the_protocol() {
    let error = step(State::Created, Event::Approved).expect_err("illegal");
    assert!(error.to_string().contains("Created"));
}
