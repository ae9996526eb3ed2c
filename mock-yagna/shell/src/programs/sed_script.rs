//! The scripts of `sed`: commands with their addresses, and how they are read. What they do: `sed`.

use regex::bytes::Regex;

use super::regex::compile;

/// One command with its addresses.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) first: Option<Address>,
    pub(super) last: Option<Address>,
    pub(super) negated: bool,
    pub(super) action: Action,
    /// Between its first and its last line.
    pub(super) inside: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

#[derive(Clone, Debug)]
pub(super) enum Action {
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

/// Where the script is read, and why it cannot be.
pub(super) type Trouble = (usize, String);

/// Reads the commands of a script.
///
/// # Errors
/// Where it cannot be read, and why.
pub(super) fn read(script: &str, extended: bool) -> Result<Vec<Edit>, Trouble> {
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
