//! Whole agreements as the payment API shows them: notes, invoices, ends.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::daemon::{ACCEPT_TIMEOUT, Daemon, HOUR, INTERVAL, PAYMENT_TIMEOUT, SHORT, seconds};

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
    let batches = daemon.get("/batchOrders").await;
    assert_eq!(batches[0]["id"], orders[0]["orderId"], "{batches}");
    assert_eq!(batches[0]["totalAmount"], invoice["amount"]);
    assert_eq!(batches[0]["platform"], invoice["paymentPlatform"]);
    let batch = batches[0]["id"].as_str().expect("id");
    let one = daemon.get(&format!("/batchOrders/{batch}")).await;
    assert_eq!(one, batches[0]);
    assert_eq!(
        daemon.get("/batchOrders?maxItems=0").await,
        json!([]),
        "no more than was asked for"
    );

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
    // Not while another one lives.
    let (first, second) = (
        daemon.create_activity(&single).await,
        daemon.create_activity(&single).await,
    );
    for activity in [first, second] {
        let path = format!("/market-api/v1/agreements/{single}");
        let agreement = daemon.call("GET", &path, Value::Null).await;
        assert_eq!(agreement.json()["state"], "Approved");
        let path = format!("/activity-api/v1/activity/{activity}");
        daemon.call("DELETE", &path, Value::Null).await;
        seconds(1).await;
    }
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
