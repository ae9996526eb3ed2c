//! What a provider is made of, and whether there can be such a one.
//!
//! Does not own: how it is written in a file (`network_file::providers`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use golem_wire::Glm;
use golem_wire::market::Properties;
use golem_wire::props::{gpu, runtime};
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::SUBSCRIPTION_LIFE;
use super::{AppKey, ConfigError};
use crate::behaviour::Behaviour;
use golem_wire::constraint::Constraint;

/// One provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSpec {
    /// Unique name.
    pub name: String,
    /// Subnet in which it offers.
    pub subnet: String,
    /// What it asks for.
    pub prices: Prices,
    /// What it has.
    pub resources: Resources,
    /// Runtime name.
    pub runtime: String,
    /// Runtime capabilities.
    pub capabilities: Vec<String>,
    /// Agreements at one time.
    pub capacity: u32,
    /// How long ago its offer was published when the network begins; it stands for one hour. Absent:
    /// any time within the last hour, by the seed.
    pub offer_age: Option<Duration>,
    /// Usage counters of its own by name, after yagna's two in the usage vector, in the order of their names.
    pub counters: BTreeMap<String, Counter>,
    /// Offer properties that replace or extend the generated ones; `null` removes one.
    pub properties: Properties,
    /// What it wants of a demand; absent: its subnet, and an end in the future.
    pub constraints: Option<String>,
    /// TCP ports of its machines that lead to ports of this computer.
    pub ports: BTreeMap<u16, SocketAddr>,
    /// A key with which the daemon takes a caller for this provider.
    pub app_key: Option<AppKey>,
    /// How it behaves.
    pub behaviour: Behaviour,
}

/// What a runtime with a graphics processor can do.
const GPU_CAPABILITY: &str = "!exp:gpu";

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

/// A graphics processor of a provider's machine; [`ProviderSpec::with_gpu`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gpu {
    /// Its name.
    pub model: String,
    /// Its memory.
    pub memory_gib: f64,
    /// Its CUDA cores.
    pub cuda_cores: u32,
    /// The version of CUDA that works, as `12.2`.
    pub cuda_version: String,
    /// Its compute capability, as `8.6`.
    pub compute_capability: String,
}

impl Default for Gpu {
    fn default() -> Self {
        Gpu {
            model: "NVIDIA GeForce RTX 3060".into(),
            memory_gib: 12.0,
            cuda_cores: 3584,
            cuda_version: "12.2".into(),
            compute_capability: "8.6".into(),
        }
    }
}

/// Most cores or threads of a machine.
const MOST_CORES: u32 = 1_000_000;
/// Most memory or storage of a machine.
const MOST_GIB: f64 = 1e9;
/// Most agreements of a provider at one time.
const MOST_AGREEMENTS: u32 = 100_000;

/// Why there can be no such amount of GLM, after the amount itself; none when there can.
pub fn impossible_amount(amount: Glm) -> Option<String> {
    let number = amount.get();
    if number > Decimal::from(MOST_GLM) {
        return Some(format!(
            "{amount} GLM is more than the {MOST_GLM} GLM that there are"
        ));
    }
    (number.normalize().scale() > GLM_PLACES).then(|| {
        format!("{amount} GLM has more than {GLM_PLACES} decimal places, and a GLM has no more")
    })
}

