//! `sed`: substitution, printing, deletion, and the addresses of lines.

use regex::bytes::{Captures, Regex};

use super::sed_script::{Action, Address, Edit, read};
use super::{Call, Status};

impl Call<'_, '_, '_> {
    pub(super) fn sed(&mut self) -> Status {
        let long = [
            ("quiet", 'n'),
            ("silent", 'n'),
            ("regexp-extended", 'E'),
            ("in-place", 'i'),
            ("expression", 'e'),
        ];
        // Several `-e` are several lines of one script.
        let (mut args, mut scripts) = (Vec::new(), Vec::new());
        let mut given = self.args.iter();
        while let Some(arg) = given.next() {
            match arg.as_str() {
                "-e" | "--expression" => scripts.extend(given.next().cloned()),
                "-ne" => {
                    args.push("-n".to_owned());
                    scripts.extend(given.next().cloned());
                }
                _ => args.push(arg.clone()),
            }
        }
        let mut call = Call {
            session: self.session,
            args: &args,
            ..*self
        };
        let mut options = call.options("nErsi", "", &long)?;
        if scripts.is_empty() {
            if options.operands.is_empty() {
                self.session.complain(
                    "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...",
                );
                return Err(1);
            }
            scripts.push(options.operands.remove(0));
        }
        let extended = options.has('E') || options.has('r');
        let mut edits = match read(&scripts.join("\n"), extended) {
            Ok(edits) => edits,
            Err((at, why)) => {
                let what = format!("-e expression #1, char {at}: {why}");
                return Err(self.fail(1, what));
            }
        };
        let quiet = options.has('n');
        if options.has('i') {
            for path in &options.operands {
                let Some(input) = self.open(path) else {
                    return Err(2);
                };
                let lines = self.session.read_all(&input);
                let (out, _) = edit(&mut edits, lines.split_inclusive(|b| *b == b'\n'), quiet);
                if let Err(why) = self.session.write_file(path, out.into()) {
                    return Err(self.fail(4, format_args!("couldn't open file {path}: {why}")));
                }
            }
            return Ok(0);
        }
        let (inputs, status) = self.inputs(&options.operands, 2);
        let needs_last = edits.iter().any(|edit| {
            let last = |address: &Option<Address>| matches!(address, Some(Address::Last));
            last(&edit.first) || last(&edit.last)
        });
        let mut number = 0;
        for (_, input) in inputs {
            if needs_last {
                let lines = self.session.read_all(&input);
                let (out, code) = edit(&mut edits, lines.split_inclusive(|b| *b == b'\n'), quiet);
                self.out(out);
                if let Some(code) = code {
                    return Ok(code);
                }
                continue;
            }
            while let Some(line) = self.session.next_line(&input) {
                number += 1;
                let mut out = Vec::new();
                let code = edit_line(&mut edits, &line, number, false, quiet, &mut out);
                self.out(out);
                if let Some(code) = code {
                    return Ok(code);
                }
            }
        }
        Ok(status)
    }
}

fn edit<'t>(
    edits: &mut [Edit],
    lines: impl Iterator<Item = &'t [u8]>,
    quiet: bool,
) -> (Vec<u8>, Option<i32>) {
    let (mut out, mut lines) = (Vec::new(), lines.enumerate().peekable());
    while let Some((index, line)) = lines.next() {
        let last = lines.peek().is_none();
        if let Some(code) = edit_line(edits, line, index + 1, last, quiet, &mut out) {
            return (out, Some(code));
        }
    }
    (out, None)
}

