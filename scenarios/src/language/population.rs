//! The providers of a scenario: each member of a group by name, with the numbers that it drew.
//!
//! Does not own: what can be drawn (`values`), which groups cannot be (`validate`).

use golem_wire::Glm;
use mock_yagna::{ProviderSpec, Seed};
use rust_decimal::prelude::ToPrimitive;
use serde_saphyr::Spanned;

use super::values::Drawn;
use super::{ProviderGroup, Scenario};

impl Scenario {
    /// The providers, each with what it drew.
    pub(crate) fn draw_providers(&self, seed: Seed) -> Vec<ProviderSpec> {
        let seed = seed.fork("scenario/providers");
        let drawn = |group: &ProviderGroup| {
            let specs: Vec<_> = group.names().map(|name| group.draw(name, seed)).collect();
            specs
        };
        self.providers.iter().flat_map(drawn).collect()
    }
}

impl ProviderGroup {
    /// The names of its members.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> + '_ {
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
        let mut spec = ProviderSpec::new(name);
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
        spec.subnet.clone_from(&self.subnet);
        spec.runtime.clone_from(&self.runtime);
        if let Some(capabilities) = &self.capabilities {
            spec.capabilities.clone_from(capabilities);
        }
        spec.capacity = self
            .capacity
            .as_ref()
            .map_or(spec.capacity, |capacity| capacity.value);
        spec.properties.clone_from(&self.properties);
        spec.behaviour = self.behaviour.clone();
        spec
    }
}
