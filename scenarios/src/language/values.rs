//! Small values of scenario files: durations, drawn numbers, counts.

use std::fmt;
use std::time::Duration;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A duration as people write it: `90s`, `1h 30m`, `250ms`; a bare number means seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Span(#[serde(with = "mock_yagna::duration")] pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_secs();
        let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
        let millis = self.0.subsec_millis();
        match (hours, minutes, seconds, millis) {
            (0, 0, 0, ms) => write!(f, "{ms}ms"),
            (0, 0, s, 0) => write!(f, "{s}s"),
            (0, 0, s, ms) => write!(f, "{s}.{ms:03}s"),
            (0, m, s, _) => write!(f, "{m}m {s:02}s"),
            (h, m, s, _) => write!(f, "{h}h {m:02}m {s:02}s"),
        }
    }
}

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

/// How many of something are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a number, or `{at_least: …}` and/or `{at_most: …}`"
)]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// In a range; open ends are open.
    Range {
        /// At least so many.
        #[serde(default)]
        at_least: Option<u64>,
        /// At most so many.
        #[serde(default)]
        at_most: Option<u64>,
    },
}

impl Count {
    /// Whether `number` is as expected.
    pub fn admits(&self, number: u64) -> bool {
        match *self {
            Count::Exactly(wanted) => number == wanted,
            Count::Range { at_least, at_most } => {
                at_least.is_none_or(|least| number >= least)
                    && at_most.is_none_or(|most| number <= most)
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Count::Exactly(number) => write!(f, "{number}"),
            Count::Range {
                at_least: Some(least),
                at_most: Some(most),
            } => {
                write!(f, "{least} to {most}")
            }
            Count::Range {
                at_least: Some(least),
                at_most: None,
            } => write!(f, "at least {least}"),
            Count::Range {
                at_least: None,
                at_most: Some(most),
            } => write!(f, "at most {most}"),
            Count::Range {
                at_least: None,
                at_most: None,
            } => f.write_str("any number of"),
        }
    }
}

#[cfg(test)]
mod tests {
    use mock_yagna::Seed;

    use super::*;

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

    #[test]
    fn counts_read_as_people_write_them() {
        let count = |text| serde_saphyr::from_str::<Count>(text).expect("valid");
        assert!(count("3").admits(3) && !count("3").admits(4));
        assert!(count("{at_least: 2}").admits(9) && !count("{at_least: 2}").admits(1));
        assert!(!count("{at_least: 2, at_most: 4}").admits(5));
        assert!(serde_saphyr::from_str::<Count>("{atleast: 2}").is_err());
    }

    #[test]
    fn spans_are_shown_as_people_read_them() {
        let shown = |text| {
            serde_saphyr::from_str::<Span>(text)
                .expect("valid")
                .to_string()
        };
        assert_eq!(shown("250ms"), "250ms");
        assert_eq!(shown("90s"), "1m 30s");
        assert_eq!(shown("2h"), "2h 00m 00s");
    }
}
