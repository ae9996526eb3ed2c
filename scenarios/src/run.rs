//! Runs a scenario from the first request to the report.
//!
//! Owns the order: stage, engine, work with its timeline, stop, settlement, judgement. What is run
//! is in `work`, where it runs in `stage`.

pub(crate) mod at_work;
pub(crate) mod conduct;
mod follower;
pub(crate) mod journal;
mod levels;
pub(crate) mod monitor;
pub(crate) mod observer;
mod owners;
pub(crate) mod setting;
pub(crate) mod timeline;
mod watchdog;
pub(crate) mod work;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use golem_engine::journal::MemoryJournal;
use tokio_util::sync::CancellationToken;

pub use self::observer::Listener;

use self::at_work::AtWork;
use self::conduct::beside;
use self::setting::{Plan, Remains, Role, Setting, WorkResult};
use self::watchdog::Watchdog;
use self::work::Work;
use crate::backend::Backend;
use crate::error::Error;
use crate::language::{Scenario, Verb};
use crate::report::outcome::Outcome;
use crate::report::output::Output;
use crate::report::suite::Suite;
use crate::report::verdict::{judge, lawful, lawful_each};
use crate::report::{Report, quoted};
use crate::stage::{self, Layer};
use crate::workload::Workloads;

/// Where output goes unless told otherwise: a folder of this name, in it one per scenario.
const USUAL_FOLDER: &str = "rehearsal";

/// How a scenario is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Instead of the scenario's own seed.
    pub seed: Option<u64>,
    /// Instead of the scenario's usual backend.
    pub backend: Option<Backend>,
    /// Instead of `rehearsal/<scenario>`.
    pub out: Option<PathBuf>,
    /// The command that runs it again, for the report; absent: `rehearse run` with the scenario's name or file, the
    /// seed and the backend.
    pub command: Option<String>,
    /// Whether the page `report.html` is left in the output folder, too.
    pub page: bool,
    /// Hears what happens.
    pub listener: Option<Listener>,
    /// Stops the run cleanly when cancelled.
    pub interrupt: CancellationToken,
    /// What stands around the simulated daemon in memory.
    pub layer: Layer,
    /// What scenarios can run; by default the built-in workloads.
    pub workloads: Workloads,
    /// How long the stage's clock may stand still, on the wall's clock, before the run is given up; absent:
    /// five minutes. Nothing ends a run sooner that has a second of its own time to show for it.
    pub stuck_after: Option<Duration>,
    /// Called, in another thread and with the reason, when a run that is given up does not end within ten
    /// seconds: something in it blocks the thread. What is left then is to end the process.
    pub hung: Option<fn(&str)>,
}

/// A finished run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rehearsal {
    /// For programs.
    pub report: Report,
    /// For people.
    pub summary: String,
    /// The facts.
    pub outcome: Outcome,
    /// The claims, each with what came of it.
    pub(crate) suite: Suite,
}

