//! A mistake in a YAML file: where it is, what is there and what is expected, in words about the file.
//!
//! Owns the one translation of the parser's errors, and reading a file as text. Does not own: finding the
//! place in the file (`place`), what its types are called (`words`). Used by network files and by scenario
//! files.

mod place;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location};

use self::place::{Before, Found, Place, Tree};
use self::words::{expected, plain};
use crate::suggest::{hint, nearest};

/// What is wrong at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct Mistake {
    /// Line, from 1; 0 when the mistake has no place.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong there.
    pub message: String,
    /// Whether the file may not be meant for its reader at all: it has not even the shape.
    pub is_foreign: bool,
}

/// Why there is no text to read.
#[derive(Debug)]
pub enum Unread {
    /// The system does not give it.
    Unreadable(io::Error),
    /// It is no text.
    NoText(Mistake),
}

/// Reads a file as text, at most so many bytes of it.
///
/// # Errors
/// When it cannot be read, is larger, or is no text in UTF-8.
pub fn text(path: &Path, most: u64) -> Result<String, Unread> {
    let mut bytes = Vec::new();
    // A device or a pipe has no size to ask for.
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(Unread::Unreadable)?;
    if bytes.len() as u64 > most {
        let message = format!("it is larger than {most} bytes, the most that is read");
        return Err(Unread::Unreadable(io::Error::other(message)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let whole = error.utf8_error().valid_up_to();
        let (before, after) = error.as_bytes().split_at(whole);
        let lines = before.split(|byte| *byte == b'\n');
        let last = lines.clone().next_back().unwrap_or_default();
        let encoding = match error.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16",
            _ => "it looks like Latin-1 or another encoding of one byte",
        };
        let byte = after.first().copied().unwrap_or_default();
        Unread::NoText(Mistake {
            line: lines.count() as u64,
            column: String::from_utf8_lossy(last).chars().count() as u64 + 1,
            message: format!(
                "this is no text in UTF-8: the byte {byte:#04x} is not ({encoding}); save the file as UTF-8"
            ),
            is_foreign: true,
        })
    })
}

/// Reads a YAML file.
///
/// # Errors
/// The first mistake in it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    if is_blank(text) {
        return Err(Mistake {
            line: 1,
            column: 1,
            message: "the file is empty".into(),
            is_foreign: true,
        });
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Mistake::of(&error, text))
}

impl Mistake {
    /// A mistake at a place that the parser told.
    pub fn at(place: Location, message: impl Into<String>) -> Self {
        Mistake {
            line: place.line(),
            column: place.column(),
            message: message.into(),
            is_foreign: false,
        }
    }

    fn of(error: &Error, text: &str) -> Self {
        let error = error.without_snippet();
        let error = match error {
            Error::AliasError { error, .. } => error.without_snippet(),
            other => other,
        };
        let at = error.location().unwrap_or(Location::UNKNOWN);
        match Tree::read(text) {
            Ok(tree) => {
                let place = tree.find(at, text);
                let (message, is_foreign) = told(error, Some(&place), Some(&tree));
                Mistake {
                    is_foreign,
                    ..Mistake::at(at, message)
                }
            }
            // It is no YAML, whatever was read of it before.
            Err(broken) => {
                let broken = broken.without_snippet();
                let at = broken
                    .location()
                    .filter(|at| *at != Location::UNKNOWN)
                    .unwrap_or(at);
                let (message, _) = told(broken, None, None);
                Mistake {
                    is_foreign: true,
                    ..Mistake::at(at, message)
                }
            }
        }
    }
}

/// Whether nothing is written in it.
fn is_blank(text: &str) -> bool {
    let written = |line: &&str| {
        let line = line.trim().trim_start_matches('\u{feff}');
        !line.is_empty() && !line.starts_with('#') && line != "---" && line != "..."
    };
    !text.lines().any(|line| written(&line))
}

