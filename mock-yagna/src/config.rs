//! What a simulated network is made of: app keys, providers, images, money, latencies, faults.
//!
//! Does not own: how it is written in files (`network_file`).

mod app_key;
mod daemon_version;
mod fault;
mod provider;
mod target;
mod web;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use golem_wire::Glm;
use indexmap::{IndexMap, IndexSet};
use serde::Deserialize;

pub use crate::behaviour::Behaviour;
pub use app_key::AppKey;
pub use daemon_version::DaemonVersion;
pub use fault::{Effect, Fault, FaultError, Targets, WhichAnswer};
pub(crate) use provider::OWN_COUNTERS;
pub use provider::{Counter, Gpu, Prices, ProviderSpec, Resources, impossible_amount};
pub use target::{BadTarget, Operation, Target};
pub use web::{WebContent, WebFile};

use app_key::check_origins;

use crate::duration;
use crate::rng::Seed;
use crate::runtime::program::ProgramFactory;
use crate::runtime::scripted::ScriptedAnswer;

/// Demands and offers live so long, whatever their properties say.
pub(crate) const SUBSCRIPTION_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// A whole network.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything random comes from here.
    pub seed: Seed,
    /// Which daemon it is.
    pub daemon: DaemonVersion,
    /// Who may call; each key is an identity of its own.
    pub app_keys: Vec<AppKey>,
    /// Pages of these origins may call from a browser, whichever key they use: `scheme://host[:port]`
    /// as browsers write it, or `*` for all. Each key may allow more.
    pub allow_origins: Vec<String>,
    /// The providers.
    pub providers: Vec<ProviderSpec>,
    /// Images by hash, URL or file name.
    pub images: IndexMap<String, Image>,
    /// What an unknown image is; `None`: `deploy` fails.
    pub default_image: Option<Image>,
    /// Files of the web by URL: what a `transfer` gets from there. Others are fetched from this computer only.
    pub web: IndexMap<String, WebFile>,
    /// Payment platforms; the first is the default.
    pub platforms: Vec<Platform>,
    /// On which of them a node has an account.
    pub accounts: Accounts,
    /// Money on each account of a requestor; [`Glm::MAX`]: nobody looks, as with a daemon whose validation of
    /// allocations is off.
    pub funds: Glm,
    /// How long the daemon and the network take.
    pub latency: Latency,
    /// What goes wrong between the daemon and its clients.
    pub faults: Vec<Fault>,
    /// Whether the inspector's page is served, at `/mock-api/inspector`.
    pub inspector: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: Seed::from_u64(1),
            daemon: DaemonVersion::default(),
            app_keys: vec![AppKey::new("secret", "requestor")],
            allow_origins: Vec::new(),
            providers: Vec::new(),
            images: IndexMap::new(),
            default_image: Some(Image::Shell),
            web: IndexMap::new(),
            platforms: Platform::usual(),
            accounts: Accounts::default(),
            funds: Glm::from(1000),
            latency: Latency::default(),
            faults: Vec::new(),
            inspector: false,
        }
    }
}

/// Why a network cannot be as it is described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Names must tell providers apart.
    #[error("two providers are called `{0}`; give each its own name")]
    SameProvider(String),
    /// An impossible provider.
    #[error("provider `{provider}` is impossible: {why}")]
    Provider {
        /// Its name.
        provider: String,
        /// What is wrong.
        why: String,
    },
    /// Names and keys must tell identities apart.
    #[error("two app keys share the key or the name `{0}`")]
    SameAppKey(String),
    /// No client can send it: a header takes visible ASCII only.
    #[error(
        "app key `{0}` cannot be sent in a header; letters, digits and signs of ASCII can, blanks and other letters cannot"
    )]
    BadAppKey(String),
    /// A browser never says such an origin, so allowing it would do nothing.
    #[error(
        "`{0}` is no origin; write the scheme, host and port of the page as browsers do, in lower \
         case and without a path, as in http://localhost:8080, or * for every page"
    )]
    Origin(String),
    /// An impossible fault.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// A provider cannot announce the end of agreements there.
    #[error(
        "provider `{provider}` announces the end of its agreements (`notice`), which daemons do from 0.18 on; choose the daemon `0.18`"
    )]
    NoNotices {
        /// Its name.
        provider: String,
    },
    /// Without one no provider could be paid.
    #[error("there is no payment platform; name at least one")]
    NoPlatform,
}

/// Most providers of one network.
pub const MOST_PROVIDERS: usize = 20_000;

impl Config {
    /// What allocations are checked against, if anything.
    pub(crate) fn checked_funds(&self) -> Option<Glm> {
        Some(self.funds).filter(|funds| *funds < Glm::MAX)
    }

    /// Whether such a network is possible.
    ///
    /// # Errors
    /// [`ConfigError`] names the provider or key and what is wrong with it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut names = IndexSet::new();
        for spec in &self.providers {
            spec.check()?;
            if spec.behaviour.announces_ends() && !self.daemon.has_termination_notices() {
                return Err(ConfigError::NoNotices {
                    provider: spec.name.clone(),
                });
            }
            if !names.insert(&spec.name) {
                return Err(ConfigError::SameProvider(spec.name.clone()));
            }
        }
        let (mut keys, mut names) = (IndexSet::new(), IndexSet::new());
        let of_providers = self
            .providers
            .iter()
            .filter_map(|spec| spec.app_key.as_ref());
        check_origins(&self.allow_origins)?;
        for app_key in self.app_keys.iter().chain(of_providers) {
            let AppKey { key, name, .. } = app_key;
            check_origins(&app_key.allow_origins)?;
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ConfigError::BadAppKey(key.clone()));
            }
            if !keys.insert(key) || !names.insert(name) {
                return Err(ConfigError::SameAppKey(name.clone()));
            }
        }
        if self.platforms.is_empty() {
            return Err(ConfigError::NoPlatform);
        }
        for fault in &self.faults {
            fault.check()?;
        }
        Ok(())
    }
}

