//! Reads scripts: blanks, lists, pipelines, simple commands, redirections and here-documents.
//!
//! Our own reader rather than a crate's: the published parsers are GPL (`yash-syntax`), abandoned
//! (`conch-parser`), or know no bound of depth, keep process-wide caches and bring some seventy packages
//! (`brush-parser`), while the scripts of images are hostile and must cost neither the stack nor
//! determinism. Compound commands are in `compound`, words in `words`.

mod compound;
mod words;

use std::sync::Arc;
use std::sync::OnceLock;

use crate::syntax::{
    Action, Command, Joint, List, Pipeline, Redirect, Statement, SyntaxError, Target, Word, is_name,
};

/// How deep commands may lie in one another: the reader is recursive.
const DEEPEST: usize = 40;

/// Words that end a list where a command could begin.
const CLOSING: [&str; 8] = ["then", "else", "elif", "fi", "do", "done", "}", "esac"];

/// Characters at which a word ends.
pub(crate) const META: &str = " \t\r\n;&|<>()";

/// Reads a script.
///
/// # Errors
/// The line, from 1, and what is wrong there.
pub(crate) fn parse(script: &str) -> Result<List, (usize, SyntaxError)> {
    let mut reader = Reader::new(script.chars().collect(), 0, 1);
    reader.whole().map_err(|error| (reader.line(), error))
}

/// A script and how far it is read.
pub(crate) struct Reader {
    pub(crate) chars: Vec<char>,
    pub(crate) at: usize,
    pub(crate) depth: usize,
    /// Line of the first character.
    first_line: usize,
    /// Lines before `counted`, so that counting never goes back.
    lines: usize,
    counted: usize,
    /// Here-documents whose text comes after this line.
    pending: Vec<HereDocument>,
}

struct HereDocument {
    end: String,
    raw: bool,
    /// `<<-`: tabs at the beginnings of lines go.
    tabs: bool,
    body: Arc<OnceLock<Word>>,
}

impl Reader {
    pub(crate) fn new(chars: Vec<char>, depth: usize, first_line: usize) -> Reader {
        Reader {
            chars,
            at: 0,
            depth,
            first_line,
            lines: 0,
            counted: 0,
            pending: Vec::new(),
        }
    }

