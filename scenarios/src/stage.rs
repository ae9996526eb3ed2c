//! The stage: the one place that puts a runtime, a simulated network and an engine together.
//!
//! | backend | runtime | network | transport |
//! |---|---|---|---|
//! | memory | one thread, paused clock | in this process | the router, called directly; websockets over a duplex pipe |
//! | http | one thread, real clock | in this process | a loopback port |
//! | yagna | one thread, real clock | whatever is at `YAGNA_API_URL` | real sockets |
//!
//! A paused clock never meets a socket.

mod layer;
mod offline;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use golem_engine::clock::{Clock, SystemClock};
use golem_engine::rng::Seed as EngineSeed;
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, Io};
use golem_engine::{Golem, GolemBuilder, Transport};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use mock_yagna::fault::{NoAnswer, NotListening};
use mock_yagna::{AppKey, Config, MockYagna, Seed, Timebase};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

pub use self::layer::Layer;
pub use self::offline::{Offline, OfflineStage};

use crate::backend::Backend;
use crate::error::Error;
use crate::language::{APP_KEY, Scenario};
use crate::workload::image;

/// Bytes in flight on a websocket in memory.
const PIPE: usize = 256 * 1024;
/// Address of a daemon in memory: nobody listens there, and nobody asks.
pub(crate) const MEMORY_URL: &str = "http://memory.invalid";
/// How long simulated payments take where time is real.
const QUICK_SETTLEMENT: Duration = Duration::from_millis(200);
/// How long connections may take to end with the stage.
const GRACE: Duration = Duration::from_secs(3);

/// Everything a run takes place on.
pub(crate) struct Stage {
    backend: Backend,
    network: Option<MockYagna>,
    transport: Transport,
    api_url: Option<String>,
    clock: Arc<dyn Clock>,
    tasks: TaskGroup,
    settlement: Duration,
    image: image::StagedImage,
}

/// The network's clock, as the engine reads it.
pub(crate) struct NetworkClock(pub(crate) Timebase);

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

fn failed(backend: Backend, reason: &dyn std::fmt::Display) -> Error {
    Error::Stage {
        backend: backend.name(),
        reason: reason.to_string(),
    }
}

impl Stage {
    /// Sets the stage for a scenario. Needs the runtime of the same backend.
    pub(crate) async fn set(
        scenario: &Scenario,
        seed: u64,
        backend: Backend,
    ) -> Result<Stage, Error> {
        Stage::set_under(scenario, seed, backend, &Layer::default()).await
    }

    /// The same with something around the simulated daemon, if that is in memory.
    pub(crate) async fn set_under(
        scenario: &Scenario,
        seed: u64,
        backend: Backend,
        layer: &Layer,
    ) -> Result<Stage, Error> {
        let tasks = TaskGroup::new("stage");
        let image = image::stage(scenario, backend)?;
        let mut stage = Stage {
            backend,
            network: None,
            transport: Transport::http(),
            api_url: None,
            clock: Arc::new(SystemClock),
            tasks,
            settlement: Duration::ZERO,
            image,
        };
        if backend == Backend::Yagna {
            return Ok(stage);
        }
        let timebase = match backend {
            Backend::Memory => Timebase::starting_at(scenario.time.epoch),
            Backend::Http | Backend::Yagna => Timebase::wall_clock(),
        };
        let config = stage.network_config(scenario, seed);
        stage.settlement = config.latency.settlement;
        let network = MockYagna::start(config, timebase);
        stage.clock = Arc::new(NetworkClock(timebase));
        if backend == Backend::Memory {
            stage.transport = under(&network, &stage.tasks, layer);
            stage.api_url = Some(MEMORY_URL.into());
        } else {
            let listening = TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listening.map_err(|error| failed(backend, &error))?;
            let address = listener
                .local_addr()
                .map_err(|error| failed(backend, &error))?;
            stage.api_url = Some(format!("http://{address}"));
            let server = network.clone();
            stage.tasks.spawn("serve", async move {
                if let Err(error) = server.serve(listener).await {
                    tracing::error!(%error, "the simulated daemon stopped serving");
                }
            });
        }
        stage.network = Some(network);
        Ok(stage)
    }

    fn network_config(&self, scenario: &Scenario, seed: u64) -> Config {
        let seed = Seed::from_u64(seed);
        let mut latency = scenario.latency.clone();
        if self.backend != Backend::Memory {
            latency.settlement = latency.settlement.min(QUICK_SETTLEMENT);
        }
        Config {
            seed: seed.fork("network"),
            app_keys: vec![AppKey::new(APP_KEY, "requestor")],
            providers: scenario.draw_providers(seed),
            default_image: self.image.image.clone(),
            funds: scenario.requestor.funds,
            latency,
            faults: scenario
                .faults
                .iter()
                .map(|fault| fault.value.clone())
                .collect(),
            ..Config::default()
        }
    }

    /// The simulated network, unless the network is real.
    pub(crate) fn network(&self) -> Option<&MockYagna> {
        self.network.as_ref()
    }

    /// The way to the daemon.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The stage's clock.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// What the stage's calendar shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An engine that is set up for this stage.
    pub(crate) fn golem(&self, scenario: &Scenario, seed: u64) -> GolemBuilder {
        let requestor = &scenario.requestor;
        let mut builder = Golem::builder().budget(requestor.budget.value);
        if let Some(timeout) = requestor.no_offers_timeout {
            builder = builder.configure(move |config| config.market.no_offers_timeout = timeout.0);
        }
        // A real daemon has its own key, subnet, payment platform and time.
        let Some(api_url) = &self.api_url else {
            return builder;
        };
        builder
            .api_url(api_url)
            .app_key(&requestor.app_key)
            .subnet(&requestor.subnet)
            .payment_driver("erc20")
            .payment_network("holesky")
            .transport(self.transport.clone())
            .clock(self.clock.clone())
            .seed(EngineSeed::from_u64(seed).fork("engine"))
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

/// A connection that ended without an answer is an error where there is no connection, too.
fn answered(
    result: Result<http::Response<axum::body::Body>, std::convert::Infallible>,
) -> Result<http::Response<axum::body::Body>, golem_engine::transport::BoxError> {
    match result {
        Ok(response) if response.extensions().get::<NotListening>().is_some() => {
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, NotListening).into())
        }
        Ok(response) if response.extensions().get::<NoAnswer>().is_some() => Err(NoAnswer.into()),
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The network's router as a transport: no socket anywhere. `tasks` owns the ends of websockets.
pub fn in_memory(network: &MockYagna, tasks: &TaskGroup) -> Transport {
    under(network, tasks, &Layer::default())
}

/// The same with something around the router; websockets pass it by.
fn under(network: &MockYagna, tasks: &TaskGroup, layer: &Layer) -> Transport {
    let tasks = tasks.clone();
    let router = layer
        .around(network.router())
        .map_request(|request: http::Request<Body>| request.map(axum::body::Body::new))
        .map_result(answered);
    let connections = network.clone();
    Transport::in_memory(router, move || {
        if !connections.is_listening() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                NotListening,
            ));
        }
        let (client, server) = tokio::io::duplex(PIPE);
        let service = TowerToHyperService::new(connections.router());
        tasks.spawn_until_cancelled("connection", async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(server), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection in memory broke");
            }
        });
        io::Result::Ok(Box::new(client) as Box<dyn Io>)
    })
}
