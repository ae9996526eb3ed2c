//! Misbehaviour of activities.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::stage::{ACTIVITY, Stage, deployed, sleeping};
use crate::Act;

#[tokio::test(start_paused = true)]
async fn a_killed_exe_unit_is_unresponsive_as_recorded() {
    let stage = Stage::with(json!({ "kill_exe_unit_after": "10s" }));
    let (agreement, activity) = stage.activity().await;
    let begun = Instant::now();
    let (status, answer) = stage.run(&activity, deployed(&[sleeping(60)]), 20).await;
    assert_eq!((status, answer), (408, json!({ "message": "Timeout" })));
    assert_eq!(begun.elapsed(), Duration::from_secs(21));
    assert_eq!(
        stage.state(&activity).await,
        json!(["Unresponsive", "Ready"])
    );
    let (status, answer) = stage.exec(&activity, json!([])).await;
    let gone = "GSB error: Bad request: Bad request: endpoint address not found";
    assert_eq!((status, &answer["message"]), (500, &json!(gone)));
    let path = format!("{ACTIVITY}/{activity}?timeout=3");
    assert_eq!(stage.send(Method::DELETE, &path, Value::Null).await.0, 408);
    assert_eq!(stage.terminate(&agreement).await.0, 200);
    assert_eq!(stage.state(&activity).await[0], "Terminated");
    stage.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn commands_fail_or_hang_where_the_behaviour_says() {
    let run = || json!({ "run": { "entry_point": "/bin/true", "args": [] } });
    let trouble = json!({ "command": "run", "after": 1, "times": 1, "message": "Out of luck" });
    let failing = Stage::with(json!({ "fail_command": trouble }));
    let (_, activity) = failing.activity().await;
    let (_, results) = failing
        .run(&activity, deployed(&[run(), run(), run()]), 5)
        .await;
    let told: Vec<_> = results
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| &r["result"])
        .collect();
    assert_eq!(told, ["Ok", "Ok", "Ok", "Error"]);
    assert_eq!(results[3]["message"], "Out of luck");
    let (_, results) = failing.run(&activity, json!([run()]), 5).await;
    assert_eq!(results[0]["result"], "Ok");

    // Told so while it runs, it counts from then on.
    let change = json!({ "fail_command": { "command": "run", "times": 1 } });
    let change = Act::Behave {
        provider: "bob".into(),
        change: change.as_object().expect("an object").clone(),
    };
    failing.mock.act(change).expect("it behaves so");
    for expected in ["Error", "Ok"] {
        let (_, results) = failing.run(&activity, json!([run()]), 5).await;
        assert_eq!(results[0]["result"], expected, "{results}");
    }

    let hanging = Stage::with(json!({ "hang_command": { "command": "deploy" } }));
    let (_, activity) = hanging.activity().await;
    let (status, results) = hanging.run(&activity, deployed(&[]), 600).await;
    assert_eq!((status, results), (200, json!([])));
    assert_eq!(
        hanging.state(&activity).await,
        json!(["Initialized", "Deployed"])
    );
    let path = format!("{ACTIVITY}/{activity}?timeout=3");
    assert_eq!(
        hanging.send(Method::DELETE, &path, Value::Null).await.0,
        200
    );
    hanging.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn deploying_takes_what_the_distribution_says() {
    let stage = Stage::with(json!({ "latency": { "deploy": "40s", "command": "1s" } }));
    let (_, activity) = stage.activity().await;
    let begun = Instant::now();
    let (_, results) = stage.run(&activity, deployed(&[]), 600).await;
    assert_eq!(results.as_array().expect("a list").len(), 2);
    assert_eq!(begun.elapsed(), Duration::from_secs(42));
}

#[tokio::test(start_paused = true)]
async fn a_provider_can_die_at_each_step_of_an_activity() {
    for (when, step) in [
        ("die_before", "deploy"),
        ("die_after", "start"),
        ("die_before", "run"),
    ] {
        let stage = Stage::with(json!({ when: step }));
        let (_, activity) = stage.activity().await;
        let (status, _) = stage.run(&activity, deployed(&[sleeping(1)]), 20).await;
        assert_eq!(status, 408, "{when} {step}");
        // The requestor's daemon cannot know more than that nobody answers.
        let path = format!("{ACTIVITY}/{activity}/state");
        let (status, _) = stage.send(Method::GET, &path, Value::Null).await;
        assert_eq!(status, 408, "{when} {step}");
        let online = stage.mock.world().with(|state| {
            state
                .providers
                .by_id
                .values()
                .any(|provider| provider.online)
        });
        assert!(!online);
        stage.is_lawful();
    }
    let stage = Stage::with(json!({ "die_before": "activity" }));
    let agreement = stage.approved().await;
    assert_eq!(stage.create(&agreement).await.0, 408);
    stage.is_lawful();
}

#[tokio::test(start_paused = true)]
async fn a_provider_dies_and_loses_exe_units_as_directed() {
    let stage = Stage::with(json!({}));
    let (_, activity) = stage.activity().await;
    let bob = || "bob".to_owned();
    stage
        .mock
        .act(Act::KillExeUnit { provider: bob() })
        .expect("there is one");
    assert_eq!(stage.state(&activity).await, json!(["Unresponsive", null]));
    let error = stage
        .mock
        .act(Act::KillExeUnit { provider: bob() })
        .expect_err("it is gone");
    assert!(error.to_string().contains("`bob`"), "{error}");
    stage
        .mock
        .act(Act::Die { provider: bob() })
        .expect("it dies");
    assert!(stage.events(&stage.demand().await, 30).await.is_empty());
}
