//! Every point of every scenario of the catalog: the engine ends abruptly, loses an answer, is
//! dropped or stopped; afterwards nothing is open, nothing was paid twice, and the result is that of
//! the undisturbed run. A scenario joins by being in the catalog.
//!
//! `rehearse sweep` does the same from the command line; a failure prints the command that replays
//! its point.

use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroUsize;

use golem_scenarios::catalog;
use golem_scenarios::sweep::{Kind, Options, Sweep, Tally};

/// Failures that are described.
const TOLD: usize = 10;

/// Past the test runner, which keeps what tests print to itself: the counts are to be seen.
fn tell(line: &str) {
    // Nobody may be listening.
    drop(writeln!(std::io::stderr(), "{line}"));
}

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

/// Sweeps the whole catalog; how many points there were.
fn sweep_catalog(kind: Kind) -> usize {
    let options = Options {
        seed: None,
        jobs: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        sample: None,
        progress: false,
    };
    let mut failed = Vec::new();
    let mut points = 0;
    for name in catalog::names() {
        let scenario = catalog::get(name).expect("in the catalog");
        if let Some(why) = scenario.not_swept() {
            tell(&format!("{name}: not swept: {why}"));
            continue;
        }
        let sweep = Sweep::prepare(&scenario, name, None).expect("it passes undisturbed");
        let tally = sweep.run(kind, &options);
        tell(&tally.to_string());
        points += tally.points;
        if !tally.failures.is_empty() {
            failed.push(describe(&tally));
        }
    }
    tell(&format!("{kind:?}: {points} points"));
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    points
}

#[test]
fn an_engine_that_ends_at_any_point_leaves_nothing_that_the_next_one_does_not_settle() {
    assert!(sweep_catalog(Kind::Crash) > 1000);
}

#[test]
fn an_engine_that_ends_while_it_recovers_leaves_nothing_either() {
    assert!(sweep_catalog(Kind::Again) > 300);
}

#[test]
fn whatever_becomes_of_an_answer_the_end_is_the_same() {
    assert!(sweep_catalog(Kind::Lost) > 1000);
}

#[test]
fn an_engine_that_is_dropped_or_stopped_at_any_event_leaves_nothing() {
    assert!(sweep_catalog(Kind::Cancel) > 500);
}
