//! A point in time of any year that somebody else gave and the daemon tells back.
//!
//! Owns: reading it as the daemon does, with its words for what is none, and telling it back unchanged.
//! What our own type cannot hold is kept as text; whoever reckons with it gets the nearest time it can hold.
//! Somebody's strange object is so never unreadable.

use std::fmt;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use super::shortest;

/// Why a text is no point in time, in the daemon's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// A character that does not belong there.
    Invalid,
    /// It ends too early.
    Short,
    /// Something follows.
    Trailing,
    /// There is no such day, hour, year or offset.
    OutOfRange,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeError::Invalid => "input contains invalid characters",
            TimeError::Short => "premature end of input",
            TimeError::Trailing => "trailing input",
            TimeError::OutOfRange => "input is out of range",
        })
    }
}

impl std::error::Error for TimeError {}

/// A point in time with an offset, of the years -262143 to 262142, as somebody gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenTime {
    at: Timestamp,
    /// How the daemon tells it, where `at` does not say the same.
    text: Option<Box<str>>,
}

impl GivenTime {
    /// Reads what the daemon reads: RFC 3339 with spaces between its parts, numbers without leading
    /// zeros, any number of fractional digits, a sign before longer years, `UTC` for an offset.
    ///
    /// # Errors
    /// The daemon's words for anything else.
    pub fn read(text: &str) -> Result<Self, TimeError> {
        let mut reader = Reader(text);
        let given = reader.time()?;
        match reader.0.trim_start() {
            "" => given.ok_or(TimeError::OutOfRange),
            _ => Err(TimeError::Trailing),
        }
    }

    /// The point in time; the nearest one of the calendar of [`Timestamp`], which ends with the year 9999.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl From<Timestamp> for GivenTime {
    fn from(at: Timestamp) -> Self {
        GivenTime { at, text: None }
    }
}

/// As the daemon tells it: in UTC, with as many of 0, 3, 6 or 9 fractional digits as it needs.
impl fmt::Display for GivenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&shortest(self.at)),
        }
    }
}

impl Serialize for GivenTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GivenTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = GivenTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 formatted date and time string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GivenTime, E> {
                GivenTime::read(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TimeVisitor)
    }
}

/// What is left of a text; the steps and their order are those of the daemon's reader.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    /// `None`: the parts are fine, the day is none.
    fn time(&mut self) -> Result<Option<GivenTime>, TimeError> {
        let year = self.year()?;
        self.literal('-')?;
        let month = self.two_digits(1..=12)?;
        self.literal('-')?;
        let day = self.two_digits(1..=31)?;
        match self.0.chars().next() {
            Some('T' | 't' | ' ') => self.0 = &self.0[1..],
            Some(_) => return Err(TimeError::Invalid),
            None => return Err(TimeError::Short),
        }
        let hour = self.two_digits(0..=23)?;
        self.literal(':')?;
        let minute = self.two_digits(0..=59)?;
        self.literal(':')?;
        let second = self.two_digits(0..=60)?;
        let nanos = self.fraction()?;
        self.0 = self.0.trim_start();
        let offset = self.offset()?;
        let is_day = (-262_143..=262_142).contains(&year) && day <= days_in(year, month);
        if !is_day || offset.abs() >= 86_400 {
            return Ok(None);
        }
        let leap = second == 60;
        let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60;
        let seconds = seconds + if leap { 59 } else { second } - offset;
        Ok(Some(given(seconds, nanos, leap)))
    }

    fn year(&mut self) -> Result<i64, TimeError> {
        self.0 = self.0.trim_start();
        let (sign, most) = match self.0.as_bytes().first() {
            Some(b'-') => (-1, usize::MAX),
            Some(b'+') => (1, usize::MAX),
            _ => (1, 4),
        };
        if most > 4 {
            self.0 = &self.0[1..];
        }
        let year = self.number(1, most)?;
        let year = i32::try_from(year).map_err(|_| TimeError::OutOfRange)?;
        Ok(sign * i64::from(year))
    }

    fn two_digits(&mut self, range: std::ops::RangeInclusive<i64>) -> Result<i64, TimeError> {
        self.0 = self.0.trim_start();
        let number = self.number(1, 2)?;
        let is_inside = range.contains(&number);
        is_inside.then_some(number).ok_or(TimeError::OutOfRange)
    }

    /// A character that must be there, with spaces before it.
    fn literal(&mut self, expected: char) -> Result<(), TimeError> {
        self.0 = self.0.trim_start();
        if self.0.is_empty() {
            return Err(TimeError::Short);
        }
        self.0 = self.0.strip_prefix(expected).ok_or(TimeError::Invalid)?;
        Ok(())
    }

    fn number(&mut self, least: usize, most: usize) -> Result<i64, TimeError> {
        if self.0.len() < least {
            return Err(TimeError::Short);
        }
        let digits = self.0.bytes().take(most);
        let digits = digits.take_while(u8::is_ascii_digit).count();
        if digits < least {
            return Err(TimeError::Invalid);
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        number.parse().map_err(|_| TimeError::OutOfRange)
    }

    /// Nanoseconds; what is smaller is dropped.
    fn fraction(&mut self) -> Result<i32, TimeError> {
        let Some(rest) = self.0.strip_prefix('.') else {
            return Ok(0);
        };
        self.0 = rest;
        let digits = rest.bytes().take(9).take_while(u8::is_ascii_digit).count();
        let number = self.number(1, 9)?;
        self.0 = self.0.trim_start_matches(|c: char| c.is_ascii_digit());
        let scale = u32::try_from(9_usize.saturating_sub(digits)).unwrap_or(0);
        Ok(i32::try_from(number * 10_i64.pow(scale)).unwrap_or(0))
    }

    /// Seconds to the east.
    fn offset(&mut self) -> Result<i64, TimeError> {
        if let Some(name) = self.0.get(..3)
            && name.eq_ignore_ascii_case("UTC")
        {
            self.0 = &self.0[3..];
            return Ok(0);
        }
        let mut rest = self.0.chars();
        let sign = match rest.next() {
            Some('Z' | 'z') => {
                self.0 = rest.as_str();
                return Ok(0);
            }
            Some('+') => 1,
            Some('-' | '\u{2212}') => -1,
            Some(_) => return Err(TimeError::Invalid),
            None => return Err(TimeError::Short),
        };
        self.0 = rest.as_str();
        let hours = match self.digits()? {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
                i64::from(tens - b'0') * 10 + i64::from(ones - b'0')
            }
            _ => return Err(TimeError::Invalid),
        };
        self.0 = self
            .0
            .trim_start_matches(|c: char| c == ':' || c.is_whitespace());
        let minutes = match self.digits()? {
            [tens @ b'0'..=b'5', ones @ b'0'..=b'9'] => {
                i64::from(tens - b'0') * 10 + i64::from(ones - b'0')
            }
            [b'6'..=b'9', b'0'..=b'9'] => return Err(TimeError::OutOfRange),
            _ => return Err(TimeError::Invalid),
        };
        Ok(sign * (hours * 3600 + minutes * 60))
    }

    /// The next two bytes, taken if they are digits.
    fn digits(&mut self) -> Result<[u8; 2], TimeError> {
        let Some(pair) = self.0.as_bytes().first_chunk::<2>().copied() else {
            return Err(TimeError::Short);
        };
        if pair.iter().all(u8::is_ascii_digit) {
            self.0 = &self.0[2..];
        }
        Ok(pair)
    }
}

