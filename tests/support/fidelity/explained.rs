//! The differences between the daemon and the mock that are known and why; mirrored in the mock's
//! `FIDELITY.md`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::compare::Difference;
use super::identifiers::mask;
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
    /// Places in the recordings of drawn calls, `file:sequence:call aspect`; each must occur.
    #[serde(default)]
    pub recorded: Vec<String>,
    /// Differences of drawn calls: `operation aspect: part of the words … another part`, or `operation aspect: = all
    /// of the words` with `<n>` for an id of `n` digits; `*` is any operation.
    #[serde(default)]
    pub drawn: Vec<String>,
}

/// Known differences.
#[derive(Debug)]
pub struct Explained {
    by_place: BTreeMap<String, String>,
    recorded: BTreeMap<String, String>,
    drawn: Vec<(String, String)>,
}

impl Explained {
    /// Reads the committed list.
    pub fn read() -> Self {
        let (mut by_place, mut recorded, mut drawn) =
            (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for group in groups() {
            let reason = || group.reason.clone();
            by_place.extend(group.at.iter().map(|place| (place.clone(), reason())));
            recorded.extend(group.recorded.iter().map(|place| (place.clone(), reason())));
            drawn.extend(group.drawn.iter().map(|kind| (kind.clone(), reason())));
        }
        Explained {
            by_place,
            recorded,
            drawn,
        }
    }

    /// Why there is a difference at `place`, if that is known.
    pub fn take(&mut self, place: &str) -> Option<String> {
        self.by_place.remove(place)
    }

    /// What did not occur.
    pub fn left(&self) -> Vec<&String> {
        self.by_place.keys().collect()
    }

    /// Places in the recordings of drawn calls that have a reason of their own.
    pub fn recorded(&self) -> impl Iterator<Item = &String> {
        self.recorded.keys()
    }

    /// Why the recorded call at `place` is answered differently in this way, if that is known.
    pub fn of_recorded(
        &self,
        place: &str,
        operation: &str,
        difference: &Difference,
    ) -> Option<&str> {
        let own = self.recorded.get(&format!("{place} {}", difference.aspect));
        own.map(String::as_str)
            .or_else(|| self.of_drawn(operation, difference))
    }

    /// Why a drawn call of `operation` is answered differently in this way, if that is known.
    pub fn of_drawn(&self, operation: &str, difference: &Difference) -> Option<&str> {
        let fits = |kind: &str| {
            let (head, words) = kind.split_once(": ").unwrap_or((kind, ""));
            let (of, aspect) = head.split_once(' ').unwrap_or((head, ""));
            (of == "*" || of == operation)
                && aspect == difference.aspect
                && match words.strip_prefix("= ") {
                    Some(whole) => mask(&difference.how) == whole,
                    None => words.split(" … ").all(|part| difference.how.contains(part)),
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offer_that_a_provider_withdraws_too_late_is_excused_in_an_agreement() {
        let explained = Explained::read();
        let id = |digit: &str| digit.repeat(32);
        let reason = |how: String| {
            let aspect = "ids";
            let difference = Difference { aspect, how };
            explained.of_drawn("getAgreement", &difference).is_some()
        };
        let race = |at: &str, by: &str, end: &str| {
            let [theirs, first, now] = ["a", "b", "c"].map(id);
            format!("{at}: {theirs} was {first}{by}, now {now}{end}")
        };
        let listed = " in `getOffers`";
        assert!(reason(race("/offer/offerId", listed, "")));
        for other in [
            race("/offer/offerId", "", ""),
            race("/offer/offerId", " in `getAgreement`", ""),
            race("/offer/offerId", listed, ", of one that has not ended"),
            race("/offer/providerId", listed, ""),
            race("/demand/demandId", listed, ""),
            race("/offer/offerId", listed, "; /demand/demandId: it"),
        ] {
            assert!(!reason(other.clone()), "{other}");
        }
    }
}