/// The words for an error, and whether the file has not even the shape that is expected.
fn told(error: &Error, place: Option<&Place>, tree: Option<&Tree>) -> (String, bool) {
    let inside = place.and_then(Place::parent);
    let of = |path: &Option<String>| {
        path.as_ref()
            .map_or(String::new(), |p| format!(" in `{p}`"))
    };
    let foreign = |message: String| (message, true);
    if let Some(place) = place
        && let Some(before) = place.lacks_a_value(error)
    {
        let Before { path, word } = before;
        let message = format!("`{path}` is `{word}`, which needs a value: write `{{{word}: …}}`");
        return (message, false);
    }
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let of = of(&inside);
            let message = match nearest(field, expected.iter().copied()) {
                Some(name) => format!("unknown key `{field}`{of}; did you mean `{name}`?"),
                None => format!("unknown key `{field}`{of}; there are: {}", expected.join(", ")),
            };
            (message, false)
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            let hint = hint(variant, expected.iter().copied());
            let message = match place {
                // A value that is a name, or a key that says which of several is meant.
                Some(place) if !place.is_key && matches!(place.found, Found::Scalar(_)) => format!("{}{hint}", place.subject("unknown value")),
                _ => format!("unknown key `{variant}`{}{hint}", of(&inside)),
            };
            (message, false)
        }
        Error::SerdeMissingField { field, .. } => {
            // The parser tells the last of the keys that are there.
            let in_what = place.and_then(|place| match place.found {
                _ if place.is_key => place.parent(),
                Found::Pairs => place.path.clone(),
                _ => place.outer(),
            });
            (format!("the key `{field}` is missing{}", of(&in_what)), false)
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            let first = place.zip(tree).and_then(|(place, tree)| tree.first(place));
            let first = first.map_or(String::new(), |line| format!("; the first is in line {line}"));
            (
                format!("the key `{key}` is written twice{}{first}", of(&inside)),
                false,
            )
        }
        Error::MultipleDocuments { .. } => {
            foreign("a second document begins here; one is expected".into())
        }
        Error::Eof { .. } => foreign("the file ends before what was begun is complete".into()),
        Error::UnknownAnchor { .. } => (
            "this alias (`*name`) has no anchor (`&name`) before it".into(),
            false,
        ),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. }
        | Error::Budget { .. } => (
            "the file says too much by its aliases (`*name`), or is nested too deeply; write it out, or shorter"
                .into(),
            false,
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => (
            "`<<` merges `key: value` pairs; here is something else".into(),
            false,
        ),
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => (
            "a second key begins here, where one is expected; what else is meant is an item (`- `) of its own"
                .into(),
            false,
        ),
        Error::UnexpectedValueForUnitEnumVariant { .. } | Error::UnexpectedValueForUnit { .. } => {
            let name = place.and_then(|place| place.key.as_deref());
            let message = match name {
                Some(name) => format!("`{name}` takes no value; write `{name}` alone"),
                None => "no value is expected here".into(),
            };
            (message, false)
        }
        other => {
            let expected = expectation(other);
            let place = place.map(|place| place.meant(other));
            let is_shape = matches!(other, Error::Unexpected { .. });
            match (place, expected) {
                (Some(place), Some(expected)) => (place.expected(&expected), is_shape && place.is_root()),
                (None, Some(expected)) => (format!("expected {expected} here"), true),
                (place, None) => {
                    let message = plain(other);
                    match place.filter(|_| matches!(other, Error::Message { .. })) {
                        Some(place) => (place.wrong(&message), false),
                        None => foreign(message),
                    }
                }
            }
        }
    }
}

/// What is expected where something else is, if that is what the error says.
fn expectation(error: &Error) -> Option<String> {
    Some(match error {
        Error::Unexpected { expected: what, .. } | Error::InvalidScalar { ty: what, .. } => {
            expected(what)
        }
        Error::SerdeInvalidType { expected: what, .. }
        | Error::SerdeInvalidValue { expected: what, .. }
        | Error::SerdeInvalidLength { expected: what, .. } => expected(what),
        Error::NonFiniteFloat { .. } => "a finite number".into(),
        Error::InvalidBooleanStrict { .. } => expected("bool"),
        Error::NullIntoString { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::BinaryNotUtf8 { .. } => expected("string"),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => {
            "a name, or one `name: value` pair".into()
        }
        _ => return None,
    })
}

impl Place {
    /// The name before it that stands alone and needs a value: the parser then takes what comes next for it.
    fn lacks_a_value(&self, error: &Error) -> Option<&Before> {
        let before = self.before.as_ref()?;
        let is_name = before.word.starts_with(|c: char| c.is_ascii_lowercase());
        let is_it = match error {
            Error::UnexpectedMappingEnd { .. } | Error::UnexpectedSequenceEnd { .. } => true,
            Error::SerdeUnknownField { field, .. } => {
                !self.is_key && self.found == Found::Scalar(field.clone())
            }
            Error::SerdeUnknownVariant { .. } | Error::InvalidScalar { .. } => self.follows(before),
            Error::Message { .. }
            | Error::Unexpected { .. }
            | Error::Eof { .. }
            | Error::SerdeInvalidType { .. } => {
                let is_scalar = matches!(self.found, Found::Scalar(_));
                self.follows(before) || (!self.is_key && !self.is_exact && is_scalar)
            }
            _ => false,
        };
        (is_name && is_it).then_some(before)
    }

    /// Whether it is the next key after this value, and has a value of its own.
    fn follows(&self, before: &Before) -> bool {
        let within = |path: &str| path.rsplit_once('.').map(|(outer, _)| outer.to_owned());
        self.is_key
            && !self.is_empty
            && self.path.as_deref().and_then(within) == within(&before.path)
    }

    /// The value of a pair where the parser tells the pair.
    fn meant(&self, error: &Error) -> &Place {
        match (error, &self.only) {
            (Error::SerdeInvalidType { .. }, Some(only)) => only,
            _ => self,
        }
    }

    /// `unknown value `x` for `path``.
    fn subject(&self, what: &str) -> String {
        let value = self.found.as_written();
        match &self.path {
            Some(path) => format!("{what} {value} for `{path}`"),
            None => format!("{what} {value}"),
        }
    }

    /// What is there, where something else is expected.
    fn expected(&self, expected: &str) -> String {
        let there = match (&self.path, &self.found) {
            (Some(path), _) if self.is_key && self.is_empty => format!("`{path}` has no value"),
            (Some(path), Found::Nothing) => format!("`{path}` has no value"),
            (Some(path), found) => format!("`{path}` is {}", found.as_written()),
            (None, Found::Nothing) => "a value is missing here".into(),
            (None, found) => format!("here is {}", found.as_written()),
        };
        format!("{there}; expected {expected}")
    }

    /// What is wrong with it, in words of its reader.
    fn wrong(&self, message: &str) -> String {
        if let Some(expected) = message.strip_prefix("expected ") {
            return self.expected(expected);
        }
        let Some(path) = &self.path else {
            return message.to_owned();
        };
        match message.strip_prefix("neither ") {
            Some(_) => format!("`{path}` is {message}"),
            None => format!("`{path}`: {message}"),
        }
    }
}
