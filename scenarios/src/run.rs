//! Runs a scenario from the first request to the report.
//!
//! Owns the order: stage, engine, work with its timeline, stop, settlement, judgement. What is run
//! is in `work`, where it runs in `stage`.

pub(crate) mod journal;
pub(crate) mod observer;
pub(crate) mod progress;
pub(crate) mod timeline;
pub(crate) mod work;

use std::path::{Path, PathBuf};

use golem_engine::Golem;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::journal::Journal;
use self::observer::Observer;
use self::progress::Progress;
use crate::backend::Backend;
use crate::error::{Error, error_chain};
use crate::language::Scenario;
use crate::language::values::Span;
use crate::report::Report;
use crate::report::outcome::Outcome;
use crate::report::output::Output;
use crate::report::verdict::judge;
use crate::stage::Layer;
use crate::stage::{self, Stage};

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
    /// Whether progress is shown on standard error.
    pub progress: bool,
    /// Stops the run cleanly when cancelled.
    pub interrupt: CancellationToken,
    /// What stands around the simulated daemon in memory.
    pub layer: Layer,
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
/// When the run could not begin. That it did not go as expected is in the report.
pub fn rehearse(scenario: &Scenario, options: &Options) -> Result<Rehearsal, Error> {
    let backend = options.backend.unwrap_or_else(|| scenario.usual_backend());
    let scenario = match backend {
        Backend::Memory => scenario.clone(),
        Backend::Http | Backend::Yagna => scenario.as_in_real_time(),
    };
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
    let run = Run {
        scenario: &scenario,
        seed,
        backend,
        output: &output,
        options,
    };
    let (outcome, sha256) = runtime.block_on(Box::pin(run.perform()))?;
    drop(runtime);

    let verdicts = judge(&scenario, backend, &outcome);
    let name = scenario.name.value.as_str();
    let report = Report::new(
        (name, seed, backend),
        &outcome,
        verdicts,
        sha256,
        begin.elapsed(),
    );
    let failed = |error: std::io::Error| Error::Output {
        path: output.report(),
        reason: error.to_string(),
    };
    let text = serde_json::to_string_pretty(&report).map_err(|error| failed(error.into()))?;
    std::fs::write(output.report(), text + "\n").map_err(failed)?;
    let summary = report.summary(&outcome, &folder.display().to_string());
    Ok(Rehearsal {
        report,
        summary,
        outcome,
    })
}

struct Run<'a> {
    scenario: &'a Scenario,
    seed: u64,
    backend: Backend,
    output: &'a Output,
    options: &'a Options,
}

impl Run<'_> {
    async fn perform(&self) -> Result<(Outcome, String), Error> {
        let written = |error: std::io::Error| Error::Output {
            path: self.output.journal(),
            reason: error.to_string(),
        };
        let journal = Journal::create(&self.output.journal()).map_err(written)?;
        let stage =
            Stage::set_under(self.scenario, self.seed, self.backend, &self.options.layer).await?;
        let begin = tokio::time::Instant::now();
        if let Some(network) = stage.network() {
            journal.follow(network.clone());
        }
        let about = json!({
            "scenario": self.scenario.name.value,
            "seed": self.seed,
            "backend": self.backend,
        });
        journal.note("stage", stage.now(), "stage", "set", &about);
        let observer = Observer::new(
            journal.clone(),
            Progress::begin(self.options.progress, stage.now()),
        );

        let result = self.engage(&stage, &observer).await;
        let elapsed = begin.elapsed();
        stage.settle().await;

        let mut outcome = observer.finish();
        outcome.elapsed = elapsed;
        outcome.began = result.began;
        outcome.error = result.error;
        outcome.failed_steps = result.failed_steps;
        outcome.task_results = result.task_results;
        outcome.open = result.open;
        outcome.files = self.output.downloads()?;
        if let Some(network) = stage.network() {
            let summary = network.summary();
            outcome.agreements = summary.agreements as u64;
            outcome.activities = summary.activities as u64;
            outcome.invoices_paid = summary.invoices_paid as u64;
            outcome.violations = summary.violations.iter().map(ToString::to_string).collect();
            outcome
                .open
                .extend(summary.open.iter().map(ToString::to_string));
        }
        journal.note("stage", stage.now(), "stage", "struck", &json!({}));
        let tally = journal.finish().map_err(written)?;
        stage.strike().await;
        outcome.engine_events = tally.engine_events;
        outcome.network_events = tally.network_events;
        Ok((outcome, tally.sha256))
    }

    /// Starts an engine, does the work, stops the engine whatever happened.
    async fn engage(&self, stage: &Stage, observer: &Observer) -> work::WorkResult {
        let hears = observer.clone();
        let builder = stage
            .golem(self.scenario, self.seed)
            .event_consumer(move |event| hears.event(event));
        let golem: Golem = match builder.start().await {
            Ok(golem) => golem,
            Err(error) => return work::WorkResult::failed(error_chain(&error)),
        };
        let work = work::Work {
            scenario: self.scenario,
            stage,
            observer,
            files: self.output.files(),
            interrupt: self.options.interrupt.clone(),
            since: None,
        };
        let limit = self.scenario.limit();
        let mut result = match tokio::time::timeout(limit, Box::pin(work.perform(&golem))).await {
            Ok(result) => result,
            Err(_) => work::WorkResult::failed(format!("the limit of {} has passed", Span(limit))),
        };
        result.began = true;
        let report = golem.stop().await;
        result.open.extend(report.open());
        result
    }
}

#[cfg(test)]
mod tests;
