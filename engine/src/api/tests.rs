//! A daemon that misbehaves gets a typed error: no panic, no hang, no unbounded memory.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use golem_wire::{AgreementId, DemandId, ProposalId};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::gsb::Binding;
use super::market::{Approval, CounterFault};
use super::payment::Shortage;
use super::{ApiError, ApiErrorKind, Call, Limits, Outcome, Rest};
use crate::config::AppKey;
use crate::model::CollectedEvent;
use crate::transport::{Body, Transport};

fn limits() -> Limits {
    Limits {
        total: Duration::from_secs(5),
        idle: Duration::from_secs(1),
        max_bytes: 64 * 1024,
    }
}

fn rest(transport: Transport, base: &str) -> Rest {
    let base: http::Uri = base.parse().expect("literal");
    let key = AppKey::new("secret-key").expect("literal");
    Rest::new(transport, base, &key, limits())
}

/// Answers every request in memory with what `answer` makes.
fn canned(answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> Rest {
    let service = tower::service_fn(move |_: Request<Body>| {
        let response = answer();
        async move { Ok::<_, Infallible>(response) }
    });
    let refused = || Err(std::io::ErrorKind::ConnectionRefused.into());
    rest(Transport::in_memory(service, refused), "http://daemon")
}

fn full(status: u16, body: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).expect("literal");
    response
}

async fn me(rest: &Rest) -> Result<golem_wire::identity::Identity, ApiError> {
    rest.me().await
}

