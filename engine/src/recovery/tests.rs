//! Recovery on the canned daemon, in virtual time.

mod claims;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::agreement_record::{AgreementRecord, Lifetime};
use crate::journal::{AllocationEntry, MemoryJournal, NetworkRecord};
use crate::lifecycle::service::ServiceState;
use crate::testing::{self, Daemon, all_well, document};
use crate::{EventKind, Golem};

const HOODI: &str = "erc20-hoodi-tglm";

type Told = Arc<Mutex<Vec<EventKind>>>;

fn daemon() -> Daemon {
    Daemon::new(&["alice"], |_, commands| all_well(commands))
}

/// What an engine has of the runs before it, when this is what they left.
fn after(golem: &Golem, before: OpenState) -> Arc<Recovered> {
    let engine = golem.engine();
    Arc::new(Recovered::new(
        Arc::clone(&engine.context),
        Arc::clone(golem.market().rentals()),
        Arc::clone(&engine.payments),
        Arc::clone(&engine.networks),
        before,
    ))
}

/// Of an agreement on which this runs since a hundred seconds.
fn used(activity: &str, now: Timestamp) -> AgreementRecord {
    let from = now - SignedDuration::from_secs(100);
    let mut record = AgreementRecord::confirmed(from);
    let lives = Lifetime { from, to: None };
    record.activities.insert(activity.into(), lives);
    record
}

fn network(name: Option<&str>) -> NetworkRecord {
    NetworkRecord {
        address: "10.0.0.0/24".into(),
        gateway: None,
        name: name.map(str::to_owned),
    }
}

fn instance(name: &str, state: ServiceState, runs_on: Option<(&str, &str)>) -> InstanceRecord {
    let (cluster, index) = name.split_once('/').expect("a name");
    InstanceRecord {
        cluster: cluster.into(),
        index: index.parse().expect("a number"),
        params: Value::Null,
        state,
        resumable: true,
        agreement: runs_on.map(|(agreement, _)| agreement.into()),
        activity: runs_on.map(|(_, activity)| activity.into()),
        node: None,
        failure: None,
        id: None,
        title: None,
    }
}

/// A demand, a service, a network, an agreement on which an activity runs, and one that is over and was not used.
fn left_open(now: Timestamp) -> OpenState {
    let mut left = OpenState::default();
    left.demands.insert("d".into(), "job".into());
    left.agreements.insert("g".into(), used("act", now));
    let unused = AgreementRecord::confirmed(now);
    left.agreements.insert("over".into(), unused);
    left.services.push("s".into());
    left.networks.insert("n".into(), network(Some("web")));
    left
}

/// The daemon has all of that.
fn has_it(daemon: &Daemon, now: Timestamp) {
    let demand = json!([{
        "demandId": "d", "properties": {}, "constraints": "()", "requestorId": "0xme",
        "timestamp": now,
    }]);
    let approved = document("g", "Approved", HOODI, now);
    let over = document("over", "Terminated", HOODI, now);
    let ready = json!({"state": ["Ready", null]});
    let networks = json!([{"id": "n", "ip": "10.0.0.0/24"}]);
    for (path, answer) in [
        ("/v1/demands", demand),
        ("/agreements/g", approved),
        ("/agreements/over", over),
        ("/act/state", ready),
        ("/v1/activity", json!(["act"])),
        ("/v1/net", networks),
    ] {
        daemon.can(Method::GET, path, &[(200, &answer.to_string())]);
    }
    daemon.can(Method::DELETE, "/v1/net/n", &[(200, "")]);
}

fn invoice(id: &str, agreement: &str, status: &str) -> Value {
    let mut invoice = testing::invoice(id, agreement, "0.001");
    invoice["status"] = status.into();
    invoice
}

fn named(items: &[Item]) -> Vec<(Kind, &str)> {
    let mut named: Vec<_> = items.iter().map(|it| (it.kind, it.id.as_str())).collect();
    named.sort_by_key(|(kind, id)| (kind.as_str(), *id));
    named
}

