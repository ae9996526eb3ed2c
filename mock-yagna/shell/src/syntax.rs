//! What a script is once it is read: lists of pipelines of commands, made of words.
//!
//! Data only. `parser`, `compound` and `words` make it; `execute`, `command`, `control` and
//! `expand` walk it.

use std::sync::Arc;
use std::sync::OnceLock;

/// Statements in order.
pub(crate) type List = Arc<[Statement]>;

/// Pipelines joined by `&&` and `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) first: Pipeline,
    /// Each with the operator before it.
    pub(crate) rest: Vec<(Joint, Pipeline)>,
    /// Ended with `&`.
    pub(crate) background: bool,
}

/// When a pipeline runs that follows another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    /// `&&`.
    And,
    /// `||`.
    Or,
}

/// Commands of which each reads what the one before wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    /// Began with `!`.
    pub(crate) negated: bool,
    pub(crate) commands: Vec<Command>,
}

/// One command with its redirections in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) action: Action,
    pub(crate) redirects: Vec<Redirect>,
    /// Line of its beginning, from 1: messages name it.
    pub(crate) line: usize,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Assignments and words.
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    /// `{ … }`.
    Group(List),
    /// `( … )`: its variables and its directory stay inside.
    Subshell(List),
    /// `if` and its `elif`s, each with what it does, and `else`.
    If {
        arms: Vec<(List, List)>,
        otherwise: List,
    },
    /// `for NAME in WORDS`; without `in` the positional parameters.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    /// `while`, and `until` with the condition turned round.
    While {
        until: bool,
        condition: List,
        body: List,
    },
    /// `case WORD in …`: each arm with its patterns.
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
    /// `NAME() …`.
    Function { name: String, body: Arc<Command> },
}

/// What happens to one file descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) fd: u32,
    pub(crate) target: Target,
}

/// Where an output goes or an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `<`.
    Read(Word),
    /// `>`, `>|`; and `>>`.
    Write { path: Word, append: bool },
    /// `>&` and `<&`: the number of another descriptor, or `-`.
    Same(Word),
    /// `<<`; the text is known once its lines are read.
    Here(Arc<OnceLock<Word>>),
}

/// One word before it is expanded.
pub(crate) type Word = Vec<Piece>;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it is; unquoted text may be a pattern.
    Text { text: String, quoted: bool },
    /// The value of a parameter, or what is made of it.
    Parameter {
        name: String,
        form: Form,
        quoted: bool,
    },
    /// What a script prints.
    Output { script: List, quoted: bool },
    /// The value of an arithmetic expression.
    Arithmetic { expression: Word, quoted: bool },
}

/// What is made of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `$x`.
    Plain,
    /// `${#x}`.
    Length,
    /// `${x-…}`, `${x=…}`, `${x?…}`, `${x+…}`; `or_empty` with a colon.
    Otherwise {
        sign: char,
        or_empty: bool,
        word: Word,
    },
    /// `${x#…}` and `${x%…}`, or the longest match with the sign doubled.
    Trim {
        sign: char,
        longest: bool,
        pattern: Word,
    },
    /// Something in braces that is not known.
    Bad,
}

/// Why a script could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    #[error("Syntax error: Unterminated quoted string")]
    Quote,
    #[error("Syntax error: \"{0}\" unexpected")]
    Unexpected(String),
    #[error("Syntax error: end of file unexpected")]
    End,
    #[error("{0} (expecting \"{1}\")")]
    Expecting(Box<SyntaxError>, &'static str),
    #[error("Syntax error: Missing '}}'")]
    Brace,
    #[error("Syntax error: Bad for loop variable")]
    ForVariable,
    #[error("Syntax error: Bad function name")]
    FunctionName,
    #[error("Syntax error: too deep")]
    Deep,
}

/// Adds characters to a word that grows.
pub(crate) fn push_text(word: &mut Word, more: &str, quoted: bool) {
    match word.last_mut() {
        Some(Piece::Text { text, quoted: same }) if *same == quoted => text.push_str(more),
        _ => word.push(Piece::Text {
            text: more.to_owned(),
            quoted,
        }),
    }
}

/// Whether `text` can name a variable or a function.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
