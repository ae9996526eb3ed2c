//! The `providers` section: one provider, or several of a kind that draw their numbers.
//!
//! Owns its keys, its checks and the draw. Does not own: what a provider is once it is drawn
//! (`config::provider`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use golem_wire::Glm;
use golem_wire::market::Properties;
use indexmap::IndexMap;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use super::mistake::Mistake;
use super::numbers::Drawn;
use crate::behaviour::Behaviour;
use crate::config::{AppKey, Counter, Gpu, MOST_PROVIDERS, ProviderSpec, impossible_amount};
use crate::duration;
use crate::rng::Seed;

/// Most cores, threads or GiB of a machine.
const MOST_OF_A_MACHINE: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// One provider, or several of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderGroup {
    /// Its name; of a group, what the names begin with: `fleet-1`, `fleet-2`, …
    pub name: Spanned<String>,
    /// How many there are; absent: the one of this name.
    #[serde(default)]
    pub count: Option<Spanned<u32>>,
    /// Subnet in which they offer; absent: `public`.
    #[serde(default)]
    pub subnet: Option<String>,
    /// What they ask for, in GLM.
    #[serde(default)]
    pub prices: Prices,
    /// What they have.
    #[serde(default)]
    pub resources: Resources,
    /// Runtime name; absent: `vm`.
    #[serde(default)]
    pub runtime: Option<String>,
    /// A graphics processor: `model`, `memory_gib`, `cuda_cores`, `cuda_version`, `compute_capability`, each with a usual
    /// value; the runtime is `vm-nvidia` then, unless it is written.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    /// Runtime capabilities; absent: the usual ones.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Agreements at one time; absent: one.
    #[serde(default)]
    pub capacity: Option<Spanned<u32>>,
    /// How long ago their offers were published when the network begins; absent: any time within the
    /// last hour, by the seed.
    #[serde(default, with = "duration::option")]
    pub offer_age: Option<Duration>,
    /// Usage counters of their own by name: `price` of a unit in GLM, units `per_sec`ond of an activity's life.
    #[serde(default)]
    pub counters: BTreeMap<String, Counter>,
    /// Offer properties that replace or extend the generated ones; `null` removes one.
    #[serde(default)]
    pub properties: Properties,
    /// What they want of a demand; absent: their subnet, and an end in the future.
    #[serde(default)]
    pub constraints: Option<String>,
    /// TCP ports of their machines that lead to ports of this computer; numbers will do.
    #[serde(default, deserialize_with = "ports")]
    pub ports: BTreeMap<u16, SocketAddr>,
    /// A key with which the daemon takes a caller for this provider.
    #[serde(default)]
    pub app_key: Option<AppKey>,
    /// How they behave, and misbehave.
    #[serde(default)]
    pub behaviour: Behaviour,
}

/// What providers ask for, in GLM.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Once per activity.
    pub start: Option<Spanned<Drawn>>,
    /// Per second of processor time.
    pub cpu_sec: Option<Spanned<Drawn>>,
    /// Per second of an activity's life.
    pub duration_sec: Option<Spanned<Drawn>>,
}

/// What providers have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Processor cores.
    pub cpu_cores: Option<Spanned<Drawn>>,
    /// Processor threads.
    pub cpu_threads: Option<Spanned<Drawn>>,
    /// Memory.
    pub mem_gib: Option<Spanned<Drawn>>,
    /// Storage.
    pub storage_gib: Option<Spanned<Drawn>>,
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

/// The providers of a file, each with what it drew.
pub fn draw(groups: &[ProviderGroup], seed: Seed) -> Vec<ProviderSpec> {
    let seed = seed.fork("scenario/providers");
    let drawn = |group: &ProviderGroup| {
        let specs: Vec<_> = group.names().map(|name| group.draw(name, seed)).collect();
        specs
    };
    groups.iter().flat_map(drawn).collect()
}

/// The providers of a file by name, and where each was written.
///
/// # Errors
/// The first group that there cannot be.
pub fn check(groups: &[ProviderGroup]) -> Result<IndexMap<String, Location>, Mistake> {
    let mut names = IndexMap::new();
    for group in groups {
        group.check()?;
        let at = group.name.referenced;
        for name in group.names() {
            if let Some(first) = names.insert(name.clone(), at) {
                let first: Location = first;
                let message = format!(
                    "a second provider `{name}`; the first is in line {}",
                    first.line()
                );
                return Err(Mistake::at(at, message));
            }
        }
        if names.len() > MOST_PROVIDERS {
            let message = format!("more than {MOST_PROVIDERS} providers");
            return Err(Mistake::at(at, message));
        }
    }
    Ok(names)
}