/// How many things the latest recovery found open, and what it says of them at its end.
fn told(events: &Told) -> (usize, Option<(usize, usize, usize)>) {
    let events = events.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut open, mut end) = (0, None);
    for event in events.iter() {
        match event {
            EventKind::RecoveryStarted(started) => open = started.open,
            EventKind::RecoveryFinished(it) => end = Some((it.adopted, it.settled, it.left)),
            _ => {}
        }
    }
    (open, end)
}

/// Everything that was asked of the daemon and was no question.
fn deeds(daemon: &Daemon) -> usize {
    ["POST", "PUT", "DELETE"]
        .map(|it| daemon.calls(it))
        .iter()
        .sum()
}

#[tokio::test(start_paused = true)]
async fn everything_that_an_earlier_run_left_is_ended_paid_and_named() {
    let daemon = daemon();
    let (golem, events) = daemon.golem().await;
    let now = golem.context().now();
    has_it(&daemon, now);
    let open = invoice("i", "g", "RECEIVED");
    let paid = invoice("k", "over", "SETTLED");
    let listed = json!([open, paid]);
    daemon.can(Method::GET, "/invoices/i", &[(200, &open.to_string())]);
    daemon.can(Method::GET, "/v1/invoices", &[(200, &listed.to_string())]);
    let recovered = after(&golem, left_open(now));
    let budget = testing::allocation("b", HOODI, "1", now);
    let budget: Allocation = serde_json::from_value(budget).expect("an allocation");
    let budget = payment::PreviousBudget::of(&budget);
    recovered.payments.add_previous_budgets([budget]);
    run_first(&recovered, Recovery::Settle).await;
    sleep(Duration::from_secs(1)).await;
    let report = recovered.report();
    let found = [
        (Kind::Activity, "act"),
        (Kind::Agreement, "g"),
        (Kind::Agreement, "over"),
        (Kind::BusService, "s"),
        (Kind::Demand, "d"),
        (Kind::Invoice, "i"),
        (Kind::Network, "n"),
    ];
    assert_eq!(named(&report.found), sorted(&found), "{report}");
    let settled = [
        (Kind::Activity, "act"),
        (Kind::Agreement, "g"),
        (Kind::Agreement, "over"),
        (Kind::Allocation, "b"),
        (Kind::BusService, "s"),
        (Kind::Demand, "d"),
        (Kind::Network, "n"),
    ];
    assert_eq!(named(&report.settled), sorted(&settled), "{report}");
    assert!(
        report.left.is_empty() && report.awaited.is_empty(),
        "{report}"
    );
    let (open, end) = told(&events);
    assert_eq!(open, 5);
    assert_eq!(end.map(|(adopted, _, left)| (adopted, left)), Some((0, 0)));
    for deed in [
        "DELETE /market-api/v1/demands/d",
        "DELETE /activity-api/v1/activity/act",
        "POST /market-api/v1/agreements/g/terminate",
        "DELETE /net-api/v1/net/n",
        "POST /payment-api/v1/invoices/i/accept",
        "DELETE /payment-api/v1/allocations/b",
    ] {
        assert_eq!(daemon.calls(deed), 1, "{deed}");
    }
    assert_eq!(daemon.calls("/terminate"), 1, "the other one is over");
    assert!(
        report.to_string().contains("paid by an earlier run"),
        "{report}"
    );
    assert_eq!(daemon.calls("/accept"), 1);
    assert_eq!(daemon.sent("/accept")[0]["allocationId"], "b");
    let why = &daemon.sent("/terminate")[0]["message"];
    assert_eq!(*why, "the requestor came back and no longer needs it");
}

