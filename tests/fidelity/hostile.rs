//! Hostile clients: whatever they send to whatever endpoint, nothing panics, nothing malformed is
//! accepted, and the ledger's laws hold.

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use mock_yagna::{Config, MockYagna, ProviderSpec, Timebase};
use proptest::prelude::*;
use tower::ServiceExt;

/// Every endpoint that takes a body, with ids that do not exist.
const WITH_BODY: [(&str, &str); 22] = [
    ("POST", "/market-api/v1/demands"),
    ("POST", "/market-api/v1/demands/ID/proposals/R-ID"),
    ("POST", "/market-api/v1/demands/ID/proposals/R-ID/reject"),
    ("POST", "/market-api/v1/agreements"),
    ("POST", "/market-api/v1/agreements/ID/terminate"),
    ("POST", "/market-api/v1/agreements/ID/cancel"),
    ("POST", "/market-api/v1/scan"),
    ("POST", "/activity-api/v1/activity"),
    ("POST", "/activity-api/v1/activity/ID/exec"),
    ("POST", "/payment-api/v1/allocations"),
    ("PUT", "/payment-api/v1/allocations/ID"),
    ("POST", "/payment-api/v1/invoices/ID/accept"),
    ("POST", "/payment-api/v1/invoices/ID/reject"),
    ("POST", "/payment-api/v1/debitNotes/ID/accept"),
    ("POST", "/payment-api/v1/debitNotes/ID/reject"),
    ("POST", "/gsb-api/v1/services"),
    ("POST", "/net-api/v1/net"),
    ("POST", "/net-api/v1/net/ID/nodes"),
    ("POST", "/net-api/v1/net/ID/addresses"),
    ("POST", "/net-api/v2/vpn/net"),
    ("POST", "/net-api/v2/vpn/net/ID/nodes"),
    ("POST", "/net-api/v2/vpn/net/ID/addresses"),
];

/// Every endpoint that names something, without a body.
const NAMING: [(&str, &str); 30] = [
    ("GET", "/market-api/v1/demands/ID/events?timeout=0"),
    ("GET", "/market-api/v1/demands/ID/proposals/R-ID"),
    ("DELETE", "/market-api/v1/demands/ID"),
    ("GET", "/market-api/v1/agreements/ID"),
    ("POST", "/market-api/v1/agreements/ID/confirm"),
    ("POST", "/market-api/v1/agreements/ID/wait?timeout=0"),
    ("GET", "/market-api/v1/agreements/ID/terminate/reason"),
    ("GET", "/market-api/v1/scan/ID/events?timeout=0"),
    ("DELETE", "/market-api/v1/scan/ID"),
    ("DELETE", "/activity-api/v1/activity/ID"),
    ("GET", "/activity-api/v1/activity/ID/state"),
    ("GET", "/activity-api/v1/activity/ID/usage"),
    ("GET", "/activity-api/v1/activity/ID/agreement"),
    ("GET", "/activity-api/v1/activity/ID/command"),
    ("GET", "/activity-api/v1/activity/ID/exec/ID"),
    ("POST", "/activity-api/v1/activity/ID/encrypted"),
    ("GET", "/payment-api/v1/allocations/ID"),
    ("DELETE", "/payment-api/v1/allocations/ID"),
    ("GET", "/payment-api/v1/demandDecorations?allocationIds=ID"),
    ("GET", "/payment-api/v1/invoices/ID"),
    ("GET", "/payment-api/v1/debitNotes/ID"),
    ("GET", "/payment-api/v1/debitNotes/ID/payments"),
    ("GET", "/payment-api/v1/payments/ID"),
    ("DELETE", "/gsb-api/v1/services/ID"),
    ("GET", "/net-api/v1/net/ID"),
    ("DELETE", "/net-api/v1/net/ID"),
    ("GET", "/net-api/v1/net/ID/nodes"),
    ("GET", "/net-api/v2/vpn/net/ID"),
    ("DELETE", "/net-api/v2/vpn/net/ID"),
    ("GET", "/net-api/v2/vpn/net/ID/addresses"),
];

/// Endpoints that take a query, each with the name of a parameter that is a number or a time.
const WITH_QUERY: [(&str, &str); 9] = [
    ("/market-api/v1/agreementEvents", "afterTimestamp"),
    ("/market-api/v1/agreementEvents", "maxEvents"),
    ("/market-api/v1/agreements", "afterDate"),
    ("/payment-api/v1/invoiceEvents", "afterTimestamp"),
    ("/payment-api/v1/debitNoteEvents", "afterTimestamp"),
    ("/payment-api/v1/invoiceEvents", "timeout"),
    ("/payment-api/v1/allocations", "afterTimestamp"),
    ("/payment-api/v1/invoices", "afterTimestamp"),
    ("/payment-api/v1/debitNotes", "afterTimestamp"),
];

