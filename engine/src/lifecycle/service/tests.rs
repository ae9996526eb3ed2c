use super::*;

const RESPAWN: Policy = Policy {
    respawn: true,
    max_attempts: 3,
    restart: false,
};
const ALWAYS: Policy = Policy {
    restart: true,
    ..RESPAWN
};
const ONCE: Policy = Policy {
    respawn: false,
    max_attempts: 3,
    restart: false,
};

fn why() -> Cause {
    "why".into()
}

fn failed() -> Event {
    Event::HandlerFailed {
        reason: why(),
        is_final: false,
    }
}

fn lost() -> Event {
    Event::Lost { reason: why() }
}

fn agreement_ended() -> Event {
    Event::AgreementEnded { reason: why() }
}

fn unhealthy(replace: bool) -> Event {
    let reason = why();
    Event::Unhealthy { reason, replace }
}

fn run(policy: Policy, events: impl IntoIterator<Item = Event>) -> (State, Vec<Effect>) {
    events
        .into_iter()
        .fold((State::FIRST, Vec::new()), |(state, _), event| {
            step(state, event, policy).expect("a legal event")
        })
}

fn running() -> Vec<Event> {
    vec![Event::Rented, Event::HandlerFinished]
}

fn stopping() -> Vec<Event> {
    vec![
        Event::Rented,
        Event::HandlerFinished,
        Event::HandlerFinished,
    ]
}

#[test]
fn a_life_without_trouble_visits_every_state_in_order() {
    let mut state = State::FIRST;
    let mut seen = vec![state.public()];
    for event in [
        Event::Rented,
        Event::HandlerFinished,
        Event::HandlerFinished,
        Event::HandlerFinished,
    ] {
        state = step(state, event, RESPAWN).expect("a legal event").0;
        seen.push(state.public());
    }
    assert_eq!(
        seen,
        [
            ServiceState::Pending,
            ServiceState::Starting,
            ServiceState::Running,
            ServiceState::Stopping,
            ServiceState::Terminated,
        ]
    );
    assert_eq!(state.failure(), None);
}

#[test]
fn a_failed_start_is_tried_again_on_another_machine() {
    for event in [failed(), lost(), agreement_ended()] {
        let (state, effects) = run(RESPAWN, [Event::Rented, event]);
        assert_eq!(state, State::Pending { attempt: 2 });
        assert_eq!(
            effects,
            [
                Effect::Release { failed: true },
                Effect::Rent { attempt: 2 }
            ]
        );
    }
}

#[test]
fn a_failed_start_ends_the_instance_without_the_respawn_flag() {
    for event in [failed(), lost(), agreement_ended()] {
        let (state, effects) = run(ONCE, [Event::Rented, event]);
        assert_eq!(
            state,
            State::Terminated {
                failure: Some(why())
            }
        );
        assert_eq!(effects, [Effect::Release { failed: true }, Effect::Finish]);
    }
}

#[test]
fn a_start_that_would_fail_on_any_machine_ends_the_instance() {
    let event = Event::HandlerFailed {
        reason: why(),
        is_final: true,
    };
    let (state, effects) = run(RESPAWN, [Event::Rented, event]);
    let failure = Some(why());
    assert_eq!(state, State::Terminated { failure });
    assert_eq!(effects, [Effect::Release { failed: true }, Effect::Finish]);
}

#[test]
fn attempts_to_start_are_bounded() {
    let fail_once = [Event::Rented, failed()];
    let (state, _) = run(
        RESPAWN,
        [fail_once.clone(), fail_once.clone(), fail_once].concat(),
    );
    assert_eq!(state.public(), ServiceState::Terminated);
}

#[test]
fn an_activity_that_cannot_be_created_counts_as_a_failed_start() {
    let event = || Event::ActivityFailed { reason: why() };
    assert_eq!(run(RESPAWN, [event()]).0, State::Pending { attempt: 2 });
    assert_eq!(run(ONCE, [event()]).0.public(), ServiceState::Terminated);
}

#[test]
fn the_end_of_run_leads_to_shutdown_well_or_badly() {
    for (event, failure) in [(Event::HandlerFinished, None), (failed(), Some(why()))] {
        let (state, effects) = run(RESPAWN, [running(), vec![event]].concat());
        let wanted = false;
        assert_eq!(state, State::Stopping { failure, wanted });
        assert_eq!(effects, [Effect::Handle(Handler::Shutdown)]);
    }
}