fn sorted<'a>(items: &[(Kind, &'a str)]) -> Vec<(Kind, &'a str)> {
    let mut items = items.to_vec();
    items.sort_by_key(|(kind, id)| (kind.as_str(), *id));
    items
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_only_reports_names_what_is_there_and_does_nothing() {
    let daemon = daemon();
    let (golem, events) = daemon.golem().await;
    let now = golem.context().now();
    has_it(&daemon, now);
    let recovered = after(&golem, left_open(now));
    let before = deeds(&daemon);
    run_first(&recovered, Recovery::Report).await;
    assert_eq!(deeds(&daemon), before);
    let report = recovered.report();
    let left = [
        (Kind::Activity, "act"),
        (Kind::Agreement, "g"),
        (Kind::Agreement, "over"),
        (Kind::Demand, "d"),
        (Kind::Network, "n"),
    ];
    assert_eq!(named(&report.left), sorted(&left), "{report}");
    assert!(report.settled.is_empty(), "{report}");
    assert_eq!(told(&events), (5, Some((0, 0, 5))));
}

#[tokio::test(start_paused = true)]
async fn what_the_daemon_does_not_tell_of_in_time_is_left_as_it_is() {
    let daemon = daemon();
    let limit = Duration::from_secs(1);
    let builder = daemon.builder();
    let builder = builder.configure(move |config| config.recovery.within = limit);
    let golem = builder.start().await.expect("an engine");
    let now = golem.context().now();
    // It lists invoices only after some seconds.
    has_it(&daemon, now);
    let recovered = after(&golem, left_open(now));
    let before = deeds(&daemon);
    run_first(&recovered, Recovery::Settle).await;
    assert_eq!(deeds(&daemon), before);
    let report = recovered.report();
    let left = [
        (Kind::Agreement, "g"),
        (Kind::Agreement, "over"),
        (Kind::Demand, "d"),
        (Kind::Network, "n"),
    ];
    assert_eq!(named(&report.left), sorted(&left), "{report}");
    let why = "the daemon did not tell within 1s";
    assert!(
        report.left.iter().all(|it| it.to_string().contains(why)),
        "{report}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_that_the_daemon_does_not_answer_is_named_once() {
    let daemon = daemon();
    let (golem, events) = daemon.golem().await;
    let now = golem.context().now();
    daemon.can(Method::GET, "/v1/demands", &[(400, "{}")]);
    daemon.can(Method::GET, "/agreements/g", &[(400, "{}")]);
    has_it(&daemon, now);
    let mut left = left_open(now);
    left.networks.clear();
    left.agreements.insert("over".into(), used("then", now));
    let recovered = after(&golem, left);
    run_first(&recovered, Recovery::Settle).await;
    let report = recovered.report();
    let left = [(Kind::Agreement, "g"), (Kind::Request, "-")];
    assert_eq!(named(&report.left), sorted(&left), "{report}");
    let text = report.to_string();
    assert!(text.contains("which demands there are: "), "{text}");
    assert!(
        text.contains("the daemon did not tell about it: "),
        "{text}"
    );
    assert_eq!(
        named(&report.awaited),
        [(Kind::Agreement, "over")],
        "{report}"
    );
    assert_eq!(told(&events), (4, Some((0, 1, 3))));
}

#[tokio::test(start_paused = true)]
async fn an_instance_goes_on_with_the_activity_that_it_ran_in_and_no_other_does() {
    for policy in [Recovery::Adopt, Recovery::Settle] {
        let daemon = daemon();
        let (golem, events) = daemon.golem().await;
        let now = golem.context().now();
        has_it(&daemon, now);
        let mut left = left_open(now);
        let running = ServiceState::Running;
        for instance in [
            instance("web/0", running, Some(("g", "act"))),
            instance("web/1", running, Some(("g", "another"))),
            instance("web/2", ServiceState::Pending, None),
        ] {
            left.instances.insert(instance.name(), instance);
        }
        let recovered = after(&golem, left);
        run_first(&recovered, policy).await;
        let report = recovered.report();
        let adopts = policy == Recovery::Adopt;
        let adopted = [(Kind::Instance, "web/0"), (Kind::Network, "n")];
        let adopted = if adopts { &adopted[..] } else { &[] };
        assert_eq!(named(&report.adopted), sorted(adopted), "{report}");
        assert_eq!(told(&events).1.map(|end| end.0), Some(adopted.len()));
        assert_eq!(daemon.calls("/terminate"), usize::from(!adopts), "{report}");
        assert_eq!(daemon.calls("/v1/net/n"), usize::from(!adopts), "{report}");
        let claimed = Claimed::of(&recovered, "web").expect("nobody else has it");
        let machines = claimed.begin();
        let machines = machines.iter().map(|it| it.machine.is_some());
        let expected = if adopts {
            vec![true, false, false]
        } else {
            Vec::new()
        };
        assert_eq!(machines.collect::<Vec<_>>(), expected, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_nobody_approved_is_cancelled_and_one_that_is_unknown_is_forgotten() {
    let daemon = daemon();
    let (golem, events) = daemon.golem().await;
    let now = golem.context().now();
    let pending = document("p", "Pending", HOODI, now).to_string();
    let over = document("over", "Terminated", HOODI, now).to_string();
    daemon.can(Method::GET, "/agreements/p", &[(200, &pending)]);
    daemon.can(Method::GET, "/agreements/gone", &[(404, "{}")]);
    daemon.can(Method::GET, "/agreements/over", &[(200, &over)]);
    let mut left = OpenState::default();
    for id in ["p", "gone"] {
        let record = AgreementRecord::confirmed(now);
        left.agreements.insert(id.into(), record);
    }
    left.agreements.insert("over".into(), used("act", now));
    let log = golem.context().log();
    let agreement = AgreementId::from("over");
    log.fact(Fact::AgreementFound {
        agreement: agreement.clone(),
    });
    let recovered = after(&golem, left);
    run_first(&recovered, Recovery::Settle).await;
    let ended = log.open_state().agreements[&agreement].ended;
    assert!(ended.is_some(), "a later run knows since when it is over");
    let report = recovered.report();
    let settled = [(Kind::Agreement, "gone"), (Kind::Agreement, "p")];
    assert_eq!(named(&report.settled), settled, "{report}");
    assert_eq!(daemon.calls("POST /market-api/v1/agreements/p/cancel"), 1);
    assert!(
        report.to_string().contains("nothing came of it"),
        "{report}"
    );
    // Whoever heard of its beginning hears of its end, and of its activity's.
    let events = events.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = events
        .iter()
        .filter(|it| it.name() == "AgreementTerminated");
    assert_eq!(ended.count(), 1, "{events:?}");
    let gone = events.iter().filter(|it| it.name() == "ActivityDestroyed");
    assert_eq!(gone.count(), 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn settling_later_ends_what_is_still_open_of_earlier_runs_and_nothing_of_this_one() {
    let daemon = daemon();
    let (golem, events) = daemon.golem().await;
    let (context, now) = (golem.context(), golem.context().now());
    let log = context.log();
    for id in ["g", "ours", "kept"] {
        log.fact(Fact::AgreementFound {
            agreement: id.into(),
        });
    }
    for id in ["n", "ours"] {
        let (network, record) = (id.into(), network(None));
        log.fact(Fact::NetworkFound { network, record });
    }
    for id in ["b", "c", "ours"] {
        log.fact(Fact::AllocationFound {
            allocation: id.into(),
            total: 1.into(),
            timeout: now,
            exhausted: false,
        });
    }
    let mut before = left_open(now);
    before.agreements.insert("kept".into(), used("kept", now));
    let entry = AllocationEntry {
        total: 1.into(),
        timeout: now,
        exhausted: false,
        by_hand: false,
    };
    // The engine took the budget `a` over.
    for id in ["a", "b", "c"] {
        before.allocations.insert(id.into(), entry.clone());
    }
    let kept = serde_json::from_value(document("kept", "Approved", HOODI, now));
    let kept = kept.expect("an agreement");
    let rental = Rental::restore(golem.market().rentals(), &kept, &IndexMap::new(), None);
    has_it(&daemon, now);
    let recovered = after(&golem, before);
    again(&recovered).await;
    // The agreement `g`, the network `n`, and the budgets `b` and `c`.
    assert_eq!(told(&events).0, 4);
    assert_eq!(
        daemon.calls("POST /market-api/v1/agreements/g/terminate"),
        1
    );
    assert_eq!(daemon.calls("/terminate"), 1);
    assert_eq!(daemon.calls("DELETE /net-api/v1/net/"), 1);
    assert!(rental.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_had_ended_is_not_among_what_was_open() {
    let (golem, _) = daemon().golem().await;
    let mut left = OpenState::default();
    for (name, state) in [
        ("web/0", ServiceState::Running),
        ("web/1", ServiceState::Terminated),
    ] {
        left.instances
            .insert(name.into(), instance(name, state, None));
    }
    let recovered = after(&golem, OpenState::default());
    recovered.begin(&left);
    assert_eq!(
        named(&recovered.report().found),
        [(Kind::Instance, "web/0")]
    );
}

#[tokio::test(start_paused = true)]
async fn agreements_that_were_never_confirmed_are_looked_for_only_where_one_may_have_been_made() {
    for lost in [false, true] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        let context = golem.context();
        if lost {
            daemon.can(Method::POST, "/v1/agreements", &[(503, "{}")]);
            let market = context.rest().market();
            let proposal = "R-Draft-alice".into();
            let made = market.create_agreement(&proposal, context.now()).await;
            made.expect_err("nobody knows what became of it");
        }
        let mut before = context.log().open_state();
        before.demands.insert("d".into(), "job".into());
        let recovered = after(&golem, before);
        run_first(&recovered, Recovery::Settle).await;
        let listed = daemon.calls("GET /market-api/v1/agreements");
        assert_eq!(listed, if lost { 3 } else { 2 }, "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_demand_is_one_of_earlier_runs_if_it_was_open_when_this_one_began() {
    let (golem, _) = daemon().golem().await;
    let recovered = after(&golem, left_open(golem.context().now()));
    let asked = ["d", "e"].map(|id| recovered.had_demand(&id.into()));
    assert_eq!(asked, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn requests_of_this_run_are_not_taken_for_those_of_earlier_ones() {
    for (next_op, earlier) in [(0, 0), (u64::MAX, 1)] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        daemon.can(Method::DELETE, "/allocations/x", &[(503, "{}")]);
        let release = golem.context().rest().payment().release(&"x".into()).await;
        release.expect_err("nobody knows what became of it");
        let before = OpenState {
            next_op,
            ..OpenState::default()
        };
        let recovered = after(&golem, before);
        again(&recovered).await;
        let found = recovered.report().found;
        let requests = found.iter().filter(|it| it.kind == Kind::Request);
        assert_eq!(requests.count(), earlier, "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_asks_and_tells_nothing_of_runs_that_left_nothing_open() {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let journal = MemoryJournal::new();
    for life in ["the first", "the one after a stop in order"] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&told);
        let golem = daemon
            .builder()
            .journal(journal.clone())
            .event_observer(move |event| {
                let mut names = names.lock().expect("no panic");
                names.push(event.kind.name().to_owned());
            });
        let golem = golem.start().await.expect("an engine");
        assert!(golem.recovered().is_empty(), "{life}");
        assert!(golem.stop().await.is_clean(), "{life}");
        let told = told.lock().expect("no panic");
        assert!(
            told.iter().all(|name| !name.starts_with("Recovery")),
            "{life}: {told:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn budgets_of_earlier_runs_are_asked_for_when_there_was_one_and_what_is_there_is_found() {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let context = golem.context();
    let mut before = OpenState::default();
    let find = async |before: &OpenState| {
        find_budgets(context.rest(), context.log(), context.seed(), before).await
    };
    assert_eq!(find(&before).await, Some(Vec::new()));
    assert_eq!(daemon.calls("GET /payment-api/v1/allocations"), 0);
    let entry = AllocationEntry {
        total: "1".parse().expect("literal"),
        timeout: context.now(),
        exhausted: false,
        by_hand: false,
    };
    before.allocations.insert("b".into(), entry);
    let listed = json!([testing::allocation("b", HOODI, "1", context.now())]);
    daemon.can(Method::GET, "/allocations", &[(200, &listed.to_string())]);
    let found = find(&before).await.expect("the daemon said");
    let found: Vec<&str> = found.iter().map(|it| it.allocation_id.as_str()).collect();
    assert_eq!(found, ["b"]);
    daemon.can(Method::GET, "/allocations", &[(400, "{}")]);
    assert_eq!(find(&before).await, None, "it did not say");
}

#[test]
fn everything_that_is_open_counts() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut open_state = OpenState::default();
    assert_eq!(count(&open_state), 0);
    open_state.demands.insert("d".into(), "job".into());
    for id in ["g", "h"] {
        let record = AgreementRecord::confirmed(now);
        open_state.agreements.insert(id.into(), record);
    }
    open_state.services = ["s", "t", "u", "v"].map(str::to_owned).into();
    assert_eq!(count(&open_state), 7);
}
