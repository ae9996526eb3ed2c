//! The catalog's scenarios under guard: whatever the engine asks and is answered in memory is held
//! against the OpenAPI files, no fault of which may be other than the recorded daemon's.

use std::collections::BTreeMap;

use golem_scenarios::{Backend, Layer, Options, catalog, rehearse};
use workspace_tests::{SHARED, folder};

use crate::errata;
use crate::guard::Guard;

/// A provider that is gone: the daemon's answer to what it forwards is 408, as recorded for the creation and the end of an
/// activity and for results of a batch. That it is so for the state, too, is inferred; no recording has it.
const INFERRED: &str = "GET /activity-api/v1/activity/{activityId}/state: 408 is not described";

/// A run that makes more lines says nothing that a smaller one does not, and takes long in a debug build.
const MOST_LINES: u64 = 100_000;

#[test]
#[cfg_attr(
    no_shared,
    ignore = "GOLEM_SHARED names no folder with the OpenAPI files"
)]
fn no_scenario_makes_the_engine_or_the_mock_break_the_openapi_files() {
    let shared = folder(SHARED);
    let specs = shared.join("contract/specs");
    let errata = errata::known();
    let folder = tempfile::tempdir().expect("a folder");
    let mut breaches = BTreeMap::new();
    let mut exchanges = 0;
    for name in catalog::names() {
        let guard = Guard::read(&specs);
        let watching = guard.clone();
        let options = Options {
            backend: Some(Backend::Memory),
            out: Some(folder.path().join(name)),
            layer: Layer::new(move |router| watching.layer(router)),
            ..Options::default()
        };
        let scenario = catalog::get(name).expect("in the catalog");
        let lines = scenario.size().lines;
        if lines > MOST_LINES {
            println!("{name:<24} not watched: about {lines} lines of journal");
            continue;
        }
        let rehearsal = rehearse(&scenario, &options).expect("a report");
        assert!(rehearsal.report.ok, "{name}: {}", rehearsal.summary);
        let seen = guard.seen().len();
        let found = guard.found();
        println!(
            "{name:<24} {seen} exchanges, {} errata met",
            found.iter().filter(|f| errata.contains_key(*f)).count()
        );
        // Asking for offers is the least that every scenario does.
        assert!(seen > 5, "{name}: only {seen} exchanges were watched");
        exchanges += seen;
        let known = |fault: &String| errata.contains_key(fault) || fault == INFERRED;
        for fault in found.into_iter().filter(|fault| !known(fault)) {
            breaches.insert(fault, name);
        }
    }
    println!("scenarios: {exchanges} exchanges watched");
    assert!(
        breaches.is_empty(),
        "neither the files nor the recorded daemon have: {breaches:#?}"
    );
}
