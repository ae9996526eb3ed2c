//! Durations as people write them, the same in all files: see [`FORMS`].

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::Serializer;
use serde::de::{self, Deserializer, Visitor};

/// The forms there are, in words.
pub const FORMS: &str = "`90s`, `250ms`, `1h 30m`, `1.5h`, `1:30:00`, `1d` (24 hours), `2 weeks`, or a number of seconds";

/// The longest one: no clock has to hold more.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The duration, unless it is longer than the longest.
fn bounded(duration: Duration, text: impl fmt::Display) -> Result<Duration, String> {
    if duration <= LONGEST {
        return Ok(duration);
    }
    Err(format!(
        "`{text}` is longer than ten years (87600h), the longest duration"
    ))
}

/// Reads a duration of at most ten years.
///
/// # Errors
/// Why the text is none, in words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let none = |why: &str| Err(format!("`{text}` is not a duration{why}: write {FORMS}"));
    if let Ok(seconds) = text.parse() {
        return bounded(Duration::from_secs(seconds), text);
    }
    let signed = match text.parse::<SignedDuration>() {
        Ok(signed) => signed,
        // Days and weeks are of the calendar there.
        Err(_) => match text.parse::<Span>() {
            Err(_) => return none(""),
            Ok(span) if span.get_years() != 0 || span.get_months() != 0 => {
                return none(", since years and months differ in length");
            }
            Ok(span) => match span.to_duration(SpanRelativeTo::days_are_24_hours()) {
                Ok(signed) => signed,
                Err(_) => return none(", but too long for one"),
            },
        },
    };
    let duration = Duration::try_from(signed).or_else(|_| none(", since it is negative"))?;
    bounded(duration, text)
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a duration: {FORMS}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
        bounded(Duration::from_secs(seconds), seconds).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        let whole = u64::try_from(seconds)
            .map_err(|_| E::custom(format!("`{seconds}` is not a duration: it is negative")))?;
        self.visit_u64(whole)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
        let duration = Duration::try_from_secs_f64(seconds)
            .map_err(|_| E::custom(format!("`{seconds}` is not a duration in seconds")))?;
        bounded(duration, seconds).map_err(E::custom)
    }
}

/// As [`deserialize`] reads it.
pub(crate) fn text(duration: Duration) -> String {
    let signed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    format!("{signed:#}")
}

/// Writes a duration.
///
/// # Errors
/// When the serializer fails.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*value))
}

/// Reads a duration.
///
/// # Errors
/// When the text is none.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(DurationVisitor)
}

/// The same for an optional duration.
pub mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a duration, or nothing.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_str(&super::text(*duration)),
            None => serializer.serialize_none(),
        }
    }

    #[derive(Deserialize)]
    struct Wrapped(#[serde(with = "super")] Duration);

    /// Reads a duration, or nothing.
    ///
    /// # Errors
    /// When the text is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|Wrapped(duration)| duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_form_that_people_write() {
        let hours = |hours: f64| Duration::from_secs_f64(hours * 3600.0);
        for (text, expected) in [
            ("90s", hours(0.025)),
            ("90 sec", hours(0.025)),
            ("90", hours(0.025)),
            ("250ms", Duration::from_millis(250)),
            ("1h 30m", hours(1.5)),
            ("1h30m", hours(1.5)),
            ("1.5h", hours(1.5)),
            ("1:30:00", hours(1.5)),
            ("PT1H", hours(1.0)),
            ("1d", hours(24.0)),
            ("1 day", hours(24.0)),
            ("1d 12h", hours(36.0)),
            ("2 weeks", hours(14.0 * 24.0)),
            ("1w", hours(7.0 * 24.0)),
            ("P1D", hours(24.0)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_the_forms_there_are() {
        for (text, why) in [
            ("soon", "is not a duration: write `90s`"),
            ("", "is not a duration: write"),
            ("-5s", "since it is negative"),
            ("-1d", "since it is negative"),
            ("1 month", "years and months differ in length"),
            ("2y", "years and months differ in length"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                error.contains(why) && error.contains("`1d`"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn nothing_is_too_long_for_a_clock() {
        assert_eq!(parse("87600h"), Ok(LONGEST));
        for text in ["87601h", "1000000 weeks", "999999999999"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("longer than ten years"), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for seconds in [0.25, 90.0, 5400.0, 1_209_600.0] {
            let duration = Duration::from_secs_f64(seconds);
            assert_eq!(parse(&text(duration)), Ok(duration));
        }
    }
}
