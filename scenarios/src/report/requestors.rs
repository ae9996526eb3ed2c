//! What a report tells of each of several requestors. Owns: its members and its lines. Does not own: what is told of the
//! run as a whole (`report.rs`), whose a thing is (`run/owners.rs`).

use std::fmt::{self, Write};

use golem_wire::Glm;
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::verdict::{Lawful, Verdict};

/// What came of one of several requestors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RequestorReport {
    /// Its name.
    pub requestor: String,
    /// Whether all that is expected of it, and every law, held for it.
    pub ok: bool,
    /// Why its run failed, if it did.
    pub error: Option<String>,
    /// Its approved agreements.
    pub agreements: u64,
    /// Its activities.
    pub activities: u64,
    /// Its tasks that gave a result.
    pub tasks: u64,
    /// Its invoices that were paid.
    pub invoices_paid: u64,
    /// What it accepted to pay, in GLM.
    pub cost: Glm,
    /// Laws that were broken by it, or about what is its own: how.
    pub violations: Vec<String>,
    /// What it left open and should not have.
    pub open: Vec<String>,
    /// What it left open as the scenario expects.
    pub open_as_expected: Vec<String>,
}

/// What came of each. A claim is one's own when it begins with the name.
pub(super) fn told(
    outcome: &Outcome,
    each: &[(String, Lawful)],
    expectations: &[Verdict],
) -> Vec<RequestorReport> {
    let laws = outcome.requestors.iter().zip(each);
    let told = laws.map(|((name, own), (_, laws))| {
        let whose = format!("{name}: ");
        let claims = expectations.iter();
        let mut claims = claims.filter(|verdict| verdict.expectation.starts_with(&whose));
        let lawful = laws.violations.is_empty() && laws.open.is_empty();
        RequestorReport {
            requestor: name.clone(),
            ok: lawful && claims.all(|verdict| verdict.ok),
            error: own.error.clone(),
            agreements: own.agreements,
            activities: own.activities,
            tasks: own.task_results.len() as u64,
            invoices_paid: own.invoices_paid,
            cost: own.cost.normalized(),
            violations: laws.violations.clone(),
            open: laws.open.clone(),
            open_as_expected: laws.open_as_expected.clone(),
        }
    });
    told.collect()
}

/// A line for each, if there are several.
pub(super) fn write(out: &mut String, requestors: &[RequestorReport]) -> fmt::Result {
    if requestors.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n    {:<18} {:>10}  {:>10}  {:>13}  {:>20}",
        "requestor", "agreements", "activities", "invoices paid", "accepted GLM"
    )?;
    for it in requestors {
        let mark = if it.ok { '✓' } else { '✗' };
        let RequestorReport {
            requestor,
            agreements,
            activities,
            invoices_paid,
            cost,
            ..
        } = it;
        writeln!(
            out,
            "  {mark} {requestor:<18} {agreements:>10}  {activities:>10}  {invoices_paid:>13}  {cost:>20}"
        )?;
    }
    Ok(())
}
