//! One point of a sweep, from the first life of the engine to the last: one runtime, one network, one
//! journal, as many engines as it takes. Owns: the lives and what they leave behind. Whether that is
//! as it should be is `verdict`'s question.

use std::path::{Path, PathBuf};
use std::time::Duration;

use golem_engine::journal::{Journal as _, MemoryJournal, OpenState};
use golem_engine::rng::Seed as EngineSeed;
use golem_engine::tasks::TaskGroup;
use golem_engine::{Golem, ShutdownReport};
use mock_yagna::Summary;
use serde_json::json;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::line::{Counts, Line};
use super::paper::Paper;
use super::point::{Disturbance, Point};
use super::wire;
use crate::error::Error;
use crate::file::Scenario;
use crate::journal::Journal;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::progress::Progress;
use crate::runner::told;
use crate::stage::{self, MEMORY_URL, Stage};
use crate::values::{Backend, Span};
use crate::watch::Watch;
use crate::work::{Work, Worked};

/// How long it takes until somebody starts the program again.
const RESTART: Duration = Duration::from_secs(1);
/// How long an engine whose handle was dropped may go on with what it had begun.
const LETTING_GO: Duration = Duration::from_secs(600);
/// How long starting and stopping may take beside the work.
const AROUND: Duration = Duration::from_secs(3600);

/// One point to be tried.
pub(super) struct Trial<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    pub(super) point: &'a Point,
    pub(super) folder: &'a Path,
}

/// What one life of the engine did.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) counts: Counts,
    /// What the disturbance hit, if there was one and it came.
    pub(super) hit: Option<String>,
}

/// What a trial left behind.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) lives: Vec<Lived>,
    /// Of the last life.
    pub(super) outcome: Outcome,
    /// Of the last life, if it began.
    pub(super) report: Option<ShutdownReport>,
    pub(super) network: Summary,
    /// What the engine's journal says at the end.
    pub(super) open_state: OpenState,
    /// Of everything that engine and network told.
    pub(super) sha256: String,
    /// Why it did not come to its end.
    pub(super) stuck: Option<String>,
}

/// How a life ended.
enum End {
    /// By itself, or because it was stopped.
    Over(Box<(Worked, Option<ShutdownReport>)>),
    /// Abruptly.
    Cut,
    /// Its handle was dropped.
    Dropped,
    /// It went on and on.
    Stuck,
}

impl Trial<'_> {
    /// Performs it on a runtime of its own.
    pub(super) fn run(&self) -> Result<Trace, Error> {
        let runtime = stage::runtime(Backend::Memory)?;
        runtime.block_on(Box::pin(self.perform()))
    }

    async fn perform(&self) -> Result<Trace, Error> {
        let output = Output::prepare(self.folder)?;
        let written = |error: std::io::Error| Error::Output {
            path: output.journal(),
            reason: error.to_string(),
        };
        let journal = Journal::create(&output.journal()).map_err(written)?;
        let stage = Stage::set(self.scenario, self.seed, Backend::Memory).await?;
        if let Some(network) = stage.network() {
            journal.follow(network.clone());
        }
        let kept = MemoryJournal::new();
        let begin = Instant::now();
        let mut lives = Vec::new();
        let mut stuck = None;
        // One for all lives: an instance that goes on reached its states in any of them.
        let watch = Watch::new(journal.clone(), Progress::begin(false, stage.now()));
        let (worked, report) = loop {
            let number = lives.len();
            let files = match number {
                0 => output.files(),
                n => output.files().join(format!("life-{}", n + 1)),
            };
            std::fs::create_dir_all(&files).map_err(written)?;
            let about = json!({ "life": number + 1, "point": self.point.to_string() });
            journal.note("stage", stage.now(), "sweep", "begins", &about);
            let life = Life {
                trial: self,
                stage: &stage,
                watch: &watch,
                files,
                since: (number > 0).then(|| begin.elapsed()),
                number: number + 1,
                line: Line::new(self.point.0.get(number).copied()),
            };
            let tasks = TaskGroup::new("life");
            let end = life.live(&kept, &tasks).await;
            let line = life.line.clone();
            let about = json!({ "hit": line.hit() });
            journal.note("stage", stage.now(), "sweep", "ended", &about);
            if matches!(end, End::Dropped)
                && timeout(LETTING_GO, line.released().cancelled())
                    .await
                    .is_err()
            {
                stuck = Some("the engine whose handle was dropped did not let go".to_owned());
            }
            lives.push(Lived {
                counts: line.counts(),
                hit: line.hit(),
            });
            match end {
                End::Over(over) => break *over,
                End::Stuck => stuck = Some("the run did not come to an end".to_owned()),
                End::Cut | End::Dropped => {}
            }
            if stuck.is_some() {
                break (Worked::default(), None);
            }
            tokio::time::sleep(RESTART).await;
        };
        let elapsed = begin.elapsed();
        stage.settle().await;

        let mut outcome = watch.finish();
        outcome.elapsed = elapsed;
        outcome.began = worked.began;
        outcome.error = worked.error;
        outcome.failed_steps = worked.failed_steps;
        outcome.task_results = worked.task_results;
        outcome.open = worked.open;
        if lives.len() == 1 {
            outcome.files = output.downloads()?;
        }
        let Some(network) = stage.network() else {
            return Err(Error::Stage {
                backend: Backend::Memory.name(),
                reason: "there is no simulated network".into(),
            });
        };
        let network = network.summary();
        outcome.agreements = network.agreements as u64;
        outcome.activities = network.activities as u64;
        outcome.invoices_paid = network.invoices_paid as u64;
        let tally = journal.finish().map_err(written)?;
        stage.strike().await;
        outcome.engine_events = tally.engine_events;
        outcome.network_events = tally.network_events;
        let entries = kept.load().map_err(|error| Error::Stage {
            backend: Backend::Memory.name(),
            reason: error.to_string(),
        })?;
        Ok(Trace {
            lives,
            outcome,
            report,
            network,
            open_state: OpenState::of(&entries),
            sha256: tally.sha256,
            stuck,
        })
    }
}

