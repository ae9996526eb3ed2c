//! The differences between the daemon and the mock that are known and why; mirrored in the mock's
//! `FIDELITY.md`.

use std::collections::BTreeMap;

use serde::Deserialize;
use workspace_tests::root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    reason: String,
    at: Vec<String>,
}

/// Known differences by place (`file:line aspect`); each is taken when it occurs.
#[derive(Debug)]
pub(crate) struct Explained {
    by_place: BTreeMap<String, String>,
}

impl Explained {
    /// Reads the committed list.
    pub(crate) fn read() -> Self {
        let by_place = groups().into_iter().flat_map(|Group { reason, at }| {
            at.into_iter().map(move |place| (place, reason.clone()))
        });
        Explained {
            by_place: by_place.collect(),
        }
    }

    /// Why there is a difference at `place`, if that is known.
    pub(crate) fn take(&mut self, place: &str) -> Option<String> {
        self.by_place.remove(place)
    }

    /// What did not occur.
    pub(crate) fn left(&self) -> Vec<&String> {
        self.by_place.keys().collect()
    }
}

fn groups() -> Vec<Group> {
    let text =
        std::fs::read_to_string(root().join("tests/fidelity/explained.yaml")).expect("the list");
    serde_saphyr::from_str(&text).expect("a list of reasons and places")
}

/// Asserts that the document tells this score: answers compared, alike, and explained.
pub(crate) fn assert_told(all: usize, alike: usize, explained: usize) {
    let document =
        std::fs::read_to_string(root().join("mock-yagna/FIDELITY.md")).expect("the document");
    let document = document.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        format!("plays {all} recorded requests"),
        format!("{alike} answers are alike and {explained} differ for a reason"),
    ] {
        assert!(document.contains(&told), "FIDELITY.md does not say: {told}");
    }
}

#[test]
fn every_reason_stands_in_the_fidelity_document() {
    let document =
        std::fs::read_to_string(root().join("mock-yagna/FIDELITY.md")).expect("the document");
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let document = flat(&document);
    for Group { reason, .. } in groups() {
        assert!(
            document.contains(&flat(&reason)),
            "FIDELITY.md does not say: {reason}"
        );
    }
}
