//! Numbers of a file: exact, or drawn by each provider of a group.

use std::fmt;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// An exact decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                let wrong = |_| E::custom(format!("`{text}` is not a number"));
                text.parse().map(Number).map_err(wrong)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value.into()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value.into()))
            }

            // The shortest text that means this float is what stood in the file.
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                self.visit_str(&value.to_string())
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// A number, or a distribution from which each provider of a group draws its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a number, `{between: [low, high]}` or `{normal: [mean, deviation]}`"
)]
pub enum Drawn {
    /// The same for all.
    Fixed(Number),
    /// Evenly distributed between two numbers.
    Between {
        /// Low and high end.
        between: [Number; 2],
    },
    /// Normally distributed; what would be negative is drawn as zero.
    Normal {
        /// Mean and standard deviation.
        normal: [Number; 2],
    },
}

/// Decimal places of drawn numbers.
const PLACES: u32 = 9;

impl Drawn {
    /// A fixed number.
    pub const fn fixed(number: Decimal) -> Self {
        Drawn::Fixed(Number(number))
    }

    /// The least number that may come out.
    pub fn least(&self) -> Decimal {
        match *self {
            Drawn::Fixed(Number(number))
            | Drawn::Between {
                between: [Number(number), _],
            } => number,
            Drawn::Normal {
                normal: [Number(mean), _],
            } => mean.min(Decimal::ZERO),
        }
    }

    /// The numbers that are written.
    pub fn ends(&self) -> Vec<Decimal> {
        match *self {
            Drawn::Fixed(Number(number)) => vec![number],
            Drawn::Between {
                between: [Number(low), Number(high)],
            } => vec![low, high],
            Drawn::Normal {
                normal: [Number(mean), Number(deviation)],
            } => vec![mean, deviation],
        }
    }

    /// What is wrong with it, if it makes no sense.
    pub fn mistake(&self) -> Option<String> {
        match *self {
            Drawn::Between {
                between: [low, high],
            } if low > high => Some(format!(
                "between {} and {}: the low end is the higher one",
                low.0, high.0
            )),
            Drawn::Normal {
                normal: [_, deviation],
            } if deviation.0 < Decimal::ZERO => Some(format!(
                "a standard deviation of {} is negative",
                deviation.0
            )),
            Drawn::Normal { normal: [mean, _] } if mean.0 < Decimal::ZERO => {
                Some(format!("a mean of {} is negative", mean.0))
            }
            _ => None,
        }
    }

    /// Draws one number.
    pub fn draw(&self, rng: &mut impl Rng) -> Decimal {
        match *self {
            Drawn::Fixed(Number(number)) => number,
            Drawn::Between {
                between: [Number(low), Number(high)],
            } => {
                let part = Decimal::new(rng.random_range(0..=1_000_000_000), PLACES);
                (low + (high - low) * part).round_dp(PLACES).normalize()
            }
            Drawn::Normal {
                normal: [Number(mean), Number(deviation)],
            } => {
                let z: f64 = StandardNormal.sample(rng);
                let z = Decimal::try_from(z).unwrap_or_default();
                (mean + deviation * z)
                    .max(Decimal::ZERO)
                    .round_dp(PLACES)
                    .normalize()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn drawn_numbers_stay_in_their_range_and_repeat_by_seed() {
        let drawn: Drawn = serde_saphyr::from_str("{between: [0.0001, 0.0004]}").expect("valid");
        let draw = |seed| {
            let mut rng = Seed::from_u64(seed).rng();
            (0..50).map(|_| drawn.draw(&mut rng)).collect::<Vec<_>>()
        };
        let (low, high) = (Decimal::new(1, 4), Decimal::new(4, 4));
        assert!(draw(1).iter().all(|number| (low..=high).contains(number)));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
