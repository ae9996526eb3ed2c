//! The amount type: GLM as an exact decimal, a JSON string on the wire.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of GLM (or tGLM), exact to 28 significant digits; never a float.
///
/// Written as a plain decimal string; read from a string, plain or scientific, or from a JSON
/// number, as the daemon does (`yagna-rest.md` section 1). Digits beyond the 28th are rounded: yapapi
/// writes a budget of `0.1` with all 55 digits of that float. Equality is numeric: `1.0 == 1.000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glm(Decimal);

/// A text that is not an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseGlmError {
    text: String,
}

impl fmt::Display for ParseGlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an amount of GLM", self.text)
    }
}

impl std::error::Error for ParseGlmError {}

impl Glm {
    /// Nothing.
    pub const ZERO: Glm = Glm(Decimal::ZERO);

    /// Wraps a decimal.
    pub const fn new(amount: Decimal) -> Self {
        Glm(amount)
    }

    /// The decimal inside.
    pub const fn get(self) -> Decimal {
        self.0
    }

    /// Whether the amount is exactly zero.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum, or `None` when it does not fit into 28 digits.
    pub fn checked_add(self, other: Glm) -> Option<Glm> {
        self.0.checked_add(other.0).map(Glm)
    }

    /// The difference, or `None` when it does not fit into 28 digits.
    pub fn checked_sub(self, other: Glm) -> Option<Glm> {
        self.0.checked_sub(other.0).map(Glm)
    }

    /// The same amount without trailing zeros, for people.
    pub fn normalized(self) -> Glm {
        Glm(self.0.normalize())
    }
}

/// Saturates at the largest amount (about 7.9e28): a sum of real amounts cannot come near it.
impl Add for Glm {
    type Output = Glm;
    fn add(self, other: Glm) -> Glm {
        Glm(self.0.saturating_add(other.0))
    }
}

/// Saturates like [`Add`].
impl Sub for Glm {
    type Output = Glm;
    fn sub(self, other: Glm) -> Glm {
        Glm(self.0.saturating_sub(other.0))
    }
}

impl Sum for Glm {
    fn sum<I: Iterator<Item = Glm>>(iter: I) -> Glm {
        iter.fold(Glm::ZERO, Add::add)
    }
}

impl fmt::Display for Glm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Glm {
    type Err = ParseGlmError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once(['e', 'E']) {
            None => Decimal::from_str(text).ok(),
            Some((digits, exponent)) => Decimal::from_scientific(text)
                .ok()
                .or_else(|| rounded(digits, exponent)),
        };
        parsed.map(Glm).ok_or_else(|| ParseGlmError {
            text: text.chars().take(80).collect(),
        })
    }
}

/// A scientific text with more digits than fit: as many as do.
fn rounded(digits: &str, exponent: &str) -> Option<Decimal> {
    let places = exponent.strip_prefix('-')?.parse::<u32>().ok()?;
    let kept = Decimal::MAX_SCALE.checked_sub(places)?;
    let mut amount = Decimal::from_str(digits).ok()?.round_dp(kept);
    amount.set_scale(amount.scale() + places).ok()?;
    Some(amount)
}

impl From<Decimal> for Glm {
    fn from(amount: Decimal) -> Self {
        Glm(amount)
    }
}

impl From<u32> for Glm {
    fn from(amount: u32) -> Self {
        Glm(Decimal::from(amount))
    }
}

impl Serialize for Glm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Glm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount as a decimal string or a number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Glm, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Glm, E> {
                Ok(Glm(Decimal::from(value)))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Glm, E> {
                Ok(Glm(Decimal::from(value)))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Glm, E> {
                // The shortest text that reads back as this float is what the sender wrote.
                value.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_numbers_and_scientific_notation_read_as_the_same_amount() {
        for json in ["\"0.0000001\"", "\"1e-7\"", "0.0000001", "1e-7"] {
            let amount: Glm = serde_json::from_str(json).expect(json);
            assert_eq!(amount, "0.0000001".parse().expect("literal"));
        }
    }

    #[test]
    fn an_amount_is_written_as_the_plain_text_it_was_read_from() {
        let amount: Glm = serde_json::from_str("\"0.000100\"").expect("amount");
        assert_eq!(
            serde_json::to_string(&amount).expect("json"),
            "\"0.000100\""
        );
    }

    #[test]
    fn all_the_digits_of_a_float_are_rounded_to_those_that_fit() {
        for (text, expected) in [
            (
                "0.1000000000000000055511151231257827021181583404541015625",
                "0.1000000000000000055511151231",
            ),
            (
                "0.00001000000000000000081803053914031309545862313382327556610107421875",
                "0.0000100000000000000008180305",
            ),
            (
                "9.99999999999999954748111825886258685613938723690807819366455078125E-8",
                "0.0000000999999999999999954748",
            ),
        ] {
            let amount: Glm = text.parse().expect(text);
            let expected = expected.parse().expect("literal");
            assert!(
                (amount - expected).get().abs() < Decimal::new(1, 25),
                "{amount}"
            );
        }
    }

    #[test]
    fn texts_that_are_no_amounts_are_refused_by_name() {
        for text in ["", "abc", "1.2.3", "1e400", "NaN"] {
            assert!(text.parse::<Glm>().is_err(), "{text}");
        }
    }
}
