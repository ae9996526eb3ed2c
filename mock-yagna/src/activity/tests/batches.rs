//! Scripts and their results.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{ACTIVITY, Answer, Api, sh};
use crate::config::{Behaviour, Config, Image, ProviderSpec};
use crate::runtime::program::{Exit, Machine, Program, RunCommand};

const UNKNOWN: &str = "00000000000000000000000000000000";

fn state_error(why: &str) -> String {
    format!("Local service error: State error: {why}")
}

fn ends(results: &Value) -> Vec<(&str, bool)> {
    let results = results.as_array().expect("a list").iter();
    results
        .map(|result| {
            let word = result["result"].as_str().expect("a word");
            (word, result["isBatchFinished"].as_bool().expect("a flag"))
        })
        .collect()
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

#[tokio::test(start_paused = true)]
async fn an_image_that_nobody_knows_fails_to_deploy_and_is_named() {
    let config = Config {
        default_image: None,
        ..Config::default()
    };
    let api = Api::with(Config {
        providers: vec![ProviderSpec::new("alice")],
        ..config
    });
    let activity = api.activity().await;
    let results = api.run(&activity, json!([{ "deploy": {} }])).await;
    let message = results[0]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("Local service error: Transfer error: "),
        "{message}"
    );
    assert!(
        message.contains("hash:sha3:abc:http://host/image.gvmi"),
        "{message}"
    );
    let results = api.run(&activity, json!([{ "start": {} }])).await;
    assert_eq!(ends(&results), [("Error", true)]);
}

#[tokio::test(start_paused = true)]
async fn starts_fail_as_often_as_the_provider_s_behaviour_says() {
    let behaviour = Behaviour {
        fail_start_first: 1,
        ..Behaviour::default()
    };
    let provider = ProviderSpec {
        behaviour,
        ..ProviderSpec::new("alice")
    };
    let api = Api::with(Config {
        providers: vec![provider],
        ..Config::default()
    });
    let agreement = json!(api.approved().await).to_string();
    for expected in ["Error", "Ok"] {
        let activity = api.post(ACTIVITY, &agreement).await.id();
        let results = api
            .run(&activity, json!([{ "deploy": {} }, { "start": {} }]))
            .await;
        assert_eq!(results[1]["result"], expected);
    }
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

/// As yapapi, golem-js and golem-core write them.
#[tokio::test(start_paused = true)]
async fn deploy_and_start_are_read_as_each_client_writes_them() {
    let net = |gateway: bool| {
        let mut net = json!({ "id": "n", "ip": "192.168.0.0", "mask": "255.255.255.0",
            "nodeIp": "192.168.0.2", "nodes": { "192.168.0.1": "0x0", "192.168.0.2": "0x1" } });
        if gateway {
            net["gateway"] = json!("192.168.0.1");
        }
        net
    };
    let progress = json!({ "updateInterval": "5s", "updateStep": 1000 });
    for (deploy, start) in [
        (json!({}), json!({})),
        (json!({ "net": [net(false)] }), json!({ "args": [] })),
        (
            json!({ "net": [net(true)], "volumes": { "/d": { "storage": { "size": "2g", "errors": "panic" } } } }),
            json!({}),
        ),
        (
            json!({ "volumes": ["/a", "/b"], "progress": progress }),
            json!({ "args": [] }),
        ),
        (
            json!({ "volumes": { "/r": { "ram": { "size": 1000 } }, "/h": { "host": {} } } }),
            json!({}),
        ),
    ] {
        let api = Api::start();
        let activity = api.activity().await;
        let script = json!([{ "deploy": deploy }, { "start": start }]);
        let results = api.run(&activity, script).await;
        assert_eq!(ends(&results), [("Ok", false), ("Ok", true)], "{results}");
        let told: Value = serde_json::from_str(results[0]["stdout"].as_str().expect("text"))
            .expect("what deploy prints is JSON");
        for member in ["valid", "vols", "startMode"] {
            assert!(told.get(member).is_some(), "{told}");
        }
    }
}
