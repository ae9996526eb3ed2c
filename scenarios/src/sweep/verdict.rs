//! What must hold after every point: the books of the network are right, nothing left open, every invoice paid
//! once, the result of the undisturbed run. Owns: the claims, and the few that a disturbance excuses.

use mock_yagna::fault::{Effect, WhichAnswer};
use mock_yagna::ledger::OpenItem;

use super::trial::Trace;
use crate::language::laws::{LawsSection, NOTHING_OPEN};
use crate::language::{Disturbance, Point};
use crate::report::outcome::{InstanceOutcome, Outcome};

/// What came of a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Claims that do not hold.
    pub(crate) broken: Vec<String>,
    /// Claims that do not hold, and need not: why.
    pub(crate) excused: Vec<String>,
}

/// Judges what a point left behind by what the undisturbed run left.
pub(crate) fn judge(laws: &LawsSection, base: &Trace, trace: &Trace, point: &Point) -> Verdict {
    let mut verdict = Verdict::default();
    let mut claim = |holds: bool, broken: String| {
        if !holds {
            verdict.broken.push(broken);
        }
    };
    if let Some(why) = &trace.stuck {
        claim(false, why.clone());
    }
    // A later run may be shorter than the one that its disturbance was made for.
    if !point.0.is_empty() && trace.runs.first().is_none_or(|run| run.hit.is_none()) {
        claim(false, "the point was never reached".into());
    }
    let network = &trace.network;
    for violation in &network.violations {
        let aside = laws.sets_aside_of_the_books(violation.law);
        claim(aside, format!("wrong in the books: {violation}"));
    }
    let may_stay_open = laws.sets_aside(NOTHING_OPEN);
    for item in &network.open {
        let excused = may_stay_open || is_twin(point, trace, item);
        claim(excused, format!("left open: {item}"));
    }
    let paid = network.invoices == network.invoices_paid && network.invoiced == network.paid;
    claim(
        paid || may_stay_open || laws.sets_aside("invoices-paid"),
        format!("not every invoice is paid once: {network}"),
    );
    for open in trace.report.iter().flat_map(|report| report.open()) {
        claim(may_stay_open, format!("the engine reports: {open}"));
    }
    // What another requestor left open, whom nobody disturbed.
    for (name, own) in trace.outcome.requestors.iter().skip(1) {
        for open in &own.open {
            claim(may_stay_open, format!("{name} reports: {open}"));
        }
    }
    let settled = may_stay_open || trace.open_state.is_settled() || trace.stuck.is_some();
    claim(settled, format!("the journal says: {}", still_open(trace)));
    if !matches!(point.0.last(), Some(Disturbance::Stop(_))) && trace.stuck.is_none() {
        for difference in differences(&base.outcome, &trace.outcome) {
            match excuse(point, trace, &difference) {
                Some(why) => verdict.excused.push(format!("{difference} ({why})")),
                None => verdict.broken.push(difference),
            }
        }
    }
    verdict
}

/// A network that was made twice: the daemon gives it no name of its owner's, so that nothing tells it from one
/// that another program of the same owner made at that moment. It costs nothing.
fn is_twin(point: &Point, trace: &Trace, item: &OpenItem) -> bool {
    let [Disturbance::Fault(Effect::Twice(_), number)] = point.0.as_slice() else {
        return false;
    };
    let run = trace.runs.first();
    let request = run.and_then(|run| run.counts.named.get(number));
    let created = request.is_some_and(|request| request == "POST /net-api/v1/net");
    created && matches!(item, OpenItem::Network { .. })
}

pub(crate) fn still_open(trace: &Trace) -> String {
    let open_state = &trace.open_state;
    let mut items = Vec::new();
    let mut add = |what: &str, which: Vec<String>| {
        if !which.is_empty() {
            items.push(format!("{what} {}", which.join(", ")));
        }
    };
    let unresolved = open_state.unresolved.iter();
    add(
        "unresolved",
        unresolved
            .map(|(op, left)| format!("{op} ({})", left.change))
            .collect(),
    );
    let ids = |ids: &mut dyn Iterator<Item = String>| ids.collect::<Vec<_>>();
    add(
        "allocations",
        ids(&mut open_state.allocations.keys().map(ToString::to_string)),
    );
    add(
        "demands",
        ids(&mut open_state.demands.keys().map(ToString::to_string)),
    );
    add(
        "agreements",
        ids(&mut open_state.agreements.keys().map(ToString::to_string)),
    );
    add("services", open_state.services.clone());
    add(
        "networks",
        ids(&mut open_state.networks.keys().map(ToString::to_string)),
    );
    items.join("; ")
}

