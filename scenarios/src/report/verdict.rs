//! Verdicts: whether what a scenario claims about its run came true.
//!
//! Owns: the judgement of every expectation, and of what is expected without being written. What can
//! be claimed is `language::expect`'s, the facts are `outcome`'s.

use std::collections::BTreeSet;

use mock_yagna::ledger::Violation;
use serde::{Deserialize, Serialize};

use super::metrics::Metric;
use super::outcome::{InstanceOutcome, Outcome, WorkloadOutcome};
use crate::backend::Backend;
use crate::language::Scenario;
use crate::language::expect::{Expectation, LeftOpen, StateName};
use crate::language::laws::{BOOKS, NOTHING_OPEN};
use crate::language::patterns::MetricClaim;
use crate::language::values::{Count, Span};

/// An expectation and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    let mut verdicts = claimed(scenario, backend, outcome);
    if scenario.requestors.is_none() {
        verdicts.extend(unwritten(scenario, &[], outcome));
    }
    for (name, own, outcome) in by_requestor(scenario, outcome) {
        let mut of_one = claimed(&own, backend, outcome);
        of_one.extend(unwritten(&own, &scenario.expect, outcome));
        verdicts.extend(of_one.into_iter().map(|verdict| Verdict {
            expectation: format!("{name}: {}", verdict.expectation),
            ..verdict
        }));
    }
    if backend != Backend::Yagna {
        verdicts.extend(outcome.failed_steps.iter().map(|step| Verdict {
            expectation: "every step of the timeline is performed".into(),
            ok: false,
            found: step.clone(),
        }));
    }
    verdicts
}

/// Each of several requestors, its part of the scenario, what came of it.
fn by_requestor<'a>(
    scenario: &Scenario,
    outcome: &'a Outcome,
) -> impl Iterator<Item = (&'a str, Scenario, &'a Outcome)> {
    let each = scenario.by_requestor().into_iter();
    let each = each.filter(|own| own.name.is_some());
    let outcomes = outcome.requestors.iter();
    each.zip(outcomes)
        .map(|(own, (name, outcome))| (name.as_str(), own.scenario, outcome))
}

/// The verdicts on what is written.
fn claimed(scenario: &Scenario, backend: Backend, outcome: &Outcome) -> Vec<Verdict> {
    let simulated = backend != Backend::Yagna;
    let wanted = |claim: &&Expectation| {
        // Where nothing began, all else follows from that.
        (outcome.began || claim.wants_error()) && (simulated || !claim.needs_the_mock())
    };
    let claims = scenario.expect.iter().filter(wanted);
    claims.map(|claim| claim.judge(outcome)).collect()
}

/// The verdicts on what is claimed of any run, unless the scenario, or `others` that are about everybody, say it
/// themselves.
fn unwritten(scenario: &Scenario, others: &[Expectation], outcome: &Outcome) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let written = || scenario.expect.iter().chain(others);
    let counts_failures = |claim: &Expectation| matches!(claim, Expectation::FailedInstances(_));
    if !written().any(Expectation::wants_error) {
        verdicts.push(Verdict {
            expectation: "the run succeeds".into(),
            ok: outcome.error.is_none(),
            found: outcome.error.clone().unwrap_or_else(|| "no error".into()),
        });
        if outcome.error.is_none() {
            verdicts.extend(did_something(scenario, others, outcome));
        }
        let told = outcome.error.is_some() || outcome.instances.is_empty();
        if !told && !written().any(counts_failures) {
            verdicts.push(Expectation::FailedInstances(Count::Exactly(0)).judge(outcome));
        }
    }
    verdicts
}

/// That what was to run did run, unless the scenario says itself how far it is to come.
fn did_something(scenario: &Scenario, others: &[Expectation], outcome: &Outcome) -> Vec<Verdict> {
    let says = |claim: fn(&Expectation) -> bool| scenario.expect.iter().chain(others).any(claim);
    let mut verdicts = Vec::new();
    let of_tasks =
        |claim: &Expectation| matches!(claim, Expectation::Tasks(_) | Expectation::TaskResults(_));
    if scenario.all_tasks().next().is_some() && !says(of_tasks) {
        let all = scenario
            .all_tasks()
            .map(|(tasks, times)| u64::from(tasks.count.value) * times);
        let all = all.sum();
        let count = match scenario.all_functions().next() {
            None => Count::Exactly(all),
            // Theirs are beside those of the tasks.
            Some(_) => Count::Range {
                at_least: Some(all),
                at_most: None,
            },
        };
        verdicts.push(Expectation::Tasks(count).judge(outcome));
    }
    let of_states = |claim: &Expectation| matches!(claim, Expectation::AllReached(_));
    if scenario.all_services().next().is_some() && !says(of_states) {
        verdicts.push(ran(outcome));
    }
    verdicts
}

