//! What a property is compared with: a text as it stands in the expression. There are no escapes.

use std::fmt;
#[cfg(feature = "matching")]
use std::sync::OnceLock;

#[cfg(feature = "matching")]
use regex::Regex;

/// The value of a term.
#[derive(Clone)]
pub struct Wanted {
    text: String,
    /// The pattern that the text is, once it was asked for; `None` inside: it is none.
    #[cfg(feature = "matching")]
    pattern: OnceLock<Option<Regex>>,
}

impl Wanted {
    /// This text.
    pub fn new(text: &str) -> Self {
        Wanted {
            text: text.to_owned(),
            #[cfg(feature = "matching")]
            pattern: OnceLock::new(),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is the same as `text`, or a pattern that fits it: with a `*` anywhere it is a regular
    /// expression in which `*` is `.*`.
    #[cfg(feature = "matching")]
    pub(super) fn fits(&self, text: &str) -> bool {
        if !self.text.contains('*') {
            return self.text == text;
        }
        let pattern = self.pattern.get_or_init(|| {
            let whole = format!("^{}$", self.text.replace('*', ".*"));
            Regex::new(&whole).ok()
        });
        pattern
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(text))
    }
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Wanted {}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
