//! A scenario set up to be run: its network and engine on a stage, a journal, an observer.
//!
//! Owns: what a scenario means for the configuration of network and engine, and the facts that are
//! gathered at the end. One run of the engine, or the several of a sweep, take place in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use golem_engine::GolemBuilder;
use golem_engine::rng::Seed as EngineSeed;
use mock_yagna::journal::Actor;
use mock_yagna::ledger::Violation;
use mock_yagna::{AppKey, Config, Seed, Summary};
use serde_json::json;
use tokio::time::Instant;

use super::at_work::AtWork;
use super::journal::Journal;
use super::monitor::{Monitor, Whose};
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
    /// The requestors, in the order of the file.
    pub(crate) roles: Vec<Role>,
    pub(crate) at_work: AtWork,
    pub(crate) output: &'a Output,
    pub(crate) stage: Stage,
    pub(crate) observer: Observer,
    pub(crate) begin: Instant,
    seed: u64,
    pub(crate) journal: Journal,
    /// A folder that is removed at the end.
    _image: StagedImage,
}

/// How many steps of each track of a timeline are done, also by an earlier life of the program.
pub(crate) type Progress = BTreeMap<usize, usize>;

/// A requestor of the scenario; mostly it is the only one.
pub(crate) struct Role {
    /// Its name, where there are several.
    pub(crate) whose: Whose,
    /// The scenario as if it were the only one.
    pub(crate) scenario: Scenario,
    /// What it is to start, in order of time.
    pub(crate) planned: Vec<Planned>,
    pub(crate) observer: Observer,
    pub(crate) progress: Mutex<Progress>,
}

impl Role {
    /// Something of its own, as reports of several name it.
    pub(crate) fn named(&self, what: &str) -> String {
        match &self.whose {
            // Workloads that call their instances after themselves have said it.
            Some(whose) if !what.starts_with(&format!("{whose}/")) => format!("{whose}/{what}"),
            _ => what.to_owned(),
        }
    }

    /// The same in words.
    fn says(&self, what: &str) -> String {
        match &self.whose {
            None => what.to_owned(),
            Some(whose) => format!("{whose}: {what}"),
        }
    }
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
        let each = scenario.by_requestor();
        let several = scenario.requestors.is_some();
        for planned in scenario.planned(seed) {
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
        if several {
            journal.tell_requestors_apart();
        }
        let mut monitor = Monitor::new(stage.clock().now());
        monitor.watch(&None, &scenario.expect);
        let network = stage.network().cloned();
        let observer = Observer::new(journal.clone(), stage.clock(), plan.listener, network);
        let about = json!({
            "scenario": scenario.name.value,
            "seed": seed,
            "backend": backend,
        });
        observer.stage("stage", "set", &about);
        let roles = each.into_iter().map(|own| {
            let whose: Whose = own.name.as_deref().map(Arc::from);
            if whose.is_some() {
                monitor.watch(&whose, &own.scenario.expect);
            }
            Role {
                planned: own.scenario.planned_by(own.name.as_deref(), seed),
                observer: observer.of(&whose),
                scenario: own.scenario,
                progress: Mutex::default(),
                whose,
            }
        });
        let roles = roles.collect();
        journal.listen(monitor);
        Ok(Setting {
            scenario,
            workloads: plan.workloads,
            roles,
            at_work: plan.at_work,
            output,
            stage,
            observer,
            begin,
            seed,
            journal,
            _image: image,
        })
    }

