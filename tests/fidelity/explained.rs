//! What `FIDELITY.md` says is what the replay shows.

use workspace_tests::fidelity::explained::{Group, groups};
use workspace_tests::root;

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
