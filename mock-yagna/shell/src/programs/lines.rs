//! `sort` and `uniq`.

use std::cmp::Ordering;

use super::{Call, Options, Status};

/// A key of `sort`: first and last field, from 1, and its own letters.
#[derive(Clone, Debug, Default)]
struct Key {
    first: usize,
    first_char: usize,
    last: Option<usize>,
    letters: String,
}

impl Call<'_, '_, '_> {
    pub(super) fn lines(&mut self) -> Status {
        if self.name == "sort" {
            self.sort()
        } else {
            self.uniq()
        }
    }

    fn sort(&mut self) -> Status {
        let long = [
            ("reverse", 'r'),
            ("numeric-sort", 'n'),
            ("unique", 'u'),
            ("key", 'k'),
            ("field-separator", 't'),
            ("ignore-case", 'f'),
            ("output", 'o'),
        ];
        let options = self.options("rnufbghscVC", "kto", &long)?;
        let key = match options.value('k').map(|text| (text, key(text))) {
            None => None,
            Some((_, Some(key))) => Some(key),
            Some((text, None)) => {
                let what =
                    format!("invalid number at field start: invalid count at start of '{text}'");
                return Err(self.fail(2, what));
            }
        };
        let (inputs, status) = self.inputs(&options.operands, 2);
        if status != 0 {
            return Err(status);
        }
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for (_, input) in inputs {
            while let Some(mut line) = self.session.next_line(&input) {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                lines.push(line);
            }
        }
        let separator = options.value('t').and_then(|text| text.bytes().next());
        let letters = match &key {
            Some(key) if !key.letters.is_empty() => key.letters.clone(),
            _ => options.flags.clone(),
        };
        let part = |line: &[u8]| match &key {
            Some(key) => field(line, key, separator),
            None => line.to_vec(),
        };
        let mut keyed: Vec<(Vec<u8>, Vec<u8>)> =
            lines.into_iter().map(|line| (part(&line), line)).collect();
        if !self
            .session
            .spend(keyed.iter().map(|(key, _)| key.len() * 4).sum())
        {
            return Ok(1);
        }
        let order = |a: &(Vec<u8>, Vec<u8>), b: &(Vec<u8>, Vec<u8>)| {
            let order = compare(&a.0, &b.0, &letters);
            if letters.contains('r') {
                order.reverse()
            } else {
                order
            }
        };
        if options.has('c') {
            let sorted = keyed.is_sorted_by(|a, b| order(a, b) != Ordering::Greater);
            return Ok(i32::from(!sorted));
        }
        let whole = options.has('u') || options.has('s');
        keyed.sort_by(|a, b| {
            // What is alike is told apart by the whole line.
            let last = if options.has('r') {
                b.1.cmp(&a.1)
            } else {
                a.1.cmp(&b.1)
            };
            order(a, b).then(if whole { Ordering::Equal } else { last })
        });
        if options.has('u') {
            keyed.dedup_by(|a, b| order(a, b) == Ordering::Equal);
        }
        let mut out = Vec::new();
        for (_, line) in keyed {
            out.extend(line);
            out.push(b'\n');
        }
        self.deliver(&options, out)
    }

    fn deliver(&mut self, options: &Options, out: Vec<u8>) -> Status {
        match options.value('o') {
            None => self.out(out),
            Some(path) => {
                if let Err(why) = self.session.write_file(path, out.into()) {
                    return Err(self.fail(2, format_args!("open failed: {path}: {why}")));
                }
            }
        }
        Ok(0)
    }

    fn uniq(&mut self) -> Status {
        let long = [
            ("count", 'c'),
            ("repeated", 'd'),
            ("unique", 'u'),
            ("ignore-case", 'i'),
        ];
        let options = self.options("cdui", "", &long)?;
        let operands = options.operands.iter().take(1).cloned().collect::<Vec<_>>();
        let (inputs, status) = self.inputs(&operands, 1);
        let mut last: Option<(Vec<u8>, usize)> = None;
        for (_, input) in inputs {
            while let Some(mut line) = self.session.next_line(&input) {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                match &mut last {
                    Some((text, count)) if same(text, &line, options.has('i')) => *count += 1,
                    other => {
                        let before = other.replace((line, 1));
                        self.tell(&options, before);
                    }
                }
            }
        }
        self.tell(&options, last);
        Ok(status)
    }

    fn tell(&mut self, options: &Options, group: Option<(Vec<u8>, usize)>) {
        let Some((mut line, count)) = group else {
            return;
        };
        let wanted = (count > 1 || !options.has('d')) && (count == 1 || !options.has('u'));
        if !wanted {
            return;
        }
        if options.has('c') {
            self.out(format!("{count:7} "));
        }
        line.push(b'\n');
        self.out(line);
    }
}

