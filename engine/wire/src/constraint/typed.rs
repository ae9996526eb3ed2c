//! The types a text can be read as: decimals, versions, times. Each has the forms and the order that the
//! daemon's libraries give it.

use std::cmp::Ordering;

use jiff::civil::Date;

/// A decimal number of any length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty: the number is zero.
    digits: String,
    /// The decimal point stands so many digits behind the first.
    point: i128,
}

impl Decimal {
    /// Signs, `_` between digits and an exponent are allowed; infinity is not.
    pub(super) fn read(text: &str) -> Option<Decimal> {
        let (base, exponent) = match text.split_once(['e', 'E']) {
            Some((base, exponent)) => {
                let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
                (base, exponent.parse::<i64>().ok()?)
            }
            None => (text, 0),
        };
        let (before, after) = base.split_once('.').unwrap_or((base, ""));
        let written = format!("{before}{after}");
        // Whatever stands behind the point counts, `_` included.
        let scale = i64::try_from(after.len()).ok()?.checked_sub(exponent)?;
        let (negative, digits) = match written.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, written.strip_prefix('+').unwrap_or(&written)),
        };
        let digit = |c: char| c.is_ascii_digit() || c == '_';
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.chars().all(digit) {
            return None;
        }
        let mut digits = digits.replace('_', "");
        digits.drain(..digits.len() - digits.trim_start_matches('0').len());
        let length = i128::try_from(digits.len()).ok()?;
        digits.truncate(digits.trim_end_matches('0').len());
        Some(Decimal {
            negative: negative && !digits.is_empty(),
            point: if digits.is_empty() {
                0
            } else {
                length - i128::from(scale)
            },
            digits,
        })
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = || (self.point, &self.digits).cmp(&(other.point, &other.digits));
        let signs = self.sign().cmp(&other.sign());
        signs.then_with(|| {
            if self.negative {
                size().reverse()
            } else {
                size()
            }
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A version, `1.2.3-alpha.1`; what it says of its build does not count.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    numbers: [u64; 3],
    /// A release comes after whatever leads to it.
    pre: Pre,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    Of(Vec<Part>),
    Release,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

impl Version {
    pub(super) fn read(text: &str) -> Option<Version> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        if build.is_some_and(|build| !are_parts(build)) {
            return None;
        }
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        if pre.is_some_and(|pre| !are_parts(pre)) {
            return None;
        }
        let mut numbers = core.split('.').map(number);
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let part = |part: &str| match number(part) {
            Some(number) => Part::Number(number),
            None => Part::Text(part.to_owned()),
        };
        numbers.next().is_none().then(|| Version {
            numbers: [major, minor, patch],
            pre: pre.map_or(Pre::Release, |pre| {
                Pre::Of(pre.split('.').map(part).collect())
            }),
        })
    }
}

/// A number without needless zeros.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn are_parts(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(letter))
}

/// A moment: seconds since 1970 and nanoseconds. In a leap second there are more than a thousand million of
/// those.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time {
    seconds: i64,
    nanoseconds: u32,
}

impl Time {
    /// `2020-01-02T03:04:05.678Z`: a blank may stand for the `T`, an offset of hours and minutes for the `Z`.
    /// Digits behind the ninth do not count.
    pub(super) fn read(text: &str) -> Option<Time> {
        let (date, rest) = (text.get(..10)?, text.get(10..)?);
        let date = date.as_bytes();
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else {
            return None;
        };
        let year = i16::try_from(digits(&[*y1, *y2, *y3, *y4])?).ok()?;
        let month = i8::try_from(digits(&[*m1, *m2])?).ok()?;
        let day = i8::try_from(digits(&[*d1, *d2])?).ok()?;
        let date = Date::new(year, month, day).ok()?;
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let (time, mut rest) = (rest.get(..8)?, rest.get(8..)?);
        let [h1, h2, b':', m1, m2, b':', s1, s2] = time.as_bytes() else {
            return None;
        };
        let (hour, minute) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
        let second = digits(&[*s1, *s2])?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut nanoseconds = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let (fraction, after) = fraction.split_at(length);
            let nine: Vec<u8> = fraction.bytes().chain([b'0'; 9]).take(9).collect();
            nanoseconds = digits(&nine).filter(|_| length > 0)?;
            rest = after;
        }
        let offset = match rest {
            "Z" | "z" => 0,
            rest => {
                let east = if rest.starts_with('+') { 1 } else { -1 };
                let rest = rest.strip_prefix(['+', '-', '\u{2212}'])?;
                let [h1, h2, b':', m1, m2] = rest.as_bytes() else {
                    return None;
                };
                let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                east * (i64::from(hours) * 3600 + i64::from(minutes) * 60)
            }
        };
        let days = date.duration_since(Date::constant(1970, 1, 1)).as_secs();
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.min(59));
        Some(Time {
            seconds: days + of_day - offset,
            nanoseconds: nanoseconds + if second == 60 { 1_000_000_000 } else { 0 },
        })
    }
}

/// The number that at most nine digits are.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}
