//! Demands and their event queue.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::harness::{Api, one};
use crate::config::ProviderSpec;
use crate::rng::Seed;

#[tokio::test(start_paused = true)]
async fn an_empty_poll_blocks_for_its_whole_timeout() {
    let api = Api::start(Vec::new());
    let demand = api.demand().await;
    for (query, seconds) in [
        ("", 5.0),
        ("?timeout=2", 2.0),
        ("?timeout=1.5", 1.5),
        ("?timeout=0", 0.0),
        ("?timeout=-1", 0.0),
    ] {
        let answer = api.get(&format!("/demands/{demand}/events{query}")).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, "[]"),
            "{query}"
        );
        assert!(
            (answer.took - seconds).abs() < 0.01,
            "{query}: {}",
            answer.took
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_wakes_the_poll_and_is_returned_once() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let answer = api
        .get(&format!("/demands/{demand}/events?timeout=10&maxEvents=5"))
        .await;
    assert!(answer.took < 0.2, "{}", answer.took);
    let events = answer.json();
    let event = &events[0];
    assert_eq!(event["eventType"], "ProposalEvent");
    assert_eq!(event["proposal"]["state"], "Initial");
    assert_eq!(event["proposal"].get("prevProposalId"), None);
    assert!(
        answer
            .text
            .contains(r#""golem.com.pricing.model.linear.coeffs":[0.00005,0.0001,0.0]"#)
    );
    let again = api
        .get(&format!("/demands/{demand}/events?timeout=0"))
        .await;
    assert_eq!(again.text, "[]");
}

#[tokio::test(start_paused = true)]
async fn of_two_polls_only_one_gets_the_event() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let path = format!("/demands/{demand}/events?timeout=3");
    let (a, b) = tokio::join!(api.get(&path), api.get(&path));
    let got = |text: &str| usize::from(text != "[]");
    assert_eq!(got(&a.text) + got(&b.text), 1);
}

#[tokio::test(start_paused = true)]
async fn all_matching_offers_of_a_large_network_arrive_once_each() {
    let api = Api::start(ProviderSpec::fleet(500, Seed::from_u64(9)));
    let demand = api.demand().await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut seen = Vec::new();
    loop {
        let answer = api
            .get(&format!("/demands/{demand}/events?timeout=0&maxEvents=100"))
            .await;
        let events = answer.json();
        let events = events.as_array().expect("a list");
        if events.is_empty() {
            break;
        }
        assert!(events.len() <= 100);
        seen.extend(events.iter().map(|e| e["proposal"]["issuerId"].to_string()));
    }
    assert_eq!(seen.len(), 500);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 500);
}

