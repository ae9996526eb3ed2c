//! The grammar of the simulated shell: words, quotes, redirections, pipelines and lists.
//!
//! Reads text into [`Pipeline`]s; does not execute anything.

use std::iter::Peekable;
use std::str::Chars;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// The value of a variable.
    Variable(String),
}

/// One word before its variables are known.
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

/// One command: assignments, words, redirections in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
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
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(Word),
    Operator(&'static str),
}

/// Longest first, so that `>>` is not read as two `>`.
const OPERATORS: [&str; 15] = [
    "2>&1", "1>&2", "2>>", "1>>", "&&", "||", ">>", ">&2", "2>", "1>", ";", "&", "|", ">", "<",
];

/// Reads a script.
pub(super) fn parse(script: &str) -> Result<Vec<Pipeline>, SyntaxError> {
    let mut pipelines: Vec<Pipeline> = Vec::new();
    let mut when = When::Always;
    let mut commands = Vec::new();
    let mut command = Command::default();
    let mut expect_more = false;
    let mut tokens = tokens(script)?.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => {
                match assignment(&word).filter(|_| command.words.is_empty()) {
                    Some(assignment) => command.assignments.push(assignment),
                    None => command.words.push(word),
                }
                expect_more = false;
            }
            Token::Operator(op @ ("2>&1" | "1>&2" | ">&2")) => {
                command.redirects.push(Redirect::Join { from: if op == "2>&1" { 2 } else { 1 } });
            }
            Token::Operator(op @ (">" | ">>" | "1>" | "1>>" | "2>" | "2>>" | "<")) => {
                let Some(Token::Word(target)) = tokens.next() else { return Err(SyntaxError::End) };
                command.redirects.push(if op == "<" {
                    Redirect::Input(target)
                } else {
                    let from = if op.starts_with('2') { 2 } else { 1 };
                    Redirect::Output { from, append: op.ends_with(">>"), to: target }
                });
            }
            Token::Operator(op) => {
                let done = std::mem::take(&mut command);
                let empty = done == Command::default();
                // Empty lines and a `;` at the end of a line are nothing.
                if empty && !(op == "\n" || op == ";" && commands.is_empty() && when == When::Always) {
                    return Err(SyntaxError::Unexpected(op.into()));
                }
                if empty && expect_more {
                    continue;
                }
                if !empty {
                    commands.push(done);
                }
                if op == "|" {
                    expect_more = true;
                    continue;
                }
                if !commands.is_empty() {
                    let commands = std::mem::take(&mut commands);
                    pipelines.push(Pipeline { when, commands, background: op == "&" });
                }
                when = match op {
                    "&&" => When::Succeeded,
                    "||" => When::Failed,
                    _ => When::Always,
                };
                expect_more = when != When::Always;
            }
        }
    }
    if command != Command::default() {
        commands.push(command);
        expect_more = false;
    }
    if expect_more {
        return Err(SyntaxError::End);
    }
    if !commands.is_empty() {
        pipelines.push(Pipeline { when, commands, background: false });
    }
    Ok(pipelines)
}

/// `NAME=value` at the beginning of a command.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Piece::Text(first)) = word.first() else { return None };
    let (name, value) = first.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| {
        let rest = word.iter().skip(1).cloned();
        (name.to_owned(), std::iter::once(Piece::Text(value.to_owned())).chain(rest).collect())
    })
}

fn tokens(script: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = script;
    loop {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
        rest = &rest[blank..];
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if first == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if first == '\n' {
            tokens.push(Token::Operator("\n"));
            rest = &rest[1..];
        } else if let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            tokens.push(Token::Operator(op));
            rest = &rest[op.len()..];
        } else if let '(' | ')' | '`' = first {
            return Err(SyntaxError::Unexpected(first.into()));
        } else {
            let mut chars = rest.chars().peekable();
            tokens.push(Token::Word(word(&mut chars)?));
            let left: usize = chars.map(char::len_utf8).sum();
            rest = &rest[rest.len() - left..];
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> Result<Word, SyntaxError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' => break,
            '\'' => {
                chars.next();
                loop {
                    match chars.next().ok_or(SyntaxError::Quote)? {
                        '\'' => break,
                        c => text.push(c),
                    }
                }
            }
            '"' => {
                chars.next();
                loop {
                    match chars.peek().copied().ok_or(SyntaxError::Quote)? {
                        '"' => {
                            chars.next();
                            break;
                        }
                        '\\' => {
                            chars.next();
                            let c = chars.next().ok_or(SyntaxError::Quote)?;
                            if !matches!(c, '"' | '\\' | '$' | '`') {
                                text.push('\\');
                            }
                            text.push(c);
                        }
                        '$' => variable(chars, &mut pieces, &mut text)?,
                        c => {
                            chars.next();
                            text.push(c);
                        }
                    }
                }
            }
            '\\' => {
                chars.next();
                text.extend(chars.next());
            }
            '$' => variable(chars, &mut pieces, &mut text)?,
            c => {
                chars.next();
                text.push(c);
            }
        }
    }
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// Reads `$NAME`, `${NAME}`, `$?`, `$1`; a lone dollar is itself.
fn variable(
    chars: &mut Peekable<Chars<'_>>,
    pieces: &mut Word,
    text: &mut String,
) -> Result<(), SyntaxError> {
    chars.next();
    let mut name = String::new();
    match chars.peek().copied() {
        Some('(') => return Err(SyntaxError::Unexpected("(".into())),
        Some('{') => {
            chars.next();
            loop {
                match chars.next().ok_or(SyntaxError::End)? {
                    '}' => break,
                    c => name.push(c),
                }
            }
        }
        Some(c @ ('?' | '#' | '@' | '*' | '$' | '0'..='9')) => {
            chars.next();
            name.push(c);
        }
        _ => {
            while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
            }
        }
    }
    if name.is_empty() {
        text.push('$');
        return Ok(());
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(std::mem::take(text)));
    }
    pieces.push(Piece::Variable(name));
    Ok(())
}
