//! Your own program on a simulated network, in virtual time or in real time: for tests of service and
//! task logic.
//!
//! Owns a runtime, a network and an engine that is set up for it. What happens on them is the program's. Scenario files are the other way to the same stage (`stage`).

use std::fmt;

use golem_engine::{Glm, GolemBuilder};
use mock_yagna::{Config, Image, MockYagna, ProviderSpec};

use super::{Layer, Stage, network_config, runtime};
use crate::backend::{Backend, EPOCH};

/// A simulated network for one program, described before it starts.
///
/// The same seed and the same program give the same run, event by event.
///
/// # Time
/// Time is virtual: as soon as everything waits, the clock leaps to the next moment at which something
/// is due, so an hour of waiting costs nothing. It waits for nothing but the simulation. A handler that
/// talks to something real (a database, a web service, another process) has to hold the clock while it
/// does, with [`hold_the_clock`](super::hold_the_clock), or its own time limits are over at once; or the
/// whole program runs in [`real_time`](Self::real_time). What reads the computer's clock
/// (`SystemTime`, `std::time::Instant`) sees none of the leaps.
///
/// # Virtual private networks
/// A machine that is a node of a network answers on port 7 (it says back what it hears), on port 80 (a page that names
/// it, the files of `/golem/output`, and nginx's pages once `nginx` was started) and on port 22 (the greeting of
/// `sshd`, once that was started). For any other program behind a port, let it listen on this computer, and
/// lead the machine's port there with [`ProviderSpec::ports`], in [`real_time`](Self::real_time).
///
/// ```
/// use golem_scenarios::Offline;
///
/// let summary = Offline::new(7).run(async |stage| {
///     let golem = stage.golem().start().await.expect("the engine starts");
///     println!("{}", golem.stop().await);
///     stage.network().summary()
/// });
/// assert!(summary.violations.is_empty() && summary.open.is_empty());
/// ```
#[derive(Debug)]
pub struct Offline {
    seed: u64,
    config: Config,
    real_time: bool,
}

impl Offline {
    /// Four providers that run any image with a tiny simulated shell.
    pub fn new(seed: u64) -> Self {
        let network = network_config(seed);
        let config = Config {
            providers: ProviderSpec::fleet(4, network.seed),
            default_image: Some(Image::Shell),
            ..network
        };
        Offline {
            seed,
            config,
            real_time: false,
        }
    }

    /// Other providers.
    pub fn providers(mut self, providers: Vec<ProviderSpec>) -> Self {
        self.config.providers = providers;
        self
    }

    /// What runs on a provider, whatever image is asked for.
    pub fn image(mut self, image: Image) -> Self {
        self.config.default_image = Some(image);
        self
    }

    /// Changes anything else of the network.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// The computer's time instead of virtual time, and a loopback port between the engine and the
    /// network: for handlers that talk to something real. An hour then takes an hour, payments settle
    /// within 200 ms, and a run is no longer the same event by event. With the feature `http`.
    #[cfg(feature = "http")]
    pub fn real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    /// Runs `program` to its end on a runtime of its own.
    ///
    /// # Panics
    /// When the machine has no resources for a runtime or, in real time, for a port; or inside another
    /// runtime.
    pub fn run<R>(self, program: impl AsyncFnOnce(&OfflineStage) -> R) -> R {
        let backend = if self.real_time {
            Backend::Http
        } else {
            Backend::Memory
        };
        let runtime = runtime(backend).expect("a runtime of one thread can be made");
        runtime.block_on(async {
            let stage = if self.real_time {
                let stage = Stage::http(self.config).await;
                stage.expect("a loopback port can be had")
            } else {
                Stage::memory(self.config, EPOCH, &Layer::default())
            };
            let stage = OfflineStage {
                seed: self.seed,
                stage,
            };
            let result = program(&stage).await;
            stage.stage.strike().await;
            result
        })
    }
}

/// What a program of [`Offline::run`] works with.
pub struct OfflineStage {
    seed: u64,
    stage: Stage,
}

impl OfflineStage {
    /// An engine for this network with a budget of 1 GLM; change what you like before you start it.
    /// Each call is a new engine; several may be at work at once.
    pub fn golem(&self) -> GolemBuilder {
        self.stage.golem(self.seed).budget(Glm::from(1))
    }

    /// The network: its journal, its ledger, and what can be done to it.
    pub fn network(&self) -> &MockYagna {
        let network = self.stage.network();
        network.expect("an offline stage has a network")
    }
}

impl fmt::Debug for OfflineStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineStage")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
