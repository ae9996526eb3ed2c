//! yapapi: what its programs printed.

use crate::sdk::{Facts, python};

fn run(program: &str) -> Option<Facts> {
    python("yapapi", program)
}

#[test]
fn yapapi_runs_a_hello_world_job() {
    let Some(facts) = run("hello.py") else { return };
    facts.expect(&[
        "result: Ada: hello Ada",
        "result: Grace: hello Grace",
        "result: Barbara: hello Barbara",
    ]);
}

#[test]
fn yapapi_resolves_an_image_by_its_hash_offline() {
    let Some(facts) = run("ordinary.py") else {
        return;
    };
    facts.expect(&["result: hello"]);
}

#[test]
fn yapapi_runs_a_service_with_two_instances() {
    let Some(facts) = run("service.py") else {
        return;
    };
    assert_eq!(facts.count("started on "), 2, "{facts:#?}");
    assert_eq!(facts.count("stopped after 2 answers"), 2, "{facts:#?}");
}

#[test]
fn yapapi_finishes_twelve_tasks_though_one_command_fails() {
    let Some(facts) = run("tasks.py") else { return };
    facts.expect(&[
        "command failed: True",
        "results: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121]",
    ]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_sees_output_as_it_is_streamed() {
    let Some(facts) = run("streaming.py") else {
        return;
    };
    facts.expect(&[
        "CommandStdOut: one",
        "CommandStdErr: to stderr",
        "CommandStdOut: two",
        "result: streamed",
    ]);
    facts.expect_paid(1);
}

#[test]
fn yapapi_starts_a_service_again_after_a_failed_start() {
    let Some(facts) = run("restart.py") else {
        return;
    };
    facts.expect(&["running: alive", "starts: 2, resets: 1"]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_transfers_files_bytes_and_json_both_ways() {
    let Some(facts) = run("transfers.py") else {
        return;
    };
    facts.expect(&[
        "size on the machine: 300001",
        "file came back: True",
        "bytes came back: some bytessome bytes",
        "empty came back: True",
        "json came back: True",
    ]);
    facts.expect_paid(1);
}

#[test]
fn yapapi_rents_from_the_cheapest_provider() {
    let Some(facts) = run("cheapest.py") else {
        return;
    };
    facts.expect(&["providers: 8, different prices: True", "cheapest won: True"]);
    facts.expect_paid(1);
}

#[test]
fn yapapi_pays_debit_notes_while_the_agreement_lasts() {
    let Some(facts) = run("midpayments.py") else {
        return;
    };
    facts.expect(&["running meanwhile: True", "amounts grow: True"]);
    let notes = facts.amounts("debit note accepted: ");
    assert!(notes.len() >= 3, "{facts:#?}");
    facts.expect_paid(1);
    let invoice = facts.amounts("invoice accepted: ")[0];
    assert!(notes.iter().all(|note| *note <= invoice), "{facts:#?}");
}

#[test]
fn yapapi_reaches_services_of_two_machines_through_the_daemon() {
    let Some(facts) = run("network.py") else {
        return;
    };
    facts.expect(&["addresses: 192.168.7.2 192.168.7.3"]);
    assert_eq!(facts.values("echo: "), ["True", "True"]);
    assert_eq!(facts.values("http: "), ["200", "200"]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_leaves_nothing_behind_after_ctrl_c() {
    let Some(facts) = run("interrupt.py") else {
        return;
    };
    facts.expect(&[
        "interrupted",
        "ExecutionInterrupted",
        "ShutdownFinished",
        "cancelled",
    ]);
    assert_eq!(facts.values("left: "), ["0", "0", "0"]);
    facts.expect_paid(1);
}

#[test]
fn yapapi_repeats_rejected_results_on_other_machines_with_a_float_as_budget() {
    let Some(facts) = run("retries.py") else {
        return;
    };
    facts.expect(&[
        "results: [0, 3, 6, 9, 12, 15]",
        "rejected: 3, accepted: 6",
        "offers refused: True",
        "all ended: True",
    ]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_survives_failing_commands_but_not_a_script_that_takes_too_long() {
    let Some(facts) = run("failures.py") else {
        return;
    };
    facts.expect(&[
        "timed out",
        "failed: ExeScript command exited with code 3",
        "failed: ExeScript command exited with code 127",
        "no file: True",
        "result: still alive",
        "attempts: 2",
    ]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_serves_machines_through_its_http_and_socket_proxies() {
    let Some(facts) = run("proxies.py") else {
        return;
    };
    facts.expect(&["addresses: 192.168.0.2 192.168.0.3 192.168.0.77"]);
    assert_eq!(facts.values("http: "), ["200", "200", "200", "200", "404"]);
    facts.expect(&["pages: 2", "raw http: 200"]);
    assert_eq!(facts.values("echo: "), ["line 0", "line 1", "line 2"]);
    assert_eq!(facts.count("trouble"), 0, "{facts:#?}");
    facts.expect_paid(3);
}

#[test]
fn yapapi_reads_the_pages_of_a_web_server_that_its_script_started() {
    let Some(facts) = run("website.py") else {
        return;
    };
    assert_eq!(facts.values("http: "), ["200 text/html nginx"; 4]);
    facts.expect(&["pages as written: True, 2"]);
    assert_eq!(facts.values("logged: "), ["GET / HTTP/1.1"; 4]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_hires_by_manifest_and_by_node_descriptor() {
    let Some(facts) = run("manifest.py") else {
        return;
    };
    assert_eq!(facts.values("result: "), ["signed", "partner"]);
    facts.expect_paid(2);
}

#[test]
fn yapapi_rest_goes_from_a_demand_to_its_bills_by_hand() {
    let Some(facts) = run("lowlevel.py") else {
        return;
    };
    facts.expect(&[
        r#"polled 1: [True, 'started\n', None, None]"#,
        r#"polled 2: [True, 'out\n', 'beside\n', None]"#,
        "polled 3: [False, None, None, 'ExeScript command exited with code 1']",
        "state: Ready",
        "ended: [True, False]",
        "known as: ACCEPTED",
        "spent: True",
        "left: []",
    ]);
    let streamed = ["CommandStarted ", "CommandStdOut out", "CommandExecuted "];
    assert_eq!(facts.values("streamed: "), streamed);
    assert_eq!(
        facts.amounts("debit note accepted: ").len(),
        2,
        "{facts:#?}"
    );
    facts.expect_paid(1);
}
