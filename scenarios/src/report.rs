//! What a run says of itself at its end: a summary for people, one JSON object for programs.

pub(crate) mod diff;
pub(crate) mod excerpt;
pub(crate) mod history;
pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod markup;
pub mod metrics;
pub mod outcome;
pub(crate) mod output;
pub(crate) mod page;
mod requestors;
pub(crate) mod suite;
pub(crate) mod trace;
pub mod unmatched;
pub mod verdict;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use golem_engine::{Absences, UnpaidInvoice};
use golem_wire::Glm;
use serde::{Deserialize, Serialize};

use self::excerpt::Failure;
use self::history::History;
use self::metrics::{MetricSummary, Metrics};
use self::outcome::{Cause, FaultOutcome, Outcome, WorkloadOutcome};
use self::output::{Output, write_whole};
pub use self::requestors::RequestorReport;
use self::trace::Judged;
use self::unmatched::Unmatched;
use self::verdict::{Lawful, SetAside, Verdict};
use crate::backend::Backend;
use crate::language::values::Span;

/// The result of a run. Its JSON has exactly these keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed that was used.
    pub seed: u64,
    /// Where it took place.
    pub backend: Backend,
    /// Whether every expectation and every law held.
    pub ok: bool,
    /// The command that runs it again.
    pub command: String,
    /// SHA-256 of the journal, in hex.
    pub journal_sha256: String,
    /// How long it took on the stage's clock.
    pub virtual_seconds: f64,
    /// How long it took on the wall's clock.
    pub wall_seconds: f64,
    /// Approved agreements.
    pub agreements: u64,
    /// Created activities.
    pub activities: u64,
    /// Tasks that gave a result.
    pub tasks: u64,
    /// Invoices that were accepted and paid.
    pub invoices_paid: u64,
    /// All accepted costs, in GLM.
    pub cost: Glm,
    /// The workloads, in order of their starts.
    pub workloads: Vec<WorkloadReport>,
    /// How long what has a beginning and an end took, in seconds, by the metric's name.
    pub metrics: BTreeMap<String, MetricSummary>,
    /// What was expected, and what came of it.
    pub expectations: Vec<Verdict>,
    /// Laws that were broken: how.
    pub violations: Vec<String>,
    /// Their names, as in `laws` of a scenario.
    pub broken_laws: Vec<String>,
    /// Laws that the scenario sets aside: why, and whether that was needed.
    pub laws_set_aside: Vec<SetAside>,
    /// What is left open and should not be.
    pub open: Vec<String>,
    /// What is left open as the scenario expects.
    pub open_as_expected: Vec<String>,
    /// The instances that failed, each with its reason.
    pub failed_instances: Vec<FailedInstance>,
    /// What went wrong at providers, the most frequent first.
    pub causes: Vec<Cause>,
    /// Providers whose offers did not match when no agreement could be made, by reason.
    pub unmatched: Vec<Unmatched>,
    /// Steps of the timeline that were performed.
    pub steps: Vec<String>,
    /// Faults of the simulated network, and how many requests each hit.
    pub faults: Vec<FaultOutcome>,
    /// Absences of the daemon.
    pub daemon_away: Absences,
    /// Invoices that the engine did not pay, each with its provider, its amount and the reason.
    pub unpaid_invoices: Vec<UnpaidInvoice>,
    /// What came of each of several requestors; of the only one all else is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requestors: Vec<RequestorReport>,
}

/// A workload, and what it measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct WorkloadReport {
    /// Its name, with a number where there are several.
    pub workload: String,
    /// Why it failed as a whole, if it did.
    pub error: Option<String>,
    /// How many results it gave.
    pub results: u64,
    /// What it measured, by name.
    pub metrics: BTreeMap<String, MetricSummary>,
}

/// An instance that failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FailedInstance {
    /// Its name.
    pub instance: String,
    /// The last provider it ran on.
    pub provider: Option<String>,
    /// Why.
    pub reason: String,
}

