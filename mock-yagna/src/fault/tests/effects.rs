//! What each fault does to a request.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, Outcome, fault, timed};
use crate::config::ProviderSpec;
use crate::fault::{Effect, Fault, WhichAnswer};

const ME: &str = "/me";

#[tokio::test(start_paused = true)]
async fn a_delayed_request_is_answered_late() {
    let delay = Effect::Delay(Duration::from_secs(7).into());
    let client = Client::start(vec![fault("GET /me", delay)]);
    let (took, answer) = timed(client.get(ME)).await;
    assert_eq!((took, answer.status()), (Duration::from_secs(7), Some(200)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_not_processed_and_503_is_a_page() {
    for (status, kind) in [
        (408, "application/json"),
        (500, "application/json"),
        (503, "text/html"),
    ] {
        let client = Client::start(vec![fault("createAllocation", Effect::Refuse(status))]);
        let Outcome::Answer {
            status: got,
            headers,
            text,
        } = client.allocate().await
        else {
            panic!("an answer");
        };
        assert_eq!(
            (got, headers["content-type"].to_str().expect("text")),
            (status, kind)
        );
        assert_eq!(text.starts_with("<html>"), status == 503, "{text}");
        assert_eq!(client.allocations().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_was_processed_and_a_reset_request_was_not() {
    for (effect, created) in [
        (Effect::LoseAnswer, 1),
        (Effect::Reset, 0),
        (Effect::Misreport(500), 1),
    ] {
        let client = Client::start(vec![fault("createAllocation", effect.clone())]);
        let answer = client.allocate().await;
        assert_eq!(
            answer.is_lost(),
            effect != Effect::Misreport(500),
            "{answer:?}"
        );
        assert_eq!(client.allocations().await, created, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_daemon_processes_nothing_and_a_repeated_request_is_processed_twice() {
    let client = Client::start(vec![fault("createAllocation", Effect::Unreachable)]);
    let answer = client.allocate().await;
    assert!(answer.is_lost(), "{answer:?}");
    assert_eq!(client.allocations().await, 0);
    let id = |answer: &Outcome| answer.json()["allocationId"].to_string();
    let plain = Client::start(Vec::new());
    let one_by_one = [id(&plain.allocate().await), id(&plain.allocate().await)];
    let mut answers = Vec::new();
    for which in [WhichAnswer::First, WhichAnswer::Second] {
        let client = Client::start(vec![fault("createAllocation", Effect::Twice(which))]);
        let answer = client.allocate().await;
        assert_eq!(answer.status(), Some(201));
        assert_eq!(client.allocations().await, 2, "{which:?}");
        answers.push(id(&answer));
    }
    assert_eq!(answers, one_by_one);
}

/// A client in the same process needs no fault to have one of its requests go wrong.
#[tokio::test(start_paused = true)]
async fn a_request_that_carries_its_own_effect_is_the_only_one_that_it_hits() {
    let client = Client::start(Vec::new());
    for (effect, created) in [
        (Effect::Refuse(503), 0),
        (Effect::Unreachable, 0),
        (Effect::LoseAnswer, 1),
        (Effect::Twice(WhichAnswer::Second), 3),
    ] {
        client.allocate_spoiled(effect.clone()).await;
        assert_eq!(client.allocations().await, created, "{effect:?}");
    }
    assert_eq!(client.allocate().await.status(), Some(201));
    assert_eq!(client.allocations().await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_truncated_answer_ends_in_its_middle() {
    let client = Client::start(vec![fault(ME, Effect::Truncate)]);
    let Outcome::Broken {
        bytes,
        marked: false,
    } = client.get(ME).await
    else {
        panic!("half an answer");
    };
    assert!(bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn events_come_twice_or_in_the_opposite_order() {
    let ids = |answer: &Outcome| -> Vec<String> {
        let events = answer.json();
        let events = events.as_array().expect("a list").iter();
        events
            .map(|e| e["proposal"]["proposalId"].to_string())
            .collect()
    };
    let spec = ProviderSpec::new("alice");
    let mut orders = Vec::new();
    for effect in [
        None,
        Some(Effect::DuplicateEvents),
        Some(Effect::ReorderEvents),
    ] {
        let mut config = crate::Config {
            providers: vec![spec.clone()],
            ..Default::default()
        };
        config.providers.push(ProviderSpec::new("bob"));
        config
            .faults
            .extend(effect.map(|effect| fault("collectOffers", effect)));
        let timebase = crate::Timebase::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let client = Client {
            mock: crate::MockYagna::start(config, timebase),
        };
        let demand = client.demand().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let path = format!("/market-api/v1/demands/{demand}/events?timeout=1");
        orders.push(ids(&client.get(&path).await));
    }
    let [plain, twice, reversed] = &orders[..] else {
        panic!("three")
    };
    assert_eq!(plain.len(), 2);
    assert_eq!(*twice, [plain.clone(), plain.clone()].concat());
    assert_eq!(*reversed, plain.iter().rev().cloned().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn faults_of_events_count_only_answers_that_have_events() {
    let once = |effect| Fault {
        count: Some(1),
        ..fault("*", effect)
    };
    let client = Client::with_providers(
        2,
        vec![
            once(Effect::DuplicateEvents),
            once(Effect::ReorderEvents),
            once(Effect::LoseEvents(1.0)),
            once(Effect::CutStream(0)),
        ],
    );
    let hits = || -> Vec<u64> { client.mock.faults().iter().map(|f| f.hits).collect() };
    // Neither what is no list nor an empty one uses them up.
    let demand = client.demand().await;
    assert_eq!(client.get(ME).await.status(), Some(200));
    let empty = client.get("/payment-api/v1/invoiceEvents?timeout=0").await;
    assert_eq!(empty.json(), serde_json::json!([]));
    assert_eq!(hits(), [0, 0, 0, 0]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let path = format!("/market-api/v1/demands/{demand}/events?timeout=1");
    let events = client.get(&path).await.json();
    assert_eq!(events.as_array().map(Vec::len), Some(4));
    assert_eq!(hits(), [1, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_wedged_request_waits_until_the_fault_is_over() {
    let wedge = Fault {
        until: Some(Duration::from_secs(90)),
        ..fault(ME, Effect::Wedge)
    };
    let client = Client::start(vec![wedge]);
    let (took, answer) = timed(client.get(ME)).await;
    assert_eq!(
        (took, answer.status()),
        (Duration::from_secs(90), Some(200))
    );

    let guard = client
        .mock
        .inject(fault(ME, Effect::Wedge))
        .expect("a fault");
    let lifting = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        guard.lift();
    };
    let (answer, ()) = tokio::join!(timed(client.get(ME)), lifting);
    assert_eq!(
        (answer.0, answer.1.status()),
        (Duration::from_secs(5), Some(200))
    );
}

#[tokio::test(start_paused = true)]
async fn count_skip_and_times_say_which_requests_are_hit() {
    let counted = Fault {
        skip: 1,
        count: Some(2),
        ..fault(ME, Effect::Refuse(500))
    };
    let client = Client::start(vec![counted]);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(client.get(ME).await.status().expect("an answer"));
    }
    assert_eq!(seen, [200, 500, 500, 200, 200]);

    let timed = Fault {
        from: Duration::from_secs(10),
        until: Some(Duration::from_secs(20)),
        ..fault("*", Effect::Refuse(500))
    };
    let client = Client::start(vec![timed]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(client.get(ME).await.status().expect("an answer"));
        tokio::time::sleep(Duration::from_secs(12)).await;
    }
    assert_eq!(seen, [200, 500, 200]);
}

#[tokio::test(start_paused = true)]
async fn probability_is_seeded() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let rare = Fault {
            probability: 0.3,
            ..fault(ME, Effect::Refuse(500))
        };
        let client = Client::start(vec![rare]);
        let mut seen = Vec::new();
        for _ in 0..100 {
            seen.push(client.get(ME).await.status());
        }
        runs.push(seen);
    }
    assert_eq!(runs[0], runs[1]);
    let hit = runs[0]
        .iter()
        .filter(|status| **status == Some(500))
        .count();
    assert!((15..=45).contains(&hit), "{hit}");
}

#[tokio::test(start_paused = true)]
async fn a_guard_lifts_its_fault_and_a_kept_one_does_not() {
    let client = Client::start(Vec::new());
    let guard = client
        .mock
        .inject(fault(ME, Effect::Reset))
        .expect("a fault");
    assert!(client.get(ME).await.is_lost());
    drop(guard);
    assert_eq!(client.get(ME).await.status(), Some(200));

    let kept = client
        .mock
        .inject(fault(ME, Effect::Reset))
        .expect("a fault")
        .keep();
    assert!(client.get(ME).await.is_lost());
    assert_eq!(client.mock.faults()[0].hits, 1);
    assert!(client.mock.lift_fault(&kept) && !client.mock.lift_fault(&kept));
    assert_eq!(client.get(ME).await.status(), Some(200));
}

#[tokio::test(start_paused = true)]
async fn a_second_fault_of_the_same_name_is_refused() {
    let client = Client::start(Vec::new());
    let named = Fault {
        name: Some("x".into()),
        ..fault(ME, Effect::Reset)
    };
    let _guard = client.mock.inject(named.clone()).expect("a fault");
    let error = client.mock.inject(named).expect_err("a second one");
    assert!(error.to_string().contains("`x`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_events_leaves_every_other_list_alone() {
    for effect in [
        Effect::DuplicateEvents,
        Effect::ReorderEvents,
        Effect::RepeatEvents,
    ] {
        let client = Client::with_providers(1, Vec::new());
        let agreement = client.agree().await;
        let activity = client.activity(&agreement).await;
        let script = [json!({ "deploy": {} }), json!({ "start": {} })];
        let batch = client.exec(&activity, &script).await;
        client.allocate().await;
        client.allocate().await;
        let _fault = client.inject("*", effect.clone());
        let once = client.get("/payment-api/v1/allocations").await.json();
        assert_eq!(once.as_array().map(Vec::len), Some(2), "{effect:?}");
        assert_eq!(once, client.get("/payment-api/v1/allocations").await.json());
        let path = format!("/activity-api/v1/activity/{activity}/exec/{batch}?timeout=60");
        let results = client.get(&path).await.json();
        let indices: Vec<_> = results
            .as_array()
            .expect("a list")
            .iter()
            .map(|r| r["index"].clone())
            .collect();
        assert_eq!(indices, [0, 1], "{effect:?}");
    }
}
