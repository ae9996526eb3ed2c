//! The life of an agreement in force, by what happens to it.

use super::*;

fn run(events: Vec<Event>) -> (State, Vec<Effect>) {
    let mut state = State::Approved;
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
        Event::TerminateWanted("done".into()),
        Event::Terminated,
        Event::EndedBy(end(EndedBy::Requestor, "done")),
    ]);
    let over = end(EndedBy::Requestor, "done");
    assert_eq!(state, State::Ended(over.clone()));
    assert_eq!(
        effects,
        [Effect::Terminate("done".into()), Effect::Announce(over),]
    );
}

#[test]
fn a_provider_that_ends_it_is_named_even_while_we_terminate() {
    let by = end(EndedBy::Provider, "DebitNotesDeadline");
    let (state, effects) = run(vec![
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
        Event::Lost("no answer".into()),
        Event::Lost("no answer".into()),
        Event::TerminateWanted("x".into()),
        Event::Terminated,
    ]);
    let lost = end(EndedBy::Lost, "no answer");
    assert_eq!(state, State::Ended(lost.clone()));
    assert_eq!(
        effects,
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
        Event::Terminated,
        Event::TerminateWanted("y".into()),
        Event::Lost("y".into()),
        Event::EndedBy(end(EndedBy::Provider, "y")),
    ] {
        assert_eq!(step(over.clone(), event), Ok((over.clone(), vec![])));
    }
}

#[test]
fn what_was_given_up_and_could_not_be_terminated_is_terminated_at_a_sign_of_life() {
    let (state, effects) = run(vec![
        Event::SignOfLife,
        Event::Lost("no answer".into()),
        Event::SignOfLife,
        Event::NotTerminated("unreachable".into()),
        Event::Lost("no answer".into()),
        Event::SignOfLife,
        Event::SignOfLife,
        Event::NotTerminated("unreachable".into()),
        Event::TerminateWanted("done".into()),
        Event::Terminated,
        Event::SignOfLife,
    ]);
    let lost = end(EndedBy::Lost, "no answer");
    assert_eq!(state, State::Ended(lost.clone()));
    let terminate = |why: &str| Effect::Terminate(why.into());
    assert_eq!(
        effects,
        [
            Effect::Announce(lost),
            terminate("no answer"),
            terminate("it was given up: no answer"),
            terminate("done"),
        ]
    );
}

#[test]
fn one_that_cannot_be_terminated_is_announced_as_lost_and_its_later_end_is_no_news() {
    let (state, effects) = run(vec![
        Event::TerminateWanted("done".into()),
        Event::NotTerminated("unreachable".into()),
        Event::EndedBy(end(EndedBy::Provider, "x")),
    ]);
    let lost = end(EndedBy::Lost, "unreachable");
    assert_eq!(state, State::Ended(lost.clone()));
    assert_eq!(
        effects,
        [Effect::Terminate("done".into()), Effect::Announce(lost)]
    );
}

#[test]
fn an_end_that_was_not_asked_for_breaks_the_protocol() {
    let error = step(State::Approved, Event::Terminated).expect_err("illegal");
    assert!(error.to_string().contains("Approved"));
}
