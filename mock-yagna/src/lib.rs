#![doc = include_str!("../README.md")]
//!
//! # The face of the library
//!
//! [`MockYagna`] is the whole face: start it from a [`Config`], hand its [`MockYagna::router`] to a
//! client in the same process or [`MockYagna::serve`] it on a socket, look at it with
//! [`MockYagna::journal_since`] and [`MockYagna::summary`], interfere with [`MockYagna::act`].
//! Inside, `daemon` is what yagna does, `agent` what providers do; [`World`] owns both and their
//! clock, `http` only translates.

mod agent;
pub mod behaviour;
pub mod config;
mod control;
mod daemon;
mod delay;
pub mod duration;
pub mod fault;
mod held_clock;
mod http;
mod identity;
mod ids;
pub mod journal;
mod json_words;
pub mod keeper;
pub mod ledger;
mod machine;
mod manifest;
mod metrics;
#[cfg(feature = "files")]
pub mod network_file;
mod ports;
mod provider;
mod rng;
pub mod runtime;
mod serve;
mod suggest;
mod timebase;
mod timeline;
mod topics;
mod traffic;
mod world;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use fault::FaultReport;
use fault::listener::{Connection, Peer};
use http::listener::DaemonListener;
use traffic::Traffic;

pub use behaviour::Behaviour;
pub use config::{
    AppKey, Config, ConfigError, Counter, DaemonVersion, Gpu, Image, MOST_PROVIDERS, ProviderSpec,
    WebContent, WebFile,
};
pub use control::{Act, ActError, Summary};
pub use daemon::market::{DemandMatches, Mismatch, UnmatchedOffer};
pub use delay::Delay;
pub use fault::{Effect, Fault, FaultError};
pub use http::inspector::link as inspector_link;
pub use keeper::Keeper;
pub use rng::Seed;
pub use suggest::nearest as nearest_name;
pub use timebase::Timebase;
pub use world::World;
pub use world::held_time::AdvanceError;

/// How long open connections may take to notice that the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// A running simulated daemon with its network; clones share it.
#[derive(Clone, Debug)]
pub struct MockYagna {
    world: World,
    stopping: CancellationToken,
}

impl MockYagna {
    /// Starts the network that `config` describes; its clock is `timebase`. Needs a tokio runtime.
    /// Take a configuration that comes from outside through [`Config::check`] first.
    pub fn start(config: Config, timebase: Timebase) -> MockYagna {
        MockYagna {
            world: World::start(config, timebase),
            stopping: CancellationToken::new(),
        }
    }

    /// The daemon's REST API as a service, for clients in this process.
    pub fn router(&self) -> axum::Router {
        http::router(self.world.clone())
    }

    /// The network behind the API.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The control API alone as a service: it is there also while the daemon is down.
    pub fn control_router(&self) -> axum::Router {
        http::control_router(self.world.clone())
    }

    /// Whether the daemon takes connections now; not while it restarts.
    pub fn is_listening(&self) -> bool {
        self.world
            .with(|state| !state.faults.is_down(state.ports.now))
    }

    /// Serves the REST API on `listener` until [`MockYagna::stop`]. Meant for a clock in real time.
    /// While the daemon is down the socket is closed, and connections are reset; then the same
    /// address is bound again. Idle connections are closed after a minute.
    ///
    /// # Errors
    /// When the address cannot be bound again after a restart.
    pub async fn serve(&self, listener: tokio::net::TcpListener) -> io::Result<()> {
        self.serve_counted(listener, None).await
    }

    /// The same for programs whose time `keeper` keeps. Needs the runtime that [`keeper`] asks for.
    ///
    /// # Errors
    /// When the address cannot be bound again after a restart.
    pub async fn serve_kept(
        &self,
        listener: tokio::net::TcpListener,
        keeper: &Keeper,
    ) -> io::Result<()> {
        self.serve_counted(listener, Some(keeper.traffic())).await
    }

    async fn serve_counted(
        &self,
        listener: tokio::net::TcpListener,
        traffic: Option<Arc<Traffic>>,
    ) -> io::Result<()> {
        let (listener, failure) = DaemonListener::new(self.world.clone(), listener, traffic)?;
        // Once for all connections instead of at every request.
        let router = self.router().with_state::<()>(());
        let service_of = |connection: &Connection| {
            let peer = Extension(ConnectInfo(Peer::of(connection)));
            peer.layer(router.clone())
        };
        tokio::select! {
            biased;
            () = serve::serve(listener, service_of, self.stopping.clone()) => Ok(()),
            error = failure.failed() => Err(error),
            () = self.overdue() => Ok(()),
        }
    }