/// Runs all commands on one line; the exit code if one of them quits.
fn edit_line(
    edits: &mut [Edit],
    line: &[u8],
    number: usize,
    last: bool,
    quiet: bool,
    out: &mut Vec<u8>,
) -> Option<i32> {
    let (text, end) = match line.strip_suffix(b"\n") {
        Some(text) => (text, &b"\n"[..]),
        None => (line, &b""[..]),
    };
    let mut text = text.to_vec();
    let (mut after, mut shown, mut quits) = (Vec::new(), !quiet, None);
    for edit in edits {
        if !edit.selects(&text, number, last) {
            continue;
        }
        match &edit.action {
            Action::Substitute {
                regex,
                with,
                all,
                print,
                number,
            } => {
                let (replaced, changed) = substitute(regex, &text, with, *number, *all);
                text = replaced;
                if changed && *print {
                    out.extend([&text, end].concat());
                }
            }
            Action::Translate(table) => {
                let plain = String::from_utf8_lossy(&text).into_owned();
                let of = |c: char| {
                    table
                        .iter()
                        .find(|(from, _)| *from == c)
                        .map_or(c, |(_, to)| *to)
                };
                text = plain.chars().map(of).collect::<String>().into_bytes();
            }
            Action::Print => out.extend([&text, end].concat()),
            Action::Delete => {
                shown = false;
                break;
            }
            Action::Quit(code) => {
                quits = Some(*code);
                break;
            }
            Action::Number => out.extend(format!("{number}\n").into_bytes()),
            Action::Append(more) => after.extend(format!("{more}\n").into_bytes()),
            Action::Insert(more) => out.extend(format!("{more}\n").into_bytes()),
            Action::Change(more) => {
                if edit.last.is_none() || !edit.inside {
                    out.extend(format!("{more}\n").into_bytes());
                }
                shown = false;
                break;
            }
        }
    }
    if shown {
        out.extend([&text, end].concat());
    }
    out.extend(after);
    quits
}

impl Edit {
    fn selects(&mut self, text: &[u8], number: usize, last: bool) -> bool {
        let at = |address: &Address| match address {
            Address::Line(line) => *line == number,
            Address::Last => last,
            Address::Match(regex) => regex.is_match(text),
        };
        let selected = match (&self.first, &self.last) {
            (None, _) => true,
            (Some(first), None) => at(first),
            (Some(_), Some(end)) if self.inside => {
                let over = match end {
                    Address::Line(line) => *line <= number,
                    other => at(other),
                };
                self.inside = !over;
                !matches!(end, Address::Line(line) if *line < number)
            }
            (Some(first), Some(end)) => {
                let begins = at(first);
                self.inside = begins && !matches!(end, Address::Line(line) if *line <= number);
                begins
            }
        };
        selected != self.negated
    }
}

/// Replaces the match number `from` (from 1), and those after it with `all`.
fn substitute(regex: &Regex, text: &[u8], with: &[u8], from: usize, all: bool) -> (Vec<u8>, bool) {
    let (mut out, mut at, mut changed) = (Vec::new(), 0, false);
    for (index, found) in regex.captures_iter(text).enumerate() {
        let Some(whole) = found.get(0).filter(|_| index + 1 >= from) else {
            continue;
        };
        out.extend_from_slice(&text[at..whole.start()]);
        replacement(with, &found, &mut out);
        at = whole.end();
        changed = true;
        if !all {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
    (out, changed)
}

fn replacement(with: &[u8], found: &Captures<'_>, out: &mut Vec<u8>) {
    let mut bytes = with.iter();
    while let Some(&byte) = bytes.next() {
        let group = match byte {
            b'&' => Some(0),
            b'\\' => match bytes.next() {
                Some(digit) if digit.is_ascii_digit() => Some(usize::from(digit - b'0')),
                Some(b'n') => {
                    out.push(b'\n');
                    None
                }
                Some(b't') => {
                    out.push(b'\t');
                    None
                }
                Some(other) => {
                    out.push(*other);
                    None
                }
                None => None,
            },
            byte => {
                out.push(byte);
                None
            }
        };
        if let Some(part) = group.and_then(|group| found.get(group)) {
            out.extend_from_slice(part.as_bytes());
        }
    }
}
