//! golem-core: what its programs printed.

use crate::sdk::{Facts, python};

fn run(program: &str) -> [Facts; 2] {
    python("golem-core", program)
}

/// Fails unless there are `bills` invoices and debit notes, or more of them, all accepted.
fn expect_accepted(facts: &Facts, bills: usize) {
    for kind in ["invoice ", "debit note "] {
        let accepted = facts.amounts(&format!("{kind}accepted: ")).len();
        assert!(accepted >= bills, "{facts:#?}");
        assert_eq!(accepted, facts.count(kind), "{facts:#?}");
    }
}

#[test]
#[cfg_attr(
    no_golem_core,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-core: tests/interop/setup makes one"
)]
fn golem_core_finds_rents_works_and_pays() {
    for facts in run("basic.py") {
        facts.expect(&["results: [4, 9, 16]"]);
        assert_eq!(facts.count("work by provider-"), 3, "{facts:#?}");
        assert_eq!(facts.amounts("invoice: ACCEPTED ").len(), 2, "{facts:#?}");
        assert_eq!(facts.count("invoice: "), 2, "{facts:#?}");
    }
}

#[test]
#[cfg_attr(
    no_golem_core,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-core: tests/interop/setup makes one"
)]
fn golem_core_moves_a_file_to_a_machine_and_back() {
    for facts in run("transfer.py") {
        facts.expect(&[
            "same on the machine: True",
            "beside: warned",
            "file came back: True",
        ]);
        expect_accepted(&facts, 1);
    }
}

#[test]
#[cfg_attr(
    no_golem_core,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-core: tests/interop/setup makes one"
)]
fn golem_core_reaches_two_machines_of_its_network() {
    for facts in run("network.py") {
        facts.expect(&["addresses: 192.168.9.2 192.168.9.3"]);
        assert_eq!(facts.values("echo: "), ["True", "True"]);
        assert_eq!(facts.values("http: "), ["200", "200"]);
        expect_accepted(&facts, 2);
    }
}

#[test]
#[cfg_attr(
    no_golem_core,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-core: tests/interop/setup makes one"
)]
fn golem_core_scores_negotiates_and_tries_again() {
    for facts in run("plugins.py") {
        facts.expect(&["results: ['at last', 'worked']", "tries: 3"]);
        expect_accepted(&facts, 1);
    }
}

#[test]
#[cfg_attr(
    no_golem_core,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-core: tests/interop/setup makes one"
)]
fn golem_core_takes_over_an_activity_that_was_left_behind() {
    for facts in run("detached.py") {
        facts.expect(&["found: Ready", "note: left behind", "agreement: Terminated"]);
        expect_accepted(&facts, 1);
    }
}
