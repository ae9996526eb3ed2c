//! Runs a scenario from the first request to the report.
//!
//! Owns the order: stage, engine, work with its timeline, stop, settlement, judgement. What is run
//! is in `work`, where it runs in `stage`.

pub(crate) mod journal;
pub(crate) mod observer;
pub(crate) mod setting;
pub(crate) mod timeline;
mod watchdog;
pub(crate) mod work;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::observer::Listener;

use self::setting::{Plan, Remains, Setting};
use self::watchdog::Watchdog;
use self::work::Work;
use crate::backend::Backend;
use crate::error::Error;
use crate::language::Scenario;
use crate::report::Report;
use crate::report::outcome::Outcome;
use crate::report::output::Output;
use crate::report::verdict::{expected_open, judge};
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
pub struct Rehearsal {
    /// For programs.
    pub report: Report,
    /// For people.
    pub summary: String,
    /// The facts.
    pub outcome: Outcome,
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
    if backend == Backend::Yagna {
        scenario.check_real_network()?;
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
    let plan = Plan {
        scenario: &scenario,
        seed,
        backend,
        output: &output,
        layer: &options.layer,
        workloads: &options.workloads,
        listener: options.listener.clone(),
    };
    let watchdog = Watchdog::begin(options.stuck_after, options.hung);
    let run = Box::pin(perform(plan, &options.interrupt));
    let done = runtime.block_on(watchdog.guard(backend, scenario.limit(), run));
    drop(runtime);
    drop(watchdog);
    let remains = done.map_err(|reason| Error::Stuck {
        reason,
        journal: output.journal(),
    })??;

    let verdicts = judge(&scenario, backend, &remains.outcome);
    let (expected, _) = expected_open(&scenario, &remains.outcome);
    let name = scenario.name.value.as_str();
    let report = Report::new(
        (name, seed, backend),
        &remains.outcome,
        (verdicts, expected),
        remains.sha256,
        begin.elapsed(),
    );
    let text = serde_json::to_string_pretty(&report).map_err(|error| Error::Output {
        path: output.report(),
        reason: error.to_string(),
    })?;
    let written = std::fs::write(output.report(), format!("{text}\n"))
        .map_err(|error| (output.report(), error));
    let summary = report.summary(&remains.outcome, &folder.display().to_string());
    let journal = remains.unwritten.map(|error| (output.journal(), error));
    match journal.or(written.err()) {
        None => Ok(Rehearsal {
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

/// One engine on one stage.
async fn perform(plan: Plan<'_>, interrupt: &CancellationToken) -> Result<Remains, Error> {
    let setting = Setting::begin(plan).await?;
    let observer = setting.observer.clone();
    let engine = setting
        .golem()
        .event_observer(move |event| observer.event(event));
    let work = Work {
        setting: &setting,
        files: setting.output.files(),
        interrupt: interrupt.clone(),
        since: None,
    };
    let (result, _) = work.engage(engine, std::future::pending()).await;
    setting.end(result).await
}

#[cfg(all(test, feature = "simple-service"))]
mod tests;
