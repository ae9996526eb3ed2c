//! What a simulated network is made of: app keys, providers, images, money, latencies.
//!
//! [`ProviderSpec`] and what it contains are also the provider section of scenario files, hence
//! `deny_unknown_fields`: a misspelt key is an error, never a silent default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use golem_wire::Glm;
use golem_wire::market::Properties;
use indexmap::{IndexMap, IndexSet};
use rust_decimal::Decimal;
use serde::Deserialize;

pub use crate::behaviour::Behaviour;
use crate::fault::Fault;
use crate::market::constraint::Constraint;
use crate::rng::Seed;
use crate::runtime::program::ProgramFactory;
use crate::runtime::scripted::ScriptedAnswer;

/// A whole network.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything random comes from here.
    pub seed: Seed,
    /// Who may call; each key is an identity of its own.
    pub app_keys: Vec<AppKey>,
    /// The providers.
    pub providers: Vec<ProviderSpec>,
    /// Images by hash, URL or file name.
    pub images: IndexMap<String, Image>,
    /// What an unknown image is; `None`: `deploy` fails.
    pub default_image: Option<Image>,
    /// Payment platforms on which every node has an account; the first is the default.
    pub platforms: Vec<Platform>,
    /// Money on each account of a requestor.
    pub funds: Glm,
    /// How long the daemon and the network take.
    pub latency: Latency,
    /// What goes wrong between the daemon and its clients.
    pub faults: Vec<Fault>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: Seed::from_u64(1),
            app_keys: vec![AppKey::new("secret", "requestor")],
            providers: Vec::new(),
            images: IndexMap::new(),
            default_image: Some(Image::Shell),
            platforms: Platform::usual(),
            funds: Glm::from(1000),
            latency: Latency::default(),
            faults: Vec::new(),
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
    /// An impossible fault.
    #[error(transparent)]
    Fault(#[from] crate::fault::FaultError),
    /// Without one nobody could be paid.
    #[error("there is no payment platform; name at least one")]
    NoPlatform,
}

impl Config {
    /// Whether such a network is possible.
    ///
    /// # Errors
    /// [`ConfigError`] names the provider or key and what is wrong with it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut names = IndexSet::new();
        for spec in &self.providers {
            spec.check()?;
            if !names.insert(&spec.name) {
                return Err(ConfigError::SameProvider(spec.name.clone()));
            }
        }
        let (mut keys, mut names) = (IndexSet::new(), IndexSet::new());
        let of_providers = self.providers.iter().filter_map(|spec| spec.app_key.as_ref());
        for AppKey { key, name, .. } in self.app_keys.iter().chain(of_providers) {
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

/// An app key of the daemon.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppKey {
    /// The secret.
    pub key: String,
    /// What the key is called.
    pub name: String,
    /// Its role.
    #[serde(default = "manager")]
    pub role: String,
}

fn manager() -> String {
    "manager".into()
}

impl AppKey {
    /// A key with the usual role.
    pub fn new(key: impl Into<String>, name: impl Into<String>) -> Self {
        AppKey {
            key: key.into(),
            name: name.into(),
            role: manager(),
        }
    }
}

/// Without the secret.
impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish()
    }
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
            payment_events: Duration::ZERO,
            settlement: Duration::from_secs(10),
        }
    }
}

/// One provider.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Unique name.
    pub name: String,
    /// Subnet in which it offers.
    #[serde(default = "public")]
    pub subnet: String,
    /// What it asks for.
    #[serde(default)]
    pub prices: Prices,
    /// What it has.
    #[serde(default)]
    pub resources: Resources,
    /// Runtime name.
    #[serde(default = "vm")]
    pub runtime: String,
    /// Runtime capabilities.
    #[serde(default = "usual_capabilities")]
    pub capabilities: Vec<String>,
    /// Agreements at one time.
    #[serde(default = "one")]
    pub capacity: u32,
    /// Offer properties that replace or extend the generated ones; `null` removes one.
    #[serde(default)]
    pub properties: Properties,
    /// What it wants of a demand; absent: its subnet, and an end in the future.
    #[serde(default)]
    pub constraints: Option<String>,
    /// TCP ports of its machines that lead to ports of this computer.
    #[serde(default)]
    pub ports: BTreeMap<u16, SocketAddr>,
    /// A key with which the daemon takes a caller for this provider.
    #[serde(default)]
    pub app_key: Option<AppKey>,
    /// How it behaves.
    #[serde(default)]
    pub behaviour: Behaviour,
}

fn public() -> String {
    "public".into()
}

fn vm() -> String {
    "vm".into()
}

fn usual_capabilities() -> Vec<String> {
    ["vpn", "inet", "manifest-support"]
        .map(String::from)
        .to_vec()
}

fn one() -> u32 {
    1
}

