//! `printf`: formats, widths, escapes; the format is used again as long as arguments are left.

use super::{Call, Status};
use crate::arithmetic::number;

/// Widest field.
const WIDEST: usize = 4096;

/// One `%` of a format.
#[derive(Debug, Default)]
struct Conversion {
    minus: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl Call<'_, '_, '_> {
    pub(super) fn printf(&mut self) -> Status {
        let mut args = self.args;
        if args.first().is_some_and(|arg| arg == "--") {
            args = &args[1..];
        }
        let Some((format, values)) = args.split_first() else {
            return Err(self.fail(2, "usage: printf format [arg ...]"));
        };
        let (mut next, mut status) = (0, 0);
        loop {
            let begin = next;
            let mut out = Vec::new();
            let goes_on = self.round(format, values, &mut next, &mut out, &mut status);
            self.out(out);
            if !goes_on || next >= values.len() || next == begin || self.session.killed {
                return Ok(status);
            }
        }
    }

    /// The format once; `false` when `\c` ended it.
    fn round(
        &mut self,
        format: &str,
        values: &[String],
        next: &mut usize,
        out: &mut Vec<u8>,
        status: &mut i32,
    ) -> bool {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            if !unescape(&rest[..at], false, out) {
                return false;
            }
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push(b'%');
                rest = after;
                continue;
            }
            let mut take = || {
                let value = values.get(*next).cloned();
                *next += 1;
                value
            };
            let (conversion, after) = read(rest, &mut take);
            let kind = after.chars().next();
            rest = kind.map_or("", |kind| &after[kind.len_utf8()..]);
            let value = take();
            let value_text = value.clone().unwrap_or_default();
            match kind {
                Some('s') => {
                    let wanted = conversion.precision.unwrap_or(usize::MAX);
                    let text = value_text.as_bytes();
                    conversion.pad(&text[..text.len().min(wanted)], out);
                }
                Some('b') => {
                    let mut text = Vec::new();
                    let goes_on = unescape(&value_text, true, &mut text);
                    conversion.pad(&text, out);
                    if !goes_on {
                        return false;
                    }
                }
                Some('c') => {
                    let first = value_text.as_bytes().get(..1).unwrap_or_default().to_vec();
                    conversion.pad(&first, out);
                }
                Some(kind @ ('d' | 'i' | 'u' | 'o' | 'x' | 'X')) => {
                    let value = self.integer(value.as_deref(), status);
                    conversion.integer(kind, value, out);
                }
                Some(kind @ ('f' | 'F' | 'e' | 'E' | 'g' | 'G')) => {
                    let number = value_text.trim().parse::<f64>();
                    if value.is_some() && number.is_err() {
                        *status =
                            self.fail(1, format_args!("{value_text}: expected numeric value"));
                    }
                    conversion.float(kind, number.unwrap_or(0.0), out);
                }
                _ => {
                    let shown = kind.map(String::from).unwrap_or_default();
                    *status = self.fail(2, format_args!("%{shown}: invalid directive"));
                    return false;
                }
            }
        }
        unescape(rest, false, out)
    }

    fn integer(&mut self, value: Option<&str>, status: &mut i32) -> i64 {
        let Some(text) = value.filter(|text| !text.is_empty()) else {
            return 0;
        };
        if let Some(quoted) = text.strip_prefix(['\'', '"']) {
            return quoted.chars().next().map_or(0, |c| i64::from(u32::from(c)));
        }
        number(text).unwrap_or_else(|| {
            let digits = text.trim_start_matches(['-', '+']);
            let digits = digits.len()
                - digits
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .len();
            let sign = usize::from(text.starts_with(['-', '+']));
            let begin = number(&text[..sign + digits]).unwrap_or(0);
            let why = if digits > 0 {
                "not completely converted"
            } else {
                "expected numeric value"
            };
            *status = self.fail(1, format_args!("{text}: {why}"));
            begin
        })
    }
}

/// Reads what stands between `%` and its letter.
fn read<'t>(text: &'t str, take: &mut dyn FnMut() -> Option<String>) -> (Conversion, &'t str) {
    let mut conversion = Conversion::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => conversion.minus = true,
            '0' => conversion.zero = true,
            '+' => conversion.plus = true,
            ' ' => conversion.space = true,
            '#' => conversion.alternate = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let mut amount = |rest: &mut &'t str| -> Option<i64> {
        if let Some(after) = rest.strip_prefix('*') {
            *rest = after;
            return number(&take().unwrap_or_default());
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value = rest[..digits].parse::<i64>().ok();
        *rest = &rest[digits..];
        value
    };
    let width = amount(&mut rest).unwrap_or(0);
    conversion.minus |= width < 0;
    let bounded = |n: i64| {
        usize::try_from(n.unsigned_abs())
            .unwrap_or(WIDEST)
            .min(WIDEST)
    };
    conversion.width = bounded(width);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        conversion.precision = Some(bounded(amount(&mut rest).unwrap_or(0)));
    }
    (conversion, rest)
}