    /// By which another process finds the simulated daemon.
    pub(crate) fn environment(&self, role: &Role) -> Vec<(String, String)> {
        let Some(url) = self.stage.url() else {
            return Vec::new();
        };
        let requestor = &role.scenario.requestor;
        [
            ("YAGNA_API_URL", url),
            ("YAGNA_APPKEY", requestor.app_key.value.as_str()),
            ("YAGNA_SUBNET", requestor.subnet.value.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Where downloads of a requestor go.
    ///
    /// # Errors
    /// When there can be no folder of its own.
    pub(crate) fn files(&self, role: &Role) -> Result<PathBuf, Error> {
        let all = self.output.files();
        let Some(whose) = &role.whose else {
            return Ok(all);
        };
        let path = all.join(&**whose);
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err(Error::Output {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// An engine that is set up for a requestor, in its first or a later life.
    pub(crate) fn golem(&self, role: &Role, life: usize) -> GolemBuilder {
        let requestor = &role.scenario.requestor;
        let mut builder = self.stage.golem(self.seed).budget(requestor.budget.value);
        if let Some(whose) = role
            .whose
            .as_ref()
            .filter(|_| self.stage.network().is_some())
        {
            // Whatever becomes of the others.
            let label = format!("engine of {whose}, life {life}");
            builder = builder.seed(EngineSeed::from_u64(self.seed).fork(&label));
        }
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
        for (network, budget) in &requestor.also_pay_on {
            builder = builder.also_pay_on("erc20", network, budget.value);
        }
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

    /// Lets accepted invoices be paid, gathers the facts and ends the network. `work` is what came of each requestor,
    /// and of the steps that are nobody's.
    pub(crate) async fn end(
        self,
        work: Vec<WorkResult>,
        of_nobody: WorkResult,
    ) -> Result<Remains, Error> {
        let elapsed = self.begin.elapsed();
        self.stage.settle().await;
        let mut outcome = self.observer.finish();
        outcome.elapsed = elapsed;
        (outcome.steps, outcome.failed_steps) = (of_nobody.steps, of_nobody.failed_steps);
        let mut own = Vec::new();
        for (role, mut work) in self.roles.iter().zip(work) {
            if role.whose.is_some() {
                own.push(self.own_outcome(role, &work, elapsed)?);
            }
            outcome.began |= work.began;
            if let Some(error) = work.error.take() {
                outcome.error.get_or_insert_with(|| role.says(&error));
            }
            outcome.steps.append(&mut work.steps);
            outcome.failed_steps.append(&mut work.failed_steps);
            let open = std::mem::take(&mut work.open);
            outcome.open.extend(open.iter().map(|open| role.says(open)));
            take_workloads(&mut outcome, work);
            outcome
                .files
                .extend(self.output.downloads(&self.files(role)?)?);
        }
        explain(&mut outcome);
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
        }
        self.observer.stage("stage", "ended", &json!({}));
        let tally = self.journal.finish();
        for item in network.iter().flat_map(|summary| &summary.open) {
            let item = item.to_string();
            match self.journal.owner_of(&item) {
                None => outcome.open.push(item),
                Some(whose) => {
                    outcome.open.push(format!("{whose}: {item}"));
                    let of = own.iter_mut().find(|(name, _)| **name == *whose);
                    if let Some((_, own)) = of {
                        own.open.push(item);
                    }
                }
            }
        }
        for (role, (_, own)) in self.roles.iter().zip(&mut own) {
            self.count(role, own);
            let is_its = |violation: &&Violation| match &violation.by {
                Actor::Requestor(name) => role.whose.as_deref() == Some(name),
                _ => self.journal.owner_of(&violation.detail) == role.whose,
            };
            let violations = outcome.violations.iter().filter(is_its);
            own.violations = violations.cloned().collect();
        }
        outcome.requestors = own;
        self.stage.strike().await;
        outcome.watched = tally.watched;
        outcome.engine_events = tally.events.engine;
        outcome.network_events = tally.events.network;
        Ok(Remains {
            outcome,
            network,
            sha256: tally.sha256,
            unwritten: tally.failure,
        })
    }

    /// What one of several requestors knows of itself.
    fn own_outcome(
        &self,
        role: &Role,
        work: &WorkResult,
        elapsed: Duration,
    ) -> Result<(String, Outcome), Error> {
        let mut outcome = role.observer.finish();
        outcome.elapsed = elapsed;
        outcome.began = work.began;
        outcome.error.clone_from(&work.error);
        outcome.steps.clone_from(&work.steps);
        outcome.failed_steps.clone_from(&work.failed_steps);
        outcome.open.clone_from(&work.open);
        outcome.files = self.output.downloads(&self.files(role)?)?;
        let workloads = work.workloads.iter();
        let copy = WorkResult {
            workloads: workloads.cloned().collect(),
            ..WorkResult::default()
        };
        take_workloads(&mut outcome, copy);
        explain(&mut outcome);
        let name = role.whose.as_deref().unwrap_or_default();
        Ok((name.to_owned(), outcome))
    }

    /// What the network recorded of one of several requestors.
    fn count(&self, role: &Role, outcome: &mut Outcome) {
        let (events, watched) = self.journal.of(&role.whose);
        let times = |name: &str| events.network.get(name).copied().unwrap_or_default();
        outcome.agreements = times("agreement_approved");
        outcome.activities = times("activity_created");
        outcome.invoices_paid = times("invoice_settled");
        outcome.watched = watched;
        outcome.engine_events = events.engine;
        outcome.network_events = events.network;
    }
}

/// Tells with what failed for want of offers why they do not match.
fn explain(outcome: &mut Outcome) {
    let error = outcome.error.take();
    outcome.error = error.map(|error| Observer::explained(outcome, error));
    let mut instances = std::mem::take(&mut outcome.instances);
    for failure in instances.iter_mut().filter_map(|i| i.failure.as_mut()) {
        *failure = Observer::explained(outcome, std::mem::take(failure));
    }
    outcome.instances = instances;
}

fn take_workloads(outcome: &mut Outcome, work: WorkResult) {
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
}

/// The network that a scenario describes.
pub(crate) fn network_config(scenario: &Scenario, seed: u64, image: &StagedImage) -> Config {
    let faults = scenario.faults.iter().map(|fault| fault.value.clone());
    let usual = stage::network_config(seed);
    let several = scenario.several().iter().map(|requestor| {
        let name = &requestor.name.value;
        AppKey::new(name, name)
    });
    let app_keys: Vec<AppKey> = several.collect();
    Config {
        providers: scenario.draw_providers(Seed::from_u64(seed)),
        default_image: image.image.clone(),
        images: image.by_hash.clone(),
        daemon: scenario.daemon,
        funds: scenario.requestor.funds.value,
        latency: scenario.latency.clone(),
        faults: faults.collect(),
        app_keys: match app_keys.is_empty() {
            true => usual.app_keys,
            false => app_keys,
        },
        ..usual
    }
}