impl ProviderGroup {
    /// The names of its members.
    fn names(&self) -> impl Iterator<Item = String> + '_ {
        let name = &self.name.value;
        let single = self.count.is_none().then(|| name.clone());
        let count = self.count.as_ref().map_or(0, |count| count.value);
        single
            .into_iter()
            .chain((1..=count).map(move |n| format!("{name}-{n}")))
    }

    fn draw(&self, name: String, seed: Seed) -> ProviderSpec {
        // One stream per provider: a new provider does not change the others.
        let mut rng = seed.fork(&name).rng();
        let mut spec = self.undrawn(name);
        let mut draw =
            |number: &Option<Spanned<Drawn>>| number.as_ref().map(|n| n.value.draw(&mut rng));
        let prices = &mut spec.prices;
        for (price, drawn) in [
            (&mut prices.start, draw(&self.prices.start)),
            (&mut prices.cpu_sec, draw(&self.prices.cpu_sec)),
            (&mut prices.duration_sec, draw(&self.prices.duration_sec)),
        ] {
            *price = drawn.map_or(*price, Glm::new);
        }
        let has = &mut spec.resources;
        for (number, drawn) in [
            (&mut has.cpu_cores, draw(&self.resources.cpu_cores)),
            (&mut has.cpu_threads, draw(&self.resources.cpu_threads)),
        ] {
            let whole = drawn.and_then(|drawn| drawn.round().to_u32());
            *number = whole.map_or(*number, |whole| whole.max(1));
        }
        for (number, drawn) in [
            (&mut has.mem_gib, draw(&self.resources.mem_gib)),
            (&mut has.storage_gib, draw(&self.resources.storage_gib)),
        ] {
            *number = drawn
                .and_then(|drawn| drawn.round_dp(3).to_f64())
                .unwrap_or(*number);
        }
        spec
    }

    /// A member but for what it draws.
    fn undrawn(&self, name: String) -> ProviderSpec {
        let mut usual = ProviderSpec::new(name);
        usual.properties = self.properties.clone();
        let usual = match &self.gpu {
            Some(gpu) => usual.with_gpu(gpu.clone()),
            None => usual,
        };
        ProviderSpec {
            subnet: self.subnet.clone().unwrap_or(usual.subnet),
            runtime: self.runtime.clone().unwrap_or(usual.runtime),
            capabilities: self.capabilities.clone().unwrap_or(usual.capabilities),
            capacity: self.capacity.as_ref().map_or(usual.capacity, |c| c.value),
            offer_age: self.offer_age,
            counters: self.counters.clone(),
            constraints: self.constraints.clone(),
            ports: self.ports.clone(),
            app_key: self.app_key.clone(),
            behaviour: self.behaviour.clone(),
            ..usual
        }
    }

    fn check(&self) -> Result<(), Mistake> {
        let (name, at) = (&self.name.value, self.name.referenced);
        if name.trim().is_empty() {
            return Err(Mistake::at(at, "a provider needs a name"));
        }
        if let Some(count) = self.count.as_ref()
            && !(1..=MOST_PROVIDERS).contains(&(count.value as usize))
        {
            let message = format!(
                "`count` is {}; it must be from 1 to {MOST_PROVIDERS}",
                count.value
            );
            return Err(Mistake::at(count.referenced, message));
        }
        if let Some(capacity) = self.capacity.as_ref().filter(|c| c.value == 0) {
            let message = format!("provider `{name}` has a capacity of 0: it could never work");
            return Err(Mistake::at(capacity.referenced, message));
        }
        if let Some(gpu) = &self.gpu
            && !(gpu.memory_gib.is_finite() && gpu.memory_gib > 0.0)
        {
            let message = format!(
                "provider `{name}`: a `gpu` with {} GiB of memory; it must be more than 0",
                gpu.memory_gib
            );
            return Err(Mistake::at(at, message));
        }
        self.check_numbers()?;
        let sample = self.undrawn(name.clone());
        sample
            .check()
            .map_err(|error| Mistake::at(at, error.to_string()))
    }

    fn check_numbers(&self) -> Result<(), Mistake> {
        let (prices, has) = (&self.prices, &self.resources);
        let name = &self.name.value;
        for (what, price) in [
            ("start", &prices.start),
            ("cpu_sec", &prices.cpu_sec),
            ("duration_sec", &prices.duration_sec),
        ] {
            let Some(price) = price else { continue };
            if let Some(mistake) = price.value.mistake() {
                let message = format!("provider `{name}`: {mistake}");
                return Err(Mistake::at(price.referenced, message));
            }
            if let Some(why) = price
                .value
                .ends()
                .into_iter()
                .find_map(|end| impossible_amount(Glm::new(end)))
            {
                let message = format!("provider `{name}`: `{what}` of {why}");
                return Err(Mistake::at(price.referenced, message));
            }
            if price.value.least() < Decimal::ZERO {
                let message = format!(
                    "provider `{name}` has a negative price `{what}`: {}",
                    price.value.least().normalize()
                );
                return Err(Mistake::at(price.referenced, message));
            }
        }
        for (what, number, whole) in [
            ("cpu_cores", &has.cpu_cores, true),
            ("cpu_threads", &has.cpu_threads, true),
            ("mem_gib", &has.mem_gib, false),
            ("storage_gib", &has.storage_gib, false),
        ] {
            let Some(number) = number else { continue };
            let least = number.value.least();
            let mistake = number.value.mistake().or_else(|| {
                let ends = number.value.ends();
                if let Some(most) = ends.into_iter().find(|end| *end > MOST_OF_A_MACHINE) {
                    return Some(format!(
                        "`{what}` is {most}; the most is {MOST_OF_A_MACHINE}"
                    ));
                }
                let drawn = matches!(number.value, Drawn::Normal { .. });
                if least <= Decimal::ZERO && !drawn {
                    return Some(format!("`{what}` is {least}; it must be more than 0"));
                }
                (whole && !least.is_integer() && !drawn)
                    .then(|| format!("`{what}` is {least}; it must be a whole number"))
            });
            if let Some(mistake) = mistake {
                let message = format!("provider `{name}`: {mistake}");
                return Err(Mistake::at(number.referenced, message));
            }
        }
        Ok(())
    }
}
