//! Requests that cannot be served.

use serde_json::{Value, json};

use super::daemon::Daemon;

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
