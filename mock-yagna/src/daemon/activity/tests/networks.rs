//! Virtual networks as a client sees them, and the machines that are reached through them.

use std::path::Path;
use std::time::Duration;

use axum::http::Method;
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::harness::{Api, sh};
use crate::config::{Config, ProviderSpec};
use crate::network_file::NetworkFile;

const NET: &str = "/net-api/v1/net";

type Socket = WebSocketStream<DuplexStream>;

/// A network as the SDKs create it; its id.
pub(super) async fn network(api: &Api) -> String {
    let body = r#"{"ip": "192.168.0.0/24", "mask": "255.255.255.0", "gateway": null}"#;
    let answer = api.post(NET, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn add_node(api: &Api, network: &str, node: &str, ip: &str) {
    let body = json!({ "id": node, "ip": ip }).to_string();
    let answer = api.post(&format!("{NET}/{network}/nodes"), &body).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "null"));
}

/// Opens a websocket over a byte stream in memory.
async fn open(api: &Api, path_and_query: &str) -> Result<Socket, WsError> {
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
    let url = format!("ws://mock{path_and_query}");
    Ok(tokio_tungstenite::client_async(url, client).await?.0)
}

/// Connects to a port of a machine.
pub(super) async fn tcp(api: &Api, network: &str, ip: &str, port: u16) -> Result<Socket, WsError> {
    let path = format!("{NET}/{network}/tcp/{ip}/{port}?authToken=secret");
    open(api, &path).await
}

/// Status of a connection that is refused.
pub(super) async fn refused(api: &Api, network: &str, ip: &str, port: u16) -> u16 {
    match tcp(api, network, ip, port).await {
        Err(WsError::Http(response)) => response.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    }
}

/// The next message with bytes, or how the socket was closed.
pub(super) async fn received(socket: &mut Socket) -> Option<Vec<u8>> {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) => return Some(bytes.to_vec()),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
    None
}

/// Everything until the socket is closed.
pub(super) async fn all(socket: &mut Socket) -> String {
    let mut bytes = Vec::new();
    while let Some(more) = received(socket).await {
        bytes.extend(more);
    }
    String::from_utf8(bytes).expect("text")
}

fn deploy(network: &str, ip: &str) -> Value {
    let net = json!([{ "id": network, "ip": "192.168.0.0", "mask": "255.255.255.0",
        "nodeIp": ip, "nodes": { ip: "0x0" } }]);
    json!([{ "deploy": { "net": net } }, { "start": {} }])
}

/// A machine that joined `network`: its activity and its provider.
pub(super) async fn machine(api: &Api, network: &str, ip: &str) -> (String, String) {
    let agreement = api.approved().await;
    let offer = api
        .get(&format!("/market-api/v1/agreements/{agreement}"))
        .await
        .json();
    let provider = offer["offer"]["providerId"]
        .as_str()
        .expect("a provider")
        .to_owned();
    add_node(api, network, &provider, ip).await;
    let activity = api
        .post(super::harness::ACTIVITY, &json!(agreement).to_string())
        .await
        .id();
    let results = api.run(&activity, deploy(network, ip)).await;
    assert_eq!(results[1]["result"], "Ok", "{results}");
    (activity, provider)
}

