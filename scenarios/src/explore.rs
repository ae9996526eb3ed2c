//! Exploring: networks, troubles and fates of the requestor are drawn at random around a scenario, seed by seed, and
//! after each run the laws must hold that hold in any network. A failure is made smaller and kept as a scenario file.
//!
//! Owns: which seeds are run, when it is enough, what is kept of failures. `draw` draws, `laws` judges, `shrink` makes
//! smaller, `document` is a file as data, `explored` tells what came of it, of one machine or of many.

mod document;
mod draw;
mod explain;
mod explored;
mod laws;
mod rust_test;
mod shrink;
#[cfg(feature = "proptest")]
pub mod strategies;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

pub use self::explain::{Explained, Likelihood, Options as ExplainOptions, explain};
pub use self::explored::{Enough, Explored, Failure, Unmergeable};
pub use self::laws::{Broken, LAWS, Law};
pub use self::rust_test::rust_test;

use self::document::Document;
use self::shrink::{Attempt, shrink};
use crate::error::Error;
use crate::language::{Goal, Origin, Point, Scenario, catalog};
use crate::sweep::pool;
use crate::sweep::trial::{Trace, Trial};
use crate::workload::Workloads;

/// Of so many seeds one is run twice, and must give the same journal.
const REPEAT_ONE_OF: u64 = 25;
/// Seeds that a thread takes at a time.
const BATCH: usize = 8;
/// The file in a failure's folder.
const FILE: &str = "scenario.yaml";

/// How it is explored, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which seeds, at the most.
    pub seeds: Range<u64>,
    /// One share of them: which, from 1, of how many.
    pub shard: (u64, u64),
    /// How long, on the wall's clock; absent: until one of the others says so.
    pub time: Option<Duration>,
    /// It is enough when so many seeds in a row brought no new pair of successive events; absent: never.
    pub saturation: Option<u64>,
    /// Threads.
    pub jobs: usize,
    /// Runs that a failure may take to be made smaller; 0: it is kept as it was found.
    pub shrink: usize,
    /// Where failures are kept, a folder for each class.
    pub failures: PathBuf,
    /// Situations that must be reached, besides those of the scenarios.
    pub goals: Vec<Goal>,
    /// Situations of `golem_probe::sometimes!` that must be reached; in a build without its feature none is.
    pub situations: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seeds: 0..1000,
            shard: (1, 1),
            time: None,
            saturation: Some(200),
            jobs: 1,
            shrink: 1000,
            failures: Path::new("rehearsal").join("failures"),
            goals: Vec::new(),
            situations: Vec::new(),
        }
    }
}

/// What is explored: scenarios, around which all else is drawn.
pub struct Exploration {
    bases: Vec<(Document, Origin)>,
    goals: Vec<Goal>,
    /// Laws that some scenario can put to the test.
    laws: BTreeSet<Law>,
    workloads: Workloads,
    folder: TempDir,
}

/// One seed that was run.
struct Tried {
    seed: u64,
    broken: Vec<Broken>,
    tested: BTreeSet<Law>,
    happened: Vec<String>,
    virtual_time: Duration,
}

impl Exploration {
    /// Explores around scenarios of the catalog, by name, and scenario files; with none, around small ones of each
    /// mode of the engine.
    ///
    /// # Errors
    /// When one cannot be read, or runs what `workloads` does not know.
    pub fn new(scenarios: &[String], workloads: &Workloads) -> Result<Exploration, Error> {
        let mut bases = Vec::new();
        let mut goals = Vec::new();
        let mut laws = BTreeSet::new();
        let mut add = |text: &str, origin: Origin| {
            let scenario = Scenario::parse(text, origin.clone())?;
            if let Some(several) = &scenario.requestors {
                let message = "what is drawn around it is one requestor's; several `requestors` are for `run` and `sweep`";
                return Err(scenario.mistake(several.referenced, message));
            }
            workloads.check(&scenario)?;
            goals.extend(scenario.goals.iter().map(|goal| goal.value.clone()));
            let has_instances = scenario.service.is_some();
            laws.extend(LAWS.into_iter().filter(|law| {
                let applies = *law != Law::InstancesEnd || has_instances;
                applies && !scenario.laws.sets_aside(law.name())
            }));
            let document = Document::read(&Scenario::whole(text, &origin)?);
            let document = document.map_err(|mistake| Error::mistake(&origin.file, mistake))?;
            bases.push((document, origin));
            Ok::<_, Error>(())
        };
        if scenarios.is_empty() {
            for (name, text) in draw::bases() {
                let origin = Origin {
                    file: name.to_owned(),
                    folder: None,
                };
                add(text, origin)?;
            }
        }
        for name in scenarios {
            let (text, origin) = catalog::source(name)?;
            add(&text, origin)?;
        }
        Ok(Exploration {
            bases,
            goals,
            laws,
            workloads: workloads.clone(),
            folder: tempfile::tempdir().map_err(|error| Error::Output {
                path: std::env::temp_dir(),
                reason: error.to_string(),
            })?,
        })
    }

