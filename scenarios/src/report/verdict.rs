//! Verdicts: whether what a scenario claims about its run came true.
//!
//! Owns: the judgement of every expectation, and of what is expected without being written. What can
//! be claimed is `language::expect`'s, the facts are `outcome`'s.

use serde::Serialize;

use super::outcome::Outcome;
use crate::backend::Backend;
use crate::language::Scenario;
use crate::language::expect::Expectation;
use crate::language::values::{Count, Span};

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

/// The verdicts on what the scenario claims, and on what goes without saying.
pub(crate) fn judge(scenario: &Scenario, backend: Backend, outcome: &Outcome) -> Vec<Verdict> {
    let simulated = backend != Backend::Yagna;
    let wanted = |claim: &&Expectation| {
        // Where nothing began, all else follows from that.
        (outcome.began || claim.wants_error()) && (simulated || !claim.needs_the_mock())
    };
    let claims = scenario.expect.iter().filter(wanted);
    let mut verdicts: Vec<Verdict> = claims.map(|claim| claim.judge(outcome)).collect();
    let counts_failures = |claim: &Expectation| matches!(claim, Expectation::FailedInstances(_));
    if !scenario.expect.iter().any(Expectation::wants_error) {
        verdicts.push(Verdict {
            expectation: "the run succeeds".into(),
            ok: outcome.error.is_none(),
            found: outcome.error.clone().unwrap_or_else(|| "no error".into()),
        });
        let told = outcome.error.is_some() || outcome.instances.is_empty();
        if !told && !scenario.expect.iter().any(counts_failures) {
            verdicts.push(Expectation::FailedInstances(Count::Exactly(0)).judge(outcome));
        }
    }
    if simulated {
        verdicts.extend(outcome.failed_steps.iter().map(|step| Verdict {
            expectation: "every step of the timeline is performed".into(),
            ok: false,
            found: step.clone(),
        }));
    }
    verdicts
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
}
