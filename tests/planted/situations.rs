//! Situations: what is interesting in engine and network is counted (`golem_probe::sometimes!`), and what looks for bugs must
//! reach it; a search that never comes there says nothing about it.
//!
//! Owns: which situations there are (read from the source), and that all of them are reached.

use std::collections::BTreeSet;
use std::path::Path;

use golem_scenarios::catalog;
use golem_scenarios::explore::{Exploration, Options};
use golem_scenarios::workload::Workloads;
use workspace_tests::{root, tell};

use super::bugs::By;
use super::by_hand;
use super::search::{Found, files, jobs, run_file, search, side_by_side};

/// How many there are, at the least.
const LEAST: usize = 60;
/// Seeds that are explored.
const SEEDS: u64 = 120;

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
fn what_no_scenario_says_is_reached_by_hand() {
    let _none = golem_probe::none_planted();
    let before = golem_probe::reached();
    by_hand::all();
    let reached = golem_probe::reached();
    for name in by_hand::REACHED {
        assert!(reached.get(name) > before.get(name), "{name}");
    }
}

#[test]
fn the_project_lists_at_least_sixty_situations() {
    let all = all();
    assert!(all.len() >= LEAST, "{}: {all:#?}", all.len());
    for name in by_hand::REACHED {
        assert!(all.contains(*name), "{name}");
    }
}

/// A scenario and what does not hold in it.
type Failed = (String, Found);

#[test]
#[ignore = "over a minute, so by `.ci/run` and by hand: cargo test --workspace --test planted -- --ignored every_situation"]
fn exploring_the_catalog_scenarios_and_programs_reach_every_situation() {
    let _none = golem_probe::none_planted();
    let folder = tempfile::tempdir().expect("a folder");
    let exploration = Exploration::new(&[], &Workloads::default()).expect("small scenarios");
    let options = Options {
        seeds: 0..SEEDS,
        saturation: None,
        jobs: jobs(),
        failures: folder.path().to_owned(),
        ..Options::default()
    };
    let explored = exploration.run(&options, &mut |_| {}).expect("a folder");
    tell(&explored.to_string());
    assert!(explored.failures.is_empty(), "{explored}");
    let scenarios = catalog::names().filter(|name| catalog::theme_of(name) != Some("scale"));
    let failed: Vec<Failed> = side_by_side(scenarios.collect(), |name| {
        Some((name.to_string(), search(By::Scenario(name))?))
    });
    assert!(failed.is_empty(), "{failed:#?}");
    let failed: Vec<Failed> = side_by_side(files(), |name| {
        let found = run_file(&name)?;
        Some((name, found))
    });
    assert!(failed.is_empty(), "{failed:#?}");
    by_hand::all();
    let reached = golem_probe::reached();
    for (name, count) in &reached {
        tell(&format!("{count:>9} {name}"));
    }
    let mut missing = all();
    missing.retain(|name| !reached.contains_key(name.as_str()));
    assert!(missing.is_empty(), "never reached: {missing:#?}");
}