    /// Explores until it is enough; `tell` hears after each batch what there is so far.
    ///
    /// # Errors
    /// When failures cannot be kept, or what is drawn around a scenario contradicts it.
    pub fn run(
        &self,
        options: &Options,
        tell: &mut dyn FnMut(&Explored),
    ) -> Result<Explored, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "how long people waited is real time"
        )]
        let begin = std::time::Instant::now();
        let goals = self.goals.iter().chain(&options.goals);
        let mut explored = Explored::new(options.seeds.clone(), options.shard);
        explored.goals = goals.map(|goal| (goal.clone(), 0)).collect();
        explored.asked = options.goals.iter().cloned().collect();
        explored.laws = self.laws.iter().map(|law| (*law, 0)).collect();
        let reached_before = golem_probe::reached();
        let mut quiet = 0;
        let (shard, shards) = options.shard;
        let mut seeds = options
            .seeds
            .clone()
            .filter(|seed| seed % shards.max(1) == shard.saturating_sub(1));
        'all: loop {
            let batch: Vec<u64> = seeds.by_ref().take(BATCH * options.jobs.max(1)).collect();
            if batch.is_empty() {
                break;
            }
            // The first one is run twice whatever its number, so that this law is put to the test.
            let first = (explored.seeds == 0).then(|| batch[0]);
            let trying = |seed: &u64| self.try_seed(*seed, first == Some(*seed));
            for tried in pool::in_threads(&batch, options.jobs, trying) {
                let tried = tried?;
                explored.seeds += 1;
                explored.virtual_time += tried.virtual_time;
                let before = explored.pairs.len();
                let successive = tried.happened.windows(2);
                let successive = successive.map(|pair| (pair[0].clone(), pair[1].clone()));
                explored.pairs.extend(successive);
                quiet += 1;
                if explored.pairs.len() > before {
                    quiet = 0;
                    explored.last_news = Some(tried.seed);
                }
                for (goal, reached) in &mut explored.goals {
                    let happened = tried.happened.iter().map(String::as_str);
                    *reached += u64::from(goal.is_reached(happened));
                }
                for (law, runs) in &mut explored.laws {
                    *runs += u64::from(tried.tested.contains(law));
                }
                explored.reached_since(&reached_before, &options.situations);
                self.keep(&tried, options, &mut explored)?;
                if let Some(enough) = options.saturation.filter(|enough| quiet >= *enough) {
                    explored.enough = Enough::Saturation(enough);
                    break 'all;
                }
            }
            explored.wall = begin.elapsed();
            tell(&explored);
            if options.time.is_some_and(|time| begin.elapsed() >= time) {
                explored.enough = Enough::Time;
                break;
            }
        }
        explored.wall = begin.elapsed();
        Ok(explored)
    }

    /// The file that a seed stands for.
    ///
    /// # Errors
    /// When what is drawn contradicts the scenario.
    pub fn drawn(&self, seed: u64) -> Result<String, Error> {
        let (document, origin) = self.draw(seed);
        document.scenario(origin)?;
        Ok(document.to_yaml())
    }

    fn draw(&self, seed: u64) -> (Document, Origin) {
        let bases = self.bases.len() as u64;
        let at = usize::try_from(seed % bases.max(1)).unwrap_or_default();
        let (base, origin) = &self.bases[at];
        (draw::draw(base, seed), origin.clone())
    }

    fn try_seed(&self, seed: u64, twice: bool) -> Result<Tried, Error> {
        let (document, origin) = self.draw(seed);
        let scenario = document.scenario(origin)?;
        let folder = self.folder.path().join(format!("seed-{seed}"));
        let twice = twice || seed.is_multiple_of(REPEAT_ONE_OF);
        Ok(self.try_scenario(seed, &scenario, &folder, twice))
    }

    /// Runs a scenario in a folder of its own; with `twice`, again, and compares.
    fn try_scenario(&self, seed: u64, scenario: &Scenario, folder: &Path, twice: bool) -> Tried {
        let run = || run_in(scenario, &self.workloads, folder, None);
        let ran = run().and_then(|(mut broken, happened, trace)| {
            let mut tested = laws::tested(&trace);
            if twice && broken.is_empty() {
                tested.insert(Law::SameSeedSameJournal);
                if run()?.2.sha256 != trace.sha256 {
                    let what = "two runs with one seed differ";
                    broken.push(Broken::new(Law::SameSeedSameJournal, what));
                }
            }
            Ok((broken, tested, happened, trace.outcome.elapsed))
        });
        // A folder that stays is removed with its parent.
        drop(std::fs::remove_dir_all(folder));
        let (broken, tested, happened, virtual_time) = match ran {
            Ok(ran) => ran,
            Err(broken) => (vec![broken], BTreeSet::new(), Vec::new(), Duration::ZERO),
        };
        Tried {
            seed,
            broken,
            tested,
            happened,
            virtual_time,
        }
    }

    /// Counts failures; one of a new class is made smaller and kept.
    fn keep(&self, tried: &Tried, options: &Options, explored: &mut Explored) -> Result<(), Error> {
        for broken in &tried.broken {
            self.keep_one(tried.seed, broken, options, explored)?;
        }
        Ok(())
    }

    fn keep_one(
        &self,
        seed: u64,
        broken: &Broken,
        options: &Options,
        explored: &mut Explored,
    ) -> Result<(), Error> {
        let class = broken.class();
        if let Some(known) = explored.failures.iter_mut().find(|it| it.class == class) {
            known.seeds += 1;
            return Ok(());
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "how long people waited is real time"
        )]
        let begin = std::time::Instant::now();
        let (document, origin) = self.draw(seed);
        let twice = broken.law == Law::SameSeedSameJournal;
        let number = AtomicUsize::new(0);
        let attempt = |smaller: &Document| {
            let Ok(scenario) = smaller.scenario(origin.clone()) else {
                return Attempt::Nothing;
            };
            let number = number.fetch_add(1, Ordering::Relaxed);
            let folder = self.folder.path().join(format!("smaller-{number}"));
            let found = self.try_scenario(seed, &scenario, &folder, twice).broken;
            let same = found.into_iter().find(|found| found.class() == class);
            same.map_or(Attempt::Passes, Attempt::Fails)
        };
        let shrunk = shrink(&document, options.shrink, options.jobs, attempt);
        let last = shrunk.failure.unwrap_or_else(|| broken.clone());
        let text = shrunk.document.to_yaml();
        let lines = text.lines().count();
        let folder = options.failures.join(&class);
        let file = folder.join(FILE);
        let header = format!(
            "# {last}\n# Found by seed {} (`rehearse explore` draws it), made smaller in {} runs.\n# Again: rehearse explore --replay {}\n",
            seed,
            shrunk.runs,
            file.display()
        );
        let written =
            std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, header + &text));
        written.map_err(|error| Error::Output {
            path: file.clone(),
            reason: error.to_string(),
        })?;
        explored.failures.push(Failure {
            class,
            broken: last,
            seed,
            seeds: 1,
            shrink_runs: shrunk.runs,
            shrink_time: begin.elapsed(),
            file,
            lines,
        });
        Ok(())
    }
}