/// One life of the engine and its program.
struct Life<'a> {
    trial: &'a Trial<'a>,
    stage: &'a Stage,
    watch: &'a Watch,
    files: PathBuf,
    since: Option<Duration>,
    number: usize,
    line: Line,
}

impl Life<'_> {
    async fn live(&self, kept: &MemoryJournal, tasks: &TaskGroup) -> End {
        let limit = self.trial.scenario.limit().saturating_add(AROUND);
        let engage = timeout(limit, Box::pin(self.engage(kept, tasks)));
        let dropped = matches!(self.line.wish(), Some(Disturbance::Drop(_)));
        tokio::select! {
            biased;
            () = self.line.dead().cancelled() => End::Cut,
            () = self.line.due().cancelled(), if dropped => End::Dropped,
            ended = engage => match ended {
                Ok(over) => End::Over(Box::new(over)),
                Err(_) => End::Stuck,
            },
        }
    }

    /// The program: starts an engine, does the work, stops the engine whatever happened.
    async fn engage(
        &self,
        kept: &MemoryJournal,
        tasks: &TaskGroup,
    ) -> (Worked, Option<ShutdownReport>) {
        let scenario = self.trial.scenario;
        let url = Url::parse(MEMORY_URL).expect("a constant");
        let (watch, line) = (self.watch.clone(), self.line.clone());
        let seed = EngineSeed::from_u64(self.trial.seed);
        let started = self
            .stage
            .golem(scenario, self.trial.seed)
            // As in production, where every start draws its own.
            .seed(seed.fork(&format!("engine of life {}", self.number)))
            .journal(Paper::new(kept.clone(), self.line.clone()))
            .transport(wire::through(
                self.stage.transport(),
                &self.line,
                &url,
                tasks,
            ))
            .event_consumer(move |event| {
                if line.event(event.kind.name()) {
                    watch.event(event);
                }
            })
            .start()
            .await;
        let golem: Golem = match started {
            Ok(golem) => golem,
            Err(error) => return (Worked::failed(told(&error)), None),
        };
        let work = Work {
            scenario,
            stage: self.stage,
            watch: self.watch,
            files: self.files.clone(),
            interrupt: CancellationToken::new(),
            since: self.since,
        };
        let limit = scenario.limit();
        let stops = matches!(self.line.wish(), Some(Disturbance::Stop(_)));
        let stopped = async {
            self.line.due().cancelled().await;
            golem.stop().await
        };
        let (mut worked, report) = tokio::select! {
            biased;
            report = stopped, if stops => (Worked::default(), report),
            worked = timeout(limit, Box::pin(work.perform(&golem))) => {
                let late = |_| Worked::failed(format!("the limit of {} has passed", Span(limit)));
                (worked.unwrap_or_else(late), golem.stop().await)
            }
        };
        worked.began = true;
        worked.open.extend(report.open());
        (worked, Some(report))
    }
}
