//! What ids, objects and pages look like, and in which order events come.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{Api, one};
use crate::config::ProviderSpec;
use crate::control::Act;
use crate::rng::Seed;

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_subscription(id: &Value) -> bool {
    let parts = id.as_str().and_then(|id| id.split_once('-'));
    // The first half is a random UUID without dashes: its version is told.
    parts.is_some_and(|(random, hash)| {
        is_hex(random, 32) && random.as_bytes()[12] == b'4' && is_hex(hash, 64)
    })
}

fn is_proposal(id: &Value) -> bool {
    let digits = id.as_str().and_then(|id| id.strip_prefix("R-"));
    digits.is_some_and(|digits| is_hex(digits, 64))
}

fn is_node(id: &Value) -> bool {
    let digits = id.as_str().and_then(|id| id.strip_prefix("0x"));
    digits.is_some_and(|digits| is_hex(digits, 40))
}

/// UTC with a `Z`, and no more digits of a second than `most`.
fn is_stamp(stamp: &Value, most: usize) -> bool {
    let text = stamp.as_str().unwrap_or_default();
    let fraction = text.trim_end_matches('Z').split_once('.');
    text.parse::<jiff::Timestamp>().is_ok()
        && text.ends_with('Z')
        && fraction.is_none_or(|(_, digits)| digits.len() <= most)
}

