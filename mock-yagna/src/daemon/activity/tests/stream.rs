//! The event stream of a batch.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use indexmap::IndexMap;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::harness::{ACTIVITY, Api, sh};
use crate::config::{Config, ProviderSpec, WebContent, WebFile};

struct Stream(Body);

impl Stream {
    async fn open(api: &Api, activity: &str, batch: &str) -> Stream {
        let path = format!("{ACTIVITY}/{activity}/exec/{batch}");
        let mut request = api.request(Method::GET, &path, None);
        let accept = HeaderValue::from_static("text/event-stream");
        request.headers_mut().insert(header::ACCEPT, accept);
        let response = api
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        Stream(response.into_body())
    }

    /// What comes within `time`.
    async fn read(&mut self, time: Duration) -> String {
        let mut text = String::new();
        let end = tokio::time::Instant::now() + time;
        while let Ok(frame) = tokio::time::timeout_at(end, self.0.frame()).await {
            let frame = frame.expect("the stream stays open").expect("a frame");
            let data = frame.into_data().expect("data");
            text += std::str::from_utf8(&data).expect("text");
        }
        text
    }
}

/// Kinds and indices of the events in `text`.
fn events(text: &str) -> Vec<(u64, Value)> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| {
        let event: Value = serde_json::from_str(data).expect("JSON");
        let stamp = event["timestamp"].as_str().expect("a stamp");
        assert!(!stamp.ends_with('Z'), "{stamp}");
        assert_eq!(event["batch_id"].as_str().map(str::len), Some(32));
        (
            event["index"].as_u64().expect("an index"),
            event["kind"].clone(),
        )
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn events_since_the_connection_are_told_and_the_stream_stays_open() {
    let api = Api::start();
    let activity = api.ready().await;
    let quiet = json!({ "run": { "entry_point": "/bin/echo", "args": ["quiet"],
        "capture": { "stdout": { "atEnd": {} } } } });
    let batch = api
        .exec(&activity, json!([sh("sleep 4; echo hello"), quiet]))
        .await;
    // The first command began long ago: its beginning is not told any more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    let text = stream.read(Duration::from_secs(5)).await;
    let started = |command: &Value| json!({ "started": { "command": command } });
    let finished = json!({ "finished": { "return_code": 0, "message": null } });
    let expected = [
        (0, json!({ "stdout": "hello\n" })),
        (0, finished.clone()),
        (1, started(&quiet)),
        (1, finished),
    ];
    assert_eq!(events(&text), expected);
    assert!(text.starts_with("event: runtime\ndata: {"), "{text}");
    assert!(text.ends_with("id: 3\n\n"), "{text}");
    assert!(
        stream
            .read(Duration::from_secs(60))
            .await
            .starts_with(":ping\n\n")
    );
    let mut late = Stream::open(&api, &activity, &batch).await;
    let text = late.read(Duration::from_secs(5)).await;
    assert_eq!(text, "", "all is over before this connection");
}

#[tokio::test(start_paused = true)]
async fn who_reads_the_events_of_a_command_learns_that_its_activity_was_ended() {
    for by_agreement in [false, true] {
        let api = Api::start();
        let activity = api.ready().await;
        let batch = api
            .exec(&activity, json!([sh("sleep 900"), sh("echo never")]))
            .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut stream = Stream::open(&api, &activity, &batch).await;
        let path = format!("{ACTIVITY}/{activity}");
        if by_agreement {
            let agreement = api.get(&format!("{path}/agreement")).await.id();
            api.terminate(&agreement).await;
        } else {
            assert_eq!(api.delete(&path).await.status, 200);
        }
        let text = stream.read(Duration::from_secs(5)).await;
        let message = "ExeScript command exited with code -1";
        let finished = json!({ "finished": { "return_code": -1, "message": message } });
        assert_eq!(events(&text), [(0, finished)]);
        // As ever, it stays open.
        let text = stream.read(Duration::from_secs(60)).await;
        assert!(text.starts_with(":ping\n\n"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_activity_that_is_being_destroyed_takes_no_work() {
    let api = Api::start();
    let activity = api.ready().await;
    let path = format!("{ACTIVITY}/{activity}");
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let state = api.state(&activity).await;
        assert_eq!(state, json!({ "state": ["Ready", "Terminated"] }));
        let batch = api.exec(&activity, json!([sh("true")])).await;
        let results = api.results(&activity, &batch, "?timeout=0.3").await.json();
        let busy = "Local service error: State error: Busy: StatePair(Ready, Some(Terminated))";
        assert_eq!(results[0]["message"], json!(busy), "{results}");
    };
    let (destroyed, ()) = tokio::join!(api.delete(&path), meanwhile);
    assert_eq!(destroyed.status, 200);
    assert_eq!(
        api.state(&activity).await["state"],
        json!(["Terminated", null])
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_at_once_misses_nothing_of_a_quick_command() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([sh("echo quick")])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    let text = stream.read(Duration::from_secs(1)).await;
    assert_eq!(events(&text).len(), 3, "{text}");
    assert!(text.ends_with("id: 2\n\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn events_come_when_they_happen() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([sh("sleep 3; exit 4")])).await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    let text = stream.read(Duration::from_secs(1)).await;
    assert_eq!(events(&text).len(), 1);
    let text = stream.read(Duration::from_secs(3)).await;
    let message = "ExeScript command exited with code 4";
    let finished = json!({ "finished": { "return_code": 4, "message": message } });
    assert_eq!(events(&text), [(0, finished)]);
}

#[tokio::test(start_paused = true)]
async fn output_comes_while_the_command_runs() {
    let api = Api::start();
    let activity = api.ready().await;
    let script = "for i in 1 2 3; do echo $i; sleep 10; done; echo end; echo bad >&2";
    let batch = api.exec(&activity, json!([sh(script)])).await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(events(&stream.read(Duration::from_secs(10)).await));
    }
    let out = |text: &str| (0, json!({ "stdout": text }));
    let ends = [
        out("end\n"),
        (0, json!({ "stderr": "bad\n" })),
        (
            0,
            json!({ "finished": { "return_code": 0, "message": null } }),
        ),
    ];
    assert_eq!(seen[0].last(), Some(&out("1\n")));
    assert_eq!(seen[1], [out("2\n")]);
    assert_eq!(seen[2], [out("3\n")]);
    assert_eq!(seen[3], ends);
    let results = api.results(&activity, &batch, "?timeout=1").await.json();
    assert_eq!(results[0]["stdout"], "1\n2\n3\nend\n");
}

#[tokio::test(start_paused = true)]
async fn what_a_command_that_was_cut_short_would_have_printed_is_never_seen() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api
        .exec(
            &activity,
            json!([sh("echo before; sleep 10; echo after; sleep 10")]),
        )
        .await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    stream.read(Duration::from_secs(5)).await;
    api.run(&activity, json!([{ "terminate": {} }])).await;
    let text = stream.read(Duration::from_secs(60)).await;
    assert!(text.contains("return_code\":-1"), "{text}");
    assert!(!text.contains("after"), "{text}");
    let results = api.results(&activity, &batch, "?timeout=1").await.json();
    assert_eq!(results[0]["stdout"], "before\n", "{results}");
}

#[tokio::test(start_paused = true)]
async fn output_at_the_end_and_binary_output_are_captured_whole() {
    let api = Api::start();
    let activity = api.ready().await;
    let run = |capture: Value| {
        json!({ "run": { "entry_point": "/bin/sh",
            "args": ["-c", "printf ab; sleep 1; printf cd; sleep 1"], "capture": { "stdout": capture } } })
    };
    let script = json!([
        run(json!({ "atEnd": { "tail": 3 } })),
        run(json!({ "stream": { "format": "bin", "limit": 3 } })),
        run(json!({ "stream": { "limit": 3 } })),
    ]);
    let batch = api.exec(&activity, script).await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    let seen = events(&stream.read(Duration::from_secs(30)).await);
    let prints: Vec<(u64, Value)> = seen
        .into_iter()
        .filter_map(|(index, kind)| Some((index, kind.get("stdout")?.clone())))
        .collect();
    let expected = [
        (1, json!([97, 98])),
        (1, json!([99])),
        (2, json!("ab")),
        (2, json!("c")),
    ];
    assert_eq!(prints, expected);
    let results = api.results(&activity, &batch, "?timeout=1").await.json();
    let outputs: Vec<&Value> = (0..3).map(|index| &results[index]["stdout"]).collect();
    assert_eq!(
        outputs,
        [&json!("bcd"), &json!([97, 98, 99]), &json!("abc")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batch_is_a_stream_of_pings() {
    let api = Api::start();
    let activity = api.ready().await;
    let mut stream = Stream::open(&api, &activity, "00000000000000000000000000000000").await;
    assert_eq!(
        stream.read(Duration::from_secs(25)).await,
        ":ping\n\n:ping\n\n"
    );
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_the_daemon() {
    let api = Api::start();
    let activity = api.ready().await;
    let batch = api.exec(&activity, json!([])).await;
    let mut stream = Stream::open(&api, &activity, &batch).await;
    let (frame, ()) = tokio::join!(stream.0.frame(), api.mock.stop());
    assert!(frame.is_none());
}

/// A network whose web has a model of a hundred thousand bytes, which takes ten seconds.
fn with_a_web() -> Api {
    let model = WebFile {
        content: WebContent::Zeros(100_000),
        takes: Duration::from_secs(10),
    };
    let text = WebFile {
        content: WebContent::Bytes("hello".into()),
        takes: Duration::ZERO,
    };
    Api::with(Config {
        providers: vec![ProviderSpec::new("alice")],
        web: IndexMap::from([
            ("https://example.com/model.bin".to_owned(), model),
            ("http://example.com/hello.txt".to_owned(), text),
        ]),
        ..Config::default()
    })
}

fn fetch(url: &str, progress: Value) -> Value {
    let (from, to) = (url, "container:/golem/work/it");
    json!({ "transfer": { "from": from, "to": to, "progress": progress } })
}

#[tokio::test(start_paused = true)]
async fn a_transfer_from_the_web_tells_how_far_it_has_come() {
    let model = "https://example.com/model.bin";
    let by_time: Vec<u64> = (0..=5).map(|n| n * 20_000).collect();
    let by_step: Vec<u64> = (0..=4).map(|n| n * 25_000).collect();
    let every_second: Vec<u64> = (0..=10).map(|n| n * 10_000).collect();
    for (asked, expected) in [
        (
            json!({ "updateInterval": "2s", "updateStep": null }),
            by_time,
        ),
        (
            json!({ "updateInterval": null, "updateStep": 25_000 }),
            by_step,
        ),
        (json!({}), every_second),
        (Value::Null, Vec::new()),
    ] {
        let api = with_a_web();
        let activity = api.ready().await;
        let batch = api.exec(&activity, json!([fetch(model, asked)])).await;
        let mut stream = Stream::open(&api, &activity, &batch).await;
        let text = stream.read(Duration::from_secs(11)).await;
        let events = events(&text);
        let told = events.iter().filter_map(|(_, kind)| kind.get("progress"));
        let told: Vec<&Value> = told.collect();
        let of = |done: &u64| json!({ "step": [0, 1], "message": null, "progress": [done, 100_000], "unit": "Bytes" });
        let expected: Vec<Value> = expected.iter().map(of).collect();
        assert_eq!(told, expected.iter().collect::<Vec<_>>());
        let (_, last) = events.last().expect("an end");
        assert_eq!(last["finished"]["return_code"], 0, "{text}");
        let results = api
            .run(&activity, json!([sh("wc -c < /golem/work/it")]))
            .await;
        assert_eq!(results[0]["stdout"], "100000\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_of_the_network_has_its_content_and_others_stay_away() {
    let api = with_a_web();
    let activity = api.ready().await;
    let hello = fetch("hash:sha3:00:http://example.com/hello.txt", Value::Null);
    let results = api.run(&activity, json!([hello])).await;
    assert!(
        results[0]["message"].to_string().contains("Incorrect hash"),
        "{results}"
    );
    let hello = fetch("http://example.com/hello.txt", json!({}));
    let results = api
        .run(
            &activity,
            json!([
                hello,
                sh("cat /golem/work/it"),
                fetch("http://example.com/", json!({}))
            ]),
        )
        .await;
    assert_eq!(results[1]["stdout"], "hello", "{results}");
    assert!(
        results[2]["message"]
            .to_string()
            .contains("only this computer"),
        "{results}"
    );
}
