//! Creating, looking at, destroying.

use std::time::Duration;

use serde_json::json;

use super::harness::{ACTIVITY, Api, MARKET, sh};
use crate::Delay;
use crate::config::{AppKey, Behaviour, Config, ProviderSpec};

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const UNKNOWN: &str = "00000000000000000000000000000000";

#[tokio::test(start_paused = true)]
async fn a_text_body_is_answered_with_text_and_an_object_with_an_object() {
    let api = Api::start();
    let agreement = api.approved().await;
    let first = api.post(ACTIVITY, &json!(agreement).to_string()).await;
    assert_eq!(first.took, Duration::from_millis(750));
    assert_eq!(first.id().len(), 32);
    let body = json!({ "agreementId": agreement }).to_string();
    let second = api.post(&format!("{ACTIVITY}?timeout=30"), &body).await;
    let second = second.json();
    assert_eq!(second.as_object().map(|members| members.len()), Some(1));
    let list = api
        .get(&format!("{ACTIVITY}?agreementId={agreement}"))
        .await;
    assert_eq!(list.json(), json!([first.id(), second["activityId"]]));
    let path = format!("{ACTIVITY}/{}/agreement", first.id());
    assert_eq!(api.get(&path).await.id(), agreement);
}

#[tokio::test(start_paused = true)]
async fn a_created_activity_is_initialized() {
    let api = Api::start();
    let activity = api.activity().await;
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Initialized", null] })
    );
}

