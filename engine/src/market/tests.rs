//! Renting on the canned daemon, in virtual time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{DemandSubscription, EndedBy, SignError};
use crate::model::{JobId, ResolvedPayload};
use crate::testing::{Daemon, all_well, terminated};
use crate::{EventKind, Golem};

fn daemon(providers: &[&str]) -> Daemon {
    Daemon::new(providers, |_, commands| all_well(commands))
}

type Events = Arc<Mutex<Vec<EventKind>>>;

async fn open(daemon: &Daemon) -> (Golem, Arc<DemandSubscription>, Events) {
    let (golem, events) = daemon.golem().await;
    let expiration = golem.context().now() + SignedDuration::from_hours(3);
    let payload = ResolvedPayload::default();
    let market =
        DemandSubscription::open(golem.market(), JobId::new("job"), &payload, expiration, 1);
    (golem.clone(), market.await.expect("a market"), events)
}

fn count(events: &Events, name: &str) -> usize {
    let events = events.lock().unwrap_or_else(PoisonError::into_inner);
    events.iter().filter(|event| event.name() == name).count()
}

async fn until(ready: impl Fn() -> bool) {
    let wait = async {
        while !ready() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), wait)
        .await
        .expect("it happens");
}

#[tokio::test(start_paused = true)]
async fn an_agreement_not_approved_in_time_is_cancelled_and_the_next_draft_taken() {
    let daemon = daemon(&["alice", "bob"]);
    daemon.slow_approvals(Duration::from_secs(1));
    daemon.can(Method::POST, "/wait", &[(408, r#"{"message":"Timeout"}"#)]);
    let (golem, market, events) = open(&daemon).await;
    let rental = market.sign(&[]).await.expect("a machine");
    assert_eq!(rental.provider_name, "bob");
    assert_eq!(daemon.calls("/cancel"), 1);
    assert_eq!(count(&events, "AgreementRejected"), 1);
    assert!(
        market
            .summary()
            .to_string()
            .contains("not approved in time (alice)")
    );
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_heard_in_the_feed_and_not_asked_for() {
    let daemon = daemon(&["alice"]);
    let (golem, market, _) = open(&daemon).await;
    let began = Instant::now();
    let rental = market.sign(&[]).await.expect("a machine");
    assert_eq!(rental.provider_name, "alice");
    assert_eq!(daemon.calls("/wait"), 0);
    assert!(began.elapsed() < Duration::from_secs(1));
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_the_feed_does_not_tell_is_asked_for() {
    let daemon = daemon(&["alice"]);
    daemon.slow_approvals(Duration::from_secs(20));
    let (golem, market, _) = open(&daemon).await;
    let began = Instant::now();
    let rental = market.sign(&[]).await.expect("a machine");
    assert_eq!(rental.provider_name, "alice");
    assert_eq!(daemon.calls("/wait"), 1, "once");
    // Five seconds of hearing nothing, then the daemon's answer.
    assert_eq!(began.elapsed().as_secs(), 25);
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_feed_is_told_in_the_providers_words() {
    let daemon = daemon(&["alice", "bob"]);
    daemon.refuses("alice", "no room left");
    let (golem, market, events) = open(&daemon).await;
    let rental = market.sign(&[]).await.expect("a machine");
    assert_eq!(rental.provider_name, "bob");
    assert_eq!(count(&events, "AgreementRejected"), 1);
    let refusals = market.summary().to_string();
    assert!(
        refusals.contains("the provider answered: no room left"),
        "{refusals}"
    );
    let asked = ["/wait", "/cancel", "GET /market-api/v1/agreements/"].map(|it| daemon.calls(it));
    assert_eq!(asked, [0, 0, 0], "there is nothing to ask or to cancel");
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_approval_in_its_page_is_not_lost() {
    let daemon = daemon(&["alice"]);
    let deadline = "2027-01-15T09:00:00Z";
    daemon.follows_approval(json!({
        "eventType": "AgreementTerminationNoticeEvent", "terminationDeadline": deadline,
        "reason": {"message": "maintenance"},
    }));
    let (golem, market, _) = open(&daemon).await;
    let rental = market.sign(&[]).await.expect("a machine");
    let announced = rental.announced_end().map(|it| it.to_string());
    assert_eq!(announced.as_deref(), Some(deadline));
    drop(golem.stop().await);

    let daemon = self::daemon(&["alice"]);
    daemon.follows_approval(terminated("the one that was approved"));
    let (golem, market, _) = open(&daemon).await;
    let rental = market.sign(&[]).await.expect("a machine");
    assert!(!rental.is_open(), "it is over");
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_is_over_is_not_waited_for() {
    for (status, words) in [(410, "expired."), (400, "was already unsubscribed.")] {
        let daemon = daemon(&["alice", "bob"]);
        let message = json!({ "message": format!("Subscription [0a-0b] {words}") });
        daemon.can(
            Method::POST,
            "/proposals/",
            &[(status, &message.to_string())],
        );
        let (golem, market, _) = open(&daemon).await;
        let began = Instant::now();
        let rental = market.sign(&[]).await.expect("a machine");
        assert_eq!(rental.provider_name, "bob");
        assert!(began.elapsed() < Duration::from_secs(1), "{words}");
        let refusals = market.summary().to_string();
        let said = "its offer is no longer on the market (alice)";
        assert!(refusals.contains(said), "{refusals}");
        drop(golem.stop().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_with_an_unknown_outcome_is_looked_up_and_withdrawn() {
    let daemon = daemon(&["alice", "bob"]);
    daemon.can(Method::POST, "/confirm", &[(504, "null")]);
    let base = |key: &str, id: &str, node: &str| json!({"properties": {}, "constraints": "()", key: id, node: "0x", "timestamp": "2026-01-01T00:00:00Z"});
    let agreement = json!({
        "agreementId": "alice-1", "state": "Approved",
        "demand": base("demandId", "demand", "requestorId"),
        "offer": base("offerId", "offer", "providerId"),
        "validTo": "2026-01-01T00:00:00Z", "timestamp": "2026-01-01T00:00:00Z",
    });
    daemon.can(
        Method::GET,
        "/agreements/",
        &[(200, &agreement.to_string())],
    );
    let (golem, market, _) = open(&daemon).await;
    let rental = market.sign(&[]).await.expect("a machine");
    assert_eq!(rental.provider_name, "bob");
    assert_eq!(daemon.calls("/alice-1/confirm"), 1, "it is not repeated");
    assert_eq!(
        daemon.calls("/alice-1/terminate"),
        1,
        "it had been approved"
    );
    assert!(golem.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_machine_nobody_waits_for_any_more_is_given_back() {
    let daemon = daemon(&["alice"]);
    daemon.slow_approvals(Duration::from_secs(5));
    let (golem, market, _) = open(&daemon).await;
    {
        let sign = market.sign(&[]);
        tokio::pin!(sign);
        tokio::select! {
            biased;
            () = until(|| daemon.calls("/confirm") > 0) => {}
            _ = &mut sign => panic!("signed before it was dropped"),
        }
    }
    assert!(golem.stop().await.is_clean());
    assert_eq!(daemon.calls("/terminate") + daemon.calls("/cancel"), 1);
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn many_machines_are_rented_at_once() {
    let names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let daemon = daemon(&names);
    let (golem, market, events) = open(&daemon).await;
    let signing = names.iter().map(|_| market.sign(&[]));
    let rentals = futures::future::join_all(signing).await;
    assert!(rentals.iter().all(Result::is_ok));
    assert_eq!(count(&events, "AgreementConfirmed"), 20);
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.agreements, 20);
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_providers_termination_reaches_the_renter_at_once() {
    let daemon = daemon(&["alice"]);
    let (golem, market, _) = open(&daemon).await;
    let rental = market.sign(&[]).await.expect("a machine");
    let mut ended = rental.ended();
    let before = Instant::now();
    daemon.terminate("alice", false);
    let end = ended
        .wait_for(Option::is_some)
        .await
        .expect("an end")
        .clone()
        .expect("an end");
    assert_eq!(
        (end.by, end.reason.as_str()),
        (EndedBy::Provider, "had enough")
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
    drop(golem.stop().await);
    assert_eq!(daemon.calls("/terminate"), 0, "it was over");
}

#[tokio::test(start_paused = true)]
async fn without_offers_the_error_counts_them_after_the_deadline() {
    let (golem, market, events) = open(&daemon(&[])).await;
    let error = market.sign(&[]).await.expect_err("nobody there");
    assert!(matches!(&error, SignError::NoOffers { summary, .. } if summary.offers_seen == 0));
    assert!(error.to_string().contains("0 offers seen"), "{error}");
    assert_eq!(count(&events, "NoProposalsConfirmed"), 1);
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn a_demand_that_is_gone_is_published_again() {
    let daemon = daemon(&["alice"]);
    let gone = r#"{"message":"Subscription [x] not found. Could be unsubscribed."}"#;
    daemon.can(Method::GET, "/demands/demand/events", &[(404, gone)]);
    let (golem, market, events) = open(&daemon).await;
    market.sign(&[]).await.expect("a machine");
    assert_eq!(count(&events, "SubscriptionCreated"), 2);
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn a_demand_is_replaced_before_its_hour_is_over() {
    let daemon = daemon(&[]);
    let (golem, _market, events) = open(&daemon).await;
    sleep(Duration::from_secs(59 * 60)).await;
    assert_eq!(count(&events, "SubscriptionCreated"), 2);
    assert_eq!(daemon.calls("DELETE /market-api/v1/demands/demand"), 1);
    drop(golem.stop().await);
    assert_eq!(daemon.calls("DELETE /market-api/v1/demands/demand"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_demand_whose_offers_may_be_lost_with_an_answer_is_renewed() {
    // A refusal is no answer that got lost.
    for (answers, demands) in [(&[(504, "null")][..], 2), (&[(400, "{}")], 1), (&[], 1)] {
        let daemon = daemon(&[]);
        daemon.can(Method::GET, "/events", answers);
        let (golem, market, events) = open(&daemon).await;
        let began = Instant::now();
        market.sign(&[]).await.expect_err("there are no providers");
        assert_eq!(began.elapsed().as_secs(), 60);
        assert_eq!(count(&events, "SubscriptionCreated"), demands);
        drop(golem.stop().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_demand_that_starves_is_renewed_so_that_providers_are_asked_again() {
    let (golem, market, events) = open(&daemon(&["alice"])).await;
    let began = Instant::now();
    let _rental = market.sign(&[]).await.expect("a machine");
    sleep(Duration::from_secs(300)).await;
    assert_eq!(
        count(&events, "SubscriptionCreated"),
        1,
        "no waiter is left"
    );
    let error = market.sign(&[]).await.expect_err("the only one is taken");
    assert_eq!(began.elapsed().as_secs(), 360);
    assert_eq!(count(&events, "SubscriptionCreated"), 2);
    let said = error.to_string();
    assert!(
        said.contains("the only provider is rented by us already (alice)"),
        "{said}"
    );
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_ends_the_wait_for_drafts_with_its_reason() {
    let daemon = daemon(&["alice"]);
    daemon.can(Method::GET, "/events", &[(401, "Invalid application key")]);
    let (golem, market, _) = open(&daemon).await;
    let error = market.sign(&[]).await.expect_err("refused");
    assert!(error.to_string().contains("YAGNA_APPKEY"), "{error}");
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn a_termination_that_fails_is_tried_again_and_then_reported() {
    let daemon = daemon(&["alice"]);
    let (golem, market, _) = open(&daemon).await;
    market.sign(&[]).await.expect("a machine");
    let failed = (500, r#"{"message":"GSB error"}"#);
    daemon.can(Method::POST, "/terminate", &[failed; 20]);
    let report = golem.stop().await;
    assert!(daemon.calls("/terminate") > 1);
    assert_eq!(report.open_agreements.len(), 1);
    assert!(report.to_string().contains("alice"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_market_rents_nothing_more() {
    let daemon = daemon(&["alice"]);
    let (golem, market, _) = open(&daemon).await;
    market.close().await;
    assert!(matches!(market.sign(&[]).await, Err(SignError::Closed)));
    assert_eq!(daemon.calls("DELETE /market-api/v1/demands/demand"), 1);
    drop(golem.stop().await);
}
