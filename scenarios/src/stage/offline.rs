//! Your own program on a simulated network in virtual time: for tests of service and task logic.
//!
//! Owns a runtime with a paused clock, a network and an engine that is set up for it. What happens
//! on them is the program's. Scenario files are the other way to the same stage (`stage`).

use std::fmt;

use golem_engine::{Glm, GolemBuilder};
use mock_yagna::{Config, Image, MockYagna, ProviderSpec};

use super::{Layer, Stage, network_config, runtime};
use crate::backend::{Backend, EPOCH};

/// A simulated network for one program, described before it starts.
///
/// The same seed and the same program give the same run, event by event.
///
/// ```
/// use golem_scenarios::Offline;
///
/// let summary = Offline::new(7).run(async |stage| {
///     let golem = stage.golem().start().await.expect("the engine starts");
///     golem.stop().await;
///     stage.network().summary()
/// });
/// assert!(summary.violations.is_empty() && summary.open.is_empty());
/// ```
#[derive(Debug)]
pub struct Offline {
    seed: u64,
    config: Config,
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
        Offline { seed, config }
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

    /// Runs `program` to its end on a thread of its own time: an hour of sleep costs nothing.
    ///
    /// # Panics
    /// When the machine has no resources for a runtime, or inside another runtime.
    pub fn run<R>(self, program: impl AsyncFnOnce(&OfflineStage) -> R) -> R {
        let runtime = runtime(Backend::Memory).expect("a runtime of one thread can be made");
        runtime.block_on(async {
            let stage = OfflineStage {
                seed: self.seed,
                stage: Stage::memory(self.config, EPOCH, &Layer::default()),
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
    pub fn golem(&self) -> GolemBuilder {
        self.stage.golem(self.seed).budget(Glm::from(1))
    }

    /// The network: its journal, its ledger, and what can be done to it.
    pub fn network(&self) -> &MockYagna {
        let network = self.stage.network();
        network.expect("a stage in memory has a network")
    }
}

impl fmt::Debug for OfflineStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineStage")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