#[tokio::test(start_paused = true)]
async fn only_offers_that_match_both_ways_arrive() {
    let mut elsewhere = ProviderSpec::new("elsewhere");
    elsewhere.subnet = "hidden".into();
    let mut plain = ProviderSpec::new("plain");
    plain.capabilities = Vec::new();
    let api = Api::start(vec![elsewhere, plain, ProviderSpec::new("right")]);
    let mut body = api.demand_body();
    body["constraints"] = json!("(&(golem.runtime.capabilities=vpn)(golem.inf.mem.gib>=0.5))");
    let demand = api.post("/demands", body).await.id();
    let events = api.collect(&demand).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0]["proposal"]["properties"]["golem.node.id.name"],
        "right"
    );

    // The provider's own constraints need an expiration in the future.
    let mut past = api.demand_body();
    past["properties"]["golem.srv.comp.expiration"] = json!(1);
    let demand = api.post("/demands", past).await.id();
    assert!(api.collect(&demand).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn strange_demands_are_taken_and_never_match() {
    let api = Api::start(one());
    let mut demands = Vec::new();
    for body in [
        json!({"properties": {}, "constraints": "(&(a=1)"}),
        json!({"properties": {}, "constraints": ""}),
        json!({"properties": [], "constraints": "()"}),
        json!({"properties": {"a": null}, "constraints": "()"}),
        json!({"properties": {"golem": {"node": {"id": {"name": "nested"}}}}, "constraints": "()"}),
    ] {
        let answer = api.post("/demands", body).await;
        assert_eq!(answer.status, 201);
        demands.push(answer.id());
    }
    let list = api.get("/demands").await.json();
    let properties: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| d["properties"].clone())
        .collect();
    let expected = [
        json!({"": {}}),
        json!({"": {}}),
        json!({"": []}),
        json!({"a": null}),
        json!({"golem.node.id.name": "nested"}),
    ];
    assert_eq!(properties, expected);
    for demand in demands {
        let answer = api
            .get(&format!("/demands/{demand}/events?timeout=1"))
            .await;
        assert_eq!(answer.text, "[]");
    }
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_wakes_the_poll_with_404_and_works_once() {
    let api = Api::start(Vec::new());
    let demand = api.demand().await;
    let path = format!("/demands/{demand}/events?timeout=60");
    let poll = api.get(&path);
    let unsubscribe = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        api.delete(&format!("/demands/{demand}")).await
    };
    let (poll, unsubscribed) = tokio::join!(poll, unsubscribe);
    assert_eq!((unsubscribed.status, unsubscribed.text.as_str()), (204, ""));
    assert_eq!(poll.status, 404);
    assert!((poll.took - 3.0).abs() < 0.01);
    let again = api.delete(&format!("/demands/{demand}")).await.refusal();
    assert_eq!(again, (404, format!("Demand [{demand}] not found.")));
    let gone = api
        .get(&format!("/demands/{demand}/events?timeout=0"))
        .await
        .refusal();
    assert_eq!(
        gone,
        (
            404,
            format!("Subscription [{demand}] not found. Could be unsubscribed.")
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_demand_lives_for_an_hour_and_a_poll_over_its_end_is_empty() {
    let api = Api::start(Vec::new());
    let demand = api.demand().await;
    tokio::time::sleep(std::time::Duration::from_secs(3595)).await;
    let over = api
        .get(&format!("/demands/{demand}/events?timeout=10"))
        .await;
    assert_eq!((over.status, over.text.as_str()), (200, "[]"));
    assert!((over.took - 10.0).abs() < 0.01);
    let ended = api
        .get(&format!("/demands/{demand}/events?timeout=0"))
        .await;
    let message = format!("Subscription [{demand}] expired.");
    assert_eq!(ended.refusal(), (404, message));
    assert_eq!(api.get("/demands").await.text, "[]");
    let withdrawn = api.delete(&format!("/demands/{demand}")).await;
    let message = format!("Demand [{demand}] not found.");
    assert_eq!(withdrawn.refusal(), (404, message));
}

#[tokio::test(start_paused = true)]
async fn bad_requests_get_the_words_of_the_daemon() {
    let api = Api::start(Vec::new());
    let demand = api.demand().await;
    let none = format!("{}-{}", "0".repeat(32), "0".repeat(64));
    for (path, status, text) in [
        (format!("/demands/{demand}/events?maxEvents=0"), 400,
            r#"{"message":"Invalid maxEvents '0', should be between 1 and 100."}"#.to_owned()),
        (format!("/demands/{demand}/events?maxEvents=-5"), 400,
            r#"{"message":"Invalid maxEvents '-5', should be between 1 and 100."}"#.to_owned()),
        (format!("/demands/{demand}/events?maxEvents=101"), 400,
            r#"{"message":"Invalid maxEvents '101', should be between 1 and 100."}"#.to_owned()),
        (format!("/demands/{demand}/events?timeout=abc"), 400,
            "Query deserialize error: invalid float literal".to_owned()),
        ("/demands/nope/events".to_owned(), 400,
            r#"{"message":"Path deserialize error: Subscription id [nope] has invalid format."}"#.to_owned()),
        ("/demands/xyz-123/events".to_owned(), 400,
            r#"{"message":"Path deserialize error: Subscription id [xyz-123] contains non hexadecimal characters."}"#.to_owned()),
        ("/demands/nope/events?timeout=abc".to_owned(), 400,
            r#"{"message":"Path deserialize error: Subscription id [nope] has invalid format."}"#.to_owned()),
        ("/demands/12-34/events".to_owned(), 400,
            r#"{"message":"Path deserialize error: Subscription id [12-34] has invalid length. Should be |32|-|64|"}"#.to_owned()),
        (format!("/demands/{demand}/events?maxEvents=5000000000"), 400,
            "Query deserialize error: number too large to fit in target type".to_owned()),
        (format!("/demands/{demand}/proposals/R-12"), 400,
            r#"{"message":"Path deserialize error: Id [12] hash has invalid length. Should be |64|"}"#.to_owned()),
        (format!("/demands/{demand}/proposals/r-12"), 400,
            r#"{"message":"Path deserialize error: Id [r] has invalid owner type."}"#.to_owned()),
        ("/agreements/12".to_owned(), 400,
            r#"{"message":"Invalid Agreement id. Id [12] hash has invalid length. Should be |64|"}"#.to_owned()),
        (format!("/demands/{none}/events"), 404,
            format!(r#"{{"message":"Subscription [{none}] not found. Could be unsubscribed."}}"#)),
        (format!("/demands/{demand}/proposals/nope"), 400,
            r#"{"message":"Path deserialize error: Id [nope] has invalid format."}"#.to_owned()),
    ] {
        let answer = api.get(&path).await;
        assert_eq!((answer.status, answer.text), (status, text), "{path}");
    }
    let both = api.post("/demands/nope/proposals/nope", json!({})).await;
    let words = "Path deserialize error: Subscription id [nope] has invalid format.";
    assert!(both.text.contains(words), "{}", both.text);
    let malformed = api.post("/demands", json!({})).await.refusal();
    let missing = "Json deserialize error: missing field `properties` at line 1 column 2";
    assert_eq!(malformed, (400, missing.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn two_identities_do_not_see_each_others_demands() {
    let api = Api::start(one());
    let other = api.as_other();
    let demand = api.demand().await;
    assert_eq!(other.get("/demands").await.text, "[]");
    let events = other
        .get(&format!("/demands/{demand}/events?timeout=0"))
        .await;
    assert_eq!(events.status, 404);
    assert_eq!(
        other.delete(&format!("/demands/{demand}")).await.status,
        404
    );
    let initial = api.proposal(&demand).await;
    let path = format!("/demands/{demand}/proposals/{initial}");
    assert_eq!(other.get(&path).await.status, 404);
    assert_eq!(other.post(&path, other.demand_body()).await.status, 404);
    let agreement = {
        assert_eq!(api.counter(&demand, &initial).await.status, 200);
        let draft = api.proposal(&demand).await;
        assert_eq!(other.promote(&draft).await.status, 400);
        api.promote(&draft).await.id()
    };
    assert_eq!(
        other.get(&format!("/agreements/{agreement}")).await.status,
        404
    );
    assert_eq!(
        other
            .post_nothing(&format!("/agreements/{agreement}/confirm"))
            .await
            .status,
        404
    );
    assert_eq!(other.get("/agreements").await.text, "[]");
    api.confirm(&agreement).await;
    assert_eq!(api.wait(&agreement, 5).await.status, 204);
    assert_eq!(other.get("/agreementEvents?timeout=0").await.text, "[]");
    let own = api.get("/agreementEvents?timeout=0").await.json();
    assert_eq!(own[0]["eventType"], "AgreementApprovedEvent");
}

#[tokio::test(start_paused = true)]
async fn a_scan_shows_each_offer_once_and_needs_no_demand() {
    let api = Api::start(one());
    let scan = api
        .post(
            "/scan",
            json!({"type": "offer", "constraints": "(golem.runtime.name=vm)"}),
        )
        .await;
    assert_eq!((scan.status, scan.text.as_str()), (201, r#""0""#));
    let offers = api
        .get("/scan/0/events?timeout=5&maxEvents=10")
        .await
        .json();
    assert_eq!(offers[0]["properties"]["golem.node.id.name"], "alice");
    let again = api.get("/scan/0/events?timeout=1").await;
    assert_eq!(again.text, "[]");
    assert!((again.took - 1.0).abs() < 0.01);
    let bad = api.post("/scan", json!({"type": "zzz"})).await.refusal();
    let words = "Json deserialize error: unknown variant `zzz`, expected `offer` or `demand` at line 1 column 13";
    assert_eq!(bad, (400, words.to_owned()));
    for (body, words) in [
        (
            json!({"type": "offer", "timeout": -1}),
            "invalid value: integer `-1`",
        ),
        (
            json!({"type": "offer", "timeout": "5"}),
            r#"invalid type: string "5""#,
        ),
        (
            json!({"type": "offer", "timeout": 1.5}),
            "invalid type: floating point `1.5`",
        ),
    ] {
        let (status, message) = api.post("/scan", body).await.refusal();
        let words = format!("Json deserialize error: {words}, expected u64 at line 1 column ");
        assert!(status == 400 && message.starts_with(&words), "{message}");
    }
    let of_peer = async |peer: &str| {
        api.get(&format!("/scan/0/events?timeout=9&peerId={peer}"))
            .await
    };
    let bad = of_peer("nope").await;
    assert_eq!(
        (bad.status, bad.text.as_str()),
        (400, "Query deserialize error: invalid format")
    );
    let nobody = of_peer(&format!("0x{}", "0".repeat(40))).await;
    let words = "Timeout while attempting to fetch data from a peer".to_owned();
    assert_eq!(nobody.refusal(), (504, words));
    for (constraints, words) in [
        ("(&(a", "Incomplete expression: Size(6)"),
        ("(a~=1)", "Parsing error: Alternative"),
        (
            "(a$x=1)",
            "Error parsing property reference a$x: Parse error Parsing no aspect no type error: unexpected text $x",
        ),
    ] {
        let body = json!({"type": "offer", "constraints": constraints});
        let refusal = api.post("/scan", body).await.refusal();
        assert_eq!(refusal, (400, format!("Invalid constraint. {words}")));
    }
    assert_eq!(api.delete("/scan/0").await.status, 204);
    let ended = api.get("/scan/0/events?timeout=9").await;
    assert_eq!(
        ended.refusal(),
        (404, r#"Iterator with id "0" not found"#.to_owned())
    );
    assert!(ended.took < 0.01, "an unknown scan is answered at once");
}

#[tokio::test(start_paused = true)]
async fn a_scan_as_an_event_stream_shows_what_is_published_later_and_stays_open() {
    let api = Api::start(one());
    api.post("/scan", json!({"type": "offer"})).await;
    let request = |scan: &str| {
        axum::http::Request::builder()
            .uri(format!("/market-api/v1/scan/{scan}/events"))
            .header("authorization", "Bearer secret")
            .header("accept", "text/event-stream")
            .body(axum::body::Body::empty())
            .expect("a request")
    };
    assert_eq!(api.send(request("7")).await.status, 404);
    let response = api.mock.router().oneshot(request("0")).await;
    let response = response.expect("infallible");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let mut body = response.into_body();
    let mut frame = async || {
        let frame = tokio::time::timeout(Duration::from_secs(600), body.frame()).await;
        let data = frame.ok()??.ok()?.into_data().ok()?;
        Some(String::from_utf8(data.to_vec()).expect("text"))
    };
    let offer = |frame: Option<String>| {
        let frame = frame.expect("an offer");
        let data = frame.strip_prefix("event: offer\ndata: ").expect("a frame");
        serde_json::from_str::<serde_json::Value>(data).expect("JSON")
    };
    let first = offer(frame().await);
    assert_eq!(first["properties"]["golem.node.id.name"], "alice");
    let provider = golem_wire::NodeId::new(first["providerId"].as_str().expect("an id"));
    api.mock.world().with(|state| {
        let (agents, mut net) = state.agents();
        agents.offer_again(&mut net, &provider);
    });
    let second = offer(frame().await);
    assert_eq!(second["providerId"], first["providerId"]);
    assert_ne!(second["offerId"], first["offerId"]);
    assert_eq!(frame().await, None, "still open, and silent");
}

#[tokio::test(start_paused = true)]
async fn an_ended_demand_is_forgotten_with_its_proposals_but_not_at_once() {
    let api = Api::start(one());
    let kept = |api: &Api| {
        api.mock
            .world()
            .with(|state| (state.market.demands.len(), state.market.proposals.len()))
    };
    let demand = api.demand().await;
    let draft = api.draft(&demand).await;
    assert_eq!(kept(&api), (1, 3));
    assert_eq!(api.delete(&format!("/demands/{demand}")).await.status, 204);
    tokio::time::sleep(Duration::from_secs(9 * 60)).await;
    assert_eq!(api.promote(&draft).await.status, 200, "it was still there");
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(kept(&api), (0, 0));
    assert_eq!(api.promote(&draft).await.status, 400);
    assert_eq!(api.delete(&format!("/demands/{demand}")).await.status, 404);

    api.demand().await;
    tokio::time::sleep(Duration::from_secs(60 * 60 + 11 * 60)).await;
    assert_eq!(kept(&api), (0, 0), "expired ones as well");
}
