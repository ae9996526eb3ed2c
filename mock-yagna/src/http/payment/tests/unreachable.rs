//! Decisions about documents of a provider whose node cannot be reached. Statuses, words and what holds
//! meanwhile are those that the daemon showed with the provider's daemon stopped or killed.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::daemon::{ACCEPT_TIMEOUT, Answer, Daemon, HOUR, INTERVAL, seconds};
use crate::control::Act;

const INVOICE: &str = "Timeout accepting Invoice on remote Node.";
const NOTE: &str = "Timeout accepting Debit Note on remote Node.";
const REJECTION: &str = "Timeout rejecting Invoice on remote Node.";

/// A daemon whose bob has sent a document.
struct Case {
    daemon: Daemon,
    allocation: String,
    agreement: String,
    /// Its path and its total.
    document: String,
    total: Value,
}

impl Case {
    /// With an invoice.
    async fn invoiced() -> Case {
        let daemon = Daemon::start();
        let allocation = daemon.allocate("1.0").await;
        let agreement = daemon.agree(json!({ ACCEPT_TIMEOUT: 240 }), 2 * HOUR).await;
        let activity = daemon.create_activity(&agreement).await;
        seconds(60).await;
        let path = format!("/activity-api/v1/activity/{activity}");
        daemon.call("DELETE", &path, Value::Null).await;
        daemon.terminate(&agreement).await;
        let events = daemon.get("/invoiceEvents?timeout=10").await;
        let id = events[0]["invoiceId"].as_str().expect("an id");
        let document = format!("/invoices/{id}");
        let total = daemon.get(&document).await["amount"].clone();
        Case {
            daemon,
            allocation,
            agreement,
            document,
            total,
        }
    }

    /// With a debit note that has to be accepted within four minutes.
    async fn noted() -> Case {
        let daemon = Daemon::start();
        let allocation = daemon.allocate("1.0").await;
        let terms = json!({ ACCEPT_TIMEOUT: 240, INTERVAL: 120 });
        let agreement = daemon.agree(terms, 2 * HOUR).await;
        daemon.create_activity(&agreement).await;
        seconds(120).await;
        let events = daemon.get("/debitNoteEvents?timeout=10").await;
        let id = events[0]["debitNoteId"].as_str().expect("an id");
        let document = format!("/debitNotes/{id}");
        let total = daemon.get(&document).await["totalAmountDue"].clone();
        Case {
            daemon,
            allocation,
            agreement,
            document,
            total,
        }
    }

    fn set_online(&self, online: bool) {
        let provider = "bob".to_owned();
        let act = Act::SetOnline { provider, online };
        self.daemon.mock.act(act).expect("there is a bob");
    }

    /// The answer to an acceptance, and how long it took in seconds.
    async fn accept(&self, query: &str) -> (Answer, f64) {
        let body = json!({ "totalAmountAccepted": self.total, "allocationId": self.allocation });
        self.decide(&format!("accept{query}"), body).await
    }

    async fn reject(&self, query: &str) -> (Answer, f64) {
        let body = json!({ "rejectionReason": "BAD_SERVICE", "totalAmountAccepted": "0" });
        self.decide(&format!("reject{query}"), body).await
    }

    async fn decide(&self, decision: &str, body: Value) -> (Answer, f64) {
        let begun = Instant::now();
        let path = format!("{}/{decision}", self.document);
        let answer = self.daemon.pay("POST", &path, body).await;
        (answer, begun.elapsed().as_secs_f64())
    }

    async fn status(&self) -> Value {
        self.daemon.get(&self.document).await["status"].clone()
    }

    async fn spent(&self) -> Value {
        let path = format!("/allocations/{}", self.allocation);
        self.daemon.get(&path).await["spentAmount"].clone()
    }

    fn is_lawful(&self) {
        assert_eq!(self.daemon.mock.summary().violations, []);
    }
}

#[track_caller]
fn assert_timeout((answer, took): &(Answer, f64), words: &str, after: f64) {
    assert_eq!(
        answer.status,
        StatusCode::GATEWAY_TIMEOUT,
        "{}",
        answer.body
    );
    assert_eq!(answer.kind, "application/json");
    assert_eq!(answer.json(), json!({ "message": words }));
    assert!((after..after + 0.1).contains(took), "{took} s");
}