fn summaries(metrics: &Metrics) -> BTreeMap<String, MetricSummary> {
    let metrics = metrics.iter();
    metrics
        .map(|(name, metric)| (name.clone(), metric.summary()))
        .collect()
}

fn told_of(workload: &WorkloadOutcome) -> WorkloadReport {
    WorkloadReport {
        workload: workload.name.clone(),
        error: workload.error.clone(),
        results: workload.results,
        metrics: summaries(&workload.metrics),
    }
}

/// Items that a summary lists one by one; instances that failed are all listed.
const LISTED: usize = 12;
/// Failures of which a summary shows the lines of the journal before them.
const EXPLAINED: usize = 4;

/// A word of a command line, quoted where a shell would take it for something else.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=' | ':' | '+');
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

impl Report {
    pub(crate) fn new(
        (scenario, seed, backend): (&str, u64, Backend),
        outcome: &Outcome,
        (expectations, laws): (Vec<Verdict>, Lawful),
        journal_sha256: String,
        wall: Duration,
    ) -> Report {
        let fine = expectations.iter().all(|verdict| verdict.ok)
            && laws.violations.is_empty()
            && laws.open.is_empty();
        let failed = outcome.instances.iter().filter_map(|instance| {
            Some(FailedInstance {
                instance: instance.name.clone(),
                provider: instance.provider.clone(),
                reason: instance.failure.clone()?,
            })
        });
        let seconds = |duration: Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
        Report {
            scenario: scenario.into(),
            seed,
            backend,
            ok: fine,
            command: format!(
                "rehearse run {} --seed {seed} --backend {}",
                quoted(scenario),
                backend.name()
            ),
            journal_sha256,
            virtual_seconds: seconds(outcome.elapsed),
            wall_seconds: seconds(wall),
            agreements: outcome.agreements,
            activities: outcome.activities,
            tasks: outcome.task_results.len() as u64,
            invoices_paid: outcome.invoices_paid,
            cost: outcome.cost.normalized(),
            workloads: outcome.workloads.iter().map(told_of).collect(),
            metrics: summaries(&outcome.metrics),
            expectations,
            violations: laws.violations,
            broken_laws: laws.broken_laws,
            laws_set_aside: laws.set_aside,
            open: laws.open,
            open_as_expected: laws.open_as_expected,
            failed_instances: failed.collect(),
            causes: outcome.causes.clone(),
            unmatched: outcome.unmatched.clone(),
            steps: outcome.steps.clone(),
            faults: outcome.faults.clone(),
            daemon_away: outcome.daemon_away,
            unpaid_invoices: outcome.unpaid_invoices.list(),
            requestors: Vec::new(),
        }
    }

    /// Tells of each of several requestors, too.
    pub(crate) fn of_each(&mut self, outcome: &Outcome, each: &[(String, Lawful)]) {
        self.requestors = requestors::told(outcome, each, &self.expectations);
    }

    /// Leaves in the output folder what is made of the journal, and at last this report, whose `text` is given: where
    /// that is, all is. What does not hold, with its lines of the journal; and what could not be written.
    pub(crate) fn leave(
        &self,
        output: &Output,
        text: &str,
        page: bool,
    ) -> (Vec<Failure>, Option<(PathBuf, io::Error)>) {
        let at = |path: PathBuf| move |error| (path, error);
        let mut failures = Vec::new();
        let mut write = || {
            let path = output.journal();
            let journal = File::open(&path).map_err(at(path.clone()))?;
            let history = History::read(BufReader::new(journal)).map_err(at(path.clone()))?;
            failures = excerpt::failures(&history, self, &path).map_err(at(path.clone()))?;
            let trace = output.trace();
            write_whole(&trace, |out| trace::write(out, &history, &self.judged()))
                .map_err(at(trace.clone()))?;
            if page {
                let file = output.page();
                write_whole(&file, |out| {
                    page::write(out, &history, self, &failures, &path)
                })
                .map_err(at(file.clone()))?;
            }
            let report = output.report();
            write_whole(&report, |out| writeln!(out, "{text}")).map_err(at(report.clone()))
        };
        let unwritten = write().err();
        (failures, unwritten)
    }