#[tokio::test(start_paused = true)]
async fn ids_stamps_and_members_are_those_that_clients_read() {
    let api = Api::start(one());
    let me = api.call(axum::http::Method::GET, "/me", None).await.json()["identity"].clone();
    assert!(is_node(&me), "{me}");
    let demand = api.demand().await;
    assert!(is_subscription(&json!(demand)), "{demand}");
    let listed = api.get("/demands").await.json()[0].clone();
    assert_eq!(listed["demandId"], json!(demand));
    assert_eq!(listed["requestorId"], me);
    assert_eq!(listed["constraints"], api.demand_body()["constraints"]);
    assert!(is_stamp(&listed["timestamp"], 9), "{listed}");

    let event = api.collect(&demand).await[0].clone();
    assert!(is_stamp(&event["eventDate"], 3), "{event}");
    let initial = &event["proposal"];
    assert!(is_proposal(&initial["proposalId"]) && is_stamp(&initial["timestamp"], 9));
    assert!(is_node(&initial["issuerId"]) && initial["issuerId"] != me);
    let id = initial["proposalId"].as_str().expect("an id");
    let path = format!("/demands/{demand}/proposals/{id}");
    assert_eq!(api.get(&path).await.json(), *initial);
    let another = api.demand().await;
    let elsewhere = format!("/demands/{another}/proposals/{id}");
    assert_eq!(api.get(&elsewhere).await.status, 404, "of another demand");

    let counter = api.counter(&demand, id).await;
    assert_eq!(counter.headers["content-type"], "application/json");
    let path = format!("/demands/{demand}/proposals/{}", counter.id());
    let own = api.get(&path).await.json();
    assert_eq!((&own["issuerId"], &own["state"]), (&me, &json!("Draft")));
    assert!(is_proposal(&own["proposalId"]), "never P-: {own}");
    let draft = api.proposal(&demand).await;
    let created = api.promote(&draft).await;
    assert_eq!(created.headers["content-type"], "application/json");
    let agreement = created.id();
    assert!(is_hex(&agreement, 64), "{agreement}");
    let whole = api.get(&format!("/agreements/{agreement}")).await.json();
    assert!(is_subscription(&whole["offer"]["offerId"]), "{whole}");
    assert_eq!(whole["offer"]["providerId"], initial["issuerId"]);
    assert_eq!(whole["demand"]["requestorId"], me);
    assert!(is_stamp(&whole["validTo"], 9) && is_stamp(&whole["timestamp"], 9));
    for malformed in [
        &agreement[1..],
        &format!("{agreement}0"),
        &format!("R-{agreement}"),
    ] {
        let answer = api.get(&format!("/agreements/{malformed}")).await;
        assert_eq!(answer.status, 400, "{malformed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_initial_proposal_is_the_offer_itself() {
    let api = Api::start(one());
    let demand = api.demand().await;
    api.post(
        "/scan",
        json!({"type": "offer", "properties": {"ignored": 1}}),
    )
    .await;
    let offer = api.get("/scan/0/events").await.json()[0].clone();
    let initial = api.collect(&demand).await[0]["proposal"].clone();
    for (of_proposal, of_offer) in [
        ("properties", "properties"),
        ("constraints", "constraints"),
        ("issuerId", "providerId"),
    ] {
        assert_eq!(initial[of_proposal], offer[of_offer], "{of_proposal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_without_maximum_has_twenty_proposals_of_a_demand_and_all_offers_of_a_scan() {
    let api = Api::start(ProviderSpec::fleet(30, Seed::from_u64(3)));
    let demand = api.demand().await;
    api.post("/scan", json!({"type": "offer"})).await;
    sleep(Duration::from_secs(1)).await;
    let count = async |path: &str| {
        let page = api.get(path).await.json();
        page.as_array().expect("a list").len()
    };
    let events = format!("/demands/{demand}/events?timeout=0");
    assert_eq!([count(&events).await, count(&events).await], [20, 10]);
    assert_eq!(count("/scan/0/events?timeout=0&maxEvents=7").await, 7);
    assert_eq!(count("/scan/0/events?timeout=0").await, 23);
    let empty = api.get("/scan/0/events").await;
    assert!((empty.took - 5.0).abs() < 0.01, "{}", empty.took);
}

#[tokio::test(start_paused = true)]
async fn rejections_come_before_proposals_and_in_the_order_of_their_times() {
    let mut specs: Vec<_> = (0..6)
        .map(|n| ProviderSpec::new(format!("honest{n}")))
        .collect();
    for n in 0..3 {
        let mut grumpy = ProviderSpec::new(format!("grumpy{n}"));
        grumpy.behaviour.refuse = Some("no".into());
        specs.push(grumpy);
    }
    let api = Api::start(specs);
    let demand = api.demand().await;
    sleep(Duration::from_secs(1)).await;
    for event in api.collect(&demand).await {
        let id = event["proposal"]["proposalId"].as_str().expect("an id");
        assert_eq!(api.counter(&demand, id).await.status, 200);
        sleep(Duration::from_millis(200)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let events = api.collect(&demand).await;
    let kinds: Vec<_> = events.iter().map(|e| e["eventType"].as_str()).collect();
    assert_eq!(kinds[..3], [Some("ProposalRejectedEvent"); 3]);
    assert_eq!(kinds[3..], [Some("ProposalEvent"); 6]);
    let dates: Vec<_> = events.iter().map(|e| e["eventDate"].as_str()).collect();
    assert!(dates[..3].is_sorted(), "{dates:?}");
}

#[tokio::test(start_paused = true)]
async fn proposals_come_in_no_order() {
    let api = Api::start(ProviderSpec::fleet(40, Seed::from_u64(3)));
    let demand = api.demand().await;
    sleep(Duration::from_secs(1)).await;
    let events = api.collect(&demand).await;
    assert_eq!(events.len(), 40);
    let dates: Vec<_> = events.iter().map(|e| e["eventDate"].as_str()).collect();
    assert!(
        !dates.is_sorted() && !dates.iter().rev().is_sorted(),
        "{dates:?}"
    );
}

/// golem-js asks for its own counter-proposal first; an answer that is faster is lost to it.
#[tokio::test(start_paused = true)]
async fn an_answer_takes_longer_than_asking_for_the_own_proposal() {
    let mut grumpy = ProviderSpec::new("grumpy");
    grumpy.behaviour.refuse = Some("no".into());
    for spec in [ProviderSpec::new("alice"), grumpy] {
        let api = Api::start(vec![spec]);
        let demand = api.demand().await;
        let initial = api.proposal(&demand).await;
        api.counter(&demand, &initial).await;
        let path = format!("/demands/{demand}/events?timeout=0");
        assert_eq!(api.get(&path).await.text, "[]");
        let answer = api.get(&format!("/demands/{demand}/events")).await;
        assert!(
            answer.text != "[]" && answer.took >= 0.005,
            "{}",
            answer.took
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_agreement_shows_what_was_last_proposed_by_each_side() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let key = "golem.com.payment.debit-notes.accept-timeout?";
    let mut proposal = api.proposal(&demand).await;
    let mut last = Value::Null;
    for seconds in [30, 60] {
        let mut body = api.demand_body();
        body["properties"][key] = json!(seconds);
        body["constraints"] = json!(format!("(golem.inf.mem.gib>0.{seconds})"));
        let path = format!("/demands/{demand}/proposals/{proposal}");
        assert_eq!(api.post(&path, body.clone()).await.status, 200);
        let draft = api.collect(&demand).await[0]["proposal"].clone();
        proposal = draft["proposalId"].as_str().expect("an id").to_owned();
        last = json!([
            body["properties"],
            body["constraints"],
            draft["properties"],
            draft["constraints"]
        ]);
    }
    let agreement = api.promote(&proposal).await.id();
    let whole = api.get(&format!("/agreements/{agreement}")).await.json();
    let (demand, offer) = (&whole["demand"], &whole["offer"]);
    let shown = json!([
        demand["properties"],
        demand["constraints"],
        offer["properties"],
        offer["constraints"]
    ]);
    assert_eq!(shown, last);
    assert_eq!(shown[2][key], 60);
}

#[tokio::test(start_paused = true)]
async fn a_counter_is_matched_against_the_provider_s_constraints_as_well() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let path = format!("/demands/{demand}/proposals/{initial}");
    let mut body = api.demand_body();
    body["properties"]["golem.node.debug.subnet"] = json!("hidden");
    assert_eq!(api.post(&path, body).await.status, 400);
    assert_eq!(
        api.counter(&demand, &initial).await.status,
        200,
        "not used up"
    );
}

#[tokio::test(start_paused = true)]
async fn floats_are_read_in_every_query_and_approval_is_waited_for_five_seconds() {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.never_approve = true;
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    let agreement = api.agreement(&demand).await;
    api.confirm(&agreement).await;
    for (query, seconds) in [("", 5.0), ("?timeout=4.7", 4.7), ("?timeout=2.0", 2.0)] {
        let path = format!("/agreements/{agreement}/wait{query}");
        let answer = api.post_nothing(&path).await;
        assert_eq!(answer.status, 408);
        assert!(
            (answer.took - seconds).abs() < 0.01,
            "{query}: {}",
            answer.took
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_approval_is_no_limit_of_the_agreement() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    sleep(Duration::from_secs(80)).await;
    assert_eq!(
        api.state(&agreement).await,
        "Approved",
        "validTo was after 60 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_agreement_tells_the_reason_with_all_its_members() {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.never_approve = true;
    let api = Api::start(vec![spec]);
    for reason in [
        json!({"message": "late", "golem.requestor.code": "Cancelled"}),
        json!(null),
    ] {
        let demand = api.demand().await;
        let agreement = api.agreement(&demand).await;
        api.confirm(&agreement).await;
        let path = format!("/agreements/{agreement}/cancel");
        let answer = api.post(&path, reason.clone()).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
        let events = api.get("/agreementEvents?timeout=0").await.json();
        let event = events
            .as_array()
            .and_then(|all| all.last())
            .expect("an event");
        assert_eq!(event["eventType"], "AgreementCancelledEvent");
        assert_eq!(event["agreementId"], json!(agreement));
        if reason.is_object() {
            assert_eq!(event["reason"], reason);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_termination_must_reach_the_provider() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let online = |online| Act::SetOnline {
        provider: "alice".into(),
        online,
    };
    api.mock.act(online(false)).expect("it is there");
    let path = format!("/agreements/{agreement}/terminate");
    let reason = json!({"message": "bye"});
    assert_eq!(api.post(&path, reason.clone()).await.status, 500);
    assert_eq!(api.state(&agreement).await, "Approved");
    api.mock.act(online(true)).expect("it is there");
    assert_eq!(api.post(&path, reason).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn every_way_in_which_clients_write_a_stamp_is_read() {
    let api = Api::start(one());
    let demand = api.demand().await;
    api.approved(&demand).await;
    let event = api.get("/agreementEvents?timeout=0").await.json()[0]["eventDate"].clone();
    assert!(is_stamp(&event, 6), "no finer than clients read: {event}");
    let echo = event.as_str().expect("a stamp").to_owned();
    for (stamp, found) in [
        ("2026-11-22T01:16:26.146821%2B00:00", 1),
        ("2026-11-22T01%3A16%3A31.760Z", 1),
        ("2026-11-22T01:16:31Z", 1),
        (&*echo, 0),
        (&*echo.replace(':', "%3A"), 0),
    ] {
        let path = format!("/agreementEvents?timeout=0&afterTimestamp={stamp}");
        let answer = api.get(&path).await;
        assert_eq!(answer.status, 200, "{stamp}");
        assert_eq!(
            answer.json().as_array().map(Vec::len),
            Some(found),
            "{stamp}"
        );
    }
}
