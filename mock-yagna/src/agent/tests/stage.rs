//! One provider of a certain behaviour, and a requestor's usual steps.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::config::{Config, ProviderSpec};
use crate::{Behaviour, MockYagna, Timebase};

const MARKET: &str = "/market-api/v1";
pub(super) const ACTIVITY: &str = "/activity-api/v1/activity";

pub(super) struct Stage {
    pub(super) mock: MockYagna,
}

/// Status and JSON of an answer; no JSON is null.
pub(super) type Answer = (u16, Value);

pub(super) fn behaviour(members: Value) -> Behaviour {
    let behaviour: Behaviour = serde_json::from_value(members).expect("a behaviour");
    assert_eq!(behaviour.mistake(), None);
    behaviour
}

impl Stage {
    /// A network with `bob` only, who behaves so.
    pub(super) fn with(members: Value) -> Stage {
        let mut bob = ProviderSpec::new("bob");
        bob.behaviour = behaviour(members);
        Stage::of(Config {
            providers: vec![bob],
            ..Config::default()
        })
    }

    /// Any network.
    pub(super) fn of(config: Config) -> Stage {
        config.check().expect("possible");
        let epoch = Timestamp::from_second(1_800_000_000).expect("in range");
        Stage {
            mock: MockYagna::start(config, Timebase::starting_at(epoch)),
        }
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send_as("secret", method, path, body).await
    }

    pub(super) async fn send_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let response = self
            .mock
            .router()
            .oneshot(request)
            .await
            .expect("infallible");
        let status = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Value::Null).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    fn demand_body(&self) -> Value {
        let expiration = self.mock.world().now().as_millisecond() + 29 * 60 * 1000;
        json!({
            "properties": {
                "golem.srv.comp.expiration": expiration,
                "golem.srv.comp.task_package": "hash:sha3:abc:http://host/image.gvmi",
                "golem.srv.caps.multi-activity": true,
                "golem.node.debug.subnet": "public",
                "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
                "golem.com.scheme.payu.debit-note.interval-sec?": 120,
            },
            "constraints": "(golem.node.debug.subnet=public)",
        })
    }

    pub(super) async fn demand(&self) -> String {
        let (_, id) = self
            .post(&format!("{MARKET}/demands"), self.demand_body())
            .await;
        id.as_str().expect("an id").to_owned()
    }

    pub(super) async fn events(&self, demand: &str, timeout: u32) -> Vec<Value> {
        let path = format!("{MARKET}/demands/{demand}/events?timeout={timeout}");
        self.get(&path).await.1.as_array().expect("a list").clone()
    }

    /// The next proposal.
    pub(super) async fn proposal(&self, demand: &str) -> Value {
        self.events(demand, 60).await.first().expect("an event")["proposal"].clone()
    }

    /// Counters the first offer.
    pub(super) async fn countered(&self, demand: &str) {
        let initial = self.proposal(demand).await;
        let id = initial["proposalId"].as_str().expect("an id");
        let path = format!("{MARKET}/demands/{demand}/proposals/{id}");
        assert_eq!(self.post(&path, self.demand_body()).await.0, 200);
    }

    /// A confirmed agreement.
    pub(super) async fn confirmed(&self) -> String {
        let demand = self.demand().await;
        self.confirmed_on(&demand).await
    }

    pub(super) async fn confirmed_on(&self, demand: &str) -> String {
        self.countered(demand).await;
        let draft = self.proposal(demand).await;
        let valid_to = self.mock.world().now() + Duration::from_secs(3600);
        let body = json!({ "proposalId": draft["proposalId"], "validTo": valid_to });
        let (_, id) = self.post(&format!("{MARKET}/agreements"), body).await;
        let id = id.as_str().expect("an id").to_owned();
        let confirmed = self
            .post(&format!("{MARKET}/agreements/{id}/confirm"), Value::Null)
            .await;
        assert_eq!(confirmed.0, 204);
        id
    }

    pub(super) async fn wait(&self, agreement: &str, timeout: u32) -> u16 {
        let path = format!("{MARKET}/agreements/{agreement}/wait?timeout={timeout}");
        self.post(&path, Value::Null).await.0
    }

    pub(super) async fn approved(&self) -> String {
        let agreement = self.confirmed().await;
        assert_eq!(self.wait(&agreement, 60).await, 204);
        agreement
    }

    pub(super) async fn terminate(&self, agreement: &str) -> Answer {
        let path = format!("{MARKET}/agreements/{agreement}/terminate");
        self.post(&path, json!({ "message": "bye" })).await
    }

    pub(super) async fn create(&self, agreement: &str) -> Answer {
        self.post(&format!("{ACTIVITY}?timeout=20"), json!(agreement))
            .await
    }

    pub(super) async fn activity(&self) -> (String, String) {
        let agreement = self.approved().await;
        let (status, id) = self.create(&agreement).await;
        assert_eq!(status, 200, "{id}");
        (agreement, id.as_str().expect("an id").to_owned())
    }

    pub(super) async fn exec(&self, activity: &str, script: Value) -> Answer {
        let body = json!({ "text": script.to_string() });
        self.post(&format!("{ACTIVITY}/{activity}/exec"), body)
            .await
    }

    /// Results of a script, after `timeout` seconds at the latest.
    pub(super) async fn run(&self, activity: &str, script: Value, timeout: u32) -> Answer {
        let (status, batch) = self.exec(activity, script).await;
        assert_eq!(status, 200, "{batch}");
        let batch = batch.as_str().expect("an id");
        self.get(&format!(
            "{ACTIVITY}/{activity}/exec/{batch}?timeout={timeout}"
        ))
        .await
    }

    pub(super) async fn state(&self, activity: &str) -> Value {
        self.get(&format!("{ACTIVITY}/{activity}/state")).await.1["state"].clone()
    }

    pub(super) async fn list(&self, what: &str) -> Vec<Value> {
        let (_, list) = self.get(&format!("/payment-api/v1/{what}")).await;
        list.as_array().expect("a list").clone()
    }

    pub(super) async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// The laws of money hold, whatever the provider does.
    pub(super) fn is_lawful(&self) {
        assert_eq!(self.mock.summary().violations, []);
    }
}

/// Everything that a payload needs before it runs.
pub(super) fn deployed(more: &[Value]) -> Value {
    let mut script = vec![json!({ "deploy": {} }), json!({ "start": {} })];
    script.extend_from_slice(more);
    Value::Array(script)
}

/// A command that takes so long.
pub(super) fn sleeping(seconds: u32) -> Value {
    json!({ "run": { "entry_point": "/bin/sleep", "args": [seconds.to_string()] } })
}
