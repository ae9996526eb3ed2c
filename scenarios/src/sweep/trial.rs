//! One point of a sweep, from the first run of the engine to the last: one runtime, one network, one
//! journal, as many engines as it takes. Owns: the engine's runs and what they leave behind. Whether that is
//! as it should be is `verdict`'s question.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::{join, join_all};
use golem_engine::ShutdownReport;
use golem_engine::journal::{Journal as _, MemoryJournal, OpenState};
use golem_engine::rng::Seed as EngineSeed;
use golem_engine::tasks::TaskGroup;
use jiff::Timestamp;
use mock_yagna::Summary;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::crash_journal::CrashJournal;
use super::crash_switch::{Counts, CrashSwitch};
use super::crash_transport;
use crate::backend::Backend;
use crate::error::Error;
use crate::language::Scenario;
use crate::language::{Disturbance, Point};
use crate::report::outcome::Outcome;
use crate::report::output::Output;
use crate::run::at_work::AtWork;
use crate::run::conduct::beside;
use crate::run::live;
use crate::run::setting::{Plan, Role, Setting, WorkResult};
use crate::run::work::Work;
use crate::stage::{self, Layer, MEMORY_URL};
use crate::workload::Workloads;

/// How long it takes until the program is started again.
const RESTART: Duration = Duration::from_secs(1);
/// How long an engine whose handle was dropped may go on with what it had begun.
const LETTING_GO: Duration = Duration::from_secs(600);
/// How long starting and stopping may take beside the work.
const AROUND: Duration = Duration::from_secs(3600);

/// One point to be tried.
pub(crate) struct Trial<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) seed: u64,
    pub(crate) point: &'a Point,
    pub(crate) folder: &'a Path,
    pub(crate) workloads: &'a Workloads,
    /// From when on the network draws anew, and which of its futures that is.
    pub(crate) future: Option<(Duration, u64)>,
}

/// What one run of the engine did.
#[derive(Debug)]
pub(crate) struct RunRecord {
    pub(crate) counts: Counts,
    /// What the disturbance hit, if there was one and it came.
    pub(crate) hit: Option<String>,
}

/// What a trial left behind.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) runs: Vec<RunRecord>,
    /// Of the last run.
    pub(crate) outcome: Outcome,
    /// Of the last run, if it began.
    pub(crate) report: Option<ShutdownReport>,
    pub(crate) network: Summary,
    /// What the engine's journal says at the end.
    pub(crate) open_state: OpenState,
    /// Of everything that engine and network told.
    pub(crate) sha256: String,
    /// When the last run ended, by the stage's clock.
    pub(crate) ended_at: Timestamp,
    /// Why it did not come to its end.
    pub(crate) stuck: Option<String>,
}

/// How a run ended.
enum End {
    /// By itself, or because it was stopped.
    Over(Box<(WorkResult, Option<ShutdownReport>)>),
    /// Abruptly.
    Cut,
    /// Its handle was dropped.
    Dropped,
    /// It went on and on.
    Stuck,
}

