//! Expectations: what a scenario claims about its run, and whether it came true.
//!
//! That nothing is left open and no law of the ledger is broken is expected of every run and need
//! not be written down.

use std::fmt;

use golem_wire::Glm;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::values::{Count, Span};

/// A claim about a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// Every instance reached this state at some time.
    AllReached(StateName),
    /// Every instance is terminated at the end.
    AllTerminated,
    /// So many instances existed.
    Instances(Count),
    /// So many instances ended with a failure.
    FailedInstances(Count),
    /// So many agreements were approved.
    Agreements(Count),
    /// So many activities were created.
    Activities(Count),
    /// So many invoices were accepted and paid.
    InvoicesPaid(Count),
    /// So many tasks gave a result.
    Tasks(Count),
    /// The results of the tasks, in order of the data.
    TaskResults(Vec<String>),
    /// So many statistics were received.
    Statistics(Count),
    /// So many files were downloaded, each a whole PNG.
    PngFiles(Count),
    /// All costs together.
    CostAtMost(Glm),
    /// The run is over so long after it began.
    EndsWithin(Span),
    /// The run fails with an error that contains this text.
    ErrorContains(String),
    /// The engine reported an event so often.
    Event(EventCount),
    /// The network recorded an event so often.
    NetworkEvent(EventCount),
}

/// An event by name, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventCount {
    /// Its name, as in the journal.
    pub name: String,
    /// How often.
    pub count: Count,
}

/// States of a service instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Being started.
    Starting,
    /// At work.
    Running,
    /// Being stopped.
    Stopping,
    /// Over.
    Terminated,
}

impl StateName {
    /// As in events.
    pub fn name(self) -> &'static str {
        match self {
            StateName::Starting => "starting",
            StateName::Running => "running",
            StateName::Stopping => "stopping",
            StateName::Terminated => "terminated",
        }
    }
}

/// An expectation and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The claim.
    pub expectation: String,
    /// Whether it came true.
    pub ok: bool,
    /// What was seen.
    pub found: String,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllReached(state) => write!(f, "every instance reached `{}`", state.name()),
            Self::AllTerminated => f.write_str("every instance is terminated at the end"),
            Self::Instances(count) => write!(f, "{count} instances"),
            Self::FailedInstances(count) => write!(f, "{count} failed instances"),
            Self::Agreements(count) => write!(f, "{count} agreements"),
            Self::Activities(count) => write!(f, "{count} activities"),
            Self::InvoicesPaid(count) => write!(f, "{count} invoices paid"),
            Self::Tasks(count) => write!(f, "{count} task results"),
            Self::TaskResults(results) => write!(f, "the {} expected task results", results.len()),
            Self::Statistics(count) => write!(f, "{count} statistics received"),
            Self::PngFiles(count) => write!(f, "{count} PNG files downloaded"),
            Self::CostAtMost(amount) => write!(f, "cost of at most {amount} GLM"),
            Self::EndsWithin(span) => write!(f, "over within {span}"),
            Self::ErrorContains(text) => write!(f, "an error that says `{text}`"),
            Self::Event(event) => write!(f, "{} × {} from the engine", event.count, event.name),
            Self::NetworkEvent(event) => {
                write!(f, "{} × {} on the network", event.count, event.name)
            }
        }
    }
}

impl Expectation {
    /// Whether the claim came true, and what was seen.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Verdict {
        let (ok, found) = self.compare(outcome);
        Verdict {
            expectation: self.to_string(),
            ok,
            found,
        }
    }

    fn compare(&self, outcome: &Outcome) -> (bool, String) {
        let count = |wanted: &Count, number: u64| (wanted.admits(number), number.to_string());
        let names = |failing: Vec<String>| match failing.is_empty() {
            true => (
                !outcome.instances.is_empty(),
                format!("{} instances", outcome.instances.len()),
            ),
            false => (false, format!("not so: {}", failing.join(", "))),
        };
        match self {
            Self::AllReached(state) => names(
                outcome
                    .instances
                    .iter()
                    .filter(|instance| !instance.states.iter().any(|s| s == state.name()))
                    .map(|instance| instance.name.clone())
                    .collect(),
            ),
            Self::AllTerminated => names(
                outcome
                    .instances
                    .iter()
                    .filter(|instance| instance.states.last().is_none_or(|s| s != "terminated"))
                    .map(|instance| instance.name.clone())
                    .collect(),
            ),
            Self::Instances(wanted) => count(wanted, outcome.instances.len() as u64),
            Self::FailedInstances(wanted) => {
                let failed: Vec<_> = outcome
                    .instances
                    .iter()
                    .filter_map(|i| i.failure.as_deref())
                    .collect();
                let (ok, number) = count(wanted, failed.len() as u64);
                let why = failed
                    .first()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                (ok, number + &why)
            }
            Self::Agreements(wanted) => count(wanted, outcome.agreements),
            Self::Activities(wanted) => count(wanted, outcome.activities),
            Self::InvoicesPaid(wanted) => count(wanted, outcome.invoices_paid),
            Self::Tasks(wanted) => count(wanted, outcome.task_results.len() as u64),
            Self::TaskResults(wanted) => {
                let found = &outcome.task_results;
                match wanted
                    .iter()
                    .zip(found)
                    .position(|(wanted, found)| wanted != found)
                {
                    Some(at) => (false, format!("number {} is {:?}", at + 1, found[at])),
                    None => count(&Count::Exactly(wanted.len() as u64), found.len() as u64),
                }
            }
            Self::Statistics(wanted) => count(wanted, outcome.statistics),
            Self::PngFiles(wanted) => match outcome.files.iter().find(|file| !file.png) {
                Some(broken) => (false, format!("{} is not a whole PNG", broken.name)),
                None => count(wanted, outcome.files.len() as u64),
            },
            Self::CostAtMost(most) => (outcome.cost <= *most, format!("{} GLM", outcome.cost)),
            Self::EndsWithin(span) => {
                (outcome.elapsed <= span.0, Span(outcome.elapsed).to_string())
            }
            Self::ErrorContains(text) => match &outcome.error {
                Some(error) => (error.contains(text.as_str()), error.clone()),
                None => (false, "no error".into()),
            },
            Self::Event(event) => count(
                &event.count,
                outcome.engine_events.get(&event.name).copied().unwrap_or(0),
            ),
            Self::NetworkEvent(event) => count(
                &event.count,
                outcome
                    .network_events
                    .get(&event.name)
                    .copied()
                    .unwrap_or(0),
            ),
        }
    }

    /// Whether the claim is that the run fails.
    pub(crate) fn wants_error(&self) -> bool {
        matches!(self, Self::ErrorContains(_))
    }

    /// Whether only a simulated network can tell.
    pub(crate) fn needs_the_mock(&self) -> bool {
        matches!(self, Self::NetworkEvent(_))
    }
}
