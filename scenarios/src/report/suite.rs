//! The results of runs and sweeps as other programs want them: suites of cases.
//!
//! Owns: what is a case. Does not own: how it is written (`junit`, `markdown`).

use super::Report;
use super::excerpt::Failure;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CaseResult {
    /// It holds.
    Passed,
    /// It does not; with what helps to find out why, in lines.
    Failed(String),
    /// It could not be tried.
    Broken,
    /// It was not tried, on purpose.
    Skipped,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What was found, or why not.
    pub(crate) found: String,
    pub(crate) result: CaseResult,
}

/// The claims on one scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Suite {
    pub(crate) name: String,
    /// Seconds on the wall's clock.
    pub(crate) seconds: f64,
    pub(crate) properties: Vec<(&'static str, String)>,
    pub(crate) cases: Vec<Case>,
}

impl Suite {
    /// The suite of a run.
    pub(crate) fn of_run(report: &Report, failures: &[Failure]) -> Suite {
        let mut cases = Vec::new();
        let failed = |claim: &str, found: &str| {
            let failure = failures
                .iter()
                .find(|f| f.claim == claim && f.found == found);
            let lines = failure.into_iter().flat_map(|failure| &failure.lines);
            let lines = lines.map(|(number, text)| format!("{number:>7}  {text}\n"));
            CaseResult::Failed(lines.collect())
        };
        for verdict in &report.expectations {
            cases.push(Case {
                name: verdict.expectation.clone(),
                found: verdict.found.clone(),
                result: match verdict.ok {
                    true => CaseResult::Passed,
                    false => failed(&verdict.expectation, &verdict.found),
                },
            });
        }
        for (name, items) in [
            ("the books of the network are right", &report.violations),
            ("nothing is left open", &report.open),
        ] {
            cases.push(Case {
                name: name.into(),
                found: items.join("; "),
                result: match items.first() {
                    None => CaseResult::Passed,
                    Some(first) => failed(name, first),
                },
            });
        }
        for aside in &report.laws_set_aside {
            cases.push(Case {
                name: format!("law {} is set aside", aside.law),
                found: format!("because {}; {}", aside.because, aside.found()),
                result: CaseResult::Skipped,
            });
        }
        Suite {
            name: report.scenario.clone(),
            seconds: report.wall_seconds,
            properties: vec![
                ("seed", report.seed.to_string()),
                ("backend", report.backend.name().into()),
                ("virtual_seconds", report.virtual_seconds.to_string()),
                ("journal_sha256", report.journal_sha256.clone()),
                ("command", report.command.clone()),
            ],
            cases,
        }
    }

    /// The suite of something that could not begin, or not be finished.
    pub(crate) fn broken(name: &str, error: &str) -> Suite {
        Suite {
            name: name.into(),
            cases: vec![Case {
                name: "it can be run".into(),
                found: error.into(),
                result: CaseResult::Broken,
            }],
            ..Suite::default()
        }
    }

    /// How many cases failed, and how many could not be tried.
    pub(crate) fn count(&self) -> (usize, usize) {
        let of = |wanted: fn(&CaseResult) -> bool| {
            self.cases.iter().filter(|c| wanted(&c.result)).count()
        };
        (
            of(|result| matches!(result, CaseResult::Failed(_))),
            of(|result| *result == CaseResult::Broken),
        )
    }
}

#[cfg(test)]
mod tests;
