//! The event stream of a batch.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::harness::{ACTIVITY, Api, sh};

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
        .exec(&activity, json!([sh("sleep 1; echo hello"), quiet]))
        .await;
    // The first command has begun by then: nobody tells that any more.
    tokio::time::sleep(Duration::from_millis(500)).await;
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