fn differences(base: &Outcome, found: &Outcome) -> Vec<String> {
    let mut differences = Vec::new();
    // Where nothing ever worked the run has failed, whichever run of the engine was told of it.
    let failed = |outcome: &Outcome| {
        let instances = &outcome.instances;
        let all_failed = instances.iter().all(|instance| instance.failure.is_some());
        outcome.error.is_some() || (!instances.is_empty() && all_failed)
    };
    if failed(base) != failed(found) {
        let told = |error: &Option<String>| error.clone().unwrap_or_else(|| "no error".into());
        differences.push(format!(
            "the run ends with {} instead of {}",
            told(&found.error),
            told(&base.error)
        ));
    }
    if base.task_results != found.task_results {
        differences.push(format!(
            "the task results are {:?} instead of {:?}",
            found.task_results, base.task_results
        ));
    }
    if base.instances.len() != found.instances.len() {
        differences.push(format!(
            "{} instances instead of {}",
            found.instances.len(),
            base.instances.len()
        ));
    }
    let reached = |outcome: &Outcome, state: &str| {
        let has = |states: &[String]| states.iter().any(|other| other == state);
        outcome.instances.iter().filter(|i| has(&i.states)).count()
    };
    let (wanted, came) = (reached(base, "running"), reached(found, "running"));
    if came < wanted {
        differences.push(format!(
            "{came} instances reached `running` instead of {wanted}"
        ));
    }
    let ended = |outcome: &Outcome| {
        let is_over = |states: &[String]| states.last().is_some_and(|state| state == "terminated");
        outcome
            .instances
            .iter()
            .filter(|i| is_over(&i.states))
            .count()
    };
    if ended(found) < ended(base) {
        differences.push(format!(
            "{} instances are terminated instead of {}",
            ended(found),
            ended(base)
        ));
    }
    let failures = |outcome: &Outcome| -> Vec<String> {
        let failed = outcome.instances.iter().filter_map(|i| i.failure.clone());
        failed.collect()
    };
    let (usual, failed) = (failures(base), failures(found));
    if failed.len() > usual.len() {
        differences.push(format!(
            "{} instances failed instead of {}: {}",
            failed.len(),
            usual.len(),
            failed.join("; ")
        ));
    }
    differences
}

/// Why a difference is in order. There are two cases.
///
/// A script that is not repeatable: its answer was lost, so that its batch is not known, or it was
/// done twice and the answer names the second batch, which met what the first one left. What it did
/// cannot be looked up, and doing it again is not the engine's to decide: the handler is told, and
/// one instance may end with that failure.
///
/// An instance that had failed for good before a crash: a service that goes on does not start it
/// again, and its failure was told to the run of the engine before.
fn excuse(point: &Point, trace: &Trace, difference: &str) -> Option<String> {
    let [Disturbance::Fault(effect, number)] = point.0.as_slice() else {
        let instances = &trace.outcome.instances;
        let ended = |i: &InstanceOutcome| i.states.last().is_some_and(|s| s == "terminated");
        let came_to_nothing = instances.iter().any(|i| i.failure.is_some())
            && instances.iter().all(ended)
            && !instances
                .iter()
                .any(|i| i.states.iter().any(|s| s == "running"));
        let told_before = difference.starts_with("the run ends with no error instead of");
        return (trace.runs.len() > 1 && told_before && came_to_nothing)
            .then(|| "an instance had failed in an earlier run of the engine".to_owned());
    };
    let request = trace.runs.first()?.counts.named.get(number)?;
    let unknown = matches!(
        effect,
        Effect::LoseAnswer
            | Effect::Misreport(_)
            | Effect::Reset
            | Effect::Refuse(_)
            | Effect::Twice(WhichAnswer::Second)
    );
    // Where that is the only instance, the run has nothing better to tell.
    let one_failed = difference.starts_with("1 instances failed instead of 0")
        || difference.starts_with("2 instances failed instead of 1")
        || (difference.starts_with("the run ends with") && trace.outcome.instances.len() == 1);
    (unknown && request.ends_with("/exec") && one_failed)
        .then(|| format!("what became of the script of request {number} is not known"))
}
