//! Scripts: which are taken, in which order their commands come, what ends them.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{ACTIVITY, Api, ends, sh};
use crate::config::{Config, Image, ProviderSpec};
use crate::runtime::program::{Exit, Machine, Program, RunCommand};

fn state_error(why: &str) -> String {
    format!("Local service error: State error: {why}")
}

#[tokio::test(start_paused = true)]
async fn deploy_start_and_run_answer_as_recorded() {
    let api = Api::start();
    let activity = api.activity().await;
    let echo = json!({ "run": { "entry_point": "/bin/echo", "args": ["hello"],
        "capture": { "stdout": { "atEnd": { "format": "str" } } } } });
    let script = json!([{ "deploy": {} }, { "start": {} }, echo]);
    let mut results = api.run(&activity, script).await;
    for result in results.as_array_mut().into_iter().flatten() {
        let date = result
            .as_object_mut()
            .and_then(|result| result.remove("eventDate"));
        assert!(date.is_some_and(|date| date.as_str().is_some_and(|date| date.ends_with('Z'))));
    }
    let deployed = "{\"valid\":{\"Ok\":\"success\"},\"vols\":[],\"startMode\":\"empty\"}\n";
    let result = |index: u32, stdout: &str| {
        json!({ "index": index, "result": "Ok", "stdout": stdout, "stderr": null, "message": null,
            "isBatchFinished": index == 2 })
    };
    let expected = [
        result(0, deployed),
        result(1, "started\n"),
        result(2, "hello\n"),
    ];
    assert_eq!(results, json!(expected));
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Ready", null] })
    );
}

