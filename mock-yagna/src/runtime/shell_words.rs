//! The grammar of the simulated shell: words, quotes, redirections, pipelines, lists, conditions and loops.
//!
//! Reads text into [`Pipeline`]s; does not execute anything. Functions, `case`, here-documents and
//! job control are not known.

/// How deep commands may lie in one another: the reader is recursive.
const DEEPEST: usize = 40;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is; unquoted text may be a pattern.
    Text { text: String, quoted: bool },
    /// The value of a variable, or what stands for a missing one.
    Variable {
        name: String,
        default: Option<String>,
        quoted: bool,
    },
    /// What a script prints.
    Output { script: Vec<Pipeline>, quoted: bool },
    /// The value of an arithmetic expression.
    Arithmetic(String),
}

/// One word before it is expanded.
pub(super) type Word = Vec<Piece>;

/// Where an output goes or an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// `<`.
    Input(Word),
    /// `>` or `>>` of standard output (1) or standard error (2).
    Output { from: u8, append: bool, to: Word },
    /// `2>&1` or `1>&2`.
    Join { from: u8 },
}

/// What a stage of a pipeline does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Assignments and words.
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    /// `{ … }`, and `( … )` whose variables stay inside.
    Group { list: Vec<Pipeline>, inside: bool },
    /// `if` and its `elif`s, each with what it does, and `else`.
    If {
        arms: Vec<(Vec<Pipeline>, Vec<Pipeline>)>,
        otherwise: Vec<Pipeline>,
    },
    /// `for NAME in WORDS`.
    For {
        name: String,
        words: Vec<Word>,
        body: Vec<Pipeline>,
    },
    /// `while`, and `until` with the condition turned round.
    While {
        until: bool,
        condition: Vec<Pipeline>,
        body: Vec<Pipeline>,
    },
}

/// One command with its redirections in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) action: Action,
    pub(super) redirects: Vec<Redirect>,
}

/// When a pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// After `;`.
    Always,
    /// After `&&`.
    Succeeded,
    /// After `||`.
    Failed,
}

/// Commands of which each reads what the one before wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pipeline {
    pub(super) when: When,
    /// Began with `!`.
    pub(super) negated: bool,
    pub(super) commands: Vec<Command>,
    /// Ended with `&`.
    pub(super) background: bool,
}

/// Why a script could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("Syntax error: Unterminated quoted string")]
    Quote,
    #[error("Syntax error: \"{0}\" unexpected")]
    Unexpected(String),
    #[error("Syntax error: end of file unexpected")]
    End,
    #[error("Syntax error: too deep")]
    Deep,
}

/// Words that end a list where a command could begin.
const CLOSING: [&str; 7] = ["then", "else", "elif", "fi", "do", "done", "}"];

/// Longest first, so that `>>` is not read as two `>`.
const REDIRECTS: [&str; 12] = [
    "2>&1", "1>&2", ">&2", ">&1", "2>>", "1>>", "2>", "1>", "<<", ">>", ">", "<",
];

