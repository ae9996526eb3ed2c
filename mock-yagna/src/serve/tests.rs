//! Connections in memory, in virtual time: how long each is kept.

use std::time::Duration;

use axum::serve::Listener;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::{Config, MockYagna, Timebase};

const VERSION: &str = "GET /version/get HTTP/1.1\r\nhost: x\r\n\r\n";
const KEY: &str = "host: x\r\nauthorization: Bearer secret\r\n";

/// Takes the connections that a test opens.
struct Doorway(mpsc::Receiver<DuplexStream>);

impl Listener for Doorway {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A daemon that is served in memory.
struct Served {
    mock: MockYagna,
    door: mpsc::Sender<DuplexStream>,
}

impl Served {
    fn start() -> Served {
        let epoch = Timestamp::from_second(1_800_000_000).expect("in range");
        let mock = MockYagna::start(Config::default(), Timebase::starting_at(epoch));
        let (door, connections) = mpsc::channel(1);
        let (router, stop) = (mock.router(), mock.stopping.clone());
        let serving = super::serve(Doorway(connections), move |_| router.clone(), stop);
        mock.world().spawn(serving);
        Served { mock, door }
    }

    async fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        self.door.send(theirs).await.expect("it serves");
        ours
    }

    /// A connection on which this was sent, and how the answer begins.
    async fn asked(&self, request: &str) -> (DuplexStream, String) {
        let mut stream = self.connect().await;
        let answer = ask(&mut stream, request).await;
        (stream, answer)
    }
}

async fn ask(stream: &mut DuplexStream, request: &str) -> String {
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("the connection is open");
    let mut answer = vec![0; 16 * 1024];
    let length = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8(answer[..length].to_vec()).expect("text")
}

/// After how many seconds the connection ends without another word.
async fn end_of(mut stream: DuplexStream) -> f64 {
    let begun = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("an orderly end");
    assert_eq!(String::from_utf8_lossy(&rest), "");
    begun.elapsed().as_secs_f64()
}

#[track_caller]
fn assert_seconds(took: f64, expected: f64) {
    assert!((expected..expected + 0.1).contains(&took), "{took} s");
}

/// Whether nothing comes for so many seconds, not even the end.
async fn is_quiet(stream: &mut DuplexStream, seconds: u64) -> bool {
    let mut byte = [0];
    let read = stream.read(&mut byte);
    timeout(Duration::from_secs(seconds), read).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_a_minute_after_its_last_answer() {
    let served = Served::start();
    for request in [
        VERSION,
        "GET /me HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /version/get HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    ] {
        let (stream, answer) = served.asked(request).await;
        assert!(answer.starts_with("HTTP/1."), "{answer}");
        assert_seconds(end_of(stream).await, 60.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_used_is_kept() {
    let served = Served::start();
    let (mut stream, _) = served.asked(VERSION).await;
    for _ in 0..5 {
        sleep(Duration::from_secs(59)).await;
        let answer = ask(&mut stream, VERSION).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_seconds(end_of(stream).await, 60.0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_asks_is_closed_too() {
    let served = Served::start();
    assert_seconds(end_of(served.connect().await).await, 60.0);
    let mut half = served.connect().await;
    half.write_all(b"GET /version/get HTT").await.expect("open");
    assert_seconds(end_of(half).await, 60.0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_it_is_not_kept() {
    let served = Served::start();
    let request = "GET /version/get HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (stream, answer) = served.asked(request).await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_seconds(end_of(stream).await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_not_idle() {
    let served = Served::start();
    let begun = Instant::now();
    let request = format!("GET /market-api/v1/agreementEvents?timeout=300 HTTP/1.1\r\n{KEY}\r\n");
    let (stream, answer) = served.asked(&request).await;
    assert!(answer.ends_with("\r\n\r\n[]"), "{answer}");
    assert_seconds(begun.elapsed().as_secs_f64(), 300.0);
    assert_seconds(end_of(stream).await, 60.0);
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_without_events_is_not_idle() {
    let served = Served::start();
    let body = r#"{"type":"offer","timeout":3600}"#;
    let head = format!(
        "content-type: application/json\r\ncontent-length: {}",
        body.len()
    );
    let begin = format!("POST /market-api/v1/scan HTTP/1.1\r\n{KEY}{head}\r\n\r\n{body}");
    let (mut stream, answer) = served.asked(&begin).await;
    let (_, scan) = answer.rsplit_once("\r\n\r\n").expect("a head");
    let scan = scan.trim_matches('"');
    let listen = format!(
        "GET /market-api/v1/scan/{scan}/events HTTP/1.1\r\n{KEY}accept: text/event-stream\r\n\r\n"
    );
    let answer = ask(&mut stream, &listen).await;
    assert!(answer.contains("text/event-stream"), "{answer}");
    assert!(
        is_quiet(&mut stream, 600).await,
        "neither events nor its end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_not_idle() {
    let served = Served::start();
    let body = r#"{"listen":{"on":"/public/x","components":["a"]}}"#;
    let head = format!(
        "content-type: application/json\r\ncontent-length: {}",
        body.len()
    );
    let bind = format!("POST /gsb-api/v1/services HTTP/1.1\r\n{KEY}{head}\r\n\r\n{body}");
    let (mut stream, answer) = served.asked(&bind).await;
    let (_, service) = answer.rsplit_once("\r\n\r\n").expect("a head");
    let service: serde_json::Value = serde_json::from_str(service).expect("a service");
    let id = service["servicesId"].as_str().expect("an id");
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let open = format!("GET /gsb-api/v1/services/{id} HTTP/1.1\r\n{KEY}{upgrade}\r\n\r\n");
    let answer = ask(&mut stream, &open).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(
        is_quiet(&mut stream, 600).await,
        "neither frames nor its end"
    );
}

#[tokio::test(start_paused = true)]
async fn idle_connections_do_not_outlive_the_daemon() {
    let served = Served::start();
    let (stream, _) = served.asked(VERSION).await;
    let (took, ()) = tokio::join!(biased; end_of(stream), async {
        sleep(Duration::from_secs(5)).await;
        served.mock.stop().await;
    });
    assert_seconds(took, 5.0);
}