#[test]
fn a_stop_while_running_leads_to_shutdown() {
    let (state, effects) = run(RESPAWN, [running(), vec![Event::StopRequested]].concat());
    let (failure, wanted) = (None, true);
    assert_eq!(state, State::Stopping { failure, wanted });
    assert_eq!(
        effects,
        [Effect::CancelHandler, Effect::Handle(Handler::Shutdown)]
    );
}

#[test]
fn a_stop_while_starting_skips_shutdown_and_is_not_retried() {
    let (state, effects) = run(RESPAWN, [Event::Rented, Event::StopRequested]);
    assert_eq!(state, State::Terminated { failure: None });
    assert_eq!(
        effects,
        [
            Effect::CancelHandler,
            Effect::Release { failed: false },
            Effect::Finish
        ]
    );
}

#[test]
fn a_second_stop_cuts_the_shutdown_handler_short() {
    let (state, effects) = run(RESPAWN, [stopping(), vec![Event::StopRequested]].concat());
    assert_eq!(state.public(), ServiceState::Terminated);
    assert_eq!(effects[0], Effect::CancelHandler);
}

#[test]
fn an_abrupt_loss_skips_the_shutdown_handler_and_is_not_retried() {
    for before in [running(), stopping()] {
        let (state, effects) = run(RESPAWN, [before, vec![lost()]].concat());
        assert_eq!(
            state,
            State::Terminated {
                failure: Some(why())
            }
        );
        assert!(!effects.contains(&Effect::Handle(Handler::Shutdown)));
    }
}

#[test]
fn an_agreement_that_ends_with_a_living_activity_leads_to_shutdown() {
    let (state, effects) = run(RESPAWN, [running(), vec![agreement_ended()]].concat());
    assert_eq!(state.public(), ServiceState::Stopping);
    assert!(effects.contains(&Effect::Handle(Handler::Shutdown)));
}

#[test]
fn what_cannot_happen_is_refused_not_ignored() {
    for event in [Event::HandlerFinished, failed()] {
        assert!(step(State::FIRST, event, RESPAWN).is_err());
    }
    assert!(step(State::Running, Event::Rented, RESPAWN).is_err());
    // What ends an instance is not ended by its agreement: nobody tells.
    let (stopping, _) = run(RESPAWN, stopping());
    assert!(step(stopping, agreement_ended(), RESPAWN).is_err());
    let done = State::Terminated { failure: None };
    assert!(step(done, Event::Rented, RESPAWN).is_err());
}

/// Walks every sequence of legal events up to a depth.
#[test]
fn every_machine_is_released_once_and_shutdown_runs_at_most_once() {
    let events = [
        Event::Rented,
        Event::ActivityFailed { reason: why() },
        Event::RentFailed { reason: why() },
        Event::HandlerFinished,
        failed(),
        Event::StopRequested,
        Event::TerminateRequested,
        Event::SuspendRequested,
        Event::ResumeRequested,
        lost(),
        agreement_ended(),
        unhealthy(false),
        unhealthy(true),
    ];
    let mut front = vec![(State::FIRST, Vec::<Effect>::new(), 0usize)];
    for _ in 0..8 {
        let mut next = Vec::new();
        for (state, effects, rented) in front {
            for event in &events {
                let had_machine = state.public().is_available();
                let Ok((after, new)) = step(state.clone(), event.clone(), RESPAWN) else {
                    continue;
                };
                let rented = rented
                    + usize::from(matches!(
                        event,
                        Event::Rented | Event::ActivityFailed { .. }
                    ));
                let effects = [effects.clone(), new].concat();
                let count =
                    |wanted: fn(&Effect) -> bool| effects.iter().filter(|e| wanted(e)).count();
                let released = count(|e| matches!(e, Effect::Release { .. }));
                let holds = usize::from(after.public().is_available());
                assert_eq!(released + holds, rented, "{effects:?}");
                assert!(count(|e| *e == Effect::Handle(Handler::Shutdown)) <= 1);
                assert!(count(|e| *e == Effect::Handle(Handler::Run)) <= 1);
                if state.public() == ServiceState::Terminated {
                    assert_eq!(after, state, "terminated is final");
                }
                if matches!(event, Event::Lost { .. }) && had_machine {
                    assert!(!after.public().is_available());
                }
                next.push((after, effects, rented));
            }
        }
        // Equal histories need no second look.
        next.sort_by_key(|entry| format!("{entry:?}"));
        next.dedup();
        front = next;
        front.truncate(20_000);
    }
}

