//! What a run left behind: the facts that expectations are judged by and reports are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use golem_wire::Glm;

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
    /// Sum of its invoices that were accepted.
    pub accepted: Glm,
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
    /// All accepted costs.
    pub cost: Glm,
    /// Results of tasks in order of their data.
    pub task_results: Vec<String>,
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
    /// Steps of the timeline that could not be performed.
    pub failed_steps: Vec<String>,
    /// Broken laws.
    pub violations: Vec<String>,
    /// What is left open.
    pub open: Vec<String>,
    /// How long it took on the stage's clock.
    pub elapsed: Duration,
}
