//! Where the OpenAPI files are wrong: what the daemon does instead, and the evidence.

use std::collections::BTreeSet;

use serde::Deserialize;
use workspace_tests::root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erratum {
    /// Where the daemon was seen doing so.
    evidence: String,
    /// Operation and fault, as the guard words them.
    faults: Vec<String>,
}

/// The faults that the daemon itself is known for.
pub(crate) fn known() -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(root().join("tests/fidelity/errata.yaml")).expect("the list");
    let errata: Vec<Erratum> =
        serde_saphyr::from_str(&text).expect("a list of evidence and faults");
    assert!(
        errata.iter().all(|erratum| !erratum.evidence.is_empty()),
        "an erratum needs evidence"
    );
    errata
        .into_iter()
        .flat_map(|erratum| erratum.faults)
        .collect()
}