    /// The whole text as a list.
    pub(crate) fn whole(&mut self) -> Result<List, SyntaxError> {
        let list = self.deeper(Self::list)?;
        match self.peek() {
            None => Ok(list),
            Some(_) => Err(self.unexpected()),
        }
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(crate) fn line(&mut self) -> usize {
        let now = self.at.min(self.chars.len());
        if now > self.counted {
            let new = self.chars[self.counted..now].iter();
            self.lines += new.filter(|c| **c == '\n').count();
            self.counted = now;
        }
        self.first_line + self.lines
    }

    pub(crate) fn starts(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    pub(crate) fn eat(&mut self, text: &str) -> bool {
        let found = self.starts(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// The reserved word here, if one is.
    pub(crate) fn reserved(&self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| {
            let after = self.chars.get(self.at + word.len()).copied();
            self.starts(word) && after.is_none_or(|c| META.contains(c))
        })
    }

    pub(crate) fn expect_word(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        if self.reserved(&[word]).is_none() {
            return Err(self.expecting(word));
        }
        self.at += word.len();
        Ok(())
    }

    pub(crate) fn unexpected(&self) -> SyntaxError {
        let plain = |c: &&char| !META.contains(**c);
        match self.peek() {
            None => SyntaxError::End,
            Some('\n') => SyntaxError::Unexpected("newline".into()),
            Some(c) if !META.contains(c) => {
                SyntaxError::Unexpected(self.chars[self.at..].iter().take_while(plain).collect())
            }
            Some(c) => {
                let two = ["&&", "||", ";;", "<<", ">>"];
                let two = two.into_iter().find(|two| self.starts(two));
                SyntaxError::Unexpected(two.map_or_else(|| c.to_string(), str::to_owned))
            }
        }
    }

    pub(crate) fn expecting(&self, what: &'static str) -> SyntaxError {
        SyntaxError::Expecting(Box::new(self.unexpected()), what)
    }

    pub(crate) fn blanks(&mut self) {
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

    /// The end of a line, and the here-documents that begin there.
    fn newline(&mut self) -> Result<bool, SyntaxError> {
        if !self.eat("\n") {
            return Ok(false);
        }
        for document in std::mem::take(&mut self.pending) {
            self.here_document(document)?;
        }
        Ok(true)
    }

    pub(crate) fn newlines(&mut self) -> Result<(), SyntaxError> {
        self.blanks();
        while self.newline()? {
            self.blanks();
        }
        Ok(())
    }

    fn here_document(&mut self, document: HereDocument) -> Result<(), SyntaxError> {
        let mut text = String::new();
        let line = self.line();
        while self.at < self.chars.len() {
            let rest = &self.chars[self.at..];
            let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
            let line: String = rest[..length].iter().collect();
            self.at = (self.at + length + 1).min(self.chars.len());
            let line = if document.tabs {
                line.trim_start_matches('\t')
            } else {
                &line
            };
            if line == document.end {
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        let word = if document.raw {
            let mut word = Word::new();
            crate::syntax::push_text(&mut word, &text, true);
            word
        } else {
            let mut inner = Reader::new(text.chars().collect(), self.depth, line);
            inner.here_text()?
        };
        // Set once: the cell was made for this text.
        drop(document.body.set(word));
        Ok(())
    }

    pub(crate) fn deeper<T>(
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

    /// A list up to the end, a closing parenthesis, a closing word or `;;`.
    pub(crate) fn list(&mut self) -> Result<List, SyntaxError> {
        let mut list = Vec::new();
        loop {
            self.newlines()?;
            let ends = matches!(self.peek(), None | Some(')'))
                || self.starts(";;")
                || self.reserved(&CLOSING).is_some();
            if ends {
                return Ok(list.into());
            }
            let mut statement = self.statement()?;
            self.blanks();
            if self.eat("&") {
                statement.background = true;
            } else if !self.starts(";;") && (self.eat(";") || self.newline()?) {
            } else if !(matches!(self.peek(), None | Some(')')) || self.starts(";;")) {
                return Err(self.unexpected());
            }
            list.push(statement);
        }
    }

    /// A list that must not be empty.
    pub(crate) fn body(&mut self) -> Result<List, SyntaxError> {
        let list = self.list()?;
        if list.is_empty() {
            Err(self.unexpected())
        } else {
            Ok(list)
        }
    }

    fn statement(&mut self) -> Result<Statement, SyntaxError> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let joint = if self.eat("&&") {
                Joint::And
            } else if self.eat("||") {
                Joint::Or
            } else {
                return Ok(Statement {
                    first,
                    rest,
                    background: false,
                });
            };
            self.newlines()?;
            rest.push((joint, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        let negated = self.reserved(&["!"]).is_some() && self.eat("!");
        let mut commands = Vec::new();
        loop {
            self.blanks();
            commands.push(self.deeper(Self::command)?);
            self.blanks();
            if self.starts("||") || !self.eat("|") {
                return Ok(Pipeline { negated, commands });
            }
            self.newlines()?;
        }
    }

    /// Assignments, words and redirections; or a function that begins with its name.
    pub(crate) fn simple(&mut self) -> Result<Command, SyntaxError> {
        let line = self.line();
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if self.starts("(") && words.len() == 1 && assignments.is_empty() {
                return self.function(&words[0], line);
            }
            if matches!(self.peek(), None | Some('\n' | ';' | '&' | '|' | '(' | ')')) {
                break;
            }
            let word = self.word()?;
            match words::assignment(&word).filter(|_| words.is_empty()) {
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
            line,
        })
    }

    pub(crate) fn redirects(&mut self) -> Result<Vec<Redirect>, SyntaxError> {
        let mut redirects = Vec::new();
        self.blanks();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
            self.blanks();
        }
        Ok(redirects)
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let begin = self.at;
        let number = self.peek().and_then(|c| c.to_digit(10));
        if number.is_some() {
            self.at += 1;
        }
        let operators = ["<<-", "<<", "<&", "<>", ">>", ">&", ">|", "<", ">"];
        let Some(operator) = operators.into_iter().find(|op| self.eat(op)) else {
            self.at = begin;
            return Ok(None);
        };
        let fd = number.unwrap_or(u32::from(!operator.starts_with('<')));
        self.blanks();
        if self.peek().is_none_or(|c| META.contains(c)) {
            return Err(self.unexpected());
        }
        let word = self.word()?;
        let target = match operator {
            "<" | "<>" => Target::Read(word),
            "<&" | ">&" => Target::Same(word),
            ">>" => Target::Write {
                path: word,
                append: true,
            },
            ">" | ">|" => Target::Write {
                path: word,
                append: false,
            },
            _ => {
                let body = Arc::new(OnceLock::new());
                self.pending.push(HereDocument {
                    end: words::source(&word),
                    raw: words::has_quotes(&word),
                    tabs: operator == "<<-",
                    body: body.clone(),
                });
                Target::Here(body)
            }
        };
        Ok(Some(Redirect { fd, target }))
    }

    fn function(&mut self, name: &Word, line: usize) -> Result<Command, SyntaxError> {
        self.at += 1;
        self.blanks();
        if !self.eat(")") {
            return Err(self.unexpected());
        }
        let name = words::source(name);
        if !is_name(&name) {
            return Err(SyntaxError::FunctionName);
        }
        self.newlines()?;
        let body = Arc::new(self.deeper(Self::command)?);
        Ok(Command {
            action: Action::Function { name, body },
            redirects: Vec::new(),
            line,
        })
    }
}
