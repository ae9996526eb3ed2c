//! Small values of scenario files: durations and counts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;

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

impl FromStr for Span {
    type Err = serde::de::value::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text: StrDeserializer<'_, Self::Err> = text.into_deserializer();
        Span::deserialize(text)
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

/// How many of something are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenCount")]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// In a range; open ends are open.
    Range {
        /// At least so many.
        at_least: Option<u64>,
        /// At most so many.
        at_most: Option<u64>,
    },
}

/// A count as it is written.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a number, or `{at_least: …}` and/or `{at_most: …}`"
)]
enum WrittenCount {
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

impl TryFrom<WrittenCount> for Count {
    type Error = String;

    fn try_from(written: WrittenCount) -> Result<Self, String> {
        match written {
            WrittenCount::Exactly(number) => Ok(Count::Exactly(number)),
            WrittenCount::Range {
                at_least: None,
                at_most: None,
            } => Err("a count needs a number, `at_least` or `at_most`".into()),
            WrittenCount::Range {
                at_least: Some(least),
                at_most: Some(most),
            } if least > most => Err(format!(
                "`at_least` is {least}, above `at_most`, which is {most}: no number is both"
            )),
            WrittenCount::Range { at_least, at_most } => Ok(Count::Range { at_least, at_most }),
        }
    }
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
    use super::*;

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
