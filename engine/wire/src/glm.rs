//! The amount type: GLM as an exact decimal, a JSON string on the wire.

mod given_amount;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use given_amount::GivenAmount;

/// An amount of GLM (or tGLM), exact to 28 significant digits; never a float.
///
/// Written as a plain decimal string; read from a string, plain or scientific, or from a JSON
/// number, as the daemon does (`yagna-rest.md` section 1). Digits beyond the 28th are rounded: yapapi
/// writes a budget of `0.1` with all 55 digits of that float. An amount beyond the largest, about 7.9e28, is
/// the largest: whatever the daemon tells can be read ([`GivenAmount`] tells it back).
/// Equality is numeric: `1.0 == 1.000`.
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

/// Why a text is not an amount, in the daemon's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoAmount {
    /// There is nothing.
    Empty,
    /// There is a sign, a point or an exponent without digits.
    NoDigits,
    /// A character that is no digit.
    NoDigit,
    /// An exponent that no amount has.
    TooLarge,
}

impl fmt::Display for NoAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoAmount::Empty => "Failed to parse empty string",
            NoAmount::NoDigits => "cannot parse integer from empty string",
            NoAmount::NoDigit => "invalid digit found in string",
            NoAmount::TooLarge => "number too large to fit in target type",
        })
    }
}

impl Glm {
    /// Nothing.
    pub const ZERO: Glm = Glm(Decimal::ZERO);
    /// The largest amount that is reckoned with, some 7.9e28 GLM.
    pub const MAX: Glm = Glm(Decimal::MAX);

    /// Why the daemon takes a text for no amount, in its words; `None` for an amount.
    pub fn refusal(text: &str) -> Option<String> {
        Digits::read(text)
            .err()
            .map(|no_amount| no_amount.to_string())
    }

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
        if let Some(amount) = plain(text) {
            return Ok(Glm(amount));
        }
        let digits = Digits::read(text).map_err(|_| ParseGlmError {
            text: text.chars().take(80).collect(),
        })?;
        Ok(digits.nearest())
    }
}

/// The amount, where it is written as most are, with digits around one point, and fits: prices are read with every offer.
fn plain(text: &str) -> Option<Decimal> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = text.len() <= 28 && digits(whole) && digits(part);
    fits.then(|| Decimal::from_str(text).ok()).flatten()
}

/// Exponents beyond are no amounts: each would be a text of so many digits.
const MAX_EXPONENT: i64 = 10_000;

/// An amount as its digits and where the point is, however many there are.
struct Digits {
    negative: bool,
    /// Without leading zeros; nothing for zero.
    digits: String,
    /// How many of them come after the point; negative: so many zeros follow.
    scale: i64,
}

impl Digits {
    /// Reads what the daemon reads: signs, underscores, exponents, a point before or after all digits.
    fn read(text: &str) -> Result<Self, NoAmount> {
        let (base, exponent) = match text.split_once(['e', 'E']) {
            Some((base, exponent)) => (base, Self::exponent(exponent)?),
            None => (text, 0),
        };
        if base.is_empty() {
            return Err(NoAmount::Empty);
        }
        let (whole, part) = base.split_once('.').unwrap_or((base, ""));
        let joined = [whole, part].concat();
        let negative = joined.starts_with('-');
        let unsigned = joined.strip_prefix(['-', '+']).unwrap_or(&joined);
        if unsigned.is_empty() {
            return Err(NoAmount::NoDigits);
        }
        if unsigned.starts_with('_') || !unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
            return Err(NoAmount::NoDigit);
        }
        let digits = unsigned.replace('_', "");
        let digits = digits.trim_start_matches('0').to_owned();
        let scale = i64::try_from(part.len()).map_err(|_| NoAmount::TooLarge)? - exponent;
        let is_zero = digits.is_empty();
        Ok(Digits {
            negative: negative && !is_zero,
            digits,
            scale,
        })
    }

    fn exponent(text: &str) -> Result<i64, NoAmount> {
        let text = text.strip_prefix('+').unwrap_or(text);
        if text.is_empty() {
            return Err(NoAmount::NoDigits);
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NoAmount::NoDigit);
        }
        let exponent = text.parse::<i64>().ok();
        exponent
            .filter(|exponent| exponent.abs() <= MAX_EXPONENT)
            .ok_or(NoAmount::TooLarge)
    }

    /// All digits, without an exponent.
    fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let digits = if self.digits.is_empty() {
            "0"
        } else {
            &self.digits
        };
        if self.scale <= 0 {
            let more = if self.digits.is_empty() {
                0
            } else {
                -self.scale
            };
            return format!("{sign}{digits}{}", zeros(more));
        }
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let padded = format!("{}{digits}", zeros(self.scale + 1 - length));
        let point = padded.len() - usize::try_from(self.scale).unwrap_or(0);
        let (whole, part) = padded.split_at(point);
        format!("{sign}{whole}.{part}")
    }

    /// The nearest amount there is: beyond the largest it is the largest.
    fn nearest(&self) -> Glm {
        let length = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        let amount = if length - self.scale > 29 {
            Decimal::MAX
        } else {
            // Digits that do not fit are rounded there.
            let plain = self.plain();
            let unsigned = plain.trim_start_matches('-');
            Decimal::from_str(unsigned).unwrap_or(Decimal::MAX)
        };
        Glm(if self.negative { -amount } else { amount })
    }
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

