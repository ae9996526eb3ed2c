//! Files through the service bus: the websocket as a client sees it, and the `transfer` command.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use golem_wire::flex::Flex;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use sha3::{Digest, Sha3_256};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::harness::{Api, sh};

const SERVICES: &str = "/gsb-api/v1/services";

type Socket = WebSocketStream<DuplexStream>;

async fn bind(api: &Api, name: &str, components: &[&str]) -> String {
    let on = format!("/public/gftp/{name}");
    let body = json!({ "listen": { "on": on, "components": components } });
    let answer = api.post(SERVICES, &body.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let bound = answer.json();
    assert_eq!(bound["listen"], body["listen"]);
    let id = bound["servicesId"].as_str().expect("an id").to_owned();
    assert_eq!(answer.headers["location"], format!("/{id}"));
    id
}

/// Connects over a byte stream in memory.
async fn connect(api: &Api, service: &str) -> Result<Socket, WsError> {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let router = api.router.clone();
    api.mock.world().spawn(async move {
        let service = TowerToHyperService::new(router);
        let connection = hyper::server::conn::http1::Builder::new();
        drop(
            connection
                .serve_connection(TokioIo::new(server), service)
                .with_upgrades()
                .await,
        );
    });
    let url = format!("ws://mock{SERVICES}/{service}?authToken=secret");
    let mut request = url.into_client_request().expect("a request");
    let protocol = "gsb+flexbuffers".parse().expect("a header");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let (socket, response) = tokio_tungstenite::client_async(request, client).await?;
    assert_eq!(
        response.headers()["sec-websocket-protocol"],
        "gsb+flexbuffers"
    );
    Ok(socket)
}

/// The next call: its id, component and payload.
async fn call(socket: &mut Socket) -> Option<(Flex, String, Flex)> {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(frame) = message {
            let frame = Flex::decode(&frame).expect("a frame");
            let get = |key: &str| frame.get(key).cloned().expect("a member");
            let component = get("component").as_str().expect("text").to_owned();
            return Some((get("id"), component, get("payload")));
        }
    }
    None
}

async fn answer(socket: &mut Socket, id: Flex, key: &str, value: Flex) {
    let frame = Flex::map([("id", id), (key, value)]).encode();
    socket.send(Message::binary(frame)).await.expect("sent");
}

/// Serves `content` to the provider; answers how many chunks it took.
async fn serve(socket: &mut Socket, content: &[u8]) -> u32 {
    let mut chunks = 0;
    while let Some((id, component, payload)) = call(socket).await {
        if component == "GetMetadata" {
            let size = Flex::UInt(content.len() as u64);
            answer(socket, id, "payload", Flex::map([("fileSize", size)])).await;
            continue;
        }
        assert_eq!(component, "GetChunk");
        chunks += 1;
        let number =
            |key: &str| payload.get(key).and_then(Flex::as_u64).expect("a number") as usize;
        let (offset, size) = (number("offset"), number("size"));
        let end = content.len().min(offset + size);
        let chunk = [
            ("offset", Flex::UInt(offset as u64)),
            (
                "content",
                Flex::Blob(Bytes::copy_from_slice(&content[offset..end])),
            ),
        ];
        answer(socket, id, "payload", Flex::map(chunk)).await;
        if end == content.len() {
            break;
        }
    }
    chunks
}

/// Receives a file from the provider; answers its content and hash.
async fn receive(socket: &mut Socket) -> (Vec<u8>, String) {
    let mut content = Vec::new();
    while let Some((id, component, payload)) = call(socket).await {
        answer(socket, id, "payload", Flex::Null).await;
        if component == "UploadFinished" {
            let hash = payload.get("hash").and_then(Flex::as_str).expect("a hash");
            return (content, hash.to_owned());
        }
        let chunk = payload.get("chunk").expect("a chunk");
        let offset = chunk.get("offset").and_then(Flex::as_u64);
        assert_eq!(offset, Some(content.len() as u64), "chunks come in order");
        match chunk.get("content") {
            Some(Flex::Blob(bytes)) => content.extend(bytes),
            other => panic!("no blob: {other:?}"),
        }
    }
    panic!("the socket closed")
}

