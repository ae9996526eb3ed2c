//! Agreements: every arm of the state machine, waiting, events.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{Api, one};
use crate::config::{AppKey, ProviderSpec};

async fn verb(api: &Api, agreement: &str, verb: &str) -> (u16, String) {
    let path = format!("/agreements/{agreement}/{verb}");
    let answer = match verb {
        "confirm" => api.post_nothing(&path).await,
        _ => api.post(&path, json!({"message": "x"})).await,
    };
    let message = match answer.text.as_str() {
        "" => String::new(),
        _ => answer.refusal().1,
    };
    (answer.status, message)
}

fn transition(from: &str, to: &str) -> String {
    format!("Can't update Agreement state from {from} to {to}.")
}

/// An agreement in `state` on a fresh network.
async fn in_state(state: &str) -> (Api, String) {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.never_approve = matches!(state, "Pending" | "Expired" | "Cancelled");
    spec.behaviour.reject_first = u32::from(state == "Rejected");
    spec.app_key = Some(AppKey::new("of-alice", "alice's agent"));
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    let agreement = api.agreement(&demand).await;
    if state != "Proposal" {
        api.confirm(&agreement).await;
    }
    match state {
        "Cancelled" => assert_eq!(verb(&api, &agreement, "cancel").await.0, 200),
        "Expired" => sleep(Duration::from_secs(61)).await,
        "Terminated" => {
            assert_eq!(api.wait(&agreement, 5).await.status, 204);
            assert_eq!(
                verb(&api, &agreement, "terminate").await,
                (200, String::new())
            );
        }
        "Rejected" | "Approved" => sleep(Duration::from_secs(1)).await,
        _ => {}
    }
    assert_eq!(api.state(&agreement).await, state);
    (api, agreement)
}

