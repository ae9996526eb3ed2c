//! golem-js and its task executor: what the programs printed.

use crate::sdk::{Facts, node};

fn run(program: &str) -> [Facts; 2] {
    node("golem-js", program)
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_rents_one_machine_and_pays_for_it() {
    for facts in run("one-of.js") {
        facts.expect(&[
            // The daemon keeps the environment of a `run` to itself, whatever golem-js sends.
            "run: Ok hello from",
            "failing: Error oops ExeScript command exited with code 5",
            "batch: 0 first, 1 second, 2 third",
            "stdout: streamed",
            "stderr: beside",
            "stream: Ok",
            "agreement: Terminated",
        ]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_shares_a_pool_of_machines() {
    for facts in run("many-of.js") {
        let results: Vec<_> = (1..=9).map(|n| format!("prepared {}", n * n)).collect();
        facts.expect(&[
            &format!("results: {}", results.join(", ")),
            "left in the pool: 0",
        ]);
        facts.expect_paid(1);
        assert!(facts.count("agreement with ") <= 3, "{facts:#?}");
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_scans_the_market_without_renting() {
    for facts in run("scan.js") {
        let names: Vec<_> = (1..=8).map(|n| format!("provider-{n}")).collect();
        facts.expect(&[
            "offers: 8",
            &format!("names: {}", names.join(" ")),
            "priced: 8, different prices: true",
            "platforms: true",
            "machines: true",
            "filtered: true",
            "elsewhere: 0",
        ]);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_transfers_files_bytes_and_json_both_ways() {
    for facts in run("transfer.js") {
        facts.expect(&[
            "upload: Ok",
            "size on the machine: 300001",
            "file came back: true",
            "bytes came back: some bytessome bytes",
            "json came back: true",
            "missing: Error",
            "batch came back: true",
        ]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn the_task_executor_finishes_eight_tasks_though_one_fails_once() {
    for facts in run("task-executor.js") {
        let results: Vec<_> = (1..=8).map(|n| format!("prepared {n}0")).collect();
        facts.expect(&[
            &format!("results: {}", results.join(", ")),
            "failures: 1, retries: 1",
        ]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_reaches_services_of_two_machines_through_its_proxy() {
    for facts in run("network.js") {
        facts.expect(&["addresses: 192.168.7.2 192.168.7.3"]);
        assert_eq!(facts.values("echo: "), ["true", "true"]);
        assert_eq!(facts.values("http: "), ["200", "200"]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_hires_whom_its_selector_filter_and_prices_allow() {
    for facts in run("strategy.js") {
        facts.expect(&[
            "offers: 8",
            "selected the cheapest of 8: true",
            "filtered: true",
            "capped: true, others too dear: true",
            "burn rate: true",
            "nobody: Could not sign any agreement in time",
        ]);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_pays_on_the_way_from_its_own_allocation() {
    for facts in run("payments.js") {
        facts.expect(&[
            "work: worked",
            "meanwhile: Approved",
            "not wanted: 1",
            "spent: true, whole: true",
            "notes grow: true",
            "invoices: ACCEPTED",
            "notes known: true",
            "released: GolemPaymentError",
        ]);
        assert!(
            facts.amounts("debit note accepted: ").len() >= 3,
            "{facts:#?}"
        );
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_cuts_rentals_commands_and_streams_short() {
    for facts in run("cancel.js") {
        facts.expect(&[
            "rental: The signing of the agreement has been aborted",
            "command: GolemAbortError",
            "meanwhile: Error",
            "again: prepared, prepared: 2",
            "stream: 0 Ok first",
            "stream: ExeScript command exited with code 9. Stdout: null. Stderr: second",
            "agreement: Terminated",
        ]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_deploys_two_pools_in_a_network_and_moves_files_by_gftp() {
    for facts in run("deployment.js") {
        facts.expect(&[
            "addresses: 3",
            "inside: true",
            "platform: true",
            "upload: Ok",
            "download: Ok",
            "same: true",
        ]);
        facts.expect_paid(3);
    }
}
