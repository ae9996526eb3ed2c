//! A mistake in a YAML file: where it is and what is wrong, in words about the file.
//!
//! Owns the one translation of the parser's errors, and the look-up of the known word nearest to a
//! misspelt one. Used by network files and by scenario files.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location};

/// Most known words that a message lists.
const MOST_WORDS: usize = 8;

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

    fn of(error: &Error) -> Self {
        let place = error.location().unwrap_or(Location::UNKNOWN);
        let message = match error.without_snippet() {
            Error::SerdeUnknownField {
                field, expected, ..
            } => match nearest(field, expected.iter().copied()) {
                Some(name) => format!("unknown key `{field}`; did you mean `{name}`?"),
                None => format!("unknown key `{field}`; there are: {}", expected.join(", ")),
            },
            Error::SerdeUnknownVariant {
                variant, expected, ..
            } => format!(
                "unknown value `{variant}`{}",
                hint(variant, expected.iter().copied())
            ),
            Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
            other => {
                // The position is told already.
                let options =
                    serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
                let text = other.render_with_options(options);
                let words = text.split(" at line ").next().unwrap_or_default();
                return Mistake {
                    is_foreign: true,
                    ..Mistake::at(place, in_plain_words(words))
                };
            }
        };
        Mistake::at(place, message)
    }
}

/// Reads a YAML file.
///
/// # Errors
/// The first mistake in it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Mistake::of(&error))
}

/// The parser's words where they speak of its types instead of the file.
fn in_plain_words(words: &str) -> &str {
    match words {
        "expected mapping start" => "expected `key: value` pairs here",
        "expected sequence start" => "expected a list here",
        words if words.starts_with("cannot deserialize null into") => "a value is missing here",
        words if words.starts_with("multiple YAML documents") => {
            "a second document begins here; one is expected"
        }
        words => words,
    }
}

/// The name among `known` that is nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// `; did you mean …?`, or the known names when none is near.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(word, known.clone()) {
        return format!("; did you mean `{name}`?");
    }
    let mut names: Vec<&str> = known.into_iter().take(MOST_WORDS + 1).collect();
    let more = names.len() > MOST_WORDS;
    names.truncate(MOST_WORDS);
    match (names.is_empty(), more) {
        (true, _) => "; there is none".into(),
        (false, false) => format!("; known: {}", names.join(", ")),
        (false, true) => format!("; known: {}, …", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_a_foreign_one_is_not() {
        let known = ["simple-service", "hello-tasks"];
        assert_eq!(nearest("simple-servcie", known), Some("simple-service"));
        assert_eq!(nearest("helo-tasks", known), Some("hello-tasks"));
        assert_eq!(nearest("database", known), None);
        assert_eq!(
            hint("database", known),
            "; known: simple-service, hello-tasks"
        );
    }
}
