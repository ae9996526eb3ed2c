//! The differences between the daemon and the mock that are known and why; mirrored in the mock's
//! `FIDELITY.md`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::compare::Difference;
use crate::root;

/// Differences with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Why.
    pub reason: String,
    /// Places in the first recordings, `file:line aspect`; each must occur.
    #[serde(default)]
    pub at: Vec<String>,
    /// Differences of drawn calls, `operation aspect[: part of the words]`; `*` is any operation.
    #[serde(default)]
    pub drawn: Vec<String>,
}

/// Known differences.
#[derive(Debug)]
pub struct Explained {
    by_place: BTreeMap<String, String>,
    drawn: Vec<(String, String)>,
}

impl Explained {
    /// Reads the committed list.
    pub fn read() -> Self {
        let (mut by_place, mut drawn) = (BTreeMap::new(), Vec::new());
        for group in groups() {
            let reason = || group.reason.clone();
            by_place.extend(group.at.iter().map(|place| (place.clone(), reason())));
            drawn.extend(group.drawn.iter().map(|kind| (kind.clone(), reason())));
        }
        Explained { by_place, drawn }
    }

    /// Why there is a difference at `place`, if that is known.
    pub fn take(&mut self, place: &str) -> Option<String> {
        self.by_place.remove(place)
    }

    /// What did not occur.
    pub fn left(&self) -> Vec<&String> {
        self.by_place.keys().collect()
    }

    /// Why a drawn call of `operation` is answered differently in this way, if that is known.
    pub fn of_drawn(&self, operation: &str, difference: &Difference) -> Option<&str> {
        let fits = |kind: &str| {
            let (head, words) = kind.split_once(": ").unwrap_or((kind, ""));
            let (of, aspect) = head.split_once(' ').unwrap_or((head, ""));
            (of == "*" || of == operation)
                && aspect == difference.aspect
                && words.split(" … ").all(|part| difference.how.contains(part))
        };
        let mut known = self.drawn.iter();
        known
            .find(|(kind, _)| fits(kind))
            .map(|(_, reason)| reason.as_str())
    }
}

/// The committed list.
///
/// # Panics
/// When it is not there, or is none.
pub fn groups() -> Vec<Group> {
    let text =
        std::fs::read_to_string(root().join("tests/fidelity/explained.yaml")).expect("the list");
    serde_saphyr::from_str(&text).expect("a list of reasons and places")
}
