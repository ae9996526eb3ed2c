//! Files over plain HTTP on this computer, against a real server, and the daemon's metrics.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::harness::{Api, sh};

/// What was brought to the server.
type Shelf = Arc<Mutex<Option<Bytes>>>;

/// A web server with one file; it ends with the network.
async fn server(api: &Api) -> (SocketAddr, Shelf) {
    let shelf = Shelf::default();
    let put = async |State(shelf): State<Shelf>, content: Bytes| {
        *shelf.lock() = Some(content);
        StatusCode::CREATED
    };
    let moved = async || (StatusCode::FOUND, [("location", "/file")]);
    let router = Router::new()
        .route("/file", get(async || "content\n").put(put))
        .route("/moved", get(moved))
        .with_state(shelf.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    api.mock
        .world()
        .spawn(async move { drop(axum::serve(listener, router).await) });
    (address, shelf)
}

fn transfer(from: &str, to: &str) -> Value {
    json!([{ "transfer": { "from": from, "to": to } }])
}

#[tokio::test]
async fn a_file_comes_and_goes_over_http_on_this_computer() {
    let api = Api::start();
    let activity = api.ready().await;
    let (address, shelf) = server(&api).await;
    let url = format!("http://{address}/file");
    let results = api
        .run(&activity, transfer(&url, "container:/golem/work/a"))
        .await;
    assert_eq!(results[0]["result"], "Ok", "{results}");
    let results = api.run(&activity, json!([sh("cat /golem/work/a")])).await;
    assert_eq!(results[0]["stdout"], "content\n");
    let results = api
        .run(&activity, transfer("container:/golem/work/a", &url))
        .await;
    assert_eq!(results[0]["result"], "Ok", "{results}");
    assert_eq!(shelf.lock().take().as_deref(), Some(&b"content\n"[..]));
}

/// A server of `/file` with an unknown certificate.
#[cfg(feature = "https")]
async fn encrypted_server(api: &Api) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    let made = rcgen::generate_simple_self_signed(vec!["somebody.example".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate with its key");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    api.mock.world().spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let (mut request, mut end) = (Vec::new(), None);
            while end.is_none_or(|end: usize| request.len() < end) {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let head = text.find("\r\n\r\n");
                let length = text.split_once("content-length: ");
                let length = length.and_then(|(_, rest)| rest.lines().next()?.parse().ok());
                end = head.map(|head| head + 4 + length.unwrap_or(0));
            }
            let end = String::from_utf8_lossy(&request).find("\r\n\r\n");
            if request.starts_with(b"PUT") {
                kept = request[end.map_or(0, |end| end + 4)..].to_vec();
            }
            let body = if request.starts_with(b"GET") {
                &kept[..]
            } else {
                b""
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let answer = [head.as_bytes(), body].concat();
            drop(stream.write_all(&answer).await);
            drop(stream.shutdown().await);
        }
    });
    address
}

#[cfg(feature = "https")]
#[tokio::test]
async fn a_file_comes_and_goes_over_https_whoever_certified_this_computer() {
    let api = Api::start();
    let activity = api.ready().await;
    let address = encrypted_server(&api).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/file", address.port());
        api.run(&activity, json!([sh(&format!("echo secret {host} > a"))]))
            .await;
        let results = api
            .run(&activity, transfer("container:/golem/work/a", &url))
            .await;
        assert_eq!(results[0]["result"], "Ok", "{results}");
        let results = api
            .run(&activity, transfer(&url, "container:/golem/work/b"))
            .await;
        assert_eq!(results[0]["result"], "Ok", "{results}");
        let results = api.run(&activity, json!([sh("cat b")])).await;
        assert_eq!(results[0]["stdout"], format!("secret {host}\n"));
    }
}

#[tokio::test]
async fn a_server_that_took_a_file_may_end_its_answer_as_it_likes() {
    let api = Api::start();
    let activity = api.ready().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    api.mock.world().spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut seen = Vec::new();
        while !seen.ends_with(b"taken\n") {
            let read = stream.read_buf(&mut seen).await.expect("a request");
            assert_ne!(read, 0, "all of the file");
        }
        let cut = b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\nthanks";
        stream.write_all(cut).await.expect("an answer");
    });
    api.run(&activity, json!([sh("echo taken > a")])).await;
    let url = format!("http://{address}/file");
    let results = api
        .run(&activity, transfer("container:/golem/work/a", &url))
        .await;
    assert_eq!(results[0]["result"], "Ok", "{results}");
}

#[tokio::test]
async fn what_http_refuses_is_told_and_fails_the_command() {
    let api = Api::start();
    let (address, _) = server(&api).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let closed = free.local_addr().expect("its address");
    drop(free);
    for (url, words) in [
        (format!("http://{address}/nope"), "answered 404 Not Found"),
        (format!("http://{address}/moved"), "answered 302 Found"),
        (format!("http://{closed}/file"), "onnection refused"),
        (format!("https://{address}/file"), "InvalidContentType"),
        (
            "http://example.org/file".to_owned(),
            "only this computer is reached",
        ),
        (
            format!("hash:sha3:00:http://{address}/file"),
            "differs from the expected one",
        ),
    ] {
        let activity = api.ready().await;
        let results = api
            .run(&activity, transfer(&url, "container:/golem/work/a"))
            .await;
        assert_eq!(results[0]["result"], "Error", "{url}: {results}");
        let message = results[0]["message"].as_str().expect("a message");
        assert!(message.contains(words), "{url}: {message}");
        let agreement = api
            .get(&format!(
                "{}/{activity}/agreement",
                super::harness::ACTIVITY
            ))
            .await;
        api.terminate(&agreement.id()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_need_no_key_and_count_what_happened() {
    let api = Api::start();
    api.ready().await;
    let request = axum::http::Request::builder().uri("/metrics-api/v1/expose");
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let answer = api.send(request).await;
    let (status, text) = answer.plain();
    assert_eq!(status, 200);
    assert!(
        text.starts_with("# metrics snapshot (ts=18000000"),
        "{text}"
    );
    for line in [
        "# TYPE market_demands_subscribed counter",
        "market_demands_subscribed 1",
        "market_agreements_requestor_approved 1",
        "activity_requestor_created 1",
        "activity_requestor_run_exescript 1",
        "payment_invoices_requestor_paid 0",
        "yagna_service_up 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
