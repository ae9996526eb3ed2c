//! The ends of offers: their hour is over, or the provider takes them from the market.
//!
//! Statuses and words are those of a real daemon with a short `DEFAULT_SUBSCRIPTION_TTL`.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Api, one};
use crate::config::ProviderSpec;
use crate::control::Act;

/// One provider whose offer has so many seconds left.
fn with_seconds_left(seconds: u64) -> Vec<ProviderSpec> {
    let mut spec = ProviderSpec::new("alice");
    spec.offer_age = Some(Duration::from_secs(3600 - seconds));
    vec![spec]
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The id of the offer that stands.
async fn offer(api: &Api) -> String {
    let scan = api.post("/scan", json!({ "type": "offer" })).await.id();
    let events = api.get(&format!("/scan/{scan}/events?timeout=0")).await;
    let id = &events.json()[0]["offerId"];
    id.as_str().expect("one offer").to_owned()
}

async fn proposal_state(api: &Api, demand: &str, proposal: &str) -> Value {
    let path = format!("/demands/{demand}/proposals/{proposal}");
    api.get(&path).await.json()["state"].clone()
}

async fn reject(api: &Api, demand: &str, proposal: &str) -> (u16, String) {
    let path = format!("/demands/{demand}/proposals/{proposal}/reject");
    api.post(&path, json!({ "message": "no" })).await.refusal()
}

#[tokio::test(start_paused = true)]
async fn an_offer_stands_for_an_hour_and_is_published_anew() {
    let api = Api::start(with_seconds_left(60));
    let first = offer(&api).await;
    let demand = api.demand().await;
    let before = api.proposal(&demand).await;
    seconds(58).await;
    assert_eq!(offer(&api).await, first);
    let after = api.proposal(&demand).await;
    assert_ne!(before, after);
    let second = offer(&api).await;
    assert_ne!(first, second);
    assert_eq!(api.counter(&demand, &after).await.status, 200);
    seconds(3500).await;
    assert_eq!(offer(&api).await, second);
    seconds(101).await;
    assert_ne!(offer(&api).await, second);
}

#[tokio::test(start_paused = true)]
async fn proposals_of_an_expired_offer_keep_their_state_but_cannot_be_answered() {
    let api = Api::start(with_seconds_left(60));
    let expired = format!("Subscription [{}] expired.", offer(&api).await);
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let other = api.demand().await;
    let draft = api.draft(&other).await;
    seconds(60).await;
    assert_eq!(proposal_state(&api, &demand, &initial).await, "Initial");
    assert_eq!(proposal_state(&api, &other, &draft).await, "Draft");
    for (demand, proposal) in [(&demand, &initial), (&other, &draft)] {
        let countered = api.counter(demand, proposal).await.refusal();
        assert_eq!(countered, (410, expired.clone()));
        let rejected = reject(&api, demand, proposal).await;
        assert_eq!(rejected, (400, expired.clone()));
    }
    assert_eq!(proposal_state(&api, &demand, &initial).await, "Initial");
}

#[tokio::test(start_paused = true)]
async fn proposals_that_wait_are_collected_after_the_end_of_their_offer() {
    let api = Api::start(with_seconds_left(60));
    let demand = api.demand().await;
    seconds(61).await;
    let events = api.collect(&demand).await;
    // The one of the offer that ended and the one of the offer that stands.
    assert_eq!(events.len(), 2, "{events:?}");
    let mut statuses = Vec::new();
    for event in &events {
        let id = event["proposal"]["proposalId"].as_str().expect("an id");
        statuses.push(api.counter(&demand, id).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410]);
}

#[tokio::test(start_paused = true)]
async fn an_agreement_on_an_expired_offer_is_created_and_never_decided() {
    let api = Api::start(with_seconds_left(60));
    let demand = api.demand().await;
    let draft = api.draft(&demand).await;
    seconds(60).await;
    let agreement = api.promote(&draft).await.id();
    api.confirm(&agreement).await;
    assert_eq!(api.wait(&agreement, 20).await.status, 408);
    assert_eq!(api.state(&agreement).await, "Pending");
    let renewed = api.proposal(&demand).await;
    seconds(60).await;
    assert_eq!(api.state(&agreement).await, "Expired");
    // The provider never knew of it: its offer stands as before.
    assert_eq!(api.counter(&demand, &renewed).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_was_asked_in_time_decides_after_the_end_of_the_offer() {
    let mut providers = with_seconds_left(60);
    providers[0].behaviour.approve_after = Duration::from_secs(30);
    let api = Api::start(providers);
    let demand = api.demand().await;
    seconds(40).await;
    let agreement = api.agreement(&demand).await;
    api.confirm(&agreement).await;
    assert_eq!(api.wait(&agreement, 40).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_offer_takes_the_earlier_one_from_the_market() {
    let api = Api::start(one());
    let withdrawn = offer(&api).await;
    let withdrawn = format!("Subscription [{withdrawn}] was already unsubscribed.");
    let (demand, other, third) = (api.demand().await, api.demand().await, api.demand().await);
    let initial = api.proposal(&other).await;
    let draft = api.draft(&third).await;
    let agreement = api.approved(&demand).await;
    let path = format!("/agreements/{agreement}/terminate");
    let ended = api.post(&path, json!({ "message": "enough" })).await;
    assert_eq!(ended.status, 200);
    let refused = (400, withdrawn);
    assert_eq!(api.counter(&other, &initial).await.refusal(), refused);
    assert_eq!(reject(&api, &other, &initial).await, refused);
    assert_eq!(api.counter(&third, &draft).await.refusal(), refused);
    // Even when its hour is over.
    let fresh = api.proposal(&other).await;
    assert_eq!(api.counter(&other, &fresh).await.status, 200);
    let agreement = api.promote(&draft).await.id();
    api.confirm(&agreement).await;
    assert_eq!(api.wait(&agreement, 20).await.status, 408);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_offer_is_called_so_even_after_its_hour() {
    let api = Api::start(with_seconds_left(60));
    let first = offer(&api).await;
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let alice = || "alice".to_owned();
    let again = Act::Offer { provider: alice() };
    api.mock.act(again).expect("an offer");
    seconds(61).await;
    let withdrawn = format!("Subscription [{first}] was already unsubscribed.");
    let refused = api.counter(&demand, &initial).await.refusal();
    assert_eq!(refused, (400, withdrawn));
}

#[tokio::test(start_paused = true)]
async fn of_a_demand_and_an_offer_that_have_both_expired_the_demand_is_told() {
    let api = Api::start(with_seconds_left(60));
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    seconds(3700).await;
    let gone = format!("Subscription [{demand}] wasn't found.");
    let refused = api.counter(&demand, &initial).await.refusal();
    assert_eq!(refused, (400, gone.clone()));
    assert_eq!(reject(&api, &demand, &initial).await, (400, gone));
}

#[tokio::test(start_paused = true)]
async fn to_its_proposals_an_expired_demand_is_one_that_was_withdrawn() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let counter = api.counter(&demand, &initial).await.id();
    seconds(1).await;
    // Offers that stand longer than the demand.
    let again = Act::Offer {
        provider: "alice".into(),
    };
    seconds(1800).await;
    api.mock.act(again).expect("an offer");
    seconds(1).await;
    let events = api.collect(&demand).await;
    let late = events.iter().map(|event| &event["proposal"]);
    let late = late.filter(|proposal| proposal["state"] == "Initial");
    let late = late.max_by_key(|proposal| proposal["timestamp"].to_string());
    let late = late.expect("a late proposal")["proposalId"].as_str();
    let late = late.expect("an id").to_owned();
    seconds(1800).await;
    let gone = format!("Subscription [{demand}] wasn't found.");
    assert_eq!(
        api.counter(&demand, &late).await.refusal(),
        (400, gone.clone())
    );
    assert_eq!(reject(&api, &demand, &late).await, (400, gone));
    // Whose proposal it is counts first.
    let own = format!("Can't react to own Proposal [{counter}].");
    assert_eq!(
        api.counter(&demand, &counter).await.refusal(),
        (400, own.clone())
    );
    assert_eq!(reject(&api, &demand, &counter).await, (400, own));
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_lets_its_offer_end_and_renews_it_when_it_answers_again() {
    for reoffer in [true, false] {
        let mut providers = with_seconds_left(60);
        providers[0].behaviour.reoffer = reoffer;
        let api = Api::start(providers);
        let silent = |silent| Act::GoSilent {
            provider: "alice".into(),
            silent,
        };
        api.mock.act(silent(true)).expect("silent");
        let early = api.demand().await;
        // The market still knows its offer.
        api.proposal(&early).await;
        seconds(60).await;
        let late = api.demand().await;
        let nothing = api.get(&format!("/demands/{late}/events?timeout=60")).await;
        assert_eq!(nothing.text, "[]");
        api.mock.act(silent(false)).expect("answering");
        let proposal = api.proposal(&late).await;
        assert_eq!(api.counter(&late, &proposal).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn first_offers_end_at_any_time_within_an_hour() {
    let names = (0..60).map(|n| ProviderSpec::new(format!("p{n}")));
    let api = Api::start(names.collect());
    let demand = api.demand().await;
    seconds(1).await;
    assert_eq!(api.collect(&demand).await.len(), 60);
    let mut renewed = Vec::new();
    for _ in 0..4 {
        seconds(890).await;
        let answer = api
            .get(&format!("/demands/{demand}/events?timeout=0&maxEvents=100"))
            .await;
        renewed.push(answer.json().as_array().expect("a list").len());
    }
    // All of them, some in each quarter.
    assert!(
        (55..=60).contains(&renewed.iter().sum::<usize>()),
        "{renewed:?}"
    );
    assert!(renewed.iter().all(|n| *n >= 5), "{renewed:?}");
}

#[test]
fn an_offer_that_ended_before_the_start_is_impossible() {
    let mut spec = ProviderSpec::new("alice");
    spec.offer_age = Some(Duration::from_secs(3600));
    let error = spec.check().expect_err("too old").to_string();
    assert!(
        error.contains("an offer stands for one hour only"),
        "{error}"
    );
}