    /// Serves the control API alone on `listener` until [`MockYagna::stop`], whether the daemon is
    /// up or down.
    ///
    /// # Errors
    /// When accepting connections fails for good.
    pub async fn serve_control(&self, listener: tokio::net::TcpListener) -> io::Result<()> {
        let router = self.control_router().with_state::<()>(());
        let service_of = |_: &TcpStream| router.clone();
        tokio::select! {
            biased;
            () = serve::serve(listener, service_of, self.stopping.clone()) => Ok(()),
            () = self.overdue() => Ok(()),
        }
    }

    /// Resolves when connections have had the time to notice that the daemon stops.
    async fn overdue(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    /// Stops serving, the clock and every long poll; returns when all tasks have ended.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.world.stop().await;
    }

    /// From now on the network's time stands but for what [`advance`](Self::advance) moves it on: for tests of
    /// clients that see hours pass at a word. Needs a tokio runtime of one thread whose clock is paused
    /// (`start_paused`). Idle connections end after a minute of the network's time, as ever.
    pub async fn hold_time(&self) {
        self.world.hold_time().await;
    }

    /// Moves time that is [held](Self::hold_time) on by so much; everything that is due meanwhile happens at its
    /// own time, in order. Returns the new time. Cancel safe: time stands again wherever it has got to.
    ///
    /// # Errors
    /// When time is not held, or the step is longer than a year.
    pub async fn advance(&self, by: Duration) -> Result<jiff::Timestamp, AdvanceError> {
        self.world.advance(by).await
    }

    /// From now on whatever the network draws is drawn from another seed, one for each `future`: how long things take,
    /// which requests a fault hits. What happened until now stays, so that a run may be gone on with in many ways.
    pub fn draw_anew(&self, future: u64) {
        self.world.with(|state| state.draw_anew(future));
    }

    /// How many entries the journal has so far: the number of the next one. Nothing is performed that is due.
    pub fn journal_length(&self) -> u64 {
        self.world.peek(|state| state.ports.journal.length())
    }

    /// The journal from entry number `seq` on, as far as it is kept.
    pub fn journal_since(&self, seq: u64) -> Vec<journal::Entry> {
        self.world
            .with(|state| state.ports.journal.since(seq).to_vec())
    }

    /// Forgets the journal's entries before number `seq`, for whoever has written them down: what a long
    /// run holds does not grow with them. The [`summary`](Self::summary) counts them all the same.
    pub fn forget_journal(&self, seq: u64) {
        self.world.with(|state| state.ports.journal.forget(seq));
    }

    /// Interferes with the network, as a scenario's timeline does.
    ///
    /// # Errors
    /// When the named provider does not exist or has nothing the act applies to.
    pub fn act(&self, act: Act) -> Result<(), ActError> {
        self.world.with(|state| control::act(state, &act))
    }

    /// Which providers match each demand that is remembered (those that ended within the last ten minutes
    /// included), and why the others do not; the newest demand is the last.
    pub fn matches(&self) -> Vec<DemandMatches> {
        self.world
            .with(|state| state.market.matches(&state.providers, state.ports.now))
    }

    /// What happened so far, in numbers, and what is left open.
    pub fn summary(&self) -> Summary {
        self.world.with(|state| control::summary(state))
    }
}

/// Lifts its fault when it is dropped.
#[must_use = "the fault is lifted when this is dropped"]
#[derive(Debug)]
pub struct FaultGuard {
    network: MockYagna,
    name: Option<String>,
}

impl FaultGuard {
    /// What the fault is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Lifts the fault now.
    pub fn lift(self) {}

    /// Leaves the fault where it is; answers its name.
    pub fn keep(mut self) -> String {
        self.name.take().unwrap_or_default()
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.network.lift_fault(&name);
        }
    }
}

impl MockYagna {
    /// Adds a fault that lasts as long as the guard.
    ///
    /// # Errors
    /// When there cannot be such a fault.
    pub fn inject(&self, fault: Fault) -> Result<FaultGuard, FaultError> {
        let name = self
            .world
            .with(|state| state.faults.add(&mut state.ports, fault))?;
        Ok(FaultGuard {
            network: self.clone(),
            name: Some(name),
        })
    }

    /// Lifts a fault; answers whether there was one of this name.
    pub fn lift_fault(&self, name: &str) -> bool {
        self.world
            .with(|state| state.faults.lift(&mut state.ports, name))
    }

    /// The faults that were not lifted, and what they did.
    pub fn faults(&self) -> Vec<FaultReport> {
        self.world.with(|state| state.faults.reports())
    }
}
