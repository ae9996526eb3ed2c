//! What only virtual time can show: hours in seconds, runs that are the same twice, programs that mix everything that waits.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use workspace_tests::{INTEROP_ENV, folder, root};

use crate::sdk::{Facts, rehearse, virtual_time};

/// Runs `program` of the tests of `sdk` on the network of `scenario`.
fn exec(sdk: &str, program: &str, scenario: &str) -> (Facts, Value) {
    virtual_time(program, |mut rehearse| {
        rehearse
            .args(scenario.split_whitespace())
            .arg("--")
            .arg(interpreter(sdk))
            .arg(program)
            .env(
                "NODE_PATH",
                folder(INTEROP_ENV).join(sdk).join("node_modules"),
            )
            .current_dir(root().join("tests/interop").join(sdk));
        rehearse
    })
}

fn interpreter(sdk: &str) -> std::path::PathBuf {
    match sdk {
        "golem-js" => "node".into(),
        sdk => folder(INTEROP_ENV).join(sdk).join("bin/python"),
    }
}

/// Runs one of the programs that need no SDK; standard output's lines and the report.
fn plain(interpreter: &Path, program: &str) -> (Facts, Value) {
    virtual_time(program, |mut rehearse| {
        rehearse.arg("--").arg(interpreter).arg(program);
        rehearse.current_dir(root().join("tests/interop/programs"));
        rehearse
    })
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn the_tutorials_service_lives_two_hours_in_yapapis_words() {
    let (facts, report) = exec("yapapi", "simple_service.py", "simple-service-alone.yaml");
    facts.expect(&["running: 1", "plots: 11, whole: True"]);
    assert_eq!(facts.count("statistics: 7"), 1, "{facts:#?}");
    facts.expect_paid(1);
    assert!(
        report["virtual_seconds"].as_f64() >= Some(7200.0),
        "{report:#}"
    );
    assert_eq!(report["open"], Value::Array(vec![]), "{report:#}");
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_renews_its_demand_and_sees_a_provider_leave_after_ninety_minutes() {
    let (facts, report) = exec("yapapi", "hours.py", "../hours.yaml");
    facts.expect(&["on alice after 1.2 h", "left after 2.7 h", "starts: 2"]);
    assert_eq!(facts.count("on bob after "), 1, "{facts:#?}");
    assert!(
        report["virtual_seconds"].as_f64() > Some(2.8 * 3600.0),
        "{report:#}"
    );
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_renews_its_demand_and_sees_a_provider_leave_after_ninety_minutes() {
    let (facts, _) = exec("golem-js", "hours.js", "../hours.yaml");
    // It takes anybody, alice again if she offers.
    facts.expect(&["on alice after 1.2 h", "left after 2.7 h", "rentals: 2"]);
    assert_eq!(facts.count("on "), 2, "{facts:#?}");
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn yapapi_sees_a_provider_go_that_was_not_paid_within_twelve_hours() {
    let (facts, report) = exec("yapapi", "unpaid.py", "../unpaid.yaml");
    // It looks every ten minutes.
    facts.expect(&["to be paid within 12 h", "left after 12.2 h"]);
    assert_eq!(report["open"], Value::Array(vec![]), "{report:#}");
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn golem_js_sees_a_provider_go_that_was_not_paid_within_twelve_hours() {
    let (facts, report) = exec("golem-js", "unpaid.js", "../unpaid.yaml");
    facts.expect(&["left after 12.0 h: not paid"]);
    assert_eq!(report["open"], Value::Array(vec![]), "{report:#}");
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn two_runs_of_a_yapapi_program_are_one_journal() {
    for program in ["transfers.py", "streaming.py", "midpayments.py"] {
        twice("yapapi", program);
    }
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn two_runs_of_a_golem_js_program_are_one_journal() {
    for program in ["one-of.js", "transfer.js"] {
        twice("golem-js", program);
    }
}

fn twice(sdk: &str, program: &str) {
    let journal = || exec(sdk, program, "--providers 8").1["journal_sha256"].clone();
    assert_eq!(journal(), journal(), "{program}");
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn threads_pools_children_and_loops_that_watch_the_clock_share_one_time() {
    let (facts, _) = plain(&interpreter("yapapi"), "threads.py");
    facts.expect(&[
        "began: 0.000",
        "slept: 3600.000",
        "joined False: 3620.000",
        "joined True: 3650.000",
        "pool: 3680.000",
        "tasks: 3870.000",
        "queue: 3882.000",
        "shell: 3882.000",
        "child: 3892.000",
        "long poll: 3932.000",
    ]);
    assert_eq!(facts.count("watched the clock: 393"), 1, "{facts:#?}");
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn what_a_program_does_not_read_yet_keeps_no_time_from_passing() {
    let (facts, _) = virtual_time("slowly.py", |mut rehearse| {
        rehearse.args(["--providers", "3000", "--"]);
        rehearse.arg(interpreter("yapapi")).arg("slowly.py");
        rehearse.current_dir(root().join("tests/interop/programs"));
        rehearse
    });
    facts.expect(&["asyncio: True after 3600", "socket: True after 7200"]);
}

#[test]
#[cfg_attr(
    no_golem_js,
    ignore = "GOLEM_INTEROP_ENV names no folder with golem-js: tests/interop/setup makes one"
)]
fn nodes_timers_polls_and_children_share_one_time() {
    let (facts, _) = plain(Path::new("node"), "waits.js");
    facts.expect(&[
        "began: 0.000",
        "slept: 4000.000",
        "ticks 5: 4050.000",
        "answer: []",
        "long poll: 4090.000",
        "TimeoutError",
        "aborted: 4095.000",
        "child: 4195.000",
        "shell: 4195.000",
    ]);
}

#[test]
#[cfg_attr(
    no_yapapi,
    ignore = "GOLEM_INTEROP_ENV names no folder with yapapi: tests/interop/setup makes one"
)]
fn what_cannot_be_held_is_named_or_refused() {
    let told = |script: &str| {
        let out = tempfile::tempdir().expect("a folder");
        let output = Command::new(rehearse())
            .args(["exec", "--busy", "500ms", "--out"])
            .arg(out.path().join("out"))
            .arg("--")
            .arg(interpreter("yapapi"))
            .args(["-c", script])
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{script}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let said = told("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()");
    assert!(
        said.contains("python -c") && said.contains(" works; "),
        "{said}"
    );
    let said = told("import subprocess; subprocess.run(['sleep', '1000'])");
    assert!(said.contains("whose time cannot be kept"), "{said}");
    let said = told("import uvloop");
    assert!(
        said.contains("uvloop cannot be held in virtual time"),
        "{said}"
    );
}