#[test]
fn an_instance_that_is_resumed_runs_or_stops_without_being_started() {
    let (state, effects) = run(RESPAWN, [Event::Resumed { stopping: false }]);
    assert_eq!(state, State::Running);
    assert_eq!(effects, [Effect::Handle(Handler::Resume)]);
    let (state, effects) = run(RESPAWN, [Event::Resumed { stopping: true }]);
    assert_eq!(state.public(), ServiceState::Stopping);
    assert_eq!(effects, [Effect::Handle(Handler::Shutdown)]);
    let late = step(State::Running, Event::Resumed { stopping: false }, RESPAWN);
    assert!(
        late.is_err(),
        "only what was not begun in this life is resumed"
    );
}

#[test]
fn a_terminated_instance_is_released_without_shutdown_wherever_it_was() {
    for (before, machine) in [
        (vec![], false),
        (vec![Event::Rented], true),
        (running(), true),
        ([running(), vec![Event::SuspendRequested]].concat(), true),
        (stopping(), true),
    ] {
        let (state, effects) = run(RESPAWN, [before, vec![Event::TerminateRequested]].concat());
        assert_eq!(state, State::Terminated { failure: None });
        assert!(!effects.contains(&Effect::Handle(Handler::Shutdown)));
        let released = effects.contains(&Effect::Release { failed: false });
        assert_eq!(released, machine, "{effects:?}");
    }
}

#[test]
fn a_suspended_instance_keeps_its_machine_until_it_goes_on_or_stops() {
    let rests = || [running(), vec![Event::SuspendRequested]].concat();
    let (state, effects) = run(RESPAWN, rests());
    assert_eq!(
        (state, effects),
        (State::Suspended, vec![Effect::CancelHandler])
    );
    let (state, effects) = run(RESPAWN, [rests(), vec![Event::ResumeRequested]].concat());
    assert_eq!(state, State::Running);
    assert_eq!(effects, [Effect::Handle(Handler::Resume)]);
    for event in [Event::StopRequested, agreement_ended()] {
        let (state, effects) = run(RESPAWN, [rests(), vec![event]].concat());
        assert_eq!(state.public(), ServiceState::Stopping);
        assert_eq!(effects, [Effect::Handle(Handler::Shutdown)]);
    }
    let (state, effects) = run(RESPAWN, [rests(), vec![lost()]].concat());
    assert_eq!(state.public(), ServiceState::Terminated);
    assert_eq!(effects, [Effect::Release { failed: true }, Effect::Finish]);
    assert!(step(State::FIRST, Event::SuspendRequested, RESPAWN).is_err());
}

#[test]
fn what_ran_begins_anew_on_another_machine_only_if_the_policy_says_so_and_nobody_wanted_its_end() {
    let shut_down = |event| [running(), vec![event, Event::HandlerFinished]].concat();
    let begins_anew = [
        shut_down(Event::HandlerFinished),
        shut_down(failed()),
        shut_down(agreement_ended()),
        shut_down(unhealthy(false)),
        [running(), vec![unhealthy(true)]].concat(),
        [running(), vec![lost()]].concat(),
        [running(), vec![Event::SuspendRequested, lost()]].concat(),
        [stopping(), vec![failed()]].concat(),
        [stopping(), vec![lost()]].concat(),
    ];
    for events in begins_anew {
        let (state, effects) = run(ALWAYS, events.clone());
        assert_eq!(state, State::Pending { attempt: 1 }, "{events:?}");
        assert_eq!(effects.last(), Some(&Effect::Rent { attempt: 1 }));
        let (state, effects) = run(RESPAWN, events);
        assert_eq!(state.public(), ServiceState::Terminated);
        assert_eq!(effects.last(), Some(&Effect::Finish));
    }
    let is_final = |reason| Event::HandlerFailed {
        reason,
        is_final: true,
    };
    let exhausted = Event::BudgetExhausted { reason: why() };
    let ends = [
        shut_down(Event::StopRequested),
        shut_down(is_final(why())),
        shut_down(exhausted),
        [stopping(), vec![is_final(why())]].concat(),
        [stopping(), vec![Event::StopRequested]].concat(),
        [running(), vec![Event::TerminateRequested]].concat(),
    ];
    for events in ends {
        let (state, _) = run(ALWAYS, events.clone());
        assert_eq!(state.public(), ServiceState::Terminated, "{events:?}");
    }
}

#[test]
fn a_state_is_told_by_its_word_and_fills_a_column() {
    assert_eq!(format!("{:>10}|", ServiceState::Running), "   running|");
}
