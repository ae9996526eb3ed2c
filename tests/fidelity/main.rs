//! Judges of the mock that did not write it: recordings of the real daemon, the OpenAPI files, the
//! official model crate, and hostile clients.
#![expect(
    clippy::print_stdout,
    reason = "the score is what the replay is run for"
)]

mod asked;
mod constraints;
mod deeds;
mod drawn;
mod errata;
mod explained;
mod guard;
mod hostile;
mod official;
mod openapi;
mod replay;
mod scenarios;
mod score;
mod stage;

use std::process::Command;

use workspace_tests::{SHARED, folder, root};

/// The whole replay once more, under guard: every request and answer is held against the OpenAPI
/// files, every answer goes through the official model crate.
#[test]
#[cfg_attr(
    no_shared,
    ignore = "GOLEM_SHARED names no folder with the OpenAPI files"
)]
fn the_openapi_files_and_the_official_crate_agree_with_the_mock() {
    let shared = folder(SHARED);
    let guard = guard::Guard::read(&shared.join("contract/specs"));
    replay::play_all(&shared.join("contract/recordings"), |router| {
        guard.layer(router)
    });
    official::judge(&guard.seen());
    let found = guard.found();
    let errata = errata::known();
    let new: Vec<_> = found
        .iter()
        .filter(|fault| !errata.contains_key(*fault))
        .collect();
    println!(
        "OpenAPI files: {} exchanges, {} errata",
        guard.seen().len(),
        errata.len()
    );
    for fault in &new {
        println!("  {fault}");
    }
    assert!(
        new.is_empty(),
        "{} breaches of the OpenAPI files are no known errata",
        new.len()
    );
}

#[test]
#[cfg_attr(
    no_shared,
    ignore = "GOLEM_SHARED names no folder with the recordings as they were made"
)]
fn the_recordings_of_this_repository_are_those_of_the_daemon_with_other_ids() {
    let script = root().join("tests/fidelity/sample.py");
    let check = Command::new("python3").arg(script).arg("--check").status();
    assert!(check.expect("python3 is there").success());
}
