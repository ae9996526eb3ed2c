//! The payment API with raw JSON, in virtual time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::config::{AppKey, Config, Prices, ProviderSpec};
use crate::{MockYagna, Timebase};

const INTERVAL: &str = "golem.com.scheme.payu.debit-note.interval-sec?";
const PAYMENT_TIMEOUT: &str = "golem.com.scheme.payu.payment-timeout-sec?";
const ACCEPT_TIMEOUT: &str = "golem.com.payment.debit-notes.accept-timeout?";

struct Answer {
    status: StatusCode,
    kind: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

struct Daemon {
    mock: MockYagna,
}

impl Daemon {
    fn start() -> Self {
        let prices = Prices {
            start: "0.01".parse().expect("amount"),
            cpu_sec: golem_wire::Glm::ZERO,
            duration_sec: "0.0001".parse().expect("amount"),
        };
        let config = Config {
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

    async fn send(&self, request: Request<Body>) -> Answer {
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

    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.raw(method, path, "secret", &[], text).await
    }

    async fn raw(
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

    async fn pay(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(method, &format!("/payment-api/v1{path}"), body)
            .await
    }

    async fn get(&self, path: &str) -> Value {
        self.pay("GET", path, Value::Null).await.json()
    }

    async fn allocate(&self, amount: &str) -> String {
        let body = json!({ "totalAmount": amount, "makeDeposit": false });
        let created = self.pay("POST", "/allocations", body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
        created.json()["allocationId"]
            .as_str()
            .expect("id")
            .to_owned()
    }

    /// Negotiates with bob and returns the approved agreement.
    async fn agree(&self, extra: Value, life: Duration) -> String {
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

    async fn create_activity(&self, agreement: &str) -> String {
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

    async fn terminate(&self, agreement: &str) {
        let path = format!("/market-api/v1/agreements/{agreement}/terminate");
        assert_eq!(
            self.call("POST", &path, json!({ "message": "done" }))
                .await
                .status,
            StatusCode::OK
        );
    }

    async fn end_of(&self, agreement: &str) -> Value {
        let path = format!("/market-api/v1/agreements/{agreement}/terminate/reason");
        self.call("GET", &path, Value::Null).await.json()["reason"]["golem.provider.code"].clone()
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

const HOUR: Duration = Duration::from_secs(3600);
/// Providers take it without payments on the way.
const SHORT: Duration = Duration::from_secs(1500);

#[tokio::test(start_paused = true)]
async fn a_rented_hour_is_paid_for() {
    let daemon = Daemon::start();
    let allocation = daemon.allocate("1.0").await;
    let agreement = daemon.agree(json!({ ACCEPT_TIMEOUT: 240 }), 2 * HOUR).await;
    let activity = daemon.create_activity(&agreement).await;
    seconds(3600).await;
    assert_eq!(
        daemon.get("/debitNotes").await,
        json!([]),
        "no interval, no notes"
    );
    daemon
        .call(
            "DELETE",
            &format!("/activity-api/v1/activity/{activity}"),
            Value::Null,
        )
        .await;
    daemon.terminate(&agreement).await;

    let events = daemon
        .get("/invoiceEvents?timeout=10&appSessionId=app")
        .await;
    assert_eq!(events[0]["eventType"], "InvoiceReceivedEvent", "{events}");
    let id = events[0]["invoiceId"].as_str().expect("id").to_owned();
    let invoice = daemon.get(&format!("/invoices/{id}")).await;
    let wallet = daemon.get(&format!("/allocations/{allocation}")).await["address"].clone();
    for (member, value) in [
        ("status", json!("RECEIVED")),
        ("agreementId", json!(agreement)),
        ("activityIds", json!([activity])),
        ("payerAddr", wallet),
        ("paymentPlatform", json!("erc20-holesky-tglm")),
    ] {
        assert_eq!(invoice[member], value, "{member} of {invoice}");
    }
    let note = &daemon.get("/debitNotes").await[0];
    assert_eq!(
        note["totalAmountDue"], invoice["amount"],
        "the last note says what the invoice says"
    );
    let used = note["usageCounterVector"].as_array().expect("vector");
    let lived = used.iter().filter_map(Value::as_f64).fold(0.0, f64::max);
    assert!((3600.0..3602.0).contains(&lived), "{note}");
    let cost = golem_wire::Glm::new(
        "0.01".parse::<rust_decimal::Decimal>().expect("decimal")
            + lived
                .to_string()
                .parse::<rust_decimal::Decimal>()
                .expect("decimal")
                * "0.0001".parse::<rust_decimal::Decimal>().expect("decimal"),
    );
    assert_eq!(invoice["amount"], json!(cost.normalized()));

    let accept = json!({ "totalAmountAccepted": invoice["amount"], "allocationId": allocation });
    let accepted = daemon
        .pay("POST", &format!("/invoices/{id}/accept"), accept)
        .await;
    assert_eq!(
        (accepted.status, accepted.body.as_str()),
        (StatusCode::OK, "null")
    );
    assert_eq!(accepted.kind, "application/json");
    let left = daemon.get(&format!("/allocations/{allocation}")).await;
    assert_eq!(left["spentAmount"], invoice["amount"]);
    let spent = daemon
        .get(&format!("/allocations/{allocation}/expenditures"))
        .await;
    assert_eq!(spent[0]["acceptedAmount"], invoice["amount"]);
    assert_eq!(spent[0]["scheduledAmount"], "0");

    let paid = daemon.get("/payments?timeout=60").await;
    assert_eq!(paid[0]["amount"], invoice["amount"], "{paid}");
    assert_eq!(
        paid[0]["agreementPayments"][0]["agreementId"],
        json!(agreement)
    );
    assert_eq!(
        daemon.get(&format!("/invoices/{id}")).await["status"],
        "SETTLED"
    );
    assert_eq!(daemon.get(&format!("/invoices/{id}/payments")).await, paid);
    let payment = paid[0]["paymentId"].as_str().expect("id");
    assert_eq!(daemon.get(&format!("/payments/{payment}")).await, paid[0]);
    let orders = daemon
        .get(&format!("/allocations/{allocation}/orders"))
        .await;
    assert_eq!(orders[0]["invoiceId"], json!(id));
    assert_eq!(orders[0]["debitNoteId"], Value::Null);

    let path = "/payment-api/v1/invoiceEvents?timeout=0";
    let usual = daemon.get("/invoiceEvents?timeout=0").await;
    assert_eq!(
        usual.as_array().map(Vec::len),
        Some(1),
        "a requestor is not told what it did"
    );
    let asked = [("X-Requestor-Events", "RECEIVED, SETTLED")];
    let asked = daemon
        .raw("GET", path, "secret", &asked, String::new())
        .await
        .json();
    assert_eq!(asked[1]["eventType"], "InvoiceSettledEvent", "{asked}");
    let stranger = daemon
        .raw("GET", path, "other", &[], String::new())
        .await
        .json();
    assert_eq!(stranger, json!([]));
    let last = usual[0]["eventDate"].as_str().expect("stamp");
    let later = daemon
        .get(&format!("/invoiceEvents?timeout=0&afterTimestamp={last}"))
        .await;
    assert_eq!(later, json!([]), "stamps compare strictly");

    assert_eq!(
        daemon
            .pay("DELETE", &format!("/allocations/{allocation}"), Value::Null)
            .await
            .body,
        "null"
    );
    let summary = daemon.mock.summary();
    assert_eq!(
        (summary.violations.as_slice(), summary.open.as_slice()),
        (&[][..], &[][..])
    );
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn notes_come_at_the_negotiated_interval_and_the_payable_ones_get_paid() {
    let daemon = Daemon::start();
    let allocation = daemon.allocate("1.0").await;
    let terms = json!({ INTERVAL: 120, PAYMENT_TIMEOUT: 240, ACCEPT_TIMEOUT: 240 });
    let agreement = daemon.agree(terms, 2 * HOUR).await;
    let activity = daemon.create_activity(&agreement).await;
    let mut after = "2026-11-22T01:00:00Z".to_owned();
    let mut notes = Vec::new();
    for _ in 0..4 {
        let before = daemon.mock.world().now();
        let path = format!("/debitNoteEvents?timeout=200&appSessionId=app&afterTimestamp={after}");
        let events = daemon.get(&path).await;
        let waited = daemon.mock.world().now().duration_since(before).as_secs();
        assert!(
            (100..=121).contains(&waited),
            "waited {waited} s for {events}"
        );
        after = events[0]["eventDate"].as_str().expect("stamp").to_owned();
        let id = events[0]["debitNoteId"].as_str().expect("id").to_owned();
        let note = daemon.get(&format!("/debitNotes/{id}")).await;
        let accept =
            json!({ "totalAmountAccepted": note["totalAmountDue"], "allocationId": allocation });
        let accepted = daemon
            .pay("POST", &format!("/debitNotes/{id}/accept"), accept)
            .await;
        assert_eq!(
            (accepted.status, accepted.body.as_str()),
            (StatusCode::OK, "null")
        );
        notes.push(note);
    }
    let payable: Vec<_> = notes
        .iter()
        .map(|note| note.get("paymentDueDate").is_some())
        .collect();
    assert_eq!(payable, [false, true, false, true]);
    assert!(notes[0].get("previousDebitNoteId").is_none());
    assert_eq!(notes[3]["previousDebitNoteId"], notes[2]["debitNoteId"]);
    seconds(30).await;
    for note in daemon.get("/debitNotes").await.as_array().expect("list") {
        assert_eq!(note["status"], "SETTLED", "{note}");
    }
    daemon.terminate(&agreement).await;
    seconds(5).await;
    let notes = daemon.get("/debitNotes").await;
    let last = &notes[4];
    assert_eq!(
        last["activityId"],
        json!(activity),
        "the last note comes with the end of the activity"
    );
    let invoice = &daemon.get("/invoices").await[0];
    assert_eq!(invoice["amount"], last["totalAmountDue"]);
    assert_eq!(daemon.mock.summary().violations, []);
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn providers_end_agreements_that_are_idle_over_or_not_paid_for() {
    let daemon = Daemon::start();
    let idle = daemon.agree(json!({}), SHORT).await;
    seconds(89).await;
    assert_eq!(daemon.end_of(&idle).await, Value::Null);
    seconds(2).await;
    assert_eq!(daemon.end_of(&idle).await, "NoActivity");

    let idle_again = daemon.agree(json!({}), SHORT).await;
    let activity = daemon.create_activity(&idle_again).await;
    seconds(600).await;
    daemon
        .call(
            "DELETE",
            &format!("/activity-api/v1/activity/{activity}"),
            Value::Null,
        )
        .await;
    seconds(85).await;
    assert_eq!(daemon.end_of(&idle_again).await, Value::Null);
    seconds(10).await;
    assert_eq!(daemon.end_of(&idle_again).await, "NoActivity");

    let unpaid = daemon
        .agree(json!({ INTERVAL: 60, ACCEPT_TIMEOUT: 120 }), SHORT)
        .await;
    daemon.create_activity(&unpaid).await;
    seconds(175).await;
    assert_eq!(daemon.end_of(&unpaid).await, Value::Null);
    seconds(10).await;
    assert_eq!(daemon.end_of(&unpaid).await, "DebitNotesDeadline");

    let unsettled = daemon
        .agree(json!({ INTERVAL: 60, PAYMENT_TIMEOUT: 60 }), SHORT)
        .await;
    daemon.create_activity(&unsettled).await;
    seconds(190).await;
    assert_eq!(daemon.end_of(&unsettled).await, "DebitNoteNotPaid");

    let short = daemon.agree(json!({}), Duration::from_secs(400)).await;
    daemon.create_activity(&short).await;
    seconds(401).await;
    assert_eq!(daemon.end_of(&short).await, "Expired");

    let single = daemon
        .agree(json!({ "golem.srv.caps.multi-activity": false }), SHORT)
        .await;
    let activity = daemon.create_activity(&single).await;
    daemon
        .call(
            "DELETE",
            &format!("/activity-api/v1/activity/{activity}"),
            Value::Null,
        )
        .await;
    seconds(1).await;
    assert_eq!(daemon.end_of(&single).await, "Success");

    seconds(1).await;
    let invoices = daemon.get("/invoices").await;
    assert_eq!(
        invoices.as_array().map(Vec::len),
        Some(6),
        "every ended agreement is billed: {invoices}"
    );
    assert_eq!(daemon.mock.summary().violations, []);
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_served_get_the_recorded_answers() {
    const TEXT: &str = "text/plain; charset=utf-8";
    const JSON: &str = "application/json";
    const PROBLEM: &str = "application/problem+json";
    let daemon = Daemon::start();
    let live = daemon.allocate("1").await;
    let released = daemon.allocate("1").await;
    daemon
        .pay("DELETE", &format!("/allocations/{released}"), Value::Null)
        .await;
    let null = r#"{"message":null}"#;
    let late = json!({ "timeout": "2026-11-22T00:59:00+00:00" });
    let accept = json!({ "totalAmountAccepted": "1", "allocationId": live });
    let reject = json!({ "rejectionReason": "BAD_SERVICE", "totalAmountAccepted": "0" });
    // method, path, body, status, content type, a part of the body
    let table = [
        (
            "POST",
            "/allocations".into(),
            json!({}),
            400,
            TEXT,
            "Json deserialize error: missing field `totalAmount`",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "abc" }),
            400,
            TEXT,
            "Json deserialize error: ",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "1", "timeout": "tomorrow" }),
            400,
            TEXT,
            "Json deserialize error: input contains invalid characters",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "1", "paymentPlatform": "nope" }),
            400,
            PROBLEM,
            "\"parseError\":\"paymentPlatform must be of the form driver-network-token instead of nope\"",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "1", "paymentPlatform": { "network": "nope" } }),
            400,
            PROBLEM,
            "\"requestedPaymentPlatform\":{\"driver\":null,\"network\":\"nope\",\"token\":null}",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "1", "address": "0x1234567890123456789012345678901234567890" }),
            500,
            PROBLEM,
            "due to error Account 0x1234567890123456789012345678901234567890 not found in active accounts",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "1", "address": "zzz" }),
            500,
            PROBLEM,
            "Error when parsing identity key: zzz - Invalid character 'z' at position 0",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "1", "timeout": "2026-11-22T00:59:00+00:00" }),
            400,
            PROBLEM,
            "\"requestedTimeout\":\"2026-11-22T00:59:00+00:00\"",
        ),
        (
            "POST",
            "/allocations".into(),
            json!({ "totalAmount": "5000" }),
            400,
            PROBLEM,
            "\"/payment-api/v1/allocations/validation-error/insufficient-account-funds\"",
        ),
        (
            "PUT",
            format!("/allocations/{live}"),
            late,
            400,
            JSON,
            r#"{"message":"New allocation timeout is in the past"}"#,
        ),
        (
            "PUT",
            format!("/allocations/{live}"),
            json!({ "totalAmount": "-1" }),
            400,
            JSON,
            r#"{"message":"New allocation would be smaller than the already spent amount"}"#,
        ),
        (
            "PUT",
            format!("/allocations/{live}"),
            json!({ "totalAmount": "50000" }),
            400,
            PROBLEM,
            "\"requestedFunds\":\"49999\"",
        ),
        (
            "PUT",
            "/allocations/unknown".into(),
            json!({ "totalAmount": "5" }),
            404,
            JSON,
            null,
        ),
        (
            "PUT",
            format!("/allocations/{released}"),
            json!({ "totalAmount": "5" }),
            404,
            JSON,
            null,
        ),
        (
            "GET",
            format!("/allocations/{released}"),
            Value::Null,
            404,
            JSON,
            null,
        ),
        (
            "DELETE",
            "/allocations/unknown".into(),
            Value::Null,
            404,
            JSON,
            null,
        ),
        (
            "DELETE",
            format!("/allocations/{released}"),
            Value::Null,
            410,
            JSON,
            "has been already released",
        ),
        (
            "GET",
            "/allocations?afterTimestamp=zzz".into(),
            Value::Null,
            400,
            TEXT,
            "Query deserialize error: ",
        ),
        (
            "GET",
            "/demandDecorations".into(),
            Value::Null,
            400,
            TEXT,
            "Query deserialize error: missing field `allocationIds`",
        ),
        (
            "GET",
            "/demandDecorations?allocationIds=".into(),
            Value::Null,
            404,
            JSON,
            null,
        ),
        (
            "GET",
            format!("/demandDecorations?allocationIds={live},{released}"),
            Value::Null,
            404,
            JSON,
            null,
        ),
        (
            "GET",
            format!("/demandDecorations?allocationIds={live}%2Cb"),
            Value::Null,
            400,
            TEXT,
            "expected a borrowed string",
        ),
        ("GET", "/invoices/nope".into(), Value::Null, 404, JSON, null),
        (
            "GET",
            "/debitNotes/nope".into(),
            Value::Null,
            404,
            JSON,
            null,
        ),
        (
            "GET",
            "/debitNotes/nope/payments".into(),
            Value::Null,
            501,
            JSON,
            null,
        ),
        (
            "POST",
            "/debitNotes/nope/accept".into(),
            accept.clone(),
            404,
            JSON,
            null,
        ),
        (
            "POST",
            "/debitNotes/nope/reject".into(),
            reject.clone(),
            501,
            JSON,
            null,
        ),
        (
            "POST",
            "/invoices/nope/accept".into(),
            accept,
            404,
            JSON,
            null,
        ),
        (
            "POST",
            "/invoices/nope/accept".into(),
            Value::Null,
            400,
            TEXT,
            "Json deserialize error: EOF while parsing a value",
        ),
        (
            "POST",
            "/invoices/nope/reject".into(),
            reject,
            404,
            JSON,
            null,
        ),
        (
            "POST",
            "/invoices/nope/reject".into(),
            json!({ "rejectionReason": "NOPE", "totalAmountAccepted": "0" }),
            400,
            TEXT,
            "Json deserialize error: unknown variant `NOPE`, expected one of `UNSOLICITED_SERVICE`, `BAD_SERVICE`, `INCORRECT_AMOUNT`",
        ),
        (
            "GET",
            "/debitNoteEvents?timeout=0&afterTimestamp=2026-11-22T00:00:00+00:00".into(),
            Value::Null,
            400,
            TEXT,
            "Query deserialize error: input contains invalid characters",
        ),
        ("GET", "/payments/nope".into(), Value::Null, 404, JSON, null),
        (
            "GET",
            "/payments?timeout=0&network=zzz".into(),
            Value::Null,
            500,
            JSON,
            "Matching variant not found",
        ),
        (
            "GET",
            "/payments/status?driver=nope".into(),
            Value::Null,
            404,
            JSON,
            "Requested driver not registered nope",
        ),
        (
            "GET",
            "/payments/status?network=nope".into(),
            Value::Null,
            404,
            JSON,
            "Requested network not supported nope",
        ),
        (
            "PATCH",
            format!("/allocations/{live}"),
            json!({}),
            404,
            "",
            "",
        ),
    ];
    for (method, path, body, status, kind, part) in table {
        let answer = daemon.pay(method, &path, body).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{method} {path}: {}",
            answer.body
        );
        assert_eq!(answer.kind, kind, "{method} {path}");
        assert!(
            answer.body.contains(part),
            "{method} {path}: {}",
            answer.body
        );
    }
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn allocations_are_shown_to_their_owner_as_they_were_asked_for() {
    let daemon = Daemon::start();
    let me = daemon.call("GET", "/me", Value::Null).await.json()["identity"].clone();
    let clients = json!({
        "allocationId": "", "spentAmount": "", "remainingAmount": "", "address": me,
        "paymentPlatform": "erc20-holesky-tglm", "totalAmount": 2.5, "makeDeposit": false,
        "timestamp": "2026-11-22T01:00:00.000000+00:00", "timeout": "2026-11-22T02:00:00.5+00:00",
    });
    let created = daemon
        .pay("POST", "/allocations?maxItems=10", clients)
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let created = created.json();
    assert_eq!(created["totalAmount"], "2.500000000000000");
    assert_eq!(created["timeout"], "2026-11-22T02:00:00.500Z");
    assert_eq!(created["remainingAmount"], "2.500000000000000");
    let first = created["allocationId"].as_str().expect("id");
    assert_eq!(daemon.get(&format!("/allocations/{first}")).await, created);
    let path = format!("/payment-api/v1/allocations/{first}");
    for method in ["GET", "DELETE"] {
        let foreign = daemon.raw(method, &path, "other", &[], String::new()).await;
        assert_eq!(
            foreign.status,
            StatusCode::NOT_FOUND,
            "{method} by a stranger"
        );
    }
    let on_polygon = json!({ "totalAmount": "1", "paymentPlatform": { "network": "polygon" } });
    let polygon = daemon.pay("POST", "/allocations", on_polygon).await.json();
    let second = polygon["allocationId"].as_str().expect("id");
    assert_eq!(daemon.get("/allocations").await, json!([created, polygon]));
    assert_eq!(
        daemon.get("/allocations?maxItems=1").await,
        json!([created])
    );
    let outliving = daemon
        .get("/allocations?afterTimestamp=2026-11-23T00:00:00Z")
        .await;
    assert_eq!(
        outliving,
        json!([polygon]),
        "the time stamp compares with the timeouts"
    );
    let both = daemon
        .get(&format!(
            "/demandDecorations?allocationIds={first},{second}"
        ))
        .await;
    assert_eq!(
        both,
        json!({
            "properties": [
                { "key": "golem.com.payment.platform.erc20-holesky-tglm.address", "value": me },
                { "key": "golem.com.payment.platform.erc20-polygon-glm.address", "value": me },
                { "key": "golem.com.payment.protocol.version", "value": "3" },
            ],
            "constraints": [
                "(|(golem.com.payment.platform.erc20-holesky-tglm.address=*)\
                 (golem.com.payment.platform.erc20-polygon-glm.address=*))",
                "(golem.com.payment.protocol.version>1)",
            ],
        })
    );
    let accounts = daemon.get("/requestorAccounts").await;
    assert_eq!(accounts[0]["platform"], "erc20-holesky-tglm");
    assert_eq!(
        (&accounts[0]["token"], &accounts[0]["address"]),
        (&json!("tGLM"), &me)
    );
    seconds(3601).await;
    assert_eq!(
        daemon.get("/allocations").await,
        json!([polygon]),
        "released at its timeout"
    );
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn polls_wait_for_their_time_and_no_longer() {
    let daemon = Daemon::start();
    for (query, waits) in [
        ("", 5.0),
        ("?timeout=2", 2.0),
        ("?timeout=0", 0.0),
        ("?timeout=4.5", 4.5),
    ] {
        for endpoint in ["invoiceEvents", "debitNoteEvents", "payments"] {
            let before = daemon.mock.world().now();
            let found = daemon.get(&format!("/{endpoint}{query}")).await;
            let waited = daemon
                .mock
                .world()
                .now()
                .duration_since(before)
                .as_secs_f64();
            assert_eq!(found, json!([]));
            assert!(
                (waited - waits).abs() < 0.01,
                "{endpoint}{query} waited {waited} s"
            );
        }
    }
    daemon.mock.stop().await;
}