async fn node(api: &Api) -> String {
    api.get("/me").await.json()["identity"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn transfer(from: &str, to: &str) -> Value {
    json!([{ "transfer": { "from": from, "to": to } }])
}

#[tokio::test(start_paused = true)]
async fn binding_answers_as_recorded() {
    let api = Api::start();
    let body = r#"{"listen": {"on": "/public/foo/bar", "components": ["X"]}}"#;
    let answer = api.post(SERVICES, body).await;
    let bound = json!({ "listen": { "on": "/public/foo/bar", "components": ["X"] },
        "servicesId": "L3B1YmxpYy9mb28vYmFy" });
    assert_eq!((answer.status, answer.json()), (201, bound));
    let words = "Duplicated service address prefix: /public/foo/bar".to_owned();
    assert_eq!(api.post(SERVICES, body).await.refusal(), (400, words));
    let path = format!("{SERVICES}/L3B1YmxpYy9mb28vYmFy");
    let answer = api.delete(&path).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "null"));
    let words = "Service prefix not found: Cannot find service: /public/foo/bar".to_owned();
    assert_eq!(api.delete(&path).await.refusal(), (404, words));
    assert_eq!(api.get(SERVICES).await.status, 404);
    assert_eq!(
        api.post(SERVICES, r#"{"listen": {"on": ""}}"#).await.status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_goes_in_and_out_in_chunks() {
    let api = Api::start();
    let activity = api.ready().await;
    let node = node(&api).await;
    let content: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let upload = bind(&api, "up", &["GetMetadata", "GetChunk"]).await;
    let mut socket = connect(&api, &upload).await.expect("connected");
    let script = transfer(
        &format!("gftp://{node}/up"),
        "container:/golem/work/dir/file",
    );
    let (results, chunks) = tokio::join!(api.run(&activity, script), serve(&mut socket, &content));
    assert_eq!(
        (&results[0]["result"], chunks),
        (&json!("Ok"), 3),
        "{results}"
    );

    let count = api
        .run(&activity, json!([sh("wc -c /golem/work/dir/file")]))
        .await;
    assert_eq!(count[0]["stdout"], "100000 /golem/work/dir/file\n");

    let download = bind(&api, "down", &["UploadChunk", "UploadFinished"]).await;
    let mut socket = connect(&api, &download).await.expect("connected");
    let script = transfer(
        "container:/golem/work/dir/file",
        &format!("gftp://{node}/down"),
    );
    let (results, (received, hash)) =
        tokio::join!(api.run(&activity, script), receive(&mut socket));
    assert_eq!(results[0]["result"], "Ok", "{results}");
    assert_eq!(received, content);
    assert_eq!(hash, hex::encode(Sha3_256::digest(&content)));
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_socket() {
    let api = Api::start();
    let activity = api.ready().await;
    let node = node(&api).await;
    let service = bind(&api, "late", &["GetMetadata", "GetChunk"]).await;
    let script = transfer(&format!("gftp://{node}/late"), "/golem/work/file");
    let late = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let mut socket = connect(&api, &service).await.expect("connected");
        serve(&mut socket, b"late").await
    };
    let (results, _) = tokio::join!(api.run(&activity, script), late);
    assert_eq!(results[0]["result"], "Ok", "{results}");
}

#[tokio::test(start_paused = true)]
async fn failed_transfers_say_why() {
    let api = Api::start();
    let activity = api.ready().await;
    let node = node(&api).await;
    let message = async |from: &str, to: &str| {
        let results = api.run(&activity, transfer(from, to)).await;
        assert_eq!(results[0]["result"], "Error");
        let message = results[0]["message"].as_str().expect("a message");
        let words = message.strip_prefix("Local service error: Transfer error: ");
        words.unwrap_or_else(|| panic!("{message}")).to_owned()
    };
    let unbound = message(&format!("gftp://{node}/none"), "/golem/work/x").await;
    assert!(unbound.ends_with("endpoint address not found"), "{unbound}");
    let missing = message("/golem/work/none", &format!("gftp://{node}/x")).await;
    assert_eq!(missing, "IO error: No such file or directory (os error 2)");
    let outside = message("/etc/passwd", &format!("gftp://{node}/x")).await;
    assert_eq!(
        outside,
        "IO error: path not found in container: /etc/passwd"
    );
    let climbs = message("/golem/work/../../etc", &format!("gftp://{node}/x")).await;
    assert_eq!(climbs, "IO error: path not found in container: /etc");
    let results = api.run(
        &activity,
        json!([{ "transfer": { "from": "/golem/work/a", "to": "/golem/work/b", "format": "zip" } }]),
    );
    assert!(
        results.await[0]["message"]
            .as_str()
            .is_some_and(|m| m.contains("zip"))
    );

    let service = bind(&api, "refusing", &["GetMetadata"]).await;
    let mut socket = connect(&api, &service).await.expect("connected");
    let refuse = async {
        let (id, ..) = call(&mut socket).await.expect("a call");
        let error = Flex::map([("InternalError", Flex::Text("no such file".into()))]);
        answer(&mut socket, id, "error", error).await;
    };
    let from = format!("gftp://{node}/refusing");
    let (refused, ()) = tokio::join!(message(&from, "/golem/work/x"), refuse);
    assert_eq!(refused, "GSB error: InternalError: no such file");
    // The address is the owner's alone, and only for what it listens to.
    let foreign = message(&format!("gftp://0x{:040}/refusing", 7), "/golem/work/x").await;
    assert!(foreign.ends_with("endpoint address not found"), "{foreign}");
    let deaf = message("/golem/work/y", &from).await;
    assert_eq!(deaf, "IO error: No such file or directory (os error 2)");
}

#[tokio::test(start_paused = true)]
async fn unbinding_fails_what_is_under_way_and_silence_ends() {
    let api = Api::start();
    let activity = api.ready().await;
    let node = node(&api).await;
    let service = bind(&api, "gone", &["GetMetadata"]).await;
    let script = transfer(&format!("gftp://{node}/gone"), "/golem/work/x");
    let unbind = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        api.delete(&format!("{SERVICES}/{service}")).await
    };
    let (results, _) = tokio::join!(api.run(&activity, script.clone()), unbind);
    let message = results[0]["message"].as_str().expect("a message");
    assert!(message.ends_with("endpoint address not found"), "{message}");

    bind(&api, "gone", &["GetMetadata"]).await;
    let results = api.run(&activity, script).await;
    let message = results[0]["message"].as_str().expect("a message");
    assert!(
        message.contains("timeout calling /public/gftp/gone/GetMetadata"),
        "{message}"
    );
}

/// The code and reason with which the daemon closes.
async fn closed(socket: &mut Socket) -> (CloseCode, String) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => {
                return (frame.code, frame.reason.as_str().to_owned());
            }
            Some(Ok(_)) => {}
            other => panic!("closed without a word: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_are_closed_with_a_code_that_says_why() {
    let api = Api::start();
    let service = bind(&api, "x", &["GetMetadata"]).await;
    let mut first = connect(&api, &service).await.expect("connected");
    let mut second = connect(&api, &service).await.expect("connected");
    assert_eq!(closed(&mut first).await.0, CloseCode::Policy);
    second.send(Message::text("text")).await.expect("sent");
    assert_eq!(closed(&mut second).await.0, CloseCode::Unsupported);
    for bad in [
        Bytes::from_static(b"abc"),
        Flex::map([("id", Flex::UInt(1))]).encode(),
    ] {
        let mut socket = connect(&api, &service).await.expect("connected");
        socket.send(Message::binary(bad)).await.expect("sent");
        let (code, reason) = closed(&mut socket).await;
        assert_eq!(code, CloseCode::Policy);
        assert!(reason.starts_with("Failed to read response"), "{reason}");
    }
    let mut socket = connect(&api, &service).await.expect("connected");
    api.delete(&format!("{SERVICES}/{service}")).await;
    assert_eq!(closed(&mut socket).await.0, CloseCode::Normal);
    match connect(&api, &service).await {
        Err(WsError::Http(response)) => assert_eq!(response.status(), 404),
        other => panic!("{other:?}"),
    }
}
