//! Every point of every scenario of the catalog: the engine ends abruptly, loses an answer, is
//! dropped or stopped; afterwards nothing is open, nothing was paid twice, and the result is that of
//! the undisturbed run. A scenario joins by being in the catalog.
//!
//! With `GOLEM_TESTS=whole` every point is tried; otherwise some of each scenario and kind, drawn by the
//! scenario's seed. How many of how many is printed.
//!
//! `rehearse sweep` does the same from the command line; a failure prints the command that replays
//! its point. Where `GOLEM_REHEARSE` is the path of that program, a release build, it tries them: many times faster
//! than these tests when they are built without optimisation.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::process::Command;

use golem_scenarios::catalog;
use golem_scenarios::sweep::{Kind, Options, Sweep, Tally};
use golem_scenarios::workload::Workloads;
use workspace_tests::{tell, whole};

/// Points of a scenario and kind in a sample.
const SAMPLE: usize = 2;

/// Failures that are described.
const TOLD: usize = 10;

fn describe(tally: &Tally) -> String {
    let mut text = tally.to_string();
    for failure in tally.failures.iter().take(TOLD) {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{} ({})\n  {}\n  {}",
            failure.point,
            failure.hit,
            failure.broken.join("\n  "),
            failure.command
        );
    }
    text
}

/// What a release build of `rehearse` says of all points of a kind: how many there are.
fn sweep_by(program: &OsStr, kind: Kind) -> usize {
    let kind = match kind {
        Kind::Crash => "crash",
        Kind::Again => "again",
        Kind::Lost => "lost",
        Kind::Cancel => "cancel",
    };
    let mut sweep = Command::new(program);
    let output = sweep.args(["sweep", "--all", "--kind", kind]).output();
    let output = output.expect("GOLEM_REHEARSE is a program that can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let points = catalog::names().map(|name| {
        let begin = format!("{name}: ");
        let line = said.lines().find_map(|line| line.strip_prefix(&begin));
        let line = line.unwrap_or_else(|| panic!("{name} is not among: {said}"));
        tell(&format!("{name}: {line}"));
        if line.starts_with("not swept") {
            return 0;
        }
        // 104 writes, 38 requests, 122 events, 284 crash points, 0 failures (…)
        let parts: Vec<_> = line.split(", ").collect();
        let number = |at: usize| {
            let words = parts.get(at).and_then(|part| part.split(' ').next());
            words.and_then(|number| number.parse::<usize>().ok())
        };
        assert_eq!(number(4), Some(0), "{name}: {line}");
        number(3).unwrap_or_else(|| panic!("no number of points: {line}"))
    });
    points.sum()
}

/// Sweeps the catalog, which has at least so many points of the kind. All of them are tried, or a sample.
fn sweep_catalog(kind: Kind, least: usize) {
    if whole()
        && let Some(program) = std::env::var_os("GOLEM_REHEARSE")
    {
        let all = sweep_by(&program, kind);
        tell(&format!("{kind:?}: {all} of {all} points (whole)"));
        return has_no_fewer(all, least);
    }
    let options = Options {
        jobs: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        sample: (!whole()).then_some(SAMPLE),
    };
    let mut failed = Vec::new();
    let (mut points, mut all, mut enough) = (0, 0, 0);
    for name in catalog::names() {
        let scenario = catalog::get(name).expect("in the catalog");
        if let Some(why) = scenario.not_swept() {
            tell(&format!("{name}: not swept: {why}"));
            continue;
        }
        let workloads = Workloads::default();
        let sweep =
            Sweep::prepare(&scenario, name, None, &workloads).expect("it passes undisturbed");
        let tally = sweep.run(kind, &options);
        tell(&tally.to_string());
        points += tally.points;
        all += tally.all;
        enough += sweep.enough(tally.all);
        if !tally.failures.is_empty() {
            failed.push(describe(&tally));
        }
    }
    let how = if whole() {
        "whole"
    } else {
        "a sample; GOLEM_TESTS=whole tries all"
    };
    tell(&format!("{kind:?}: {points} of {all} points ({how})"));
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    has_no_fewer(all, least);
    assert!(points == enough || !whole(), "{points} of {enough} points");
}

fn has_no_fewer(all: usize, least: usize) {
    assert!(
        all >= least,
        "{all} points, {least} before: has a scenario lost its point?"
    );
}

#[test]
fn an_engine_that_ends_at_any_point_leaves_nothing_that_the_next_one_does_not_settle() {
    sweep_catalog(Kind::Crash, 3900);
}

#[test]
fn an_engine_that_ends_while_it_recovers_leaves_nothing_either() {
    sweep_catalog(Kind::Again, 950);
}

#[test]
fn whatever_becomes_of_an_answer_the_end_is_the_same() {
    sweep_catalog(Kind::Lost, 4500);
}

#[test]
fn an_engine_that_is_dropped_or_stopped_at_any_event_leaves_nothing() {
    sweep_catalog(Kind::Cancel, 2900);
}
