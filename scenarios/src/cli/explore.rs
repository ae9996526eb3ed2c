//! `rehearse explore`.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::progress::ExploreProgress;
use crate::error::Error;
use crate::explore::{Exploration, Explored, Options, kept, replay};
use crate::language::Goal;
use crate::language::values::Span;
use crate::report::output::write_whole;
use crate::workload::Workloads;

/// Arguments of `rehearse explore`.
#[derive(Debug, Args)]
pub(super) struct ExploreArgs {
    /// Scenarios of the catalog or scenario files around which all else is drawn [default: tasks, a pool, a service]
    #[arg(value_name = "NAME OR FILE")]
    scenarios: Vec<String>,
    /// Seeds from A to B, B not included [default: 0..1000; with --for: as many as there is time for]
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// End after so long, as `5m`
    #[arg(long = "for", value_name = "DURATION")]
    time: Option<Span>,
    /// End when so many seeds in a row brought no new pair of successive events; 0: never
    #[arg(long, value_name = "N", default_value_t = 200)]
    saturation: u64,
    /// One share of the seeds: K of N, for several machines
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Threads [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// A situation that must be reached at least once: an event, or several, as `agreement_approved -> AgreementTerminated`
    #[arg(long, value_name = "GOAL")]
    goal: Vec<Goal>,
    /// Runs that a failure may take to be made smaller; 0 keeps it as it was found
    #[arg(long, value_name = "N", default_value_t = 1000)]
    shrink: usize,
    /// Where failures are kept, a folder for each class; those of before are run first
    #[arg(long, value_name = "DIR", default_value = "rehearsal/failures")]
    failures: PathBuf,
    /// Run these files as they are, and judge them by the laws
    #[arg(long, conflicts_with_all = ["seeds", "time", "shard", "goal", "situation", "report", "show"], requires = "scenarios")]
    replay: bool,
    /// A situation of engine and network that must be reached at least once, in a build that counts them (feature `situations`)
    #[arg(long, value_name = "NAME")]
    situation: Vec<String>,
    /// Write what came of it to a file, as JSON; `rehearse merge` puts those of all shares together
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the scenario of one seed instead of running anything
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "time", "shard", "goal", "situation", "report"])]
    show: Option<u64>,
}

/// A range of seeds.
#[derive(Clone, Debug)]
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no range of seeds; write for example `0..500`");
        let (from, to) = text.split_once("..").ok_or_else(bad)?;
        let (from, to) = (from.parse(), to.parse());
        match (from, to) {
            (Ok(from), Ok(to)) if from < to => Ok(Seeds(from..to)),
            _ => Err(bad()),
        }
    }
}

/// A share of the seeds.
#[derive(Clone, Copy, Debug)]
struct Shard(u64, u64);

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(k, n)| (k.parse(), n.parse()));
        match parts {
            Some((Ok(k), Ok(n))) if (1..=n).contains(&k) => Ok(Shard(k, n)),
            _ => Err(format!(
                "`{text}` is no share; write for example `1/4`, up to `4/4`"
            )),
        }
    }
}

/// Explores, prints what came of it through `say`, and answers whether everything held.
///
/// # Errors
/// When it cannot begin, or a failure cannot be kept.
pub(super) fn explore_command(
    args: &ExploreArgs,
    workloads: &Workloads,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    if args.replay {
        let mut fine = true;
        for file in &args.scenarios {
            fine &= again(Path::new(file), workloads, say)?;
        }
        return Ok(fine);
    }
    let exploration = Exploration::new(&args.scenarios, workloads)?;
    if let Some(seed) = args.show {
        say(&exploration.drawn(seed)?);
        return Ok(true);
    }
    let mut fine = true;
    for file in kept(&args.failures) {
        fine &= again(&file, workloads, say)?;
    }
    let seeds = args.seeds.clone().map(|seeds| seeds.0);
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok());
    let options = Options {
        seeds: seeds.unwrap_or(0..if args.time.is_some() { u64::MAX } else { 1000 }),
        shard: args.shard.map_or((1, 1), |Shard(k, n)| (k, n)),
        time: args.time.map(|time| time.0),
        saturation: (args.saturation > 0).then_some(args.saturation),
        jobs: jobs.map_or(1, NonZeroUsize::get),
        shrink: args.shrink,
        failures: args.failures.clone(),
        goals: args.goal.clone(),
        situations: args.situation.clone(),
    };
    let progress = ExploreProgress::begin(&options);
    let explored = exploration.run(&options, &mut |so_far| progress.tell(so_far));
    progress.end();
    let explored = explored?;
    say(&explored.to_string());
    if let Some(file) = &args.report {
        write_report(file, &explored)?;
    }
    Ok(fine && explored.is_fine())
}

fn write_report(file: &Path, explored: &Explored) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(explored).map_err(|error| unusable(file, &error))?;
    let written = write_whole(file, |out| out.write_all(&text));
    written.map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &dyn std::error::Error) -> Error {
    Error::Output {
        path: file.to_owned(),
        reason: error.to_string(),
    }
}

/// Arguments of `rehearse merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// What `explore --report` wrote, of each share one
    #[arg(value_name = "FILE", required = true)]
    reports: Vec<PathBuf>,
    /// Write the whole to a file, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Puts the shares of an exploration together, prints them as one, and answers whether everything held.
///
/// # Errors
/// When a report cannot be read, or they are not all of one exploration.
pub(super) fn merge_command(args: &MergeArgs, say: &mut dyn FnMut(&str)) -> Result<bool, Error> {
    let wrong = |file: &PathBuf, reason: String| Error::Report {
        path: file.clone(),
        reason,
    };
    let read = |file: &PathBuf| {
        let text = std::fs::read(file).map_err(|error| wrong(file, error.to_string()))?;
        serde_json::from_slice::<Explored>(&text).map_err(|error| {
            let none = "it is no report of `rehearse explore` of this version";
            wrong(file, format!("{none}: {error}"))
        })
    };
    let reports = args.reports.iter().map(read).collect::<Result<_, _>>()?;
    let whole = Explored::merge(reports);
    let whole = whole.map_err(|error| wrong(&args.reports[0], error.to_string()))?;
    say(&whole.to_string());
    if let Some(file) = &args.report {
        write_report(file, &whole)?;
    }
    Ok(whole.is_fine())
}

/// Runs a file that was kept.
fn again(file: &Path, workloads: &Workloads, say: &mut dyn FnMut(&str)) -> Result<bool, Error> {
    let folder = file.parent().unwrap_or(Path::new("")).join("replay");
    let broken = replay(file, workloads, &folder)?;
    let name = file.display();
    if broken.is_empty() {
        say(&format!("{name}: every law holds\n"));
        return Ok(true);
    }
    for broken in broken {
        say(&format!("{name}: ✗ {broken}\n"));
    }
    say(&format!(
        "  journal {}\n",
        folder.join("journal.jsonl").display()
    ));
    Ok(false)
}
