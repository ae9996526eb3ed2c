//! The same faults over a real socket: what a client of any language sees.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::fault;
use crate::config::Config;
use crate::fault::Effect;
use crate::{MockYagna, Timebase};

/// The bytes that come back for `GET /me`.
async fn bytes(effect: Effect) -> String {
    let config = Config {
        faults: vec![fault("/me", effect)],
        ..Config::default()
    };
    let mock = MockYagna::start(config, Timebase::wall_clock());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asking = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = "GET /me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n";
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = Vec::new();
        // A reset connection is an end, too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    };
    let answer = tokio::select! {
        biased;
        answer = asking => answer,
        served = mock.serve(listener) => panic!("it stopped: {served:?}"),
    };
    mock.stop().await;
    answer
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_connection_without_a_byte() {
    assert_eq!(bytes(Effect::LoseAnswer).await, "");
    assert_eq!(bytes(Effect::Reset).await, "");
}

#[tokio::test]
async fn a_truncated_answer_is_shorter_than_it_says() {
    let answer = bytes(Effect::Truncate).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().expect("a number");
    assert!(!body.is_empty() && body.len() < length, "{answer}");
}
