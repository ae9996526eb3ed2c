//! The stage: the one place that puts a runtime, a simulated network and an engine together.
//!
//! | backend | runtime | network | transport |
//! |---|---|---|---|
//! | memory | one thread, paused clock | in this process | the router, called directly; websockets over a duplex pipe |
//! | http | one thread, real clock | in this process | a loopback port |
//! | yagna | one thread, real clock | whatever is at `YAGNA_API_URL` | real sockets |
//!
//! A paused clock never meets a socket. Does not own: which network a scenario describes (`run::setting`),
//! what is done on it.

mod claims;
mod held_clock;
mod layer;
mod memory;
mod offline;
mod record;

use std::fmt;
#[cfg(feature = "cli")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use golem_engine::clock::{Clock, SystemClock};
use golem_engine::rng::Seed as EngineSeed;
use golem_engine::tasks::TaskGroup;
use golem_engine::{Golem, GolemBuilder, Transport};
use jiff::Timestamp;
#[cfg(feature = "cli")]
use mock_yagna::Keeper;
use mock_yagna::{AppKey, Config, MockYagna, Seed, Timebase};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub use self::held_clock::hold_the_clock;
pub use self::layer::Layer;
#[cfg(feature = "files")]
pub(crate) use self::memory::MEMORY_URL;
pub use self::memory::in_memory;
pub use self::offline::{Offline, OfflineStage};
pub use self::record::Line;

use crate::backend::{APP_KEY, Backend, SUBNET};
use crate::error::Error;

/// How long simulated payments take at most where time is real.
const QUICK_SETTLEMENT: Duration = Duration::from_millis(200);
/// How long connections may take to end with the stage.
const GRACE: Duration = Duration::from_secs(3);

/// Everything a run takes place on.
pub(crate) struct Stage {
    network: Option<MockYagna>,
    transport: Transport,
    api_url: Option<String>,
    clock: Arc<dyn Clock>,
    tasks: TaskGroup,
    settlement: Duration,
    /// Engines so far.
    engines: AtomicU64,
}

/// The network's clock, as the engine reads it.
struct NetworkClock(Timebase);

impl Clock for NetworkClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// The runtime of a backend.
pub(crate) fn runtime(backend: Backend) -> Result<Runtime, Error> {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(backend == Backend::Memory);
    builder.build().map_err(|error| failed(backend, &error))
}

fn failed(backend: Backend, reason: &dyn fmt::Display) -> Error {
    Error::Stage {
        backend: backend.name(),
        reason: reason.to_string(),
    }
}

/// What every simulated network has, whatever else is in it.
pub(crate) fn network_config(seed: u64) -> Config {
    Config {
        seed: Seed::from_u64(seed).fork("network"),
        app_keys: vec![AppKey::new(APP_KEY, "requestor")],
        ..Config::default()
    }
}

impl Stage {
    /// A network in memory, with something around its daemon. Needs a paused runtime.
    pub(crate) fn memory(config: Config, epoch: Timestamp, layer: &Layer) -> Stage {
        let timebase = Timebase::starting_at(epoch);
        let mut stage = Stage::simulated(config, timebase);
        stage.api_url = Some(memory::MEMORY_URL.into());
        if let Some(network) = &stage.network {
            stage.transport = memory::under(network, &stage.tasks, layer);
        }
        stage
    }