#[tokio::test(start_paused = true)]
async fn bad_scripts_get_the_daemon_s_words() {
    let api = Api::start();
    let activity = api.activity().await;
    let path = format!("{ACTIVITY}/{activity}/exec");
    let bodies = [
        (
            "[]",
            "invalid length 0, expected struct ExeScriptRequest with 1 element at line 1 column 2",
        ),
        ("{}", "missing field `text` at line 1 column 2"),
    ];
    for (body, words) in bodies {
        let words = format!("Json deserialize error: {words}");
        assert_eq!(api.post(&path, body).await.plain(), (400, words.as_str()));
    }
    let scripts = [
        ("not json", "expected ident\", line: 1, column: 2"),
        (
            "[{\"nope\":{}}]",
            "unknown variant `nope`, expected one of `sign`, `deploy`, `start`, `run`, `transfer`, \
             `terminate`\", line: 1, column: 8",
        ),
        (
            "{\"deploy\":{}}",
            "invalid type: map, expected a sequence\", line: 1, column: 0",
        ),
        (
            "[{\"run\":{}}]",
            "missing field `entry_point`\", line: 1, column: 10",
        ),
    ];
    for (script, words) in scripts {
        let answer = api
            .post(&path, &json!({ "text": script }).to_string())
            .await;
        assert_eq!(
            answer.refusal(),
            (400, format!("Bad request: Error(\"{words})"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn commands_out_of_order_fail_in_the_exe_unit_s_words() {
    let api = Api::start();
    let activity = api.activity().await;
    let message = async |script: Value| api.run(&activity, script).await[0]["message"].clone();
    let early = state_error("Activity is initialized - deploy() command is expected now");
    assert_eq!(message(json!([sh("true")])).await, json!(early));
    api.run(&activity, json!([{ "deploy": {} }])).await;
    let unstarted = state_error("Activity is deployed - start() command is expected now");
    assert_eq!(message(json!([sh("true")])).await, json!(unstarted));
    api.run(&activity, json!([{ "start": { "args": [] } }]))
        .await;
    let late = state_error("Cannot send command after a successful start()");
    assert_eq!(message(json!([{ "deploy": {} }])).await, json!(late));
}

#[tokio::test(start_paused = true)]
async fn a_second_batch_meanwhile_is_busy_and_does_not_disturb() {
    let api = Api::start();
    let activity = api.ready().await;
    let long = api
        .exec(&activity, json!([sh("sleep 10; echo done")]))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Ready", "Ready"] })
    );
    let results = api.run(&activity, json!([sh("true"), sh("true")])).await;
    assert_eq!(ends(&results), [("Error", true)]);
    let busy = state_error("Busy: StatePair(Ready, Some(Ready))");
    assert_eq!(results[0]["message"], json!(busy));
    let results = api.results(&activity, &long, "?timeout=20").await.json();
    assert_eq!(
        (ends(&results), &results[0]["stdout"]),
        (vec![("Ok", true)], &json!("done\n"))
    );
}

#[tokio::test(start_paused = true)]
async fn terminate_goes_back_to_the_beginning_and_ends_other_batches() {
    let api = Api::start();
    let activity = api.ready().await;
    api.run(&activity, json!([sh("echo x > /golem/work/x")]))
        .await;
    let long = api
        .exec(&activity, json!([sh("sleep 500"), sh("echo never")]))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let results = api.run(&activity, json!([{ "terminate": {} }])).await;
    assert_eq!(
        (ends(&results), &results[0]["stdout"]),
        (vec![("Ok", true)], &Value::Null)
    );
    assert_eq!(
        api.state(&activity).await,
        json!({ "state": ["Initialized", null] })
    );
    let cut = api.results(&activity, &long, "?timeout=0").await.json();
    assert_eq!(ends(&cut), [("Error", true)]);
    let script = json!([{ "deploy": {} }, { "start": {} }, sh("cat /golem/work/x")]);
    let results = api.run(&activity, script).await;
    assert_eq!(
        ends(&results),
        [("Ok", false), ("Ok", false), ("Error", true)]
    );
    tokio::time::sleep(Duration::from_secs(600)).await;
    let usage = api
        .get(&format!("{ACTIVITY}/{activity}/usage"))
        .await
        .json();
    assert!(
        usage["currentUsage"][1]
            .as_f64()
            .is_some_and(|cpu| cpu < 2.0),
        "{usage}"
    );
}

#[tokio::test(start_paused = true)]
async fn signing_is_refused() {
    let api = Api::start();
    let activity = api.ready().await;
    let results = api.run(&activity, json!([{ "sign": {} }])).await;
    let words = "signing not supported: binary built without the 'sgx' feature";
    assert_eq!(
        (ends(&results), &results[0]["message"]),
        (vec![("Error", true)], &json!(words))
    );
}

/// Counts its commands.
#[derive(Debug, Default)]
struct Counter(u32);

impl Program for Counter {
    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        self.0 += 1;
        let line = format!("{} {} {}", command.entry_point, self.0, machine.now);
        Exit::ok(line).after(Duration::from_secs(300))
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_lives_in_the_network_s_time_once_per_activity() {
    let image = Image::Program(std::sync::Arc::new(|_| Counter::default()));
    let images = [("image.gvmi".to_owned(), image)].into_iter().collect();
    let providers = vec![ProviderSpec::new("alice")];
    let api = Api::with(Config {
        providers,
        images,
        ..Config::default()
    });
    let activity = api.ready().await;
    let run = json!({ "run": { "entry_point": "/golem/run/x", "args": [],
        "capture": { "stdout": { "stream": {} } } } });
    let before = tokio::time::Instant::now();
    let batch = api.exec(&activity, json!([run, run])).await;
    let mut results = json!([]);
    while ends(&results).last() != Some(&("Ok", true)) {
        results = api.results(&activity, &batch, "?timeout=600").await.json();
    }
    assert_eq!(before.elapsed().as_secs(), 600);
    let outputs = [0, 1].map(|index| results[index]["stdout"].as_str().expect("text"));
    assert!(outputs[0].starts_with("/golem/run/x 1 "), "{outputs:?}");
    assert!(outputs[1].starts_with("/golem/run/x 2 "), "{outputs:?}");
    let usage = api
        .get(&format!("{ACTIVITY}/{activity}/usage"))
        .await
        .json();
    assert_eq!(usage["currentUsage"][1], 600.0);
}

#[tokio::test(start_paused = true)]
async fn ids_of_activities_and_batches_are_random_uuids_without_dashes() {
    let api = Api::start();
    let activity = api.ready().await;
    let batches = [
        api.exec(&activity, json!([])).await,
        api.exec(&activity, json!([])).await,
    ];
    assert_ne!(batches[0], batches[1]);
    for id in [&activity, &batches[0], &batches[1]] {
        let hex = id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(hex && id.len() == 32 && id.as_bytes()[12] == b'4', "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_batches_of_an_activity_are_known_and_older_ones_forgotten() {
    let api = Api::start();
    let activity = api.ready().await;
    let mut batches = Vec::new();
    for n in 0..100 {
        let batch = api.exec(&activity, json!([sh(&format!("echo {n}"))])).await;
        let ended = api.results(&activity, &batch, "?timeout=60").await;
        assert_eq!(ends(&ended.json()), [("Ok", true)]);
        batches.push(batch);
    }
    for (n, is_known) in [(99, true), (80, true), (69, true), (60, false), (0, false)] {
        let answer = api.results(&activity, &batches[n], "?timeout=1").await;
        assert_eq!(answer.status == 200, is_known, "batch {n}: {answer:?}");
    }
}
