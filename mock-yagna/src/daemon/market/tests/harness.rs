//! A client of the router that sees bytes, and the usual steps up to an agreement.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::config::{AppKey, Config, ProviderSpec};
use crate::{MockYagna, Timebase};

pub(super) const MARKET: &str = "/market-api/v1";

/// A running network and one caller's key.
pub(super) struct Api {
    pub(super) mock: MockYagna,
    router: Router,
    key: String,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// How long it took in virtual time, in seconds.
    pub(super) took: f64,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text))
    }

    pub(super) fn id(&self) -> String {
        self.json().as_str().expect("a JSON string").to_owned()
    }

    /// Status and error message.
    pub(super) fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.json()["message"]
                .as_str()
                .expect("a message")
                .to_owned(),
        )
    }
}

impl Api {
    pub(super) fn start(providers: Vec<ProviderSpec>) -> Api {
        Api::with(Config {
            providers,
            ..Config::default()
        })
    }

    pub(super) fn with(mut config: Config) -> Api {
        config.app_keys = vec![
            AppKey::new("secret", "requestor"),
            AppKey::new("other", "other-requestor"),
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

    /// The same network seen with this key.
    pub(super) fn with_key(&self, key: &str) -> Api {
        Api {
            mock: self.mock.clone(),
            router: self.router.clone(),
            key: key.into(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.mock.world().now()
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
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).expect("text"),
            took: begun.elapsed().as_secs_f64(),
        }
    }

    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&str>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Body::from(body.unwrap_or_default().to_owned());
        self.send(request.body(body).expect("a request")).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, &format!("{MARKET}{path}"), None)
            .await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(
            Method::POST,
            &format!("{MARKET}{path}"),
            Some(&body.to_string()),
        )
        .await
    }

    pub(super) async fn post_nothing(&self, path: &str) -> Answer {
        self.call(Method::POST, &format!("{MARKET}{path}"), None)
            .await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, &format!("{MARKET}{path}"), None)
            .await
    }

    /// A demand as clients send it, for 20 minutes of work.
    pub(super) fn demand_body(&self) -> Value {
        let expiration = self.now().as_millisecond() + 20 * 60 * 1000;
        json!({
            "properties": {
                "golem.srv.comp.expiration": expiration,
                "golem.srv.caps.multi-activity": true,
                "golem.node.debug.subnet": "public",
                "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
            },
            "constraints": "(&(golem.node.debug.subnet=public)\n\t(golem.runtime.name=vm))",
        })
    }

    pub(super) async fn demand(&self) -> String {
        let answer = self.post("/demands", self.demand_body()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.id()
    }

    /// Collects until something comes.
    pub(super) async fn collect(&self, demand: &str) -> Vec<Value> {
        let answer = self
            .get(&format!(
                "/demands/{demand}/events?timeout=10&maxEvents=100"
            ))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json().as_array().expect("a list").clone()
    }

    /// The id of the one proposal that comes next.
    pub(super) async fn proposal(&self, demand: &str) -> String {
        let events = self.collect(demand).await;
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]["proposal"]["proposalId"]
            .as_str()
            .expect("a proposal")
            .to_owned()
    }

    pub(super) async fn counter(&self, demand: &str, proposal: &str) -> Answer {
        self.post(
            &format!("/demands/{demand}/proposals/{proposal}"),
            self.demand_body(),
        )
        .await
    }

    /// A draft that can be promoted.
    pub(super) async fn draft(&self, demand: &str) -> String {
        let initial = self.proposal(demand).await;
        let answer = self.counter(demand, &initial).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.proposal(demand).await
    }

    pub(super) async fn promote(&self, draft: &str) -> Answer {
        let valid_to = self.now() + jiff::SignedDuration::from_mins(1);
        self.post(
            "/agreements",
            json!({ "proposalId": draft, "validTo": valid_to }),
        )
        .await
    }

    /// An agreement in state Proposal.
    pub(super) async fn agreement(&self, demand: &str) -> String {
        let draft = self.draft(demand).await;
        let answer = self.promote(&draft).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.id()
    }

    pub(super) async fn confirm(&self, agreement: &str) {
        let answer = self
            .post_nothing(&format!("/agreements/{agreement}/confirm?appSessionId=s"))
            .await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }

    pub(super) async fn wait(&self, agreement: &str, timeout: u32) -> Answer {
        self.post_nothing(&format!("/agreements/{agreement}/wait?timeout={timeout}"))
            .await
    }

    /// An approved agreement.
    pub(super) async fn approved(&self, demand: &str) -> String {
        let agreement = self.agreement(demand).await;
        self.confirm(&agreement).await;
        let answer = self.wait(&agreement, 10).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        agreement
    }

    pub(super) async fn state(&self, agreement: &str) -> String {
        let answer = self.get(&format!("/agreements/{agreement}")).await;
        answer.json()["state"].as_str().expect("a state").to_owned()
    }
}

/// One well-behaved provider.
pub(super) fn one() -> Vec<ProviderSpec> {
    vec![ProviderSpec::new("alice")]
}
