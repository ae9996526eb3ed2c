//! `sed`: substitution, printing, deletion, and the addresses of lines.

use regex::bytes::{Captures, Regex};

use super::regex::compile;
use super::{Call, Status};

/// One command with its addresses.
#[derive(Clone, Debug)]
struct Edit {
    first: Option<Address>,
    last: Option<Address>,
    negated: bool,
    action: Action,
    /// Between its first and its last line.
    inside: bool,
}

#[derive(Clone, Debug)]
enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

#[derive(Clone, Debug)]
enum Action {
    Substitute {
        regex: Regex,
        with: Vec<u8>,
        all: bool,
        print: bool,
        number: usize,
    },
    Translate(Vec<(char, char)>),
    Print,
    Delete,
    Quit(i32),
    Number,
    Append(String),
    Insert(String),
    Change(String),
}

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

/// Where the script is read, and why it cannot be.
type Trouble = (usize, String);

fn read(script: &str, extended: bool) -> Result<Vec<Edit>, Trouble> {
    let mut reader = Reader {
        chars: script.chars().collect(),
        at: 0,
        extended,
    };
    let mut edits = Vec::new();
    loop {
        while reader.peek().is_some_and(|c| c.is_whitespace() || c == ';') {
            reader.at += 1;
        }
        if reader.peek().is_none() {
            return Ok(edits);
        }
        edits.push(reader.edit()?);
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    extended: bool,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn trouble<T>(&self, why: impl Into<String>) -> Result<T, Trouble> {
        Err((self.at, why.into()))
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
    }

    fn edit(&mut self) -> Result<Edit, Trouble> {
        let first = self.address()?;
        let mut last = None;
        if first.is_some() && self.peek() == Some(',') {
            self.at += 1;
            last = self.address()?;
            if last.is_none() {
                return self.trouble("unexpected `,'");
            }
        }
        self.blanks();
        let negated = self.peek() == Some('!');
        self.at += usize::from(negated);
        self.blanks();
        let Some(command) = self.peek() else {
            return self.trouble("missing command");
        };
        self.at += 1;
        let action = match command {
            's' => self.substitution()?,
            'y' => self.translation()?,
            'p' => Action::Print,
            'd' => Action::Delete,
            '=' => Action::Number,
            'q' => {
                self.blanks();
                Action::Quit(i32::try_from(self.number().unwrap_or(0) & 0xff).unwrap_or(0))
            }
            'a' | 'i' | 'c' => {
                let text = self.line();
                match command {
                    'a' => Action::Append(text),
                    'i' => Action::Insert(text),
                    _ => Action::Change(text),
                }
            }
            other => return self.trouble(format!("unknown command: `{other}'")),
        };
        self.blanks();
        if !matches!(self.peek(), None | Some(';' | '\n' | '#')) {
            self.at += 1;
            return self.trouble("extra characters after command");
        }
        if self.peek() == Some('#') {
            self.line();
        }
        Ok(Edit {
            first,
            last,
            negated,
            action,
            inside: false,
        })
    }

    fn number(&mut self) -> Option<usize> {
        let begin = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars[begin..self.at]
            .iter()
            .collect::<String>()
            .parse()
            .ok()
    }

    fn address(&mut self) -> Result<Option<Address>, Trouble> {
        self.blanks();
        Ok(match self.peek() {
            Some('$') => {
                self.at += 1;
                Some(Address::Last)
            }
            Some('/') => {
                self.at += 1;
                let pattern = self.until('/', "unterminated address regex")?;
                Some(Address::Match(self.regex(&pattern, false)?))
            }
            Some(c) if c.is_ascii_digit() => self.number().map(Address::Line),
            _ => None,
        })
    }

    fn regex(&self, pattern: &str, fold: bool) -> Result<Regex, Trouble> {
        compile(pattern, self.extended, fold).map_err(|why| (self.at, why))
    }

    /// Text up to the delimiter, which a backslash makes part of the text.
    fn until(&mut self, delimiter: char, missing: &str) -> Result<String, Trouble> {
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return self.trouble(missing),
                Some('\\') => {
                    let next = self.chars.get(self.at + 1).copied();
                    if next != Some(delimiter) {
                        text.push('\\');
                    }
                    text.extend(next);
                    self.at = (self.at + 2).min(self.chars.len());
                }
                Some(c) => {
                    self.at += 1;
                    if c == delimiter {
                        return Ok(text);
                    }
                    text.push(c);
                }
            }
        }
    }

    fn delimiter(&mut self, missing: &str) -> Result<char, Trouble> {
        match self.peek() {
            None | Some('\n' | '\\') => self.trouble(missing),
            Some(delimiter) => {
                self.at += 1;
                Ok(delimiter)
            }
        }
    }

    fn substitution(&mut self) -> Result<Action, Trouble> {
        let missing = "unterminated `s' command";
        let delimiter = self.delimiter(missing)?;
        let pattern = self.until(delimiter, missing)?;
        let with = self.until(delimiter, missing)?.into_bytes();
        let (mut all, mut print, mut fold, mut number) = (false, false, false, 1);
        loop {
            match self.peek() {
                Some('g') => all = true,
                Some('p') => print = true,
                Some('i' | 'I') => fold = true,
                Some(c) if c.is_ascii_digit() => {
                    number = self.number().unwrap_or(1);
                    continue;
                }
                Some(c) if c.is_alphabetic() => {
                    self.at += 1;
                    return self.trouble("unknown option to `s'");
                }
                _ => break,
            }
            self.at += 1;
        }
        let regex = self.regex(&pattern, fold)?;
        Ok(Action::Substitute {
            regex,
            with,
            all,
            print,
            number,
        })
    }

    fn translation(&mut self) -> Result<Action, Trouble> {
        let missing = "unterminated `y' command";
        let delimiter = self.delimiter(missing)?;
        let from = self.until(delimiter, missing)?;
        let to = self.until(delimiter, missing)?;
        if from.chars().count() != to.chars().count() {
            return self.trouble("strings for `y' command are different lengths");
        }
        Ok(Action::Translate(from.chars().zip(to.chars()).collect()))
    }

    /// The rest of the line, without the backslash and the line end of the old spelling.
    fn line(&mut self) -> String {
        self.blanks();
        if self.peek() == Some('\\') {
            self.at += 1;
            self.blanks();
            self.at += usize::from(self.peek() == Some('\n'));
        }
        let begin = self.at;
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
        self.chars[begin..self.at].iter().collect()
    }
}
