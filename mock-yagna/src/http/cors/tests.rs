//! The words and headers are those that the daemon answered to the same requests.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::config::{AppKey, Config};
use crate::{MockYagna, ProviderSpec, Timebase};

const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
const A: &str = "http://a.example";
const B: &str = "http://b.example:3000";
const FOREIGN: &str = "http://c.example";

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    /// The origin whose pages may read it.
    fn readable_by(&self) -> Option<&str> {
        let header = self.headers.get("access-control-allow-origin")?;
        header.to_str().ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How many headers of it are about origins.
    fn about_origins(&self) -> usize {
        let names = self.headers.keys().map(|name| name.as_str());
        names
            .filter(|name| name.starts_with("access-control-"))
            .count()
    }
}

/// Sends `METHOD path` with the given headers.
async fn send(router: &Router, line: &str, headers: &[(&str, &str)]) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

/// `secret` allows no origin, `of-a` allows [`A`], `of-b` both, a provider's key `of-bob` [`B`].
fn network(everybody: &[&str]) -> Router {
    let key = |key: &str, origins: &[&str]| {
        let mut app_key = AppKey::new(key, key);
        app_key.allow_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        app_key
    };
    let mut bob = ProviderSpec::new("bob");
    bob.app_key = Some(key("of-bob", &[B]));
    let config = Config {
        app_keys: vec![key("secret", &[]), key("of-a", &[A]), key("of-b", &[A, B])],
        allow_origins: everybody.iter().map(|o| (*o).to_owned()).collect(),
        providers: vec![bob],
        ..Config::default()
    };
    config.check().expect("a possible network");
    MockYagna::start(config, Timebase::wall_clock()).router()
}

async fn preflight(router: &Router, path: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    send(router, &format!("OPTIONS {path}"), &headers).await
}