    /// What a trace tells of it.
    pub(crate) fn judged(&self) -> Judged<'_> {
        Judged {
            scenario: &self.scenario,
            seed: self.seed,
            expectations: &self.expectations,
            violations: &self.violations,
            open: &self.open,
        }
    }

    /// The summary for people.
    pub(crate) fn summary(&self, outcome: &Outcome, folder: &str, failures: &[Failure]) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, outcome, folder, failures);
        text
    }

    /// Of several, how each ended; of each, what it measured.
    fn write_workloads(&self, out: &mut String) -> std::fmt::Result {
        let told = self.workloads.iter();
        let told: Vec<_> = told
            .filter(|it| self.workloads.len() > 1 || !it.metrics.is_empty())
            .collect();
        if told.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  {} workloads", self.workloads.len())?;
        for workload in told.iter().take(LISTED) {
            let name = &workload.workload;
            match (&workload.error, workload.results) {
                (Some(error), _) => writeln!(out, "    {name}: {error}")?,
                (None, 0) => writeln!(out, "    {name}")?,
                (None, results) => writeln!(out, "    {name}: {results} results")?,
            }
            for (metric, it) in &workload.metrics {
                let MetricSummary {
                    count,
                    min,
                    p50,
                    p95,
                    max,
                    ..
                } = it;
                writeln!(
                    out,
                    "      {metric}: {count} values, least {min}, median {p50}, p95 {p95}, most {max}"
                )?;
            }
        }
        more(out, told.len())
    }

    fn write(
        &self,
        out: &mut String,
        outcome: &Outcome,
        folder: &str,
        failures: &[Failure],
    ) -> std::fmt::Result {
        let time = match self.backend {
            Backend::Memory => format!(
                "{} of virtual time in {:.2} s",
                Span(outcome.elapsed),
                self.wall_seconds
            ),
            Backend::Http | Backend::Yagna => format!("{:.1} s in real time", self.wall_seconds),
        };
        let (scenario, seed) = (&self.scenario, self.seed);
        writeln!(
            out,
            "{} {scenario} · {} · seed {seed} · {time}",
            self.verdict(),
            self.backend.name()
        )?;
        requestors::write(out, &self.requestors)?;
        self.write_instances(out, outcome)?;
        self.write_disturbances(out)?;
        if !outcome.task_results.is_empty() {
            writeln!(out, "\n  {} task results", outcome.task_results.len())?;
            for result in outcome.task_results.iter().take(LISTED) {
                writeln!(out, "    {}", result.trim_end())?;
            }
        }
        self.write_workloads(out)?;
        if !outcome.providers.is_empty() {
            writeln!(
                out,
                "\n  {:<20} {:>10}  {:>20}",
                "provider", "agreements", "accepted GLM"
            )?;
            for (name, provider) in outcome.providers.iter().take(LISTED) {
                let (count, paid) = (provider.agreements, provider.accepted.normalized());
                writeln!(out, "  {name:<20} {count:>10}  {paid:>20}")?;
            }
            more(out, outcome.providers.len())?;
        }
        writeln!(
            out,
            "\n  {} agreements, {} activities, {} invoices paid, cost {} GLM",
            self.agreements, self.activities, self.invoices_paid, self.cost
        )?;
        writeln!(
            out,
            "  {} statistics, {} files\n",
            outcome.statistics,
            outcome.files.len()
        )?;
        for verdict in &self.expectations {
            let mark = if verdict.ok { '✓' } else { '✗' };
            writeln!(out, "  {mark} {} — {}", verdict.expectation, verdict.found)?;
        }
        let nothing_open = match self.backend {
            // Only the engine can tell what is open on a real network.
            Backend::Yagna => "the engine left nothing open",
            Backend::Memory | Backend::Http => {
                listed(
                    out,
                    "the books of the network are right",
                    "wrong in the books of the network",
                    &self.violations,
                )?;
                if !self.broken_laws.is_empty() {
                    writeln!(out, "    of the laws: {}", self.broken_laws.join(", "))?;
                }
                "nothing is left open"
            }
        };
        for item in &self.open_as_expected {
            writeln!(out, "  ✓ left open, as expected: {item}")?;
        }
        match self.open_as_expected.is_empty() {
            true => listed(out, nothing_open, "left open", &self.open)?,
            false => listed(out, "nothing else is left open", "left open", &self.open)?,
        }
        for aside in &self.laws_set_aside {
            writeln!(
                out,
                "  – law {} set aside, because {}",
                aside.law, aside.because
            )?;
            writeln!(out, "    {}", aside.found())?;
        }
        write_excerpts(out, failures, folder)?;
        writeln!(
            out,
            "\n  journal {folder}/{} sha256 {}",
            output::JOURNAL,
            self.journal_sha256
        )?;
        if !outcome.files.is_empty() {
            writeln!(out, "  files   {folder}/files")?;
        }
        if !self.ok {
            writeln!(out, "  page    rehearse show {}", quoted(folder))?;
            writeln!(out, "  again   {}", self.command)?;
        }
        writeln!(out, "\n{}", self.verdict())
    }

    /// The verdict in a word.
    fn verdict(&self) -> &'static str {
        if self.ok { "passed" } else { "FAILED" }
    }

    fn write_instances(&self, out: &mut String, outcome: &Outcome) -> std::fmt::Result {
        if outcome.instances.is_empty() {
            return Ok(());
        }
        let width = outcome
            .instances
            .iter()
            .map(|i| i.name.chars().count())
            .max()
            .unwrap_or(0);
        writeln!(out, "\n  {:<width$}  {:<16} states", "instance", "provider")?;
        // The failed ones first, and all of them.
        let (failed, healthy): (Vec<_>, Vec<_>) =
            outcome.instances.iter().partition(|i| i.failure.is_some());
        let shown = LISTED.saturating_sub(failed.len());
        for instance in failed.iter().chain(healthy.iter().take(shown)) {
            let (name, provider) = (&instance.name, instance.provider.as_deref().unwrap_or("-"));
            writeln!(
                out,
                "  {name:<width$}  {provider:<16} {}",
                path(&instance.states)
            )?;
            if let Some(failure) = &instance.failure {
                writeln!(out, "  {:<width$}  {:<16} {failure}", "", "")?;
            }
        }
        match healthy.len().checked_sub(shown) {
            Some(rest) if rest > 0 => writeln!(out, "  … and {rest} more, none of which failed"),
            _ => Ok(()),
        }
    }

    /// What went wrong, and what was done to the network on purpose.
    fn write_disturbances(&self, out: &mut String) -> std::fmt::Result {
        if !self.causes.is_empty() {
            writeln!(out, "\n  what went wrong, by provider")?;
            for cause in self.causes.iter().take(LISTED) {
                let Cause {
                    provider,
                    reason,
                    times,
                } = cause;
                writeln!(out, "  {provider:<20} {times} × {}", reason.trim_end())?;
            }
            more(out, self.causes.len())?;
        }
        if !self.unpaid_invoices.is_empty() {
            writeln!(out, "\n  invoices that are not paid")?;
            for invoice in self.unpaid_invoices.iter().take(LISTED) {
                let UnpaidInvoice {
                    provider_name,
                    amount,
                    reason,
                    ..
                } = invoice;
                writeln!(
                    out,
                    "  {provider_name:<20} {} GLM: {reason}",
                    amount.normalized()
                )?;
            }
            more(out, self.unpaid_invoices.len())?;
        }
        if self.daemon_away.times > 0 {
            writeln!(out, "\n  {}", self.daemon_away)?;
        }
        if !self.unmatched.is_empty() {
            writeln!(out, "\n  offers that do not match, by reason")?;
            for group in self.unmatched.iter().take(LISTED) {
                let number = group.providers.len();
                writeln!(out, "  {number} × {}: {}", group.who(), group.why)?;
            }
            more(out, self.unmatched.len())?;
        }
        if !self.steps.is_empty() {
            writeln!(out, "\n  timeline")?;
            for step in self.steps.iter().take(LISTED) {
                writeln!(out, "  {step}")?;
            }
            more(out, self.steps.len())?;
        }
        if !self.faults.is_empty() {
            writeln!(out, "\n  faults")?;
            for fault in self.faults.iter().take(LISTED) {
                writeln!(out, "  {:<20} {} requests hit", fault.name, fault.hits)?;
            }
            more(out, self.faults.len())?;
        }
        Ok(())
    }
}

