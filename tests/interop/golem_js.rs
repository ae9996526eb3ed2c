//! golem-js and its task executor: what the programs printed.

use crate::sdk::{Facts, node};

fn run(program: &str) -> Option<Facts> {
    node("golem-js", program)
}

#[test]
fn golem_js_rents_one_machine_and_pays_for_it() {
    let Some(facts) = run("one-of.js") else {
        return;
    };
    facts.expect(&[
        "run: Ok hello from golem-js",
        "failing: Error oops ExeScript command exited with code 5",
        "batch: 0 first, 1 second, 2 third",
        "stdout: streamed",
        "stderr: beside",
        "stream: Ok",
        "agreement: Terminated",
    ]);
    facts.expect_paid(1);
}

#[test]
fn golem_js_shares_a_pool_of_machines() {
    let Some(facts) = run("many-of.js") else {
        return;
    };
    let results: Vec<_> = (1..=9).map(|n| format!("prepared {}", n * n)).collect();
    facts.expect(&[
        &format!("results: {}", results.join(", ")),
        "left in the pool: 0",
    ]);
    facts.expect_paid(1);
    assert!(facts.count("agreement with ") <= 3, "{facts:#?}");
}

#[test]
fn golem_js_scans_the_market_without_renting() {
    let Some(facts) = run("scan.js") else {
        return;
    };
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

#[test]
fn golem_js_transfers_files_bytes_and_json_both_ways() {
    let Some(facts) = run("transfer.js") else {
        return;
    };
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

#[test]
fn the_task_executor_finishes_eight_tasks_though_one_fails_once() {
    let Some(facts) = run("task-executor.js") else {
        return;
    };
    let results: Vec<_> = (1..=8).map(|n| format!("prepared {n}0")).collect();
    facts.expect(&[
        &format!("results: {}", results.join(", ")),
        "failures: 1, retries: 1",
    ]);
    facts.expect_paid(1);
}

#[test]
fn golem_js_reaches_services_of_two_machines_through_its_proxy() {
    let Some(facts) = run("network.js") else {
        return;
    };
    facts.expect(&["addresses: 192.168.7.2 192.168.7.3"]);
    assert_eq!(facts.values("echo: "), ["true", "true"]);
    assert_eq!(facts.values("http: "), ["200", "200"]);
    facts.expect_paid(2);
}

#[test]
fn golem_js_hires_whom_its_selector_filter_and_prices_allow() {
    let Some(facts) = run("strategy.js") else {
        return;
    };
    facts.expect(&[
        "offers: 8",
        "selected the cheapest of 8: true",
        "filtered: true",
        "capped: true, others too dear: true",
        "burn rate: true",
        "nobody: Could not sign any agreement in time",
    ]);
}

#[test]
fn golem_js_pays_on_the_way_from_its_own_allocation() {
    let Some(facts) = run("payments.js") else {
        return;
    };
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

#[test]
fn golem_js_cuts_rentals_commands_and_streams_short() {
    let Some(facts) = run("cancel.js") else {
        return;
    };
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

#[test]
fn golem_js_deploys_two_pools_in_a_network_and_moves_files_by_gftp() {
    let Some(facts) = run("deployment.js") else {
        return;
    };
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