#[tokio::test(start_paused = true)]
async fn a_preflight_needs_no_key_and_any_keys_origin_will_do() {
    let router = network(&[]);
    for path in [
        "/me",
        "/me?authToken=secret",
        "/nonexistent",
        "/version/get",
    ] {
        for origin in [A, B] {
            let answer = preflight(&router, path, origin).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
            assert_eq!(answer.readable_by(), Some(origin));
            assert_eq!(answer.header("access-control-max-age"), Some("3600"));
            assert_eq!(
                answer.header("access-control-allow-headers"),
                Some("authorization,content-type")
            );
            assert_eq!(answer.header("vary"), Some(VARY));
            let methods = answer.header("access-control-allow-methods");
            let mut methods: Vec<_> = methods.expect("methods").split(", ").collect();
            methods.sort_unstable();
            assert_eq!(
                methods,
                [
                    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"
                ]
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_preflight_of_a_foreign_origin_is_refused_whatever_key_it_brings() {
    let router = network(&[]);
    let upper = A.to_uppercase();
    for origin in [FOREIGN, "http://b.example", &upper, "null", "nonsense"] {
        let answer = preflight(&router, "/me", origin).await;
        let words = "Origin is not allowed to make this request";
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (400, words),
            "{origin}"
        );
        assert_eq!(answer.about_origins(), 0);
        assert_eq!(answer.header("vary"), None);
        assert_eq!(answer.header("content-type"), None);
    }
    let headers = [
        ("origin", FOREIGN),
        ("access-control-request-method", "GET"),
        ("authorization", "Bearer of-a"),
    ];
    assert_eq!(send(&router, "OPTIONS /me", &headers).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn an_odd_preflight_is_refused_in_the_daemons_words() {
    let router = network(&[]);
    let asks = |origin: &'static str, method: &'static str| {
        vec![
            ("origin", origin),
            ("access-control-request-method", method),
        ]
    };
    let nameless = vec![("access-control-request-method", "GET")];
    for (headers, words) in [
        (
            nameless,
            "Request header `Origin` is required but was not provided",
        ),
        (asks(A, "FOO"), "Requested method is not allowed"),
        (asks(A, "get"), "Requested method is not allowed"),
        (
            asks(FOREIGN, "FOO"),
            "Origin is not allowed to make this request",
        ),
    ] {
        let answer = send(&router, "OPTIONS /me", &headers).await;
        assert_eq!((answer.status, answer.text.as_str()), (400, words));
    }
    let plain = send(&router, "OPTIONS /me", &asks(A, "PATCH")).await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("access-control-allow-headers"), None);
}

#[tokio::test(start_paused = true)]
async fn an_options_that_is_no_preflight_is_a_method_that_does_not_exist() {
    let router = network(&[]);
    for headers in [vec![("origin", A)], vec![]] {
        let answer = send(&router, "OPTIONS /me", &headers).await;
        assert_eq!(
            (answer.status, answer.text.as_str(), answer.about_origins()),
            (401, "Missing application key", 0)
        );
    }
    let bogus = [
        ("origin", A),
        ("access-control-request-method", "NO METHOD"),
    ];
    assert_eq!(send(&router, "OPTIONS /me", &bogus).await.status, 401);
    // Other than with other methods, the origins of all keys count.
    for (origin, readable) in [(A, Some(A)), (B, Some(B)), (FOREIGN, None)] {
        let headers = [("origin", origin), ("authorization", "Bearer of-a")];
        let answer = send(&router, "OPTIONS /me", &headers).await;
        assert_eq!((answer.status, answer.readable_by()), (404, readable));
        assert_eq!(answer.header("vary"), Some(VARY));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_reads_answers_if_the_key_allows_its_origin() {
    let router = network(&[]);
    for (key, origin, readable) in [
        ("of-a", A, true),
        ("of-a", B, false),
        ("of-b", A, true),
        ("of-b", B, true),
        ("of-bob", B, true),
        ("of-bob", A, false),
        ("of-b", FOREIGN, false),
        ("of-a", "http://A.example", false),
        ("secret", A, false),
        ("secret", "null", false),
    ] {
        let authorization = format!("Bearer {key}");
        let headers = [("origin", origin), ("authorization", &authorization)];
        for (line, status) in [
            ("GET /me", 200),
            ("GET /version/get", 200),
            ("GET /nonexistent", 404),
            ("POST /market-api/v1/demands", 400),
            ("HEAD /me", 404),
        ] {
            let answer = send(&router, line, &headers).await;
            assert_eq!(answer.status, status, "{line} is answered all the same");
            assert_eq!(
                answer.readable_by(),
                readable.then_some(origin),
                "{key} {origin} {line}"
            );
            assert_eq!(answer.header("vary"), Some(VARY), "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_key_in_the_authorization_allows_an_origin() {
    let router = network(&[]);
    let origin = ("origin", A);
    let of_a = ("authorization", "Bearer of-a");
    for (line, headers, readable) in [
        ("GET /me?authToken=of-a", vec![origin], None),
        ("GET /me?authToken=secret", vec![origin, of_a], Some(A)),
        ("GET /version/get", vec![origin], None),
        (
            "GET /version/get",
            vec![origin, ("authorization", "Bearer wrong")],
            None,
        ),
        ("GET /me", vec![of_a], None),
    ] {
        let answer = send(&router, line, &headers).await;
        assert_eq!(
            (answer.status, answer.readable_by()),
            (200, readable),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_says_nothing_about_origins() {
    let router = network(&["*"]);
    for authorization in [None, Some(("authorization", "Bearer wrong"))] {
        let mut headers = vec![("origin", A)];
        headers.extend(authorization);
        let answer = send(&router, "GET /me", &headers).await;
        assert_eq!((answer.status, answer.about_origins()), (401, 0));
        assert_eq!(answer.header("vary"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_allowed_for_everybody_needs_no_key_that_allows_it() {
    for (everybody, origin, allowed) in [
        (A, A, true),
        (A, FOREIGN, false),
        ("*", FOREIGN, true),
        ("*", "null", true),
    ] {
        let router = network(&[everybody]);
        let expected = allowed.then_some(origin);
        let refused = if allowed { 200 } else { 400 };
        assert_eq!(preflight(&router, "/me", origin).await.status, refused);
        let bare = [("origin", origin)];
        let secret = [("origin", origin), ("authorization", "Bearer secret")];
        for (line, headers) in [
            ("GET /me", &secret[..]),
            ("GET /me?authToken=secret", &bare),
            ("GET /version/get", &bare),
        ] {
            let answer = send(&router, line, headers).await;
            assert_eq!(
                (answer.status, answer.readable_by()),
                (200, expected),
                "{everybody} {origin} {line}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_control_api_and_faulty_answers_can_be_read_as_well() {
    let config = Config {
        allow_origins: vec![A.into()],
        faults: vec![
            serde_json::from_str(r#"{"on": "GET /me", "do": {"refuse": 408}}"#).expect("a fault"),
        ],
        ..Config::default()
    };
    let mock = MockYagna::start(config, Timebase::wall_clock());
    let headers = [("origin", A), ("authorization", "Bearer secret")];
    for (router, line, status) in [
        (mock.router(), "GET /me", 408),
        (mock.router(), "GET /mock-api/v1/providers", 200),
        (mock.control_router(), "GET /mock-api/v1/providers", 200),
    ] {
        let answer = send(&router, line, &headers).await;
        assert_eq!(
            (answer.status, answer.readable_by()),
            (status, Some(A)),
            "{line}"
        );
    }
    let control = preflight(&mock.control_router(), "/mock-api/v1/acts", A).await;
    assert_eq!(control.status, 200);
}

#[test]
fn an_origin_that_no_browser_says_is_refused() {
    let with = |origin: &str| {
        Config {
            allow_origins: vec![origin.into()],
            ..Config::default()
        }
        .check()
    };
    for origin in [
        "*",
        "null",
        A,
        B,
        "https://[::1]:8080",
        "chrome-extension://abc",
    ] {
        assert_eq!(with(origin), Ok(()), "{origin}");
    }
    for odd in [
        "",
        "localhost:8080",
        "http://a.example/",
        "http://a.example/app",
        "http://A.example",
        "http://",
        "://a",
        "http://*.example",
        "http://a example",
    ] {
        let error = with(odd).expect_err(odd).to_string();
        assert!(
            error.starts_with(&format!("`{odd}` is no origin")),
            "{error}"
        );
    }
    let mut key = AppKey::new("k", "k");
    key.allow_origins = vec!["http://a.example/".into()];
    let config = Config {
        app_keys: vec![key],
        ..Config::default()
    };
    assert!(
        config.check().is_err(),
        "the list of a key is looked at, too"
    );
}