/// Reads an amount as the daemon does: text with all its digits, whole numbers, and others as floats, to
/// sixteen digits. Its words are the daemon's, too.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GivenAmount, D::Error> {
    struct AmountVisitor;
    impl Visitor<'_> for AmountVisitor {
        type Value = GivenAmount;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or formatted decimal string")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<GivenAmount, E> {
            let digits = Digits::read(text).map_err(E::custom)?;
            Ok(GivenAmount::exact(digits.nearest(), digits.plain()))
        }
        fn visit_u64<E: de::Error>(self, value: u64) -> Result<GivenAmount, E> {
            Ok(Glm(Decimal::from(value)).into())
        }
        fn visit_i64<E: de::Error>(self, value: i64) -> Result<GivenAmount, E> {
            Ok(Glm(Decimal::from(value)).into())
        }
        fn visit_f64<E: de::Error>(self, value: f64) -> Result<GivenAmount, E> {
            self.visit_str(&format!("{value:.15e}"))
        }
    }
    deserializer.deserialize_any(AmountVisitor)
}

impl<'de> Deserialize<'de> for Glm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Glm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or formatted decimal string")
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
        for text in ["", "abc", "1.2.3", "1e99999", "NaN"] {
            assert!(text.parse::<Glm>().is_err(), "{text}");
        }
    }

    /// Each line: what was sent, whether it is an amount, and how the daemon told it back, or its words.
    const AMOUNTS: &str = include_str!("glm/amounts.jsonl");

    #[test]
    fn every_amount_is_read_told_back_and_refused_as_the_daemon_does() {
        for line in AMOUNTS.lines() {
            let (sent, is_amount, told): (String, bool, String) =
                serde_json::from_str(line).expect("a line");
            let ours = serde_json::from_str::<GivenAmount>(&sent);
            let (ok, ours) = match &ours {
                Ok(amount) => (true, amount.to_string()),
                Err(error) => (false, error.to_string()),
            };
            let ours = ours.split(" at line").next().unwrap_or_default();
            assert_eq!((ok, ours), (is_amount, told.as_str()), "{sent}");
        }
        assert!(AMOUNTS.lines().count() > 80);
    }

    proptest::proptest! {
        #[test]
        fn what_is_plain_is_read_as_all_else_is(text in "[0-9]{0,20}(\\.[0-9]{0,12})?") {
            if let Some(amount) = plain(&text) {
                let read = Digits::read(&text).expect("an amount").nearest().get();
                proptest::prop_assert_eq!(amount, read);
                proptest::prop_assert_eq!(amount.scale(), read.scale());
            }
        }
    }

    #[test]
    fn an_amount_beyond_all_others_is_the_largest_to_reckon_with() {
        for (text, nearest) in [
            ("1e400", Decimal::MAX),
            ("-1e400", Decimal::MIN),
            ("79228162514264337593543950336", Decimal::MAX),
            ("1e-400", Decimal::ZERO),
        ] {
            let amount: Glm = text.parse().expect(text);
            assert_eq!(amount.get(), nearest, "{text}");
        }
    }
}