async fn ask(router: &Router, method: &str, uri: &str, body: Vec<u8>) -> u16 {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", "Bearer secret")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    let response = router
        .clone()
        .oneshot(request)
        .await
        .expect("the router never fails");
    let (parts, body) = response.into_parts();
    if parts.status == 200
        && parts
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream")
    {
        return 200;
    }
    body.collect().await.expect("an answer is whole");
    parts.status.as_u16()
}

/// Runs `client` against a fresh network in virtual time, then checks its laws.
fn against<T>(client: impl AsyncFnOnce(Router) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let config = Config {
            providers: vec![ProviderSpec::new("p")],
            ..Config::default()
        };
        let epoch = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mock = MockYagna::start(config, Timebase::starting_at(epoch));
        let result = client(mock.router()).await;
        assert_eq!(
            ask(&mock.router(), "GET", "/me", Vec::new()).await,
            200,
            "it lives"
        );
        let summary = mock.summary();
        assert!(summary.violations.is_empty(), "{summary}");
        mock.stop().await;
        result
    })
}

/// What is no JSON of the kind that any endpoint takes.
fn malformed() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"{".to_vec()),
        Just(b"{}".to_vec()),
        Just(b"[]".to_vec()),
        Just(b"[[[[[[[[".to_vec()),
        Just(b"42".to_vec()),
        Just(b"true".to_vec()),
        Just("[".repeat(100_000).into_bytes()),
        Just(b"{\"properties\":1,\"text\":[],\"agreementId\":7,\"totalAmount\":{},\"listen\":3,\"message\":9}".to_vec()),
        proptest::collection::vec(any::<u8>(), 1..200).prop_filter("no JSON", |bytes| {
            serde_json::from_slice::<serde_json::Value>(bytes).is_err()
        }),
    ]
}

fn bad_id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-f]{32}",
        "[0-9a-f]{64}",
        "[0-9a-f]{32}-[0-9a-f]{64}",
        "[a-zA-Z0-9._~-]{1,80}",
        "(%[0-7][0-9a-f]){1,40}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_malformed_body_is_accepted_nowhere(body in malformed(), id in "[0-9a-f]{64}") {
        against(async |router| {
            for (method, path) in WITH_BODY {
                let status = ask(&router, method, &path.replace("ID", &id), body.clone()).await;
                prop_assert!((400..600).contains(&status), "{method} {path}: {status}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_id_of_nothing_is_accepted_nowhere(id in bad_id()) {
        against(async |router| {
            for (method, path) in NAMING {
                let status = ask(&router, method, &path.replace("ID", &id), Vec::new()).await;
                prop_assert!((400..600).contains(&status), "{method} {path} ({id}): {status}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_bad_query_is_accepted_nowhere(word in "[g-z]{1,12}") {
        against(async |router| {
            for (path, name) in WITH_QUERY {
                let status = ask(&router, "GET", &format!("{path}?{name}={word}"), Vec::new()).await;
                prop_assert_eq!(status, 400, "{} {}", path, name);
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_unknown_route_or_method_is_not_found(path in "(/[a-z0-9-]{1,12}){1,5}", method in "PATCH|TRACE|BREW|PUT|DELETE") {
        against(async |router| {
            let path = format!("/x{path}");
            prop_assert_eq!(ask(&router, "GET", &path, Vec::new()).await, 404);
            for (_, known) in WITH_BODY.iter().filter(|(usual, path)| *usual == "POST" && !path.ends_with("ID")) {
                let known = known.replace("ID", "00");
                let status = ask(&router, &method, &known, Vec::new()).await;
                prop_assert!(status == 404, "{} {}: {}", method, known, status);
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_huge_body_is_accepted_nowhere() {
    against(async |router| {
        let mut body = b"{\"properties\":{\"a\":\"".to_vec();
        body.resize(9 * 1024 * 1024, b'x');
        body.extend_from_slice(b"\"},\"constraints\":\"\"}");
        for (method, path) in WITH_BODY {
            let status = ask(&router, method, &path.replace("ID", "00"), body.clone()).await;
            assert!((400..600).contains(&status), "{method} {path}: {status}");
        }
    });
}
