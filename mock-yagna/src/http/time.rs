//! Times in requests: long-poll timeouts, and time stamps with the daemon's words for bad ones.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::de::{self, Deserializer, Visitor};

/// Longest long poll that is taken seriously.
const LONGEST: f64 = 366.0 * 86_400.0;

/// When a poll with this `timeout` ends; negative means at once.
pub(super) fn deadline(now: Timestamp, timeout: Option<f64>, default: f64) -> Timestamp {
    let seconds = timeout.unwrap_or(default);
    let seconds = if seconds.is_nan() {
        0.0
    } else {
        seconds.clamp(0.0, LONGEST)
    };
    now.checked_add(SignedDuration::from_secs_f64(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// Reads a time stamp with an offset.
pub(super) fn stamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    struct StampVisitor;
    impl Visitor<'_> for StampVisitor {
        type Value = Timestamp;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an RFC 3339 formatted date and time string")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
            text.parse().or_else(|_| last_day(text)).map_err(|_| {
                let begun =
                    !text.is_empty() && text.bytes().all(|b| b"0123456789-:.T".contains(&b));
                E::custom(if begun {
                    "premature end of input"
                } else {
                    "input contains invalid characters"
                })
            })
        }
    }
    deserializer.deserialize_str(StampVisitor)
}

/// The last day and hours of the year 9999, which people write for "never": the daemon's calendar has them, ours ends
/// a day before, and that is what they become.
fn last_day(text: &str) -> Result<Timestamp, ()> {
    let (date, offset) = text.split_at_checked(19).ok_or(())?;
    // The day before last is there to be read: with a zone that is behind, too.
    let earlier = date.replacen("9999-12-3", "9999-12-2", 1);
    let is_last = date.starts_with("9999-12-30T") || date.starts_with("9999-12-31T");
    match format!("{earlier}{offset}").parse::<Timestamp>() {
        Ok(_) if is_last => Ok(Timestamp::MAX),
        _ => Err(()),
    }
}

/// The same for a member that may be absent.
pub(super) fn optional_stamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    stamp(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_that_people_write_for_never_is_read() {
        #[derive(serde::Deserialize)]
        struct Of(#[serde(deserialize_with = "stamp")] Timestamp);
        let read = |text: &str| serde_json::from_value::<Of>(text.into()).map(|of| of.0);
        for never in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-30T23:59:59+00:00",
        ] {
            assert_eq!(read(never).ok(), Some(Timestamp::MAX), "{never}");
        }
        for bad in [
            "9999-12-31T24:61:59Z",
            "9999-12-31",
            "9999-12-32T00:00:00Z",
            "9999-12-31T23:59:59",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_timeout_gives_a_deadline() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |timeout| {
            deadline(now, timeout, 5.0)
                .duration_since(now)
                .as_secs_f64()
        };
        assert_eq!(after(None), 5.0);
        assert_eq!(after(Some(1.5)), 1.5);
        for timeout in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(after(Some(timeout)), 0.0);
        }
        assert_eq!(after(Some(f64::INFINITY)), LONGEST);
    }
}
