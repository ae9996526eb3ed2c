//! A client that survives broken answers.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::config::{Config, ProviderSpec};
use crate::fault::{Effect, Fault, NoAnswer};
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
        let providers = vec![ProviderSpec::new("bob")];
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

    pub(super) async fn allocations(&self) -> usize {
        let listed = self.get("/payment-api/v1/allocations").await.json();
        listed.as_array().expect("a list").len()
    }

    pub(super) async fn demand(&self) -> String {
        let expiration = self.mock.world().now().as_millisecond() + 20 * 60 * 1000;
        let body = json!({
            "properties": {
                "golem.srv.comp.expiration": expiration,
                "golem.srv.caps.multi-activity": true,
                "golem.node.debug.subnet": "public",
                "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
            },
            "constraints": "(golem.node.debug.subnet=public)",
        });
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
