//! A client of the router that sees bytes, and the steps up to an activity that is ready.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Collected};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::config::{AppKey, Config, ProviderSpec};
use crate::{MockYagna, Timebase};

pub(super) const ACTIVITY: &str = "/activity-api/v1/activity";
pub(super) const MARKET: &str = "/market-api/v1";

/// A running network and one caller's key.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) mock: MockYagna,
    pub(super) router: Router,
    key: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// Whether the connection ended instead.
    pub(super) hung_up: bool,
    /// How long it took in virtual time.
    pub(super) took: Duration,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        self.json().as_str().expect("a JSON string").to_owned()
    }

    /// Status and error message.
    pub(super) fn refusal(&self) -> (u16, String) {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        (
            self.status,
            self.json()["message"]
                .as_str()
                .expect("a message")
                .to_owned(),
        )
    }

    /// Status and plain text.
    pub(super) fn plain(&self) -> (u16, &str) {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
        (self.status, &self.text)
    }
}

impl Api {
    /// One well-behaved provider with the simulated shell.
    pub(super) fn start() -> Api {
        Api::with(Config {
            providers: vec![ProviderSpec::new("alice")],
            ..Config::default()
        })
    }

    pub(super) fn with(mut config: Config) -> Api {
        config.app_keys = vec![
            AppKey::new("secret", "requestor"),
            AppKey::new("other", "other"),
        ];
        let epoch = Timestamp::from_second(1_800_000_000).expect("in range");
        let mock = MockYagna::start(config, Timebase::starting_at(epoch));
        Api {
            router: mock.router(),
            mock,
            key: "secret".into(),
        }
    }

    /// The same network seen with the second app key.
    pub(super) fn as_other(&self) -> Api {
        self.with_key("other")
    }

    /// The same network seen with this app key.
    pub(super) fn with_key(&self, key: &str) -> Api {
        Api {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    pub(super) fn request(&self, method: Method, path: &str, body: Option<&str>) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request
            .body(Body::from(body.unwrap_or_default().to_owned()))
            .expect("a request")
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let begun = Instant::now();
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        let (parts, body) = response.into_parts();
        let whole = body.collect().await;
        let hung_up = whole.is_err();
        let bytes = whole.map(Collected::to_bytes).unwrap_or_default();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).expect("text"),
            hung_up,
            took: begun.elapsed(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, None)).await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.request(Method::POST, path, Some(body)))
            .await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, None)).await
    }

    /// An agreement in state Proposal, valid for an hour.
    pub(super) async fn promoted(&self) -> String {
        let now = self.mock.world().now();
        let body = json!({
            "properties": {
                "golem.srv.comp.expiration": now.as_millisecond() + 25 * 60 * 1000,
                "golem.srv.comp.task_package": "hash:sha3:abc:http://host/image.gvmi",
                "golem.srv.caps.multi-activity": true,
                "golem.node.debug.subnet": "public",
                "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
            },
            "constraints": "(golem.node.debug.subnet=public)",
        });
        let body = body.to_string();
        let answer = self.post(&format!("{MARKET}/demands"), &body).await;
        let demand = answer.json().as_str().expect("a demand").to_owned();
        let initial = self.proposal(&demand).await;
        let path = format!("{MARKET}/demands/{demand}/proposals/{initial}");
        self.post(&path, &body).await;
        let draft = self.proposal(&demand).await;
        let valid_to = now + Duration::from_secs(3600);
        let body = json!({ "proposalId": draft, "validTo": valid_to }).to_string();
        self.post(&format!("{MARKET}/agreements"), &body).await.id()
    }

    /// An agreement in state Pending whose approval takes its time.
    pub(super) async fn confirmed(&self) -> String {
        let agreement = self.promoted().await;
        let answer = self
            .post(&format!("{MARKET}/agreements/{agreement}/confirm"), "")
            .await;
        assert_eq!(answer.status, 204, "{answer:?}");
        agreement
    }

    async fn proposal(&self, demand: &str) -> String {
        let answer = self
            .get(&format!("{MARKET}/demands/{demand}/events?timeout=10"))
            .await;
        let events = answer.json();
        let id = events[0]["proposal"]["proposalId"].as_str();
        id.unwrap_or_else(|| panic!("no proposal: {events}"))
            .to_owned()
    }

    /// An approved agreement.
    pub(super) async fn approved(&self) -> String {
        let agreement = self.confirmed().await;
        let path = format!("{MARKET}/agreements/{agreement}/wait?timeout=10");
        assert_eq!(self.post(&path, "").await.status, 204);
        agreement
    }

    pub(super) async fn terminate(&self, agreement: &str) {
        let path = format!("{MARKET}/agreements/{agreement}/terminate");
        assert_eq!(self.post(&path, r#"{"message": "bye"}"#).await.status, 200);
    }

    /// An activity on a fresh agreement.
    pub(super) async fn activity(&self) -> String {
        let agreement = self.approved().await;
        self.post(ACTIVITY, &json!(agreement).to_string())
            .await
            .id()
    }

    /// An activity that is deployed and started.
    pub(super) async fn ready(&self) -> String {
        let activity = self.activity().await;
        let results = self
            .run(&activity, json!([{"deploy": {}}, {"start": {}}]))
            .await;
        assert_eq!(results[1]["result"], "Ok", "{results}");
        activity
    }

    pub(super) async fn exec(&self, activity: &str, script: Value) -> String {
        let body = json!({ "text": script.to_string() }).to_string();
        self.post(&format!("{ACTIVITY}/{activity}/exec"), &body)
            .await
            .id()
    }

    pub(super) async fn results(&self, activity: &str, batch: &str, query: &str) -> Answer {
        self.get(&format!("{ACTIVITY}/{activity}/exec/{batch}{query}"))
            .await
    }

    /// All results of a script.
    pub(super) async fn run(&self, activity: &str, script: Value) -> Value {
        let batch = self.exec(activity, script).await;
        let answer = self.results(activity, &batch, "?timeout=600").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(super) async fn state(&self, activity: &str) -> Value {
        self.get(&format!("{ACTIVITY}/{activity}/state"))
            .await
            .json()
    }
}

/// A shell script as a command that keeps its output.
pub(super) fn sh(script: &str) -> Value {
    json!({ "run": {
        "entry_point": "/bin/sh",
        "args": ["-c", script],
        "capture": { "stdout": { "stream": {} }, "stderr": { "stream": {} } },
    } })
}

/// How each command ended, and whether its batch was over then.
pub(super) fn ends(results: &Value) -> Vec<(&str, bool)> {
    let results = results.as_array().expect("a list").iter();
    results
        .map(|result| {
            let word = result["result"].as_str().expect("a word");
            (word, result["isBatchFinished"].as_bool().expect("a flag"))
        })
        .collect()
}
