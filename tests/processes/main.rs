//! Real processes: the example `comes_back` and the standalone mock, over loopback, with a journal in
//! a file. The example is killed, or told to stop, at lines of its output that a seed draws; a second
//! start settles everything. The judge is the mock's ledger.
//!
//! With `GOLEM_TESTS=whole` each kind of end is tried at several lines, otherwise at the first that is
//! drawn.

mod examples;
mod program;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use chacha20::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use workspace_tests::{StandaloneMock, tell, whole};

use program::{Ledger, Program, Signal};

const SEED: u64 = 4;
/// Ends of a kind that are tried, and how many of them in a sample.
const ROUNDS: u32 = 4;
const SAMPLE: u32 = 1;
/// Lines of a whole run after which nothing interesting comes any more.
const LINES: usize = 45;

/// Runs the example to a drawn line, ends it by `signals`, starts it again, and asks the ledger.
fn ends_at_drawn_lines(label: u64, signals: &[Signal], resume: bool) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + label);
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("processes/network.yaml");
    let network = network.to_str().context("a path in UTF-8")?;
    let mock = StandaloneMock::start(&["--scenario", network])?;
    let ledger = Ledger::of(&mock)?;
    let rounds = if whole() { ROUNDS } else { SAMPLE };
    tell(&format!(
        "{signals:?}: {rounds} of {ROUNDS} rounds; GOLEM_TESTS=whole runs all"
    ));
    for round in 0..rounds {
        let folder = tempfile::tempdir()?;
        let journal = folder.path().join("journal.db");
        let line = rng.random_range(1..=LINES);
        let story = format!("seed {SEED}, round {round}, {signals:?} after line {line}");
        let end = End {
            line,
            signals,
            resume,
        };
        settles(&mock, &ledger, &journal, &end, &mut rng).context(story)?;
    }
    Ok(())
}

/// How the first run ends.
struct End<'a> {
    line: usize,
    signals: &'a [Signal],
    resume: bool,
}

fn settles(
    mock: &StandaloneMock,
    ledger: &Ledger,
    journal: &Path,
    end: &End<'_>,
    rng: &mut impl Rng,
) -> Result<()> {
    let mut first = Program::start(mock, journal, 60, end.resume)?;
    first.read_lines(end.line)?;
    for (number, signal) in end.signals.iter().enumerate() {
        if number > 0 {
            // The next one comes while the first one is being obeyed.
            first.read_lines(rng.random_range(1..=3))?;
        }
        first.send(*signal)?;
    }
    let (_, first_said) = first.wait()?;

    let (status, said) = Program::start(mock, journal, 1, end.resume)?.wait()?;
    ensure!(
        status.success(),
        "the second run ended with {status}:\n{said}\nafter the first one's\n{first_said}"
    );
    ledger
        .settled()
        .with_context(|| format!("first run:\n{first_said}\nsecond run:\n{said}"))
}

#[test]
fn a_killed_program_is_settled_by_its_next_start() -> Result<()> {
    ends_at_drawn_lines(1, &[Signal::Kill], false)
}

#[test]
fn an_interrupted_program_settles_everything_or_its_next_start_does() -> Result<()> {
    ends_at_drawn_lines(2, &[Signal::Interrupt], false)
}

#[test]
fn a_program_interrupted_twice_leaves_nothing_that_its_next_start_does_not_settle() -> Result<()> {
    ends_at_drawn_lines(3, &[Signal::Interrupt, Signal::Interrupt], false)
}

#[test]
fn a_program_that_is_killed_while_it_stops_is_settled_by_its_next_start() -> Result<()> {
    ends_at_drawn_lines(4, &[Signal::Interrupt, Signal::Kill], false)
}

#[test]
fn a_killed_program_that_resumes_its_service_leaves_nothing_either() -> Result<()> {
    ends_at_drawn_lines(5, &[Signal::Kill], true)
}

#[test]
fn a_killed_program_goes_on_with_its_machines_if_it_resumes_its_service() -> Result<()> {
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("processes/network.yaml");
    let network = network.to_str().context("a path in UTF-8")?;
    for resume in [true, false] {
        let mock = StandaloneMock::start(&["--scenario", network])?;
        let ledger = Ledger::of(&mock)?;
        let folder = tempfile::tempdir()?;
        let journal = folder.path().join("journal.db");
        let mut first = Program::start(&mock, &journal, 60, resume)?;
        first.read_until("running")?;
        first.send(Signal::Kill)?;
        first.wait()?;
        let (status, said) = Program::start(&mock, &journal, 1, resume)?.wait()?;
        ensure!(status.success(), "{status}:\n{said}");
        ledger.settled().context(said.clone())?;
        let activities = ledger.read()?["activities"].as_u64();
        let expected = if resume { 2 } else { 4 };
        ensure!(activities == Some(expected), "{activities:?}:\n{said}");
        ensure!(said.contains("goes on with") == resume, "{said}");
    }
    Ok(())
}

#[test]
fn a_program_killed_while_it_stops_starts_its_service_again() -> Result<()> {
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("processes/network.yaml");
    let network = network.to_str().context("a path in UTF-8")?;
    let mock = StandaloneMock::start(&["--scenario", network])?;
    let ledger = Ledger::of(&mock)?;
    let folder = tempfile::tempdir()?;
    let journal = folder.path().join("journal.db");
    let mut first = Program::start(&mock, &journal, 60, true)?;
    first.read_until("running")?;
    first.send(Signal::Interrupt)?;
    first.read_until("event running → stopping")?;
    first.send(Signal::Kill)?;
    first.wait()?;
    // It succeeds only if both instances run.
    let (status, said) = Program::start(&mock, &journal, 1, true)?.wait()?;
    ensure!(status.success(), "{status}:\n{said}");
    ledger.settled().context(said.clone())?;
    ensure!(said.lines().any(|line| line == "running"), "{said}");
    Ok(())
}