/// That every instance ran or failed.
fn ran(outcome: &Outcome) -> Verdict {
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
    Verdict {
        expectation: "every instance ran or failed".into(),
        ok: idle.is_empty() && !outcome.instances.is_empty(),
        found,
    }
}

/// Whether a metric is as claimed, and what it is.
fn metric(claim: &MetricClaim, outcome: &Outcome) -> (bool, String) {
    let name = &claim.name.value;
    let mut all = Metric::default();
    if claim.workload.is_none()
        && let Some(of_run) = outcome.metrics.get(name)
    {
        all.merge(of_run);
    }
    let wanted = |workload: &&WorkloadOutcome| {
        claim.workload.as_ref().is_none_or(|wanted| {
            // Of several requestors each says only what its workload is called, or all is said.
            let own = workload.name.split_once('/').map(|(_, own)| own);
            let mut names = own.into_iter().chain([workload.name.as_str()]);
            names.any(|name| {
                let rest = name.strip_prefix(wanted.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        })
    };
    for workload in outcome.workloads.iter().filter(wanted) {
        if let Some(measured) = workload.metrics.get(name) {
            all.merge(measured);
        }
    }
    let summary = all.summary();
    let mut found = vec![format!("{} values", summary.count)];
    let mut ok = claim.count.is_none_or(|count| count.admits(summary.count));
    for (name, limits) in claim.limits() {
        let value = match name {
            "sum" => summary.sum,
            "min" => summary.min,
            "p50" => summary.p50,
            "p95" => summary.p95,
            "p99" => summary.p99,
            _ => summary.max,
        };
        // Nothing that was never measured is small enough.
        ok &= summary.count > 0 && limits.admits(value);
        found.push(format!("{name} {value}"));
    }
    if summary.count == 0 {
        let workloads = outcome.workloads.iter().flat_map(|it| it.metrics.keys());
        let known: BTreeSet<&str> = outcome
            .metrics
            .keys()
            .chain(workloads)
            .map(String::as_str)
            .collect();
        let known: Vec<_> = known.into_iter().collect();
        return (ok, format!("no value; measured were: {}", known.join(", ")));
    }
    (ok, found.join(", "))
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

/// A law that the scenario sets aside, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct SetAside {
    /// Its name.
    pub law: String,
    /// Why, as the scenario says.
    pub because: String,
    /// Whether this run could tell whether it holds; some are judged by `rehearse explore` only.
    pub judged: bool,
    /// How it was broken; empty: it held all along, where it was judged.
    pub broken: Vec<String>,
}

impl SetAside {
    /// What came of it.
    pub(crate) fn found(&self) -> String {
        match (self.judged, self.broken.as_slice()) {
            (false, _) => "not judged by this run".to_owned(),
            (true, []) => "it held all along: the exception is not needed".to_owned(),
            (true, [only]) => format!("broken: {only}"),
            (true, [first, ..]) => format!("broken {} times, first: {first}", self.broken.len()),
        }
    }
}

/// What came of the laws of any run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lawful {
    /// Broken laws of the books.
    pub(crate) violations: Vec<String>,
    /// Their names.
    pub(crate) broken_laws: Vec<String>,
    /// What is left open and should not be.
    pub(crate) open: Vec<String>,
    /// What is left open as the scenario expects.
    pub(crate) open_as_expected: Vec<String>,
    /// What the scenario sets aside.
    pub(crate) set_aside: Vec<SetAside>,
}

/// Judges a run by the laws, but for what the scenario expects to be left open and sets aside.
pub(crate) fn lawful(scenario: Option<&Scenario>, backend: Backend, outcome: &Outcome) -> Lawful {
    let (open_as_expected, mut open) = match scenario {
        Some(scenario) => expected_open(scenario, outcome),
        None => (Vec::new(), outcome.open.clone()),
    };
    let laws = scenario.map(|scenario| &scenario.laws);
    let mut set_aside = Vec::new();
    for exception in laws.into_iter().flat_map(|laws| &laws.except) {
        let name = exception.law.value.name();
        let of_the_books = |violation: &&Violation| name == BOOKS || violation.law.name() == name;
        let broken = match name {
            NOTHING_OPEN => std::mem::take(&mut open),
            _ => {
                let broken = outcome.violations.iter().filter(of_the_books);
                broken.map(ToString::to_string).collect()
            }
        };
        // The books of a real network are nobody's.
        let seen = backend != Backend::Yagna || name == NOTHING_OPEN;
        set_aside.push(SetAside {
            law: name.to_owned(),
            because: exception.because.value.trim().to_owned(),
            judged: seen && exception.law.value.is_judged_by_a_run(),
            broken,
        });
    }
    let holds_here = |violation: &&Violation| {
        laws.is_none_or(|laws| !laws.sets_aside_of_the_books(violation.law))
    };
    let violations: Vec<_> = outcome.violations.iter().filter(holds_here).collect();
    let broken_laws: BTreeSet<_> = violations.iter().map(|it| it.law.name()).collect();
    Lawful {
        violations: violations.iter().map(ToString::to_string).collect(),
        broken_laws: broken_laws.into_iter().map(str::to_owned).collect(),
        open,
        open_as_expected,
        set_aside,
    }
}

/// The same of each of several requestors, by name; what the scenario expects of everybody counts for each.
pub(crate) fn lawful_each(
    scenario: &Scenario,
    backend: Backend,
    outcome: &Outcome,
) -> Vec<(String, Lawful)> {
    let each = by_requestor(scenario, outcome);
    each.map(|(name, mut own, outcome)| {
        own.expect.extend(scenario.expect.iter().cloned());
        (name.to_owned(), lawful(Some(&own), backend, outcome))
    })
    .collect()
}

/// What is left open as the scenario expects, and what else.
fn expected_open(scenario: &Scenario, outcome: &Outcome) -> (Vec<String>, Vec<String>) {
    if scenario.requestors.is_some() {
        // Each knows what is left of its own.
        let (mut expected, mut open) = (Vec::new(), Vec::new());
        let mut of_someone = Vec::new();
        for (name, mut own, outcome) in by_requestor(scenario, outcome) {
            own.expect.extend(scenario.expect.iter().cloned());
            let (fine, left) = expected_open(&own, outcome);
            for (items, all) in [(fine, &mut expected), (left, &mut open)] {
                for item in items {
                    let item = format!("{name}: {item}");
                    of_someone.push(item.clone());
                    all.push(item);
                }
            }
        }
        let rest = outcome.open.iter();
        open.extend(rest.filter(|item| !of_someone.contains(item)).cloned());
        return (expected, open);
    }
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
            Self::Eventually(_) | Self::Never(_) | Self::InOrder(_) | Self::LeadsTo(_) => {
                let found = outcome.watched.get(&self.to_string()).cloned();
                found.unwrap_or_else(|| (false, "nobody listened".into()))
            }
            Self::Always(bound) => {
                let level = outcome
                    .levels
                    .get(&bound.level.value)
                    .copied()
                    .unwrap_or_default();
                // It begins with none.
                let kept = bound.count.admits(0) && bound.count.admits(level.most);
                (kept, format!("0 to {}", level.most))
            }
            Self::AtEnd(bound) => {
                let level = outcome
                    .levels
                    .get(&bound.level.value)
                    .copied()
                    .unwrap_or_default();
                count(&bound.count, level.last)
            }
            Self::Metric(claim) => metric(claim, outcome),
            Self::LeftOpen(left) => {
                let lost = lost_agreements(outcome, left).len() as u64;
                count(&left.agreements, lost)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use mock_yagna::journal::Actor;
    use mock_yagna::ledger::Law;

    use super::*;
    use crate::language::Origin;

    fn scenario(laws: &str) -> Scenario {
        let text = format!(
            "name: x\ntasks: {{name: hello-tasks, count: 1}}\nlaws: {{except: [{laws}]}}\n"
        );
        Scenario::parse(&text, Origin::default()).expect("a scenario")
    }

    fn broken(laws: &[Law]) -> Outcome {
        let violation = |law: &Law| Violation {
            law: *law,
            at: Timestamp::UNIX_EPOCH,
            by: Actor::Daemon,
            detail: "as it is".into(),
        };
        Outcome {
            violations: laws.iter().map(violation).collect(),
            ..Outcome::default()
        }
    }

    #[test]
    fn only_the_law_that_is_named_is_set_aside() {
        let outcome = broken(&[Law::EndedOnce, Law::InvoicePaidOnce, Law::EndedOnce]);
        let judged = |laws: &str| lawful(Some(&scenario(laws)), Backend::Memory, &outcome);
        let none = judged("");
        assert_eq!(none.violations.len(), 3);
        assert_eq!(none.broken_laws, ["ended-once", "invoice-paid-once"]);
        let one = judged("{law: ended-once, because: x}");
        assert_eq!(one.broken_laws, ["invoice-paid-once"]);
        assert_eq!(one.set_aside[0].broken.len(), 2);
        assert!(
            one.set_aside[0]
                .found()
                .starts_with("broken 2 times, first: ")
        );
        let all = judged("{law: books-are-right, because: x}");
        assert!(all.violations.is_empty() && all.set_aside[0].broken.len() == 3);
        // A real network has no books that a run could read.
        let real = lawful(
            Some(&scenario("{law: ended-once, because: x}")),
            Backend::Yagna,
            &Outcome::default(),
        );
        assert!(!real.set_aside[0].judged);
    }
}
