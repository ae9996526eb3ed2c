//! Sweeps: a scenario is run once undisturbed, to count what happens in it, and then once for every
//! point at which the engine can be ended, or one of its requests can go wrong. After each, nothing
//! may be left open and nothing paid twice.
//!
//! Owns: which points there are, running them in threads, the tally. `language::point` names a point, `trial`
//! performs it, `verdict` judges it.

mod crash_journal;
mod crash_switch;
mod crash_transport;
pub(crate) mod pool;
pub(crate) mod trial;
pub(crate) mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_yagna::Seed;
use rand::seq::index;

use crate::backend::Backend;
use crate::error::Error;
use crate::language::Scenario;
use crate::report::{self, quoted};
use crate::workload::Workloads;

pub use self::crash_switch::Counts;
pub use crate::language::{BadPoint, Counter, Disturbance, Point, REQUEST_FAULTS};

use self::trial::{Trace, Trial};

/// Of so many points one is tried twice, and must give the same journal.
const REPEAT_ONE_OF: usize = 25;
/// Crashes of a second run of the engine that are tried.
const SECOND_CRASHES: usize = 60;

/// What is done at the points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Kind {
    /// The engine ends abruptly before, and after, every journal write and every request that
    /// changes something
    Crash,
    /// As `crash`, and the engine that recovers ends abruptly too: some pairs, by the seed
    Again,
    /// Every request that changes something goes wrong, in every way
    Lost,
    /// The engine is dropped, and stopped, at every event
    Cancel,
}

/// All kinds.
pub const KINDS: [Kind; 4] = [Kind::Crash, Kind::Again, Kind::Lost, Kind::Cancel];

impl Kind {
    /// What its points are called.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Kind::Crash => "crash points",
            Kind::Again => "crashes while recovering",
            Kind::Lost => "lost answers",
            Kind::Cancel => "cancellations",
        }
    }
}

/// How a scenario is swept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads.
    pub jobs: usize,
    /// At most so many points, drawn by the seed; absent: all.
    pub sample: Option<usize>,
}

/// A point after which something does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The point, as the command line takes it back.
    pub point: Point,
    /// What was hit.
    pub hit: String,
    /// What does not hold.
    pub broken: Vec<String>,
    /// What replays it.
    pub command: String,
}

/// What came of a sweep.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Name of the scenario.
    pub scenario: String,
    /// What was done.
    pub kind: Kind,
    /// What happens in the undisturbed run.
    pub counts: Counts,
    /// Points that there are.
    pub all: usize,
    /// Points that were tried.
    pub points: usize,
    /// Points that were tried twice.
    pub repeated: usize,
    /// Points whose result differs with good reason, and what it is.
    pub excused: Vec<String>,
    /// Points after which something does not hold.
    pub failures: Vec<Failure>,
    /// How long it took on the wall's clock.
    pub wall: Duration,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts {
            writes,
            requests,
            events,
            ..
        } = &self.counts;
        write!(
            f,
            "{}: {writes} writes, {requests} requests, {events} events, {} {}",
            self.scenario,
            self.points,
            self.kind.noun(),
        )?;
        if self.points < self.all {
            write!(f, " of {}", self.all)?;
        }
        write!(
            f,
            ", {} failures ({} twice, {} excused, {:.1} s)",
            self.failures.len(),
            self.repeated,
            self.excused.len(),
            self.wall.as_secs_f64()
        )
    }
}

/// A scenario that is swept, and its undisturbed run.
pub struct Sweep {
    scenario: Scenario,
    label: String,
    seed: u64,
    base: Trace,
    folder: tempfile::TempDir,
    workloads: Workloads,
    /// Points of a kind that are enough, as the scenario says.
    sample: Option<usize>,
}

