//! What readers of a batch get, and how long they wait for it.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Answer, Api, ends, sh};

const UNKNOWN: &str = "00000000000000000000000000000000";

#[tokio::test(start_paused = true)]
async fn without_capture_there_is_no_output() {
    let api = Api::start();
    let activity = api.ready().await;
    let run = json!({ "run": { "entry_point": "/bin/echo", "args": ["x"] } });
    let results = api.run(&activity, json!([run])).await;
    assert_eq!(
        (&results[0]["stdout"], &results[0]["result"]),
        (&Value::Null, &json!("Ok"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_script_has_no_results_and_an_unknown_batch_is_a_404() {
    let api = Api::start();
    let activity = api.activity().await;
    let batch = api.exec(&activity, json!([])).await;
    let answer = api.results(&activity, &batch, "?timeout=1").await;
    assert_eq!((answer.text.as_str(), answer.took), ("[]", Duration::ZERO));
    for query in ["", "?timeout=5"] {
        let answer = api.results(&activity, UNKNOWN, query).await;
        assert_eq!(
            answer.refusal(),
            (404, format!("Not found: batch_id = {UNKNOWN}"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_the_batch_and_its_readers_wait_in_vain() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api
        .exec(&activity, json!([sh("true"), sh("exit 3"), sh("echo 3")]))
        .await;
    let answer = api.results(&activity, &batch, "?timeout=5").await;
    assert_eq!(answer.took, Duration::from_secs(5));
    let results = answer.json();
    assert_eq!(ends(&results), [("Ok", false), ("Error", true)]);
    assert_eq!(
        results[1]["message"],
        "ExeScript command exited with code 3"
    );
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Ready", null] })
    );
    let after = api.run(&activity, json!([sh("echo after")])).await;
    assert_eq!(after[0]["stdout"], "after\n");
}

#[tokio::test(start_paused = true)]
async fn results_are_cumulative_and_waited_for_as_a_whole() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api
        .exec(&activity, json!([sh("sleep 3"), sh("sleep 4; echo end")]))
        .await;
    let query = async |query: &str| api.results(&activity, &batch, query).await;
    let answer = query("?timeout=0.5").await;
    assert_eq!(
        (answer.text.as_str(), answer.took),
        ("[]", Duration::from_millis(500))
    );
    let answer = query("?timeout=0.5&commandIndex=0").await;
    assert_eq!(answer.refusal(), (408, "Timeout".to_owned()));
    let answer = query("?timeout=5").await;
    assert_eq!(answer.took, Duration::from_secs(5));
    assert_eq!(ends(&answer.json()), [("Ok", false)]);
    let answer = query("?timeout=60").await;
    assert!(answer.took < Duration::from_secs(2));
    let results = answer.json();
    assert_eq!(ends(&results), [("Ok", false), ("Ok", true)]);
    assert_eq!(results[1]["index"], 1);
    // At once, whatever the timeout.
    let at_once = |answer: &Answer| answer.took == Duration::ZERO;
    let answer = query("?timeout=10&commandIndex=0").await;
    assert!(at_once(&answer));
    assert_eq!(ends(&answer.json()), [("Ok", true)]);
    let answer = query("?commandIndex=1").await;
    assert!(at_once(&answer));
    assert_eq!(ends(&answer.json()), [("Ok", false), ("Ok", true)]);
    assert_eq!(query("?timeout=1&commandIndex=99").await.status, 408);
    assert!(at_once(&query("").await));
}

#[tokio::test(start_paused = true)]
async fn outputs_of_other_commands_are_left_out() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api
        .exec(&activity, json!([sh("echo 0"), sh("echo 1")]))
        .await;
    let results = api
        .results(&activity, &batch, "?timeout=5&commandIndex=1")
        .await
        .json();
    assert_eq!(
        (&results[0]["stdout"], &results[1]["stdout"]),
        (&Value::Null, &json!("1\n"))
    );
}

#[tokio::test(start_paused = true)]
async fn bad_queries_get_the_daemon_s_words() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([])).await;
    let bad = [
        ("?timeout=abc", "invalid float literal"),
        ("?commandIndex=-1", "invalid digit found in string"),
    ];
    for (query, words) in bad {
        let answer = api.results(&activity, &batch, query).await;
        let words = format!("Query deserialize error: {words}");
        assert_eq!(answer.plain(), (400, words.as_str()));
    }
}