    /// A network behind a loopback port.
    pub(crate) async fn http(mut config: Config) -> Result<Stage, Error> {
        let settlement = &mut config.latency.settlement;
        *settlement = QUICK_SETTLEMENT.min(*settlement);
        let failed = |error| failed(Backend::Http, &error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut stage = Stage::simulated(config, Timebase::wall_clock());
        stage.api_url = Some(format!("http://{address}"));
        if let Some(server) = stage.network.clone() {
            stage.tasks.spawn("serve", async move {
                if let Err(error) = server.serve(listener).await {
                    tracing::error!(%error, "the simulated daemon stopped serving");
                }
            });
        }
        Ok(stage)
    }

    /// A network behind a loopback port on a clock that somebody moves: the `keeper` (then with the address at
    /// which programs speak to it), or whoever calls. Needs a paused runtime whose clock is held.
    #[cfg(feature = "cli")]
    pub(crate) async fn kept(
        config: Config,
        epoch: Timestamp,
        keeper: Option<&Keeper>,
    ) -> Result<(Stage, Option<SocketAddr>), Error> {
        let failed = |error| failed(Backend::Http, &error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let control = match keeper {
            Some(_) => Some(TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?),
            None => None,
        };
        let keeps = control
            .as_ref()
            .and_then(|control| control.local_addr().ok());
        let mut stage = Stage::simulated(config, Timebase::starting_at(epoch));
        stage.api_url = Some(format!("http://{address}"));
        if let Some(network) = stage.network.clone() {
            let (server, serves) = (network.clone(), keeper.cloned());
            stage.tasks.spawn("serve", async move {
                let served = match serves {
                    Some(keeper) => server.serve_kept(listener, &keeper).await,
                    None => server.serve(listener).await,
                };
                if let Err(error) = served {
                    tracing::error!(%error, "the simulated daemon stopped serving");
                }
            });
            if let (Some(keeper), Some(control)) = (keeper.cloned(), control) {
                stage.tasks.spawn_until_cancelled("time", async move {
                    if let Err(error) = keeper.keep(&network, control).await {
                        tracing::error!(%error, "nobody keeps the time any more");
                    }
                });
            }
        }
        Ok((stage, keeps))
    }

    /// Where the simulated daemon is, or the variable that says so.
    pub(crate) fn api_url(&self) -> Option<&str> {
        self.api_url.as_deref()
    }

    /// The daemon at `YAGNA_API_URL`.
    pub(crate) fn yagna() -> Stage {
        Stage {
            network: None,
            transport: Transport::http(),
            api_url: None,
            clock: Arc::new(SystemClock),
            tasks: TaskGroup::new("stage"),
            settlement: Duration::ZERO,
            engines: AtomicU64::new(0),
        }
    }

    fn simulated(config: Config, timebase: Timebase) -> Stage {
        Stage {
            settlement: config.latency.settlement,
            clock: Arc::new(NetworkClock(timebase)),
            network: Some(MockYagna::start(config, timebase)),
            ..Stage::yagna()
        }
    }

    /// The simulated network, unless the network is real.
    pub(crate) fn network(&self) -> Option<&MockYagna> {
        self.network.as_ref()
    }

    /// Where other processes find the simulated daemon, if they do.
    pub(crate) fn url(&self) -> Option<&str> {
        let url = self.api_url.as_deref();
        url.filter(|url| *url != memory::MEMORY_URL)
    }

    /// The way to the daemon.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The stage's clock.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// An engine that is set up for this stage. As in production each draws from a seed of its own, the
    /// first one from `seed`.
    pub(crate) fn golem(&self, seed: u64) -> GolemBuilder {
        let builder = Golem::builder();
        // A real daemon has its own key, subnet, payment platform and time.
        let Some(api_url) = &self.api_url else {
            return builder;
        };
        let label = match self.engines.fetch_add(1, Ordering::Relaxed) {
            0 => "engine".to_owned(),
            earlier => format!("engine {}", earlier + 1),
        };
        // The simulated daemon is an image registry as well; in memory every address leads to it.
        let builder = match api_url == memory::MEMORY_URL {
            true => builder,
            false => builder.configure(|config| config.registry_url = config.api_url.clone()),
        };
        builder
            .api_url(api_url)
            .app_key(APP_KEY)
            .subnet(SUBNET)
            .payment_driver("erc20")
            .payment_network("hoodi")
            .transport(self.transport.clone())
            .clock(self.clock.clone())
            .seed(EngineSeed::from_u64(seed).fork(&label))
    }

    /// Lets accepted invoices be paid, after the engine has stopped.
    pub(crate) async fn settle(&self) {
        if self.network.is_some() {
            tokio::time::sleep(self.settlement + Duration::from_millis(100)).await;
        }
    }

    /// Ends the network and every connection.
    pub(crate) async fn strike(self) {
        if let Some(network) = &self.network {
            network.stop().await;
        }
        for task in self.tasks.shutdown(GRACE).await {
            tracing::warn!(task, "a connection did not end in time");
        }
    }
}
