//! Misbehaviour in negotiations and agreements.

use serde_json::json;
use tokio::time::Instant;

use super::stage::Stage;
use crate::Act;

#[tokio::test(start_paused = true)]
async fn a_busy_provider_rejects_for_now() {
    let stage = Stage::with(json!({ "phases": [{ "until": "5m", "change": { "busy": true } }] }));
    let demand = stage.demand().await;
    stage.countered(&demand).await;
    let events = stage.events(&demand, 10).await;
    assert_eq!(events[0]["eventType"], "ProposalRejectedEvent");
    assert_eq!(
        events[0]["reason"]["message"],
        "No capacity available. Reached Agreements limit: 1"
    );
    stage.sleep(300).await;
    stage.approved().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_busy_no_more_brings_a_fresh_offer() {
    let stage = Stage::with(json!({ "phases": [{ "until": "5m", "change": { "busy": true } }] }));
    let demand = stage.demand().await;
    stage.countered(&demand).await;
    let refused = stage.events(&demand, 10).await;
    assert_eq!(refused[0]["eventType"], "ProposalRejectedEvent");
    assert!(
        stage.events(&demand, 240).await.is_empty(),
        "not before there is room"
    );
    let fresh = stage.events(&demand, 120).await;
    assert_eq!(fresh[0]["eventType"], "ProposalEvent");
    assert_eq!(fresh[0]["proposal"]["state"], "Initial");
}

#[tokio::test(start_paused = true)]
async fn approval_comes_late_or_never() {
    let late = Stage::with(json!({ "latency": { "approval": "90s" } }));
    let agreement = late.confirmed().await;
    assert_eq!(late.wait(&agreement, 60).await, 408);
    assert_eq!(late.wait(&agreement, 60).await, 204);

    let never = Stage::with(json!({ "never_approve": true }));
    let agreement = never.confirmed().await;
    assert_eq!(never.wait(&agreement, 600).await, 408);
    never.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_takes_as_long_as_its_distributions_say() {
    let stage = Stage::with(json!({ "latency": {
        "matching": "20s", "negotiation": { "min": "10s", "max": "30s" }, "activity": "4s",
    } }));
    let demand = stage.demand().await;
    let begun = Instant::now();
    stage.countered(&demand).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
    let begun = Instant::now();
    stage.proposal(&demand).await;
    assert!((10..=30).contains(&begun.elapsed().as_secs()));
    let agreement = stage.approved().await;
    let begun = Instant::now();
    assert_eq!(stage.create(&agreement).await.0, 200);
    assert_eq!(begun.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_answers_nothing() {
    let stage = Stage::with(json!({ "silent_after": "10s" }));
    let agreement = stage.approved().await;
    stage.sleep(10).await;
    assert_eq!(stage.create(&agreement).await.0, 408);
    // It does not end the agreement either, however long that is idle.
    stage.sleep(600).await;
    let (_, found) = stage
        .get(&format!("/market-api/v1/agreements/{agreement}"))
        .await;
    assert_eq!(found["state"], "Approved");
    assert_eq!(stage.terminate(&agreement).await.0, 200);
    stage.sleep(60).await;
    assert!(stage.list("invoices").await.is_empty());
    let answers = Act::GoSilent {
        provider: "bob".into(),
        silent: false,
    };
    stage.mock.act(answers).expect("it answers again");
    stage.sleep(60).await;
    assert_eq!(stage.list("invoices").await.len(), 1);
    stage.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_neither_offers_nor_bills_until_it_answers_again() {
    let stage = Stage::with(json!({ "silent_after": "10s" }));
    let agreement = stage.approved().await;
    let (created, _) = stage.create(&agreement).await;
    assert_eq!(created, 200);
    stage.sleep(10).await;
    assert_eq!(stage.terminate(&agreement).await.0, 200);
    let demand = stage.demand().await;
    stage.sleep(600).await;
    let offers = || async {
        let path = format!("/market-api/v1/demands/{demand}/events?timeout=0");
        let (_, events) = stage.get(&path).await;
        events.as_array().expect("a list").len()
    };
    let documents = || async {
        let notes = stage.list("debitNotes").await.len();
        (notes, stage.list("invoices").await.len())
    };
    // Its standing offer is matched by the market, nothing fresh comes.
    assert!(offers().await <= 1);
    assert_eq!(documents().await, (0, 0));
    let answers = Act::GoSilent {
        provider: "bob".into(),
        silent: false,
    };
    stage.mock.act(answers).expect("it answers again");
    stage.sleep(60).await;
    assert_eq!((offers().await, documents().await), (1, (1, 1)));
    stage.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_provider_can_refuse_termination() {
    let stage = Stage::with(json!({ "refuse_termination": true }));
    let agreement = stage.approved().await;
    let (status, answer) = stage.terminate(&agreement).await;
    assert_eq!(status, 500);
    assert!(
        answer["message"]
            .as_str()
            .expect("a message")
            .contains(&agreement)
    );
    let change = json!({ "refuse_termination": false });
    let change = change.as_object().expect("an object").clone();
    stage
        .mock
        .act(Act::Behave {
            provider: "bob".into(),
            change,
        })
        .expect("it behaves");
    assert_eq!(stage.terminate(&agreement).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_runs_can_be_told_to_reject() {
    let stage = Stage::with(json!({}));
    let demand = stage.demand().await;
    let change = json!({ "reject_first": 1 });
    let change = change.as_object().expect("an object").clone();
    stage
        .mock
        .act(Act::Behave {
            provider: "bob".into(),
            change,
        })
        .expect("it behaves");
    let rejected = stage.confirmed_on(&demand).await;
    assert_eq!(stage.wait(&rejected, 10).await, 410);
    let agreement = stage.confirmed_on(&demand).await;
    assert_eq!(stage.wait(&agreement, 10).await, 204);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_returns_asks_for_another_price() {
    let stage = Stage::with(json!({ "reoffer_factor": 2 }));
    let demand = stage.demand().await;
    let agreement = stage.confirmed_on(&demand).await;
    assert_eq!(stage.wait(&agreement, 10).await, 204);
    stage.terminate(&agreement).await;
    let again = stage.proposal(&demand).await;
    let prices = &again["properties"]["golem.com.pricing.model.linear.coeffs"];
    assert_eq!(*prices, json!([0.0001, 0.0002, 0.0]));
}

#[tokio::test(start_paused = true)]
async fn a_provider_can_die_at_each_step_of_the_market() {
    for step in ["negotiation", "approval"] {
        let before = Stage::with(json!({ "die_before": step }));
        let demand = before.demand().await;
        if step == "negotiation" {
            before.countered(&demand).await;
            assert!(before.events(&demand, 30).await.is_empty());
        } else {
            let agreement = before.confirmed_on(&demand).await;
            assert_eq!(before.wait(&agreement, 30).await, 408);
        }
        before.is_lawful();
    }
    let after = Stage::with(json!({ "die_after": "approval" }));
    let agreement = after.approved().await;
    assert_eq!(after.create(&agreement).await.0, 408);
    after.is_lawful();
}
