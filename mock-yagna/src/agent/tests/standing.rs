//! What a provider's agent may leave to the daemon, or do with a key of its own: standing offers,
//! activities that outlive their agreement, no debit notes, reasons with codes.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::config::{AppKey, Config, ProviderSpec};
use crate::control::Act;

#[tokio::test(start_paused = true)]
async fn a_standing_offer_comes_back_after_a_termination_only_and_is_the_same() {
    let stage = Stage::with(json!({ "reoffer": false, "reject_first": 1, "reject_with":
        { "message": "Too busy", "golem.provider.code": "Busy" } }));
    let demand = stage.demand().await;
    let rejected = stage.confirmed_on(&demand).await;
    assert_eq!(stage.wait(&rejected, 60).await, 410);
    let (_, events) = stage.get("/market-api/v1/agreementEvents?timeout=0").await;
    assert_eq!(
        events[0]["reason"],
        json!({ "message": "Too busy", "golem.provider.code": "Busy" })
    );
    assert_eq!(stage.events(&demand, 60).await, Vec::<Value>::new());

    let offer = Act::Offer {
        provider: "bob".into(),
    };
    let mut offers = Vec::new();
    for _ in 0..2 {
        if offers.is_empty() {
            stage.mock.act(offer.clone()).expect("possible");
        }
        let agreement = stage.confirmed_on(&demand).await;
        assert_eq!(stage.wait(&agreement, 60).await, 204);
        let (_, whole) = stage
            .get(&format!("/market-api/v1/agreements/{agreement}"))
            .await;
        offers.push(whole["offer"]["offerId"].clone());
        assert_eq!(stage.terminate(&agreement).await.0, 200);
    }
    assert_eq!(offers[0], offers[1]);
}

#[tokio::test(start_paused = true)]
async fn a_lingering_activity_works_on_and_is_invoiced_when_it_has_ended() {
    let stage = Stage::with(json!({ "activities_linger": "1m", "debit_notes": false }));
    let (agreement, activity) = stage.activity().await;
    stage.sleep(300).await;
    assert_eq!(stage.terminate(&agreement).await.0, 200);
    assert_eq!(stage.state(&activity).await, json!(["Initialized", null]));
    assert_eq!(stage.exec(&activity, json!([])).await.0, 200);
    assert!(stage.list("invoices").await.is_empty());
    stage.sleep(120).await;
    assert_eq!(stage.state(&activity).await, json!(["Terminated", null]));
    assert_eq!(stage.list("invoices").await.len(), 1);
    assert!(stage.list("debitNotes").await.is_empty());
    stage.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_provider_with_a_key_sees_what_it_was_asked_for_and_may_end_it() {
    let mut bob = ProviderSpec::new("bob");
    bob.app_key = Some(AppKey::new("of-bob", "bob's agent"));
    bob.constraints = Some("(golem.node.debug.subnet=public)".into());
    let stage = Stage::of(Config {
        providers: vec![bob],
        ..Config::default()
    });
    let as_bob =
        async |method, path: String, body| stage.send_as("of-bob", method, &path, body).await;
    let (_, me) = as_bob(Method::GET, "/me".into(), Value::Null).await;
    let (agreement, activity) = stage.activity().await;
    let path = format!("/market-api/v1/agreements/{agreement}");
    let (status, seen) = as_bob(Method::GET, path.clone(), Value::Null).await;
    assert_eq!(
        (status, &seen["offer"]["providerId"]),
        (200, &me["identity"])
    );
    assert_eq!(
        seen["offer"]["constraints"],
        "(golem.node.debug.subnet=public)"
    );
    let state = format!("/activity-api/v1/activity/{activity}/state");
    assert_eq!(as_bob(Method::GET, state, Value::Null).await.0, 200);

    let ends = format!("{path}/terminate");
    let reason = json!({ "message": "enough" });
    assert_eq!(
        as_bob(Method::POST, ends.clone(), reason.clone()).await.0,
        200
    );
    let (_, told) = stage.get(&format!("{path}/terminate/reason")).await;
    assert_eq!(told["terminator"], "Provider");
    assert_eq!(as_bob(Method::POST, ends, reason).await.0, 410);
}

#[tokio::test(start_paused = true)]
async fn a_draft_keeps_what_was_not_mentioned_if_the_provider_does() {
    const UNMENTIONED: &str = "golem.com.payment.debit-notes.accept-timeout?";
    for keeps in [false, true] {
        let stage = Stage::with(json!({ "keep_unmentioned": keeps }));
        let demand = stage.demand().await;
        stage.countered(&demand).await;
        let draft = stage.proposal(&demand).await;
        assert_eq!(draft["properties"].get(UNMENTIONED).is_some(), keeps);
    }
}

#[tokio::test(start_paused = true)]
async fn polls_for_documents_look_at_the_configured_pace() {
    let mut config = Config {
        providers: vec![ProviderSpec::new("bob")],
        ..Config::default()
    };
    config.latency.payment_events = Duration::from_secs(1);
    config.latency.invoice = Duration::from_millis(300);
    let stage = Stage::of(config);
    let agreement = stage.approved().await;
    let begin = stage.mock.world().now();
    let waited = || stage.mock.world().now().duration_since(begin).as_millis();
    assert_eq!(stage.terminate(&agreement).await.0, 200);
    let path = "/payment-api/v1/invoiceEvents?timeout=5";
    let (_, events) = stage.get(path).await;
    assert_eq!(events.as_array().map(Vec::len), Some(1));
    assert!((1000..1010).contains(&waited()), "{} ms", waited());
    let after = events[0]["eventDate"].as_str().expect("a time");
    let (_, none) = stage.get(&format!("{path}&afterTimestamp={after}")).await;
    assert_eq!(none, json!([]));
    assert!((6000..6010).contains(&waited()), "{} ms", waited());
}