#[tokio::test(start_paused = true)]
async fn networks_answer_as_recorded_in_both_versions() {
    let api = Api::start();
    for root in ["/net-api/v1/net", "/net-api/v2/vpn/net"] {
        assert_eq!(api.get(root).await.text, "[]");
        let unknown = api.get(&format!("{root}/nope")).await;
        assert_eq!(
            unknown.refusal(),
            (404, "Network not found".into()),
            "while there is none"
        );
        let created = api.post(root, r#"{"ip": "192.168.0.0/24"}"#).await.json();
        let id = created["id"].as_str().expect("an id").to_owned();
        assert_eq!((id.len(), id.contains('-')), (32, false));
        let expected = json!({ "id": id, "ip": "192.168.0.0/24", "mask": "255.255.255.0",
            "gateway": "192.168.0.1" });
        assert_eq!(created, expected);
        assert_eq!(api.get(root).await.json(), json!([expected]));
        let own = format!("{root}/{id}");
        assert_eq!(api.get(&own).await.json(), expected);
        for (method, path) in [
            (Method::GET, format!("{root}/nope")),
            (Method::DELETE, format!("{root}/nope")),
            (Method::GET, format!("{root}/nope/nodes")),
            (Method::GET, format!("{root}/nope/addresses")),
            (Method::GET, format!("{root}/nope/tcp/192.168.0.2/22")),
        ] {
            let answer = api.send(api.request(method, &path, None)).await;
            assert_eq!((answer.status, answer.text.as_str()), (403, ""), "{path}");
        }
        let words = |path: &str, body: &'static str| {
            let (api, path) = (api.clone(), path.to_owned());
            async move { api.post(&path, body).await }
        };
        let eof = "Json deserialize error: EOF while parsing an object at line 1 column 1";
        assert_eq!(words(root, "{").await.plain(), (400, eof));
        let missing = "Json deserialize error: missing field `ip` at line 1 column 2";
        assert_eq!(words(root, "{}").await.plain(), (400, missing));
        let invalid = || {
            (
                400,
                "Invalid IP address: invalid IP address syntax".to_owned(),
            )
        };
        assert_eq!(words(root, r#"{"ip": "zz"}"#).await.refusal(), invalid());
        let wide = words(root, r#"{"ip": "10.0.0.5", "mask": "255.255.0.0"}"#)
            .await
            .json();
        let told = ["ip", "mask", "gateway"].map(|key| wide[key].as_str().unwrap_or_default());
        assert_eq!(told, ["10.0.0.5/16", "255.255.0.0", "10.0.0.1"]);

        let addresses = format!("{own}/addresses");
        assert_eq!(
            api.get(&addresses).await.text,
            r#"[{"ip":"192.168.0.1/24"}]"#
        );
        let answer = words(&addresses, r#"{"ip": "192.168.0.1/24"}"#).await;
        assert_eq!(answer.refusal(), invalid());
        for _ in 0..2 {
            let answer = words(&addresses, r#"{"ip": "192.168.0.1"}"#).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, "null"));
        }
        let answer = words(&addresses, r#"{"ip": "10.9.9.9"}"#).await;
        let mismatch = "Network not found for IP address: 10.9.9.9";
        assert_eq!(answer.refusal(), (400, mismatch.into()));
        assert_eq!(
            api.get(&addresses).await.text,
            r#"[{"ip":"192.168.0.1/24"}]"#
        );

        let nodes = format!("{own}/nodes");
        assert_eq!(api.get(&nodes).await.text, "[]");
        let answer = words(&nodes, r#"{"id": "0xa", "ip": "10.1.1.1"}"#).await;
        let outside = "Invalid network IP address: 10.1.1.1";
        assert_eq!(answer.refusal(), (400, outside.into()));
        let answer = words(&nodes, r#"{"id": "0xa", "ip": "127.0.0.1"}"#).await;
        assert_eq!(
            answer.refusal(),
            (400, "IP address not allowed: 127.0.0.1".into())
        );

        assert_eq!(api.get(&format!("{own}/connections")).await.status, 404);
        assert_eq!(api.get(&format!("{own}/tcp")).await.status, 404);
        let answer = api.delete(&own).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "null"));
        assert_eq!(api.delete(&own).await.status, 403, "another one is left");
        let other = wide["id"].as_str().expect("an id");
        assert_eq!(api.delete(&format!("{root}/{other}")).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_may_be_added_again_and_again_and_the_first_one_keeps_its_address() {
    let api = Api::start();
    let id = network(&api).await;
    for node in ["0xaa", "0xaa", "0xbb"] {
        add_node(&api, &id, node, "192.168.0.2").await;
    }
    add_node(&api, &id, "nope", "192.168.0.3").await;
    let nodes = || async { api.get(&format!("{NET}/{id}/nodes")).await.json() };
    let expected =
        json!([{"id": "0xaa", "ip": "192.168.0.2"}, {"id": "nope", "ip": "192.168.0.3"}]);
    assert_eq!(nodes().await, expected);
    for _ in 0..2 {
        let answer = api.delete(&format!("{NET}/{id}/nodes/0xaa")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "null"));
    }
    assert_eq!(nodes().await, json!([{"id": "nope", "ip": "192.168.0.3"}]));
}

#[tokio::test(start_paused = true)]
async fn networks_belong_to_one_identity() {
    let api = Api::start();
    let id = network(&api).await;
    let other = api.as_other();
    assert_eq!(other.get(NET).await.text, "[]");
    assert_eq!(other.get(&format!("{NET}/{id}")).await.status, 404);
    network(&other).await;
    let answer = other.get(&format!("{NET}/{id}")).await;
    assert_eq!((answer.status, answer.text.as_str()), (403, ""));
    assert_eq!(other.delete(&format!("{NET}/{id}")).await.status, 403);
    assert_eq!(api.get(&format!("{NET}/{id}")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_to_an_unused_address_times_out_after_five_seconds_without_a_body() {
    let api = Api::start();
    let id = network(&api).await;
    let answer = api.get(&format!("{NET}/{id}/tcp/192.168.0.2/22")).await;
    assert_eq!((answer.status, answer.text.as_str()), (504, ""));
    assert_eq!(answer.took, Duration::from_secs(5));
    let words = "Invalid IP address: invalid IP address syntax".to_owned();
    assert_eq!(
        api.get(&format!("{NET}/{id}/tcp/zz/22")).await.refusal(),
        (400, words)
    );
    let answer = api.get(&format!("{NET}/{id}/tcp/192.168.0.2/99999")).await;
    assert_eq!(answer.plain(), (404, r#"can not parse "99999" to a u16"#));
}

/// The daemon 0.17.6 was asked with a network, an address of its own and a node, and with none.
#[tokio::test(start_paused = true)]
async fn whole_ip_packets_are_not_found_whoever_asks_for_them_and_however() {
    let api = Api::start();
    let id = network(&api).await;
    machine(&api, &id, "192.168.0.2").await;
    tcp(&api, &id, "192.168.0.2", 7).await.expect("it is there");
    for root in ["/net-api/v1/net", "/net-api/v2/vpn/net"] {
        for (network, addresses) in [
            (id.as_str(), "from/192.168.0.1/to/192.168.0.2"),
            (id.as_str(), "from/192.168.0.1/to/192.168.0.9"),
            (id.as_str(), "from/zz/to/zz"),
            ("nope", "from/192.168.0.1/to/192.168.0.2"),
        ] {
            let path = format!("{root}/{network}/raw/{addresses}");
            for answer in [
                api.get(&path).await,
                api.as_other().get(&path).await,
                api.post(&path, "").await,
            ] {
                assert_eq!((answer.status, answer.text.as_str()), (404, ""), "{path}");
                assert_eq!(answer.headers.get("content-type"), None, "{path}");
            }
            for (query, expected) in [
                ("?authToken=secret", (404, "")),
                ("", (401, "Missing application key")),
                ("?authToken=bad", (401, "Invalid application key")),
            ] {
                let opened = open(&api, &format!("{path}{query}")).await;
                let Err(WsError::Http(answer)) = opened else {
                    panic!("not refused: {path}{query}");
                };
                let body = answer.body().as_deref().unwrap_or_default();
                let body = String::from_utf8_lossy(body);
                let told = (answer.status().as_u16(), &*body);
                assert_eq!(told, expected, "{path}{query}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_echo_of_a_machine_answers_bytes_and_text() {
    let api = Api::start();
    let id = network(&api).await;
    let (activity, _) = machine(&api, &id, "192.168.0.2").await;
    let mut socket = tcp(&api, &id, "192.168.0.2", 7).await.expect("connected");
    socket.send(Message::binary("bytes")).await.expect("sent");
    assert_eq!(received(&mut socket).await.as_deref(), Some(&b"bytes"[..]));
    socket.send(Message::text("text")).await.expect("sent");
    assert_eq!(received(&mut socket).await.as_deref(), Some(&b"text"[..]));

    // More than fits on the way, while the client does not read.
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let (mut sink, mut stream) = socket.split();
    let sending = async {
        for part in large.chunks(100_000) {
            sink.send(Message::binary(part.to_vec()))
                .await
                .expect("sent");
        }
    };
    let receiving = async {
        let mut back = Vec::new();
        while back.len() < large.len() {
            match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => back.extend(bytes),
                Some(Ok(_)) => {}
                other => panic!("closed: {other:?}"),
            }
        }
        back
    };
    let ((), back) = tokio::join!(sending, receiving);
    assert!(back == large);
    assert_eq!(
        refused(&api, &id, "192.168.0.2", 22).await,
        504,
        "nothing listens there"
    );
    assert_eq!(
        refused(&api, &id, "192.168.0.9", 7).await,
        504,
        "no node has that address"
    );
    assert_eq!(api.state(&activity).await["state"][0], "Ready");
}

#[tokio::test(start_paused = true)]
async fn the_web_server_of_a_machine_names_it_and_serves_its_output() {
    let api = Api::start();
    let id = network(&api).await;
    let (activity, provider) = machine(&api, &id, "192.168.0.2").await;
    api.run(
        &activity,
        json!([sh("echo '{}' > /golem/output/result.json")]),
    )
    .await;
    let get = |path: &'static str| {
        let (api, id) = (api.clone(), id.clone());
        async move {
            let mut socket = tcp(&api, &id, "192.168.0.2", 80).await.expect("connected");
            let request = format!("GET {path} HTTP/1.1\r\nhost: vm\r\nconnection: close\r\n\r\n");
            socket.send(Message::binary(request)).await.expect("sent");
            all(&mut socket).await
        }
    };
    let index = get("/").await;
    assert!(index.starts_with("HTTP/1.1 200 OK\r\n"), "{index}");
    for part in [
        "<h1>alice</h1>",
        &provider,
        &activity,
        "href=\"/result.json\"",
    ] {
        assert!(index.contains(part), "{part} in {index}");
    }
    // The daemon drops what the machine ended; only a client's close frame has an answer.
    for (closes, answered) in [(false, false), (true, true)] {
        let mut socket = tcp(&api, &id, "192.168.0.2", 80).await.expect("connected");
        if closes {
            socket.close(None).await.expect("sent");
        } else {
            let request = "GET / HTTP/1.0\r\n\r\n";
            socket.send(Message::binary(request)).await.expect("sent");
        }
        let mut frame = false;
        while let Some(Ok(message)) = socket.next().await {
            frame |= matches!(message, Message::Close(_));
        }
        assert_eq!(frame, answered, "closed by the client: {closes}");
    }
    let file = get("/result.json").await;
    assert!(
        file.contains("content-type: application/json\r\n"),
        "{file}"
    );
    assert!(file.ends_with("\r\n\r\n{}\n"), "{file}");
    for outside in ["/nope", "/../work/x", "/..%2f..%2fetc/passwd"] {
        assert!(get(outside).await.starts_with("HTTP/1.1 404 "), "{outside}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_reached_only_as_a_node_that_joined_and_is_ready() {
    let api = Api::start();
    let id = network(&api).await;
    let (activity, provider) = machine(&api, &id, "192.168.0.2").await;
    let forget = format!("{NET}/{id}/nodes/{provider}");
    api.delete(&forget).await;
    assert_eq!(refused(&api, &id, "192.168.0.2", 7).await, 504, "no node");
    add_node(&api, &id, "0xdead", "192.168.0.2").await;
    assert_eq!(
        refused(&api, &id, "192.168.0.2", 7).await,
        504,
        "another node"
    );
    api.delete(&format!("{NET}/{id}/nodes/0xdead")).await;
    add_node(&api, &id, &provider, "192.168.0.2").await;
    add_node(&api, &id, &provider, "192.168.0.3").await;
    assert_eq!(
        refused(&api, &id, "192.168.0.3", 7).await,
        504,
        "it joined with another address"
    );
    let elsewhere = network(&api).await;
    add_node(&api, &elsewhere, &provider, "192.168.0.2").await;
    assert_eq!(
        refused(&api, &elsewhere, "192.168.0.2", 7).await,
        504,
        "it joined elsewhere"
    );

    let mut socket = tcp(&api, &id, "192.168.0.2", 7).await.expect("connected");
    api.run(&activity, json!([{ "terminate": {} }])).await;
    assert_eq!(received(&mut socket).await, None, "closed with what ran");
    assert_eq!(
        refused(&api, &id, "192.168.0.2", 7).await,
        504,
        "nothing runs"
    );
    api.run(&activity, deploy(&id, "192.168.0.2")).await;
    let mut socket = tcp(&api, &id, "192.168.0.2", 7)
        .await
        .expect("connected again");
    api.delete(&format!("{}/{activity}", super::harness::ACTIVITY))
        .await;
    assert_eq!(
        received(&mut socket).await,
        None,
        "closed with the activity"
    );
    assert_eq!(
        refused(&api, &id, "192.168.0.2", 7).await,
        504,
        "the activity has ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_takes_no_connections_to_its_machines() {
    let api = Api::start();
    let id = network(&api).await;
    machine(&api, &id, "192.168.0.2").await;
    let silent = |silent| crate::Act::GoSilent {
        provider: "alice".into(),
        silent,
    };
    api.mock.act(silent(true)).expect("it is there");
    assert_eq!(refused(&api, &id, "192.168.0.2", 7).await, 504);
    api.mock.act(silent(false)).expect("it is there");
    tcp(&api, &id, "192.168.0.2", 7).await.expect("connected");
}

#[tokio::test(start_paused = true)]
async fn a_connection_waits_for_a_machine_that_becomes_ready_in_time() {
    let api = Api::start();
    let id = network(&api).await;
    let agreement = api.approved().await;
    let activity = api
        .post(super::harness::ACTIVITY, &json!(agreement).to_string())
        .await
        .id();
    let offer = api
        .get(&format!("/market-api/v1/agreements/{agreement}"))
        .await
        .json();
    let provider = offer["offer"]["providerId"].as_str().expect("a provider");
    add_node(&api, &id, provider, "192.168.0.2").await;
    let later = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        api.run(&activity, deploy(&id, "192.168.0.2")).await
    };
    let (socket, _) = tokio::join!(tcp(&api, &id, "192.168.0.2", 7), later);
    assert!(socket.is_ok());
}

#[tokio::test(start_paused = true)]
async fn removing_a_network_closes_its_connections() {
    let api = Api::start();
    let id = network(&api).await;
    machine(&api, &id, "192.168.0.2").await;
    let mut socket = tcp(&api, &id, "192.168.0.2", 7).await.expect("connected");
    api.delete(&format!("{NET}/{id}")).await;
    assert_eq!(received(&mut socket).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_daemon_pings_every_five_seconds_and_drops_a_peer_that_is_silent_for_ten() {
    let api = Api::start();
    let id = network(&api).await;
    machine(&api, &id, "192.168.0.2").await;
    let mut socket = tcp(&api, &id, "192.168.0.2", 7).await.expect("connected");
    let begun = Instant::now();
    for ping in 1..=6 {
        // Reading answers the ping, so the daemon hears of us.
        assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
        assert_eq!(begun.elapsed(), Duration::from_secs(5 * ping));
        socket.flush().await.expect("the answer is sent");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let rest: Vec<_> = socket
        .map(|message| message.is_ok_and(|m| m.is_ping()))
        .collect()
        .await;
    let pings = rest.iter().filter(|is_ping| **is_ping).count();
    assert!(pings <= 2, "{pings} pings to a peer that does not answer");
}

#[tokio::test]
async fn a_configured_port_leads_to_a_real_one_of_this_computer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let real = listener.local_addr().expect("its address");
    let mut alice = ProviderSpec::new("alice");
    alice.ports.insert(22, real);
    let api = Api::with(Config {
        providers: vec![alice],
        ..Config::default()
    });
    let id = network(&api).await;
    machine(&api, &id, "192.168.0.2").await;
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut line = [0; 5];
        stream.read_exact(&mut line).await.expect("five bytes");
        stream.write_all(b"SSH-2").await.expect("written");
        line
    };
    let client = async {
        let mut socket = tcp(&api, &id, "192.168.0.2", 22).await.expect("connected");
        socket.send(Message::binary("hello")).await.expect("sent");
        all(&mut socket).await
    };
    let (line, answer) = tokio::join!(server, client);
    assert_eq!((&line[..], answer.as_str()), (&b"hello"[..], "SSH-2"));
}

#[test]
fn ports_are_read_as_people_write_them_and_lead_nowhere_else() {
    let spec = |ports: &str| {
        let text = format!(r#"{{"providers": [{{"name": "alice", "ports": {ports}}}]}}"#);
        let file = NetworkFile::parse(&text, "net.yaml").map_err(|error| error.to_string())?;
        let config = file.config(Config::default(), Path::new("."));
        Ok::<ProviderSpec, String>(config.expect("a configuration").providers.remove(0))
    };
    let alice = spec(r#"{22: "127.0.0.1:2222"}"#).expect("a provider");
    assert_eq!(alice.ports[&22].port(), 2222);
    assert_eq!(alice.check(), Ok(()));
    let number = spec(r#"{22: 2222}"#).expect("a provider");
    assert_eq!(number.ports, alice.ports);
    assert!(spec(r#"{ssh: "127.0.0.1:2222"}"#).is_err());
    let error = spec(r#"{22: "localhost"}"#).expect_err("no port");
    assert!(error.contains("`127.0.0.1:8080`"), "{error}");
    let away = spec(r#"{22: "10.0.0.1:22"}"#).expect_err("elsewhere");
    assert!(away.contains("10.0.0.1:22"), "{away}");
}

#[tokio::test(start_paused = true)]
async fn the_status_of_the_net_names_the_caller() {
    let api = Api::start();
    let me = api.get("/me").await.json()["identity"].clone();
    let status = api.get("/net-api/v2/net/status").await.json();
    assert_eq!(status["nodeId"], me);
    assert!(status["sessions"].is_u64());
    assert_eq!(api.get("/net-api/v1/status").await.status, 404);
}