impl Trial<'_> {
    /// Performs it on a runtime of its own.
    pub(crate) fn run(&self) -> Result<Trace, Error> {
        let runtime = stage::runtime(Backend::Memory)?;
        runtime.block_on(Box::pin(self.perform()))
    }

    async fn perform(&self) -> Result<Trace, Error> {
        let output = Output::take_over(self.folder)?;
        let layer = Layer::default();
        // One for all runs: an instance that goes on reached its states in any of them.
        let setting = Setting::begin(Plan {
            scenario: self.scenario,
            seed: self.seed,
            backend: Backend::Memory,
            output: &output,
            layer: &layer,
            workloads: self.workloads,
            listener: None,
            at_work: AtWork::default(),
        })
        .await?;
        let futures = TaskGroup::new("future");
        if let (Some((since, future)), Some(network)) = (self.future, setting.stage.network()) {
            let (network, at) = (network.clone(), setting.begin + since);
            futures.spawn("draw-anew", async move {
                tokio::time::sleep_until(at).await;
                network.draw_anew(future);
            });
        }
        let kept = MemoryJournal::new();
        // The first requestor is disturbed; what becomes of the others must not depend on it.
        let (disturbed, others) = setting
            .roles
            .split_first()
            .ok_or_else(|| failed("there is no requestor".into()))?;
        let never = CancellationToken::new();
        let others = others.iter().map(|role| live(&setting, role, &never));
        let lives = join(self.lives(&setting, disturbed, &kept), join_all(others));
        let ((lives, others), of_nobody) = beside(&setting, lives).await;
        let Lives {
            result,
            report,
            runs,
            stuck,
        } = lives?;
        let others = others.into_iter().collect::<Result<Vec<_>, _>>()?;
        let results = [result].into_iter().chain(others).collect();
        let ended_at = setting.stage.clock().now();
        futures.shutdown(Duration::ZERO).await;
        let remains = setting.end(results, of_nobody).await?;
        if let Some(error) = remains.unwritten {
            return Err(Error::Output {
                path: output.journal(),
                reason: error.to_string(),
            });
        }
        let entries = kept.load().map_err(|error| failed(error.to_string()))?;
        let network = remains.network;
        Ok(Trace {
            runs,
            outcome: remains.outcome,
            report,
            network: network.ok_or_else(|| failed("there is no simulated network".into()))?,
            open_state: OpenState::of(&entries),
            sha256: remains.sha256,
            ended_at,
            stuck,
        })
    }

    /// One life of the engine after the other, until one comes to its end.
    async fn lives(
        &self,
        setting: &Setting<'_>,
        role: &Role,
        kept: &MemoryJournal,
    ) -> Result<Lives, Error> {
        let mut runs = Vec::new();
        let mut stuck = None;
        let (result, report) = loop {
            let number = runs.len();
            let files = setting.files(role)?;
            let files = match number {
                0 => files,
                n => files.join(format!("run-{}", n + 1)),
            };
            std::fs::create_dir_all(&files).map_err(|error| Error::Output {
                path: files.clone(),
                reason: error.to_string(),
            })?;
            let about = json!({ "run": number + 1, "point": self.point.to_string() });
            role.observer.stage("sweep", "begins", &about);
            let run = EngineRun {
                trial: self,
                setting,
                role,
                files,
                since: (number > 0).then(|| setting.begin.elapsed()),
                number: number + 1,
                switch: CrashSwitch::new(self.point.0.get(number).cloned()),
            };
            let tasks = TaskGroup::new("engine run");
            let end = run.perform(kept, &tasks).await;
            let switch = run.switch.clone();
            let about = json!({ "hit": switch.hit() });
            role.observer.stage("sweep", "ended", &about);
            if matches!(end, End::Dropped)
                && timeout(LETTING_GO, switch.released().cancelled())
                    .await
                    .is_err()
            {
                stuck = Some("the engine whose handle was dropped did not let go".to_owned());
            }
            runs.push(RunRecord {
                counts: switch.counts(),
                hit: switch.hit(),
            });
            match end {
                End::Over(over) => break *over,
                End::Stuck => stuck = Some("the run did not come to an end".to_owned()),
                End::Cut | End::Dropped => {}
            }
            if stuck.is_some() {
                break (WorkResult::default(), None);
            }
            tokio::time::sleep(RESTART).await;
        };
        Ok(Lives {
            result,
            report,
            runs,
            stuck,
        })
    }
}

/// What came of the lives of the engine that is disturbed.
struct Lives {
    result: WorkResult,
    report: Option<ShutdownReport>,
    runs: Vec<RunRecord>,
    stuck: Option<String>,
}

fn failed(reason: String) -> Error {
    Error::Stage {
        backend: Backend::Memory.name(),
        reason,
    }
}

/// One run of the engine and its program.
struct EngineRun<'a> {
    trial: &'a Trial<'a>,
    setting: &'a Setting<'a>,
    role: &'a Role,
    files: PathBuf,
    since: Option<Duration>,
    number: usize,
    switch: CrashSwitch,
}

impl EngineRun<'_> {
    async fn perform(&self, kept: &MemoryJournal, tasks: &TaskGroup) -> End {
        let limit = self.role.scenario.limit().saturating_add(AROUND);
        let engage = timeout(limit, Box::pin(self.engage(kept, tasks)));
        let dropped = matches!(self.switch.wish(), Some(Disturbance::Drop(_)));
        tokio::select! {
            biased;
            () = self.switch.dead().cancelled() => End::Cut,
            () = self.switch.due().cancelled(), if dropped => End::Dropped,
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
    ) -> (WorkResult, Option<ShutdownReport>) {
        let url = http::Uri::from_static(MEMORY_URL);
        let (observer, switch) = (self.role.observer.clone(), self.switch.clone());
        let seed = EngineSeed::from_u64(self.trial.seed);
        let engine = self
            .setting
            .golem(self.role, self.number)
            // As in production, where every start draws its own.
            .seed(seed.fork(&format!("engine of life {}", self.number)))
            .journal(CrashJournal::new(kept.clone(), self.switch.clone()))
            .transport(crash_transport::through(
                self.setting.stage.transport(),
                &self.switch,
                &url,
                tasks,
            ))
            .event_observer(move |event| {
                if switch.event(event.kind.name()) {
                    observer.event(event);
                }
            });
        let work = Work {
            setting: self.setting,
            role: self.role,
            files: self.files.clone(),
            interrupt: CancellationToken::new(),
            since: self.since,
        };
        let told_to_stop = async {
            match self.switch.wish() {
                Some(Disturbance::Stop(_)) => self.switch.due().cancelled().await,
                _ => std::future::pending().await,
            }
        };
        work.engage(engine, told_to_stop).await
    }
}
