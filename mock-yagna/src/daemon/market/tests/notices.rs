//! Termination notices, as a daemon from 0.18 on has them.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::harness::Api;
use crate::config::{AppKey, DaemonVersion};
use crate::{Act, ActError, Config, ConfigError, ProviderSpec};

/// A network of one provider, with a key of its own, behind this daemon.
fn network(daemon: DaemonVersion, change: impl FnOnce(&mut ProviderSpec)) -> (Api, Api) {
    let mut alice = ProviderSpec::new("alice");
    alice.app_key = Some(AppKey::new("of-alice", "alice's agent"));
    change(&mut alice);
    let api = Api::with(Config {
        daemon,
        providers: vec![alice],
        ..Config::default()
    });
    let agent = api.with_key("of-alice");
    (api, agent)
}

async fn kinds(api: &Api) -> Vec<String> {
    let events = api.get("/agreementEvents?timeout=0").await.json();
    let events = events.as_array().expect("a list").clone();
    let kind = |event: &Value| event["eventType"].as_str().expect("a kind").to_owned();
    events.iter().map(kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_told_once_and_the_agreement_stays_approved() {
    let (api, agent) = network(DaemonVersion::V0_18, |_| {});
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let path = format!("/agreements/{agreement}/terminationNotice");
    let at = |seconds: u64| (api.now() + Duration::from_secs(seconds)).to_string();
    let deadline = at(30);
    let notice = json!({ "terminationDeadline": deadline, "reason": { "message": "upgrade" } });
    assert_eq!(agent.post(&path, notice.clone()).await.status, 204);
    // The same again is fine; another is not.
    assert_eq!(agent.post(&path, notice.clone()).await.status, 204);
    let other = json!({ "terminationDeadline": at(600) });
    assert_eq!(agent.post(&path, other).await.status, 409);
    assert_eq!(
        kinds(&api).await,
        ["AgreementApprovedEvent", "AgreementTerminationNoticeEvent"]
    );
    let events = api.get("/agreementEvents?timeout=0").await.json();
    assert_eq!(events[1]["reason"]["message"], "upgrade");
    let told = events[1]["terminationDeadline"].as_str().expect("a time");
    let told: jiff::Timestamp = told.parse().expect("a time");
    assert_eq!(Some(told), deadline.parse().ok());
    let read = api.get(&format!("/agreements/{agreement}")).await.json();
    assert_eq!(read["state"], "Approved");
    // It only informs: nothing ends by itself.
    tokio::time::sleep(Duration::from_secs(31)).await;
    let read = api.get(&format!("/agreements/{agreement}")).await.json();
    assert_eq!(read["state"], "Approved");
}

#[tokio::test(start_paused = true)]
async fn notices_that_cannot_be_are_refused() {
    let (api, agent) = network(DaemonVersion::V0_18, |_| {});
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let path = format!("/agreements/{agreement}/terminationNotice");
    let past = json!({ "terminationDeadline": "2020-01-01T00:00:00Z" });
    let ahead = json!({ "terminationDeadline": (api.now() + Duration::from_secs(60)).to_string() });
    assert_eq!(agent.post(&path, past).await.status, 400);
    assert_eq!(agent.post(&path, json!({})).await.status, 400);
    assert_eq!(api.post(&path, ahead.clone()).await.status, 403);
    assert_eq!(api.as_other().post(&path, ahead.clone()).await.status, 404);
    let unknown = format!("/agreements/{}/terminationNotice", "0".repeat(64));
    assert_eq!(agent.post(&unknown, ahead.clone()).await.status, 404);
    let end = format!("/agreements/{agreement}/terminate");
    assert_eq!(
        api.post(&end, json!({ "message": "bye" })).await.status,
        200
    );
    assert_eq!(agent.post(&path, ahead).await.status, 410);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_0_17_knows_no_notices() {
    let (api, agent) = network(DaemonVersion::V0_17, |_| {});
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let path = format!("/agreements/{agreement}/terminationNotice");
    let ahead = json!({ "terminationDeadline": (api.now() + Duration::from_secs(60)).to_string() });
    assert_eq!(agent.post(&path, ahead).await.status, 404);
    let (provider, within, reason) = ("alice".to_owned(), Duration::from_secs(60), None);
    let drain = Act::Drain {
        provider,
        within,
        reason,
    };
    let refused = api.mock.act(drain);
    assert!(
        matches!(refused, Err(ActError::NoNotices { .. })),
        "{refused:?}"
    );
    let change = json!({ "notice": "1m" }).as_object().expect("one").clone();
    let provider = "alice".to_owned();
    let refused = api.mock.act(Act::Behave { provider, change });
    assert!(
        matches!(refused, Err(ActError::NoNotices { .. })),
        "{refused:?}"
    );
    let mut spec = ProviderSpec::new("bob");
    spec.behaviour.notice = Some(Duration::from_secs(60));
    spec.behaviour.terminate_after = Some(Duration::from_secs(600));
    let config = Config {
        providers: vec![spec],
        ..Config::default()
    };
    assert!(matches!(config.check(), Err(ConfigError::NoNotices { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_provider_announces_the_end_that_its_behaviour_has_in_store() {
    let (api, _) = network(DaemonVersion::V0_18, |alice| {
        alice.behaviour.terminate_after = Some(Duration::from_secs(80));
        alice.behaviour.notice = Some(Duration::from_secs(30));
    });
    let demand = api.demand().await;
    api.approved(&demand).await;
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(kinds(&api).await, ["AgreementApprovedEvent"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let two = ["AgreementApprovedEvent", "AgreementTerminationNoticeEvent"];
    assert_eq!(kinds(&api).await, two);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(kinds(&api).await[2..], ["AgreementTerminatedEvent"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_drains_offers_no_more_and_ends_what_is_in_force_then() {
    let (api, _) = network(DaemonVersion::V0_18, |alice| alice.capacity = 2);
    let demand = api.demand().await;
    api.approved(&demand).await;
    let (provider, within, reason) = ("alice".to_owned(), Duration::from_secs(60), None);
    let drain = Act::Drain {
        provider,
        within,
        reason,
    };
    api.mock.act(drain).expect("possible");
    // A new demand finds nobody, although there was room.
    let late = api.demand().await;
    let found = api.get(&format!("/demands/{late}/events?timeout=30")).await;
    assert_eq!(found.json(), json!([]));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(
        kinds(&api).await,
        [
            "AgreementApprovedEvent",
            "AgreementTerminationNoticeEvent",
            "AgreementTerminatedEvent"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_daemon_says_which_release_it_is() {
    for (daemon, release) in [
        (DaemonVersion::V0_17, "0.17.6"),
        (DaemonVersion::V0_18, "0.18.1"),
    ] {
        let (api, _) = network(daemon, |_| {});
        let told = api.call(Method::GET, "/version/get", None).await.json();
        assert_eq!(told["current"]["version"], release);
    }
}