fn given(seconds: i64, nanos: i32, leap: bool) -> GivenTime {
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let exact = Timestamp::new(seconds, nanos).ok();
    if let Some(at) = exact
        && !leap
        && (0..=9999).contains(&year)
    {
        return at.into();
    }
    let at = exact.unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60 + i64::from(leap),
    );
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+05}"),
    };
    let fraction = match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1000 == 0 => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    };
    let text = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z");
    GivenTime {
        at,
        text: Some(text.into()),
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a date of the Gregorian calendar, which here has no beginning.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that a leap day is the last.
    let year = year - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date so many days after 1970 began.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line: a text, and how the daemon told it back, or its words for it.
    const TIMES: &str = include_str!("times.jsonl");

    #[test]
    fn every_time_is_read_told_back_and_refused_as_the_daemon_does() {
        for line in TIMES.lines() {
            let (text, is_time, told): (String, bool, String) =
                serde_json::from_str(line).expect("a line");
            let ours = GivenTime::read(&text);
            let (ok, ours) = match &ours {
                Ok(time) => (true, time.to_string()),
                Err(error) => (false, error.to_string()),
            };
            assert_eq!((ok, ours), (is_time, told), "{text:?}");
        }
        assert!(TIMES.lines().count() > 90);
    }

    #[test]
    fn any_year_is_near_a_time_to_reckon_with() {
        for (text, at) in [
            ("9999-12-31T23:59:59Z", Timestamp::MAX),
            ("+262142-01-01T00:00:00Z", Timestamp::MAX),
            ("-262143-01-01T00:00:00Z", Timestamp::MIN),
        ] {
            assert_eq!(GivenTime::read(text).map(|time| time.at()), Ok(at));
        }
        let json = "\"+10000-01-01T00:00:00Z\"";
        let time: GivenTime = serde_json::from_str(json).expect("a time");
        assert_eq!(serde_json::to_string(&time).expect("json"), json);
    }

    #[test]
    fn days_and_dates_are_each_other_s_way_back() {
        for days in (-96_000_000..96_000_000).step_by(99_991) {
            let (year, month, day) = date(days);
            assert_eq!(days_before(year, month, day), days);
            assert!((1..=days_in(year, month)).contains(&day));
        }
        assert_eq!(date(0), (1970, 1, 1));
    }
}
