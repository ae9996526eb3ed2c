//! `cut` and `tr`.

use super::{Call, Options, Status};
use crate::pattern::class_bytes;

/// From and to, both included, from 1.
type Ranges = Vec<(usize, usize)>;

impl Call<'_, '_, '_> {
    pub(super) fn filter(&mut self) -> Status {
        if self.name == "cut" {
            self.cut()
        } else {
            self.translate()
        }
    }

    fn cut(&mut self) -> Status {
        let long = [
            ("delimiter", 'd'),
            ("fields", 'f'),
            ("characters", 'c'),
            ("bytes", 'b'),
            ("only-delimited", 's'),
            ("output-delimiter", 'o'),
        ];
        let options = self.options("s", "dfcbo", &long)?;
        let list = options
            .value('f')
            .or(options.value('c'))
            .or(options.value('b'));
        let Some(list) = list else {
            return Err(self.usage(1, "you must specify a list of bytes, characters, or fields"));
        };
        let Some(ranges) = ranges(list) else {
            return Err(self.usage(1, format!("invalid field value '{list}'")));
        };
        let delimiter = options.value('d').unwrap_or("\t").as_bytes();
        let [delimiter] = delimiter else {
            return Err(self.usage(1, "the delimiter must be a single character"));
        };
        let between = options
            .value('o')
            .map_or(vec![*delimiter], |text| text.as_bytes().to_vec());
        let wanted = |number: usize| ranges.iter().any(|(a, b)| (*a..=*b).contains(&number));
        let (inputs, status) = self.inputs(&options.operands, 1);
        for (_, input) in inputs {
            while let Some(mut line) = self.session.next_line(&input) {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                let mut out = Vec::new();
                if options.value('f').is_none() {
                    let bytes = line.iter().enumerate();
                    out.extend(
                        bytes
                            .filter(|(at, _)| wanted(at + 1))
                            .map(|(_, byte)| *byte),
                    );
                } else if line.contains(delimiter) {
                    let fields = line.split(|byte| byte == delimiter).enumerate();
                    let fields = fields
                        .filter(|(at, _)| wanted(at + 1))
                        .map(|(_, field)| field);
                    out = fields.collect::<Vec<_>>().join(&between[..]);
                } else if options.has('s') {
                    continue;
                } else {
                    out = line;
                }
                out.push(b'\n');
                self.out(out);
            }
        }
        Ok(status)
    }

    fn translate(&mut self) -> Status {
        let long = [
            ("delete", 'd'),
            ("complement", 'c'),
            ("squeeze-repeats", 's'),
        ];
        let options = self.options("dcCst", "", &long)?;
        let complement = options.has('c') || options.has('C');
        let mut sets = Vec::new();
        for text in &options.operands {
            match characters(text) {
                Ok(set) => sets.push(set),
                Err(why) => return Err(self.fail(1, why)),
            }
        }
        let Some(first) = sets.first().cloned() else {
            return Err(self.usage(1, "missing operand"));
        };
        let first: Vec<u8> = if complement {
            (0..=u8::MAX).filter(|byte| !first.contains(byte)).collect()
        } else {
            first
        };
        if sets.len() == 1 && !options.has('d') && !options.has('s') {
            let last = options.operands.last().cloned().unwrap_or_default();
            let what = format!(
                "missing operand after '{last}'\nTwo strings must be given when translating."
            );
            return Err(self.usage(1, what));
        }
        let second = sets.get(1).cloned();
        if second.as_ref().is_some_and(Vec::is_empty) && !options.has('d') {
            return Err(self.fail(1, "when not truncating set1, string2 must be non-empty"));
        }
        let mut table: Vec<Option<u8>> = (0..=u8::MAX).map(Some).collect();
        if options.has('d') {
            for byte in &first {
                table[usize::from(*byte)] = None;
            }
        } else if let Some(second) = second.as_ref().filter(|second| !second.is_empty()) {
            for (at, byte) in first.iter().enumerate() {
                table[usize::from(*byte)] = Some(second[at.min(second.len() - 1)]);
            }
        }
        let squeezed = squeezed(&options, &first, second);
        self.translate_all(&table, &squeezed)
    }

    fn translate_all(&mut self, table: &[Option<u8>], squeezed: &[u8]) -> Status {
        let input = self.session.stdin();
        let mut last = None;
        while let Some(data) = self.session.next_chunk(&input) {
            let mut out = Vec::with_capacity(data.len());
            for byte in data.iter().filter_map(|byte| table[usize::from(*byte)]) {
                if last != Some(byte) || !squeezed.contains(&byte) {
                    out.push(byte);
                }
                last = Some(byte);
            }
            self.out(out);
        }
        Ok(0)
    }
}

/// What `tr` says only once in a row.
fn squeezed(options: &Options, first: &[u8], second: Option<Vec<u8>>) -> Vec<u8> {
    match second {
        _ if !options.has('s') => Vec::new(),
        Some(second) => second,
        None => first.to_vec(),
    }
}

/// Reads `1`, `2-4`, `3-`, `-2`, with commas between.
fn ranges(list: &str) -> Option<Ranges> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
    let parts = list.split(',').map(|part| match part.split_once('-') {
        None => number(part).map(|number| (number, number)),
        Some(("", "")) => None,
        Some(("", last)) => Some((1, number(last)?)),
        Some((first, "")) => Some((number(first)?, usize::MAX)),
        Some((first, last)) => Some((number(first)?, number(last)?)).filter(|(a, b)| a <= b),
    });
    parts.collect()
}

/// The characters of a set such as `a-z\n[:digit:]`.
fn characters(set: &str) -> Result<Vec<u8>, String> {
    let mut plain: Vec<(u8, bool)> = Vec::new();
    let bytes = set.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let Some(&next) = bytes.get(at).filter(|_| byte == b'\\') else {
            plain.push((byte, false));
            continue;
        };
        at += 1;
        let resolved = match next {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'0'..=b'7' => {
                let digits = bytes[at - 1..].iter().take(3);
                let digits: Vec<u8> = digits
                    .take_while(|b| (b'0'..=b'7').contains(*b))
                    .copied()
                    .collect();
                at += digits.len() - 1;
                let value = digits
                    .iter()
                    .fold(0_u32, |v, digit| v * 8 + u32::from(digit - b'0'));
                value.to_le_bytes()[0]
            }
            other => other,
        };
        plain.push((resolved, true));
    }
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(&(first, _)) = plain.get(at) {
        let rest: Vec<u8> = plain[at..].iter().map(|(byte, _)| *byte).collect();
        if rest.starts_with(b"[:")
            && let Some(length) = rest.windows(2).position(|two| two == b":]")
        {
            all.extend(class_bytes(&String::from_utf8_lossy(
                &rest[2..length.max(2)],
            )));
            at += length + 2;
            continue;
        }
        match (plain.get(at + 1), plain.get(at + 2)) {
            (Some((b'-', false)), Some((last, _))) => {
                if first > *last {
                    let (first, last) = (char::from(first), char::from(*last));
                    let why = "is in reverse collating sequence order";
                    return Err(format!(
                        "range-endpoints of '{first}-{last}' are {}",
                        &why[3..]
                    ));
                }
                all.extend(first..=*last);
                at += 3;
            }
            _ => {
                all.push(first);
                at += 1;
            }
        }
    }
    Ok(all)
}