/// On which platforms a node has an account that `GET /requestorAccounts` tells of.
///
/// Allocations can be made on every platform in any case, as with the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accounts {
    /// On all of them, as after a `yagna payment init` for each.
    #[default]
    Everywhere,
    /// On the default one, and on each other from its first allocation there: a daemon without `payment init`.
    OnUse,
}

/// A payment platform: driver, network and token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Payment driver, e.g. `erc20`.
    pub driver: String,
    /// Payment network, e.g. `holesky`.
    pub network: String,
    /// Token in the chain's spelling, e.g. `tGLM`.
    pub token: String,
}

impl Platform {
    /// A platform of the erc20 driver.
    pub fn erc20(network: &str, token: &str) -> Self {
        Platform {
            driver: "erc20".into(),
            network: network.into(),
            token: token.into(),
        }
    }

    /// The platforms of a daemon as installed, the default one first.
    pub fn usual() -> Vec<Platform> {
        vec![
            Platform::erc20("holesky", "tGLM"),
            Platform::erc20("polygon", "GLM"),
            Platform::erc20("hoodi", "tGLM"),
            Platform::erc20("amoy", "tGLM"),
            Platform::erc20("mainnet", "GLM"),
        ]
    }

    /// `<driver>-<network>-<token>`, lower case.
    pub fn name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.driver,
            self.network,
            self.token.to_lowercase()
        )
    }
}

/// How long the daemon and the network take. Those of the market are upper ends: each use draws
/// between a half of it and the whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// From a demand (or a provider's return to the market) to the initial proposal.
    #[serde(with = "duration")]
    pub matching: Duration,
    /// From a counter-proposal to the provider's answer.
    #[serde(with = "duration")]
    pub negotiation: Duration,
    /// Creating and destroying an activity.
    #[serde(with = "duration")]
    pub activity_step: Duration,
    /// Before every command of a batch.
    #[serde(with = "duration")]
    pub command: Duration,
    /// Fetching and unpacking an image.
    #[serde(with = "duration")]
    pub deploy: Duration,
    /// From the end of the work to the invoice.
    #[serde(with = "duration")]
    pub invoice: Duration,
    /// A real script takes this long to reach its machine: whoever asks for its events so soon
    /// misses none, while a simulated command may be over by then.
    #[serde(with = "duration")]
    pub under_way: Duration,
    /// How often a poll for invoice or debit note events looks for some, the last time not later
    /// than so long before its end; zero: whenever there are some.
    #[serde(with = "duration")]
    pub payment_events: Duration,
    /// From the acceptance of a document to its payment.
    #[serde(with = "duration")]
    pub settlement: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Latency {
            matching: Duration::from_millis(100),
            negotiation: Duration::from_millis(30),
            activity_step: Duration::from_millis(750),
            command: Duration::from_millis(10),
            deploy: Duration::ZERO,
            invoice: Duration::from_millis(500),
            under_way: Duration::from_secs(2),
            payment_events: Duration::ZERO,
            settlement: Duration::from_secs(10),
        }
    }
}

/// What runs on a provider when an image is deployed.
#[derive(Clone)]
pub enum Image {
    /// A tiny simulated shell.
    Shell,
    /// A program written in Rust, in virtual time.
    Program(Arc<dyn ProgramFactory>),
    /// Real processes from an image folder; real time only.
    Process {
        /// The image folder.
        dir: PathBuf,
    },
    /// Answers from a scenario file.
    Scripted(Vec<ScriptedAnswer>),
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Image::Shell => f.write_str("Shell"),
            Image::Program(_) => f.write_str("Program"),
            Image::Process { dir } => f.debug_struct("Process").field("dir", dir).finish(),
            Image::Scripted(answers) => write!(f, "Scripted({} answers)", answers.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let behaviour = |value: &str| {
            let json = format!(r#"{{"terminate_after": {value}, "approve_after": "250ms"}}"#);
            serde_json::from_str::<Behaviour>(&json).map(|b| b.terminate_after)
        };
        let secs = |s| Some(Duration::from_secs(s));
        assert_eq!(behaviour(r#""90s""#).expect("a duration"), secs(90));
        assert_eq!(behaviour(r#""1h 30m""#).expect("a duration"), secs(5400));
        assert_eq!(behaviour("7").expect("a duration"), secs(7));
        assert_eq!(behaviour("null").expect("none"), None);
        for bad in [r#""-3s""#, r#""soon""#, "-1", "true"] {
            assert!(behaviour(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn impossible_networks_are_refused_by_name() {
        let with = |providers| {
            Config {
                providers,
                ..Config::default()
            }
            .check()
        };
        let bob = || ProviderSpec::new("bob");
        assert_eq!(
            with(vec![bob(), bob()]),
            Err(ConfigError::SameProvider("bob".into()))
        );
        let mut full = bob();
        full.capacity = 0;
        assert!(
            with(vec![full])
                .expect_err("no capacity")
                .to_string()
                .contains("`bob`")
        );
        let mut poor = bob();
        poor.resources.mem_gib = f64::NAN;
        assert!(with(vec![poor]).is_err());
        let mut generous = bob();
        generous.prices.cpu_sec = Glm::new(Decimal::new(-1, 2));
        assert!(with(vec![generous]).is_err());
        assert_eq!(with(vec![bob()]), Ok(()));
    }
}