#[tokio::test(start_paused = true)]
async fn every_forbidden_step_is_refused_with_both_states() {
    let states = [
        "Proposal",
        "Pending",
        "Approved",
        "Rejected",
        "Cancelled",
        "Expired",
        "Terminated",
    ];
    let verbs = [
        ("confirm", "Pending"),
        ("cancel", "Cancelled"),
        ("terminate", "Terminated"),
    ];
    for state in states {
        for (name, to) in verbs {
            let allowed = matches!(
                (state, name),
                ("Proposal", "confirm") | ("Pending", "cancel") | ("Approved", "terminate")
            );
            let (api, agreement) = in_state(state).await;
            let (status, message) = verb(&api, &agreement, name).await;
            let message = message.replace(&agreement, "ID");
            if allowed {
                let success = if name == "confirm" { 204 } else { 200 };
                assert_eq!(
                    (status, message.as_str()),
                    (success, ""),
                    "{name} from {state}"
                );
                assert_eq!(api.state(&agreement).await, to);
            } else {
                let refused = match (state, name) {
                    ("Proposal", "terminate") => (409, transition(state, to)),
                    // Its provider is asked, and has not heard of it.
                    ("Proposal", "cancel") => (
                        500,
                        "Protocol error while approving: Remote failed to approve. Error: Agreement [P-ID] not found."
                            .to_owned(),
                    ),
                    _ => (410, transition(state, to)),
                };
                assert_eq!((status, message), refused, "{name} from {state}");
                assert_eq!(api.state(&agreement).await, state, "nothing changed");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_answers_by_state() {
    for (state, status, message) in [
        (
            "Proposal",
            400,
            "should be confirmed, before waiting for approval.",
        ),
        (
            "Pending",
            408,
            "Timeout while waiting for Agreement [R-ID] approval.",
        ),
        ("Rejected", 410, "Rejected"),
        ("Cancelled", 410, "Cancelled"),
        ("Terminated", 400, "Agreement [R-ID] terminated."),
        ("Expired", 410, ""),
    ] {
        let (api, agreement) = in_state(state).await;
        let answer = api.wait(&agreement, 2).await;
        let (got, words) = answer.refusal();
        assert_eq!(got, status, "{state}");
        assert!(
            words.ends_with(&message.replace("ID", &agreement)),
            "{state}: {words}"
        );
        let blocks = if state == "Pending" { 2.0 } else { 0.0 };
        assert!(
            (answer.took - blocks).abs() < 0.01,
            "{state}: {}",
            answer.took
        );
    }
    let (api, agreement) = in_state("Approved").await;
    assert_eq!(api.wait(&agreement, 2).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn the_decision_wakes_who_waits() {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.approve_after = Duration::from_secs(4);
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    let agreement = api.agreement(&demand).await;
    api.confirm(&agreement).await;
    assert_eq!(
        verb(&api, &agreement, "confirm").await,
        (410, transition("Pending", "Pending"))
    );
    let short = api.wait(&agreement, 1).await;
    assert_eq!(short.status, 408);
    let answer = api.wait(&agreement, 10).await;
    assert_eq!(answer.status, 204);
    assert!((1.0..3.1).contains(&answer.took), "{}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_could_not_be_cancelled_can_still_be_confirmed() {
    let (api, agreement) = in_state("Proposal").await;
    assert_eq!(verb(&api, &agreement, "cancel").await.0, 500);
    assert_eq!(api.state(&agreement).await, "Proposal");
    assert_eq!(verb(&api, &agreement, "confirm").await.0, 204);
    assert_eq!(api.wait(&agreement, 5).await.status, 204);
    assert_eq!(api.state(&agreement).await, "Approved");
}

#[tokio::test(start_paused = true)]
async fn lists_show_an_expired_agreement_where_it_stood_until_it_is_asked_for_by_its_id() {
    let listed = async |api: &Api, state: &str| {
        let list = api.get(&format!("/agreements?state={state}")).await.json();
        list.as_array().map_or(0, Vec::len)
    };
    for state in ["Proposal", "Pending"] {
        let (api, agreement) = in_state(state).await;
        sleep(Duration::from_secs(61)).await;
        assert_eq!(
            (listed(&api, state).await, listed(&api, "Expired").await),
            (1, 0)
        );
        assert_eq!(api.state(&agreement).await, "Expired");
        assert_eq!(
            (listed(&api, state).await, listed(&api, "Expired").await),
            (0, 1)
        );
    }
    for name in ["confirm", "cancel", "terminate"] {
        let (api, agreement) = in_state("Proposal").await;
        sleep(Duration::from_secs(61)).await;
        let (status, message) = verb(&api, &agreement, name).await;
        assert!(
            status == 410 && message.contains("from Expired to"),
            "{message}"
        );
        assert_eq!(listed(&api, "Expired").await, 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_was_countered_after_its_promotion_cannot_be_confirmed() {
    let api = Api::start(vec![ProviderSpec::new("alice")]);
    let demand = api.demand().await;
    let draft = api.draft(&demand).await;
    let body = json!({"proposalId": draft, "validTo": api.now() + Duration::from_secs(60)});
    let agreement = api.post("/agreements", body).await.id();
    assert_eq!(api.counter(&demand, &draft).await.status, 200);
    let (status, message) = verb(&api, &agreement, "confirm").await;
    let message = message.replace(&agreement, "ID");
    let provider_side = draft.replacen("R-", "P-", 1);
    let words = format!(
        "Protocol error: Agreement [P-ID] remote error: Can't create Agreement for already countered Proposal \
         [{provider_side}]."
    );
    assert_eq!((status, message), (500, words));
    assert_eq!(api.state(&agreement).await, "Proposal");
}

#[tokio::test(start_paused = true)]
async fn cancelling_wakes_who_waits() {
    let (api, agreement) = in_state("Pending").await;
    let cancel = async {
        sleep(Duration::from_secs(1)).await;
        verb(&api, &agreement, "cancel").await
    };
    let (waited, cancelled) = tokio::join!(api.wait(&agreement, 10), cancel);
    assert_eq!(cancelled, (200, String::new()));
    assert_eq!(waited.refusal(), (410, "Cancelled".to_owned()));
    assert!((waited.took - 1.0).abs() < 0.01);
}

#[tokio::test(start_paused = true)]
async fn expiry_does_not_wake_who_waits() {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.never_approve = true;
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    let draft = api.draft(&demand).await;
    let valid_to = api.now() + Duration::from_secs(3);
    let body = json!({"proposalId": draft, "validTo": valid_to});
    let agreement = api.post("/agreements", body).await.id();
    api.confirm(&agreement).await;
    let answer = api.wait(&agreement, 10).await;
    assert_eq!(answer.status, 408);
    assert!((answer.took - 10.0).abs() < 0.01, "{}", answer.took);
    assert_eq!(api.state(&agreement).await, "Expired");
}

#[tokio::test(start_paused = true)]
async fn an_agreement_from_a_past_date_is_made_and_cannot_be_confirmed() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let draft = api.draft(&demand).await;
    let valid_to = api.now() - Duration::from_secs(60);
    let answer = api
        .post(
            "/agreements",
            json!({"proposalId": draft, "validTo": valid_to}),
        )
        .await;
    assert_eq!(answer.status, 200);
    let refused = verb(&api, &answer.id(), "confirm").await;
    assert_eq!(refused, (410, transition("Expired", "Pending")));
}

#[tokio::test(start_paused = true)]
async fn an_agreement_carries_the_last_demand_and_the_promoted_draft() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let agreement = api.agreement(&demand).await;
    let fresh = api.get(&format!("/agreements/{agreement}")).await.json();
    assert_eq!(fresh["demand"]["demandId"], json!(demand));
    assert_eq!(fresh["demand"]["timestamp"], fresh["timestamp"]);
    assert_eq!(fresh["offer"]["timestamp"], fresh["timestamp"]);
    for absent in [
        "approvedDate",
        "appSessionId",
        "proposedSignature",
        "approvedSignature",
    ] {
        assert_eq!(fresh.get(absent), None, "{absent}");
    }
    api.confirm(&agreement).await;
    assert_eq!(api.wait(&agreement, 5).await.status, 204);
    let approved = api.get(&format!("/agreements/{agreement}")).await.json();
    assert_eq!(approved["state"], "Approved");
    assert_eq!(approved["appSessionId"], "s");
    assert!(approved["approvedDate"].is_string());
    for signature in [
        "proposedSignature",
        "approvedSignature",
        "committedSignature",
    ] {
        assert_eq!(approved[signature], "NoSignature");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_and_malformed_agreements_get_the_recorded_answers() {
    let api = Api::start(one());
    let none = "0".repeat(64);
    let plain = (404, format!("Agreement [{none}] not found."));
    let owned = (404, format!("Agreement [R-{none}] not found."));
    assert_eq!(
        api.get(&format!("/agreements/{none}")).await.refusal(),
        plain
    );
    assert_eq!(verb(&api, &none, "terminate").await, plain);
    assert_eq!(verb(&api, &none, "confirm").await, owned);
    assert_eq!(api.wait(&none, 0).await.refusal(), owned);
    let bad = (
        400,
        "Invalid Agreement id. Id [zzz] contains non hexadecimal characters.".to_owned(),
    );
    assert_eq!(api.get("/agreements/zzz").await.refusal(), bad);
    assert_eq!(verb(&api, "zzz", "confirm").await, bad);
}

#[tokio::test(start_paused = true)]
async fn a_termination_tells_its_reason_and_needs_a_message() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let path = format!("/agreements/{agreement}/terminate");
    let reason = format!("{path}/reason");
    let early = (
        400,
        format!("Agreement [R-{agreement}] not terminated yet."),
    );
    assert_eq!(api.get(&reason).await.refusal(), early);
    let content_type = (400, "Content type error".to_owned());
    assert_eq!(api.post_nothing(&path).await.refusal(), content_type);
    let message = "Json deserialize error: missing field `message` at line 1 column 13";
    assert_eq!(
        api.post(&path, json!({"foo": "bar"})).await.refusal(),
        (400, message.to_owned())
    );
    let body = json!({"message": "done", "golem.requestor.code": "Success"});
    let answer = api.post(&path, body.clone()).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(answer.headers.get("content-type"), None);
    let event = api.get(&reason).await.json();
    assert_eq!(event["eventType"], "AgreementTerminatedEvent");
    assert_eq!(event["terminator"], "Requestor");
    assert_eq!(event["signature"], "");
    assert_eq!(event["reason"], body);
    assert_eq!(api.post(&path, json!(null)).await.status, 410);
}

#[tokio::test(start_paused = true)]
async fn agreement_events_page_by_stamps_without_loss_or_repetition() {
    let specs = (0..4).map(|n| ProviderSpec::new(format!("p{n}"))).collect();
    let api = Api::start(specs);
    let demand = api.demand().await;
    sleep(Duration::from_secs(1)).await;
    let initials = api.collect(&demand).await;
    assert_eq!(initials.len(), 4);
    for event in &initials {
        let id = event["proposal"]["proposalId"].as_str().expect("an id");
        assert_eq!(api.counter(&demand, id).await.status, 200);
    }
    sleep(Duration::from_secs(1)).await;
    for event in api.collect(&demand).await {
        let id = event["proposal"]["proposalId"]
            .as_str()
            .expect("an id")
            .to_owned();
        let agreement = api.promote(&id).await.id();
        api.confirm(&agreement).await;
    }
    sleep(Duration::from_secs(1)).await;
    let all = api
        .get("/agreementEvents?timeout=0&appSessionId=s")
        .await
        .json();
    assert_eq!(all.as_array().expect("a list").len(), 4);
    assert_eq!(
        api.get("/agreementEvents?timeout=0&appSessionId=t")
            .await
            .text,
        "[]"
    );

    let mut after = String::from("2016-01-01T00:00:00.000Z");
    let mut paged = Vec::new();
    loop {
        let path = format!("/agreementEvents?timeout=0&maxEvents=1&afterTimestamp={after}");
        let page = api.get(&path).await.json();
        let Some(event) = page.as_array().and_then(|page| page.first()) else {
            break;
        };
        after = event["eventDate"].as_str().expect("a date").to_owned();
        assert!(
            after.len() <= "2027-01-15T08:00:00.123456Z".len(),
            "{after}"
        );
        paged.push(event.clone());
    }
    assert_eq!(Value::from(paged), all);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_calls_approves_or_rejects_what_waits_for_it_and_nothing_else() {
    for (name, status, state) in [("approve", 204, "Approved"), ("reject", 200, "Rejected")] {
        let (api, agreement) = in_state("Pending").await;
        let its = api.with_key("of-alice");
        let own = (404, format!("Agreement [P-{agreement}] not found."));
        assert_eq!(verb(&api, &agreement, name).await, own);
        assert_eq!(verb(&its, &agreement, name).await.0, status);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(api.state(&agreement).await, state);
    }
    for state in ["Approved", "Rejected", "Expired", "Terminated", "Cancelled"] {
        let (api, agreement) = in_state(state).await;
        let its = api.with_key("of-alice");
        let said = match state {
            "Cancelled" => "Cancelled".to_owned(),
            _ => transition(state, "Approving"),
        };
        assert_eq!(verb(&its, &agreement, "approve").await, (410, said));
        let said = transition(state, "Rejected");
        assert_eq!(verb(&its, &agreement, "reject").await, (410, said));
    }
    let (api, agreement) = in_state("Proposal").await;
    let unheard = (404, format!("Agreement [P-{agreement}] not found."));
    let its = api.with_key("of-alice");
    assert_eq!(verb(&its, &agreement, "approve").await, unheard);
}

#[tokio::test(start_paused = true)]
async fn a_provider_reads_what_became_of_its_own_agreements() {
    let mut spec = ProviderSpec::new("alice");
    spec.app_key = Some(AppKey::new("of-alice", "alice's agent"));
    let api = Api::start(vec![spec]);
    let (its, other) = (api.with_key("of-alice"), api.as_other());
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let path = "/agreementEvents?timeout=60&maxEvents=1";
    let all = api.get("/agreementEvents?timeout=0").await.json();
    assert_eq!(its.get(path).await.json(), all);
    let after = all[0]["eventDate"].as_str().expect("a date");
    let path = format!("/agreementEvents?timeout=60&afterTimestamp={after}");
    let ending = async {
        sleep(Duration::from_secs(3)).await;
        api.post(&format!("/agreements/{agreement}/terminate"), json!(null))
            .await
    };
    let (waited, _) = tokio::join!(its.get(&path), ending);
    assert_eq!(waited.json()[0]["terminator"], "Requestor");
    assert!((waited.took - 3.0).abs() < 0.1, "{}", waited.took);
    let list = its.get("/agreements?state=Terminated").await.json();
    assert_eq!(
        (&list[0]["id"], &list[0]["role"]),
        (&json!(agreement), &json!("Provider"))
    );
    assert_eq!(its.get("/agreements?state=Approved").await.text, "[]");
    assert_eq!(other.get("/agreements").await.text, "[]");
    // Sessions are the requestor's business, and agreements that of their two sides.
    for (api, query) in [(&its, "&appSessionId=s"), (&other, "")] {
        let told = api.get(&format!("/agreementEvents?timeout=0{query}")).await;
        assert_eq!(told.text, "[]");
    }
}

#[tokio::test(start_paused = true)]
async fn agreement_events_block_wake_and_refuse_bad_stamps() {
    let mut spec = ProviderSpec::new("alice");
    spec.behaviour.terminate_after = Some(Duration::from_secs(30));
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let first = api.get("/agreementEvents?timeout=0").await.json();
    let after = first[0]["eventDate"].as_str().expect("a date");
    let empty = api
        .get(&format!("/agreementEvents?afterTimestamp={after}"))
        .await;
    assert_eq!(empty.text, "[]");
    assert!((empty.took - 5.0).abs() < 0.01);
    let path = format!("/agreementEvents?timeout=60&appSessionId=s&afterTimestamp={after}");
    let woken = api.get(&path).await;
    assert!((20.0..26.0).contains(&woken.took), "{}", woken.took);
    let event = &woken.json()[0];
    assert_eq!(event["agreementId"], json!(agreement));
    assert_eq!(event["terminator"], "Provider");
    assert!(event["reason"]["golem.provider.code"].is_string());
    for (stamp, words) in [
        ("zz", "input contains invalid characters"),
        (
            "2026-11-22T00:00:00+00:00",
            "input contains invalid characters",
        ),
        ("2026-11-22T00:00:00", "premature end of input"),
    ] {
        let answer = api
            .get(&format!(
                "/agreementEvents?timeout=0&afterTimestamp={stamp}"
            ))
            .await;
        assert_eq!(
            (answer.status, answer.text),
            (400, format!("Query deserialize error: {words}"))
        );
    }
    let escaped = "/agreementEvents?timeout=0&afterTimestamp=2026-11-22T01:16:26.146821%2B00:00";
    assert_eq!(
        api.get(escaped)
            .await
            .json()
            .as_array()
            .expect("a list")
            .len(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn agreements_are_listed_by_state_session_and_date() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let agreement = api.approved(&demand).await;
    let listed = api
        .get("/agreements?state=Approved&appSessionId=s")
        .await
        .json();
    assert_eq!(listed[0]["id"], json!(agreement));
    assert_eq!(listed[0]["role"], "Requestor");
    for none in [
        "state=Pending",
        "appSessionId=t",
        "afterDate=2099-01-01T00:00:00Z",
    ] {
        assert_eq!(
            api.get(&format!("/agreements?{none}")).await.text,
            "[]",
            "{none}"
        );
    }
    let bad = api.get("/agreements?state=Nope").await;
    let words = "Query deserialize error: unknown variant `Nope`, expected one of `Proposal`, \
                 `Pending`, `Cancelled`, `Rejected`, `Approved`, `Expired`, `Terminated`";
    assert_eq!((bad.status, bad.text.as_str()), (400, words));
}

#[tokio::test(start_paused = true)]
async fn each_requestor_lists_its_own_agreements_between_two_dates() {
    let specs = (0..3).map(|n| ProviderSpec::new(format!("p{n}"))).collect();
    let api = Api::start(specs);
    let other = api.as_other();
    let mut own = Vec::new();
    for event in 0..2 {
        let demand = api.demand().await;
        sleep(Duration::from_secs(1)).await;
        let initial = api.collect(&demand).await[event]["proposal"]["proposalId"].clone();
        let initial = initial.as_str().expect("an id").to_owned();
        api.counter(&demand, &initial).await;
        let draft = api.proposal(&demand).await;
        own.push(api.promote(&draft).await.id());
    }
    assert_eq!(other.get("/agreements").await.text, "[]");
    let listed = api.get("/agreements").await.json();
    let ids: Vec<_> = (0..2)
        .map(|n| listed[n]["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids, own);
    let stamp = |n: usize| {
        listed[n]["timestamp"]
            .as_str()
            .expect("a stamp")
            .replace('+', "%2B")
    };
    let count = async |query: String| {
        let answer = api.get(&format!("/agreements?{query}")).await.json();
        answer.as_array().expect("a list").len()
    };
    // Both ends are outside.
    assert_eq!(count(format!("afterDate={}", stamp(0))).await, 1);
    assert_eq!(count(format!("beforeDate={}", stamp(1))).await, 1);
    assert_eq!(count(format!("beforeDate={}", stamp(0))).await, 0);
    assert_eq!(
        count(format!("afterDate={}&beforeDate={}", stamp(0), stamp(1))).await,
        0
    );
    assert_eq!(
        count(format!("afterDate={}&beforeDate={}", stamp(1), stamp(0))).await,
        0
    );
}