/// Runs a scenario on a runtime of its own and blocks until it is over.
///
/// # Errors
/// When the run could not begin, when it hung, and when journal or report could not be written (which
/// [`Error::Unsaved`] tells together with what came of the run). That it did not go as expected is in the
/// report.
pub fn rehearse(scenario: &Scenario, options: &Options) -> Result<Rehearsal, Error> {
    let backend = options.backend.unwrap_or_else(|| scenario.usual_backend());
    let scenario = match backend {
        Backend::Memory => scenario.clone(),
        Backend::Http | Backend::Yagna => scenario.as_in_real_time(),
    };
    scenario.check_backend(backend)?;
    if let Some(point) = &scenario.requestor.disturbed {
        return Err(Error::Disturbed {
            scenario: scenario.name.value.clone(),
            point: point.to_string(),
            file: scenario.origin.file.clone(),
        });
    }
    options.workloads.check(&scenario)?;
    let folder = options
        .out
        .clone()
        .unwrap_or_else(|| Path::new(USUAL_FOLDER).join(&scenario.name.value));
    let output = Output::prepare(&folder)?;
    let seed = options.seed.unwrap_or(scenario.seed);
    let runtime = stage::runtime(backend)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "how long people waited is real time"
    )]
    let begin = std::time::Instant::now();
    let at_work = AtWork::default();
    let plan = Plan {
        scenario: &scenario,
        seed,
        backend,
        output: &output,
        layer: &options.layer,
        workloads: &options.workloads,
        listener: options.listener.clone(),
        at_work: at_work.clone(),
    };
    let watchdog = Watchdog::begin(options.stuck_after, options.hung, &at_work);
    let run = Box::pin(perform(plan, &options.interrupt));
    let done = runtime.block_on(watchdog.guard(backend, scenario.limit(), run));
    drop(runtime);
    drop(watchdog);
    let remains = done.map_err(|reason| Error::Stuck {
        reason,
        journal: output.journal(),
    })??;

    let verdicts = judge(&scenario, backend, &remains.outcome);
    let laws = lawful(Some(&scenario), backend, &remains.outcome);
    let each = lawful_each(&scenario, backend, &remains.outcome);
    let name = scenario.name.value.as_str();
    let mut report = Report::new(
        (name, seed, backend),
        &remains.outcome,
        (verdicts, laws),
        remains.sha256,
        begin.elapsed(),
    );
    report.of_each(&remains.outcome, &each);
    if let Some(command) = &options.command {
        report.command.clone_from(command);
    } else if scenario.origin.folder.is_some() {
        let (file, backend) = (quoted(&scenario.origin.file), backend.name());
        report.command = format!("rehearse run {file} --seed {seed} --backend {backend}");
    }
    let text = serde_json::to_string_pretty(&report).map_err(|error| Error::Output {
        path: output.report(),
        reason: error.to_string(),
    })?;
    let (failures, unwritten) = match remains.unwritten {
        Some(error) => (Vec::new(), Some((output.journal(), error))),
        None => report.leave(&output, &text, options.page),
    };
    let summary = report.summary(&remains.outcome, &folder.display().to_string(), &failures);
    match unwritten {
        None => Ok(Rehearsal {
            suite: Suite::of_run(&report, &failures),
            report,
            summary,
            outcome: remains.outcome,
        }),
        Some((path, error)) => Err(Error::Unsaved {
            path,
            reason: error.to_string(),
            summary,
            report: text,
        }),
    }
}

/// All requestors on one stage, each with an engine.
async fn perform(plan: Plan<'_>, interrupt: &CancellationToken) -> Result<Remains, Error> {
    let setting = Setting::begin(plan).await?;
    let lives = setting.roles.iter();
    let lives = lives.map(|role| live(&setting, role, interrupt));
    let (lives, of_nobody) = beside(&setting, join_all(lives)).await;
    let lives = lives.into_iter().collect::<Result<_, _>>()?;
    setting.end(lives, of_nobody).await
}

/// The program of one requestor, as often as it is started again.
pub(crate) async fn live(
    setting: &Setting<'_>,
    role: &Role,
    interrupt: &CancellationToken,
) -> Result<WorkResult, Error> {
    let restarts = role.scenario.all_steps().into_iter();
    let restarts = restarts
        .filter(|step| step.verb.value == Verb::RestartRequestor)
        .count();
    // What outlives the program, where it is started again.
    let kept = (restarts > 0).then(MemoryJournal::new);
    let (mut since, mut steps, mut failed_steps) = (None, Vec::new(), Vec::new());
    let mut number = 0;
    let mut result = loop {
        number += 1;
        let observer = role.observer.clone();
        let engine = setting
            .golem(role, number)
            .event_observer(move |event| observer.event(event));
        let engine = match &kept {
            Some(kept) => engine.journal(kept.clone()),
            None => engine,
        };
        let work = Work {
            setting,
            role,
            files: setting.files(role)?,
            interrupt: interrupt.clone(),
            since,
        };
        let (mut result, _) = work.engage(engine, std::future::pending()).await;
        let Some(down) = result.restart else {
            break result;
        };
        steps.append(&mut result.steps);
        failed_steps.append(&mut result.failed_steps);
        tokio::time::sleep(down).await;
        since = Some(setting.begin.elapsed());
    };
    result.steps.splice(..0, steps);
    result.failed_steps.splice(..0, failed_steps);
    Ok(result)
}

#[cfg(all(test, feature = "simple-service"))]
mod tests;
