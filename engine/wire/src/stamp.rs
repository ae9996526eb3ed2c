//! How the daemon prints points in time: so many fractional digits, by field, and always a `Z`.
//!
//! Owns the printing; whatever has an offset and any year is read (`given_time.rs`).
//! The modules are for `#[serde(with)]`.

mod given_time;

use jiff::Timestamp;

pub use given_time::{GivenTime, TimeError};

/// RFC 3339 with exactly `digits` fractional digits (at most nine).
pub fn fixed(at: Timestamp, digits: u8) -> String {
    format!("{at:.*}", usize::from(digits.min(9)))
}

/// RFC 3339 with as many of 0, 3, 6 or 9 fractional digits as the value needs.
pub fn shortest(at: Timestamp) -> String {
    let nanos = at.subsec_nanosecond().unsigned_abs();
    let digits = match nanos {
        0 => 0,
        _ if nanos.is_multiple_of(1_000_000) => 3,
        _ if nanos.is_multiple_of(1000) => 6,
        _ => 9,
    };
    fixed(at, digits)
}

/// Declares a module for `#[serde(with)]`, and one below it for optional members.
macro_rules! format {
    ($(#[$doc:meta])* $name:ident, $print:expr) => {
        $(#[$doc])*
        pub mod $name {
            use jiff::Timestamp;
            use serde::{Deserialize, Deserializer, Serializer};

            /// Writes a time.
            ///
            /// # Errors
            /// When the serializer fails.
            pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
                let print: fn(Timestamp) -> String = $print;
                serializer.serialize_str(&print(*at))
            }

            /// Reads a time with an offset.
            ///
            /// # Errors
            /// When the text is none.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
                crate::stamp::GivenTime::deserialize(deserializer).map(|given| given.at())
            }

            /// The same for an optional member.
            pub mod option {
                use super::{Deserialize, Deserializer, Serializer, Timestamp};

                /// Writes a time, or `null`.
                ///
                /// # Errors
                /// When the serializer fails.
                pub fn serialize<S: Serializer>(
                    at: &Option<Timestamp>,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    match at {
                        Some(at) => super::serialize(at, serializer),
                        None => serializer.serialize_none(),
                    }
                }

                /// Reads a time with an offset, or `null`.
                ///
                /// # Errors
                /// When the text is none.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Option<Timestamp>, D::Error> {
                    let given = Option::<crate::stamp::GivenTime>::deserialize(deserializer)?;
                    Ok(given.map(|given| given.at()))
                }
            }
        }
    };
}

format!(
    /// Three digits, none when they are zero: events of negotiation, issue of documents.
    millis,
    |at| match at.subsec_millisecond() {
        0 => super::fixed(at, 0),
        _ => super::fixed(at, 3),
    }
);
format!(
    /// Six digits: what the daemon's tables keep.
    micros,
    |at| super::fixed(at, 6)
);
format!(
    /// Nine digits: what the daemon stamps itself.
    nanos,
    |at| super::fixed(at, 9)
);
format!(
    /// As many as needed: what somebody else gave.
    given,
    super::shortest
);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_fixed_number_of_digits_is_kept_and_more_are_cut_off() {
        let stamp = at("2026-11-22T01:02:03.1234567Z");
        assert_eq!(fixed(stamp, 9), "2026-11-22T01:02:03.123456700Z");
        assert_eq!(fixed(stamp, 6), "2026-11-22T01:02:03.123456Z");
        assert_eq!(fixed(stamp, 3), "2026-11-22T01:02:03.123Z");
        assert_eq!(
            fixed(at("2026-11-22T01:02:03Z"), 3),
            "2026-11-22T01:02:03.000Z"
        );
    }

    #[test]
    fn a_given_time_has_none_three_six_or_nine_digits() {
        for (given, printed) in [
            ("2026-11-22T01:02:03+00:00", "2026-11-22T01:02:03Z"),
            ("2026-11-22T01:02:03.5Z", "2026-11-22T01:02:03.500Z"),
            ("2026-11-22T01:02:03.1234Z", "2026-11-22T01:02:03.123400Z"),
            (
                "2026-11-22T01:02:03.1234567Z",
                "2026-11-22T01:02:03.123456700Z",
            ),
        ] {
            assert_eq!(shortest(at(given)), printed);
        }
    }
}
