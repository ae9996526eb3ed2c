//! What a provider is made of: the provider section of scenario files, hence
//! `deny_unknown_fields`: a misspelt key is an error, never a silent default.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use golem_wire::Glm;
use golem_wire::market::Properties;
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};

use super::SUBSCRIPTION_LIFE;
use super::{AppKey, ConfigError};
use crate::behaviour::Behaviour;
use crate::constraint::Constraint;

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
    /// How long ago its offer was published when the network begins; it stands for one hour. Absent:
    /// any time within the last hour, by the seed.
    #[serde(default, with = "crate::duration::option")]
    pub offer_age: Option<Duration>,
    /// Offer properties that replace or extend the generated ones; `null` removes one.
    #[serde(default)]
    pub properties: Properties,
    /// What it wants of a demand; absent: its subnet, and an end in the future.
    #[serde(default)]
    pub constraints: Option<String>,
    /// TCP ports of its machines that lead to ports of this computer; in a file, numbers will do.
    #[serde(default, deserialize_with = "ports")]
    pub ports: BTreeMap<u16, SocketAddr>,
    /// A key with which the daemon takes a caller for this provider.
    #[serde(default)]
    pub app_key: Option<AppKey>,
    /// How it behaves.
    #[serde(default)]
    pub behaviour: Behaviour,
}

fn ports<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "neither a port of this computer nor an address with its port, such as \
                     `127.0.0.1:8080`"
    )]
    enum Real {
        Port(u16),
        Address(SocketAddr),
    }
    let ports = BTreeMap::<u16, Real>::deserialize(from)?;
    let address = |real| match real {
        Real::Port(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Real::Address(address) => address,
    };
    Ok(ports
        .into_iter()
        .map(|(p, real)| (p, address(real)))
        .collect())
}

/// Whether an offer of this age has ended.
fn is_over(age: Duration) -> bool {
    SignedDuration::try_from(age).map_or(true, |age| age >= SUBSCRIPTION_LIFE)
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
            offer_age: None,
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
        } else if self.offer_age.is_some_and(is_over) {
            "its offer is an hour old or older, but an offer stands for one hour only".to_owned()
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
