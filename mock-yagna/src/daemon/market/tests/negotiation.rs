//! Proposals: counters, answers, rejections.

use serde_json::{Value, json};

use super::harness::{Api, one};
use crate::config::ProviderSpec;

fn quoted_subscription(demand: &str) -> String {
    let (random, hash) = demand.split_once('-').expect("a subscription");
    format!("SubscriptionId {{ random_id: \"{random}\", hash: \"{hash}\" }}")
}

#[tokio::test(start_paused = true)]
async fn a_counter_leads_to_a_draft_that_names_it() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let counter = api.counter(&demand, &initial).await.id();
    let own = api
        .get(&format!("/demands/{demand}/proposals/{counter}"))
        .await
        .json();
    assert_eq!(own["state"], "Draft");
    assert_eq!(own["prevProposalId"], json!(initial));
    let events = api.collect(&demand).await;
    let draft = &events[0]["proposal"];
    assert_eq!(draft["state"], "Draft");
    assert_eq!(draft["prevProposalId"], json!(counter));
    assert_ne!(draft["issuerId"], own["issuerId"]);
    // The demand mentions none of the negotiable properties: the provider drops its own.
    let properties = draft["properties"].as_object().expect("properties");
    assert!(
        properties.keys().all(|key| !key.ends_with('?')),
        "{properties:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn mentioned_payment_properties_are_adopted_in_every_round() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let mut proposal = api.proposal(&demand).await;
    let key = "golem.com.payment.debit-notes.accept-timeout?";
    for seconds in [30, 60, 120] {
        let mut body = api.demand_body();
        body["properties"][key] = json!(seconds);
        let path = format!("/demands/{demand}/proposals/{proposal}");
        assert_eq!(api.post(&path, body).await.status, 200);
        let events = api.collect(&demand).await;
        assert_eq!(events[0]["proposal"]["properties"][key], json!(seconds));
        proposal = events[0]["proposal"]["proposalId"]
            .as_str()
            .expect("an id")
            .to_owned();
    }
    // The initial proposal is kept as it was, and still cannot be promoted.
    assert_eq!(api.promote(&proposal).await.status, 200);
}

