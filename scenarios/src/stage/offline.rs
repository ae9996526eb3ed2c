//! Your own program on a simulated network, in virtual time or in real time: for tests of service and
//! task logic.
//!
//! Owns a runtime, a network and an engine that is set up for it. What happens on them is the program's. Scenario files are the other way to the same stage (`stage`).

use std::fmt;

#[cfg(feature = "files")]
use std::path::Path;

use golem_engine::{Glm, GolemBuilder};
#[cfg(feature = "files")]
use mock_yagna::network_file::{NetworkFile, NetworkFileError};
use mock_yagna::{Behaviour, Config, Fault, Image, MockYagna, ProviderSpec};

use super::record::Record;
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

    /// A network that is described in a file, as `mock-yagna --network` reads it: its providers, faults, images and all
    /// else that it names; relative paths in it begin at its folder.
    ///
    /// # Errors
    /// When the file cannot be read, is malformed, or names what does not exist.
    #[cfg(feature = "files")]
    pub fn network_file(self, path: impl AsRef<Path>) -> Result<Self, NetworkFileError> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let file = NetworkFile::load(path)?;
        self.described(file, folder)
    }

    /// The same from the text of such a file; relative paths in it begin at the working directory.
    ///
    /// # Errors
    /// When the text is malformed, or names what does not exist.
    #[cfg(feature = "files")]
    pub fn network_yaml(self, text: &str) -> Result<Self, NetworkFileError> {
        let file = NetworkFile::parse(text, "network")?;
        self.described(file, Path::new(""))
    }

    #[cfg(feature = "files")]
    fn described(mut self, file: NetworkFile, folder: &Path) -> Result<Self, NetworkFileError> {
        let ours = self.config.app_keys.clone();
        self.config = file.config(self.config, folder)?;
        // The engines of the stage call with a key that the file does not know.
        let keys = &mut self.config.app_keys;
        keys.extend(ours);
        let mut known = std::collections::BTreeSet::new();
        keys.retain(|key| known.insert(key.key.clone()));
        Ok(self)
    }

    /// Changes how the provider of this name behaves.
    ///
    /// # Panics
    /// When there is none of this name.
    #[track_caller]
    pub fn behaviour(mut self, provider: &str, change: impl FnOnce(&mut Behaviour)) -> Self {
        let providers = &mut self.config.providers;
        let found = providers.iter_mut().find(|it| it.name == provider);
        match found {
            Some(found) => change(&mut found.behaviour),
            None => {
                let names: Vec<_> = providers.iter().map(|it| it.name.as_str()).collect();
                panic!(
                    "there is no provider `{provider}`; there are: {}",
                    names.join(", ")
                );
            }
        }
        self
    }

    /// Something that goes wrong between the daemon and the engine, from the beginning on; for later ones there is
    /// [`MockYagna::inject`].
    pub fn fault(mut self, fault: Fault) -> Self {
        self.config.faults.push(fault);
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
            let network = stage.network().cloned();
            let record = Record::new(network.expect("an offline stage has a network"));
            let stage = OfflineStage {
                seed: self.seed,
                is_virtual: !self.real_time,
                stage,
                record,
            };
            let result = program(&stage).await;
            stage.stage.strike().await;
            result
        })
    }
}

/// What a program of [`Offline::run`] works with.
///
/// Beside the network and engines for it, it knows what happened on both of them, lets time pass, and says what is wrong
/// with a claim:
///
/// ```
/// use std::time::Duration;
/// use golem_scenarios::prelude::*;
///
/// let leaves = |behaviour: &mut Behaviour| {
///     behaviour.terminate_after = Some(Duration::from_secs(600));
/// };
/// let image = || vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
///     .image_url("http://images.example/hello.gvmi");
/// let offline = Offline::new(7).providers(vec![ProviderSpec::new("alice"), ProviderSpec::new("bob")]);
/// offline.behaviour("alice", leaves).run(async |stage| {
///     let golem = stage.golem().start().await.expect("the engine starts");
///     let service = golem.run_service_with(image(), |ctx| async move {
///         ctx.stop_requested().await;
///         Ok(())
///     });
///     let cluster = service.num_instances(2).start().await.expect("a cluster");
///     stage.until_seen("AgreementTerminated", Duration::from_secs(3600)).await;
///     stage.assert_order(["agreement_approved", "agreement_terminated", "AgreementTerminated"]);
///     cluster.stop();
///     cluster.join().await;
///     golem.stop().await;
///     stage.until_seen("invoice_settled", Duration::from_secs(600)).await;
///     stage.assert_clean();
/// });
/// ```
pub struct OfflineStage {
    seed: u64,
    is_virtual: bool,
    stage: Stage,
    record: Record,
}

impl OfflineStage {
    /// An engine for this network with a budget of 1 GLM; change what you like before you start it.
    /// Each call is a new engine; several may be at work at once.
    pub fn golem(&self) -> GolemBuilder {
        let record = self.record.clone();
        let golem = self.stage.golem(self.seed).budget(Glm::from(1));
        golem.event_observer(move |event| record.engine(event))
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether its time is virtual.
    pub(super) fn is_virtual(&self) -> bool {
        self.is_virtual
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
