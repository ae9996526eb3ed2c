//! Local ports that lead to services on a virtual network: whose turn it is, what is passed on, and what a client is
//! told when nobody answers. In virtual time a proxy is spoken to without a socket; with sockets, and with
//! a real web server behind a machine's port, in real time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use golem_engine::network::{Network, NetworkError};
use golem_engine::proxy::{HttpProxyServer, LocalHttpProxy, ProxyError, SocketProxy};
use golem_engine::service::{Cluster, HandlerError, InstanceInfo, Service};
use golem_engine::tasks::TaskGroup;
use golem_engine::{Error, Golem, WorkContext};
use golem_scenarios::workload::echo_service;
use golem_scenarios::{Offline, OfflineStage};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use mock_yagna::ProviderSpec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::ticker::{assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);
const ECHO: u16 = 7;

/// It leaves a page on its machine's web server, and opens a local port if it is given a proxy.
struct Web(Option<SocketProxy>);

impl Service for Web {
    type Params = Option<SocketProxy>;

    fn new(proxy: &Option<SocketProxy>, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Web(proxy.clone()))
    }

    async fn payload() -> Result<golem_engine::payload::Payload, Error> {
        Ok(echo_service::payload())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let page = format!(
            "echo page of {} > /golem/output/page.txt",
            ctx.instance().name
        );
        ctx.run("/bin/sh", ["-c".to_owned(), page]).await?;
        if let Some(proxy) = &self.0 {
            proxy.run_server(ctx, ECHO).await?;
        }
        Ok(())
    }
}

async fn web(golem: &Golem, instances: usize) -> (Network, Cluster<Web>) {
    let network = golem.create_network("192.168.0.0/24").create().await;
    let network = network.expect("a network");
    let service = golem.run_service::<Web>().num_instances(instances);
    let cluster = service.network(&network).start().await.expect("a cluster");
    cluster.wait_running(5 * MINUTE).await.expect("they run");
    (network, cluster)
}

async fn end(golem: &Golem, stage: &OfflineStage) {
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

type Answer = (StatusCode, HeaderMap, String);

/// One request on a connection of its own.
async fn ask<B>(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<B>,
) -> Answer
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .expect("a connection");
    let asking = async {
        let response = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (
            head.status,
            head.headers,
            String::from_utf8_lossy(&body).into_owned(),
        )
    };
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        biased;
        answer = asking.as_mut() => answer,
        _ = connection => asking.await,
    }
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
}

async fn get(proxy: &HttpProxyServer, path: &str) -> Answer {
    let request = request(Method::GET, path)
        .body(Empty::<Bytes>::new())
        .expect("a request");
    ask(proxy.connect().await.expect("a connection"), request).await
}

#[test]
fn requests_go_to_the_living_instances_in_turn() {
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (_network, cluster) = web(&golem, 3).await;
        let proxy = LocalHttpProxy::new(&cluster, 0)
            .run()
            .await
            .expect("a proxy");
        let mut pages = Vec::new();
        for _ in 0..6 {
            let (status, headers, page) = get(&proxy, "/page.txt").await;
            assert_eq!(status, StatusCode::OK, "{page}");
            assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
            pages.push(page);
        }
        let (first, second) = pages.split_at(3);
        assert_eq!(first, second);
        let mut all = first.to_vec();
        all.sort();
        assert_eq!(all, [1, 2, 3].map(|n| format!("page of instance-{n}\n")));
        // One that is stopped has no turn any more.
        let stopped = cluster.live().remove(0);
        stopped.stop();
        stopped.wait().await;
        for _ in 0..4 {
            let (status, _, page) = get(&proxy, "/page.txt").await;
            assert_eq!(status, StatusCode::OK);
            assert_ne!(page, format!("page of {}\n", stopped.name()));
        }
        let (status, _, _) = get(&proxy, "/no-such-page").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "the service's own answer");
        proxy.stop().await;
        assert!(matches!(
            proxy.connect().await.map(drop),
            Err(ProxyError::Stopped)
        ));
        end(&golem, stage).await;
    });
}

