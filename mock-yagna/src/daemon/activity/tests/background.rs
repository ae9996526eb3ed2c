//! What a script leaves running on a simulated machine goes on in the network's time.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Api, sh};
use super::networks::{machine, network, tcp};

/// The service of the Golem Python API reference.
const DATES: &str = "while true; do date +%s > /golem/work/date.txt; sleep 5; done &";

async fn done(api: &Api, activity: &str, script: Value) -> String {
    let results = api.run(activity, json!([script])).await;
    assert_eq!(results[0]["result"], "Ok", "{results}");
    results[0]["stdout"].as_str().unwrap_or_default().to_owned()
}

async fn date(api: &Api, activity: &str) -> i64 {
    let text = done(api, activity, sh("cat /golem/work/date.txt")).await;
    text.trim().parse().expect("seconds")
}

#[tokio::test(start_paused = true)]
async fn the_date_service_of_the_reference_shows_moving_times() {
    let api = Api::start();
    let activity = api.ready().await;
    assert_eq!(done(&api, &activity, sh(DATES)).await, "");
    let begin = date(&api, &activity).await;
    let mut before = begin;
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let now = date(&api, &activity).await;
        assert!((5..=15).contains(&(now - before)), "{before} {now}");
        assert_eq!((now - begin) % 5, 0);
        before = now;
    }
    // It ends with its activity.
    api.delete(&format!("/activity-api/v1/activity/{activity}"))
        .await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        api.state(&activity).await["state"],
        json!(["Terminated", null])
    );
}

#[tokio::test(start_paused = true)]
async fn a_web_server_serves_what_a_loop_wrote_last() {
    let api = Api::start();
    let net = network(&api).await;
    let (activity, _) = machine(&api, &net, "192.168.0.2").await;
    let pages = "/usr/share/nginx/html";
    let script = format!("nginx; while :; do date +%s > {pages}/now; sleep 60; done &");
    done(&api, &activity, sh(&script)).await;
    let mut served = Vec::new();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(600)).await;
        served.push(get(&api, &net, "/now").await);
    }
    assert_eq!(served[1] - served[0], 600);
}

async fn get(api: &Api, network: &str, path: &str) -> i64 {
    use futures::SinkExt as _;
    use tokio_tungstenite::tungstenite::Message;

    let mut socket = tcp(api, network, "192.168.0.2", 80)
        .await
        .expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n");
    let sent = socket.send(Message::binary(request.into_bytes())).await;
    sent.expect("sent");
    let answer = super::networks::all(&mut socket).await;
    let body = answer.rsplit("\r\n\r\n").next().unwrap_or_default();
    body.trim().parse().expect("seconds")
}
