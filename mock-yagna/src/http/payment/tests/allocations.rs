//! Allocations as their owner sees them, and how long polls wait.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::daemon::{Daemon, seconds};

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
    // In the order of the allocations' ids.
    let mut both_keys = [(first, "erc20-holesky-tglm"), (second, "erc20-polygon-glm")];
    both_keys.sort_unstable();
    let keys = both_keys.map(|(_, name)| format!("golem.com.payment.platform.{name}.address"));
    assert_eq!(
        both,
        json!({
            "properties": [
                { "key": keys[0], "value": me },
                { "key": keys[1], "value": me },
                { "key": "golem.com.payment.protocol.version", "value": "3" },
            ],
            "constraints": [
                format!("(|\n  ({}=*)\n  ({}=*)\n)", keys[0], keys[1]),
                "(golem.com.payment.protocol.version>1)",
            ],
        })
    );
    let same = json!({ "totalAmount": "1", "paymentPlatform": { "network": "polygon" } });
    let third = daemon.pay("POST", "/allocations", same).await.json();
    let third = third["allocationId"].as_str().expect("id");
    let path = format!("/demandDecorations?allocationIds={second},{third}");
    let both = daemon.get(&path).await;
    assert_eq!(
        both["properties"].as_array().map(Vec::len),
        Some(3),
        "{both}"
    );
    assert_eq!(both["properties"][0], both["properties"][1]);
    let decorations = async |query: String| {
        let path = format!("/payment-api/v1/demandDecorations?{query}");
        daemon.raw("GET", &path, "secret", &[], String::new()).await
    };
    let twice = decorations(format!("allocationIds={second},{second}")).await;
    assert_eq!(twice.status, StatusCode::NOT_FOUND);
    let twice = decorations(format!("allocationIds={second}&allocationIds={third}")).await;
    let words = "Query deserialize error: duplicate field `allocationIds`";
    assert_eq!(
        (twice.status, twice.body.as_str()),
        (StatusCode::BAD_REQUEST, words)
    );
    daemon
        .pay("DELETE", &format!("/allocations/{third}"), Value::Null)
        .await;
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

/// As asked of the real daemon; whether a contract holds the money is for its chain to say.
#[tokio::test(start_paused = true)]
async fn deposits_are_judged_by_their_form_and_shown_as_they_were_sent() {
    let daemon = Daemon::start();
    let contract = "0x6de1d8a3b1e6e7e0f4f1d5b7a0d7b6b1e5a4c3d2";
    let with = |deposit: Value| json!({ "totalAmount": "1", "makeDeposit": true, "extendTimeout": 60, "deposit": deposit });
    let deposit =
        json!({ "id": "0x10", "contract": contract, "validate": { "flatFeeAmount": "12" } });
    let created = daemon
        .pay("POST", "/allocations", with(deposit.clone()))
        .await
        .json();
    assert_eq!(created["deposit"], deposit);
    assert_eq!(created["makeDeposit"], false);
    assert_eq!(created.get("extendTimeout"), None);
    let plain = json!({ "id": "10", "contract": &contract[2..] });
    let plain = daemon.pay("POST", "/allocations", with(plain)).await.json();
    assert_eq!(plain["deposit"]["validate"], Value::Null);

    for (deposit, detail, name) in [
        (
            json!({ "id": "zz", "contract": "nope" }),
            "Invalid deposit contract address",
            "malformed-deposit-contract",
        ),
        (
            json!({ "id": "zz", "contract": contract }),
            "Invalid deposit id",
            "malformed-deposit-id",
        ),
    ] {
        let refused = daemon.pay("POST", "/allocations", with(deposit)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let problem = refused.json();
        assert_eq!(problem["detail"], detail);
        let instance = format!("/payment-api/v1/allocations/validation-error/{name}");
        assert_eq!(problem["instance"], instance);
        assert_eq!(problem["requestBody"]["deposit"]["validate"], Value::Null);
        assert_eq!(problem["requestBody"]["extendTimeout"], 60);
    }
    for (deposit, words) in [
        (json!({ "id": "0x10" }), "missing field `contract`"),
        (
            json!({ "id": 16, "contract": contract }),
            "invalid type: integer `16`, expected a string",
        ),
        (
            json!("x"),
            "invalid type: string \"x\", expected struct Deposit",
        ),
    ] {
        let refused = daemon.pay("POST", "/allocations", with(deposit)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.body.contains(words), "{}", refused.body);
    }

    let path = |allocation: &Value| {
        format!(
            "/allocations/{}",
            allocation["allocationId"].as_str().expect("id")
        )
    };
    let change = json!({ "deposit": { "validate": { "k": "v" } } });
    let changed = daemon
        .pay("PUT", &path(&created), change.clone())
        .await
        .json();
    assert_eq!(
        changed["deposit"],
        json!({ "id": "0x10", "contract": contract, "validate": { "k": "v" } })
    );
    let without = daemon
        .pay("POST", "/allocations", json!({ "totalAmount": "1" }))
        .await
        .json();
    let refused = daemon.pay("PUT", &path(&without), change).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.json()["message"],
        "Cannot update deposit of an allocation created without one"
    );
    let id = created["allocationId"].as_str().expect("id");
    let decorated = daemon
        .get(&format!("/demandDecorations?allocationIds={id}"))
        .await;
    assert!(
        decorated["constraints"]
            .to_string()
            .contains("protocol.version>2"),
        "{decorated}"
    );
}