#[test]
fn a_client_is_told_why_nobody_answers() {
    network(2, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (_network, cluster) = web(&golem, 1).await;
        let to = async |port| {
            let proxy = LocalHttpProxy::new(&cluster, 0).remote_port(port);
            proxy.run().await.expect("a proxy")
        };
        let (status, _, told) = get(&to(8080).await, "/").await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert!(
            told.contains("takes no connection") && told.contains(":8080"),
            "{told}"
        );
        // Nor is one waited for longer than an answer may take.
        let hasty = LocalHttpProxy::new(&cluster, 0).remote_port(8080);
        let hasty = hasty.response_timeout(Duration::from_secs(2)).run().await;
        let (status, _, told) = get(&hasty.expect("a proxy"), "/").await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(told, "no instance took a connection within 2s\n");
        // An echo is no web server.
        let (status, _, told) = get(&to(ECHO).await, "/").await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert!(told.contains("did not answer"), "{told}");
        let proxy = to(80).await;
        cluster.stop();
        cluster.join().await;
        let (status, headers, told) = get(&proxy, "/").await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert_eq!(told, "no instance of the service is running\n");
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        end(&golem, stage).await;
    });
}

#[test]
fn what_cannot_be_listened_on_is_refused_by_name() {
    network(3, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (_network, cluster) = web(&golem, 1).await;
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = held.local_addr().expect("an address");
        let error = LocalHttpProxy::new(&cluster, taken.port())
            .run()
            .await
            .expect_err("in use");
        assert!(
            matches!(error, ProxyError::PortInUse { address } if address == taken),
            "{error}"
        );
        let proxy = SocketProxy::new([taken.port()]);
        let error = proxy.run(&cluster, [ECHO]).await.expect_err("in use");
        assert!(
            matches!(error, ProxyError::PortInUse { address } if address == taken),
            "{error}"
        );
        drop(held);
        // The port that could not be listened on is not used up.
        let servers = proxy.run(&cluster, [ECHO]).await.expect("it is free now");
        assert_eq!(servers[0].local_addr(), taken);
        let error = LocalHttpProxy::new(&cluster, 0)
            .address("here")
            .run()
            .await
            .expect_err("no address");
        assert!(
            matches!(error, ProxyError::InvalidAddress { .. }),
            "{error}"
        );
        // Nor is the one of a server that was stopped.
        servers[0].stop().await;
        servers[0].stop().await;
        let again = proxy.run_server(&cluster.live()[0], 80).await;
        assert_eq!(again.expect("it is free again").local_addr(), taken);
        let error = proxy.run(&cluster, [22, 80]).await.expect_err("none left");
        assert!(
            matches!(
                error,
                ProxyError::NoPortsLeft {
                    given: 1,
                    wanted: 2
                }
            ),
            "{error}"
        );
        proxy.stop().await;
        let plain = golem.run_service::<Web>().start().await.expect("a cluster");
        let error = LocalHttpProxy::new(&plain, 0)
            .run()
            .await
            .expect_err("no network");
        assert!(
            matches!(error, ProxyError::Network(NetworkError::NoNetwork)),
            "{error}"
        );
        let error = SocketProxy::new([0])
            .run(&plain, [ECHO])
            .await
            .expect_err("no network");
        assert!(
            matches!(error, ProxyError::Network(NetworkError::NoNetwork)),
            "{error}"
        );
        end(&golem, stage).await;
    });
}

#[test]
fn each_port_of_each_machine_gets_a_local_port_in_order() {
    network(4, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (_network, cluster) = web(&golem, 2).await;
        let proxy = SocketProxy::new([0, 0, 0, 0]);
        let servers = proxy.run(&cluster, [ECHO, 80]).await.expect("four ports");
        let led: Vec<_> = servers
            .iter()
            .map(|it| (it.node().expect("a node").ip(), it.remote_port()))
            .collect();
        let there = cluster
            .live()
            .into_iter()
            .map(|it| it.address().expect("an address"));
        let expected: Vec<_> = there.flat_map(|ip| [(ip, ECHO), (ip, 80)]).collect();
        assert_eq!(led, expected);
        for server in servers.iter().filter(|it| it.remote_port() == ECHO) {
            let mut client = server.connect().await.expect("a connection");
            client.write_all(b"hello").await.expect("written");
            let mut heard = [0; 5];
            client.read_exact(&mut heard).await.expect("read");
            assert_eq!(&heard, b"hello");
        }
        proxy.stop().await;
        proxy.stop().await;
        assert!(matches!(
            servers[0].connect().await.map(drop),
            Err(ProxyError::Stopped)
        ));
        let late = proxy.run_server(&cluster.live()[0], ECHO).await;
        assert!(matches!(late, Err(ProxyError::Stopped)), "{late:?}");
        end(&golem, stage).await;
    });
}

