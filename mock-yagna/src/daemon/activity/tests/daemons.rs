//! What the daemons of a machine answer to connections, after a script started them.

use futures::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::harness::{Api, sh};
use super::networks::{all, machine, network, received, refused, tcp};

const IP: &str = "192.168.0.2";

fn run(script: &str) -> Value {
    json!([sh(script)])
}

/// Runs a script that succeeds; what it printed.
async fn done(api: &Api, activity: &str, script: &str) -> String {
    let results = api.run(activity, run(script)).await;
    assert_eq!(results[0]["result"], "Ok", "{results}");
    results[0]["stdout"].as_str().unwrap_or_default().to_owned()
}

/// The answer to one request.
async fn get(api: &Api, network: &str, request: &str) -> String {
    let mut socket = tcp(api, network, IP, 80).await.expect("connected");
    let request = format!("{request} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n");
    socket
        .send(Message::binary(request.into_bytes()))
        .await
        .expect("sent");
    all(&mut socket).await
}

#[tokio::test(start_paused = true)]
async fn an_sshd_greets_and_ends_where_cryptography_would_begin() {
    let api = Api::start();
    let net = network(&api).await;
    let (activity, _) = machine(&api, &net, IP).await;
    assert_eq!(refused(&api, &net, IP, 22).await, 504, "not started");
    done(&api, &activity, "ssh-keygen -A && /usr/sbin/sshd").await;
    let mut socket = tcp(&api, &net, IP, 22).await.expect("connected");
    let greeting = received(&mut socket).await.expect("a greeting");
    assert_eq!(greeting, b"SSH-2.0-OpenSSH_9.9\r\n");
    for sent in ["SSH-2.0-OpenSSH-keyscan\r\n", "\0\0\x01\x02\x03\x14"] {
        socket
            .send(Message::binary(sent.as_bytes().to_vec()))
            .await
            .expect("sent");
    }
    assert_eq!(received(&mut socket).await, None, "the exchange of keys");
    let mut socket = tcp(&api, &net, IP, 22).await.expect("connected");
    socket
        .send(Message::binary(b"GET / HTTP/1.0\r\n\r\n".to_vec()))
        .await
        .expect("sent");
    let answer = all(&mut socket).await;
    assert!(
        answer.ends_with("\r\nInvalid SSH identification string.\r\n"),
        "{answer}"
    );
    done(&api, &activity, "kill $(cat /run/sshd.pid)").await;
    assert_eq!(refused(&api, &net, IP, 22).await, 504, "ended");
}

#[tokio::test(start_paused = true)]
async fn nginx_serves_its_folder_and_nothing_outside_of_it() {
    let api = Api::start();
    let net = network(&api).await;
    let (activity, provider) = machine(&api, &net, IP).await;
    let prepare = "cd /usr/share/nginx/html; echo Hello > index.html; mkdir -p docs; echo {} > docs/a.json; \
                   echo Docs > docs/index.html; echo secret > /opt/secret; echo out > /golem/output/o.txt";
    done(&api, &activity, prepare).await;
    let own = get(&api, &net, "GET /").await;
    assert!(own.contains(&provider), "not started: {own}");
    done(&api, &activity, "nginx").await;
    for (request, status, kind, body) in [
        ("GET /", "200 OK", "text/html", "Hello\n"),
        ("GET /index.html?a=b", "200 OK", "text/html", "Hello\n"),
        ("GET /docs/a.json", "200 OK", "application/json", "{}\n"),
        ("GET /docs/", "200 OK", "text/html", "Docs\n"),
        (
            "GET /docs",
            "301 Moved Permanently",
            "text/html",
            "</html>\r\n",
        ),
        ("HEAD /", "200 OK", "text/html", "\r\n"),
        (
            "POST /",
            "405 Method Not Allowed",
            "text/html",
            "</html>\r\n",
        ),
        ("GET /o.txt", "200 OK", "text/plain; charset=utf-8", "out\n"),
        ("GET /nothing", "404 Not Found", "text/html", "</html>\r\n"),
        (
            "GET /../../../../opt/secret",
            "404 Not Found",
            "text/html",
            "</html>\r\n",
        ),
        (
            "GET /%2e%2e/%2e%2e/%2e%2e/%2e%2e/opt/secret",
            "404 Not Found",
            "text/html",
            "</html>\r\n",
        ),
        (
            "GET /docs/..%2f..%2f..%2f..%2fetc/passwd",
            "404 Not Found",
            "text/html",
            "</html>\r\n",
        ),
    ] {
        let answer = get(&api, &net, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{request}: {answer}"
        );
        assert!(
            answer.contains(&format!("content-type: {kind}\r\n")),
            "{request}: {answer}"
        );
        assert!(answer.contains("server: nginx\r\n"), "{request}: {answer}");
        assert!(
            answer.ends_with(body) && !answer.contains("secret\n"),
            "{request}: {answer}"
        );
    }
    let log = done(&api, &activity, "head -n 1 /var/log/nginx/access.log; wc -l < /var/log/nginx/access.log; cut -d' ' -f3-8 /var/log/nginx/error.log | head -n 1").await;
    assert!(log.starts_with("192.168.0.1 - - ["), "{log}");
    assert!(
        log.ends_with(
            "\"GET / HTTP/1.1\" 200 6 \"-\" \"-\"\n12\n[error] 48#48: *1 open() \
             \"/usr/share/nginx/html/nothing\" failed\n"
        ),
        "{log}"
    );
    done(&api, &activity, "rm /usr/share/nginx/html/index.html").await;
    let own = get(&api, &net, "GET /").await;
    assert!(own.contains(&provider), "no page of its own: {own}");
    done(&api, &activity, "nginx -s quit").await;
    let gone = get(&api, &net, "GET /docs/").await;
    assert!(gone.starts_with("HTTP/1.1 404"), "stopped: {gone}");
}
