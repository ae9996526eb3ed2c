//! Making many different providers from one seed.

use golem_wire::Glm;
use rand::RngExt;
use rust_decimal::Decimal;

use crate::config::{Prices, ProviderSpec, Resources};
use crate::rng::Seed;

impl ProviderSpec {
    /// `count` well-behaved providers, `provider-1` and so on, with differing prices and resources.
    /// The first `n` of a larger fleet of the same seed are the fleet of `n`.
    pub fn fleet(count: usize, seed: Seed) -> Vec<ProviderSpec> {
        (1..=count).map(|number| member(number, seed)).collect()
    }
}

fn member(number: usize, seed: Seed) -> ProviderSpec {
    let name = format!("provider-{number}");
    let mut rng = seed.fork(&format!("fleet/{name}")).rng();
    // Whole millionths, so that prices stay short and exact.
    let mut price = |range: std::ops::RangeInclusive<i64>| {
        Glm::new(Decimal::new(rng.random_range(range), 6).normalize())
    };
    let prices = Prices {
        start: price(0..=500),
        cpu_sec: price(20..=200),
        duration_sec: price(5..=100),
    };
    let cores = [2, 4, 8, 16][rng.random_range(0..4)];
    let resources = Resources {
        cpu_cores: cores,
        cpu_threads: cores * 2,
        mem_gib: f64::from(cores) * 2.0,
        storage_gib: [20.0, 50.0, 100.0, 200.0][rng.random_range(0..4)],
    };
    ProviderSpec {
        prices,
        resources,
        ..ProviderSpec::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_fleet_begins_with_the_smaller_one_and_its_members_differ() {
        let seed = Seed::from_u64(3);
        let fleet = ProviderSpec::fleet(20, seed);
        assert_eq!(fleet[..5], ProviderSpec::fleet(5, seed)[..]);
        assert!(
            fleet
                .windows(2)
                .any(|pair| pair[0].prices != pair[1].prices)
        );
        assert!(fleet.iter().all(|spec| spec.resources.mem_gib >= 4.0));
    }
}
