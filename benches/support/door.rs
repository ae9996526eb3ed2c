//! The two doors to a simulated network: in process, and over a loopback socket.

use std::sync::Arc;
use std::time::Duration;

use golem_engine::Transport;
use golem_engine::tasks::TaskGroup;
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
    /// `providers` equal providers with no latency. Needs the door's runtime.
    ///
    /// # Panics
    /// When no loopback port is free.
    pub async fn open(door: Door, providers: usize) -> Network {
        let seed = Seed::from_u64(1);
        let config = Config {
            seed,
            app_keys: vec![AppKey::new(APP_KEY, "requestor")],
            providers: ProviderSpec::fleet(providers, seed),
            default_image: Some(Image::Shell),
            latency: Latency {
                matching: Duration::ZERO,
                negotiation: Duration::ZERO,
                activity_step: Duration::ZERO,
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

    /// Ends the network.
    pub async fn close(self) {
        self.mock.stop().await;
        self.tasks.shutdown(Duration::from_secs(1)).await;
    }
}
