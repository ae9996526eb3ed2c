//! A daemon with one provider, and the steps of an agreement as raw requests.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::config::{AppKey, Config, DaemonVersion, Prices, ProviderSpec};
use crate::{MockYagna, Timebase};

pub(super) const INTERVAL: &str = "golem.com.scheme.payu.debit-note.interval-sec?";
pub(super) const PAYMENT_TIMEOUT: &str = "golem.com.scheme.payu.payment-timeout-sec?";
pub(super) const ACCEPT_TIMEOUT: &str = "golem.com.payment.debit-notes.accept-timeout?";

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) kind: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub(super) struct Daemon {
    pub(super) mock: MockYagna,
}

impl Daemon {
    pub(super) fn start() -> Self {
        Self::of(DaemonVersion::default())
    }

    pub(super) fn of(version: DaemonVersion) -> Self {
        let prices = Prices {
            start: "0.01".parse().expect("amount"),
            cpu_sec: golem_wire::Glm::ZERO,
            duration_sec: "0.0001".parse().expect("amount"),
        };
        let config = Config {
            daemon: version,
            providers: vec![ProviderSpec {
                prices,
                ..ProviderSpec::new("bob")
            }],
            app_keys: vec![
                AppKey::new("secret", "me"),
                AppKey::new("other", "stranger"),
            ],
            ..Config::default()
        };
        let epoch: Timestamp = "2026-11-22T01:00:00Z".parse().expect("time");
        Daemon {
            mock: MockYagna::start(config, Timebase::starting_at(epoch)),
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self
            .mock
            .router()
            .oneshot(request)
            .await
            .expect("the router never fails");
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind
            .map(|kind| kind.to_str().expect("text").to_owned())
            .unwrap_or_default();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        Answer {
            status,
            kind,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.raw(method, path, "secret", &[], text).await
    }

    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).expect("request"))
            .await
    }

    pub(super) async fn pay(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(method, &format!("/payment-api/v1{path}"), body)
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.pay("GET", path, Value::Null).await.json()
    }

    pub(super) async fn allocate(&self, amount: &str) -> String {
        let body = json!({ "totalAmount": amount, "makeDeposit": false });
        let created = self.pay("POST", "/allocations", body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
        created.json()["allocationId"]
            .as_str()
            .expect("id")
            .to_owned()
    }

    /// Negotiates with bob and returns the approved agreement.
    pub(super) async fn agree(&self, extra: Value, life: Duration) -> String {
        let expires =
            self.mock.world().now() + jiff::SignedDuration::try_from(life).expect("short");
        let me = self.call("GET", "/me", Value::Null).await.json()["identity"].clone();
        let mut properties = json!({
            "golem.srv.comp.expiration": expires.as_millisecond(),
            "golem.srv.caps.multi-activity": true,
            "golem.node.debug.subnet": "public",
            "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
            "golem.com.payment.platform.erc20-holesky-tglm.address": me,
            "golem.com.payment.protocol.version": "3",
        });
        let map = properties.as_object_mut().expect("object");
        map.extend(extra.as_object().expect("object").clone());
        let demand = json!({ "properties": properties, "constraints": "(golem.runtime.name=vm)" });
        let market = "/market-api/v1";
        let id = self
            .call("POST", &format!("{market}/demands"), demand.clone())
            .await
            .json();
        let id = id.as_str().expect("demand").to_owned();
        let collect = format!("{market}/demands/{id}/events?timeout=10&maxEvents=1");
        let offer = self.call("GET", &collect, Value::Null).await.json();
        let offer = offer[0]["proposal"]["proposalId"]
            .as_str()
            .expect("offer")
            .to_owned();
        let counter = format!("{market}/demands/{id}/proposals/{offer}");
        let countered = self.call("POST", &counter, demand).await;
        assert_eq!(countered.status, StatusCode::OK, "{}", countered.body);
        let draft = self.call("GET", &collect, Value::Null).await.json();
        assert_eq!(draft[0]["proposal"]["state"], "Draft", "{draft}");
        let body = json!({ "proposalId": draft[0]["proposal"]["proposalId"], "validTo": expires });
        let agreement = self
            .call("POST", &format!("{market}/agreements"), body)
            .await
            .json();
        let agreement = agreement.as_str().expect("agreement").to_owned();
        let path = format!("{market}/agreements/{agreement}");
        self.call(
            "POST",
            &format!("{path}/confirm?appSessionId=app"),
            Value::Null,
        )
        .await;
        let waited = self
            .call("POST", &format!("{path}/wait?timeout=10"), Value::Null)
            .await;
        assert_eq!(waited.status, StatusCode::NO_CONTENT, "{}", waited.body);
        self.call("DELETE", &format!("{market}/demands/{id}"), Value::Null)
            .await;
        agreement
    }

    pub(super) async fn create_activity(&self, agreement: &str) -> String {
        let created = self
            .call(
                "POST",
                "/activity-api/v1/activity?timeout=20",
                json!(agreement),
            )
            .await;
        assert_eq!(created.status, StatusCode::OK, "{}", created.body);
        created.json().as_str().expect("id").to_owned()
    }

    pub(super) async fn terminate(&self, agreement: &str) {
        let path = format!("/market-api/v1/agreements/{agreement}/terminate");
        assert_eq!(
            self.call("POST", &path, json!({ "message": "done" }))
                .await
                .status,
            StatusCode::OK
        );
    }

    pub(super) async fn end_of(&self, agreement: &str) -> Value {
        let path = format!("/market-api/v1/agreements/{agreement}/terminate/reason");
        self.call("GET", &path, Value::Null).await.json()["reason"]["golem.provider.code"].clone()
    }
}

pub(super) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// Providers take it without payments on the way.
pub(super) const SHORT: Duration = Duration::from_secs(1500);