/// The lines of the journal before what does not hold.
fn write_excerpts(out: &mut String, failures: &[Failure], folder: &str) -> std::fmt::Result {
    for failure in failures
        .iter()
        .filter(|f| !f.lines.is_empty())
        .take(EXPLAINED)
    {
        let (from, to) = failure.range();
        writeln!(out, "\n  before “{}”", failure.claim)?;
        for (number, text) in &failure.lines {
            writeln!(out, "  {number:>9}  {text}")?;
        }
        let journal = format!("{folder}/{}", output::JOURNAL);
        let (from, to) = (from.saturating_sub(20).max(1), to + 10);
        writeln!(out, "  more: sed -n {from},{to}p {}", quoted(&journal))?;
    }
    match failures.len().checked_sub(EXPLAINED) {
        Some(rest) if rest > 0 => writeln!(out, "  … and {rest} more failures: see the page"),
        _ => Ok(()),
    }
}

/// The way through the states; attempts that repeat are counted.
fn path(states: &[String]) -> String {
    let attempts = states
        .windows(2)
        .filter(|pair| *pair == ["pending", "starting"])
        .count();
    let rest = states.split_at_checked(2 * attempts).map(|(_, rest)| rest);
    match rest {
        Some(rest) if attempts > 2 => {
            format!("{attempts} × (pending → starting) → {}", rest.join(" → "))
        }
        _ => states.join(" → "),
    }
}

