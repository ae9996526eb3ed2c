//! The same faults over real sockets: what a client of any language sees.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::fault;
use crate::config::{Config, ProviderSpec};
use crate::control::Act;
use crate::fault::{Effect, Fault};
use crate::{MockYagna, Timebase};

const ME: &str = "GET /me";
const LONG_POLL: &str = "GET /market-api/v1/agreementEvents?timeout=60";

/// A daemon on two sockets of its own: the whole API, and the control API.
struct Served {
    mock: MockYagna,
    address: SocketAddr,
    control: SocketAddr,
}

impl Served {
    async fn start(faults: Vec<Fault>, timebase: Timebase) -> Served {
        let config = Config {
            providers: vec![ProviderSpec::new("bob"), ProviderSpec::new("alice")],
            faults,
            ..Config::default()
        };
        let mock = MockYagna::start(config, timebase);
        let free = async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            (listener, address)
        };
        let ((api, address), (directing, control)) = (free().await, free().await);
        let server = mock.clone();
        mock.world()
            .spawn(async move { server.serve(api).await.expect("it serves") });
        let server = mock.clone();
        mock.world()
            .spawn(async move { server.serve_control(directing).await.expect("it serves") });
        // Once a request is answered, the daemon certainly serves.
        let mut stream = sent(address, "GET /version/get").await.expect("it listens");
        answer(&mut stream).await;
        Served {
            mock,
            address,
            control,
        }
    }

    fn restart(&self, down: Duration) {
        let act = Act::RestartDaemon { down };
        self.mock.act(act).expect("it restarts");
    }
}

/// A connection on which a request without a body was sent.
async fn sent(address: SocketAddr, request: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

/// Everything that comes back, and how the connection ended.
async fn ending(mut stream: TcpStream) -> (String, io::Result<usize>) {
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await;
    (String::from_utf8(answer).expect("text"), end)
}

/// The first answer on a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 16 * 1024];
    let length = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8(answer[..length].to_vec()).expect("text")
}

async fn of_me(effect: Effect) -> (String, io::Result<usize>) {
    let served = Served::start(vec![fault("/me", effect)], Timebase::wall_clock()).await;
    let stream = sent(served.address, ME).await.expect("it listens");
    let ended = ending(stream).await;
    served.mock.stop().await;
    ended
}

fn is_reset(end: &io::Result<usize>) -> bool {
    matches!(end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_connection_without_a_byte() {
    let (answer, end) = of_me(Effect::LoseAnswer).await;
    assert_eq!((answer.as_str(), end.ok()), ("", Some(0)));
}

#[tokio::test]
async fn a_reset_is_a_reset_connection() {
    let (answer, end) = of_me(Effect::Reset).await;
    assert_eq!(answer, "");
    assert!(is_reset(&end), "{end:?}");
}

#[tokio::test]
async fn a_truncated_answer_is_shorter_than_it_says() {
    let (answer, _) = of_me(Effect::Truncate).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().expect("a number");
    assert!(!body.is_empty() && body.len() < length, "{answer}");
}

#[tokio::test]
async fn what_a_stream_told_before_it_breaks_arrives() {
    let cut = fault("* /market-api/v1/scan/*", Effect::CutStream(1));
    let served = Served::start(vec![cut], Timebase::wall_clock()).await;
    let scan = r#"{"type": "offer"}"#;
    let length = scan.len();
    let begin = format!(
        "POST /market-api/v1/scan HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{scan}"
    );
    let mut stream = TcpStream::connect(served.address).await.expect("listens");
    stream.write_all(begin.as_bytes()).await.expect("sent");
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 201"));
    let mut stream = TcpStream::connect(served.address).await.expect("listens");
    let follow = "GET /market-api/v1/scan/0/events HTTP/1.1\r\nhost: x\r\n\
                  authorization: Bearer secret\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(follow.as_bytes()).await.expect("sent");
    let (told, _) = ending(stream).await;
    assert_eq!(told.matches("event: offer").count(), 1, "{told}");
    served.mock.stop().await;
}

#[tokio::test]
async fn a_refusal_by_a_proxy_is_a_page_on_a_connection_that_stays() {
    let served = Served::start(
        vec![fault("/me", Effect::Refuse(503))],
        Timebase::wall_clock(),
    )
    .await;
    let mut stream = sent(served.address, ME).await.expect("it listens");
    let page = answer(&mut stream).await;
    assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
    assert!(page.contains("content-type: text/html"), "{page}");
    served.mock.stop().await;
}

#[tokio::test]
async fn a_restart_resets_connections_and_refuses_new_ones() {
    let served = Served::start(Vec::new(), Timebase::wall_clock()).await;
    let mut idle = sent(served.address, ME).await.expect("it listens");
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    let waiting = sent(served.address, LONG_POLL).await.expect("it listens");
    served.restart(Duration::from_secs(3600));
    for stream in [idle, waiting] {
        let (rest, end) = ending(stream).await;
        assert_eq!(rest, "");
        assert!(is_reset(&end), "{end:?}");
    }
    let refused = sent(served.address, ME)
        .await
        .expect_err("the port is closed");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    // Directing the network does not depend on the daemon.
    let mut control = sent(served.control, "GET /mock-api/v1/ledger")
        .await
        .expect("it listens");
    assert!(answer(&mut control).await.starts_with("HTTP/1.1 200"));
    let mut other = sent(served.control, ME).await.expect("it listens");
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 404"));
    served.mock.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_daemon_listens_again_on_the_same_port() {
    let served = Served::start(
        Vec::new(),
        Timebase::starting_at(jiff::Timestamp::UNIX_EPOCH),
    );
    let served = served.await;
    for _ in 0..2 {
        served.restart(Duration::from_secs(10));
        let refused = sent(served.address, ME)
            .await
            .expect_err("the port is closed");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        tokio::time::sleep(Duration::from_secs(11)).await;
        let mut stream = sent(served.address, ME).await.expect("it listens");
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    served.mock.stop().await;
}

#[tokio::test]
async fn the_order_to_restart_is_answered_before_the_port_closes() {
    let served = Served::start(Vec::new(), Timebase::wall_clock()).await;
    let mut stream = TcpStream::connect(served.address)
        .await
        .expect("it listens");
    let order = r#"{"restart_daemon": {"down": "1h"}}"#;
    let head = format!(
        "POST /mock-api/v1/acts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{order}",
        order.len()
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let (answer, end) = ending(stream).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(end.is_ok(), "{end:?}");
    let refused = sent(served.address, ME)
        .await
        .expect_err("the port is closed");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    served.mock.stop().await;
}

#[tokio::test]
async fn a_port_that_was_taken_meanwhile_ends_the_daemon() {
    let mock = MockYagna::start(Config::default(), Timebase::wall_clock());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let taking = async {
        // The daemon has to be accepting first.
        drop(sent(address, ME).await);
        let act = Act::RestartDaemon {
            down: Duration::from_millis(1),
        };
        mock.act(act).expect("it restarts");
        let taken = std::net::TcpListener::bind(address).expect("the port is free");
        std::future::pending::<()>().await;
        drop(taken);
    };
    let served = tokio::select! {
        biased;
        served = mock.serve(listener) => served,
        () = taking => unreachable!("it waits for ever"),
    };
    let error = served.expect_err("the port is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    mock.stop().await;
}
