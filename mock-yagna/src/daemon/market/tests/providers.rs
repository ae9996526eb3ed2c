//! What providers do by themselves, and how a scenario interferes with them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{Api, one};
use crate::config::{Config, ProviderSpec};
use crate::control::{Act, ActError};
use crate::rng::Seed;

fn state_of(event: &Value) -> &str {
    event["proposal"]["state"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn after_each_termination_the_provider_offers_anew() {
    let api = Api::start(one());
    let demand = api.demand().await;
    for round in 0..3 {
        let agreement = api.approved(&demand).await;
        let quiet = api
            .get(&format!("/demands/{demand}/events?timeout=2"))
            .await;
        assert_eq!(quiet.text, "[]", "a busy provider does not offer");
        if round % 2 == 0 {
            let path = format!("/agreements/{agreement}/terminate");
            assert_eq!(
                api.post(&path, json!({"message": "done"})).await.status,
                200
            );
        } else {
            let act = Act::TerminateAgreement {
                provider: "alice".into(),
                reason: None,
            };
            assert_eq!(api.mock.act(act), Ok(()));
        }
    }
    let events = api.collect(&demand).await;
    assert_eq!(state_of(&events[0]), "Initial");
}

#[tokio::test(start_paused = true)]
async fn a_busy_provider_leaves_its_offer_on_the_market_and_refuses_who_counters_it() {
    let api = Api::start(one());
    let first = api.demand().await;
    let agreement = api.approved(&first).await;
    let body = json!({"type": "offer", "constraints": "(golem.runtime.name=vm)"});
    let scan = api.post("/scan", body).await.id();
    let seen = api.get(&format!("/scan/{scan}/events?timeout=1")).await;
    assert_eq!(seen.json().as_array().map(Vec::len), Some(1));
    let second = api.demand().await;
    let initial = api.proposal(&second).await;
    assert_eq!(api.counter(&second, &initial).await.status, 200);
    let events = api.collect(&second).await;
    assert_eq!(events[0]["eventType"], "ProposalRejectedEvent");
    let words = "No capacity available. Reached Agreements limit: 1";
    assert_eq!(events[0]["reason"]["message"], words);
    // A fresh offer comes when it has room again.
    let path = format!("/agreements/{agreement}/terminate");
    assert_eq!(api.post(&path, json!(null)).await.status, 200);
    api.approved(&second).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_provider_rejects_with_no_capacity_available() {
    let api = Api::start(one());
    let (first, second) = (api.demand().await, api.demand().await);
    let (a, b) = (api.draft(&first).await, api.draft(&second).await);
    let (a, b) = (api.promote(&a).await.id(), api.promote(&b).await.id());
    api.confirm(&a).await;
    assert_eq!(api.wait(&a, 5).await.status, 204);
    api.confirm(&b).await;
    assert_eq!(
        api.wait(&b, 5).await.refusal(),
        (410, "Rejected".to_owned())
    );
    let events = api.get("/agreementEvents?timeout=0").await.json();
    let rejected = events
        .as_array()
        .expect("a list")
        .last()
        .expect("an event")
        .clone();
    assert_eq!(rejected["eventType"], "AgreementRejectedEvent");
    assert_eq!(
        rejected["reason"]["message"],
        "No capacity available. Reached Agreements limit: 1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_counter_to_a_full_provider_is_rejected_with_no_capacity_available() {
    let api = Api::start(one());
    let (first, second) = (api.demand().await, api.demand().await);
    let initial = api.proposal(&second).await;
    api.approved(&first).await;
    assert_eq!(api.counter(&second, &initial).await.status, 200);
    let events = api.collect(&second).await;
    assert_eq!(
        events[0]["reason"]["message"],
        "No capacity available. Reached Agreements limit: 1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_with_room_for_two_offers_again_after_the_first() {
    let mut spec = ProviderSpec::new("alice");
    spec.capacity = 2;
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    api.approved(&demand).await;
    api.approved(&demand).await;
    let quiet = api
        .get(&format!("/demands/{demand}/events?timeout=2"))
        .await;
    assert_eq!(quiet.text, "[]");
}

#[tokio::test(start_paused = true)]
async fn the_first_agreements_are_rejected_as_configured() {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.reject_first = 2;
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    for _ in 0..2 {
        let agreement = api.agreement(&demand).await;
        api.confirm(&agreement).await;
        assert_eq!(
            api.wait(&agreement, 5).await.refusal(),
            (410, "Rejected".to_owned())
        );
    }
    api.approved(&demand).await;
}

#[tokio::test(start_paused = true)]
async fn an_agreement_ends_at_the_expiration_of_its_demand() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    sleep(Duration::from_secs(20 * 60 + 1)).await;
    assert_eq!(api.state(&agreement).await, "Terminated");
    let event = api
        .get(&format!("/agreements/{agreement}/terminate/reason"))
        .await
        .json();
    assert_eq!(event["terminator"], "Provider");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_cannot_be_reached_and_offers_when_it_is_back() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let online = |online| Act::SetOnline {
        provider: "alice".into(),
        online,
    };
    assert_eq!(api.mock.act(online(false)), Ok(()));
    assert_eq!(api.counter(&demand, &initial).await.status, 500);
    let late = api.demand().await;
    assert_eq!(
        api.get(&format!("/demands/{late}/events?timeout=2"))
            .await
            .text,
        "[]"
    );
    assert_eq!(api.mock.act(online(true)), Ok(()));
    assert_eq!(state_of(&api.collect(&late).await[0]), "Initial");
    assert_eq!(state_of(&api.collect(&demand).await[0]), "Initial");
}

#[tokio::test(start_paused = true)]
async fn an_impossible_act_says_what_there_was() {
    let api = Api::start(one());
    let unknown = Act::KillActivity {
        provider: "bob".into(),
    };
    let error = api
        .mock
        .act(unknown)
        .expect_err("no provider is called bob");
    assert_eq!(
        error.to_string(),
        "there is no provider `bob`; there are: alice"
    );
    let early = Act::TerminateAgreement {
        provider: "alice".into(),
        reason: None,
    };
    let none = ActError::NoAgreement {
        provider: "alice".into(),
        had: 0,
    };
    assert_eq!(api.mock.act(early), Err(none));
}

async fn journal_of(seed: u64) -> String {
    let seed = Seed::from_u64(seed);
    let providers = ProviderSpec::fleet(20, seed);
    let api = Api::with(Config {
        seed,
        providers,
        ..Config::default()
    });
    let demand = api.demand().await;
    sleep(Duration::from_secs(1)).await;
    for event in api.collect(&demand).await {
        let id = event["proposal"]["proposalId"].as_str().expect("an id");
        assert_eq!(api.counter(&demand, id).await.status, 200);
    }
    sleep(Duration::from_secs(1)).await;
    for event in api.collect(&demand).await {
        let id = event["proposal"]["proposalId"].as_str().expect("an id");
        let agreement = api.promote(id).await.id();
        api.confirm(&agreement).await;
    }
    sleep(Duration::from_secs(60)).await;
    let entries = api.mock.journal_since(0);
    assert_eq!(api.mock.summary().agreements, 20);
    assert!(entries.iter().zip(0..).all(|(entry, seq)| entry.seq == seq));
    serde_json::to_string(&entries).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_journal_and_another_seed_another() {
    let first = journal_of(7).await;
    assert_eq!(first, journal_of(7).await);
    assert_ne!(first, journal_of(8).await);
}