#[test]
fn what_a_service_still_says_to_a_half_closed_connection_arrives_and_one_at_rest_ends_at_its_time()
{
    network(5, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (_network, cluster) = web(&golem, 1).await;
        let proxy = SocketProxy::new([0, 0])
            .timeout(2 * MINUTE)
            .buffer_size(1000);
        let server = proxy
            .run_server(&cluster.live()[0], ECHO)
            .await
            .expect("a port");
        let mut client = server.connect().await.expect("a connection");
        let large = vec![b'x'; 30_000];
        client.write_all(&large).await.expect("written");
        client.shutdown().await.expect("nothing more");
        let began = tokio::time::Instant::now();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.expect("read");
        assert!(heard == large);
        let rested = began.elapsed();
        assert!((2 * MINUTE..3 * MINUTE).contains(&rested), "{rested:?}");
        // A port that nothing listens on: the connection is closed.
        let nothing = proxy
            .run_server(&cluster.live()[0], 4242)
            .await
            .expect("a port");
        let mut client = nothing.connect().await.expect("a connection");
        assert_eq!(client.read(&mut [0; 8]).await.expect("the end"), 0);
        end(&golem, stage).await;
    });
}

#[test]
fn a_handler_opens_the_port_of_its_own_machine() {
    network(6, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let proxy = SocketProxy::new([0]);
        let network = golem.create_network("192.168.0.0/24").create().await;
        let network = network.expect("a network");
        let service = golem
            .run_service::<Web>()
            .instance_params([Some(proxy.clone())]);
        let cluster = service.network(&network).start().await.expect("a cluster");
        cluster.wait_running(5 * MINUTE).await.expect("it runs");
        assert!(format!("{proxy:?}").contains("127.0.0.1:"), "{proxy:?}");
        // Without a network it cannot: the instance fails with the reason.
        let service = golem
            .run_service::<Web>()
            .instance_params([Some(SocketProxy::new([0]))]);
        let alone = service
            .max_start_attempts(1)
            .start()
            .await
            .expect("a cluster");
        let ended = alone.join().await;
        let why = ended[0].failure.as_ref().expect("a reason");
        assert!(
            matches!(
                why.find::<ProxyError>(),
                Some(ProxyError::Network(NetworkError::NoAddress { .. }))
            ),
            "{why:#}"
        );
        end(&golem, stage).await;
    });
}

/// A web server of this computer, which a machine's port 8080 leads to.
async fn serve(listener: TcpListener, tasks: TaskGroup) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper::service::service_fn(|request| async {
            Ok::<_, Infallible>(answer(request).await)
        });
        tasks.spawn_until_cancelled("peer", async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            drop(connection.await);
        });
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed()
}

async fn answer(mut request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/echo" => Response::new(request.into_body().boxed()),
        "/never" => std::future::pending().await,
        "/drip" => {
            let pieces = stream::iter(0..3).then(|n| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Frame::data(Bytes::from(format!("piece {n}\n"))))
            });
            Response::new(BodyExt::boxed(StreamBody::new(pieces)))
        }
        "/headers" => {
            let mut told: Vec<_> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {value:?}"))
                .collect();
            told.sort();
            Response::new(text(told.join("\n")))
        }
        "/shout" => {
            let upgrading = hyper::upgrade::on(&mut request);
            TaskGroup::new("upgraded").spawn("upgraded", async move {
                let mut io = TokioIo::new(upgrading.await.expect("upgraded"));
                let mut heard = [0; 5];
                io.read_exact(&mut heard).await.expect("read");
                io.write_all(&heard.to_ascii_uppercase())
                    .await
                    .expect("written");
                io.shutdown().await.expect("ended");
            });
            let switch = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            let switch = switch
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "shouting");
            switch.body(text("")).expect("a response")
        }
        _ => {
            let mut none = Response::new(text("no such page"));
            *none.status_mut() = StatusCode::NOT_FOUND;
            none
        }
    }
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address)
        .await
        .expect("the proxy listens")
}