/// The failures that were kept in a folder, in order of their classes.
pub fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path().join(FILE));
    let mut files: Vec<_> = files.filter(|file| file.is_file()).collect();
    files.sort();
    files
}

/// Runs a scenario file as it is, its `disturbed` included, and judges it by the laws. Its journal is in `folder`.
///
/// # Errors
/// When it cannot be read, or the folder cannot be used.
pub fn replay(file: &Path, workloads: &Workloads, folder: &Path) -> Result<Vec<Broken>, Error> {
    let scenario = Scenario::load(file)?;
    workloads.check(&scenario)?;
    Ok(judged(&scenario, workloads, folder, |broken, _| broken))
}

/// Runs the text of a scenario file as it is, its `disturbed` included, and judges it by the laws; for tests of failures
/// that were found.
///
/// # Errors
/// When it is no scenario, runs what `workloads` does not know, or there is no folder for it.
pub fn broken_laws(text: &str, workloads: &Workloads) -> Result<Vec<Broken>, Error> {
    in_a_folder(text, Origin::default(), workloads)
}

/// The same of a file that stands somewhere.
fn in_a_folder(text: &str, origin: Origin, workloads: &Workloads) -> Result<Vec<Broken>, Error> {
    let scenario = checked(text, origin, workloads)?;
    let folder = a_folder()?;
    Ok(judged(&scenario, workloads, folder.path(), |broken, _| {
        broken
    }))
}

