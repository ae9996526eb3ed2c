//! What a restart of the daemon forgets, and what it keeps.

use std::time::Duration;

use tower::ServiceExt;

use super::client::{Client, fault, timed};
use crate::control::Act;
use crate::fault::{Effect, Fault, NotListening};

fn restart(client: &Client, seconds: u64) {
    let down = Duration::from_secs(seconds);
    client
        .mock
        .act(Act::RestartDaemon { down })
        .expect("it restarts");
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_demands_and_keeps_allocations() {
    let client = Client::start(Vec::new());
    let demand = client.demand().await;
    assert_eq!(client.allocate().await.status(), Some(201));
    restart(&client, 0);
    let events = format!("/market-api/v1/demands/{demand}/events?timeout=1");
    assert_eq!(client.get(&events).await.status(), Some(404));
    assert_eq!(
        client.get("/market-api/v1/demands").await.json(),
        serde_json::json!([])
    );
    assert_eq!(client.allocations().await, 1);
    // Nothing of the forgotten demand happens later.
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert!(client.mock.summary().violations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restart_drops_open_polls_and_refuses_connections_for_a_while() {
    let client = Client::start(Vec::new());
    let restarting = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        restart(&client, 10);
        assert!(client.get("/me").await.is_lost());
        assert!(!client.mock.is_listening());
    };
    let path = "/market-api/v1/agreementEvents?timeout=60&afterTimestamp=2020-01-01T00:00:00Z";
    let (poll, ()) = tokio::join!(timed(client.get(path)), restarting);
    assert_eq!((poll.0, poll.1.is_lost()), (Duration::from_secs(3), true));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(client.mock.is_listening());
    assert_eq!(client.get("/me").await.status(), Some(200));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_listening_says_so_in_memory() {
    let client = Client::start(Vec::new());
    restart(&client, 10);
    let request = axum::http::Request::get("/me").body(axum::body::Body::empty());
    let response = client.mock.router().oneshot(request.expect("a request"));
    let response = response.await.expect("infallible");
    assert!(response.extensions().get::<NotListening>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_what_the_daemon_dies_of() {
    let effect = Effect::Restart(Duration::from_secs(5));
    let once = Fault {
        count: Some(1),
        ..fault("createAllocation", effect)
    };
    let client = Client::start(vec![once]);
    assert!(client.allocate().await.is_lost());
    assert!(client.get("/me").await.is_lost());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(client.allocate().await.status(), Some(201));
    assert_eq!(client.allocations().await, 1);
}
