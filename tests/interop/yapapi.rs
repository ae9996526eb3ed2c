//! yapapi: what its programs printed.

use crate::sdk::{Facts, python};

fn run(program: &str) -> [Facts; 2] {
    python("yapapi", program)
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_runs_a_hello_world_job() {
    for facts in run("hello.py") {
        facts.expect(&[
            "result: Ada: hello Ada",
            "result: Grace: hello Grace",
            "result: Barbara: hello Barbara",
        ]);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_resolves_an_image_by_its_hash_offline() {
    for facts in run("ordinary.py") {
        facts.expect(&["result: hello"]);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_runs_a_service_with_two_instances() {
    for facts in run("service.py") {
        assert_eq!(facts.count("started on "), 2, "{facts:#?}");
        assert_eq!(facts.count("stopped after 2 answers"), 2, "{facts:#?}");
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_finishes_twelve_tasks_though_one_command_fails() {
    for facts in run("tasks.py") {
        facts.expect(&[
            "command failed: True",
            "results: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121]",
        ]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_sees_output_as_it_is_streamed() {
    for facts in run("streaming.py") {
        facts.expect(&[
            "CommandStdOut: one",
            "CommandStdErr: to stderr",
            "CommandStdOut: two",
            "result: streamed",
        ]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_starts_a_service_again_after_a_failed_start() {
    for facts in run("restart.py") {
        facts.expect(&["running: alive", "starts: 2, resets: 1"]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_transfers_files_bytes_and_json_both_ways() {
    for facts in run("transfers.py") {
        facts.expect(&[
            "size on the machine: 300001",
            "file came back: True",
            "bytes came back: some bytessome bytes",
            "empty came back: True",
            "json came back: True",
        ]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_rents_from_the_cheapest_provider() {
    for facts in run("cheapest.py") {
        facts.expect(&["providers: 8, different prices: True", "cheapest won: True"]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_pays_debit_notes_while_the_agreement_lasts() {
    for facts in run("midpayments.py") {
        facts.expect(&["running meanwhile: True", "amounts grow: True"]);
        let notes = facts.amounts("debit note accepted: ");
        assert!(notes.len() >= 3, "{facts:#?}");
        facts.expect_paid(1);
        let invoice = facts.amounts("invoice accepted: ")[0];
        assert!(notes.iter().all(|note| *note <= invoice), "{facts:#?}");
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_reaches_services_of_two_machines_through_the_daemon() {
    for facts in run("network.py") {
        facts.expect(&["addresses: 192.168.7.2 192.168.7.3"]);
        assert_eq!(facts.values("echo: "), ["True", "True"]);
        assert_eq!(facts.values("http: "), ["200", "200"]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_leaves_nothing_behind_after_ctrl_c() {
    for facts in run("interrupt.py") {
        facts.expect(&[
            "interrupted",
            "ExecutionInterrupted",
            "ShutdownFinished",
            "cancelled",
        ]);
        assert_eq!(facts.values("left: "), ["0", "0", "0"]);
        facts.expect_paid(1);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_repeats_rejected_results_on_other_machines_with_a_float_as_budget() {
    for facts in run("retries.py") {
        facts.expect(&[
            "results: [0, 3, 6, 9, 12, 15]",
            "rejected: 3, accepted: 6",
            "offers refused: True",
            "all ended: True",
        ]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_survives_failing_commands_but_not_a_script_that_takes_too_long() {
    for facts in run("failures.py") {
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
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_serves_machines_through_its_http_and_socket_proxies() {
    for facts in run("proxies.py") {
        // Which of two that start together is the first, nobody can say.
        let mut addresses: Vec<_> = facts.values("addresses: ")[0].split(' ').collect();
        addresses.sort_unstable();
        assert_eq!(addresses, ["192.168.0.2", "192.168.0.3", "192.168.0.77"]);
        assert_eq!(facts.values("http: "), ["200", "200", "200", "200", "404"]);
        facts.expect(&["pages: 2", "raw http: 200"]);
        assert_eq!(facts.values("echo: "), ["line 0", "line 1", "line 2"]);
        assert_eq!(facts.count("trouble"), 0, "{facts:#?}");
        facts.expect_paid(3);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_reads_the_pages_of_a_web_server_that_its_script_started() {
    for facts in run("website.py") {
        assert_eq!(facts.values("http: "), ["200 text/html nginx"; 4]);
        facts.expect(&["pages as written: True, 2"]);
        assert_eq!(facts.values("logged: "), ["GET / HTTP/1.1"; 4]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_hires_by_manifest_and_by_node_descriptor() {
    for facts in run("manifest.py") {
        assert_eq!(facts.values("result: "), ["signed", "partner"]);
        facts.expect_paid(2);
    }
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_rest_goes_from_a_demand_to_its_bills_by_hand() {
    for facts in run("lowlevel.py") {
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
}