/// Runs the text of a scenario file as it is, and judges it by what it expects itself; for tests of failures that were
/// explained.
///
/// # Errors
/// When it is no scenario, runs what `workloads` does not know, cannot be run, or there is no folder for it.
pub fn failed_expectations(text: &str, workloads: &Workloads) -> Result<Vec<Broken>, Error> {
    let scenario = checked(text, Origin::default(), workloads)?;
    let folder = a_folder()?;
    Ok(judged(&scenario, workloads, folder.path(), |_, trace| {
        laws::unexpected(&scenario, &trace)
    }))
}

fn checked(text: &str, origin: Origin, workloads: &Workloads) -> Result<Scenario, Error> {
    let scenario = Scenario::parse(text, origin)?;
    workloads.check(&scenario)?;
    Ok(scenario)
}

fn a_folder() -> Result<tempfile::TempDir, Error> {
    tempfile::tempdir().map_err(|error| Error::Output {
        path: std::env::temp_dir(),
        reason: error.to_string(),
    })
}

/// What `judge` makes of a run: of the laws that it broke, and all else. One that could not be run is broken by that.
fn judged(
    scenario: &Scenario,
    workloads: &Workloads,
    folder: &Path,
    judge: impl FnOnce(Vec<Broken>, Trace) -> Vec<Broken>,
) -> Vec<Broken> {
    match run_in(scenario, workloads, folder, None) {
        Ok((broken, _, trace)) => judge(broken, trace),
        Err(broken) => vec![broken],
    }
}

/// Runs a scenario; the laws that it broke, what happened in order, and all else. `Err`: it could not be run.
fn run_in(
    scenario: &Scenario,
    workloads: &Workloads,
    folder: &Path,
    future: Option<(Duration, u64)>,
) -> Result<(Vec<Broken>, Vec<String>, Trace), Broken> {
    let undisturbed = Point::default();
    let trial = Trial {
        scenario,
        seed: scenario.seed,
        point: scenario
            .requestor
            .disturbed
            .as_ref()
            .unwrap_or(&undisturbed),
        folder,
        workloads,
        future,
    };
    let trace = match catch_unwind(AssertUnwindSafe(|| trial.run())) {
        Ok(Ok(trace)) => trace,
        Ok(Err(error)) => return Err(Broken::new(Law::Ends, error.to_string())),
        Err(_) => return Err(Broken::new(Law::NobodyPanics, "the run panicked")),
    };
    let journal = std::fs::read_to_string(folder.join("journal.jsonl"));
    let happened = journal.as_deref().unwrap_or_default().lines();
    let happened = happened
        .filter_map(crate::run::journal::event_of)
        .map(str::to_owned);
    Ok((laws::judge(scenario, &trace), happened.collect(), trace))
}

#[cfg(test)]
mod tests;