#[track_caller]
fn assert_done((answer, took): &(Answer, f64), after: f64) {
    let seen = (answer.status, answer.body.as_str());
    assert_eq!(seen, (StatusCode::OK, "null"));
    assert!((after..after + 1.1).contains(took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_holds_at_once_and_is_504_after_15_s_if_the_provider_is_away() {
    let case = Case::invoiced().await;
    case.set_online(false);
    let (answer, ()) = tokio::join!(biased; case.accept(""), async {
        seconds(1).await;
        assert_eq!(case.status().await, "ACCEPTED", "while the daemon waits");
        assert_eq!(case.spent().await, case.total);
    });
    assert_timeout(&answer, INVOICE, 15.0);

    // It is done, and paid by now: said again, the provider need not be told, and nothing is paid twice.
    assert_done(&case.accept("").await, 0.0);
    assert_eq!(case.spent().await, case.total);
    assert_eq!(case.status().await, "SETTLED");
    let payments = case.daemon.get("/payments?timeout=0").await;
    assert_eq!(payments.as_array().map(Vec::len), Some(1), "{payments}");
    case.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_dead_provider_is_waited_for_as_long_as_the_query_says() {
    let case = Case::invoiced().await;
    let provider = "bob".to_owned();
    let act = Act::Die { provider };
    case.daemon.mock.act(act).expect("there is a bob");
    assert_timeout(&case.accept("?timeout=3").await, INVOICE, 3.0);
    assert_eq!(case.status().await, "ACCEPTED");
    case.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn an_accepted_debit_note_is_504_too_and_accepted() {
    let case = Case::noted().await;
    case.set_online(false);
    assert_timeout(&case.accept("?timeout=2").await, NOTE, 2.0);
    assert_eq!(case.status().await, "ACCEPTED");
    assert_eq!(case.spent().await, case.total);
    assert_done(&case.accept("?timeout=2").await, 0.0);
    case.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_504_too_and_can_be_taken_back() {
    let case = Case::invoiced().await;
    case.set_online(false);
    assert_timeout(&case.reject("").await, REJECTION, 15.0);
    assert_eq!(case.status().await, "REJECTED");
    assert_done(&case.reject("").await, 0.0);
    assert_timeout(&case.accept("?timeout=2").await, INVOICE, 2.0);
    assert_eq!(case.status().await, "ACCEPTED");
    let (refused, took) = case.reject("").await;
    assert_eq!(refused.json(), json!({ "message": "Invoice accepted" }));
    assert_eq!(took, 0.0);
    case.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn what_the_daemon_refuses_needs_no_provider() {
    let mut case = Case::invoiced().await;
    case.set_online(false);
    let total = std::mem::replace(&mut case.total, json!("5"));
    let (wrong, took) = case.accept("").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(took, 0.0);
    case.total = total;
    case.document = "/invoices/00000000-0000-4000-8000-000000000000".into();
    let (unknown, took) = case.accept("").await;
    assert_eq!((unknown.status, took), (StatusCode::NOT_FOUND, 0.0));
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_is_too_little_for_a_provider_that_is_there() {
    let case = Case::noted().await;
    assert_timeout(&case.accept("?timeout=0").await, NOTE, 0.0);
    assert_eq!(case.status().await, "ACCEPTED");
    assert_done(&case.accept("?timeout=0").await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_is_answered_when_the_provider_can_be_reached_again() {
    let case = Case::invoiced().await;
    case.set_online(false);
    let (answer, ()) = tokio::join!(biased; case.accept(""), async {
        seconds(5).await;
        case.set_online(true);
    });
    assert_done(&answer, 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_keeps_no_acceptance_waiting() {
    let case = Case::invoiced().await;
    let provider = "bob".to_owned();
    let silent = true;
    let act = Act::GoSilent { provider, silent };
    case.daemon.mock.act(act).expect("there is a bob");
    assert_done(&case.accept("").await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_back_has_heard_of_the_acceptance() {
    for accepted in [true, false] {
        let case = Case::noted().await;
        case.set_online(false);
        if accepted {
            assert_timeout(&case.accept("?timeout=1").await, NOTE, 1.0);
        }
        seconds(30).await;
        case.set_online(true);
        seconds(230).await;
        let path = format!("/market-api/v1/agreements/{}", case.agreement);
        let agreement = case.daemon.call("GET", &path, Value::Null).await.json();
        let state = if accepted { "Approved" } else { "Terminated" };
        assert_eq!(agreement["state"], state, "accepted: {accepted}");
        if !accepted {
            assert_eq!(
                case.daemon.end_of(&case.agreement).await,
                "DebitNotesDeadline"
            );
        }
        case.is_lawful();
    }
}

#[tokio::test(start_paused = true)]
async fn a_negative_timeout_ends_the_connection_and_decides_nothing() {
    let case = Case::invoiced().await;
    for decision in ["accept", "reject"] {
        let request = axum::http::Request::post(format!(
            "/payment-api/v1{}/{decision}?timeout=-1",
            case.document
        ))
        .header("authorization", "Bearer secret")
        .header("content-type", "application/json");
        let body = json!({
            "totalAmountAccepted": case.total,
            "allocationId": case.allocation,
            "rejectionReason": "BAD_SERVICE",
        });
        let request = request.body(body.to_string()).expect("a request");
        let router = case.daemon.mock.router();
        let response = tower::ServiceExt::oneshot(router, request).await;
        let response = response.expect("infallible");
        let body = http_body_util::BodyExt::collect(response.into_body()).await;
        assert!(body.is_err(), "{decision}: there is no answer");
        assert_eq!(case.status().await, "RECEIVED");
    }
    // What needs nobody is decided in any time.
    let other = json!({"totalAmountAccepted": "77", "allocationId": case.allocation});
    let path = format!("{}/accept?timeout=-1", case.document);
    let refused = case.daemon.pay("POST", &path, other).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    let second = Duration::from_secs(1);
    let answer = tokio::time::timeout(second, case.accept("?timeout=soon")).await;
    let (answer, _) = answer.expect("at once");
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    assert_eq!(case.status().await, "RECEIVED");
    for timeout in ["", "?timeout=-1", "?timeout=1e30"] {
        let (answer, _) = case.accept(timeout).await;
        assert_eq!(answer.status, StatusCode::OK, "{timeout}: {}", answer.body);
    }
}
