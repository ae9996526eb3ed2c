//! The two doors to a simulated network: in process, and over a loopback socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::tasks::TaskGroup;
use golem_engine::{Glm, Transport};
use http::request::Parts;
use http::{Request, header};
use http_body_util::BodyExt;
use mock_yagna::config::Latency;
use mock_yagna::{AppKey, Config, Image, MockYagna, ProviderSpec, Seed, Timebase};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// The app key of every benchmark.
pub const APP_KEY: &str = "bench";

/// Which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The router is called directly, the clock is virtual.
    Memory,
    /// A loopback socket and the wall's clock.
    Http,
}

impl Door {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Door::Memory => "memory",
            Door::Http => "http",
        }
    }

    /// A fresh runtime for one measurement.
    ///
    /// # Panics
    /// When the machine has no resources for one.
    pub fn runtime(self) -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().start_paused(self == Door::Memory);
        builder.build().expect("a runtime")
    }
}

/// The requests of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many.
    pub count: u64,
    /// What they say (query, headers but for the key, body), without ids and times.
    pub texts: BTreeSet<String>,
}

/// A text without its ids and times: each is a word with many digits.
fn without_ids(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
    let is_id = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        word.len() >= 13 && digits >= 6
    };
    let mut plain = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        plain.push_str(if is_id(word) { "*" } else { word });
        let mut after = after.chars();
        plain.extend(after.next());
        rest = after.as_str();
    }
    plain
}

/// What a request says, in an order that does not depend on who wrote it.
fn said(head: &Parts, body: &[u8]) -> String {
    let headers = head.headers.iter();
    let headers = headers.filter(|(name, _)| *name != header::AUTHORIZATION);
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(body) => body.to_string(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    // A time may be escaped in an address, or not.
    let query = head.uri.query().unwrap_or_default().replace("%3A", ":");
    without_ids(&format!("{query} {headers:?} {body}"))
}

/// A network with one door open.
#[derive(Debug)]
pub struct Network {
    /// The simulated daemon and its network.
    pub mock: MockYagna,
    /// How to reach it.
    pub transport: Transport,
    /// Its address; nobody listens there in memory.
    pub api_url: String,
    tasks: Arc<TaskGroup>,
}

impl Network {
    /// `providers` equal providers with no latency and fresh offers. Needs the door's runtime.
    ///
    /// # Panics
    /// When no loopback port is free.
    pub async fn open(door: Door, providers: usize) -> Network {
        let seed = Seed::from_u64(1);
        let mut fleet = ProviderSpec::fleet(providers, seed);
        for provider in &mut fleet {
            // Of 1,000 offers of any age one ends every four seconds, and whoever signs it then waits in vain.
            provider.offer_age = Some(Duration::ZERO);
        }
        let config = Config {
            seed,
            app_keys: vec![AppKey::new(APP_KEY, "requestor")],
            providers: fleet,
            default_image: Some(Image::Shell),
            funds: Glm::from(10_000_000),
            latency: Latency {
                matching: Duration::ZERO,
                negotiation: Duration::ZERO,
                activity_step: Duration::ZERO,
                command: Duration::ZERO,
                ..Latency::default()
            },
            ..Config::default()
        };
        let tasks = Arc::new(TaskGroup::new("bench"));
        let mock = MockYagna::start(config, Timebase::wall_clock());
        let (transport, api_url) = match door {
            Door::Memory => {
                let transport = golem_scenarios::in_memory(&mock, &tasks);
                (transport, "http://memory.invalid".to_owned())
            }
            Door::Http => {
                let listener = TcpListener::bind(("127.0.0.1", 0))
                    .await
                    .expect("a free port");
                let address = listener.local_addr().expect("its address");
                let server = mock.clone();
                tasks.spawn("serve", async move {
                    server
                        .serve(listener)
                        .await
                        .expect("the socket lives as long as the network");
                });
                (Transport::http(), format!("http://{address}"))
            }
        };
        Network {
            mock,
            transport,
            api_url,
            tasks,
        }
    }

    /// Counts the requests that go over the transport from now on, by what is done and to what, and keeps what they
    /// say. Websockets cannot be opened any more.
    pub fn count_requests(&mut self) -> Arc<Mutex<BTreeMap<String, Requests>>> {
        let counts = Arc::<Mutex<BTreeMap<String, Requests>>>::default();
        let (transport, counting) = (self.transport.clone(), Arc::clone(&counts));
        let counted = tower::service_fn(move |request: Request<golem_engine::transport::Body>| {
            let (transport, counting) = (transport.clone(), Arc::clone(&counting));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let kind = format!("{} {}", head.method, without_ids(head.uri.path()));
                {
                    let mut counts = counting.lock().unwrap_or_else(PoisonError::into_inner);
                    let requests = counts.entry(kind).or_default();
                    requests.count += 1;
                    requests.texts.insert(said(&head, &body));
                }
                let answer = transport.call(Request::from_parts(head, body)).await;
                answer.map_err(golem_engine::transport::BoxError::from)
            }
        });
        self.transport = Transport::in_memory(counted, || Err(io::ErrorKind::Unsupported.into()));
        counts
    }

    /// Ends the network.
    pub async fn close(self) {
        self.mock.stop().await;
        self.tasks.shutdown(Duration::from_secs(1)).await;
    }
}
