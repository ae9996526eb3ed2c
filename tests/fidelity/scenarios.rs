//! The catalog's scenarios under guard: whatever the engine asks and is answered in memory is held
//! against the OpenAPI files, no fault of which may be other than the recorded daemon's.

use std::collections::BTreeMap;

use golem_scenarios::{Backend, Layer, Options, catalog, rehearse};
use workspace_tests::{SHARED, folder};

use crate::errata;
use crate::guard::Guard;

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
        for fault in found.into_iter().filter(|f| !errata.contains_key(f)) {
            breaches.insert(fault, name);
        }
    }
    println!("scenarios: {exchanges} exchanges watched");
    assert!(
        breaches.is_empty(),
        "neither the files nor the recorded daemon have: {breaches:#?}"
    );
}
