//! Real processes: the example `comes_back` and the standalone mock, over loopback, with a journal in
//! a file. The example is killed, or told to stop, at lines of its output that a seed draws; a second
//! start settles everything. The judge is the mock's ledger.

mod program;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workspace_tests::StandaloneMock;

use program::{Ledger, Program, Signal};

const SEED: u64 = 4;
/// Ends of a kind that are tried.
const ROUNDS: u32 = 4;
/// Lines of a whole run after which nothing interesting comes any more.
const LINES: usize = 45;

/// Runs the example to a drawn line, ends it by `signals`, starts it again, and asks the ledger.
fn ends_at_drawn_lines(label: u64, signals: &[Signal]) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + label);
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("processes/network.yaml");
    let network = network.to_str().context("a path in UTF-8")?;
    let mock = StandaloneMock::start(&["--scenario", network])?;
    let ledger = Ledger::of(&mock)?;
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let journal = folder.path().join("journal.db");
        let line = rng.random_range(1..=LINES);
        let story = format!("seed {SEED}, round {round}, {signals:?} after line {line}");
        settles(&mock, &ledger, &journal, line, signals, &mut rng).context(story)?;
    }
    Ok(())
}

fn settles(
    mock: &StandaloneMock,
    ledger: &Ledger,
    journal: &Path,
    line: usize,
    signals: &[Signal],
    rng: &mut impl Rng,
) -> Result<()> {
    let mut first = Program::start(mock, journal, 60)?;
    first.read_lines(line)?;
    for (number, signal) in signals.iter().enumerate() {
        if number > 0 {
            // The next one comes while the first one is being obeyed.
            first.read_lines(rng.random_range(1..=3))?;
        }
        first.send(*signal)?;
    }
    let (_, first_said) = first.wait()?;

    let (status, said) = Program::start(mock, journal, 1)?.wait()?;
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
    ends_at_drawn_lines(1, &[Signal::Kill])
}

#[test]
fn an_interrupted_program_settles_everything_or_its_next_start_does() -> Result<()> {
    ends_at_drawn_lines(2, &[Signal::Interrupt])
}

#[test]
fn a_program_interrupted_twice_leaves_nothing_that_its_next_start_does_not_settle() -> Result<()> {
    ends_at_drawn_lines(3, &[Signal::Interrupt, Signal::Interrupt])
}

#[test]
fn a_program_that_is_killed_while_it_stops_is_settled_by_its_next_start() -> Result<()> {
    ends_at_drawn_lines(4, &[Signal::Interrupt, Signal::Kill])
}