#[tokio::test(start_paused = true)]
async fn bad_bodies_get_the_daemon_s_words() {
    let api = Api::start();
    let agreement = api.approved().await;
    let eof = "Json deserialize error: EOF while parsing an object at line 1 column 1";
    assert_eq!(api.post(ACTIVITY, "{").await.plain(), (400, eof));
    let variants = "Json deserialize error: data did not match any variant of untagged enum CreateActivityJson";
    assert_eq!(
        api.post(ACTIVITY, r#"{"foo": 1}"#).await.plain(),
        (400, variants)
    );
    let hex = "Service error: Id [zzz] contains non hexadecimal characters.".to_owned();
    assert_eq!(api.post(ACTIVITY, r#""zzz""#).await.refusal(), (500, hex));
    let missing = (404, format!("Not found: {ZEROS}"));
    assert_eq!(
        api.post(ACTIVITY, &json!(ZEROS).to_string())
            .await
            .refusal(),
        missing
    );
    let object = json!({ "agreementId": ZEROS }).to_string();
    assert_eq!(api.post(ACTIVITY, &object).await.refusal(), missing);
    let key = json!({ "agreementId": agreement, "requestorPubKey": "zz" }).to_string();
    let words = "Bad request: Invalid requestor pub key: Invalid character 'z' at position 0";
    assert_eq!(
        api.post(ACTIVITY, &key).await.refusal(),
        (400, words.to_owned())
    );
    let list = "Query deserialize error: missing field `agreementId`";
    assert_eq!(api.get(ACTIVITY).await.plain(), (400, list));
    let bad = api.get(&format!("{ACTIVITY}?agreementId=R-00")).await;
    let words = "Service error: Id [R-00] contains non hexadecimal characters.";
    assert_eq!(bad.refusal(), (500, words.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn activities_need_an_approved_agreement() {
    let behaviour = Behaviour {
        never_approve: true,
        ..Behaviour::default()
    };
    let provider = ProviderSpec {
        behaviour,
        ..ProviderSpec::new("alice")
    };
    let api = Api::with(Config {
        providers: vec![provider],
        ..Config::default()
    });
    let agreement = api.confirmed().await;
    let words =
        format!("Bad request: Agreement {agreement} is not Approved. Current state: Pending");
    let answer = api.post(ACTIVITY, &json!(agreement).to_string()).await;
    assert_eq!(answer.refusal(), (400, words));

    let api = Api::start();
    let agreement = api.approved().await;
    api.terminate(&agreement).await;
    let words =
        format!("Bad request: Agreement {agreement} is not Approved. Current state: Terminated");
    let answer = api.post(ACTIVITY, &json!(agreement).to_string()).await;
    assert_eq!(answer.refusal(), (400, words));
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_was_never_confirmed_is_unknown_to_its_provider_even_when_it_has_expired()
{
    let api = Api::start();
    let agreement = api.promoted().await;
    let missing = (404, format!("Not found: {agreement}"));
    let body = json!(agreement).to_string();
    assert_eq!(api.post(ACTIVITY, &body).await.refusal(), missing);
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert_eq!(api.post(ACTIVITY, &body).await.refusal(), missing);
    // Its provider is asked, in whatever time there is for it.
    let no_time = format!("{ACTIVITY}?timeout=NaN");
    assert!(api.post(&no_time, &body).await.hung_up);
    let unknown = json!(ZEROS).to_string();
    assert_eq!(api.post(&no_time, &unknown).await.status, 404);
    // That was a question for its id.
    let list = api.get(&format!("{MARKET}/agreements?state=Expired")).await;
    assert_eq!(list.json()[0]["id"], json!(agreement));
    let path = format!("{MARKET}/agreements/{agreement}");
    assert_eq!(api.get(&path).await.json()["state"], "Expired");
    assert_eq!(api.post(ACTIVITY, &body).await.refusal(), missing);
}

#[tokio::test(start_paused = true)]
async fn who_is_told_by_its_own_daemon_may_give_any_time_to_it() {
    let mut spec = ProviderSpec::new("alice");
    spec.app_key = Some(AppKey::new("of-alice", "alice's agent"));
    let api = Api::with(Config {
        providers: vec![spec],
        ..Config::default()
    });
    let its = api.with_key("of-alice");
    let activity = api.activity().await;
    let look = async |api: &Api, what: &str| {
        let path = format!("{ACTIVITY}/{activity}/{what}?timeout=-1");
        api.get(&path).await.hung_up
    };
    for what in ["state", "usage"] {
        assert!(look(&api, what).await, "{what}");
        assert!(!look(&its, what).await, "{what} for the provider");
    }
    assert_eq!(
        api.delete(&format!("{ACTIVITY}/{activity}")).await.status,
        200
    );
    for what in ["state", "usage"] {
        assert!(!look(&api, what).await, "{what} after the end");
    }
    assert!(look(&api, "command").await);
}

#[tokio::test(start_paused = true)]
async fn why_an_activity_ended_is_told_to_who_did_not_destroy_it() {
    let api = Api::start();
    let agreement = api.approved().await;
    let body = json!(agreement).to_string();
    let destroyed = api.post(ACTIVITY, &body).await.id();
    api.delete(&format!("{ACTIVITY}/{destroyed}")).await;
    let other = api.post(ACTIVITY, &body).await.id();
    api.terminate(&agreement).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (activity, reason) in [(destroyed, json!(null)), (other, json!("Finished"))] {
        let path = format!("{ACTIVITY}/{activity}/state");
        let told = api.get(&path).await.json();
        assert_eq!(
            (&told["state"][0], &told["reason"]),
            (&json!("Terminated"), &reason)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_activity_is_a_500_everywhere() {
    let api = Api::start();
    let words = format!("DAO error: Not found: agreement id for activity: {UNKNOWN}");
    for path in [
        "agreement",
        "state",
        "usage",
        "command",
        &format!("exec/{UNKNOWN}"),
    ] {
        let answer = api.get(&format!("{ACTIVITY}/{UNKNOWN}/{path}")).await;
        assert_eq!(answer.refusal(), (500, words.clone()), "{path}");
    }
    let exec = api
        .post(&format!("{ACTIVITY}/{UNKNOWN}/exec"), r#"{"text": "[]"}"#)
        .await;
    assert_eq!(exec.refusal(), (500, words.clone()));
    let gone = api.delete(&format!("{ACTIVITY}/{UNKNOWN}")).await;
    assert_eq!(gone.refusal(), (500, words));
}

#[tokio::test(start_paused = true)]
async fn others_cannot_use_an_activity() {
    let api = Api::start();
    let agreement = api.approved().await;
    let activity = api.post(ACTIVITY, &json!(agreement).to_string()).await.id();
    let other = api.as_other();
    let exec = other
        .post(&format!("{ACTIVITY}/{activity}/exec"), r#"{"text": "[]"}"#)
        .await;
    assert_eq!(exec.refusal(), (404, format!("Not found: {agreement}")));
    assert_eq!(
        other.delete(&format!("{ACTIVITY}/{activity}")).await.status,
        404
    );
    for part in ["state", "usage", "agreement"] {
        let look = other.get(&format!("{ACTIVITY}/{activity}/{part}")).await;
        assert_eq!(look.refusal(), (404, format!("Not found: {agreement}")));
    }
    let create = other.post(ACTIVITY, &json!(agreement).to_string()).await;
    assert_eq!(create.refusal(), (404, format!("Not found: {agreement}")));
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_a_timeout() {
    let api = Api::start();
    let agreement = api.approved().await;
    api.mock.world().with(|state| {
        let provider = state.providers.by_name["alice"].clone();
        let (agents, mut net) = state.agents();
        agents.set_online(&mut net, &provider, false);
    });
    // The daemon waits a second longer for a node than it asks it to wait.
    let body = json!(agreement).to_string();
    let answer = api.post(&format!("{ACTIVITY}?timeout=2"), &body).await;
    assert_eq!(answer.refusal(), (408, "Timeout".to_owned()));
    assert_eq!(answer.took, Duration::from_secs(3));
    let answer = api.post(ACTIVITY, &body).await;
    assert_eq!((answer.status, answer.took), (408, Duration::from_secs(6)));
}

#[tokio::test(start_paused = true)]
async fn of_a_node_that_cannot_be_reached_nothing_is_known_but_an_end() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([sh("sleep 3; echo late")])).await;
    let online = |online| {
        api.mock.world().with(|state| {
            let provider = state.providers.by_name["alice"].clone();
            let (agents, mut net) = state.agents();
            agents.set_online(&mut net, &provider, online);
        });
    };
    online(false);
    let path = |part: &str| format!("{ACTIVITY}/{activity}{part}");
    for (asked, took) in [
        (api.get(&path("/state")).await, 6),
        (api.get(&path("/state?timeout=2")).await, 3),
        (api.get(&path("/usage")).await, 6),
        (api.get(&path("/command")).await, 6),
        (api.post(&path("/exec"), r#"{"text": "[]"}"#).await, 6),
        (api.results(&activity, &batch, "?timeout=3").await, 4),
        (
            api.results(&activity, &batch, "?timeout=3&commandIndex=0")
                .await,
            4,
        ),
        (api.delete(&path("?timeout=1")).await, 2),
    ] {
        assert_eq!(asked.refusal(), (408, "Timeout".to_owned()));
        assert_eq!(asked.took, Duration::from_secs(took));
    }
    assert_eq!(api.get(&path("/agreement")).await.status, 200);
    online(true);
    let results = api.results(&activity, &batch, "?timeout=1").await.json();
    assert_eq!(results[0]["stdout"], "late\n");
    assert_eq!(api.delete(&path("")).await.status, 200);
    online(false);
    let state = api.get(&path("/state")).await;
    assert_eq!(state.json()["state"][0], "Terminated");
    assert_eq!(state.took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn after_its_end_the_requestors_daemon_knows_only_what_it_heard_of_the_usage() {
    let api = Api::start();
    let activity = api.ready().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    api.delete(&format!("{ACTIVITY}/{activity}")).await;
    let usage = api.get(&format!("{ACTIVITY}/{activity}/usage")).await;
    assert_eq!(usage.json()["currentUsage"], serde_json::Value::Null);
    assert!(!usage.text.contains("currentUsage"), "{}", usage.text);
}

#[tokio::test(start_paused = true)]
async fn of_an_end_that_it_has_not_heard_of_the_requestors_daemon_asks_for_the_usage() {
    for hears in [false, true] {
        let api = Api::start();
        let activity = api.ready().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let agreement = api.get(&format!("{ACTIVITY}/{activity}/agreement")).await;
        let agreement = agreement.json();
        api.terminate(agreement.as_str().expect("an id")).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        if hears {
            let state = api.get(&format!("{ACTIVITY}/{activity}/state")).await;
            assert_eq!(state.json()["state"][0], "Terminated");
        }
        let usage = api.get(&format!("{ACTIVITY}/{activity}/usage")).await;
        let told = usage.json()["currentUsage"].is_array();
        assert_eq!(told, !hears, "{}", usage.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_destroyed_activity_keeps_its_state_and_usage_and_nothing_else() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([sh("sleep 30")])).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let usage = api.get(&format!("{ACTIVITY}/{activity}/usage")).await;
    assert!(usage.json()["currentUsage"].is_array(), "{}", usage.text);
    let destroy = api.delete(&format!("{ACTIVITY}/{activity}")).await;
    assert_eq!((destroy.status, destroy.text.as_str()), (200, "null"));
    assert_eq!(destroy.took, Duration::from_millis(750));
    let again = api.delete(&format!("{ACTIVITY}/{activity}")).await;
    assert_eq!(
        (again.status, again.text.as_str(), again.took),
        (200, "null", Duration::ZERO)
    );

    let usage = api
        .get(&format!("{ACTIVITY}/{activity}/usage"))
        .await
        .json();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(
        api.get(&format!("{ACTIVITY}/{activity}/usage"))
            .await
            .json(),
        usage
    );
    let [duration, cpu] = [0, 1].map(|index| usage["currentUsage"][index].as_f64());
    assert!(
        duration.is_some_and(|seconds| (40.75..41.0).contains(&seconds)),
        "{usage}"
    );
    assert_eq!(cpu, Some(30.0));
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Terminated", null] })
    );

    let words = "GSB error: Bad request: Bad request: endpoint address not found".to_owned();
    let gone = (500, words);
    let exec = api
        .post(&format!("{ACTIVITY}/{activity}/exec"), r#"{"text": "[]"}"#)
        .await;
    assert_eq!(exec.refusal(), gone);
    assert_eq!(
        api.results(&activity, &batch, "?timeout=1").await.refusal(),
        gone
    );
    assert_eq!(
        api.get(&format!("{ACTIVITY}/{activity}/command"))
            .await
            .refusal(),
        gone
    );
}

#[tokio::test(start_paused = true)]
async fn the_running_command_and_sgx_are_never_there() {
    let api = Api::start();
    let activity = api.ready().await;
    let words = "GSB error: Bad request: Bad request: endpoint address not found".to_owned();
    let answer = api.get(&format!("{ACTIVITY}/{activity}/command")).await;
    assert_eq!(answer.refusal(), (500, words.clone()));
    let answer = api
        .post(&format!("{ACTIVITY}/{activity}/encrypted"), "abc")
        .await;
    assert_eq!(answer.refusal(), (500, words));
}

#[tokio::test(start_paused = true)]
async fn activities_end_with_their_agreement() {
    let api = Api::start();
    let agreement = api.approved().await;
    let activity = api.post(ACTIVITY, &json!(agreement).to_string()).await.id();
    api.terminate(&agreement).await;
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Terminated", null], "reason": "Finished" })
    );
    let list = api
        .get(&format!("{ACTIVITY}?agreementId={agreement}"))
        .await;
    assert_eq!(list.json(), json!([activity]));
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_ends_first_leaves_no_activity_behind() {
    let api = Api::start();
    let agreement = api.approved().await;
    let body = json!(agreement).to_string();
    let (created, ()) = tokio::join!(api.post(ACTIVITY, &body), api.terminate(&agreement));
    let (status, message) = created.refusal();
    assert_eq!(status, 500);
    assert!(
        message.contains("was abruptly terminated. Reason: Failed"),
        "{message}"
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let activities = api
        .get(&format!("{ACTIVITY}?agreementId={agreement}"))
        .await
        .json();
    let state = api.state(activities[0].as_str().expect("an id")).await;
    assert_eq!(state["state"][0], "Terminated");
}

#[tokio::test(start_paused = true)]
async fn an_exe_unit_that_cannot_start_fails_the_creation() {
    let behaviour = Behaviour {
        fail_activity: Some("runtime not found".into()),
        ..Behaviour::default()
    };
    let provider = ProviderSpec {
        behaviour,
        ..ProviderSpec::new("alice")
    };
    let api = Api::with(Config {
        providers: vec![provider],
        ..Config::default()
    });
    let agreement = api.approved().await;
    let (status, message) = api
        .post(ACTIVITY, &json!(agreement).to_string())
        .await
        .refusal();
    assert_eq!(status, 500);
    let words = "was abruptly terminated. Reason: Failed, message: runtime not found";
    assert!(message.ends_with(words), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_activity_says_so_and_ends_waiting_for_its_results() {
    let behaviour = Behaviour {
        kill_activity_after: Some(Duration::from_secs(60)),
        ..Behaviour::default()
    };
    let provider = ProviderSpec {
        behaviour,
        ..ProviderSpec::new("alice")
    };
    let api = Api::with(Config {
        providers: vec![provider],
        ..Config::default()
    });
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([sh("sleep 1000")])).await;
    let answer = api.results(&activity, &batch, "?timeout=900").await;
    assert!(answer.took < Duration::from_secs(61));
    let (status, message) = answer.refusal();
    assert_eq!(status, 500);
    assert!(message.contains("GSB error") && message.contains("endpoint address not found"));
    let state = api.state(&activity).await;
    assert_eq!(
        (&state["state"], &state["reason"]),
        (&json!(["Terminated", null]), &json!("Failed"))
    );
}

#[tokio::test(start_paused = true)]
async fn usage_is_told_with_whole_seconds_and_in_the_order_of_the_usage_vector() {
    let api = Api::start();
    let activity = api.ready().await;
    api.run(&activity, json!([sh("sleep 7")])).await;
    let usage = api
        .get(&format!("{ACTIVITY}/{activity}/usage?timeout=5.0"))
        .await
        .json();
    assert_eq!(usage.as_object().map(|members| members.len()), Some(2));
    let now = api.mock.world().now().as_second();
    assert_eq!(usage["timestamp"], json!(now));
    let [duration, cpu] = [0, 1].map(|index| usage["currentUsage"][index].as_f64());
    assert_eq!(cpu, Some(7.0));
    assert!(duration > cpu, "{usage}");
}

#[tokio::test(start_paused = true)]
async fn an_activity_of_a_silent_provider_is_a_timeout_but_can_still_be_looked_up() {
    let api = Api::start();
    let activity = api.ready().await;
    api.mock.world().with(|state| {
        let provider = state.providers.by_name["alice"].clone();
        let (agents, mut net) = state.agents();
        agents.set_online(&mut net, &provider, false);
    });
    let one = format!("{ACTIVITY}/{activity}");
    let exec = api
        .post(&format!("{one}/exec?timeout=2.5"), r#"{"text": "[]"}"#)
        .await;
    assert_eq!(exec.refusal(), (408, "Timeout".to_owned()));
    let destroy = api.delete(&format!("{one}?timeout=2.0")).await;
    assert_eq!(destroy.refusal(), (408, "Timeout".to_owned()));
    assert!(destroy.took >= Duration::from_secs(2));
    let destroy = api.delete(&one).await;
    assert_eq!(destroy.status, 408);
    assert!(
        (Duration::from_secs(5)..=Duration::from_secs(6)).contains(&destroy.took),
        "{destroy:?}"
    );
    assert_eq!(api.get(&format!("{one}/agreement")).await.status, 200);
}

/// The daemon writes an activity down when its provider has answered, and answers 408 before.
#[tokio::test(start_paused = true)]
async fn of_an_activity_whose_creation_timed_out_only_its_provider_knows() {
    let mut alice = ProviderSpec::new("alice");
    alice.behaviour.latency.activity = Some(Delay::Fixed(Duration::from_secs(10)));
    let api = Api::with(Config {
        providers: vec![alice],
        ..Config::default()
    });
    let agreement = api.approved().await;
    let body = json!(agreement).to_string();
    let given_up = api.post(&format!("{ACTIVITY}?timeout=2"), &body).await;
    assert_eq!(given_up.refusal(), (408, "Timeout".to_owned()));
    // Now it is up.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let list = format!("{ACTIVITY}?agreementId={agreement}");
    assert_eq!(api.get(&list).await.json(), json!([]));
    api.terminate(&agreement).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let notes = api.get("/payment-api/v1/debitNotes").await.json();
    let first = notes.as_array().and_then(|notes| notes.first().cloned());
    let activity = first.expect("its provider bills for it")["activityId"].clone();
    let activity = activity.as_str().expect("an id").to_owned();
    // As of any activity that there never was.
    for path in ["/state", "/usage", "/agreement"] {
        let asked = async |id: &str| {
            let answer = api.get(&format!("{ACTIVITY}/{id}{path}")).await;
            let (status, message) = answer.refusal();
            (status, message.replace(id, "ID"))
        };
        assert_eq!(asked(&activity).await, asked(UNKNOWN).await, "{path}");
    }
    let destroyed = async |id: &str| api.delete(&format!("{ACTIVITY}/{id}")).await.status;
    assert_eq!(destroyed(&activity).await, destroyed(UNKNOWN).await);
    let invoices = api.get("/payment-api/v1/invoices").await.json();
    assert_eq!(invoices, json!([]), "the daemon takes no invoice over it");
}