#[test]
fn bodies_are_streamed_both_ways_within_limits_and_upgrades_are_passed_on_over_real_sockets() {
    let peer = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    peer.set_nonblocking(true).expect("set");
    let mut alice = ProviderSpec::new("alice");
    alice.ports = BTreeMap::from([(8080, peer.local_addr().expect("an address"))]);
    Offline::new(7)
        .providers(vec![alice])
        .real_time()
        .run(async move |stage| {
            let peers = TaskGroup::new("peers");
            let listener = TcpListener::from_std(peer).expect("a listener");
            let serving = serve(listener, peers.clone());
            peers.spawn_until_cancelled("serve", serving);
            let golem = stage.golem().start().await.expect("an engine");
            let (_network, cluster) = web(&golem, 1).await;
            let proxy = LocalHttpProxy::new(&cluster, 0)
                .remote_port(8080)
                .remote_host("inside.example")
                .max_request_size(300_000)
                .response_timeout(Duration::from_millis(300))
                .run()
                .await
                .expect("a proxy");
            assert_eq!(proxy.url(), format!("http://{}", proxy.local_addr()));
            let send = async |request: Request<Body>| {
                ask(connected(proxy.local_addr()).await, request).await
            };

            let large: Bytes = (0..250_000_u32)
                .map(|n| b'a' + (n % 26) as u8)
                .collect::<Vec<_>>()
                .into();
            let (status, _, back) = send(
                request(Method::POST, "/echo")
                    .body(text(large.clone()))
                    .expect("a request"),
            )
            .await;
            assert_eq!(status, StatusCode::OK);
            assert!(back.as_bytes() == large);
            let (_, _, drips) = send(
                request(Method::GET, "/drip")
                    .body(text(""))
                    .expect("a request"),
            )
            .await;
            assert_eq!(drips, "piece 0\npiece 1\npiece 2\n");

            // Known beforehand, and found out on the way.
            let huge = Bytes::from(vec![0; 400_000]);
            let (status, _, told) = send(
                request(Method::POST, "/echo")
                    .body(text(huge.clone()))
                    .expect("a request"),
            )
            .await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{told}");
            assert!(told.contains("300000"), "{told}");
            let pieces = stream::iter([huge.slice(..200_000), huge.slice(200_000..)]);
            let pieces = StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece))));
            let request_in_pieces = request(Method::POST, "/never")
                .body(BodyExt::boxed(pieces))
                .expect("a request");
            let (status, _, told) = send(request_in_pieces).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{told}");

            let (status, _, told) = send(
                request(Method::GET, "/never")
                    .body(text(""))
                    .expect("a request"),
            )
            .await;
            assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{told}");
            assert!(told.contains("300ms"), "{told}");

            let asked = request(Method::GET, "/headers")
                .header("x-mine", "1")
                .header(header::CONNECTION, "x-hop")
                .header("x-hop", "1");
            let (_, _, told) = send(asked.body(text("")).expect("a request")).await;
            assert!(
                told.contains(r#"host: "inside.example""#) && told.contains("x-mine"),
                "{told}"
            );
            assert!(
                told.contains(r#"x-forwarded-for: "127.0.0.1""#) && !told.contains("x-hop"),
                "{told}"
            );

            let plain = LocalHttpProxy::new(&cluster, 0).remote_port(8080);
            let plain = plain.run().await.expect("a proxy");
            let asked = request(Method::GET, "/headers").body(text(""));
            let client = connected(plain.local_addr()).await;
            let (_, _, told) = ask(client, asked.expect("a request")).await;
            assert!(
                told.contains(r#"host: "localhost""#),
                "the client's: {told}"
            );
            plain.stop().await;

            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(
                connected(proxy.local_addr()).await,
            ))
            .await
            .expect("a connection");
            peers.spawn_until_cancelled(
                "client",
                async move { drop(connection.with_upgrades().await) },
            );
            let upgrade = request(Method::GET, "/shout")
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "shouting");
            let switched = sender
                .send_request(upgrade.body(text("")).expect("a request"))
                .await
                .expect("an answer");
            assert_eq!(switched.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(switched.headers()[header::UPGRADE], "shouting");
            let mut io = TokioIo::new(hyper::upgrade::on(switched).await.expect("upgraded"));
            io.write_all(b"hello").await.expect("written");
            let mut heard = String::new();
            io.read_to_string(&mut heard).await.expect("read");
            assert_eq!(heard, "HELLO");

            // A TCP client, and a local port that is free again after the stop.
            let sockets = SocketProxy::new([0]);
            let server = sockets
                .run_server(&cluster.live()[0], ECHO)
                .await
                .expect("a port");
            let mut client = connected(server.local_addr()).await;
            client.write_all(b"over tcp").await.expect("written");
            let mut heard = [0; 8];
            client.read_exact(&mut heard).await.expect("read");
            assert_eq!(&heard, b"over tcp");
            sockets.stop().await;
            assert_eq!(client.read(&mut heard).await.unwrap_or(0), 0, "cut off");
            drop(
                TcpListener::bind(server.local_addr())
                    .await
                    .expect("it is free"),
            );
            proxy.stop().await;
            drop(
                TcpListener::bind(proxy.local_addr())
                    .await
                    .expect("it is free"),
            );
            end(&golem, stage).await;
            peers.shutdown(Duration::from_secs(1)).await;
        });
}
