//! The control API as raw JSON in virtual time, and its description.

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::OPENAPI;
use crate::config::{Config, ProviderSpec};
use crate::{MockYagna, Timebase};

/// Every route of the control API below its prefix.
const ROUTES: [(&str, &str); 21] = [
    ("get", "/providers"),
    ("get", "/providers/{name}"),
    ("get", "/matching"),
    ("post", "/acts"),
    ("get", "/faults"),
    ("post", "/faults"),
    ("delete", "/faults"),
    ("delete", "/faults/{name}"),
    ("get", "/journal"),
    ("get", "/story"),
    ("get", "/agreements"),
    ("get", "/waiting"),
    ("get", "/time"),
    ("post", "/time"),
    ("get", "/snapshots"),
    ("put", "/snapshots/{name}"),
    ("post", "/snapshots/{name}"),
    ("delete", "/snapshots/{name}"),
    ("get", "/ledger"),
    ("post", "/reset"),
    ("get", "/openapi.yaml"),
];

fn network() -> MockYagna {
    let providers = vec![ProviderSpec::new("alice"), ProviderSpec::new("bob")];
    let config = Config {
        providers,
        ..Config::default()
    };
    MockYagna::start(config, Timebase::starting_at(Timestamp::UNIX_EPOCH))
}

async fn send(mock: &MockYagna, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer secret")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let response = mock.router().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes());
    let text = body.map(|body| String::from_utf8_lossy(&body).into_owned());
    (status, text.unwrap_or_else(|_| "broken".into()))
}

async fn control(mock: &MockYagna, method: &str, path: &str, body: Value) -> (u16, Value) {
    let path = format!("/mock-api/v1{path}");
    let (status, text) = send(mock, method, &path, &body.to_string()).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let document: Value = serde_saphyr::from_str(OPENAPI).expect("YAML");
    let paths = document["paths"].as_object().expect("paths");
    let mut described: Vec<(&str, &str)> = Vec::new();
    for (path, methods) in paths {
        let methods = methods.as_object().expect("methods").keys();
        described.extend(methods.map(|method| (method.as_str(), path.as_str())));
    }
    let mut routes = ROUTES.to_vec();
    described.sort_unstable();
    routes.sort_unstable();
    assert_eq!(described, routes);
}

