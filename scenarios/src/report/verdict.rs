//! Verdicts: whether what a scenario claims about its run came true.
//!
//! Owns: the judgement of every expectation, and of what is expected without being written. What can
//! be claimed is `language::expect`'s, the facts are `outcome`'s.

use std::collections::BTreeSet;

use serde::Serialize;

use super::outcome::{InstanceOutcome, Outcome};
use crate::backend::Backend;
use crate::language::Scenario;
use crate::language::expect::{Expectation, LeftOpen, StateName};
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
        if outcome.error.is_none() {
            verdicts.extend(did_something(scenario, outcome));
        }
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

/// That what was to run did run, unless the scenario says itself how far it is to come.
fn did_something(scenario: &Scenario, outcome: &Outcome) -> Option<Verdict> {
    let says = |claim: fn(&Expectation) -> bool| scenario.expect.iter().any(claim);
    if let Some(tasks) = &scenario.tasks {
        let all = Expectation::Tasks(Count::Exactly(tasks.count.value.into()));
        let said =
            says(|claim| matches!(claim, Expectation::Tasks(_) | Expectation::TaskResults(_)));
        return (!said).then(|| all.judge(outcome));
    }
    if says(|claim| matches!(claim, Expectation::AllReached(_))) {
        return None;
    }
    // Whether an instance may fail is another claim.
    let running = StateName::Running.name();
    let idle = |instance: &&InstanceOutcome| {
        instance.failure.is_none() && !instance.states.iter().any(|state| state == running)
    };
    let idle: Vec<_> = outcome.instances.iter().filter(idle).collect();
    let found = match (idle.first(), outcome.instances.len()) {
        (None, 0) => "there was no instance".to_owned(),
        (None, all) => format!("{all} instances"),
        (Some(first), _) => format!(
            "{} of {} did not: {} ({})",
            idle.len(),
            outcome.instances.len(),
            first.name,
            first.states.join(" → ")
        ),
    };
    Some(Verdict {
        expectation: "every instance ran or failed".into(),
        ok: idle.is_empty() && !outcome.instances.is_empty(),
        found,
    })
}

/// The ids of the agreements of which something is left open, as far as a claim is about them.
fn lost_agreements<'a>(outcome: &'a Outcome, claim: &LeftOpen) -> BTreeSet<&'a str> {
    let open = outcome.open.iter().filter_map(|item| {
        let id = outcome.agreement_of(item)?;
        let provider = outcome.agreement_providers.get(id)?;
        let wanted = claim.provider.as_ref();
        wanted
            .is_none_or(|wanted| wanted.value == *provider)
            .then_some(id)
    });
    open.collect()
}

/// What is left open, and whether the scenario expects that.
pub(crate) fn expected_open(scenario: &Scenario, outcome: &Outcome) -> (Vec<String>, Vec<String>) {
    let mut lost = BTreeSet::new();
    for claim in &scenario.expect {
        if let Expectation::LeftOpen(claim) = claim {
            lost.extend(lost_agreements(outcome, claim));
        }
    }
    let expected = |item: &String| match outcome.agreement_of(item) {
        Some(id) => lost.contains(id),
        // What is kept for the payment of a lost agreement.
        None => !lost.is_empty() && outcome.is_of_the_budget(item),
    };
    outcome.open.iter().cloned().partition(expected)
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
                outcome
                    .engine_events
                    .get(&event.name.value)
                    .copied()
                    .unwrap_or(0),
            ),
            Self::NetworkEvent(event) => count(
                &event.count,
                outcome
                    .network_events
                    .get(&event.name.value)
                    .copied()
                    .unwrap_or(0),
            ),
            Self::LeftOpen(left) => {
                let lost = lost_agreements(outcome, left).len() as u64;
                count(&left.agreements, lost)
            }
        }
    }
}