/// All GLM that there are.
const MOST_GLM: u64 = 1_000_000_000;
/// Decimal places of a GLM.
const GLM_PLACES: u32 = 18;

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
            counters: BTreeMap::new(),
            properties: Properties::new(),
            constraints: None,
            ports: BTreeMap::new(),
            app_key: None,
            behaviour: Behaviour::default(),
        }
    }

    /// With a graphics processor, told as the runtime `vm-nvidia` tells of one: the runtime, its capability
    /// `!exp:gpu`, and the processor's properties, before those that are set by hand.
    ///
    /// ```
    /// use mock_yagna::{Gpu, ProviderSpec};
    ///
    /// let provider = ProviderSpec::new("rig").with_gpu(Gpu { memory_gib: 24.0, ..Gpu::default() });
    /// assert_eq!(provider.runtime, "vm-nvidia");
    /// ```
    pub fn with_gpu(mut self, has: Gpu) -> Self {
        self.runtime = runtime::VM_NVIDIA.into();
        if !self.capabilities.iter().any(|it| it == GPU_CAPABILITY) {
            self.capabilities.push(GPU_CAPABILITY.into());
        }
        for (name, value) in [
            (gpu::MODEL, Value::from(has.model)),
            (gpu::MEMORY, has.memory_gib.into()),
            (gpu::MEMORY_BANDWIDTH, 360.0.into()),
            (gpu::CUDA_ENABLED, true.into()),
            (gpu::CUDA_CORES, has.cuda_cores.into()),
            (gpu::CUDA_VERSION, has.cuda_version.into()),
            (gpu::CUDA_COMPUTE_CAPABILITY, has.compute_capability.into()),
            (gpu::CLOCK_GRAPHICS, 2100.into()),
            (gpu::CLOCK_MEMORY, 7501.into()),
            (gpu::CLOCK_SM, 2100.into()),
            (gpu::CLOCK_VIDEO, 1950.into()),
        ] {
            self.properties.entry(name).or_insert(value);
        }
        self
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
        let prices = [start, cpu_sec, duration_sec];
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
        } else if cpu_cores > MOST_CORES || cpu_threads > MOST_CORES {
            format!("it has {cpu_cores} cores and {cpu_threads} threads; the most is {MOST_CORES}")
        } else if mem_gib > MOST_GIB || storage_gib > MOST_GIB {
            format!(
                "it has {mem_gib} GiB of memory and {storage_gib} GiB of storage; the most is {MOST_GIB}"
            )
        } else if self.capacity > MOST_AGREEMENTS {
            format!(
                "its capacity is {}; the most is {MOST_AGREEMENTS}",
                self.capacity
            )
        } else if let Some(price) = prices.iter().find(|p| **p < Glm::ZERO) {
            format!("its price {price} is negative")
        } else if let Some(wrong) = self
            .counters
            .iter()
            .find_map(|(name, counter)| counter.mistake(name))
        {
            wrong
        } else if let Some(why) = prices.iter().find_map(|price| impossible_amount(*price)) {
            format!("its price {why}")
        } else if let Some((port, real)) =
            self.ports.iter().find(|(_, real)| !real.ip().is_loopback())
        {
            format!("its port {port} leads to {real}, which is not on this computer")
        } else if self.constraints.is_none()
            && (self.subnet.contains(')') || self.subnet.starts_with('*'))
        {
            format!(
                "its subnet `{}` cannot be written in a constraint",
                self.subnet
            )
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

/// Names of the counters that every provider has, in the order of its usage vector.
pub(crate) const OWN_COUNTERS: [&str; 2] = ["golem.usage.duration_sec", "golem.usage.cpu_sec"];

/// A usage counter of a provider's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counter {
    /// What a unit costs, in GLM.
    pub price: Glm,
    /// Units in a second of an activity's life.
    pub per_sec: f64,
}

impl Counter {
    fn mistake(&self, name: &str) -> Option<String> {
        if name.trim().is_empty() || OWN_COUNTERS.contains(&name) {
            Some(format!("its counter `{name}` needs a name of its own"))
        } else if self.price < Glm::ZERO {
            Some(format!("the price {} of `{name}` is negative", self.price))
        } else if !self.per_sec.is_finite() || self.per_sec < 0.0 {
            Some(format!(
                "`{name}` counts {} in a second; it must be 0 or more",
                self.per_sec
            ))
        } else {
            None
        }
    }
}

/// What a provider asks for, in GLM.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq)]
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