/// Reads a script.
pub(super) fn parse(script: &str) -> Result<Vec<Pipeline>, SyntaxError> {
    let mut reader = Reader {
        chars: script.chars().collect(),
        at: 0,
        depth: 0,
    };
    let list = reader.list()?;
    match reader.peek() {
        None => Ok(list),
        Some(_) => Err(reader.unexpected()),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn starts(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.starts(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// The reserved word here, if one is.
    fn reserved(&self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| {
            let after = self.chars.get(self.at + word.len()).copied();
            self.starts(word) && after.is_none_or(|c| c.is_whitespace() || ";&|()<>".contains(c))
        })
    }

    fn expect_word(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        if self.reserved(&[word]).is_none() {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(())
    }

    fn unexpected(&self) -> SyntaxError {
        match self.peek() {
            None => SyntaxError::End,
            Some('\n') => SyntaxError::Unexpected("newline".into()),
            Some(c) if c.is_alphanumeric() => {
                let word = self.chars[self.at..]
                    .iter()
                    .take_while(|c| c.is_alphanumeric());
                SyntaxError::Unexpected(word.collect())
            }
            Some(_) => {
                let two: String = self.chars[self.at..].iter().take(2).collect();
                let twice = matches!(two.as_str(), "&&" | "||" | ";;" | "<<");
                SyntaxError::Unexpected(if twice {
                    two
                } else {
                    two.chars().take(1).collect()
                })
            }
        }
    }

    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.starts("\\\n") => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn lines(&mut self) {
        self.blanks();
        while self.eat("\n") {
            self.blanks();
        }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == DEEPEST {
            return Err(SyntaxError::Deep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// A list up to the end, a closing parenthesis or a closing word.
    fn list(&mut self) -> Result<Vec<Pipeline>, SyntaxError> {
        let mut pipelines = Vec::new();
        let mut when = When::Always;
        loop {
            self.lines();
            let ends = matches!(self.peek(), None | Some(')')) || self.reserved(&CLOSING).is_some();
            if ends {
                return if when == When::Always {
                    Ok(pipelines)
                } else {
                    Err(self.unexpected())
                };
            }
            let mut pipeline = self.pipeline(when)?;
            when = When::Always;
            self.blanks();
            if self.eat("&&") {
                when = When::Succeeded;
            } else if self.eat("||") {
                when = When::Failed;
            } else if self.eat("&") {
                pipeline.background = true;
            } else if !self.starts(";;") && (self.eat(";") || self.eat("\n")) {
            } else if !matches!(self.peek(), None | Some(')')) {
                return Err(self.unexpected());
            }
            pipelines.push(pipeline);
        }
    }

    /// A list that must not be empty.
    fn body(&mut self) -> Result<Vec<Pipeline>, SyntaxError> {
        let list = self.list()?;
        if list.is_empty() {
            Err(self.unexpected())
        } else {
            Ok(list)
        }
    }

    fn pipeline(&mut self, when: When) -> Result<Pipeline, SyntaxError> {
        let negated = self.reserved(&["!"]).is_some() && self.eat("!");
        let mut commands = Vec::new();
        loop {
            self.blanks();
            commands.push(self.deeper(Self::command)?);
            self.blanks();
            if self.starts("||") || !self.eat("|") {
                return Ok(Pipeline {
                    when,
                    negated,
                    commands,
                    background: false,
                });
            }
            self.lines();
        }
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        let mut redirects = Vec::new();
        let word = self.reserved(&["if", "for", "while", "until", "{", "case", "function"]);
        let action = match word {
            None if self.eat("(") => {
                let list = self.body()?;
                if !self.eat(")") {
                    return Err(self.unexpected());
                }
                Action::Group { list, inside: true }
            }
            None => return self.simple(),
            Some("case" | "function") => return Err(self.unexpected()),
            Some(word) => {
                self.at += word.len();
                self.compound(word)?
            }
        };
        self.blanks();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
            self.blanks();
        }
        Ok(Command { action, redirects })
    }

    fn compound(&mut self, word: &str) -> Result<Action, SyntaxError> {
        match word {
            "{" => {
                let list = self.body()?;
                self.expect_word("}")?;
                Ok(Action::Group {
                    list,
                    inside: false,
                })
            }
            "if" => {
                let mut arms = Vec::new();
                loop {
                    let condition = self.body()?;
                    self.expect_word("then")?;
                    arms.push((condition, self.body()?));
                    if self.reserved(&["elif"]).is_none() {
                        break;
                    }
                    self.expect_word("elif")?;
                }
                let mut otherwise = Vec::new();
                if self.reserved(&["else"]).is_some() {
                    self.expect_word("else")?;
                    otherwise = self.body()?;
                }
                self.expect_word("fi")?;
                Ok(Action::If { arms, otherwise })
            }
            "for" => {
                self.blanks();
                let name = self.name();
                if name.is_empty() {
                    return Err(self.unexpected());
                }
                self.lines();
                self.expect_word("in")?;
                let mut words = Vec::new();
                loop {
                    self.blanks();
                    if self.peek().is_none_or(|c| "\n;&|()<>".contains(c)) {
                        break;
                    }
                    words.push(self.word()?);
                }
                if !self.eat(";") && !self.starts("\n") {
                    return Err(self.unexpected());
                }
                Ok(Action::For {
                    name,
                    words,
                    body: self.loop_body()?,
                })
            }
            _ => {
                let condition = self.body()?;
                let until = word == "until";
                Ok(Action::While {
                    until,
                    condition,
                    body: self.loop_body()?,
                })
            }
        }
    }

    fn loop_body(&mut self) -> Result<Vec<Pipeline>, SyntaxError> {
        self.lines();
        self.expect_word("do")?;
        let body = self.body()?;
        self.expect_word("done")?;
        Ok(body)
    }

    fn simple(&mut self) -> Result<Command, SyntaxError> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if matches!(self.peek(), None | Some('\n' | ';' | '&' | '|' | '(' | ')')) {
                break;
            }
            let word = self.word()?;
            match assignment(&word).filter(|_| words.is_empty()) {
                Some(assignment) => assignments.push(assignment),
                None => words.push(word),
            }
        }
        let empty = assignments.is_empty() && words.is_empty() && redirects.is_empty();
        if empty || self.starts("(") {
            return Err(self.unexpected());
        }
        Ok(Command {
            action: Action::Simple { assignments, words },
            redirects,
        })
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let Some(op) = REDIRECTS.iter().copied().find(|op| self.starts(op)) else {
            return Ok(None);
        };
        if op == "<<" {
            return Err(self.unexpected());
        }
        self.at += op.len();
        if let "2>&1" | "1>&2" | ">&2" | ">&1" = op {
            let from = if op == "2>&1" { 2 } else { 1 };
            // `>&1` sends the output where it goes anyway.
            if op != ">&1" {
                return Ok(Some(Redirect::Join { from }));
            }
            self.blanks();
            return self.redirect();
        }
        self.blanks();
        if matches!(
            self.peek(),
            None | Some('\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')
        ) {
            return Err(self.unexpected());
        }
        let to = self.word()?;
        Ok(Some(if op == "<" {
            Redirect::Input(to)
        } else {
            let from = if op.starts_with('2') { 2 } else { 1 };
            Redirect::Output {
                from,
                append: op.ends_with(">>"),
                to,
            }
        }))
    }

    fn name(&mut self) -> String {
        let begin = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            self.at += 1;
        }
        self.chars[begin..self.at].iter().collect()
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\'' => {
                    self.at += 1;
                    let begin = self.at;
                    while self.peek().ok_or(SyntaxError::Quote)? != '\'' {
                        self.at += 1;
                    }
                    text(&mut word, self.chars[begin..self.at].iter(), true);
                    self.at += 1;
                }
                '"' => {
                    self.at += 1;
                    text(&mut word, [].iter(), true);
                    self.quoted(&mut word)?;
                }
                '\\' => {
                    self.at += 1;
                    text(&mut word, self.peek().iter(), true);
                    self.at = (self.at + 1).min(self.chars.len());
                }
                '$' | '`' => self.dollar(&mut word, false)?,
                c => {
                    self.at += 1;
                    text(&mut word, [c].iter(), false);
                }
            }
        }
        Ok(word)
    }

    fn quoted(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        loop {
            match self.peek().ok_or(SyntaxError::Quote)? {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '\\' => {
                    let c = self
                        .chars
                        .get(self.at + 1)
                        .copied()
                        .ok_or(SyntaxError::Quote)?;
                    self.at += 2;
                    if !matches!(c, '"' | '\\' | '$' | '`') {
                        text(word, ['\\'].iter(), true);
                    }
                    text(word, [c].iter(), true);
                }
                '$' | '`' => self.dollar(word, true)?,
                c => {
                    self.at += 1;
                    text(word, [c].iter(), true);
                }
            }
        }
    }

    /// `$NAME`, `${NAME}`, `${NAME:-default}`, `$?`, `$(…)`, `` `…` ``, `$((…))`; a lone dollar is itself.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Result<(), SyntaxError> {
        if self.eat("`") {
            let begin = self.at;
            while self.peek().ok_or(SyntaxError::Quote)? != '`' {
                self.at += 1;
            }
            let chars = self.chars[begin..self.at].to_vec();
            self.at += 1;
            let mut inner = Reader {
                chars,
                at: 0,
                depth: self.depth,
            };
            let script = inner.deeper(Self::list)?;
            if inner.peek().is_some() {
                return Err(inner.unexpected());
            }
            word.push(Piece::Output { script, quoted });
            return Ok(());
        }
        self.at += 1;
        if self.eat("((") {
            let (begin, mut open) = (self.at, 0_usize);
            while open > 0 || !self.starts("))") {
                match self.peek().ok_or(SyntaxError::End)? {
                    '(' => open += 1,
                    ')' => open = open.saturating_sub(1),
                    _ => {}
                }
                self.at += 1;
            }
            word.push(Piece::Arithmetic(
                self.chars[begin..self.at].iter().collect(),
            ));
            self.at += 2;
            return Ok(());
        }
        if self.eat("(") {
            let script = self.deeper(Self::list)?;
            if !self.eat(")") {
                return Err(self.unexpected());
            }
            word.push(Piece::Output { script, quoted });
            return Ok(());
        }
        let (mut name, mut default) = (String::new(), None);
        if self.eat("{") {
            let begin = self.at;
            while self.peek().ok_or(SyntaxError::End)? != '}' {
                self.at += 1;
            }
            name.extend(&self.chars[begin..self.at]);
            self.at += 1;
            if let Some((plain, value)) = name.clone().split_once(":-") {
                default = Some(value.to_owned());
                name = plain.to_owned();
            }
        } else if let Some(c @ ('?' | '#' | '@' | '*' | '$' | '0'..='9')) = self.peek() {
            self.at += 1;
            name.push(c);
        } else {
            name = self.name();
        }
        if name.is_empty() {
            text(word, ['$'].iter(), quoted);
        } else {
            word.push(Piece::Variable {
                name,
                default,
                quoted,
            });
        }
        Ok(())
    }
}

fn text<'a>(word: &mut Word, more: impl Iterator<Item = &'a char>, quoted: bool) {
    match word.last_mut() {
        Some(Piece::Text { text, quoted: same }) if *same == quoted => text.extend(more),
        _ => word.push(Piece::Text {
            text: more.collect(),
            quoted,
        }),
    }
}

/// `NAME=value` at the beginning of a command.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Piece::Text {
        text,
        quoted: false,
    }) = word.first()
    else {
        return None;
    };
    let (name, value) = text.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| {
        let first = Piece::Text {
            text: value.to_owned(),
            quoted: true,
        };
        (
            name.to_owned(),
            std::iter::once(first)
                .chain(word.iter().skip(1).cloned())
                .collect(),
        )
    })
}
