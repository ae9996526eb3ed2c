//! golem-core: what its program printed.

use crate::sdk::python;

#[test]
fn golem_core_finds_rents_works_and_pays() {
    let Some(facts) = python("golem-core", "basic.py") else {
        return;
    };
    facts.expect(&["results: [4, 9, 16]"]);
    assert_eq!(facts.count("work by provider-"), 3, "{facts:#?}");
    assert_eq!(facts.amounts("invoice: ACCEPTED ").len(), 2, "{facts:#?}");
    assert_eq!(facts.count("invoice: "), 2, "{facts:#?}");
}
