//! Why something failed, kept with its type for whoever asks. Owns: sharing an error among all who
//! are told of it, and its words. Does not own: which error it is.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Errors behind an error that are looked at: a chain may be a circle.
const MAX_CAUSES: usize = 32;

/// Why something failed: an error that is shared by everybody who is told of it. Cheap to clone.
///
/// It is shown as the error is; `{:#}` shows the errors behind it as well, in one line. Its type is not
/// lost: [`find`](Self::find) looks for it in the whole chain.
///
/// ```
/// use golem_engine::error::Cause;
/// use golem_engine::SignError;
///
/// fn is_for_want_of_offers(failure: &Cause) -> bool {
///     matches!(failure.find::<SignError>(), Some(SignError::NoOffers { .. }))
/// }
/// # assert!(!is_for_want_of_offers(&Cause::new("no network")));
/// ```
#[derive(Clone)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    /// An error, or plain words.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Cause(Arc::from(error.into()))
    }

    /// The same error behind others words: what was being done when it happened.
    pub(crate) fn within(self, words: impl Into<String>) -> Self {
        Cause::new(Within {
            words: words.into(),
            source: self,
        })
    }

    /// The same error with words after its own.
    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        match hint {
            "" => self,
            hint => Cause::new(Hinted { source: self, hint }),
        }
    }

    /// The error of this type: the error itself, or the first such one behind it.
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        find(self.get_ref())
    }

    /// The error, and those behind it, the outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        causes(self.get_ref())
    }

    /// The error itself.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

/// An error and those behind it, as many as can make sense.
pub(crate) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> + Clone {
    std::iter::successors(Some(error), |error| (**error).source())
        .take(MAX_CAUSES)
        .map(itself)
}

/// The error that a shared one is.
fn itself<'a>(mut error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    loop {
        if let Some(cause) = error.downcast_ref::<Cause>() {
            error = cause.get_ref();
        } else if let Some(Hinted { source, .. }) = error.downcast_ref() {
            error = source.get_ref();
        } else {
            return error;
        }
    }
}

/// The error of this type: the error itself, or the first such one behind it.
pub fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// An error and what is behind it in one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    // As they are said, hints included.
    let said = std::iter::successors(Some(error), |error| (**error).source());
    for cause in said.take(MAX_CAUSES) {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
    }
    text
}

/// What was being done when something failed.
#[derive(Debug)]
struct Within {
    words: String,
    source: Cause,
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl StdError for Within {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// An error with words after its own.
#[derive(Debug)]
struct Hinted {
    source: Cause,
    hint: &'static str,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.source, self.hint)
    }
}

impl StdError for Hinted {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            f.write_str(&chain(self.get_ref()))
        } else {
            fmt::Display::fmt(&*self.0, f)
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The same error, or one of the same words.
impl PartialEq for Cause {
    fn eq(&self, other: &Cause) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || format!("{self:#}") == format!("{other:#}")
    }
}

impl Eq for Cause {}

/// All its words.
impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:#}"))
    }
}

impl From<String> for Cause {
    fn from(words: String) -> Self {
        Cause::new(words)
    }
}

impl From<&str> for Cause {
    fn from(words: &str) -> Self {
        Cause::new(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer one")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the inner one")]
    struct Inner;

    #[test]
    fn a_cause_keeps_its_type_and_says_each_thing_once() {
        let cause = Cause::new(Outer(Inner));
        assert_eq!(cause.to_string(), "the outer one");
        assert_eq!(format!("{cause:#}"), "the outer one: the inner one");
        assert!(cause.find::<Outer>().is_some() && cause.find::<Inner>().is_some());
        assert!(cause.find::<fmt::Error>().is_none());
        assert_eq!(chain(&cause), "the outer one: the inner one");
        let told = serde_json::to_value(&cause).expect("a text");
        assert_eq!(told, "the outer one: the inner one");
        assert_eq!(cause, Cause::from("the outer one: the inner one"));
    }

    #[test]
    fn a_chain_that_is_a_circle_has_an_end() {
        #[derive(Debug)]
        struct Circle;
        impl fmt::Display for Circle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("round")
            }
        }
        impl StdError for Circle {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(self)
            }
        }
        assert_eq!(Cause::new(Circle).chain().count(), MAX_CAUSES);
    }
}