#[tokio::test]
async fn nonsense_instead_of_json_is_malformed_and_quoted() {
    for body in [
        "",
        "{",
        "[1,",
        "<html>no</html>",
        "{\"identity\":1}",
        "null",
        "\"x\"",
        "\u{1}",
    ] {
        let error = me(&canned(move || full(200, body))).await.expect_err(body);
        assert!(
            matches!(*error.kind, ApiErrorKind::Malformed { .. }),
            "{body}: {error}"
        );
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
    let error = me(&canned(|| full(200, "<html>no</html>")))
        .await
        .expect_err("html");
    assert!(error.to_string().contains("<html>"), "{error}");
    assert!(error.to_string().contains("/me"), "{error}");
}

#[tokio::test]
async fn deeply_nested_json_is_refused() {
    let deep = canned(|| {
        let text = "[".repeat(60_000);
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        Response::new(body.boxed_unsync())
    });
    let error = deep
        .send::<Value>(Call::get("x", "/x".into()))
        .await
        .expect_err("nested");
    assert!(matches!(*error.kind, ApiErrorKind::Malformed { .. }));
}

#[tokio::test]
async fn an_endless_body_stops_at_the_limit() {
    let endless = canned(|| {
        let frames = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 4096]))));
        Response::new(StreamBody::new(frames).boxed_unsync())
    });
    let error = me(&endless).await.expect_err("endless");
    assert!(
        matches!(*error.kind, ApiErrorKind::TooLarge { limit: 65536 }),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together_within_the_same_limit() {
    let whole = r#"{"identity":"0xme","name":"","role":"manager"}"#;
    let in_pieces = |text: String, size: usize| {
        canned(move || {
            let pieces = text.as_bytes().chunks(size).flat_map(|it| [it, b""]);
            let frames: Vec<_> = pieces
                .map(|it| Ok(Frame::data(Bytes::copy_from_slice(it))))
                .collect();
            Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
        })
    };
    for size in [1, 7, 30, whole.len()] {
        let rest = in_pieces(whole.to_owned(), size);
        let identity = me(&rest).await.expect("an identity").identity;
        assert_eq!(identity.as_str(), "0xme", "in pieces of {size}");
    }
    let most = whole.to_owned() + &" ".repeat(limits().max_bytes - whole.len());
    assert!(me(&in_pieces(most.clone(), 40_000)).await.is_ok());
    let error = me(&in_pieces(most + " ", 40_000))
        .await
        .expect_err("too much");
    assert!(matches!(
        *error.kind,
        ApiErrorKind::TooLarge { limit: 65536 }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_stops_at_the_deadline() {
    let dripping = canned(|| {
        let drops = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok(Frame::data(Bytes::from_static(b" ")))
        });
        Response::new(StreamBody::new(drops).boxed_unsync())
    });
    let started = tokio::time::Instant::now();
    let error = me(&dripping).await.expect_err("dripping");
    assert!(
        matches!(*error.kind, ApiErrorKind::Timeout { .. }),
        "{error}"
    );
    assert!(started.elapsed() <= limits().total);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_half_way_is_given_up_after_the_idle_time() {
    let stuck = canned(|| {
        let frames =
            stream::iter([Ok(Frame::data(Bytes::from_static(b"{")))]).chain(stream::pending());
        Response::new(StreamBody::new(frames).boxed_unsync())
    });
    let error = me(&stuck).await.expect_err("stuck");
    assert!(matches!(*error.kind, ApiErrorKind::Timeout { after } if after == limits().idle));
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_may_take_as_long_as_it_asked_for() {
    let service = tower::service_fn(|_: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok::<_, Infallible>(full(200, "[]"))
    });
    let refused = || Err(std::io::ErrorKind::ConnectionRefused.into());
    let rest = rest(Transport::in_memory(service, refused), "http://daemon");
    let poll = Call::get("x", "/x".into()).long_poll(Duration::from_secs(30));
    assert!(rest.send::<Vec<Value>>(poll).await.is_ok());
    assert!(
        rest.send::<Vec<Value>>(Call::get("x", "/x".into()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn one_object_of_a_list_that_makes_no_sense_hides_no_other() {
    let invoice = |id: &str, amount: Value| {
        json!({
            "invoiceId": id, "issuerId": "0x1", "recipientId": "0x2", "timestamp": "2026-01-01T00:00:00Z",
            "agreementId": "a", "activityIds": [], "amount": amount, "paymentDueDate": "2026-01-01T00:00:00Z",
            "payeeAddr": "0x1", "payerAddr": "0x2", "paymentPlatform": "erc20-hoodi-tglm", "status": "RECEIVED",
        })
    };
    let list = json!([
        invoice("first", json!("1.5")),
        invoice("strange", json!({"of": "another kind"})),
        5,
        null,
        [],
        {"invoiceId": "short"},
        invoice("last", json!("2")),
    ]);
    let list: &'static str = Box::leak(list.to_string().into_boxed_str());
    let daemon = canned(move || full(200, list));
    let invoices = daemon.payment().invoices(None).await.expect("a list");
    let ids: Vec<_> = invoices.iter().map(|it| it.invoice_id.as_str()).collect();
    assert_eq!(ids, ["first", "last"]);
    for nonsense in ["{}", "5", "null", "", "[", "[{]"] {
        let daemon = canned(move || full(200, nonsense));
        let error = daemon.payment().invoices(None).await.expect_err("no list");
        assert!(
            matches!(*error.kind, ApiErrorKind::Malformed { .. }),
            "{nonsense}: {error}"
        );
    }
}

#[tokio::test]
async fn a_number_that_nothing_can_hold_hides_neither_its_offer_nor_others() {
    let proposal = |id: &str, threads: &str| {
        format!(
            r#"{{"eventType":"ProposalEvent","eventDate":"2026-01-01T00:00:00Z","proposal":{{
            "properties":{{"golem.node.id.name":"p-{id}","golem.inf.cpu.threads":{threads}}},
            "constraints":"()","proposalId":"{id}","issuerId":"0x1","state":"Initial",
            "timestamp":"2026-01-01T00:00:00Z"}}}}"#
        )
    };
    // Read at once, and event by event since one of them is none.
    for nonsense in ["", "5, "] {
        let (strange, last) = (proposal("strange", "1e999"), proposal("last", "8"));
        let page: &'static str =
            Box::leak(format!("[{strange}, {nonsense}{last}]").into_boxed_str());
        let daemon = canned(move || full(200, page));
        let collected = daemon
            .market()
            .collect(&DemandId::new("d"), Duration::ZERO)
            .await;
        let offers = collected
            .expect("events")
            .into_iter()
            .map(|event| match event {
                CollectedEvent::Offer(offer) => (offer.provider_name().to_owned(), offer.threads()),
                _ => panic!("only offers were sent"),
            });
        let told = [("p-strange".to_owned(), 1), ("p-last".to_owned(), 8)];
        assert_eq!(offers.collect::<Vec<_>>(), told);
    }
}

#[tokio::test]
async fn a_feed_is_read_on_behind_an_event_of_which_only_the_date_can_be_read() {
    let event = |id: &str, second: u8| {
        format!(
            r#"{{"eventType":"AgreementApprovedEvent","eventDate":"2026-01-01T00:00:0{second}Z","agreementId":{id}}}"#
        )
    };
    let page = [
        event(r#""a""#, 1),
        event("1e999", 3),
        event("[]", 2),
        "5".into(),
    ];
    let page: &'static str = Box::leak(format!("[{}]", page.join(",")).into_boxed_str());
    let daemon = canned(move || full(200, page));
    let read = daemon.market().agreement_events("s", None, Duration::ZERO);
    let read = read.await.expect("a page");
    let ids: Vec<_> = read
        .events
        .iter()
        .map(|it| it.agreement_id.as_str())
        .collect();
    assert_eq!(ids, ["a"]);
    let last = "2026-01-01T00:00:03Z".parse().expect("literal");
    assert_eq!(read.passed_over, Some(last));
}

#[tokio::test]
async fn refusals_carry_status_and_words_in_every_form_the_daemon_uses() {
    for (status, body, words) in [
        (
            404,
            r#"{"message":"Agreement [x] not found."}"#,
            "Agreement [x] not found.",
        ),
        (404, r#"{"message":null}"#, "(no reason given)"),
        (404, "", "(no reason given)"),
        (
            400,
            "Query deserialize error: x",
            "Query deserialize error: x",
        ),
        (
            400,
            r#"{"type":"/a","detail":"Insufficient funds"}"#,
            "Insufficient funds",
        ),
    ] {
        let error = me(&canned(move || full(status, body)))
            .await
            .expect_err(body);
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status));
        assert_eq!(error.message(), Some(words));
        assert_eq!(error.outcome(), Outcome::Refused);
    }
    let error = me(&canned(|| full(401, "Invalid application key")))
        .await
        .expect_err("401");
    assert!(matches!(*error.kind, ApiErrorKind::Unauthorized { .. }));
    assert!(error.to_string().contains("YAGNA_APPKEY"));
    assert!(!format!("{error:?}").contains("secret-key"));
    let error = me(&canned(|| full(504, "null"))).await.expect_err("504");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_redirect_is_an_error_and_the_key_goes_nowhere() {
    let server = MockServer::start().await;
    let elsewhere = MockServer::start().await;
    let redirect = ResponseTemplate::new(302).insert_header("location", elsewhere.uri());
    Mock::given(any())
        .respond_with(redirect)
        .mount(&server)
        .await;
    let error = me(&rest(Transport::http(), &server.uri()))
        .await
        .expect_err("redirect");
    assert!(
        matches!(*error.kind, ApiErrorKind::Redirect { .. }),
        "{error}"
    );
    assert!(
        elsewhere
            .received_requests()
            .await
            .is_some_and(|requests| requests.is_empty())
    );
}

#[tokio::test]
async fn the_key_travels_in_the_authorization_header() {
    let server = MockServer::start().await;
    let answer = serde_json::json!({"identity": "0x1", "name": "n", "role": "manager"});
    Mock::given(wiremock::matchers::header(
        "authorization",
        "Bearer secret-key",
    ))
    .respond_with(ResponseTemplate::new(200).set_body_json(answer))
    .mount(&server)
    .await;
    let identity = me(&rest(Transport::http(), &server.uri()))
        .await
        .expect("identity");
    assert_eq!(identity.identity.as_str(), "0x1");
}

/// Serves `answer` to one connection on a real socket.
async fn raw(answer: &'static [u8], then_hang: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    crate::tasks::TaskGroup::new("raw").spawn("daemon", async move {
        let Ok((mut socket, _)) = listener.accept().await else {
            return;
        };
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await;
        let _ = socket.write_all(answer).await;
        if then_hang {
            std::future::pending::<()>().await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_truncated_answer_on_a_socket_is_broken() {
    let base = raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"identity\"",
        false,
    )
    .await;
    let error = me(&rest(Transport::http(), &base))
        .await
        .expect_err("truncated");
    assert!(
        matches!(*error.kind, ApiErrorKind::Broken { .. }),
        "{error}"
    );
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn an_answer_that_hangs_on_a_socket_times_out() {
    let base = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", true).await;
    let error = me(&rest(Transport::http(), &base))
        .await
        .expect_err("hanging");
    assert!(
        matches!(*error.kind, ApiErrorKind::Timeout { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn no_http_at_all_is_broken() {
    let base = raw(b"220 mail.example.com ESMTP\r\n", false).await;
    let error = me(&rest(Transport::http(), &base))
        .await
        .expect_err("no http");
    assert!(
        matches!(*error.kind, ApiErrorKind::Broken { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_says_where_and_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let error = me(&rest(Transport::http(), &base))
        .await
        .expect_err("nobody");
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(error.to_string().contains(&base), "{error}");
}

#[tokio::test]
async fn a_counter_proposal_fails_for_what_the_daemon_says_of_the_offer_the_demand_or_itself() {
    let demand = DemandId::new("d1");
    let base = golem_wire::market::DemandOfferBase {
        properties: serde_json::Map::new(),
        constraints: "()".into(),
    };
    for (status, body, fault) in [
        (
            410,
            r#"{"message":"Subscription [o7] expired."}"#,
            CounterFault::OfferOver,
        ),
        (
            410,
            r#"{"message":"Subscription [d1] expired."}"#,
            CounterFault::Refused,
        ),
        (
            410,
            r#"{"message":"Proposal [p] was countered already."}"#,
            CounterFault::Countered,
        ),
        (
            404,
            r#"{"message":"Subscription [o7] wasn't found."}"#,
            CounterFault::OfferOver,
        ),
        (400, r#"{"message":"no"}"#, CounterFault::Refused),
        (
            500,
            r#"{"message":"Subscription [o7] expired."}"#,
            CounterFault::Unclear,
        ),
    ] {
        let rest = canned(move || full(status, body));
        let error = rest
            .market()
            .counter(&demand, &ProposalId::new("p"), &base)
            .await;
        let error = error.expect_err(body);
        assert_eq!(CounterFault::of(&error, &demand), fault, "{status} {body}");
    }
}

#[tokio::test]
async fn an_agreement_that_is_not_approved_was_late_has_expired_or_was_refused() {
    let wait = Duration::ZERO;
    for (status, body, approval) in [
        (200, "null", Approval::Given),
        (408, r#"{"message":"timeout"}"#, Approval::NotInTime),
        (
            410,
            r#"{"message":"Expired"}"#,
            Approval::Expired("Expired".into()),
        ),
        (
            410,
            r#"{"message":"Rejected"}"#,
            Approval::Refused("Rejected".into()),
        ),
    ] {
        let rest = canned(move || full(status, body));
        let found = rest
            .market()
            .wait_for_approval(&AgreementId::new("a"), wait)
            .await;
        assert_eq!(found.expect(body), approval);
    }
    let rest = canned(|| full(404, ""));
    let lost = rest
        .market()
        .wait_for_approval(&AgreementId::new("a"), wait)
        .await;
    assert!(lost.is_err());
}

#[tokio::test]
async fn an_address_that_is_bound_already_is_told_from_a_refusal() {
    let taken = canned(|| {
        full(
            400,
            r#"{"message":"Duplicated Service Address: /public/x"}"#,
        )
    });
    let found = taken.gsb().bind("/public/x", &[]).await.expect("an answer");
    assert_eq!(found, Binding::Taken);
    let refused = canned(|| full(400, r#"{"message":"no"}"#));
    assert!(refused.gsb().bind("/public/x", &[]).await.is_err());
}

#[tokio::test]
async fn a_budget_that_does_not_fit_says_what_there_is() {
    let shortage = r#"{"requestedFunds":"5","availableFunds":"1.5","reservedFunds":"0"}"#;
    let error = me(&canned(move || full(400, shortage)))
        .await
        .expect_err("400");
    let found = Shortage::of(&error).expect("a shortage");
    assert_eq!(found.available.to_string(), "1.5");
    assert!(found.reserved.is_zero() && found.requested.is_some());
    let error = me(&canned(|| full(400, r#"{"message":"no"}"#)))
        .await
        .expect_err("400");
    assert_eq!(Shortage::of(&error), None);
}
