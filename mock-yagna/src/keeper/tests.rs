use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;
use crate::{AppKey, Config, Timebase};

/// A client that speaks to the keeper by hand.
struct Client {
    control: BufReader<TcpStream>,
    daemon: TcpStream,
}

/// A network whose time is kept, and a client that has said hello.
async fn begin() -> (MockYagna, Keeper, Client) {
    let held = HeldClock::hold();
    let config = Config {
        app_keys: vec![AppKey::new("key", "requestor")],
        ..Config::default()
    };
    let network = MockYagna::start(config, Timebase::starting_at(Timestamp::UNIX_EPOCH));
    let keeper = Keeper::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let control = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let addresses = [&listener, &control].map(|it| it.local_addr().expect("an address"));
    let (served, serves) = (network.clone(), keeper.clone());
    network.world().spawn(async move {
        served
            .serve_kept(listener, &serves)
            .await
            .expect("it serves");
    });
    let (kept, keeps) = (network.clone(), keeper.clone());
    network.world().spawn(async move {
        keeps.keep(&kept, control).await.expect("it keeps time");
    });
    let client = Client {
        daemon: TcpStream::connect(addresses[0]).await.expect("it listens"),
        control: BufReader::new(TcpStream::connect(addresses[1]).await.expect("it listens")),
    };
    let mut client = client;
    client.say("hello - test").await;
    assert_eq!(client.hear().await, "now 0");
    drop(held);
    (network, keeper, client)
}

impl Client {
    async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.control
            .write_all(line.as_bytes())
            .await
            .expect("heard");
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).await.expect("said");
        line.trim_end().to_owned()
    }

    /// Sends a long poll of so many seconds; bytes sent.
    async fn poll(&mut self, seconds: u32) -> usize {
        let request = format!(
            "GET /market-api/v1/agreementEvents?timeout={seconds} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n"
        );
        self.daemon
            .write_all(request.as_bytes())
            .await
            .expect("sent");
        request.len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_when_its_client_only_waits_and_knows_the_time_first() {
    let (network, keeper, mut client) = begin().await;
    let begun = Instant::now();
    let port = client.daemon.local_addr().expect("an address").port();
    let sent = client.poll(50).await;
    assert!(
        keeper
            .held_by()
            .is_some_and(|why| why.contains("test works"))
    );
    client
        .say(&format!("idle 3600000000000 {port}:{sent}:0"))
        .await;
    let told = client.hear().await;
    let told = told.strip_prefix("wake 50").expect("as long as the poll");
    assert_eq!(told.len(), 9, "in nanoseconds: {told}");
    let mut answer = vec![0; 1024];
    // Not a byte before it says that it knows.
    assert_eq!(
        client.daemon.try_read(&mut answer).map_err(|e| e.kind()),
        Err(io::ErrorKind::WouldBlock)
    );
    client.say("got").await;
    let read = client.daemon.read(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200") && read > 12);
    assert_eq!(begun.elapsed().as_secs(), 50);
    // Its own timer is next, for there is nothing else to wait for.
    client
        .say(&format!("idle 60000000000 {port}:{sent}:{read}"))
        .await;
    assert!(client.hear().await.starts_with("wake 60"));
    assert_eq!(begun.elapsed().as_secs(), 60);
    network.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dies_is_let_go_of_and_nonsense_is_answered() {
    let (network, keeper, mut client) = begin().await;
    client.say("sleep 5").await;
    assert!(client.hear().await.starts_with("error `sleep` is not"));
    assert_eq!(client.hear().await, "", "it is over");
    while keeper
        .held_by()
        .is_none_or(|why| !why.contains("no process"))
    {
        tokio::task::yield_now().await;
    }
    keeper.expect_nobody();
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(begun.elapsed().as_secs(), 3600);
    network.stop().await;
}
