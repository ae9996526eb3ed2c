//! A client that survives broken answers.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::FaultGuard;
use crate::config::{Config, ProviderSpec};
use crate::fault::{Effect, Fault, NoAnswer, Spoiled};
use crate::{MockYagna, Timebase};

/// What came back.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// A whole answer.
    Answer {
        status: u16,
        headers: HeaderMap,
        text: String,
    },
    /// The connection ended first; so many bytes had come.
    Broken { bytes: usize, marked: bool },
}

impl Outcome {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Outcome::Answer { status, .. } => Some(*status),
            Outcome::Broken { .. } => None,
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Outcome::Answer { text, .. } => serde_json::from_str(text).expect("JSON"),
            broken => panic!("no answer: {broken:?}"),
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        *self
            == Outcome::Broken {
                bytes: 0,
                marked: true,
            }
    }
}

#[derive(Clone)]
pub(super) struct Client {
    pub(super) mock: MockYagna,
}

pub(super) fn fault(on: &str, effect: Effect) -> Fault {
    Fault::new(on, effect).expect("a fault")
}

impl Client {
    pub(super) fn start(faults: Vec<Fault>) -> Client {
        Client::with_providers(1, faults)
    }

    pub(super) fn with_providers(providers: usize, faults: Vec<Fault>) -> Client {
        let names = ["bob", "alice", "carol"].into_iter();
        let providers = names.take(providers).map(ProviderSpec::new).collect();
        let config = Config {
            providers,
            faults,
            ..Config::default()
        };
        config.check().expect("possible");
        let epoch = Timestamp::from_second(1_800_000_000).expect("in range");
        Client {
            mock: MockYagna::start(config, Timebase::starting_at(epoch)),
        }
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Outcome {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, "Bearer secret")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .expect("a request");
        self.outcome(request).await
    }

    async fn outcome(&self, request: Request<Body>) -> Outcome {
        let response = self
            .mock
            .router()
            .oneshot(request)
            .await
            .expect("infallible");
        let (parts, mut body) = response.into_parts();
        let marked = parts.extensions.get::<NoAnswer>().is_some();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |d| d)),
                Err(_) => {
                    return Outcome::Broken {
                        bytes: bytes.len(),
                        marked,
                    };
                }
            }
        }
        let text = String::from_utf8(bytes).expect("text");
        Outcome::Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Outcome {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn allocate(&self) -> Outcome {
        let body = json!({ "totalAmount": "1", "makeDeposit": false });
        self.send(Method::POST, "/payment-api/v1/allocations", Some(body))
            .await
    }

    /// A request for an allocation with which something goes wrong without a fault.
    pub(super) async fn allocate_spoiled(&self, effect: Effect) -> Outcome {
        let body = json!({ "totalAmount": "1", "makeDeposit": false });
        let request = Request::post("/payment-api/v1/allocations")
            .header(header::AUTHORIZATION, "Bearer secret")
            .header(header::CONTENT_TYPE, "application/json")
            .extension(Spoiled(effect))
            .body(Body::from(body.to_string()));
        self.outcome(request.expect("a request")).await
    }

    pub(super) async fn allocations(&self) -> usize {
        let listed = self.get("/payment-api/v1/allocations").await.json();
        listed.as_array().expect("a list").len()
    }

    /// A fault that hits everything `on` names.
    pub(super) fn inject(&self, on: &str, effect: Effect) -> FaultGuard {
        self.mock.inject(fault(on, effect)).expect("a fault")
    }

    /// An approved agreement.
    pub(super) async fn agree(&self) -> String {
        let offer = self.specification();
        let demand = self.demand().await;
        let demand = format!("/market-api/v1/demands/{demand}");
        let initial = self.proposal(&demand, &Value::Null).await;
        let counter = format!("{demand}/proposals/{initial}");
        let countered = self.send(Method::POST, &counter, Some(offer)).await;
        let draft = self.proposal(&demand, &countered.json()).await;
        self.send(Method::DELETE, &demand, None).await;
        let valid_to = self.mock.world().now() + Duration::from_secs(3600);
        let body = json!({ "proposalId": draft, "validTo": valid_to });
        let agreements = "/market-api/v1/agreements";
        let created = self.send(Method::POST, agreements, Some(body)).await;
        let agreement = created.json().as_str().expect("an id").to_owned();
        let path = format!("{agreements}/{agreement}");
        self.send(Method::POST, &format!("{path}/confirm"), None)
            .await;
        let wait = format!("{path}/wait?timeout=10");
        let approved = self.send(Method::POST, &wait, None).await;
        assert_eq!(approved.status(), Some(204), "{approved:?}");
        agreement
    }

    /// The provider's answer to a proposal; to none, anybody's first one.
    async fn proposal(&self, demand: &str, to: &Value) -> String {
        let events = format!("{demand}/events?timeout=10&maxEvents=1");
        loop {
            let events = self.get(&events).await.json();
            let proposal = &events[0]["proposal"];
            if proposal["prevProposalId"] == *to {
                return proposal["proposalId"].as_str().expect("an id").to_owned();
            }
            assert_ne!(events[0], Value::Null, "no proposal: {events}");
        }
    }

    pub(super) async fn terminate(&self, agreement: &str) {
        let path = format!("/market-api/v1/agreements/{agreement}/terminate");
        let body = json!({ "message": "enough" });
        let ended = self.send(Method::POST, &path, Some(body)).await;
        assert_eq!(ended.status(), Some(200), "{ended:?}");
    }

    pub(super) async fn activity(&self, agreement: &str) -> String {
        let path = "/activity-api/v1/activity";
        let created = self.send(Method::POST, path, Some(json!(agreement))).await;
        created.json().as_str().expect("an id").to_owned()
    }

    pub(super) async fn exec(&self, activity: &str, script: &[Value]) -> String {
        let path = format!("/activity-api/v1/activity/{activity}/exec");
        let body = json!({ "text": json!(script).to_string() });
        let sent = self.send(Method::POST, &path, Some(body)).await;
        sent.json().as_str().expect("an id").to_owned()
    }

    fn specification(&self) -> Value {
        let expiration = self.mock.world().now().as_millisecond() + 20 * 60 * 1000;
        json!({
            "properties": {
                "golem.srv.comp.expiration": expiration,
                "golem.srv.comp.task_package": "hash:sha3:abc:http://host/image.gvmi",
                "golem.srv.caps.multi-activity": true,
                "golem.node.debug.subnet": "public",
                "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
                "golem.com.scheme.payu.debit-note.interval-sec?": 60,
            },
            "constraints": "(golem.node.debug.subnet=public)",
        })
    }

    pub(super) async fn demand(&self) -> String {
        let body = self.specification();
        let answer = self
            .send(Method::POST, "/market-api/v1/demands", Some(body))
            .await;
        answer.json().as_str().expect("an id").to_owned()
    }
}

/// How long something takes in virtual time.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let result = work.await;
    (begun.elapsed(), result)
}
