//! What a run says of itself at its end: a summary for people, one JSON object for programs.

pub mod outcome;
pub(crate) mod output;
pub mod verdict;

use std::fmt::Write;
use std::time::Duration;

use golem_wire::Glm;
use serde::Serialize;

use self::outcome::Outcome;
use self::verdict::Verdict;
use crate::backend::Backend;
use crate::language::values::Span;

/// The result of a run. Its JSON has exactly these keys.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed that was used.
    pub seed: u64,
    /// Where it took place.
    pub backend: Backend,
    /// Whether every expectation and every law held.
    pub ok: bool,
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
    /// What was expected, and what came of it.
    pub expectations: Vec<Verdict>,
    /// Laws that were broken.
    pub violations: Vec<String>,
    /// What is left open.
    pub open: Vec<String>,
}

/// Instances that a summary lists one by one.
const LISTED: usize = 12;

impl Report {
    pub(crate) fn new(
        (scenario, seed, backend): (&str, u64, Backend),
        outcome: &Outcome,
        expectations: Vec<Verdict>,
        journal_sha256: String,
        wall: Duration,
    ) -> Report {
        let fine = expectations.iter().all(|verdict| verdict.ok)
            && outcome.violations.is_empty()
            && outcome.open.is_empty();
        let seconds = |duration: Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
        Report {
            scenario: scenario.into(),
            seed,
            backend,
            ok: fine,
            journal_sha256,
            virtual_seconds: seconds(outcome.elapsed),
            wall_seconds: seconds(wall),
            agreements: outcome.agreements,
            activities: outcome.activities,
            tasks: outcome.task_results.len() as u64,
            invoices_paid: outcome.invoices_paid,
            cost: outcome.cost.normalized(),
            expectations,
            violations: outcome.violations.clone(),
            open: outcome.open.clone(),
        }
    }

    /// The summary for people.
    pub(crate) fn summary(&self, outcome: &Outcome, folder: &str) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, outcome, folder);
        text
    }

    fn write(&self, out: &mut String, outcome: &Outcome, folder: &str) -> std::fmt::Result {
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
            "\n{scenario} · {} · seed {seed} · {time}",
            self.backend.name()
        )?;
        self.write_instances(out, outcome)?;
        if !outcome.task_results.is_empty() {
            writeln!(out, "\n  {} task results", outcome.task_results.len())?;
            for result in outcome.task_results.iter().take(LISTED) {
                writeln!(out, "    {}", result.trim_end())?;
            }
        }
        if !outcome.providers.is_empty() {
            writeln!(
                out,
                "\n  {:<20} {:>10}  {:>20}",
                "provider", "agreements", "invoiced GLM"
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
                    "no law of the ledger was broken",
                    "broken law",
                    &self.violations,
                )?;
                "nothing is left open"
            }
        };
        listed(out, nothing_open, "left open", &self.open)?;
        writeln!(
            out,
            "\n  journal {folder}/{} sha256 {}",
            output::JOURNAL,
            self.journal_sha256
        )?;
        if !outcome.files.is_empty() {
            writeln!(out, "  files   {folder}/files")?;
        }
        writeln!(out, "\n{}", if self.ok { "passed" } else { "FAILED" })
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
        for instance in outcome.instances.iter().take(LISTED) {
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
        more(out, outcome.instances.len())
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
    use super::*;

    #[test]
    fn the_json_has_exactly_the_promised_keys() {
        let about = ("trial", 1, Backend::Memory);
        let report = Report::new(
            about,
            &Outcome::default(),
            vec![],
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
            "journal_sha256",
            "virtual_seconds",
            "wall_seconds",
            "agreements",
            "activities",
            "tasks",
            "invoices_paid",
            "cost",
            "expectations",
            "violations",
            "open",
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
        let report = Report::new(about, &outcome, verdicts, "00ff".into(), Duration::ZERO);
        insta::assert_snapshot!(report.summary(&outcome, "out"), @r#"

        trial · memory · seed 1 · 1h 01m 40s of virtual time in 0.00 s

          instance  provider         states
          clock-1  alice            pending → starting → running → terminated
                                    the activity died

          provider             agreements          invoiced GLM
          alice                         2                     1

          2 agreements, 1 activities, 1 invoices paid, cost 1 GLM
          6 statistics, 0 files

          ✓ 2 agreements — 2
          ✓ no law of the ledger was broken
          ✗ left open: agreement a2

          journal out/journal.jsonl sha256 00ff

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
        let report = Report::new(about, &outcome, vec![], "00".into(), Duration::ZERO);
        assert!(!report.ok);
        assert!(
            report
                .summary(&outcome, "out")
                .contains("left open: activity a1")
        );
    }
}
