//! Proof that tests can fail: bugs are planted in engine and network, one at a time, and each must be found by what looks
//! for bugs here (exploring, sweeps, scenarios of the catalog, the laws of the books), within a bound. Without the bug the
//! same search finds nothing.
//!
//! Some are tried, the same ones each time; with `GOLEM_TESTS=whole` all. `BUGS.md` has the table; with `GOLEM_UPDATE=1` it is written.
//! With `GOLEM_PLANTED=NAME` only this one is looked for, by everything that there is; what it finds is printed.

mod bugs;
mod by_hand;
mod search;
mod situations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use workspace_tests::{root, tell, whole};

use self::bugs::{BUGS, By, Planted};
use self::search::{Found, called, files, run_file, search, side_by_side};

/// The table.
const TABLE: &str = "tests/planted/BUGS.md";
/// Of so many bugs one is tried where not all are.
const CANARIES: usize = 6;

/// What is said above the table.
const HEAD: &str = "# Planted bugs

Each is in the code, behind `planted!(\"NAME\")` of [`golem-probe`](../../engine/probe/README.md), and does nothing unless it is chosen. The
test `planted` chooses one after the other and checks that it is found within a bound, and that the same search finds
nothing without it. Threads of other projects are those of `golemfactory`; laws are those of the books and of `rehearse explore`.

";

/// A row of the table: what must stay as it is, and what was counted.
fn row(bug: &Planted, found: &Found) -> (String, String) {
    let Planted {
        name,
        what,
        stands_for,
        by,
    } = bug;
    let name = match *what {
        "" => name.replace('-', " "),
        what => format!("{}: {what}", name.replace('-', " ")),
    };
    let by = called(*by);
    (
        format!("| {name} | {stands_for} | {by} |"),
        format!(" {} | {} |", found.cases, found.what),
    )
}

/// The same search with fewer cases.
fn within(by: By, cases: u64) -> By {
    match by {
        By::Explore(_) => By::Explore(cases),
        By::Scenario(name) => By::Scenario(name),
        By::File(name) => By::File(name),
        By::Sweep(name, kind, _) => {
            By::Sweep(name, kind, usize::try_from(cases).unwrap_or(usize::MAX))
        }
    }
}

#[test]
fn each_planted_bug_is_found_within_its_bound_and_nothing_is_found_without_it() {
    // Sweeps take their time.
    let quick = BUGS.iter().filter(|bug| !matches!(bug.by, By::Sweep(..)));
    let tried: Vec<&Planted> = match whole() {
        true => BUGS.iter().collect(),
        false => quick.step_by(CANARIES).collect(),
    };
    let mut wrong = Vec::new();
    let mut rows = BTreeMap::new();
    // By how it is called: the most cases that a bug took.
    let mut searches: BTreeMap<String, (By, u64)> = BTreeMap::new();
    for bug in &tried {
        let planted = golem_probe::plant(bug.name);
        let found = search(bug.by);
        let met = planted.met();
        drop(planted);
        match found {
            Some(found) => {
                tell(&format!(
                    "{}: {} by {} ({}; its place was met {met} times)",
                    bug.name,
                    found.what,
                    called(bug.by),
                    found.case
                ));
                let known = searches.entry(called(bug.by)).or_insert((bug.by, 0));
                known.1 = known.1.max(found.cases);
                rows.insert(bug.name, row(bug, &found));
            }
            None => wrong.push(format!(
                "{} is not found by {:?}; its place was met {met} times",
                bug.name, bug.by
            )),
        }
    }
    let none = golem_probe::none_planted();
    for (by, cases) in searches.into_values() {
        if let Some(found) = search(within(by, cases)) {
            wrong.push(format!("without a bug {by:?} finds: {found:?}"));
        }
    }
    drop(none);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if std::env::var_os("GOLEM_UPDATE").is_some() && whole() {
        let mut text = HEAD.to_owned();
        text.push_str(
            "| bug | stands for | found by | cases | what does not hold |\n|---|---|---|---|---|\n",
        );
        for bug in BUGS {
            let (stays, counted) = &rows[bug.name];
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{stays}{counted}");
        }
        std::fs::write(root().join(TABLE), text).expect("it can be written");
    }
    let table = std::fs::read_to_string(root().join(TABLE)).unwrap_or_default();
    for (stays, _) in rows.values() {
        let is_there = table.lines().any(|line| line.starts_with(stays.as_str()));
        assert!(
            is_there,
            "{TABLE} does not say {stays}: GOLEM_UPDATE=1 GOLEM_TESTS=whole writes it"
        );
    }
}

#[test]
fn every_scenario_of_these_tests_passes_without_a_bug() {
    let _none = golem_probe::none_planted();
    let failed: Vec<String> = side_by_side(files(), |name| {
        let found = run_file(&name)?;
        Some(format!("{name}: {found:?}"))
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The names in `planted!` below a folder.
fn planted_below(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            planted_below(&path, names);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let calls = text.split("golem_probe::planted!(\"").skip(1);
            names.extend(calls.filter_map(|call| Some(call.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn the_list_has_every_bug_that_is_planted_and_no_other() {
    let mut planted = BTreeSet::new();
    for folder in ["engine/src", "mock-yagna/src", "scenarios/src"] {
        planted_below(&root().join(folder), &mut planted);
    }
    let listed: BTreeSet<String> = BUGS.iter().map(|bug| bug.name.to_owned()).collect();
    assert_eq!(planted, listed);
    assert_eq!(listed.len(), BUGS.len(), "each is listed once");
    assert!(listed.len() >= 40, "{}", listed.len());
}

/// Every law of the books and of exploring, and every claim, has a bug that breaks it.
#[test]
fn every_law_has_a_bug_that_stands_for_it() {
    let books =
        golem_scenarios::mock::ledger::Law::ALL.map(golem_scenarios::mock::ledger::Law::name);
    let explored = golem_scenarios::explore::LAWS.iter();
    // The books stand for all of theirs.
    let explored = explored
        .map(|law| law.name())
        .filter(|name| *name != "books-are-right");
    let missing: Vec<&str> = books
        .into_iter()
        .chain(explored)
        .filter(|law| !BUGS.iter().any(|bug| bug.stands_for.contains(law)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// For whoever plants a new one: everything that finds the bug of `GOLEM_PLANTED`.
#[test]
#[ignore = "by hand: GOLEM_PLANTED=NAME cargo test --workspace --test planted -- --ignored --nocapture"]
fn what_finds_the_bug_that_is_named() {
    let names = std::env::var(golem_probe::PLANTED_VARIABLE).expect("GOLEM_PLANTED names a bug");
    for name in names.split(',') {
        let planted = golem_probe::plant(name);
        let mut ways = Vec::new();
        let own = BUGS.iter().find(|bug| bug.name == name).map(|bug| bug.by);
        ways.extend(own);
        if whole() {
            let slow = |name: &&str| golem_scenarios::catalog::theme_of(name) != Some("scale");
            ways.extend(
                golem_scenarios::catalog::names()
                    .filter(slow)
                    .map(By::Scenario),
            );
            ways.push(By::Explore(64));
        }
        for file in files() {
            if let Some(found) = run_file(&file) {
                tell(&format!("{name}: {file}: {found:?}"));
            }
        }
        for by in ways {
            if let Some(found) = search(by) {
                tell(&format!("{name}: {by:?}: {found:?}"));
            }
        }
        tell(&format!(
            "{name}: its place was met {} times",
            planted.met()
        ));
    }
}