fn more(out: &mut String, all: usize) -> std::fmt::Result {
    match all.checked_sub(LISTED) {
        Some(rest) if rest > 0 => writeln!(out, "  … and {rest} more"),
        _ => Ok(()),
    }
}

fn listed(out: &mut String, fine: &str, bad: &str, items: &[String]) -> std::fmt::Result {
    if items.is_empty() {
        return writeln!(out, "  ✓ {fine}");
    }
    items
        .iter()
        .try_for_each(|item| writeln!(out, "  ✗ {bad}: {item}"))
}

#[cfg(test)]
mod tests {
    use super::outcome::{InstanceOutcome, ProviderOutcome};
    use super::verdict::lawful;
    use super::*;

    #[test]
    fn the_json_has_exactly_the_promised_keys() {
        let about = ("trial", 1, Backend::Memory);
        let report = Report::new(
            about,
            &Outcome::default(),
            (vec![], Lawful::default()),
            "00".into(),
            Duration::ZERO,
        );
        let json = serde_json::to_value(&report).expect("an object");
        let mut keys: Vec<_> = json
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        keys.sort();
        let mut promised = [
            "scenario",
            "seed",
            "backend",
            "ok",
            "command",
            "journal_sha256",
            "virtual_seconds",
            "wall_seconds",
            "workloads",
            "metrics",
            "agreements",
            "activities",
            "tasks",
            "invoices_paid",
            "cost",
            "expectations",
            "violations",
            "broken_laws",
            "laws_set_aside",
            "open",
            "open_as_expected",
            "failed_instances",
            "causes",
            "unmatched",
            "steps",
            "faults",
            "daemon_away",
            "unpaid_invoices",
        ];
        promised.sort();
        assert_eq!(keys, promised);
        assert_eq!(json["backend"], "memory");
    }

