//! The ceiling: the requests that a negotiation needs, sent by a bare loop with no engine. They say what the engine's
//! say but for ids, times and the order of JSON (`figures requests` compares them). Like most programs it asks of each
//! agreement whether it is approved; it can hear that in the feed of events as well, as the engine does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use golem_wire::market::{AgreementEvent, DemandEvent};
use golem_wire::{AgreementId, DemandId, ProposalId};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::door::{APP_KEY, Network};
use crate::now;

const PLATFORM: &str = "erc20-hoodi-tglm";

/// The session that the agreements are signed in, as an engine's.
const SESSION: &str = "437c542db09374daacf9ebbc565d743f";

/// Sends one request and reads the whole answer.
///
/// # Panics
/// When the daemon does not answer, or refuses.
pub async fn call(network: &Network, method: Method, path: &str, body: Option<Value>) -> Bytes {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", network.api_url))
        .header("authorization", format!("Bearer {APP_KEY}"))
        .header("accept", "application/json");
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

/// What the engine asks for, of the payload of [`engine`](crate::engine).
fn demand(now: Timestamp, address: &str) -> Value {
    let expiration = now + SignedDuration::from_hours(3);
    let terms = [
        "golem.node.debug.subnet=public".to_owned(),
        format!("golem.com.payment.platform.{PLATFORM}.address=*"),
        "golem.com.payment.protocol.version>1".to_owned(),
        "golem.com.pricing.model=linear".to_owned(),
        "golem.inf.mem.gib>=0.5".to_owned(),
        "golem.inf.storage.gib>=2".to_owned(),
        "golem.inf.cpu.threads>=1".to_owned(),
        "golem.runtime.name=vm".to_owned(),
        "golem.runtime.capabilities=vpn".to_owned(),
    ];
    json!({
        "properties": {
            "golem.com.payment.debit-notes.accept-timeout?": 240,
            format!("golem.com.payment.platform.{PLATFORM}.address"): address,
            "golem.com.payment.protocol.version": "3",
            "golem.com.scheme.payu.debit-note.interval-sec?": 120,
            "golem.node.debug.app-session": SESSION,
            "golem.node.debug.demand": "service-1/1",
            "golem.node.debug.subnet": "public",
            "golem.srv.caps.multi-activity": true,
            "golem.srv.comp.expiration": expiration.as_millisecond(),
            "golem.srv.comp.task_package": "hash:sha3:00:http://bench.invalid/image",
            "golem.srv.comp.vm.package_format": "gvmkit-squash",
        },
        "constraints": format!("(&({}))", terms.join(")(")),
    })
}

/// A negotiation, request by request.
#[derive(Debug)]
pub struct Negotiation<'a> {
    network: &'a Network,
    /// The answer to an offer.
    counter: Value,
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
        let mut counter = demand.clone();
        counter["properties"]["golem.com.payment.chosen-platform"] = PLATFORM.into();
        counter["properties"]["golem.node.debug.demand"] = "service-1".into();
        let demands = "/market-api/v1/demands";
        let (id, slowest) = timed(call(network, Method::POST, demands, Some(demand))).await;
        let path = format!("/market-api/v1/demands/{}", parse::<DemandId>(&id));
        Negotiation {
            network,
            counter,
            path,
            concurrency,
            drafts: Vec::new(),
            slowest,
        }
    }

    /// Counters every proposal until `wanted` providers have agreed.
    pub async fn collect(&mut self, wanted: usize) {
        while self.drafts.len() < wanted {
            let events = format!("{}/events?timeout=30&maxEvents=100", self.path);
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
            let (network, counter) = (self.network, &self.counter);
            let slowest = stream::iter(counters)
                .map(async |path| {
                    timed(call(network, Method::POST, &path, Some(counter.clone())))
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
            .map(async |draft| sign(network, &draft, None).await)
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

/// How it is learned that an agreement is approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// By a request for each agreement that waits for it.
    Asked,
    /// From the feed of agreement events, which is read for all of them.
    Heard,
}

/// Whoever waits for approvals that are heard.
#[derive(Debug, Default)]
struct Heard(RefCell<BTreeMap<AgreementId, oneshot::Sender<()>>>);

impl Heard {
    fn expect(&self, id: &AgreementId) -> oneshot::Receiver<()> {
        let (approved, heard) = oneshot::channel();
        self.0.borrow_mut().insert(id.clone(), approved);
        heard
    }

    /// Reads the feed. Never ends.
    async fn follow(&self, network: &Network) {
        let mut after = String::new();
        loop {
            let path = format!(
                "/market-api/v1/agreementEvents?timeout=30{after}&maxEvents=100&appSessionId={SESSION}"
            );
            let events = call(network, Method::GET, &path, None).await;
            for event in parse::<Vec<AgreementEvent>>(&events) {
                after = format!("&afterTimestamp={}", event.event_date);
                if let Some(approved) = self.0.borrow_mut().remove(&event.agreement_id) {
                    approved.send(()).expect("somebody waits");
                }
            }
        }
    }
}

/// Rents a machine of each of `machines` providers, as fast as the requests go: an agreement, and an activity on it.
///
/// # Panics
/// When the network does not answer as it should.
pub async fn rent(network: &Network, machines: usize, approval: Approval) {
    let heard = Heard::default();
    let told = (approval == Approval::Heard).then_some(&heard);
    let follow = async {
        match told {
            Some(heard) => heard.follow(network).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = rent_each(network, machines, told) => {}
        () = follow => {}
    }
}

async fn rent_each(network: &Network, machines: usize, heard: Option<&Heard>) {
    let mut negotiation = Negotiation::publish(network, 100).await;
    negotiation.collect(machines).await;
    let drafts: Vec<_> = negotiation.drafts.drain(..machines).collect();
    let rented = stream::iter(drafts).map(async |draft| {
        let (agreement, _) = sign(network, &draft, heard).await;
        let path = "/activity-api/v1/activity?timeout=30";
        call(network, Method::POST, path, Some(json!(agreement))).await;
    });
    rented.buffer_unordered(100).collect::<()>().await;
}

/// Signs one draft; the agreement, and the slowest of its requests.
async fn sign(
    network: &Network,
    draft: &ProposalId,
    heard: Option<&Heard>,
) -> (AgreementId, Duration) {
    let valid_to = network.mock.world().now() + SignedDuration::from_mins(1);
    let body = json!({"proposalId": draft, "validTo": valid_to});
    let agreements = "/market-api/v1/agreements";
    let (id, created) = timed(call(network, Method::POST, agreements, Some(body))).await;
    let id: AgreementId = parse(&id);
    let heard = heard.map(|heard| heard.expect(&id));
    let path = format!("{agreements}/{id}");
    let confirm = format!("{path}/confirm?appSessionId={SESSION}");
    let (_, confirmed) = timed(call(network, Method::POST, &confirm, None)).await;
    let approval = async {
        match heard {
            Some(heard) => heard.await.expect("it is approved"),
            None => {
                let wait = format!("{path}/wait?timeout=30");
                call(network, Method::POST, &wait, None).await;
            }
        }
    };
    let ((), approved) = timed(approval).await;
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
