//! What must hold in any network, whatever goes wrong in it.
//!
//! Owns: the laws, and to which class a failure belongs. Does not own: whether what a scenario itself claims came true
//! (`report::verdict`), and comparisons with an undisturbed run (`sweep::verdict`).

use std::collections::BTreeSet;
use std::fmt;

use golem_engine::{Glm, UnpaidInvoices};
use mock_yagna::ledger::OpenItem;
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::language::Scenario;
use crate::report::verdict::{Verdict, judge as judge_claims};
use crate::sweep::trial::Trace;
use crate::sweep::verdict::still_open;

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// How.
    pub what: String,
}

/// What must hold in any network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Law {
    /// Every run comes to its end.
    Ends,
    /// Nothing panics: neither a handler nor a consumer nor the engine.
    NobodyPanics,
    /// The network's books are right: nothing is paid twice, or that was not used.
    BooksAreRight,
    /// What is left open is told by the engine, or is in its journal for the next start.
    NothingForgotten,
    /// No more is paid than the budget.
    WithinBudget,
    /// Every instance of a service is terminated at the end.
    InstancesEnd,
    /// What was accepted is paid, where nothing is said to be owed.
    InvoicesPaid,
    /// One seed, one journal.
    SameSeedSameJournal,
    /// What the file itself expects comes true. No law of any network: `rehearse run` and `rehearse explain` judge it,
    /// exploring does not.
    AsExpected,
}

/// All laws that hold in any network.
pub const LAWS: [Law; 8] = [
    Law::Ends,
    Law::NobodyPanics,
    Law::BooksAreRight,
    Law::NothingForgotten,
    Law::WithinBudget,
    Law::InstancesEnd,
    Law::InvoicesPaid,
    Law::SameSeedSameJournal,
];

impl Law {
    /// Its name, as in reports and folders.
    pub fn name(self) -> &'static str {
        match self {
            Law::Ends => "ends",
            Law::NobodyPanics => "nobody-panics",
            Law::BooksAreRight => "books-are-right",
            Law::NothingForgotten => "nothing-forgotten",
            Law::WithinBudget => "within-budget",
            Law::InstancesEnd => "instances-end",
            Law::InvoicesPaid => "invoices-paid",
            Law::SameSeedSameJournal => "same-seed-same-journal",
            Law::AsExpected => "as-expected",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law.name(), self.what)
    }
}

impl Broken {
    pub(super) fn new(law: Law, what: impl Into<String>) -> Self {
        let what = what.into();
        Broken { law, what }
    }

    /// What a file expects and did not come true, and what was found.
    fn expected(verdict: &Verdict) -> Self {
        let what = format!("{}{FOUND}{}", verdict.expectation, verdict.found);
        Broken::new(Law::AsExpected, what)
    }

    /// Whether it is the same failure: an expectation in the same words, else one of the same class.
    pub(super) fn is_like(&self, other: &Broken) -> bool {
        let claim = |it: &Broken| it.what.split_once(FOUND).map(|(claim, _)| claim.to_owned());
        match (self.law, other.law) {
            (Law::AsExpected, Law::AsExpected) => claim(self) == claim(other),
            _ => self.class() == other.class(),
        }
    }

    /// What all failures of its kind have in common: the law, and the words without ids, numbers and names.
    pub fn class(&self) -> String {
        let words = self.what.split(|c: char| !c.is_ascii_alphabetic());
        // Ids are long, or mixed with digits that are gone: what is left of them is short.
        let words =
            words.filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_lowercase()));
        let words: Vec<_> = words.take(6).collect();
        let mut class = self.law.name().to_owned();
        if !words.is_empty() {
            class.push('-');
            class.push_str(&words.join("-"));
        }
        class
    }
}

/// Between a claim and what was found.
const FOUND: &str = " — ";

/// What the file itself expects of a run and did not come true.
pub(super) fn unexpected(scenario: &Scenario, trace: &Trace) -> Vec<Broken> {
    let verdicts = judge_claims(scenario, Backend::Memory, &trace.outcome);
    let failed = verdicts.iter().filter(|verdict| !verdict.ok);
    failed.map(Broken::expected).collect()
}

/// The laws that a run put to the test: it could have broken them, and would have been found out.
pub(super) fn tested(trace: &Trace) -> BTreeSet<Law> {
    let (outcome, network) = (&trace.outcome, &trace.network);
    let mut tested = BTreeSet::from([Law::Ends, Law::NobodyPanics]);
    let mut add = |law, holds: bool| {
        if holds {
            tested.insert(law);
        }
    };
    let ended = trace.stuck.is_none();
    add(Law::BooksAreRight, ended && network.agreements > 0);
    add(
        Law::NothingForgotten,
        ended && outcome.began && network.agreements > 0,
    );
    add(Law::WithinBudget, ended && network.paid > Glm::ZERO);
    add(
        Law::InstancesEnd,
        ended && outcome.began && !outcome.instances.is_empty(),
    );
    let is_owed = network.invoiced > Glm::ZERO;
    add(Law::InvoicesPaid, ended && is_owed && owes_nothing(trace));
    tested
}

