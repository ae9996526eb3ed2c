//! `rehearse sweep`.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::progress::SweepProgress;
use super::results::ResultArgs;
use crate::error::Error;
use crate::language::catalog;
use crate::report::suite::{Case, CaseResult, Suite};
use crate::sweep::{Failure, KINDS, Kind, Options, Point, Sweep, Tally, usual_folder};
use crate::workload::Workloads;

/// Arguments of `rehearse sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Scenarios of the catalog (see `list`) or scenario files
    #[arg(value_name = "NAME OR FILE", required_unless_present = "all")]
    scenarios: Vec<String>,
    /// The whole catalog
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,
    /// What is done at the points [default: all kinds]
    #[arg(long, value_enum)]
    kind: Vec<Kind>,
    /// Threads [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Seed of everything random [default: the scenario's]
    #[arg(long)]
    seed: Option<u64>,
    /// At most so many points of each kind, drawn by the seed [default: all]
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Replay this point only, for example `after request 37`
    #[arg(long, value_name = "POINT", conflicts_with_all = ["all", "kind", "sample"])]
    point: Option<Point>,
    /// Folder for the journal of a replayed point [default: rehearsal/sweep/SCENARIO]
    #[arg(long, value_name = "DIR", requires = "point")]
    out: Option<PathBuf>,
    /// Failures that are described in full, of each scenario and kind
    #[arg(long, value_name = "N", default_value_t = 10)]
    told: usize,
    #[command(flatten)]
    results: ResultArgs,
}

/// Sweeps, prints what came of it through `say`, and answers whether everything held.
///
/// # Errors
/// When a scenario cannot be swept.
pub(super) fn sweep_command(
    args: &SweepArgs,
    workloads: &Workloads,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    args.results.check()?;
    let mut suites = Vec::new();
    let done = sweep_and_collect(args, workloads, &mut suites, say);
    if let Err(error) = &done {
        suites.push(Suite::broken("sweep", &error.to_string()));
    }
    args.results.write(&suites).map(|()| done)?
}

fn sweep_and_collect(
    args: &SweepArgs,
    workloads: &Workloads,
    suites: &mut Vec<Suite>,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    let names: Vec<String> = match args.all {
        true => catalog::names().map(str::to_owned).collect(),
        false => args.scenarios.clone(),
    };
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok());
    let options = Options {
        jobs: jobs.map_or(1, NonZeroUsize::get),
        sample: args.sample,
    };
    let kinds = match args.kind.is_empty() {
        true => KINDS.to_vec(),
        false => args.kind.clone(),
    };
    let mut fine = true;
    let (mut points, mut failures) = (0, 0);
    for name in &names {
        let scenario = catalog::find(name)?;
        if let Some(why) = scenario.not_swept() {
            say(&format!("{}: not swept: {why}\n", scenario.name.value));
            suites.push(Suite {
                name: format!("sweep of {}", scenario.name.value),
                cases: vec![Case {
                    name: "all points".into(),
                    found: why.to_owned(),
                    result: CaseResult::Skipped,
                }],
                ..Suite::default()
            });
            continue;
        }
        let sweep = Sweep::prepare(&scenario, name, args.seed, workloads)?;
        if let Some(point) = &args.point {
            let failure = replay(&sweep, point, args, &scenario.name.value, say)?;
            fine &= failure.is_none();
            suites.push(Suite {
                name: format!("sweep of {}", scenario.name.value),
                cases: vec![case_of(&point.to_string(), failure.as_ref())],
                ..Suite::default()
            });
            continue;
        }
        for kind in &kinds {
            let tally = run(&sweep, *kind, &options, &scenario.name.value);
            say(&format!("{tally}\n"));
            for failure in tally.failures.iter().take(args.told) {
                describe(failure, say);
            }
            let rest = tally.failures.len().saturating_sub(args.told);
            if rest > 0 {
                say(&format!("  … and {rest} more\n"));
            }
            suites.push(suite_of(&tally));
            points += tally.points;
            failures += tally.failures.len();
        }
    }
    if args.point.is_none() {
        say(&format!("{points} points, {failures} failures\n"));
    }
    Ok(fine && failures == 0)
}

fn run(sweep: &Sweep, kind: Kind, options: &Options, name: &str) -> Tally {
    let points = sweep.enough(sweep.points(kind).len());
    let points = options.sample.map_or(points, |sample| sample.min(points));
    let progress = SweepProgress::begin(&format!("{name} {}", kind.noun()), points);
    let tally = sweep.run_and_tell(kind, options, &|failed| progress.done(failed));
    progress.end();
    tally
}

fn replay(
    sweep: &Sweep,
    point: &Point,
    args: &SweepArgs,
    name: &str,
    say: &mut dyn FnMut(&str),
) -> Result<Option<Failure>, Error> {
    let folder = args.out.clone().unwrap_or_else(|| usual_folder(name));
    let failure = sweep.replay(point, &folder)?;
    match &failure {
        Some(failure) => describe(failure, say),
        None => say(&format!("{name}: {point}: everything holds\n")),
    }
    say(&format!(
        "journal {}\n",
        folder.join("journal.jsonl").display()
    ));
    Ok(failure)
}

/// One case for each point that fails, and one for all others.
fn suite_of(tally: &Tally) -> Suite {
    let held = tally.points.saturating_sub(tally.failures.len());
    let failures = tally
        .failures
        .iter()
        .map(|f| case_of(&f.point.to_string(), Some(f)));
    let others = (held > 0 || tally.failures.is_empty()).then(|| Case {
        name: format!("{held} {}", tally.kind.noun()),
        found: "everything holds".into(),
        result: CaseResult::Passed,
    });
    Suite {
        name: format!("sweep of {}: {}", tally.scenario, tally.kind.noun()),
        seconds: tally.wall.as_secs_f64(),
        properties: Vec::new(),
        cases: failures.chain(others).collect(),
    }
}

fn case_of(point: &str, failure: Option<&Failure>) -> Case {
    Case {
        name: point.to_owned(),
        found: failure.map_or_else(|| "everything holds".into(), |f| f.broken.join("; ")),
        result: match failure {
            None => CaseResult::Passed,
            Some(failure) => {
                CaseResult::Failed(format!("hit: {}\n{}\n", failure.hit, failure.command))
            }
        },
    }
}

fn describe(failure: &Failure, say: &mut dyn FnMut(&str)) {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    drop(writeln!(text, "  {} ({})", failure.point, failure.hit));
    for broken in &failure.broken {
        drop(writeln!(text, "    ✗ {broken}"));
    }
    drop(writeln!(text, "    replay: {}", failure.command));
    say(&String::from_utf8_lossy(&text));
}