impl Conversion {
    fn pad(&self, text: &[u8], out: &mut Vec<u8>) {
        let blanks = vec![b' '; self.width.saturating_sub(text.len())];
        if self.minus {
            out.extend_from_slice(text);
            out.extend(blanks);
        } else {
            out.extend(blanks);
            out.extend_from_slice(text);
        }
    }

    /// Zeros between sign and digits, if wanted.
    fn number(&self, sign: &str, digits: &str, zeros: bool, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        let zeros = if zeros && !self.minus {
            "0".repeat(missing)
        } else {
            String::new()
        };
        self.pad(format!("{sign}{zeros}{digits}").as_bytes(), out);
    }

    fn integer(&self, kind: char, value: i64, out: &mut Vec<u8>) {
        let unsigned = u64::from_ne_bytes(value.to_ne_bytes());
        let (mut sign, mut digits) = match kind {
            'o' => ("", format!("{unsigned:o}")),
            'x' => ("", format!("{unsigned:x}")),
            'X' => ("", format!("{unsigned:X}")),
            'u' => ("", unsigned.to_string()),
            _ if value < 0 => ("-", value.unsigned_abs().to_string()),
            _ if self.plus => ("+", value.to_string()),
            _ if self.space => (" ", value.to_string()),
            _ => ("", value.to_string()),
        };
        if self.alternate && value != 0 {
            match kind {
                'x' => sign = "0x",
                'X' => sign = "0X",
                'o' => digits.insert(0, '0'),
                _ => {}
            }
        }
        if let Some(precision) = self.precision {
            digits = format!(
                "{}{digits}",
                "0".repeat(precision.saturating_sub(digits.len()))
            );
        }
        self.number(sign, &digits, self.zero && self.precision.is_none(), out);
    }

    fn float(&self, kind: char, value: f64, out: &mut Vec<u8>) {
        let precision = self.precision.unwrap_or(6).min(400);
        let magnitude = value.abs();
        let digits = match kind {
            'e' | 'E' => scientific(magnitude, precision),
            'g' | 'G' => general(magnitude, precision.max(1)),
            _ => format!("{magnitude:.precision$}"),
        };
        let digits = if kind.is_uppercase() {
            digits.to_uppercase()
        } else {
            digits
        };
        let sign = match () {
            () if value.is_sign_negative() => "-",
            () if self.plus => "+",
            () if self.space => " ",
            () => "",
        };
        self.number(sign, &digits, self.zero && value.is_finite(), out);
    }
}

fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

fn general(value: f64, precision: usize) -> String {
    let shown = scientific(value, precision - 1);
    let exponent = shown
        .split_once('e')
        .and_then(|(_, e)| e.parse::<i64>().ok())
        .unwrap_or(0);
    let wanted = i64::try_from(precision).unwrap_or(i64::MAX);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= wanted {
        match shown.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", trim(digits)),
            None => shown,
        }
    } else {
        let decimals = usize::try_from(wanted - 1 - exponent).unwrap_or(0);
        trim(&format!("{value:.decimals$}"))
    }
}

/// Resolves backslashes; `false` when `\c` ended the text. `argument`: octal numbers begin with `\0`.
pub(super) fn unescape(text: &str, argument: bool, out: &mut Vec<u8>) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let Some(&next) = bytes.get(at).filter(|_| byte == b'\\') else {
            out.push(byte);
            continue;
        };
        at += 1;
        match next {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'\\' => out.push(b'\\'),
            b'c' if argument => return false,
            b'"' if !argument => out.push(b'"'),
            b'0'..=b'7' if !argument || next == b'0' => {
                let begin = if argument { at } else { at - 1 };
                let digits = bytes[begin..].iter().take(3);
                let digits: Vec<u8> = digits
                    .take_while(|b| (b'0'..=b'7').contains(*b))
                    .copied()
                    .collect();
                at = begin + digits.len();
                let value = digits
                    .iter()
                    .fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(value.to_le_bytes()[0]);
            }
            other => out.extend([b'\\', other]),
        }
    }
    true
}
