//! What a run left behind: the facts that expectations are judged by and reports are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use golem_engine::{Absences, UnpaidInvoices};
use golem_wire::Glm;
use mock_yagna::ledger::Violation;
use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::unmatched::Unmatched;

/// A service instance as it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceOutcome {
    /// Its name.
    pub name: String,
    /// The last provider it ran on.
    pub provider: Option<String>,
    /// The states it went through, in order.
    pub states: Vec<String>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// A downloaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutcome {
    /// Name below the output folder.
    pub name: String,
    /// Whether it is a whole PNG.
    pub png: bool,
}

/// A provider that was rented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderOutcome {
    /// Approved agreements.
    pub agreements: u64,
    /// Sum of its invoices that were accepted, and of the debit notes of agreements without one.
    pub accepted: Glm,
}

/// What went wrong at a provider, and how often, also where the work was then done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cause {
    /// Name of the provider.
    pub provider: String,
    /// Why.
    pub reason: String,
    /// With so many agreements.
    pub times: u64,
}

/// A fault of the simulated network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FaultOutcome {
    /// Its name.
    pub name: String,
    /// Requests that it hit.
    pub hits: u64,
}

/// A workload as it ended.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WorkloadOutcome {
    /// Its name, with a number where there are several.
    pub name: String,
    /// Why it failed as a whole, if it did.
    pub error: Option<String>,
    /// How many results it gave.
    pub results: u64,
    /// What it measured.
    pub metrics: Metrics,
}

/// How many of something there were at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelOutcome {
    /// At most.
    pub most: u64,
    /// At the end.
    pub last: u64,
}

/// What a run left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The instances, in order of creation.
    pub instances: Vec<InstanceOutcome>,
    /// The providers that were rented, by name.
    pub providers: BTreeMap<String, ProviderOutcome>,
    /// Approved agreements.
    pub agreements: u64,
    /// Created activities.
    pub activities: u64,
    /// Invoices accepted and paid.
    pub invoices_paid: u64,
    /// All accepted costs: invoices, and the debit notes of agreements without one.
    pub cost: Glm,
    /// Results of tasks in order of their data.
    pub task_results: Vec<String>,
    /// The workloads, in order of their starts.
    pub workloads: Vec<WorkloadOutcome>,
    /// What workloads measured that did not end.
    pub metrics_of: BTreeMap<String, Metrics>,
    /// How long what has a beginning and an end took, in seconds, by the metric's name.
    pub metrics: Metrics,
    /// How many agreements, activities and instances there were at a time.
    pub levels: BTreeMap<String, LevelOutcome>,
    /// What came of the claims about the order and the times of events, by their words.
    pub watched: BTreeMap<String, (bool, String)>,
    /// Statistics that instances delivered.
    pub statistics: u64,
    /// Downloaded files.
    pub files: Vec<FileOutcome>,
    /// How often the engine reported each event.
    pub engine_events: BTreeMap<String, u64>,
    /// How often the network recorded each event.
    pub network_events: BTreeMap<String, u64>,
    /// Whether the engine started at all.
    pub began: bool,
    /// What made the run fail.
    pub error: Option<String>,
    /// What went wrong at providers, the most frequent first.
    pub causes: Vec<Cause>,
    /// Absences of the daemon, as the engine noticed them.
    pub daemon_away: Absences,
    /// Invoices that the engine did not pay.
    pub unpaid_invoices: UnpaidInvoices,
    /// Providers whose offers did not match when no agreement could be made, by reason.
    pub unmatched: Vec<Unmatched>,
    /// The faults of the network that were in force at the end.
    pub faults: Vec<FaultOutcome>,
    /// Steps of the timeline that were performed.
    pub steps: Vec<String>,
    /// Names of providers by the ids of their agreements.
    pub agreement_providers: BTreeMap<String, String>,
    /// Ids of agreements by those of their activities and invoices.
    pub parts_of_agreements: BTreeMap<String, String>,
    /// Steps of the timeline that could not be performed.
    pub failed_steps: Vec<String>,
    /// Broken laws of the network's books, also those that the scenario sets aside.
    pub violations: Vec<Violation>,
    /// What is left open.
    pub open: Vec<String>,
    /// The same of each of several requestors, by name: what it did, and what belongs to it.
    pub requestors: Vec<(String, Outcome)>,
    /// How long it took on the stage's clock.
    pub elapsed: Duration,
}

impl Outcome {
    /// The agreement that something left open is about, by the first id in its words.
    pub(crate) fn agreement_of(&self, open: &str) -> Option<&str> {
        let words =
            open.split(|c: char| c.is_whitespace() || matches!(c, '`' | ',' | ':' | '(' | ')'));
        let mut ids = words.filter(|word| !word.is_empty());
        ids.find_map(|word| {
            if let Some((id, _)) = self.agreement_providers.get_key_value(word) {
                return Some(id.as_str());
            }
            self.parts_of_agreements.get(word).map(String::as_str)
        })
    }

    /// Whether something left open is the budget, which is kept while something is owed.
    pub(crate) fn is_of_the_budget(&self, open: &str) -> bool {
        open.starts_with("allocation ") || open.starts_with("the budget ")
    }
}