impl Sweep {
    /// Runs a scenario undisturbed. `label` is how the command line names it.
    ///
    /// # Errors
    /// When it cannot run, or does not pass even undisturbed.
    pub fn prepare(
        scenario: &Scenario,
        label: &str,
        seed: Option<u64>,
        workloads: &Workloads,
    ) -> Result<Sweep, Error> {
        let swept = scenario.sweep.as_ref();
        let sample = swept.and_then(|swept| swept.sample.as_ref());
        let sample = sample.map(|sample| sample.value as usize);
        let scenario = scenario.as_swept();
        scenario.check_backend(Backend::Memory)?;
        let seed = seed.unwrap_or(scenario.seed);
        let folder = tempfile::tempdir().map_err(|error| Error::Output {
            path: std::env::temp_dir(),
            reason: error.to_string(),
        })?;
        let base = Trial {
            scenario: &scenario,
            seed,
            point: &Point::default(),
            folder: &folder.path().join("undisturbed"),
            workloads,
            future: None,
        };
        let base = base.run()?;
        let mut broken = verdict::judge(&scenario.laws, &base, &base, &Point::default()).broken;
        let verdicts = report::verdict::judge(&scenario, Backend::Memory, &base.outcome);
        let failed = verdicts.into_iter().filter(|verdict| !verdict.ok);
        broken.extend(failed.map(|v| format!("{} — {}", v.expectation, v.found)));
        if !broken.is_empty() {
            return Err(Error::Sweep {
                scenario: scenario.name.value.clone(),
                reason: broken.join("; "),
            });
        }
        Ok(Sweep {
            scenario,
            label: label.to_owned(),
            seed,
            base,
            folder,
            workloads: workloads.clone(),
            sample,
        })
    }

    /// How many points of a kind are tried, where not all are: `all`, or as many as the scenario says.
    pub fn enough(&self, all: usize) -> usize {
        self.sample.map_or(all, |sample| sample.min(all))
    }

    /// What happens in the undisturbed run.
    pub fn counts(&self) -> &Counts {
        &self.base.runs[0].counts
    }

    /// All points of a kind, in order.
    pub fn points(&self, kind: Kind) -> Vec<Point> {
        let counts = self.counts();
        let every = |make: &dyn Fn(u64) -> Vec<Disturbance>, last: u64| {
            (1..=last)
                .flat_map(make)
                .map(Point::from)
                .collect::<Vec<_>>()
        };
        let crashes = |counter: Counter| {
            move |n: u64| {
                vec![
                    Disturbance::Before(counter, n),
                    Disturbance::After(counter, n),
                ]
            }
        };
        match kind {
            Kind::Crash => {
                let mut points = every(&crashes(Counter::Write), counts.writes);
                points.extend(every(&crashes(Counter::Request), counts.requests));
                points
            }
            Kind::Again => {
                let first = self.points(Kind::Crash);
                let mut rng = Seed::from_u64(self.seed).fork("second crashes").rng();
                let mut draw = |n: usize| rand::RngExt::random_range(&mut rng, 0..n);
                let pairs = SECOND_CRASHES.min(first.len());
                let pair = |_| {
                    let mut runs = first[draw(first.len())].0.clone();
                    // A recovery begins with the first writes of its run.
                    runs.extend_from_slice(&first[draw(first.len().min(120))].0);
                    Point(runs)
                };
                (0..pairs).map(pair).collect()
            }
            Kind::Lost => every(
                &|n| {
                    REQUEST_FAULTS
                        .map(|(_, effect)| Disturbance::Fault(effect, n))
                        .to_vec()
                },
                counts.requests,
            ),
            Kind::Cancel => every(
                &|n| vec![Disturbance::Drop(n), Disturbance::Stop(n)],
                counts.events,
            ),
        }
    }

    /// Tries all points of a kind, or a sample of them.
    pub fn run(&self, kind: Kind, options: &Options) -> Tally {
        self.run_and_tell(kind, options, &|_| {})
    }

