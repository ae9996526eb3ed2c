//! Machines that are there already, used by the id of their activity or their agreement.

use golem_engine::wire::activity::ActivityState;
use golem_engine::wire::{ActivityId, AgreementId};
use golem_engine::{AttachError, Glm};
use golem_scenarios::workload::hello_tasks;

use crate::ticker::{assert_clean, network};

#[test]
fn a_later_program_goes_on_with_a_machine_by_the_id_of_its_activity_ends_it_and_pays() {
    for by_agreement in [false, true] {
        network(1, &["alice"]).run(async |stage| {
            let first = stage.golem().start().await.expect("an engine");
            let machine = first.one_of(hello_tasks::payload()).rent().await;
            let machine = machine.expect("a machine");
            let written = machine
                .command("/bin/sh")
                .args(["-c", "echo kept > /tmp/kept"]);
            written.output().await.expect("written");
            let (activity, agreement) = (
                machine.activity_id().clone(),
                machine.agreement_id().clone(),
            );
            // The program crashes: nothing is ended.
            std::mem::forget(machine);
            std::mem::forget(first);
            let second = stage.golem().start().await.expect("another engine");
            let attached = match by_agreement {
                false => second.attach(&activity).await,
                true => second.attach_agreement(&agreement).await,
            };
            let attached = attached.expect("it is there");
            assert!(!attached.is_shared());
            assert_eq!(*attached.activity_id(), activity);
            assert_eq!(*attached.agreement_id(), agreement);
            let kept = attached.run("/bin/cat", ["/tmp/kept"]).await;
            assert_eq!(kept.expect("it goes on").stdout_text(), "kept\n");
            let usage = attached.get_timed_usage().await.expect("usage");
            assert!(!usage.counters.is_empty());
            attached.end().await;
            let report = second.stop().await;
            assert!(report.is_clean() && report.accepted > Glm::ZERO, "{report}");
        });
    }
}

#[test]
fn what_is_attached_to_and_dropped_is_left_and_ends_with_the_engine() {
    network(2, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let machine = golem.one_of(hello_tasks::payload()).rent().await;
        let machine = machine.expect("a machine");
        hello_tasks::hello(&machine, 1).await.expect("words");
        let attached = golem.attach(machine.activity_id()).await;
        let attached = attached.expect("it is ours");
        assert!(attached.is_shared(), "its pool has it");
        hello_tasks::hello(&attached, 2).await.expect("words");
        attached.end().await;
        hello_tasks::hello(&machine, 3).await.expect("it is left");
        let activity = machine.activity_id().clone();
        machine.release().await;
        let gone = golem.attach(&activity).await;
        assert!(
            matches!(
                &gone,
                Err(AttachError::NotInForce { .. } | AttachError::Ended { .. })
            ),
            "{gone:?}"
        );
        assert!(golem.stop().await.is_clean());
        let late = golem.attach(&activity).await;
        assert!(matches!(late, Err(AttachError::Stopped)), "{late:?}");
        assert_clean(stage);
    });
}

#[test]
fn an_agreement_without_an_activity_gets_one() {
    network(3, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let machine = golem.one_of(hello_tasks::payload()).rent().await;
        let machine = machine.expect("a machine");
        let (first, agreement) = (
            machine.activity_id().clone(),
            machine.agreement_id().clone(),
        );
        let activities = golem.low_level().activity();
        let wait = std::time::Duration::from_secs(10);
        let destroyed = activities.destroy_activity(&first, wait).await;
        destroyed.expect("by hand");
        let attached = golem.attach_agreement(&agreement).await;
        let attached = attached.expect("another activity");
        assert_ne!(*attached.activity_id(), first);
        hello_tasks::hello(&attached, 1).await.expect("words");
        let state = attached.get_raw_state().await.expect("a state").state.0;
        assert_eq!(state, ActivityState::Ready);
        drop(attached);
        machine.release().await;
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn ids_that_nobody_has_are_refused_by_name() {
    network(4, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let activity = ActivityId::new("00000000000000000000000000000000");
        let error = golem.attach(&activity).await.expect_err("there is none");
        assert!(
            matches!(&error, AttachError::NoActivity { activity_id } if *activity_id == activity),
            "{error}"
        );
        let agreement = AgreementId::new("0".repeat(64));
        let error = golem.attach_agreement(&agreement).await;
        let error = error.expect_err("there is none");
        assert!(
            matches!(&error, AttachError::NoAgreement { agreement_id } if *agreement_id == agreement),
            "{error}"
        );
        let engine: golem_engine::Error = error.into();
        assert!(engine.to_string().contains(agreement.as_str()), "{engine}");
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}
