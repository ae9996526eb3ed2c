//! Your own program on a simulated network in virtual time: for tests of service and task logic.
//!
//! Owns a runtime with a paused clock, a network and an engine that is set up for it. What happens
//! on them is the program's. Scenario files are the other way to the same stage (`stage`).

use std::time::Duration;

use golem_engine::rng::Seed as EngineSeed;
use golem_engine::tasks::TaskGroup;
use golem_engine::{Glm, Golem, GolemBuilder, Transport};
use jiff::Timestamp;
use mock_yagna::{AppKey, Config, Image, MockYagna, ProviderSpec, Seed, Timebase};

use super::{MEMORY_URL, NetworkClock, in_memory, runtime};
use crate::backend::Backend;
use crate::language::{APP_KEY, Time};

/// How long connections may take to end with the network.
const GRACE: Duration = Duration::from_secs(3);

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
    epoch: Timestamp,
    config: Config,
}

impl Offline {
    /// Four providers that run any image with a tiny simulated shell.
    pub fn new(seed: u64) -> Self {
        let network = Seed::from_u64(seed).fork("network");
        let config = Config {
            seed: network,
            app_keys: vec![AppKey::new(APP_KEY, "requestor")],
            providers: ProviderSpec::fleet(4, network),
            default_image: Some(Image::Shell),
            ..Config::default()
        };
        Offline {
            seed,
            epoch: Time::default().epoch,
            config,
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

    /// Runs `program` to its end on a thread of its own time: an hour of sleep costs nothing.
    ///
    /// # Panics
    /// When the machine has no resources for a runtime, or inside another runtime.
    pub fn run<R>(self, program: impl AsyncFnOnce(&OfflineStage) -> R) -> R {
        let runtime = runtime(Backend::Memory).expect("a runtime of one thread can be made");
        runtime.block_on(async {
            let timebase = Timebase::starting_at(self.epoch);
            let tasks = TaskGroup::new("offline");
            let network = MockYagna::start(self.config, timebase);
            let transport = in_memory(&network, &tasks);
            let stage = OfflineStage {
                seed: self.seed,
                timebase,
                network,
                transport,
            };
            let result = program(&stage).await;
            stage.network.stop().await;
            tasks.shutdown(GRACE).await;
            result
        })
    }
}

/// What a program of [`Offline::run`] works with.
#[derive(Debug)]
pub struct OfflineStage {
    seed: u64,
    timebase: Timebase,
    network: MockYagna,
    transport: Transport,
}

impl OfflineStage {
    /// An engine for this network with a budget of 1 GLM; change what you like before you start it.
    pub fn golem(&self) -> GolemBuilder {
        Golem::builder()
            .budget(Glm::from(1))
            .api_url(MEMORY_URL)
            .app_key(APP_KEY)
            .subnet("public")
            .payment_driver("erc20")
            .payment_network("holesky")
            .transport(self.transport.clone())
            .clock(NetworkClock(self.timebase))
            .seed(EngineSeed::from_u64(self.seed).fork("engine"))
    }

    /// The network: its journal, its ledger, and what can be done to it.
    pub fn network(&self) -> &MockYagna {
        &self.network
    }
}
