//! A scenario set up to be run: its network and engine on a stage, a journal, an observer.
//!
//! Owns: what a scenario means for the configuration of network and engine, and the facts that are
//! gathered at the end. One run of the engine, or the several of a sweep, take place in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use golem_engine::GolemBuilder;
use mock_yagna::{Config, Seed, Summary};
use serde_json::json;
use tokio::time::Instant;

use super::at_work::AtWork;
use super::journal::Journal;
use super::monitor::Monitor;
use super::observer::{Listener, Observer};
use crate::backend::Backend;
use crate::error::Error;
use crate::language::{Planned, Scenario};
use crate::report::outcome::{FaultOutcome, Outcome, WorkloadOutcome};
use crate::report::output::Output;
use crate::stage::{self, Layer, Stage};
use crate::workload::{Ended, Running, StagedImage, Workloads};

/// What is to be set up.
pub(crate) struct Plan<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) seed: u64,
    pub(crate) backend: Backend,
    pub(crate) output: &'a Output,
    pub(crate) layer: &'a Layer,
    pub(crate) workloads: &'a Workloads,
    pub(crate) listener: Option<Listener>,
    pub(crate) at_work: AtWork,
}

/// A scenario that is set up.
pub(crate) struct Setting<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) workloads: &'a Workloads,
    /// What is to be started, in order of time.
    pub(crate) planned: Vec<Planned>,
    pub(crate) at_work: AtWork,
    pub(crate) output: &'a Output,
    pub(crate) stage: Stage,
    pub(crate) observer: Observer,
    pub(crate) begin: Instant,
    /// How many steps of each track of the timeline are done, also by an earlier life of the program.
    progress: Mutex<BTreeMap<usize, usize>>,
    seed: u64,
    pub(crate) journal: Journal,
    /// A folder that is removed at the end.
    _image: StagedImage,
}

/// What came of one run of the engine, as the program sees it.
#[derive(Debug, Default)]
pub(crate) struct WorkResult {
    /// Whether there was an engine to work with.
    pub(crate) began: bool,
    pub(crate) error: Option<String>,
    /// The program suspends its engine, to be started again so long after.
    pub(crate) restart: Option<std::time::Duration>,
    /// What runs on until then.
    pub(crate) parked: Parked,
    /// Steps of the timeline that were performed.
    pub(crate) steps: Vec<String>,
    pub(crate) failed_steps: Vec<String>,
    /// The workloads that ended, with their number, name and results.
    pub(crate) workloads: Vec<(usize, (String, Ended))>,
    pub(crate) open: Vec<String>,
}

/// Workloads that are not looked after for a while.
#[derive(Default)]
pub(crate) struct Parked(pub(crate) Vec<Box<dyn Running>>);

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} workloads", self.0.len())
    }
}

impl WorkResult {
    pub(crate) fn failed(error: String) -> WorkResult {
        WorkResult {
            error: Some(error),
            ..WorkResult::default()
        }
    }
}

/// What a scenario left behind.
pub(crate) struct Remains {
    pub(crate) outcome: Outcome,
    /// Of a simulated network.
    pub(crate) network: Option<Summary>,
    /// SHA-256 of the journal.
    pub(crate) sha256: String,
    /// Why the journal is not whole, if it is not.
    pub(crate) unwritten: Option<std::io::Error>,
}

fn unwritten(output: &Output) -> impl Fn(std::io::Error) -> Error + '_ {
    |error| Error::Output {
        path: output.journal(),
        reason: error.to_string(),
    }
}

