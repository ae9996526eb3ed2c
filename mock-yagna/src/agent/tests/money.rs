//! Misbehaviour in debit notes and invoices. The laws hold all the same.

use golem_wire::Glm;
use serde_json::{Value, json};

use super::stage::Stage;

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