impl ProviderSpec {
    /// A well-behaved provider with usual prices and resources.
    pub fn new(name: impl Into<String>) -> Self {
        ProviderSpec {
            name: name.into(),
            subnet: public(),
            prices: Prices::default(),
            resources: Resources::default(),
            runtime: vm(),
            capabilities: usual_capabilities(),
            capacity: 1,
            properties: Properties::new(),
            constraints: None,
            ports: BTreeMap::new(),
            app_key: None,
            behaviour: Behaviour::default(),
        }
    }

    /// Whether such a provider is possible.
    ///
    /// # Errors
    /// [`ConfigError::Provider`] says what is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Resources {
            cpu_cores,
            cpu_threads,
            mem_gib,
            storage_gib,
        } = self.resources;
        let Prices {
            start,
            cpu_sec,
            duration_sec,
        } = self.prices;
        let positive = |amount: f64| amount.is_finite() && amount > 0.0;
        let why = if self.name.trim().is_empty() {
            "it has no name".to_owned()
        } else if self.capacity == 0 {
            "its capacity is 0, so it could never take an agreement".to_owned()
        } else if cpu_cores == 0 || cpu_threads == 0 {
            format!("it has {cpu_cores} cores and {cpu_threads} threads")
        } else if !positive(mem_gib) || !positive(storage_gib) {
            format!("it has {mem_gib} GiB of memory and {storage_gib} GiB of storage")
        } else if let Some(price) = [start, cpu_sec, duration_sec]
            .iter()
            .find(|p| **p < Glm::ZERO)
        {
            format!("its price {price} is negative")
        } else if let Some((port, real)) =
            self.ports.iter().find(|(_, real)| !real.ip().is_loopback())
        {
            format!("its port {port} leads to {real}, which is not on this computer")
        } else if let Some(Err(error)) = self.constraints.as_deref().map(Constraint::parse) {
            format!("its constraints are wrong: {error}")
        } else if let Some(mistake) = self.behaviour.mistake() {
            mistake
        } else {
            return Ok(());
        };
        Err(ConfigError::Provider {
            provider: self.name.clone(),
            why,
        })
    }
}

/// What a provider asks for, in GLM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Once per activity.
    pub start: Glm,
    /// Per second of processor time.
    pub cpu_sec: Glm,
    /// Per second of an activity's life.
    pub duration_sec: Glm,
}

impl Default for Prices {
    fn default() -> Self {
        Prices {
            start: Glm::ZERO,
            cpu_sec: Glm::new(Decimal::new(1, 4)),
            duration_sec: Glm::new(Decimal::new(5, 5)),
        }
    }
}

/// What a provider's machine has.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Processor cores.
    pub cpu_cores: u32,
    /// Processor threads.
    pub cpu_threads: u32,
    /// Memory.
    pub mem_gib: f64,
    /// Storage.
    pub storage_gib: f64,
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            cpu_cores: 2,
            cpu_threads: 4,
            mem_gib: 8.0,
            storage_gib: 20.0,
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

/// Durations as people write them: `90s`, `1h 30m`, `250ms`; a bare number means seconds.
pub mod duration {
    use std::fmt;
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::Serializer;
    use serde::de::{self, Deserializer, Visitor};

    struct DurationVisitor;

    impl Visitor<'_> for DurationVisitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as `90s`, `1h 30m` or `250ms`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            let parsed = text.parse::<SignedDuration>().ok();
            parsed
                .and_then(|d| Duration::try_from(d).ok())
                .ok_or_else(|| {
                    E::custom(format!(
                        "`{text}` is not a duration such as `90s`, `1h 30m` or `250ms`"
                    ))
                })
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            u64::try_from(seconds)
                .map(Duration::from_secs)
                .map_err(|_| E::custom(format!("`{seconds}` is not a duration: it is negative")))
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| E::custom(format!("`{seconds}` is not a duration in seconds")))
        }
    }

    /// As [`deserialize`] reads it.
    pub(crate) fn text(duration: Duration) -> String {
        let signed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        format!("{signed:#}")
    }

    /// Writes a duration.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*value))
    }

    /// Reads a duration.
    ///
    /// # Errors
    /// When the text is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }

    /// The same for an optional duration.
    pub mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serializer};

        /// Writes a duration, or nothing.
        ///
        /// # Errors
        /// When the serializer fails.
        pub fn serialize<S: Serializer>(
            value: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(duration) => serializer.serialize_str(&super::text(*duration)),
                None => serializer.serialize_none(),
            }
        }

        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "super")] Duration);

        /// Reads a duration, or nothing.
        ///
        /// # Errors
        /// When the text is none.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|Wrapped(duration)| duration))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Result<ProviderSpec, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_is_enough_for_a_provider_and_unknown_keys_are_errors() {
        assert_eq!(spec(r#"{"name": "bob"}"#), Ok(ProviderSpec::new("bob")));
        for misspelt in [
            r#"{"name": "bob", "capazity": 2}"#,
            r#"{"name": "bob", "prices": {"cpu": "0.1"}}"#,
            r#"{"name": "bob", "behaviour": {"reject": 1}}"#,
        ] {
            assert!(
                spec(misspelt)
                    .expect_err("a misspelt key")
                    .contains("unknown field")
            );
        }
    }

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
