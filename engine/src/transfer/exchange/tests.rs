//! A file served over the websocket of a canned daemon.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use golem_wire::flex::Flex;
use golem_wire::gsb::SUBPROTOCOL;
use http::{HeaderValue, Request as HttpRequest, Response as HttpResponse};
use http_body_util::Full;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::server;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::api::{Limits, Rest};
use crate::config::AppKey;
use crate::transfer::{Download, Source, Target, Upload};
use crate::transport::{Body, Io, Transport};

type Calls = Arc<Mutex<Vec<String>>>;

/// The daemon's side: REST calls are noted, websockets are handed to the test.
fn daemon() -> (GsbApi, Calls, mpsc::UnboundedReceiver<DuplexStream>) {
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    let service = tower::service_fn(move |request: HttpRequest<Body>| {
        noted
            .lock()
            .expect("calls")
            .push(format!("{} {}", request.method(), request.uri().path()));
        let bound = r#"{"listen":{"on":"x","components":[]},"servicesId":"c2lk"}"#;
        async move {
            Ok::<_, Infallible>(HttpResponse::new(Full::new(Bytes::from_static(
                bound.as_bytes(),
            ))))
        }
    });
    let (sockets, accepted) = mpsc::unbounded_channel();
    let connect = move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        sockets
            .send(theirs)
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(ours) as Box<dyn Io>)
    };
    let base = http::Uri::from_static("http://daemon");
    let key = AppKey::new("secret").expect("literal");
    let rest = Rest::new(
        Transport::in_memory(service, connect),
        base,
        &key,
        Limits::default(),
    );
    (rest.gsb(), calls, accepted)
}

#[expect(
    clippy::result_large_err,
    reason = "the callback's type is the library's"
)]
fn handshake(
    request: &server::Request,
    mut response: server::Response,
) -> Result<server::Response, server::ErrorResponse> {
    assert_eq!(request.uri().path(), "/gsb-api/v1/services/c2lk");
    assert_eq!(request.headers()["authorization"], "Bearer secret");
    assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    response
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    Ok(response)
}

async fn ask(socket: &mut WebSocketStream<DuplexStream>, component: &str, payload: Flex) -> Flex {
    let request = Flex::map([
        ("component", Flex::Text(component.into())),
        ("id", Flex::Text("7".into())),
        ("payload", payload),
    ]);
    socket
        .send(Message::Binary(request.encode()))
        .await
        .expect("sent");
    loop {
        match socket.next().await.expect("an answer").expect("a frame") {
            Message::Binary(frame) => return Flex::decode(&frame).expect("a map"),
            _ => continue,
        }
    }
}

async fn open<E: Endpoint + 'static>(
    gsb: GsbApi,
    sockets: &mut mpsc::UnboundedReceiver<DuplexStream>,
    file: E,
) -> (Exchange<E>, WebSocketStream<DuplexStream>) {
    let tasks = TaskGroup::new("test");
    let node = NodeId::new("0xme");
    let accepting = async {
        accept_hdr_async(sockets.recv().await.expect("a socket"), handshake)
            .await
            .expect("open")
    };
    let seed = Seed::from_u64(1);
    let (exchange, socket) =
        tokio::join!(Exchange::open(gsb, &tasks, &node, &seed, file), accepting);
    (exchange.expect("an exchange"), socket)
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_served_until_it_is_closed() {
    let (gsb, calls, mut sockets) = daemon();
    let source = Source::Bytes(Bytes::from_static(b"hello"));
    let file = Upload::open(&source).expect("bytes");
    let (exchange, mut socket) = open(gsb, &mut sockets, file).await;
    let name = Seed::from_u64(1).hex(NAME_DIGITS);
    assert_eq!(exchange.url(), format!("gftp://0xme/{name}"));
    let metadata = ask(&mut socket, "GetMetadata", Flex::Null).await;
    assert_eq!(metadata.get("id").and_then(Flex::as_str), Some("7"));
    let size = metadata
        .get("payload")
        .and_then(|payload| payload.get("fileSize"));
    assert_eq!(size.and_then(Flex::as_u64), Some(5));
    // Neither a text nor a frame that makes no sense ends it.
    socket.send(Message::text("what?")).await.expect("sent");
    socket
        .send(Message::Binary(Bytes::from_static(b"\xff\xff")))
        .await
        .expect("sent");
    assert!(
        ask(&mut socket, "Nonsense", Flex::Null)
            .await
            .get("error")
            .is_some()
    );
    exchange.close().await.expect("the file");
    let calls = calls.lock().expect("calls").clone();
    assert_eq!(
        calls,
        [
            "POST /gsb-api/v1/services",
            "DELETE /gsb-api/v1/services/c2lk"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_breaks_is_opened_again_and_the_download_goes_on() {
    let (gsb, _, mut sockets) = daemon();
    let file = Download::open(&Target::Memory, "/out", 100, "x").expect("memory");
    let (exchange, mut socket) = open(gsb, &mut sockets, file).await;
    let chunk = |offset, content: &'static [u8]| {
        let chunk = Flex::map([
            ("content", Flex::Blob(Bytes::from_static(content))),
            ("offset", Flex::UInt(offset)),
        ]);
        Flex::map([("chunk", chunk)])
    };
    ask(&mut socket, "UploadChunk", chunk(0, b"abc")).await;
    drop(socket);
    let stream = sockets.recv().await.expect("a second socket");
    let mut socket = accept_hdr_async(stream, handshake).await.expect("open");
    ask(&mut socket, "UploadChunk", chunk(3, b"de")).await;
    use sha3::{Digest, Sha3_256};
    let hash = Flex::Text(hex::encode(Sha3_256::digest(b"abcde")));
    let done = ask(&mut socket, "UploadFinished", Flex::map([("hash", hash)])).await;
    assert_eq!(done.get("payload"), Some(&Flex::Null));
    let received = exchange
        .close()
        .await
        .expect("the file")
        .keep()
        .expect("all of it");
    assert_eq!(&received.bytes[..], b"abcde");
}