fn same(a: &[u8], b: &[u8], fold: bool) -> bool {
    if fold {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

fn compare(a: &[u8], b: &[u8], letters: &str) -> Ordering {
    let trim = |text: &[u8]| text.trim_ascii_start().to_vec();
    if letters.contains(['n', 'g', 'h']) {
        return number(a).total_cmp(&number(b));
    }
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    if letters.contains('b') {
        (a, b) = (trim(&a), trim(&b));
    }
    if letters.contains('f') {
        (a, b) = (a.to_ascii_uppercase(), b.to_ascii_uppercase());
    }
    if letters.contains('V') {
        return version(&a).cmp(&version(&b));
    }
    a.cmp(&b)
}

/// The number with which a line begins; no number is 0.
fn number(text: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(text.trim_ascii_start()).into_owned();
    let sign = usize::from(text.starts_with('-'));
    let digits = text[sign..].find(|c: char| !c.is_ascii_digit() && c != '.');
    let end = digits.map_or(text.len(), |end| sign + end);
    let value = text[..end].parse::<f64>().unwrap_or(0.0);
    // Both zeros are the same number.
    if value == 0.0 { 0.0 } else { value }
}

/// Digits compare as numbers, the rest as text.
fn version(text: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest
            .iter()
            .position(u8::is_ascii_digit)
            .unwrap_or(rest.len());
        let digits = rest[word..].iter().position(|b| !b.is_ascii_digit());
        let end = digits.map_or(rest.len(), |digits| word + digits);
        let number = String::from_utf8_lossy(&rest[word..end])
            .parse()
            .unwrap_or(0);
        parts.push((rest[..word].to_vec(), number));
        rest = &rest[end..];
    }
    parts
}

/// Reads `2`, `2,3`, `2n,2` or `2.3`.
fn key(text: &str) -> Option<Key> {
    let place = |text: &str| -> Option<(usize, usize, String)> {
        let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        let numbers = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let (field, char) = numbers.split_once('.').unwrap_or((numbers, "1"));
        Some((field.parse().ok()?, char.parse().ok()?, letters))
    };
    let (first, last) = match text.split_once(',') {
        Some((first, last)) => (place(first)?, Some(place(last)?)),
        None => (place(text)?, None),
    };
    let (first, first_char, mut letters) = first;
    let last = last.map(|(field, _, more)| {
        letters += &more;
        field
    });
    (first > 0 && first_char > 0).then_some(Key {
        first,
        first_char,
        last,
        letters,
    })
}

/// The part of a line that a key means.
fn field(line: &[u8], key: &Key, separator: Option<u8>) -> Vec<u8> {
    let mut begins = vec![0];
    let mut ends = Vec::new();
    match separator {
        Some(separator) => {
            for (at, byte) in line.iter().enumerate() {
                if *byte == separator {
                    ends.push(at);
                    begins.push(at + 1);
                }
            }
        }
        None => {
            // Blanks belong to the field that they precede.
            for at in 1..line.len() {
                let blank = |byte: u8| byte == b' ' || byte == b'\t';
                if blank(line[at]) && !blank(line[at - 1]) {
                    ends.push(at);
                    begins.push(at);
                }
            }
        }
    }
    ends.push(line.len());
    let begin = begins
        .get(key.first - 1)
        .map_or(line.len(), |at| *at + key.first_char - 1);
    let end = key
        .last
        .and_then(|last| ends.get(last.saturating_sub(1)).copied());
    let end = end.unwrap_or(line.len());
    line.get(begin.min(end)..end).unwrap_or_default().to_vec()
}