/// Whether the engine says that everything is paid, and nobody disputes it.
fn owes_nothing(trace: &Trace) -> bool {
    let outcome = &trace.outcome;
    outcome.open.is_empty()
        && outcome.unpaid_invoices == UnpaidInvoices::default()
        && !outcome.network_events.contains_key("invoice_rejected")
}

/// The laws that a run did not keep.
pub(super) fn judge(scenario: &Scenario, trace: &Trace) -> Vec<Broken> {
    let mut broken = Vec::new();
    let (outcome, network) = (&trace.outcome, &trace.network);
    if let Some(why) = &trace.stuck {
        broken.push(Broken::new(Law::Ends, why.clone()));
        return broken;
    }
    if let Some(error) = &outcome.error
        && error.contains("the limit of")
    {
        broken.push(Broken::new(Law::Ends, error.clone()));
    }
    let told = outcome.error.iter();
    let told = told.chain(
        outcome
            .instances
            .iter()
            .filter_map(|it| it.failure.as_ref()),
    );
    if let Some(panic) = told.into_iter().find(|text| text.contains("panicked")) {
        broken.push(Broken::new(Law::NobodyPanics, panic.clone()));
    } else if let Some(times) = outcome.engine_events.get("CallbackPanicked") {
        broken.push(Broken::new(
            Law::NobodyPanics,
            format!("{times} callbacks panicked"),
        ));
    }
    for violation in &network.violations {
        if !scenario.laws.sets_aside_of_the_books(violation.law) {
            broken.push(Broken::new(Law::BooksAreRight, violation.to_string()));
        }
    }
    forgotten(trace, &mut broken);
    let more = scenario.requestor.also_pay_on.values();
    let more: Glm = more.map(|budget| budget.value).sum();
    let budget = scenario.requestor.budget.value + more;
    if network.paid > budget {
        let (paid, budget) = (network.paid.normalized(), budget.normalized());
        let what = format!("{paid} GLM are paid of a budget of {budget} GLM");
        broken.push(Broken::new(Law::WithinBudget, what));
    }
    // Where the engine could not even start, the next start is still to come.
    let instances = outcome.instances.iter().filter(|_| outcome.began);
    for instance in instances {
        if instance
            .states
            .last()
            .is_none_or(|state| state != "terminated")
        {
            let states = instance.states.join(" → ");
            let what = format!("{} is not terminated: {states}", instance.name);
            broken.push(Broken::new(Law::InstancesEnd, what));
        }
    }
    if owes_nothing(trace) && network.paid < network.invoiced {
        broken.push(Broken::new(Law::InvoicesPaid, network.to_string()));
    }
    broken.retain(|it| !scenario.laws.sets_aside(it.law.name()));
    broken
}

/// What is open on the network and told by nobody.
fn forgotten(trace: &Trace, broken: &mut Vec<Broken>) {
    let outcome = &trace.outcome;
    let told: Vec<String> = trace
        .report
        .iter()
        .flat_map(|report| report.open())
        .collect();
    let about = |text: &str| outcome.agreement_of(text).map(str::to_owned);
    let told_of: Vec<_> = told.iter().filter_map(|line| about(line)).collect();
    let journal = &trace.open_state;
    for item in &trace.network.open {
        // What came when no engine was there any more is the next one's to find.
        if let OpenItem::Invoice { since, .. } = item
            && *since > trace.ended_at
        {
            continue;
        }
        let text = item.to_string();
        let agreement = about(&text);
        let is_told = match (&agreement, item) {
            (Some(agreement), _) => {
                told_of.contains(agreement)
                    || journal.agreements.keys().any(|id| id.as_str() == agreement)
            }
            // What is kept for the payment of an agreement that is told.
            (None, OpenItem::Allocation { .. }) => !told.is_empty() || !journal.is_settled(),
            (None, OpenItem::Demand { .. }) => !journal.demands.is_empty(),
            (None, _) => !journal.is_settled(),
        };
        if !is_told {
            broken.push(Broken::new(
                Law::NothingForgotten,
                format!("left open, and told by nobody: {text}"),
            ));
        }
    }
    // A provider may bill again what was rejected.
    let disputed = outcome.network_events.contains_key("invoice_rejected");
    if !journal.is_settled() && told.is_empty() && trace.report.is_some() && !disputed {
        let open = still_open(trace);
        let what = format!("told by nobody, and open in the engine's journal: {open}");
        broken.push(Broken::new(Law::NothingForgotten, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_are_of_one_class_whatever_their_ids_and_numbers() {
        let one = Broken::new(
            Law::BooksAreRight,
            "invoice 0a1b-22 of agreement ff00 paid 2 times",
        );
        let other = Broken::new(
            Law::BooksAreRight,
            "invoice 9-c of agreement 17ab paid 3 times",
        );
        assert_eq!(one.class(), other.class());
        assert_eq!(one.class(), "books-are-right-invoice-agreement-paid-times");
        assert_ne!(
            one.class(),
            Broken::new(Law::BooksAreRight, "unknown payer").class()
        );
        let names: std::collections::BTreeSet<_> = LAWS.iter().map(|law| law.name()).collect();
        assert_eq!(names.len(), LAWS.len());
        for name in names {
            assert!(
                crate::language::laws::names().any(|known| known == name),
                "{name}"
            );
        }
    }
}
