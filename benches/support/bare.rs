//! The ceiling: the requests that a negotiation needs, sent by a bare loop with no engine.

use bytes::Bytes;
use futures::future::join_all;
use golem_wire::market::DemandEvent;
use golem_wire::{AgreementId, DemandId, ProposalId};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::door::{APP_KEY, Network};

const PLATFORM: &str = "erc20-holesky-tglm";

async fn call(network: &Network, method: Method, path: &str, body: Option<Value>) -> Bytes {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", network.api_url))
        .header("authorization", format!("Bearer {APP_KEY}"));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = request.body(body).expect("a well-formed request");
    let answer = network.transport.call(request).await.expect("an answer");
    let status = answer.status();
    let bytes = answer
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    let fine = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];
    assert!(fine.contains(&status), "{path}: {status}: {bytes:?}");
    bytes
}

fn demand(now: Timestamp, address: &str) -> Value {
    let expiration = now + SignedDuration::from_mins(20);
    json!({
        "properties": {
            "golem.srv.comp.expiration": expiration.as_millisecond(),
            "golem.srv.caps.multi-activity": true,
            "golem.node.debug.subnet": "public",
            "golem.srv.comp.task_package": "hash:sha3:00:http://bench.invalid/image",
            "golem.srv.comp.vm.package_format": "gvmkit-squash",
            "golem.com.payment.protocol.version": "3",
            format!("golem.com.payment.platform.{PLATFORM}.address"): address,
            "golem.com.payment.chosen-platform": PLATFORM,
            "golem.com.payment.debit-notes.accept-timeout?": 120,
        },
        "constraints": "(&(golem.node.debug.subnet=public)(golem.runtime.name=vm))",
    })
}

/// Publishes a demand and signs `agreements` agreements, each with another provider, as fast as
/// the requests go.
///
/// # Panics
/// When the network does not answer as it should.
pub async fn negotiate(network: &Network, agreements: usize) {
    let me: Value = parse(&call(network, Method::GET, "/me", None).await);
    let demand = demand(
        network.mock.world().now(),
        me["identity"].as_str().expect("an identity"),
    );
    let id: DemandId = parse(
        &call(
            network,
            Method::POST,
            "/market-api/v1/demands",
            Some(demand.clone()),
        )
        .await,
    );
    let path = format!("/market-api/v1/demands/{id}");
    let mut drafts = Vec::new();
    while drafts.len() < agreements {
        let events = format!("{path}/events?timeout=5&maxEvents=100");
        let events: Vec<DemandEvent> = parse(&call(network, Method::GET, &events, None).await);
        let mut counters = Vec::new();
        for event in events {
            let DemandEvent::ProposalEvent { proposal, .. } = event else {
                continue;
            };
            match proposal.prev_proposal_id {
                Some(_) => drafts.push(proposal.proposal_id),
                None => counters.push(format!("{path}/proposals/{}", proposal.proposal_id)),
            }
        }
        let counters = counters
            .iter()
            .map(|path| call(network, Method::POST, path, Some(demand.clone())));
        join_all(counters).await;
    }
    drafts.truncate(agreements);
    join_all(drafts.iter().map(|draft| sign(network, draft))).await;
}

async fn sign(network: &Network, draft: &ProposalId) {
    let valid_to = network.mock.world().now() + SignedDuration::from_hours(1);
    let body = json!({"proposalId": draft, "validTo": valid_to});
    let agreements = "/market-api/v1/agreements";
    let id: AgreementId = parse(&call(network, Method::POST, agreements, Some(body)).await);
    call(
        network,
        Method::POST,
        &format!("{agreements}/{id}/confirm"),
        None,
    )
    .await;
    call(
        network,
        Method::POST,
        &format!("{agreements}/{id}/wait?timeout=15"),
        None,
    )
    .await;
}

fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> T {
    serde_json::from_slice(body).expect("the daemon's JSON")
}
