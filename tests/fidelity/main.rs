//! Judges of the mock that did not write it: recordings of the real daemon, the OpenAPI files, the
//! official model crate, and hostile clients.
#![expect(
    clippy::print_stdout,
    reason = "the score is what the replay is run for"
)]

mod compare;
mod deeds;
mod errata;
mod explained;
mod guard;
mod hostile;
mod identifiers;
mod official;
mod openapi;
mod recording;
mod replay;
mod scenarios;
mod stage;

use workspace_tests::{SHARED, folder_or_skip};

/// The whole replay once more, under guard: every request and answer is held against the OpenAPI
/// files, every answer goes through the official model crate.
#[test]
fn the_openapi_files_and_the_official_crate_agree_with_the_mock() {
    let Some(shared) = folder_or_skip(SHARED) else {
        return;
    };
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
