//! Expectations: what a scenario claims about its run. Whether it came true is judged in
//! `report::verdict`.
//!
//! That nothing is left open (but for `left_open`), that the books of the network are right, that every
//! instance ran and every task gave a result is expected of every run and need not be written down.

use std::fmt;

use golem_wire::Glm;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::patterns::{Bound, Eventually, LeadsTo, MetricClaim, Pattern};
use super::values::{Count, Span};

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
    /// An event comes, within a time after the beginning.
    Eventually(Eventually),
    /// An event never comes.
    Never(Pattern),
    /// Events come one after the other, whatever is between them.
    InOrder(Vec<Pattern>),
    /// After each of one event comes another.
    LeadsTo(LeadsTo),
    /// At every moment so many are open, or running.
    Always(Bound),
    /// At the end so many are open, or running.
    AtEnd(Bound),
    /// What a metric of the run, or of a workload, amounts to.
    Metric(MetricClaim),
    /// What may stay open: so many agreements, with what belongs to them, and nothing else.
    LeftOpen(LeftOpen),
}

/// Agreements that are lost for good.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOpen {
    /// How many.
    pub agreements: Count,
    /// With whom; absent: with anybody.
    #[serde(default)]
    pub provider: Option<Spanned<String>>,
}

/// An event by name, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventCount {
    /// Its name, as in the journal.
    pub name: Spanned<String>,
    /// How often.
    pub count: Count,
}

/// States of a service instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Ordered: it need not even be started.
    Pending,
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
            StateName::Pending => "pending",
            StateName::Starting => "starting",
            StateName::Running => "running",
            StateName::Stopping => "stopping",
            StateName::Terminated => "terminated",
        }
    }
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
            Self::Event(event) => {
                write!(f, "{} × {} from the engine", event.count, event.name.value)
            }
            Self::NetworkEvent(event) => {
                write!(f, "{} × {} on the network", event.count, event.name.value)
            }
            Self::Eventually(it) => match it.within {
                Some(within) => write!(f, "{} within {within}", it.of),
                None => write!(f, "{} comes", it.of),
            },
            Self::Never(pattern) => write!(f, "never {pattern}"),
            Self::InOrder(all) => {
                let all: Vec<_> = all.iter().map(Pattern::to_string).collect();
                write!(f, "in order: {}", all.join(", then "))
            }
            Self::LeadsTo(it) => {
                write!(f, "{} leads to {}", it.from, it.to)?;
                if let Some(same) = &it.same {
                    write!(f, " of the same {same}")?;
                }
                match it.within {
                    Some(within) => write!(f, " within {within}"),
                    None => Ok(()),
                }
            }
            Self::Always(bound) => write!(f, "always {} {}", bound.count, bound.level.value),
            Self::AtEnd(bound) => write!(f, "at the end {} {}", bound.count, bound.level.value),
            Self::Metric(claim) => write!(f, "{claim}"),
            Self::LeftOpen(LeftOpen {
                agreements,
                provider: Some(provider),
            }) => write!(
                f,
                "{} agreements with {} left open, and nothing else",
                agreements, provider.value
            ),
            Self::LeftOpen(left) => write!(
                f,
                "{} agreements left open, and nothing else",
                left.agreements
            ),
        }
    }
}

impl Expectation {
    /// Whether the claim is that the run fails.
    pub(crate) fn wants_error(&self) -> bool {
        matches!(self, Self::ErrorContains(_))
    }

    /// Whether a network can tell, whoever uses it.
    #[cfg(feature = "cli")]
    pub(crate) fn is_of_the_network(&self) -> bool {
        matches!(
            self,
            Self::Agreements(_)
                | Self::Activities(_)
                | Self::InvoicesPaid(_)
                | Self::CostAtMost(_)
                | Self::EndsWithin(_)
                | Self::ErrorContains(_)
                | Self::NetworkEvent(_)
                | Self::LeftOpen(_)
        )
    }

    /// Whether only a simulated network can tell.
    pub(crate) fn needs_the_mock(&self) -> bool {
        match self {
            Self::NetworkEvent(_) => true,
            _ => self
                .patterns()
                .iter()
                .any(|pattern| pattern.network_event.is_some()),
        }
    }

    /// The events that it is about, where their order or time is claimed.
    pub(crate) fn patterns(&self) -> Vec<&Pattern> {
        match self {
            Self::Eventually(it) => vec![&it.of],
            Self::Never(pattern) => vec![pattern],
            Self::InOrder(all) => all.iter().collect(),
            Self::LeadsTo(it) => vec![&it.from, &it.to],
            _ => Vec::new(),
        }
    }
}
