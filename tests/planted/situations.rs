//! Situations: what is interesting in engine and network is counted (`golem_probe::sometimes!`), and what looks for bugs must
//! reach it; a search that never comes there says nothing about it.
//!
//! Owns: which situations there are (read from the source), and which are not reached yet.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use golem_scenarios::catalog;
use golem_scenarios::explore::{Exploration, Options};
use golem_scenarios::sweep::{KINDS, Options as SweepOptions, Sweep};
use golem_scenarios::workload::Workloads;
use workspace_tests::{root, tell, whole};

use super::bugs::By;
use super::search::search;

/// Situations that nothing reaches yet.
const UNREACHED: &[&str] = &[];
/// What must be reached, at the least.
const LEAST: usize = 60;
/// Seeds that are explored.
const SEEDS: u64 = 120;
/// Points of each kind and scenario.
const POINTS: usize = 4;

/// The names in `sometimes!` in a source.
fn names(text: &str) -> BTreeSet<String> {
    let calls = text.split("golem_probe::sometimes!(").skip(1);
    let named = calls.filter_map(|call| {
        let call = call.split_once(");")?.0;
        Some(call.rsplit('"').nth(1)?.to_owned())
    });
    // One for each operation that changes something, by a macro of its own.
    let operations = text.split("=> \"no answer: ").skip(1);
    let operations =
        operations.filter_map(|rest| Some(format!("no answer: {}", rest.split_once('"')?.0)));
    named.chain(operations).collect()
}

fn below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.append(&mut names(&std::fs::read_to_string(&path).expect("text")));
        }
    }
}

/// All situations of engine and network.
fn all() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for folder in ["engine/src", "mock-yagna/src"] {
        below(&root().join(folder), &mut all);
    }
    all
}

#[test]
fn the_project_lists_at_least_sixty_situations_and_none_twice_as_unreached() {
    let all = all();
    assert!(
        all.len() - UNREACHED.len() >= LEAST,
        "{}: {all:#?}",
        all.len()
    );
    for name in UNREACHED {
        assert!(all.contains(*name), "{name}");
    }
}

#[test]
#[ignore = "some minutes: GOLEM_TESTS=whole cargo test --workspace --test planted -- --ignored situation"]
fn exploring_the_catalog_and_sweeps_reach_every_situation() {
    let _none = golem_probe::none_planted();
    let jobs = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let folder = tempfile::tempdir().expect("a folder");
    let exploration = Exploration::new(&[], &Workloads::default()).expect("small scenarios");
    let options = Options {
        seeds: 0..SEEDS,
        saturation: None,
        jobs,
        failures: folder.path().to_owned(),
        ..Options::default()
    };
    let explored = exploration.run(&options, &mut |_| {}).expect("a folder");
    tell(&explored.to_string());
    for name in catalog::names().filter(|name| catalog::theme_of(name) != Some("scale")) {
        if let Some(found) = search(By::Scenario(name)) {
            panic!("{name}: {found:?}");
        }
        let scenario = catalog::get(name).expect("in the catalog");
        if !whole() || scenario.not_swept().is_some() {
            continue;
        }
        let sweep =
            Sweep::prepare(&scenario, name, None, &Workloads::default()).expect("it passes");
        let options = SweepOptions {
            jobs,
            sample: Some(POINTS),
        };
        for kind in KINDS {
            sweep.run(kind, &options);
        }
    }
    let reached = golem_probe::reached();
    for (name, count) in &reached {
        tell(&format!("{count:>9} {name}"));
    }
    let missing: Vec<String> = all()
        .into_iter()
        .filter(|name| !reached.contains_key(name.as_str()) && !UNREACHED.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "never reached: {missing:#?}");
}