    /// The same; `tell` hears after each point whether it failed.
    pub fn run_and_tell(
        &self,
        kind: Kind,
        options: &Options,
        tell: &(dyn Fn(bool) + Sync),
    ) -> Tally {
        #[expect(
            clippy::disallowed_methods,
            reason = "how long people waited is real time"
        )]
        let begin = std::time::Instant::now();
        let mut points: Vec<(usize, Point)> = self.points(kind).into_iter().enumerate().collect();
        let all = points.len();
        let own = self.sample.unwrap_or(usize::MAX);
        let sample = options.sample.map_or(own, |sample| sample.min(own));
        if sample < all {
            let label = format!("sample {kind:?}");
            let mut rng = Seed::from_u64(self.seed).fork(&label).rng();
            let mut drawn = index::sample(&mut rng, all, sample).into_vec();
            drawn.sort_unstable();
            points = drawn.into_iter().map(|at| points[at].clone()).collect();
        }
        let tried = pool::in_threads(&points, options.jobs, |(at, point)| {
            let twice = at % REPEAT_ONE_OF == 0;
            let tried = self.check(point, twice);
            tell(tried.failure.is_some());
            tried
        });
        let mut tally = Tally {
            scenario: self.scenario.name.value.clone(),
            kind,
            counts: self.counts().clone(),
            all,
            points: points.len(),
            repeated: points
                .iter()
                .filter(|(at, _)| at % REPEAT_ONE_OF == 0)
                .count(),
            excused: Vec::new(),
            failures: Vec::new(),
            wall: Duration::ZERO,
        };
        for tried in tried {
            tally.excused.extend(tried.excused);
            tally.failures.extend(tried.failure);
        }
        tally.wall = begin.elapsed();
        tally
    }

    /// Tries one point; with `twice`, again, and compares.
    pub(crate) fn check(&self, point: &Point, twice: bool) -> Tried {
        let folder = self
            .folder
            .path()
            .join(format!("{point}").replace([' ', ','], "-"));
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let first = self.try_in(point, &folder)?;
            let mut verdict = verdict::judge(&self.scenario.laws, &self.base, &first, point);
            if twice && self.try_in(point, &folder)?.sha256 != first.sha256 {
                verdict.broken.push("two runs of the point differ".into());
            }
            let hit = first.runs.iter().filter_map(|run| run.hit.clone());
            Ok::<_, Error>((verdict, hit.collect::<Vec<_>>().join(", then ")))
        }));
        // A folder that stays is removed with its parent.
        drop(std::fs::remove_dir_all(&folder));
        let (verdict, hit) = match tried {
            Ok(Ok(tried)) => tried,
            Ok(Err(error)) => (broken(error.to_string()), String::new()),
            Err(_) => (broken("it panicked".into()), String::new()),
        };
        let excused = verdict.excused.iter().map(|why| format!("{point}: {why}"));
        let command = self.command(point);
        Tried {
            excused: excused.collect(),
            failure: (!verdict.broken.is_empty()).then(|| Failure {
                point: point.clone(),
                hit,
                broken: verdict.broken,
                command,
            }),
        }
    }

    /// Tries one point and leaves its journal in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn replay(&self, point: &Point, folder: &Path) -> Result<Option<Failure>, Error> {
        let trace = self.try_in(point, folder)?;
        let verdict = verdict::judge(&self.scenario.laws, &self.base, &trace, point);
        let hit = trace.runs.iter().filter_map(|run| run.hit.clone());
        Ok((!verdict.broken.is_empty()).then(|| Failure {
            point: point.clone(),
            hit: hit.collect::<Vec<_>>().join(", then "),
            broken: verdict.broken,
            command: self.command(point),
        }))
    }

    fn try_in(&self, point: &Point, folder: &Path) -> Result<Trace, Error> {
        let trial = Trial {
            scenario: &self.scenario,
            seed: self.seed,
            point,
            folder,
            workloads: &self.workloads,
            future: None,
        };
        trial.run()
    }

    fn command(&self, point: &Point) -> String {
        format!(
            "rehearse sweep {} --seed {} --point '{point}'",
            quoted(&self.label),
            self.seed
        )
    }
}

fn broken(what: String) -> verdict::Verdict {
    verdict::Verdict {
        broken: vec![what],
        excused: Vec::new(),
    }
}

/// What came of one point.
pub(crate) struct Tried {
    excused: Vec<String>,
    failure: Option<Failure>,
}

/// Where a replayed point leaves its journal unless told otherwise.
pub(crate) fn usual_folder(scenario: &str) -> PathBuf {
    Path::new("rehearsal").join("sweep").join(scenario)
}
