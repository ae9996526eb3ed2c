//! The two doors to a simulated network: in process, and over a loopback socket.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::tasks::TaskGroup;
use golem_engine::{Glm, Transport};
use http::{Method, Request};
use http_body_util::BodyExt;
use mock_yagna::config::Latency;
use mock_yagna::{AppKey, Config, Image, MockYagna, ProviderSpec, Seed, Timebase};
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

/// A request with its ids left out.
fn kind(method: &Method, path: &str) -> String {
    let is_id = |part: &&str| part.len() >= 16 && part.bytes().any(|byte| byte.is_ascii_digit());
    let parts = path
        .split('/')
        .map(|part| if is_id(&part) { "*" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
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

    /// Counts the requests that go over the transport from now on, by what is done and to what. Websockets cannot be
    /// opened any more.
    pub fn count_requests(&mut self) -> Arc<Mutex<BTreeMap<String, u64>>> {
        let counts = Arc::<Mutex<BTreeMap<String, u64>>>::default();
        let (transport, counting) = (self.transport.clone(), Arc::clone(&counts));
        let counted = tower::service_fn(move |request: Request<golem_engine::transport::Body>| {
            let (transport, counting) = (transport.clone(), Arc::clone(&counting));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let kind = kind(&head.method, head.uri.path());
                {
                    let mut counts = counting.lock().unwrap_or_else(PoisonError::into_inner);
                    *counts.entry(kind).or_default() += 1;
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