impl<'a> Setting<'a> {
    /// Sets it up. Needs the runtime of the backend.
    pub(crate) async fn begin(plan: Plan<'a>) -> Result<Setting<'a>, Error> {
        let Plan {
            scenario,
            seed,
            backend,
            output,
            ..
        } = plan;
        let planned = scenario.planned(seed);
        for planned in &planned {
            plan.workloads.of(&planned.scenario)?;
        }
        let image = plan.workloads.image(scenario, backend)?;
        let journal = Journal::create(&output.journal(), backend).map_err(unwritten(output))?;
        let config = network_config(scenario, seed, &image);
        let stage = match backend {
            Backend::Memory => Stage::memory(config, scenario.time.epoch.value, plan.layer),
            Backend::Http => Stage::http(config).await?,
            Backend::Yagna => Stage::yagna(),
        };
        let begin = Instant::now();
        if let Some(network) = stage.network() {
            journal.follow(network.clone());
        }
        journal.listen(Monitor::new(stage.clock().now(), &scenario.expect));
        let network = stage.network().cloned();
        let observer = Observer::new(journal.clone(), stage.clock(), plan.listener, network);
        let about = json!({
            "scenario": scenario.name.value,
            "seed": seed,
            "backend": backend,
        });
        observer.stage("stage", "set", &about);
        Ok(Setting {
            scenario,
            workloads: plan.workloads,
            planned,
            at_work: plan.at_work,
            output,
            stage,
            observer,
            begin,
            progress: Mutex::default(),
            seed,
            journal,
            _image: image,
        })
    }

    /// By which another process finds the simulated daemon.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let Some(url) = self.stage.url() else {
            return Vec::new();
        };
        let requestor = &self.scenario.requestor;
        [
            ("YAGNA_API_URL", url),
            ("YAGNA_APPKEY", requestor.app_key.value.as_str()),
            ("YAGNA_SUBNET", requestor.subnet.value.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// How many steps of each track of the timeline are done.
    pub(crate) fn progress(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        // Numbers are put in whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An engine that is set up for the scenario.
    pub(crate) fn golem(&self) -> GolemBuilder {
        let requestor = &self.scenario.requestor;
        let mut builder = self.stage.golem(self.seed).budget(requestor.budget.value);
        if self.stage.network().is_some() {
            builder = builder
                .app_key(&requestor.app_key.value)
                .subnet(&requestor.subnet.value);
        }
        let (no_offers, collect, silence, away) = (
            requestor.no_offers_timeout,
            requestor.collect_offers,
            requestor.silence,
            requestor.daemon_away,
        );
        let builder = builder.stream_output(requestor.stream_output);
        builder.configure(move |config| {
            for (setting, wanted) in [
                (&mut config.market.no_offers_timeout, no_offers),
                (&mut config.market.collect_offers, collect),
                (&mut config.activity.silence, silence),
                (&mut config.daemon_away, away),
            ] {
                if let Some(wanted) = wanted {
                    *setting = wanted.0;
                }
            }
        })
    }

    /// Lets accepted invoices be paid, gathers the facts and ends the network.
    pub(crate) async fn end(self, work: WorkResult) -> Result<Remains, Error> {
        let elapsed = self.begin.elapsed();
        self.stage.settle().await;
        let mut outcome = self.observer.finish();
        outcome.elapsed = elapsed;
        outcome.began = work.began;
        outcome.error = work.error.map(|error| Observer::explained(&outcome, error));
        let mut instances = std::mem::take(&mut outcome.instances);
        for failure in instances.iter_mut().filter_map(|i| i.failure.as_mut()) {
            *failure = Observer::explained(&outcome, std::mem::take(failure));
        }
        outcome.instances = instances;
        outcome.steps = work.steps;
        outcome.failed_steps = work.failed_steps;
        for (_, (name, ended)) in work.workloads {
            let metrics = outcome.metrics_of.remove(&name).unwrap_or_default();
            outcome.workloads.push(WorkloadOutcome {
                name,
                error: ended.error,
                results: ended.task_results.len() as u64,
                metrics,
            });
            outcome.task_results.extend(ended.task_results);
        }
        outcome.open = work.open;
        outcome.files = self.output.downloads()?;
        let faults = self.stage.network().map(|network| network.faults());
        let faults = faults.into_iter().flatten();
        let faults = faults.map(|fault| FaultOutcome {
            name: fault.name,
            hits: fault.hits,
        });
        outcome.faults = faults.collect();
        let network = self.stage.network().map(|network| network.summary());
        if let Some(summary) = &network {
            outcome.agreements = summary.agreements as u64;
            outcome.activities = summary.activities as u64;
            outcome.invoices_paid = summary.invoices_paid as u64;
            outcome.violations = summary.violations.clone();
            let open = summary.open.iter().map(ToString::to_string);
            outcome.open.extend(open);
        }
        self.observer.stage("stage", "ended", &json!({}));
        let tally = self.journal.finish();
        self.stage.strike().await;
        outcome.watched = tally.watched;
        outcome.engine_events = tally.engine_events;
        outcome.network_events = tally.network_events;
        Ok(Remains {
            outcome,
            network,
            sha256: tally.sha256,
            unwritten: tally.failure,
        })
    }
}

/// The network that a scenario describes.
pub(crate) fn network_config(scenario: &Scenario, seed: u64, image: &StagedImage) -> Config {
    let faults = scenario.faults.iter().map(|fault| fault.value.clone());
    Config {
        providers: scenario.draw_providers(Seed::from_u64(seed)),
        default_image: image.image.clone(),
        images: image.by_hash.clone(),
        daemon: scenario.daemon,
        funds: scenario.requestor.funds.value,
        latency: scenario.latency.clone(),
        faults: faults.collect(),
        ..stage::network_config(seed)
    }
}
