//! Event streams of a batch that lose, repeat or swap events, or break.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::client::{Client, fault};
use crate::fault::Effect;

/// What a stream brought, and whether it broke.
struct Seen {
    indices: Vec<u64>,
    broke: bool,
}

/// Follows a stream for half a minute.
async fn follow(client: &Client, path: &str) -> Seen {
    let request = Request::get(path)
        .header(header::AUTHORIZATION, "Bearer secret")
        .header(header::ACCEPT, "text/event-stream")
        .body(Body::empty())
        .expect("a request");
    let response = client.mock.router().oneshot(request).await;
    let mut body = response.expect("infallible").into_body();
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    let (mut text, mut broke) = (String::new(), false);
    while let Ok(Some(frame)) = tokio::time::timeout_at(end, body.frame()).await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().expect("data");
                text += std::str::from_utf8(&data).expect("text");
            }
            Err(_) => {
                broke = true;
                break;
            }
        }
    }
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    let indices = ids.map(|id| id.parse().expect("a number")).collect();
    Seen { indices, broke }
}

/// What comes of the events of a batch of five commands with each effect.
async fn with(effects: &[Effect]) -> Seen {
    let client = Client::with_providers(1, Vec::new());
    let agreement = client.agree().await;
    let activity = client.activity(&agreement).await;
    let commands: Vec<Value> = (0..3)
        .map(|_| serde_json::json!({ "run": { "entry_point": "/bin/sleep", "args": ["1"] } }))
        .collect();
    let script = [
        vec![
            serde_json::json!({"deploy": {}}),
            serde_json::json!({"start": {}}),
        ],
        commands,
    ];
    let batch = client.exec(&activity, &script.concat()).await;
    let guards: Vec<_> = effects
        .iter()
        .map(|effect| client.inject("getExecBatchResults", effect.clone()))
        .collect();
    let path = format!("/activity-api/v1/activity/{activity}/exec/{batch}");
    let seen = follow(&client, &path).await;
    drop(guards);
    seen
}

#[tokio::test(start_paused = true)]
async fn a_stream_repeats_or_swaps_its_events() {
    let whole = with(&[]).await.indices;
    assert!(whole.len() >= 8 && whole.is_sorted(), "{whole:?}");
    let twice: Vec<u64> = whole.iter().flat_map(|id| [*id, *id]).collect();
    assert_eq!(with(&[Effect::DuplicateEvents]).await.indices, twice);
    let swapped: Vec<u64> = whole
        .chunks(2)
        .flat_map(|pair| pair.iter().rev().copied())
        .collect();
    assert_eq!(with(&[Effect::ReorderEvents]).await.indices, swapped);
}

#[tokio::test(start_paused = true)]
async fn a_stream_loses_events_by_its_seed() {
    assert!(with(&[Effect::LoseEvents(1.0)]).await.indices.is_empty());
    let whole = with(&[]).await.indices;
    let some = with(&[Effect::LoseEvents(0.5)]).await.indices;
    assert!((1..whole.len()).contains(&some.len()), "{some:?}");
    assert_eq!(with(&[Effect::LoseEvents(0.5)]).await.indices, some);
}

#[tokio::test(start_paused = true)]
async fn a_stream_breaks_after_so_many_events() {
    for (cut, events) in [(0, 0), (3, 3)] {
        let seen = with(&[Effect::CutStream(cut)]).await;
        assert_eq!((seen.indices.len(), seen.broke), (events, true));
    }
    let seen = with(&[Effect::DuplicateEvents, Effect::CutStream(3)]).await;
    assert_eq!((seen.indices, seen.broke), (vec![0, 0, 1], true));
}

#[tokio::test(start_paused = true)]
async fn effects_on_streams_leave_other_answers_alone() {
    let client = Client::start(vec![
        fault("*", Effect::LoseEvents(1.0)),
        fault("*", Effect::CutStream(0)),
    ]);
    assert_eq!(client.get("/me").await.status(), Some(200));
    assert_eq!(client.allocate().await.status(), Some(201));
    assert_eq!(client.allocations().await, 1);
}