async fn rejection(spec: ProviderSpec, change: impl Fn(&mut Value)) -> String {
    let api = Api::start(vec![spec]);
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let mut body = api.demand_body();
    change(&mut body["properties"]);
    let counter = api
        .post(&format!("/demands/{demand}/proposals/{initial}"), body)
        .await
        .id();
    let events = api.collect(&demand).await;
    assert_eq!(events[0]["eventType"], "ProposalRejectedEvent");
    assert_eq!(
        events[0]["proposalId"],
        json!(counter),
        "it is the requestor's own proposal"
    );
    let own = api
        .get(&format!("/demands/{demand}/proposals/{counter}"))
        .await
        .json();
    assert_eq!(own["state"], "Rejected");
    events[0]["reason"]["message"]
        .as_str()
        .expect("always a reason")
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_rejection_always_has_a_reason() {
    let alice = || ProviderSpec::new("alice");
    let no_platform = rejection(alice(), |p| {
        p.as_object_mut()
            .expect("properties")
            .remove("golem.com.payment.chosen-platform");
    });
    assert!(no_platform.await.contains("payment platform"));
    let range = rejection(alice(), |p| {
        p["golem.com.payment.debit-notes.accept-timeout?"] = json!(900)
    });
    assert!(range.await.contains("not in acceptable range"));
    let mut grumpy = alice();
    grumpy.behaviour.refuse = Some("not today".into());
    assert_eq!(rejection(grumpy, |_| {}).await, "not today");
}

#[tokio::test(start_paused = true)]
async fn counters_are_refused_as_recorded() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let unknown = format!("R-{}", "0".repeat(64));
    let not_found = format!(
        "Proposal [{unknown}] not found (subscription [Some({})]).",
        quoted_subscription(&demand)
    );
    assert_eq!(
        api.counter(&demand, &unknown).await.refusal(),
        (404, not_found.clone())
    );
    let get = api
        .get(&format!("/demands/{demand}/proposals/{unknown}"))
        .await
        .refusal();
    assert_eq!(get, (404, not_found.clone()));
    let reject = format!("/demands/{demand}/proposals/{unknown}/reject");
    assert_eq!(
        api.post(&reject, json!({"message": "x"})).await.refusal(),
        (500, not_found)
    );

    let another = api.demand().await;
    assert_eq!(
        api.counter(&another, &initial).await.status,
        404,
        "a proposal of another demand"
    );

    let path = format!("/demands/{demand}/proposals/{initial}");
    let mut body = api.demand_body();
    body["constraints"] = json!("(golem.runtime.name=wasmtime)");
    let (status, message) = api.post(&path, body).await.refusal();
    assert_eq!(status, 400);
    let tail = format!(
        "doesn't match previous Proposal [{initial}]. Mismatched constraints - Offer: [], Demand: []"
    );
    assert!(message.ends_with(&tail), "{message}");

    let mut body = api.demand_body();
    body["constraints"] = json!("(|(x=1)(golem.runtime.nome=*))");
    let (_, message) = api.post(&path, body).await.refusal();
    let tail = r#"Mismatched constraints - Offer: ["x", "golem.runtime.nome"], Demand: []"#;
    assert!(message.ends_with(tail), "{message}");
    let mut body = api.demand_body();
    let properties = body["properties"].as_object_mut().expect("properties");
    properties.remove("golem.node.debug.subnet");
    let (_, message) = api.post(&path, body).await.refusal();
    let tail = r#"Mismatched constraints - Offer: [], Demand: ["golem.node.debug.subnet"]"#;
    assert!(message.ends_with(tail), "{message}");

    for (constraints, words) in [
        (
            "(&(a=1)",
            "parsing Demand constraints: Incomplete expression: Size(8)",
        ),
        (
            "(a$x=1)",
            "building Demand constraints expression: Error parsing property reference a$x: Parse error Parsing no \
             aspect no type error: unexpected text $x",
        ),
    ] {
        let mut body = api.demand_body();
        body["constraints"] = json!(constraints);
        let (status, message) = api.post(&path, body).await.refusal();
        assert_eq!(status, 400);
        let tail =
            format!(" with previous Proposal [{initial}]. Error: Prepare error: Error {words}");
        assert!(
            message.starts_with("Can't match Proposal [R-") && message.ends_with(&tail),
            "{message}"
        );
    }

    let counter = api.counter(&demand, &initial).await.id();
    assert_eq!(
        api.counter(&demand, &initial).await.refusal(),
        (
            410,
            format!(
                "Proposal [{initial}] already has counter proposal. Can't counter for the second time."
            )
        )
    );
    assert_eq!(
        api.counter(&demand, &counter).await.refusal(),
        (400, format!("Can't react to own Proposal [{counter}]."))
    );
    let draft = api.proposal(&demand).await;
    assert_eq!(api.delete(&format!("/demands/{demand}")).await.status, 204);
    assert_eq!(
        api.counter(&demand, &draft).await.refusal(),
        (400, format!("Subscription [{demand}] wasn't found."))
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_proposal_can_be_rejected_again_and_even_countered() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let path = format!("/demands/{demand}/proposals/{initial}");
    for body in [json!({"message": "too pricey"}), json!(null)] {
        let answer = api.post(&format!("{path}/reject"), body).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(api.get(&path).await.json()["state"], "Rejected");
    assert_eq!(api.counter(&demand, &initial).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn only_an_unanswered_draft_of_the_provider_can_be_promoted_and_only_once() {
    let api = Api::start(one());
    let demand = api.demand().await;
    let initial = api.proposal(&demand).await;
    let prefix = |id: &str| format!("Can't create Agreement for Proposal [{id}].");
    let no_negotiation = format!(
        "{} No negotiation with Provider took place. (You should counter Proposal at least one time)",
        prefix(&initial)
    );
    assert_eq!(
        api.promote(&initial).await.refusal(),
        (400, no_negotiation.clone())
    );
    let counter = api.counter(&demand, &initial).await.id();
    assert_eq!(api.promote(&initial).await.refusal(), (400, no_negotiation));
    let own = format!(
        "Can't create Agreement for an own Proposal [{counter}]. You can promote only provider's Proposals to Agreement."
    );
    assert_eq!(api.promote(&counter).await.refusal(), (400, own));
    let unknown = format!("R-{}", "0".repeat(64));
    let missing = format!("{} Proposal [{unknown}] not found.", prefix(&unknown));
    assert_eq!(api.promote(&unknown).await.refusal(), (400, missing));
    let bad = "Invalid Agreement id. Id [nope] has invalid format.".to_owned();
    assert_eq!(api.promote("nope").await.refusal(), (400, bad));

    let first = api.proposal(&demand).await;
    assert_eq!(api.counter(&demand, &first).await.status, 200);
    assert_eq!(api.promote(&first).await.status, 400, "it was countered");
    let second = api.proposal(&demand).await;
    assert_eq!(api.promote(&second).await.status, 200);
    let twice = format!("Can't create second Agreement for Proposal [{second}].");
    assert_eq!(api.promote(&second).await.refusal(), (409, twice));

    for (body, message) in [
        (
            json!({}),
            "Json deserialize error: missing field `proposalId` at line 1 column 2",
        ),
        (
            json!({"proposalId": second, "validTo": "zzz"}),
            "Json deserialize error: input contains invalid characters at line 1 column 98",
        ),
    ] {
        assert_eq!(
            api.post("/agreements", body).await.refusal(),
            (400, message.to_owned())
        );
    }
}
