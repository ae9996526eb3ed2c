//! Situations: what is interesting in engine and network is counted (`golem_probe::sometimes!`), and what looks for bugs must
//! reach it; a search that never comes there says nothing about it.
//!
//! Owns: which situations there are (read from the source), and which are not reached yet.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use golem_engine::service::HealthCheck;
use golem_scenarios::explore::{Exploration, Options};
use golem_scenarios::sweep::{KINDS, Options as SweepOptions, Sweep};
use golem_scenarios::workload::Workloads;
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, catalog};
use workspace_tests::{root, tell, whole};

use super::bugs::By;
use super::search::{files, run_file, search};

/// Situations that nothing reached yet: a hundred and twenty seeds, every scenario of the catalog and those beside these
/// tests, without sweeps.
const UNREACHED: &[&str] = &[
    "a rejected invoice is accepted after all",
    "an acceptance fails for want of funds",
    "an acceptance that seemed to fail had worked",
    "an agreement ends before its first activity",
    "an agreement ends while its instance stops",
    "an approval comes after the cancellation",
    "an exe-unit is not on the bus",
    "an idle machine of a pool is lost",
    "an instance that was stopping goes on after a crash",
    "an invoice comes before its agreement ends",
    "no answer: rejectInvoice",
    "the daemon knows an activity no more",
];
/// What must be reached, at the least.
const LEAST: usize = 90;
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
fn what_no_scenario_says_is_reached_by_hand() {
    let _none = golem_probe::none_planted();
    by_hand();
    let reached = golem_probe::reached();
    for name in [
        "a stop is hurried",
        "an instance is not healthy",
        "an instance is terminated at once",
    ] {
        assert!(reached.contains_key(name), "{name}");
    }
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

/// What no scenario file can say: a health check that fails, an end at once, an order to hurry.
fn by_hand() {
    let check = HealthCheck::new(|_| async { Err("on purpose".into()) });
    Offline::new(1).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let service = golem.run_service_with(hello_tasks::payload(), |ctx| async move {
            ctx.stop_requested().await;
            Ok(())
        });
        let cluster = service
            .health_check(check)
            .start()
            .await
            .expect("a cluster");
        stage.advance(Duration::from_secs(600)).await;
        cluster.terminate();
        let other = golem.run_service_with(hello_tasks::payload(), |ctx| async move {
            ctx.stop_requested().await;
            Ok(())
        });
        let other = other.start().await.expect("a cluster");
        stage.advance(Duration::from_secs(30)).await;
        other.terminate();
        drop(golem.abort().await);
    });
}

#[test]
#[ignore = "over a minute: cargo test --workspace --test planted -- --ignored situation"]
fn exploring_and_the_catalog_reach_every_situation_that_is_not_named_as_unreached() {
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
    by_hand();
    for name in files() {
        if let Some(found) = run_file(&name) {
            panic!("{name}: {found:?}");
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
