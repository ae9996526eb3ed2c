//! What agreements leave behind when they are over: documents to look up, but no work to do.

use serde_json::{Value, json};

use super::daemon::{ACCEPT_TIMEOUT, Daemon, SHORT, seconds};

/// One agreement from the demand to the payment, and until its demand is forgotten.
async fn life(daemon: &Daemon, allocation: &str) {
    let agreement = daemon.agree(json!({ ACCEPT_TIMEOUT: 240 }), SHORT).await;
    let activity = daemon.create_activity(&agreement).await;
    seconds(10).await;
    let path = format!("/activity-api/v1/activity/{activity}");
    daemon.call("DELETE", &path, Value::Null).await;
    daemon.terminate(&agreement).await;
    seconds(60).await;
    for invoice in daemon.get("/invoices").await.as_array().expect("a list") {
        if invoice["status"] != "RECEIVED" {
            continue;
        }
        let id = invoice["invoiceId"].as_str().expect("an id");
        let accept =
            json!({ "totalAmountAccepted": invoice["amount"], "allocationId": allocation });
        daemon
            .pay("POST", &format!("/invoices/{id}/accept"), accept)
            .await;
    }
    seconds(2 * 3600).await;
}

#[tokio::test(start_paused = true)]
async fn ended_agreements_leave_nothing_to_do() {
    let daemon = Daemon::start();
    let allocation = daemon.allocate("5").await;
    let mut left = Vec::new();
    for _ in 0..12 {
        life(&daemon, &allocation).await;
        left.push(daemon.mock.world().with(|state| {
            assert!(state.payments.unsettled() == golem_wire::Glm::ZERO);
            (
                state.ports.timeline.count(),
                state.market.living_demands().count(),
                state.ports.ledger.open_items().len(),
            )
        }));
    }
    let invoices = daemon.get("/invoices").await;
    assert_eq!(invoices.as_array().map(Vec::len), Some(12));
    // The allocation's timeout and the end of the provider's offer are all that is scheduled, and
    // the allocation is all that is open.
    assert!(left.iter().all(|now| *now == left[0]), "{left:?}");
    assert_eq!(left[0], (2, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn released_allocations_are_not_walked_over() {
    let daemon = Daemon::start();
    for _ in 0..20 {
        let id = daemon.allocate("1").await;
        let path = format!("/allocations/{id}");
        daemon.pay("DELETE", &path, Value::Null).await;
    }
    let kept = daemon.allocate("1").await;
    let listed = daemon.get("/allocations").await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["allocationId"], json!(kept));
}
