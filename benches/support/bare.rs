//! The ceiling: the requests that a negotiation needs, sent by a bare loop with no engine.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use golem_wire::market::DemandEvent;
use golem_wire::{AgreementId, DemandId, ProposalId};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::door::{APP_KEY, Network};
use crate::now;

const PLATFORM: &str = "erc20-hoodi-tglm";

/// Sends one request and reads the whole answer.
///
/// # Panics
/// When the daemon does not answer, or refuses.
pub async fn call(network: &Network, method: Method, path: &str, body: Option<Value>) -> Bytes {
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

/// A negotiation, request by request.
#[derive(Debug)]
pub struct Negotiation<'a> {
    network: &'a Network,
    demand: Value,
    path: String,
    /// Requests under way at one time.
    concurrency: usize,
    drafts: Vec<ProposalId>,
    /// The longest that any request took, on the wall's clock.
    pub slowest: Duration,
}

impl<'a> Negotiation<'a> {
    /// Publishes a demand that every provider matches.
    pub async fn publish(network: &'a Network, concurrency: usize) -> Self {
        let me: Value = parse(&call(network, Method::GET, "/me", None).await);
        let address = me["identity"].as_str().expect("an identity");
        let demand = demand(network.mock.world().now(), address);
        let (id, slowest) = timed(call(
            network,
            Method::POST,
            "/market-api/v1/demands",
            Some(demand.clone()),
        ))
        .await;
        let path = format!("/market-api/v1/demands/{}", parse::<DemandId>(&id));
        Negotiation {
            network,
            demand,
            path,
            concurrency,
            drafts: Vec::new(),
            slowest,
        }
    }

    /// Counters every proposal until `wanted` providers have agreed.
    pub async fn collect(&mut self, wanted: usize) {
        while self.drafts.len() < wanted {
            let events = format!("{}/events?timeout=5&maxEvents=100", self.path);
            let (events, taken) = timed(call(self.network, Method::GET, &events, None)).await;
            self.slowest = self.slowest.max(taken);
            let mut counters = Vec::new();
            for event in parse::<Vec<DemandEvent>>(&events) {
                let DemandEvent::ProposalEvent { proposal, .. } = event else {
                    continue;
                };
                match proposal.prev_proposal_id {
                    Some(_) => self.drafts.push(proposal.proposal_id),
                    None => {
                        counters.push(format!("{}/proposals/{}", self.path, proposal.proposal_id))
                    }
                }
            }
            let (network, demand) = (self.network, &self.demand);
            let slowest = stream::iter(counters)
                .map(async |path| {
                    timed(call(network, Method::POST, &path, Some(demand.clone())))
                        .await
                        .1
                })
                .buffer_unordered(self.concurrency)
                .fold(Duration::ZERO, async |slowest, taken| slowest.max(taken))
                .await;
            self.slowest = self.slowest.max(slowest);
        }
    }

    /// Signs `agreements` of the drafts.
    pub async fn sign(&mut self, agreements: usize) -> Vec<AgreementId> {
        let network = self.network;
        let drafts: Vec<_> = self.drafts.drain(..agreements).collect();
        let signed: Vec<_> = stream::iter(drafts)
            .map(async |draft| sign(network, &draft).await)
            .buffer_unordered(self.concurrency)
            .collect()
            .await;
        for (_, taken) in &signed {
            self.slowest = self.slowest.max(*taken);
        }
        signed.into_iter().map(|(id, _)| id).collect()
    }

    /// Withdraws the demand.
    pub async fn withdraw(self) {
        call(self.network, Method::DELETE, &self.path, None).await;
    }
}

/// Rents a machine of each of `machines` providers, as fast as the requests go: an agreement, and an activity on it.
///
/// # Panics
/// When the network does not answer as it should.
pub async fn rent(network: &Network, machines: usize) {
    let mut negotiation = Negotiation::publish(network, 100).await;
    negotiation.collect(machines).await;
    let drafts: Vec<_> = negotiation.drafts.drain(..machines).collect();
    let rented = stream::iter(drafts).map(async |draft| {
        let (agreement, _) = sign(network, &draft).await;
        let activity = Some(json!({ "agreementId": agreement }));
        call(network, Method::POST, "/activity-api/v1/activity", activity).await;
    });
    rented.buffer_unordered(100).collect::<()>().await;
}

/// Signs one draft; the agreement, and the slowest of its requests.
async fn sign(network: &Network, draft: &ProposalId) -> (AgreementId, Duration) {
    let valid_to = network.mock.world().now() + SignedDuration::from_hours(1);
    let body = json!({"proposalId": draft, "validTo": valid_to});
    let agreements = "/market-api/v1/agreements";
    let (id, created) = timed(call(network, Method::POST, agreements, Some(body))).await;
    let id: AgreementId = parse(&id);
    let path = format!("{agreements}/{id}");
    let confirm = format!("{path}/confirm");
    let (_, confirmed) = timed(call(network, Method::POST, &confirm, None)).await;
    let wait = format!("{path}/wait?timeout=15");
    let (_, approved) = timed(call(network, Method::POST, &wait, None)).await;
    (id, created.max(confirmed).max(approved))
}

/// How long something took on the wall's clock, whatever clock it lives in.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begin = now();
    (work.await, begin.elapsed())
}

/// What an answer says.
///
/// # Panics
/// When it is something else.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> T {
    serde_json::from_slice(body).expect("the daemon's JSON")
}