#[test]
fn the_description_names_every_act_effect_and_member_of_a_behaviour() {
    let document: Value = serde_saphyr::from_str(OPENAPI).expect("YAML");
    let schemas = &document["components"]["schemas"];
    let behaviour = serde_json::to_value(crate::Behaviour::default()).expect("JSON");
    let described = schemas["Behaviour"]["properties"]
        .as_object()
        .expect("members");
    let mut members: Vec<_> = behaviour.as_object().expect("an object").keys().collect();
    let mut named: Vec<_> = described.keys().collect();
    members.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, members);
    for act in schemas["Act"]["properties"]
        .as_object()
        .expect("acts")
        .keys()
    {
        let error = serde_json::from_value::<crate::Act>(json!({ act.as_str(): 1 }));
        let error = error.expect_err("no such body").to_string();
        assert!(!error.contains("unknown variant"), "{act}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_effect_is_described_and_can_be_added() {
    let document: Value = serde_saphyr::from_str(OPENAPI).expect("YAML");
    let kinds = &document["components"]["schemas"]["Effect"]["oneOf"];
    let words = kinds[0]["enum"].as_array().expect("words").iter();
    let members = kinds[1]["properties"].as_object().expect("members");
    let values = json!({
        "delay": { "mean": "1s", "deviation": "1s" }, "refuse": 503, "misreport": 408, "twice": "first",
        "lose_events": 0.5, "cut_stream": 3, "restart": "10s",
    });
    let members = members.keys().map(|key| json!({ key: values[key] }));
    let effects: Vec<Value> = words.cloned().chain(members).collect();
    // Who adds an effect has to describe it: nothing else knows how many there are.
    assert_eq!(effects.len(), 16);
    let mock = network();
    for effect in effects {
        let fault = json!({ "on": "getIdentity", "do": effect, "count": 1, "probability": 0.5,
            "from": "1s", "until": "2s", "skip": 1 });
        let (status, answer) = control(&mock, "post", "/faults", fault).await;
        assert_eq!(status, 201, "{effect}: {answer}");
    }
    let (_, faults) = control(&mock, "get", "/faults", json!(null)).await;
    assert_eq!(faults.as_array().expect("a list").len(), 16);
}

#[tokio::test(start_paused = true)]
async fn every_route_answers_and_wants_the_key() {
    let mock = network();
    for (method, path) in ROUTES {
        let path = path.replace("{name}", "nobody");
        let (status, text) = send(&mock, method, &format!("/mock-api/v1{path}"), "{}").await;
        assert!(
            !text.is_empty() || status == 204,
            "{method} {path}: {status}"
        );
        let request = Request::builder().method(method.to_uppercase().as_str());
        let request = request
            .uri(format!("/mock-api/v1{path}"))
            .body(Body::empty());
        let answer = mock
            .router()
            .oneshot(request.expect("a request"))
            .await
            .expect("infallible");
        assert_eq!(answer.status().as_u16(), 401, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_can_be_seen_and_directed() {
    let mock = network();
    let (status, providers) = control(&mock, "get", "/providers", json!(null)).await;
    assert_eq!(
        (status, providers.as_array().expect("a list").len()),
        (200, 2)
    );
    let change = json!({ "behave": { "provider": "bob", "change": { "busy": true } } });
    assert_eq!(control(&mock, "post", "/acts", change).await.0, 204);
    let (_, bob) = control(&mock, "get", "/providers/bob", json!(null)).await;
    assert_eq!(bob["behaviour"]["busy"], true);

    for (act, status, told) in [
        (json!({ "die": { "provider": "eve" } }), 404, "eve"),
        (
            json!({ "kill_activity": { "provider": "bob" } }),
            409,
            "bob",
        ),
        (
            json!({ "behave": { "provider": "bob", "change": { "bizzy": 1 } } }),
            400,
            "bizzy",
        ),
        (json!({ "explode": {} }), 400, "explode"),
    ] {
        let (got, answer) = control(&mock, "post", "/acts", act).await;
        let message = answer["message"].as_str().expect("a message");
        assert_eq!(got, status, "{message}");
        assert!(message.contains(told), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_be_added_seen_and_lifted_even_if_it_hits_everything() {
    let mock = network();
    let fault = json!({ "name": "dead", "do": "reset" });
    let (status, added) = control(&mock, "post", "/faults", fault).await;
    assert_eq!((status, &added["name"]), (201, &json!("dead")));
    assert_eq!(send(&mock, "get", "/me", "").await.1, "broken");
    let (_, faults) = control(&mock, "get", "/faults", json!(null)).await;
    assert_eq!(
        (&faults[0]["name"], &faults[0]["hits"]),
        (&json!("dead"), &json!(1))
    );
    assert_eq!(
        control(&mock, "delete", "/faults/dead", json!(null))
            .await
            .0,
        204
    );
    assert_eq!(
        control(&mock, "delete", "/faults/dead", json!(null))
            .await
            .0,
        404
    );
    assert_eq!(send(&mock, "get", "/me", "").await.0, 200);
    let wrong = json!({ "do": "reset", "probability": 7 });
    assert_eq!(control(&mock, "post", "/faults", wrong).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_read_from_a_number_on_and_a_reset_begins_anew() {
    let mock = network();
    let allocation = json!({ "totalAmount": "1" }).to_string();
    let path = "/payment-api/v1/allocations";
    assert_eq!(send(&mock, "post", path, &allocation).await.0, 201);
    assert_eq!(send(&mock, "post", path, &allocation).await.0, 201);
    let (_, entries) = control(&mock, "get", "/journal?since=1", json!(null)).await;
    assert_eq!(entries[0]["seq"], 1);
    let (_, first) = control(&mock, "get", "/journal?max=1", json!(null)).await;
    assert_eq!(first.as_array().expect("a list").len(), 1);
    let (_, ledger) = control(&mock, "get", "/ledger", json!(null)).await;
    assert_eq!(ledger["open"].as_array().expect("a list").len(), 2);

    assert_eq!(control(&mock, "post", "/reset", json!(null)).await.0, 204);
    let (_, entries) = control(&mock, "get", "/journal", json!(null)).await;
    assert_eq!(entries, json!([]));
    assert_eq!(send(&mock, "get", path, "").await.1, "[]");
    let (_, providers) = control(&mock, "get", "/providers", json!(null)).await;
    assert_eq!(providers.as_array().expect("a list").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn why_offers_do_not_match_a_demand_is_told_by_name_and_number() {
    let (mut small, mut far) = (ProviderSpec::new("small"), ProviderSpec::new("far"));
    small.resources.mem_gib = 0.25;
    "devnet".clone_into(&mut far.subnet);
    let mut other = ProviderSpec::new("other");
    "wasmtime".clone_into(&mut other.runtime);
    let config = Config {
        providers: vec![ProviderSpec::new("fine"), small, far, other],
        ..Config::default()
    };
    let mock = MockYagna::start(config, Timebase::starting_at(Timestamp::UNIX_EPOCH));
    let demand = json!({
        "properties": {
            "golem.node.debug.subnet": "public", "golem.srv.comp.expiration": 3_600_000,
        },
        "constraints": "(&(golem.inf.mem.gib>=0.5)(golem.runtime.name=vm))",
    });
    let (status, _) = send(&mock, "post", "/market-api/v1/demands", &demand.to_string()).await;
    assert_eq!(status, 201);
    let (_, matches) = control(&mock, "get", "/matching", Value::Null).await;
    assert_eq!(matches[0]["matching"], json!(["fine"]));
    let told = mock.matches().remove(0).unmatched;
    let told: Vec<String> = told
        .iter()
        .map(|offer| {
            let why: Vec<_> = offer.why.iter().map(ToString::to_string).collect();
            format!("{}: {}", offer.provider, why.join("; "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "small: memory 0.25 GiB, the demand wants at least 0.5 GiB",
            "far: wants subnet devnet, the demand has public",
            "other: runtime wasmtime, the demand wants vm",
        ]
    );
    assert_eq!(matches[0]["unmatched"][0]["why"][0]["has"], "0.25 GiB");
    let id = matches[0]["demand"].as_str().expect("an id");
    let beginning = id.get(..8).expect("a long id");
    for of in [id, beginning] {
        let path = format!("/matching?demand={of}");
        assert_eq!(
            control(&mock, "get", &path, Value::Null).await,
            (200, matches.clone())
        );
    }
    let (status, told) = control(&mock, "get", "/matching?demand=none", Value::Null).await;
    assert_eq!(
        (status, told["message"].as_str()),
        (404, Some("no demand begins with `none`; 1 demand is known"))
    );
}

/// Rents a machine for 25 minutes, as a client does; its agreement and activity.
async fn rented(mock: &MockYagna) -> (String, String) {
    let demand = json!({
        "properties": {
            "golem.node.debug.subnet": "public",
            "golem.srv.comp.expiration": 1_500_000,
            "golem.srv.caps.multi-activity": true,
            "golem.com.payment.chosen-platform": "erc20-hoodi-tglm",
        },
        "constraints": "(golem.runtime.name=vm)",
    });
    let post = async |path: &str, body: Value| {
        let (status, text) = send(mock, "post", path, &body.to_string()).await;
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap_or(Value::Null)
    };
    let id = post("/market-api/v1/demands", demand.clone()).await;
    let demands = format!("/market-api/v1/demands/{}", id.as_str().expect("an id"));
    let event = async || {
        let (_, text) = send(mock, "get", &format!("{demands}/events?timeout=30"), "").await;
        let events: Vec<Value> = serde_json::from_str(&text).expect("events");
        let proposal = events[0]["proposal"]["proposalId"].as_str();
        proposal
            .unwrap_or_else(|| panic!("no proposal: {text}"))
            .to_owned()
    };
    let initial = event().await;
    post(&format!("{demands}/proposals/{initial}"), demand).await;
    let draft = event().await;
    let agreement = json!({ "proposalId": draft, "validTo": "1970-01-01T01:00:00Z" });
    let agreement = post("/market-api/v1/agreements", agreement).await;
    let agreement = agreement.as_str().expect("an id").to_owned();
    let of_agreement = format!("/market-api/v1/agreements/{agreement}");
    post(&format!("{of_agreement}/confirm"), Value::Null).await;
    post(&format!("{of_agreement}/wait?timeout=30"), Value::Null).await;
    let activity = post(
        "/activity-api/v1/activity",
        json!({ "agreementId": agreement }),
    )
    .await;
    let activity = activity["activityId"].as_str().expect("an id").to_owned();
    (agreement, activity)
}

fn one_machine() -> MockYagna {
    let mut alice = ProviderSpec::new("alice");
    alice.behaviour.debit_notes_every = Some(std::time::Duration::from_secs(120));
    let config = Config {
        providers: vec![alice],
        ..Config::default()
    };
    MockYagna::start(config, Timebase::starting_at(Timestamp::UNIX_EPOCH))
}

#[tokio::test(start_paused = true)]
async fn agreements_are_shown_with_their_activities_and_documents_and_what_is_waited_for_by_name() {
    let mock = one_machine();
    let (agreement, activity) = rented(&mock).await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    let (_, agreements) = control(&mock, "get", "/agreements", Value::Null).await;
    let shown = &agreements[0];
    assert_eq!(
        (
            &shown["id"],
            &shown["provider"],
            &shown["requestor"],
            &shown["state"]
        ),
        (
            &json!(agreement),
            &json!("alice"),
            &json!("requestor"),
            &json!("Approved")
        )
    );
    assert_eq!(shown["activities"][0]["id"], json!(activity));
    let kinds = shown["documents"].as_array().expect("a list").iter();
    let kinds: Vec<&Value> = kinds.map(|it| &it["kind"]).collect();
    assert!(
        !kinds.is_empty() && kinds.iter().all(|kind| **kind == "debit_note"),
        "{shown}"
    );

    let wait = send(
        &mock,
        "get",
        "/payment-api/v1/invoiceEvents?timeout=100",
        "",
    );
    let look = async {
        tokio::task::yield_now().await;
        control(&mock, "get", "/waiting", Value::Null).await.1
    };
    let (_, waiting) = tokio::join!(wait, look);
    let on = waiting["polls"][0]["on"].as_str().expect("a topic");
    assert!(on.starts_with("invoice events of 0x"), "{waiting}");
    let timers = waiting["timers"].as_array().expect("a list").iter();
    let what: Vec<&str> = timers.filter_map(|it| it["what"].as_str()).collect();
    let note = format!("a debit note of activity {activity} is issued");
    assert!(what.contains(&note.as_str()), "{what:?}");

    let (_, story) = control(&mock, "get", "/story?max=1", Value::Null).await;
    assert!(
        story[0]["line"]
            .as_str()
            .expect("a line")
            .starts_with("1970-01-01 00:00:00Z "),
        "{story}"
    );
}

#[tokio::test(start_paused = true)]
async fn held_time_stands_until_it_is_told_to_advance_and_all_that_is_due_happens_in_order() {
    let mock = one_machine();
    let advance = async |by: &str| control(&mock, "post", "/time", json!({ "advance": by })).await;
    let (status, told) = advance("1h").await;
    assert_eq!(status, 409, "{told}");
    assert!(
        told["message"]
            .as_str()
            .expect("words")
            .contains("--time held"),
        "{told}"
    );

    rented(&mock).await;
    mock.hold_time().await;
    let (_, before) = control(&mock, "get", "/time", Value::Null).await;
    assert_eq!(before["held"], true);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let (_, after) = control(&mock, "get", "/time", Value::Null).await;
    assert_eq!(before, after);

    let begin: Timestamp = before["now"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let (status, told) = advance("1h").await;
    assert_eq!(
        (status, told["now"].as_str()),
        (
            200,
            Some(&*(begin + jiff::SignedDuration::from_hours(1)).to_string())
        )
    );
    let entries = mock.journal_since(0);
    let notes = entries
        .iter()
        .filter(|it| it.event.name() == "debit_note_issued");
    let times: Vec<Timestamp> = notes.map(|it| it.at).collect();
    assert!(
        times.len() > 1
            && times.is_sorted()
            && times[0] < begin + jiff::SignedDuration::from_mins(20),
        "{times:?}"
    );
    assert_eq!(advance("5 years").await.0, 400);
    assert_eq!(advance("1825d").await.0, 400);
    mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_kept_is_gone_back_to_as_often_as_wanted() {
    let mock = one_machine();
    let (agreement, activity) = rented(&mock).await;
    mock.hold_time().await;
    let put =
        async |name: &str| control(&mock, "put", &format!("/snapshots/{name}"), Value::Null).await;
    assert_eq!(put("rented").await.0, 201);
    let (_, before) = control(&mock, "get", "/agreements", Value::Null).await;
    let (_, time) = control(&mock, "get", "/time", Value::Null).await;
    let journal = mock.journal_since(0);
    let mut lives = Vec::new();
    for _ in 0..2 {
        let die = json!({ "advance": "10m" });
        assert_eq!(control(&mock, "post", "/time", die).await.0, 200);
        let path = format!("/market-api/v1/agreements/{agreement}/terminate");
        assert_eq!(
            send(&mock, "post", &path, "{\"message\":\"done\"}").await.0,
            200
        );
        let (_, ended) = control(&mock, "get", "/agreements", Value::Null).await;
        assert_eq!(ended[0]["state"], "Terminated");
        lives.push(mock.journal_since(0));
        let (status, told) = control(&mock, "post", "/snapshots/rented", Value::Null).await;
        assert_eq!(status, 204, "{told}");
        assert_eq!(
            control(&mock, "get", "/agreements", Value::Null).await.1,
            before
        );
        assert_eq!(control(&mock, "get", "/time", Value::Null).await.1, time);
        assert_eq!(mock.journal_since(0), journal);
    }
    // The same state, the same steps: the same life.
    assert_eq!(lives[0], lives[1]);
    let script = json!({ "text": "[{\"deploy\":{}},{\"start\":{}}]" });
    let path = format!("/activity-api/v1/activity/{activity}/exec");
    assert_eq!(send(&mock, "post", &path, &script.to_string()).await.0, 200);

    let (status, told) = put("at-work").await;
    assert_eq!(status, 409, "{told}");
    assert!(
        told["message"].as_str().expect("words").contains(&activity),
        "{told}"
    );
    assert_eq!(put("a/b").await.0, 404);
    assert_eq!(put("%20").await.0, 400);
    let (status, told) = control(&mock, "post", "/snapshots/none", Value::Null).await;
    assert_eq!(
        (status, told["message"].as_str()),
        (
            404,
            Some("no state of the network is kept as `none`; there are: rented")
        )
    );
    assert_eq!(
        control(&mock, "delete", "/snapshots/rented", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        control(&mock, "get", "/snapshots", Value::Null).await.1,
        json!([])
    );
    mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_than_sixteen_states_are_kept() {
    let mock = network();
    for number in 0..16 {
        assert_eq!(
            control(&mock, "put", &format!("/snapshots/s{number}"), Value::Null)
                .await
                .0,
            201
        );
    }
    assert_eq!(
        control(&mock, "put", "/snapshots/s16", Value::Null).await.0,
        409
    );
    assert_eq!(
        control(&mock, "put", "/snapshots/s3", Value::Null).await.0,
        201
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_while_a_state_is_kept_is_no_part_of_it() {
    let mock = network();
    let poll = send(
        &mock,
        "get",
        "/payment-api/v1/invoiceEvents?timeout=100",
        "",
    );
    let keep = async {
        tokio::task::yield_now().await;
        assert_eq!(
            control(&mock, "put", "/snapshots/s", Value::Null).await.0,
            201
        );
        control(&mock, "get", "/waiting", Value::Null).await.1
    };
    let (_, waiting) = tokio::join!(poll, keep);
    assert_eq!(waiting["polls"][0]["requests"], 1, "{waiting}");
    let (_, waiting) = control(&mock, "get", "/waiting", Value::Null).await;
    assert_eq!(waiting["polls"], json!([]));
}
