//! The source of data: a stream of random numbers that stands for a sensor.

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};

/// The mean of the observed values.
pub const MU: f64 = 14.0;
/// Their standard deviation.
pub const SIGMA: f64 = 3.0;

/// Endless draws from N([`MU`], [`SIGMA`]). The same seed gives the same draws.
#[derive(Debug)]
pub struct Observations {
    rng: ChaCha8Rng,
    normal: Normal<f64>,
}

impl Observations {
    /// The stream of a seed.
    pub fn seeded(seed: u64) -> Observations {
        Observations::new(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A stream over a generator that the caller has seeded.
    pub fn new(rng: ChaCha8Rng) -> Observations {
        let normal = Normal::new(MU, SIGMA).expect("the deviation is finite and not negative");
        Observations { rng, normal }
    }
}

impl Iterator for Observations {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        Some(self.normal.sample(&mut self.rng))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Statistics;

    #[test]
    fn draws_have_the_mean_and_the_deviation_of_the_tutorial() {
        let mut statistics = Statistics::default();
        Observations::seeded(1)
            .take(10_000)
            .for_each(|value| statistics.add(value));
        let summary = statistics.summary();
        assert!(
            (summary.mean.unwrap_or_default() - MU).abs() < 0.1,
            "{summary:?}"
        );
        assert!(
            (summary.std_dev.unwrap_or_default() - SIGMA).abs() < 0.1,
            "{summary:?}"
        );
    }

    #[test]
    fn a_seed_fixes_the_draws() {
        let draws = |seed| Observations::seeded(seed).take(5).collect::<Vec<_>>();
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }
}