    #[test]
    fn the_summary_tells_people_what_was_rented_what_it_cost_and_what_does_not_hold() {
        let state = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let outcome = Outcome {
            instances: vec![InstanceOutcome {
                name: "clock-1".into(),
                provider: Some("alice".into()),
                states: state(&["pending", "starting", "running", "terminated"]),
                failure: Some("the activity died".into()),
            }],
            providers: [(
                "alice".to_owned(),
                ProviderOutcome {
                    agreements: 2,
                    accepted: Glm::from(1),
                },
            )]
            .into(),
            agreements: 2,
            activities: 1,
            invoices_paid: 1,
            cost: Glm::from(1),
            statistics: 6,
            open: vec!["agreement a2".into()],
            elapsed: Duration::from_secs(3700),
            ..Outcome::default()
        };
        let verdicts = vec![Verdict {
            expectation: "2 agreements".into(),
            ok: true,
            found: "2".into(),
        }];
        let about = ("trial", 1, Backend::Memory);
        let report = Report::new(
            about,
            &outcome,
            (verdicts, lawful(None, Backend::Memory, &outcome)),
            "00ff".into(),
            Duration::ZERO,
        );
        insta::assert_snapshot!(report.summary(&outcome, "out", &[]), @r#"
        FAILED trial · memory · seed 1 · 1h 01m 40s of virtual time in 0.00 s

          instance  provider         states
          clock-1  alice            pending → starting → running → terminated
                                    the activity died

          provider             agreements          accepted GLM
          alice                         2                     1

          2 agreements, 1 activities, 1 invoices paid, cost 1 GLM
          6 statistics, 0 files

          ✓ 2 agreements — 2
          ✓ the books of the network are right
          ✗ left open: agreement a2

          journal out/journal.jsonl sha256 00ff
          page    rehearse show out
          again   rehearse run trial --seed 1 --backend memory

        FAILED
        "#);
    }

    #[test]
    fn one_open_item_makes_a_run_fail() {
        let outcome = Outcome {
            open: vec!["activity a1".into()],
            ..Outcome::default()
        };
        let about = ("trial", 1, Backend::Memory);
        let report = Report::new(
            about,
            &outcome,
            (vec![], lawful(None, Backend::Memory, &outcome)),
            "00".into(),
            Duration::ZERO,
        );
        assert!(!report.ok);
        assert!(
            report
                .summary(&outcome, "out", &[])
                .contains("left open: activity a1")
        );
    }

    #[test]
    fn failed_instances_come_first_and_are_all_listed_with_the_causes_by_provider() {
        let instance = |n: usize| InstanceOutcome {
            name: format!("clock-{n}"),
            states: vec!["pending".into(), "running".into()],
            failure: (n > 20).then(|| format!("reason {n}")),
            ..InstanceOutcome::default()
        };
        let outcome = Outcome {
            instances: (1..=40).map(instance).collect(),
            causes: vec![Cause {
                provider: "alice".into(),
                reason: "runtime not found".into(),
                times: 9,
            }],
            steps: vec!["die of bob at 10m 00s".into()],
            faults: vec![FaultOutcome {
                name: "slow".into(),
                hits: 3,
            }],
            ..Outcome::default()
        };
        let about = ("trial", 1, Backend::Memory);
        let verdicts = (vec![], Lawful::default());
        let report = Report::new(about, &outcome, verdicts, "00".into(), Duration::ZERO);
        assert_eq!(report.failed_instances.len(), 20);
        let summary = report.summary(&outcome, "out", &[]);
        for n in 21..=40 {
            assert!(summary.contains(&format!("reason {n}")), "{summary}");
        }
        for words in ["9 × runtime not found", "die of bob", "3 requests hit"] {
            assert!(summary.contains(words), "{summary}");
        }
        assert!(
            summary.contains("and 20 more, none of which failed"),
            "{summary}"
        );
    }
}
