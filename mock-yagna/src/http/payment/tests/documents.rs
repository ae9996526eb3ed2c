//! Documents member by member, and every answer to a decision about one.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::daemon::{Answer, Daemon, INTERVAL, PAYMENT_TIMEOUT, SHORT, seconds};
use crate::config::DaemonVersion;

fn text<'a>(document: &'a Value, member: &str) -> &'a str {
    document[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is no text in {document}"))
}

/// A random UUID with dashes.
fn is_uuid(id: &str) -> bool {
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12]
        && id.as_bytes()[14] == b'4'
        && id
            .bytes()
            .all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f'))
}

/// An agreement that has ended with one activity, and its invoice.
async fn billed(daemon: &Daemon) -> Value {
    let agreement = daemon.agree(json!({}), SHORT).await;
    daemon.create_activity(&agreement).await;
    seconds(100).await;
    daemon.terminate(&agreement).await;
    seconds(5).await;
    let all = daemon.get("/invoices").await;
    all.as_array()
        .and_then(|all| all.last())
        .expect("one")
        .clone()
}

async fn accept(daemon: &Daemon, path: &str, amount: &Value, allocation: &str) -> Answer {
    let body = json!({ "totalAmountAccepted": amount, "allocationId": allocation });
    daemon
        .pay("POST", &format!("{path}/accept?timeout=5"), body)
        .await
}

