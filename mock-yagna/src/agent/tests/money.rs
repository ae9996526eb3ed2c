//! Misbehaviour in debit notes and invoices. The laws hold all the same.

use golem_wire::Glm;
use serde_json::{Value, json};

use super::stage::{ACTIVITY, Stage};
use crate::config::{Config, Counter, ProviderSpec};
use crate::ledger::Law;

fn amount(document: &Value) -> Glm {
    document["amount"]
        .as_str()
        .expect("an amount")
        .parse()
        .expect("an amount")
}

/// What is invoiced for 600 s of an idle activity.
async fn invoices(members: Value) -> Vec<Value> {
    let stage = Stage::with(members);
    let (agreement, _) = stage.activity().await;
    stage.sleep(600).await;
    assert_eq!(stage.terminate(&agreement).await.0, 200);
    stage.sleep(60).await;
    stage.is_lawful();
    stage.list("invoices").await
}

#[tokio::test(start_paused = true)]
async fn invoices_come_twice_too_high_late_or_never() {
    let honest = invoices(json!({})).await;
    let usual = amount(&honest[0]);
    assert!(honest.len() == 1 && usual > Glm::ZERO);

    let twice = invoices(json!({ "invoices": 2 })).await;
    assert_eq!(twice.iter().map(amount).collect::<Vec<_>>(), [usual, usual]);
    assert_ne!(twice[0]["invoiceId"], twice[1]["invoiceId"]);

    let high = invoices(json!({ "invoice_factor": 3 })).await;
    assert_eq!(amount(&high[0]), usual + usual + usual);

    assert!(invoices(json!({ "invoices": 0 })).await.is_empty());
    assert!(
        invoices(json!({ "latency": { "invoice": "1h" } }))
            .await
            .is_empty()
    );
    assert_eq!(
        invoices(json!({ "latency": { "invoice": "30s" } }))
            .await
            .len(),
        1
    );
    assert!(
        invoices(json!({ "die_before": "invoice" }))
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn usage_is_inflated_in_reports_and_bills_alike() {
    let usual = amount(&invoices(json!({})).await[0]);
    let inflated = amount(&invoices(json!({ "usage_factor": "1.5" })).await[0]);
    assert_eq!(inflated + inflated, usual + usual + usual);
}

#[tokio::test(start_paused = true)]
async fn debit_notes_come_too_often() {
    let mut counts = Vec::new();
    for members in [json!({}), json!({ "debit_notes_every": "5s" })] {
        let stage = Stage::with(members);
        stage.activity().await;
        stage.sleep(300).await;
        stage.is_lawful();
        counts.push(stage.list("debitNotes").await.len());
    }
    assert_eq!(counts, [2, 60]);
}

#[tokio::test(start_paused = true)]
async fn the_second_invoice_is_never_paid_again() {
    let stage = Stage::with(json!({ "invoices": 2 }));
    let body = json!({ "totalAmount": "10", "makeDeposit": false });
    let (_, allocation) = stage.post("/payment-api/v1/allocations", body).await;
    let (agreement, _) = stage.activity().await;
    stage.sleep(60).await;
    stage.terminate(&agreement).await;
    stage.sleep(30).await;
    for invoice in stage.list("invoices").await {
        let id = invoice["invoiceId"].as_str().expect("an id");
        let body = json!({
            "totalAmountAccepted": invoice["amount"],
            "allocationId": allocation["allocationId"],
        });
        stage
            .post(&format!("/payment-api/v1/invoices/{id}/accept"), body)
            .await;
    }
    stage.sleep(60).await;
    stage.is_lawful();
    let summary = stage.mock.summary();
    assert_eq!(summary.paid + summary.paid, summary.invoiced);
}

#[tokio::test(start_paused = true)]
async fn counters_of_its_own_are_offered_reported_and_billed() {
    let mut bob = ProviderSpec::new("bob");
    bob.counters.insert(
        "golem.usage.custom.frames".into(),
        Counter {
            price: Glm::from(1),
            per_sec: 0.5,
        },
    );
    let mut carol = ProviderSpec::new("carol");
    carol.properties.extend([
        (
            "golem.com.usage.vector".to_owned(),
            json!([
                "golem.usage.duration_sec",
                "golem.usage.custom",
                "golem.usage.cpu_sec"
            ]),
        ),
        (
            "golem.com.pricing.model.linear.coeffs".to_owned(),
            json!([0.01, 0.02, 0.03, 0.0]),
        ),
    ]);
    for (spec, third) in [(bob, true), (carol, false)] {
        let stage = Stage::of(Config {
            providers: vec![spec],
            ..Config::default()
        });
        let (agreement, activity) = stage.activity().await;
        stage.sleep(600).await;
        let (_, usage) = stage.get(&format!("{ACTIVITY}/{activity}/usage")).await;
        let usage = usage["currentUsage"].as_array().expect("a vector").clone();
        assert_eq!(usage.len(), 3, "{usage:?}");
        let frames = if third { &usage[2] } else { &usage[1] };
        let frames = frames.as_f64().expect("a number");
        let seconds = usage[0].as_f64().expect("a number");
        assert_eq!(frames, if third { seconds / 2.0 } else { 0.0 });
        assert_eq!(stage.terminate(&agreement).await.0, 200);
        stage.sleep(60).await;
        stage.is_lawful();
        let bill = amount(&stage.list("invoices").await[0]);
        // Half a GLM a second, or a hundredth.
        assert!(bill >= Glm::from(if third { 300 } else { 6 }), "{bill}");
    }
}

#[test]
fn an_impossible_counter_is_told() {
    for (name, price, per_sec, why) in [
        ("golem.usage.cpu_sec", "1", 1.0, "needs a name of its own"),
        ("", "1", 1.0, "needs a name of its own"),
        ("x", "-1", 1.0, "is negative"),
        ("x", "1", f64::NAN, "must be 0 or more"),
    ] {
        let mut bob = ProviderSpec::new("bob");
        let price = price.parse().expect("a price");
        bob.counters.insert(name.into(), Counter { price, per_sec });
        let told = bob.check().expect_err("impossible").to_string();
        assert!(told.contains(why), "{told}");
    }
}

/// A requestor that accepts every invoice it gets, after an hour.
async fn accepted_blindly(members: Value) -> Vec<Law> {
    let stage = Stage::with(members);
    let body = json!({ "totalAmount": "10", "makeDeposit": false });
    let (_, allocation) = stage.post("/payment-api/v1/allocations", body).await;
    let (agreement, _) = stage.activity().await;
    stage.sleep(3600).await;
    stage.terminate(&agreement).await;
    stage.sleep(60).await;
    for invoice in stage.list("invoices").await {
        let id = invoice["invoiceId"].as_str().expect("an id");
        let body = json!({
            "totalAmountAccepted": invoice["amount"],
            "allocationId": allocation["allocationId"],
        });
        let path = format!("/payment-api/v1/invoices/{id}/accept");
        stage.post(&path, body).await;
    }
    let violations = stage.mock.summary().violations;
    violations.iter().map(|violation| violation.law).collect()
}

#[tokio::test(start_paused = true)]
async fn a_requestor_that_accepts_more_than_was_used_breaks_a_law() {
    assert_eq!(accepted_blindly(json!({})).await, []);
    assert_eq!(
        accepted_blindly(json!({ "invoice_factor": "0.9" })).await,
        []
    );
    for planted in [json!({ "invoice_factor": 5 }), json!({ "usage_factor": 3 })] {
        let broken = accepted_blindly(planted.clone()).await;
        assert_eq!(broken, [Law::AcceptedWithinUsed], "{planted}");
    }
}
