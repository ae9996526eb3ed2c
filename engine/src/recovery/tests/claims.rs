//! Instances and networks that wait for a service and a network of their name.

use super::*;
use crate::event::{ServiceFinished, ServiceStateChanged};

fn claim(name: &str) -> Claim {
    Claim {
        record: instance(name, ServiceState::Running, None),
        machine: None,
    }
}

/// The changes of instances that were told, and how many ended in this run.
fn ends(events: &Told) -> (Vec<ServiceStateChanged>, usize) {
    let events = events.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = events.iter().filter_map(|event| match event {
        EventKind::ServiceStateChanged(changed) => Some(changed.clone()),
        _ => None,
    });
    let is_end =
        |event: &&EventKind| matches!(event, EventKind::ServiceFinished(ServiceFinished { .. }));
    (changes.collect(), events.iter().filter(is_end).count())
}

/// As long as somebody waits for a claim, and a moment more.
async fn time_is_over(golem: &Golem) {
    let within = golem.context().config().recovery.claim_within;
    sleep(within + Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn instances_are_claimed_by_one_service_and_wait_again_if_it_does_not_get_there() {
    let (golem, _) = daemon().golem().await;
    let recovered = after(&golem, OpenState::default());
    for name in ["web/0", "web/1", "other/0"] {
        recovered.resumable.wait(claim(name));
    }
    let first = Claimed::of(&recovered, "web").expect("they wait");
    assert!(Claimed::of(&recovered, "web").is_none(), "they are claimed");
    drop(first);
    let second = Claimed::of(&recovered, "web").expect("they wait again");
    assert_eq!(second.begin().len(), 2);
    assert!(Claimed::of(&recovered, "web").is_none(), "this run has one");
    for (name, waiting) in [("other", 1), ("new", 0)] {
        let claimed = Claimed::of(&recovered, name).expect("nobody has it");
        assert_eq!(claimed.begin().len(), waiting, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_instance_that_nobody_claims_is_told_once_its_time_is_over() {
    let (golem, events) = daemon().golem().await;
    let recovered = after(&golem, OpenState::default());
    for name in ["web/0", "late/0"] {
        recovered.resumable.wait(claim(name));
    }
    watch_over(&recovered);
    let late = Claimed::of(&recovered, "late").expect("it waits");
    sleep(golem.context().config().recovery.claim_within / 2).await;
    assert_eq!(ends(&events).1, 0);
    time_is_over(&golem).await;
    assert_eq!(ends(&events).1, 1, "nobody came");
    // A service that was on its way does not get there.
    drop(late);
    assert_eq!(ends(&events).1, 2, "nobody else is waited for");
    assert!(Claimed::of(&recovered, "late").is_some_and(|it| it.begin().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_nobody_goes_on_with_is_removed_once_its_time_is_over() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let now = golem.context().now();
    let recovered = after(&golem, OpenState::default());
    let kept = serde_json::from_value(document("g", "Approved", HOODI, now));
    let kept = kept.expect("an agreement");
    let rental = Rental::restore(golem.market().rentals(), &kept, &IndexMap::new(), None);
    recovered.goes_on("n", &rental);
    for id in ["m", "n"] {
        recovered.network_kept(&id.into(), &network(Some(id)));
    }
    let record = network(Some("n"));
    recovered.networks.wait("n".into(), record);
    daemon.can(Method::DELETE, "/v1/net/n", &[(200, "")]);
    watch_over(&recovered);
    time_is_over(&golem).await;
    assert_eq!(daemon.calls("DELETE /net-api/v1/net/"), 1);
    let report = recovered.report();
    let adopted = [(Kind::Instance, "n"), (Kind::Network, "m")];
    assert_eq!(named(&report.adopted), sorted(&adopted), "{report}");
    assert_eq!(named(&report.settled), [(Kind::Network, "n")], "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_machine_of_an_instance_that_nobody_goes_on_with_is_given_back() {
    let daemon = daemon();
    let (golem, events) = daemon.golem().await;
    let now = golem.context().now();
    has_it(&daemon, now);
    let mut left = left_open(now);
    left.networks.clear();
    let running = instance("web/0", ServiceState::Running, Some(("g", "act")));
    left.instances.insert(running.name(), running);
    let recovered = after(&golem, left);
    run_first(&recovered, Recovery::Adopt).await;
    watch_over(&recovered);
    let adopted = [(Kind::Instance, "web/0")];
    assert_eq!(named(&recovered.report().adopted), adopted);
    assert_eq!(daemon.calls("/terminate"), 0);
    time_is_over(&golem).await;
    sleep(Duration::from_secs(60)).await;
    let report = recovered.report();
    assert!(report.adopted.is_empty(), "{report}");
    let given_back = |it: &Item| it.kind == Kind::Instance && it.id == "web/0";
    assert!(report.settled.iter().any(given_back), "{report}");
    assert_eq!(
        daemon.calls("POST /market-api/v1/agreements/g/terminate"),
        1
    );
    assert_eq!(ends(&events).1, 1);
}

#[tokio::test(start_paused = true)]
async fn why_an_instance_failed_is_told_where_it_had_ended_in_its_own_run() {
    let (running, over) = (ServiceState::Running, ServiceState::Terminated);
    for (state, old, why, lived) in [
        (running, running, false, 1),
        (over, ServiceState::Pending, true, 0),
    ] {
        let (golem, events) = daemon().golem().await;
        let recovered = after(&golem, OpenState::default());
        let mut record = instance("web/0", state, None);
        record.failure = Some("out of paper".into());
        recovered.instance_ended(&record);
        let (changes, finished) = ends(&events);
        let [changed] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!((changed.old, changed.new), (old, over));
        assert_eq!(changed.error.is_some(), why, "{changed:?}");
        assert_eq!(finished, lived, "{state:?}");
    }
}