/// Before 0.18 nobody asks.
#[tokio::test(start_paused = true)]
async fn from_0_18_on_a_document_is_paid_from_an_allocation_of_its_platform_only() {
    for (version, status) in [(DaemonVersion::V0_17, 200), (DaemonVersion::V0_18, 400)] {
        let daemon = Daemon::of(version);
        let own = daemon.allocate("1").await;
        let elsewhere = json!({ "totalAmount": "1", "paymentPlatform": { "network": "polygon" } });
        let elsewhere = daemon.pay("POST", "/allocations", elsewhere).await.json();
        let other = text(&elsewhere, "allocationId");
        let invoice = billed(&daemon).await;
        let path = format!("/invoices/{}", text(&invoice, "invoiceId"));
        let answer = accept(&daemon, &path, &invoice["amount"], other).await;
        assert_eq!(answer.status, status, "{version}: {}", answer.body);
        if status == 400 {
            // Nothing was booked: it is still to be decided, and the money is there.
            assert_eq!(daemon.get(&path).await["status"], "RECEIVED");
            let kept = daemon.get(&format!("/allocations/{other}")).await;
            assert_eq!(kept["remainingAmount"], "1");
            let answer = accept(&daemon, &path, &invoice["amount"], &own).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn documents_have_every_member_that_clients_need() {
    let daemon = Daemon::start();
    let me = daemon.call("GET", "/me", Value::Null).await.json()["identity"].clone();
    let allocation = daemon.allocate("1").await;
    assert!(is_uuid(&allocation), "{allocation}");
    let wallet = daemon.get(&format!("/allocations/{allocation}")).await["address"].clone();
    let terms = json!({ INTERVAL: 60, PAYMENT_TIMEOUT: 60 });
    let agreement = daemon.agree(terms, SHORT).await;
    let activity = daemon.create_activity(&agreement).await;
    seconds(130).await;
    daemon.terminate(&agreement).await;
    seconds(5).await;
    let whole = daemon
        .call(
            "GET",
            &format!("/market-api/v1/agreements/{agreement}"),
            Value::Null,
        )
        .await
        .json();
    let notes = daemon.get("/debitNotes").await;
    let invoice = daemon.get("/invoices").await[0].clone();
    for (document, id, amount) in [
        (&notes[0], "debitNoteId", "totalAmountDue"),
        (&notes[1], "debitNoteId", "totalAmountDue"),
        (&invoice, "invoiceId", "amount"),
    ] {
        assert!(is_uuid(text(document, id)), "{document}");
        assert!(text(document, "payeeAddr").starts_with("0x"));
        assert!(text(document, "timestamp").ends_with('Z'));
        for (member, value) in [
            ("issuerId", &whole["offer"]["providerId"]),
            ("recipientId", &me),
            ("payerAddr", &wallet),
            ("paymentPlatform", &json!("erc20-holesky-tglm")),
            ("agreementId", &json!(agreement)),
            ("status", &json!("RECEIVED")),
        ] {
            assert_eq!(document[member], *value, "{member} of {document}");
        }
        let digits = text(document, amount);
        assert!(
            digits.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
            "a plain decimal: {digits}"
        );
    }
    assert_eq!(invoice["activityIds"], json!([activity]));
    let due: jiff::Timestamp = text(&invoice, "paymentDueDate").parse().expect("a time");
    let made: jiff::Timestamp = text(&invoice, "timestamp").parse().expect("a time");
    let given = due.duration_since(made).as_secs();
    assert!((59..=60).contains(&given), "its payment timeout: {given} s");
    let glm = |note: &Value| {
        let digits = text(note, "totalAmountDue");
        digits.parse::<golem_wire::Glm>().expect("a decimal")
    };
    assert!(glm(&notes[0]) < glm(&notes[1]), "notes are cumulative");
    assert_eq!(notes[1]["previousDebitNoteId"], notes[0]["debitNoteId"]);

    let plain = billed(&daemon).await;
    let due: jiff::Timestamp = text(&plain, "paymentDueDate").parse().expect("a time");
    let made: jiff::Timestamp = text(&plain, "timestamp").parse().expect("a time");
    let given = due.duration_since(made).as_secs();
    assert!((86_399..=86_400).contains(&given), "a day: {given} s");
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_answer_to_an_acceptance_is_the_daemon_s() {
    let daemon = Daemon::start();
    let (live, small) = (daemon.allocate("1").await, daemon.allocate("0.001").await);
    let released = daemon.allocate("1").await;
    daemon
        .pay("DELETE", &format!("/allocations/{released}"), Value::Null)
        .await;
    let invoice = billed(&daemon).await;
    let invoice_path = format!("/invoices/{}", text(&invoice, "invoiceId"));
    let note = daemon.get("/debitNotes").await[0].clone();
    let note_path = format!("/debitNotes/{}", text(&note, "debitNoteId"));
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (path, amount) in [
        (&note_path, &note["totalAmountDue"]),
        (&invoice_path, &invoice["amount"]),
    ] {
        for (amount, allocation, status, words) in [
            (&json!("0.00001"), &*live, 400, "Invalid amount accepted"),
            (amount, unknown, 400, "not found"),
            (amount, &*small, 400, "Not enough funds"),
        ] {
            let answer = accept(&daemon, path, amount, allocation).await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
            assert_eq!(answer.kind, "application/json");
            let message = answer.json()["message"].clone();
            assert!(
                message.as_str().is_some_and(|m| m.contains(words)),
                "{message}"
            );
        }
        let answer = accept(&daemon, path, amount, &released).await;
        // As recorded; the sources say 410.
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.body);
    }
    // More digits, or a number, are the same amount; so is a second time.
    let padded = json!(format!("{}000000", text(&invoice, "amount")));
    let number: Value = serde_json::from_str(text(&invoice, "amount")).expect("a number");
    for amount in [&padded, &invoice["amount"], &number] {
        let answer = accept(&daemon, &invoice_path, amount, &live).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::OK, "null")
        );
    }
    // The invoice covers the note.
    let answer = accept(&daemon, &note_path, &note["totalAmountDue"], &live).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "null")
    );
    let left = daemon.get(&format!("/allocations/{live}")).await;
    let glm = |member: &str| {
        let digits = text(&left, member);
        digits.parse::<golem_wire::Glm>().expect("a decimal")
    };
    assert_eq!(left["spentAmount"], invoice["amount"], "once: {left}");
    assert_eq!(
        glm("remainingAmount") + glm("spentAmount"),
        glm("totalAmount")
    );
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_told_only_to_who_asks_for_it() {
    let daemon = Daemon::start();
    let invoice = billed(&daemon).await;
    let path = format!("/invoices/{}", text(&invoice, "invoiceId"));
    let reject = json!({ "rejectionReason": "BAD_SERVICE", "totalAmountAccepted": "0",
        "message": "no result" });
    let answer = daemon.pay("POST", &format!("{path}/reject"), reject).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "null")
    );
    assert_eq!(daemon.get(&path).await["status"], "REJECTED");
    let events = "/payment-api/v1/invoiceEvents?timeout=0";
    let header = [("X-Requestor-Events", "REJECTED")];
    let asked = daemon
        .raw("GET", events, "secret", &header, String::new())
        .await;
    let asked = asked.json();
    assert_eq!(asked[0]["eventType"], "InvoiceRejectedEvent", "{asked}");
    assert_eq!(asked[0]["rejection"]["rejectionReason"], "BAD_SERVICE");
    assert_eq!(asked[0]["invoiceId"], invoice["invoiceId"]);
    let usual = daemon.get("/invoiceEvents?timeout=0").await;
    assert_eq!(usual.as_array().map(Vec::len), Some(1), "{usual}");
    let last = text(&usual[0], "eventDate");
    let fraction = last.trim_end_matches('Z').split_once('.');
    assert!(last.ends_with('Z') && fraction.is_none_or(|(_, digits)| digits.len() <= 6));
    for (stamp, found) in [
        ("2026-11-22T00:16:26.146821%2B00:00", 1),
        ("2026-11-22T00%3A16%3A31.760Z", 1),
        (last, 0),
    ] {
        let path = format!("/invoiceEvents?timeout=0&afterTimestamp={stamp}");
        let page = daemon.get(&path).await;
        assert_eq!(
            page.as_array().map(Vec::len),
            Some(found),
            "{stamp}: {page}"
        );
    }
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn amounts_may_be_written_with_an_exponent_and_problems_have_no_message() {
    let daemon = Daemon::start();
    for (written, shown) in [(json!("1e-7"), "0.0000001"), (json!("2.5e0"), "2.5")] {
        let body = json!({ "totalAmount": written });
        let created = daemon.pay("POST", "/allocations", body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
        assert_eq!(created.kind, "application/json");
        assert_eq!(created.json()["totalAmount"], shown);
    }
    let refused = daemon
        .pay("POST", "/allocations", json!({ "totalAmount": "5000" }))
        .await;
    let problem = refused.json();
    assert_eq!(problem.get("message"), None, "{problem}");
    for member in [
        "type",
        "detail",
        "instance",
        "requestedFunds",
        "availableFunds",
        "requestBody",
    ] {
        assert!(problem.get(member).is_some(), "{member} in {problem}");
    }
    daemon.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_account_names_its_driver_network_and_token() {
    let daemon = Daemon::start();
    let accounts = daemon.get("/requestorAccounts").await;
    for account in accounts.as_array().expect("a list") {
        let [platform, driver, network, token] =
            ["platform", "driver", "network", "token"].map(|member| text(account, member));
        assert_eq!(platform, platform.to_lowercase());
        let parts = [driver, network, token].map(str::to_lowercase);
        assert_eq!(platform, parts.join("-"));
        assert_eq!(account["send"], true);
        assert!(account["receive"].is_boolean());
    }
    let platforms: Vec<_> = (0..accounts.as_array().map_or(0, Vec::len))
        .map(|n| text(&accounts[n], "platform"))
        .collect();
    for wanted in ["erc20-holesky-tglm", "erc20-polygon-glm"] {
        assert!(platforms.contains(&wanted), "{platforms:?}");
    }
    daemon.mock.stop().await;
}
