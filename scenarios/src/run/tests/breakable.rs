//! No expectation of the catalog is idle: each is red as soon as something else happens than it claims.
//!
//! Every scenario is run three times more. With its claims made stricter: a number or a lower bound by one, an upper bound to
//! less than half, an amount or a time to a twentieth, an order turned round. With nobody on the network. And with its trouble
//! taken away: no faults, no steps, providers that behave (as slowly as before). A claim that is red in none of them would
//! pass whatever happened; a scenario that is green without its trouble does not see it.

use std::collections::BTreeSet;

use mock_yagna::Behaviour;

use super::super::*;
use crate::language::catalog::{THEMES, get, names_of};
use crate::language::expect::{EventCount, Expectation, LeftOpen, StateName};
use crate::language::patterns::{Amount, Bound, Limits, MetricClaim};
use crate::language::values::{Count, Span};
use crate::sweep::pool::in_threads;

/// Of an amount or a time that is an upper bound, this part must be too little: else it bounds nothing.
const PART: u32 = 20;
/// A run that makes more lines is for `GOLEM_TESTS=whole`.
const MOST_LINES: u64 = 5_000;

/// The nearest numbers that are not meant.
fn counts(count: Count) -> Vec<Count> {
    match count {
        Count::Exactly(number) => vec![Count::Exactly(number + 1)],
        Count::Range { at_least, at_most } => {
            let least = at_least.map(|least| Count::Range {
                at_least: Some(least + 1),
                at_most: None,
            });
            let most = at_most.map(|most| match most {
                0 => Count::Exactly(1),
                most => Count::Range {
                    at_least: None,
                    at_most: Some((most - 1) / 2),
                },
            });
            least.into_iter().chain(most).collect()
        }
    }
}

/// Amounts that are a good deal off.
fn limits(limits: Limits) -> Vec<Limits> {
    let part = f64::from(PART);
    let least = limits.at_least.map(|Amount(least)| Limits {
        at_least: Some(Amount(least * part)),
        at_most: None,
    });
    let most = limits.at_most.map(|Amount(most)| Limits {
        at_least: None,
        at_most: Some(Amount(most / part)),
    });
    least.into_iter().chain(most).collect()
}

fn metrics(claim: &MetricClaim) -> Vec<MetricClaim> {
    let bare = MetricClaim {
        count: None,
        sum: None,
        min: None,
        p50: None,
        p95: None,
        p99: None,
        max: None,
        ..claim.clone()
    };
    let counted = claim.count.into_iter().flat_map(counts);
    let mut all: Vec<MetricClaim> = counted
        .map(|count| MetricClaim {
            count: Some(count),
            ..bare.clone()
        })
        .collect();
    for (name, written) in claim.limits() {
        for stricter in limits(*written) {
            let mut other = bare.clone();
            let place = match name {
                "sum" => &mut other.sum,
                "min" => &mut other.min,
                "p50" => &mut other.p50,
                "p95" => &mut other.p95,
                "p99" => &mut other.p99,
                _ => &mut other.max,
            };
            *place = Some(stricter);
            all.push(other);
        }
    }
    all
}

/// Claims of which at least one is red, unless this one is loose; what is said of events that never come is left out.
fn stricter(claim: &Expectation) -> Vec<Expectation> {
    let none_ever = |level: &Bound| {
        Expectation::Always(Bound {
            count: Count::Exactly(0),
            ..level.clone()
        })
    };
    let each = |count: &Count, of: &dyn Fn(Count) -> Expectation| {
        counts(*count).into_iter().map(of).collect::<Vec<_>>()
    };
    match claim {
        Expectation::Instances(count) => each(count, &Expectation::Instances),
        Expectation::FailedInstances(count) => each(count, &Expectation::FailedInstances),
        Expectation::Agreements(count) => each(count, &Expectation::Agreements),
        Expectation::Activities(count) => each(count, &Expectation::Activities),
        Expectation::InvoicesPaid(count) => each(count, &Expectation::InvoicesPaid),
        Expectation::Tasks(count) => each(count, &Expectation::Tasks),
        Expectation::Statistics(count) => each(count, &Expectation::Statistics),
        Expectation::PngFiles(count) => each(count, &Expectation::PngFiles),
        Expectation::TaskResults(results) => {
            let mut others = results.clone();
            others.push("one more".into());
            vec![Expectation::TaskResults(others)]
        }
        Expectation::CostAtMost(most) => {
            let part = match most.is_zero() {
                true => -rust_decimal::Decimal::ONE,
                false => most.get() / rust_decimal::Decimal::from(PART),
            };
            vec![Expectation::CostAtMost(golem_wire::Glm::new(part))]
        }
        Expectation::EndsWithin(span) => vec![Expectation::EndsWithin(Span(span.0 / PART))],
        Expectation::Event(event) => each(&event.count, &|count| {
            Expectation::Event(EventCount {
                count,
                ..event.clone()
            })
        }),
        Expectation::NetworkEvent(event) => each(&event.count, &|count| {
            Expectation::NetworkEvent(EventCount {
                count,
                ..event.clone()
            })
        }),
        Expectation::InOrder(all) => {
            let reversed: Vec<_> = all.iter().rev().cloned().collect();
            let again = all.iter().chain(all).chain(all).chain(all).cloned();
            vec![
                Expectation::InOrder(reversed),
                Expectation::InOrder(again.collect()),
            ]
        }
        // The first has to come at all.
        Expectation::LeadsTo(claim) => vec![Expectation::Never(claim.from.clone())],
        Expectation::Always(bound) => counts(bound.count)
            .into_iter()
            .map(|count| {
                Expectation::Always(Bound {
                    count,
                    ..bound.clone()
                })
            })
            .collect(),
        // It has to have been otherwise.
        Expectation::AtEnd(bound) => vec![none_ever(bound)],
        Expectation::Metric(claim) => {
            let all = metrics(claim).into_iter();
            all.map(Expectation::Metric).collect()
        }
        Expectation::LeftOpen(left) => each(&left.agreements, &|agreements| {
            Expectation::LeftOpen(LeftOpen {
                agreements,
                ..left.clone()
            })
        }),
        // There has to be one that is terminated, and was not.
        Expectation::AllTerminated => vec![Expectation::Instances(Count::Exactly(0))],
        // It says that no instance need have run.
        Expectation::AllReached(StateName::Pending) => {
            vec![Expectation::Instances(Count::Exactly(0))]
        }
        Expectation::ErrorContains(text) => {
            vec![Expectation::ErrorContains(format!("{text}, and more"))]
        }
        Expectation::AllReached(_) | Expectation::Eventually(_) | Expectation::Never(_) => {
            Vec::new()
        }
    }
}

/// What must come somewhere in the catalog, for a claim that it does not come here to say something.
fn absent(claim: &Expectation) -> Option<&str> {
    let none = Count::Exactly(0);
    match claim {
        Expectation::Never(pattern) => Some(pattern.name()?.1.value.as_str()),
        Expectation::Event(event) | Expectation::NetworkEvent(event) if event.count == none => {
            Some(&event.name.value)
        }
        _ => None,
    }
}

fn run(scenario: &Scenario, out: &Path) -> Option<Rehearsal> {
    let options = Options {
        backend: Some(Backend::Memory),
        out: Some(out.to_owned()),
        ..Options::default()
    };
    rehearse(scenario, &options).ok()
}

/// What is red, in words.
fn red(run: &Rehearsal) -> BTreeSet<String> {
    let verdicts = run.report.expectations.iter();
    let red = verdicts.filter(|verdict| !verdict.ok);
    red.map(|verdict| verdict.expectation.clone()).collect()
}

/// Its claims, each with what stands before it in reports.
fn claims(scenario: &Scenario) -> Vec<(String, Expectation)> {
    let own = scenario.several().iter().flat_map(|requestor| {
        let name = format!("{}: ", requestor.name.value);
        let claims = requestor.expect.iter();
        claims.map(move |claim| (name.clone(), claim.clone()))
    });
    let all = scenario.expect.iter();
    all.map(|claim| (String::new(), claim.clone()))
        .chain(own)
        .collect()
}

fn with_stricter_claims(scenario: &Scenario) -> Scenario {
    let mut other = scenario.clone();
    let stricter = |claims: &[Expectation]| claims.iter().flat_map(stricter).collect::<Vec<_>>();
    other.expect = stricter(&scenario.expect);
    for requestor in other.requestors.iter_mut().flat_map(|all| &mut all.value) {
        requestor.expect = stricter(&requestor.expect);
    }
    other
}

fn with_nobody(scenario: &Scenario) -> Scenario {
    let mut other = scenario.clone();
    other.providers.clear();
    other.timeline.clear();
    let minute = Some(Span::seconds(60));
    other.requestor.no_offers_timeout = minute;
    for requestor in other.requestors.iter_mut().flat_map(|all| &mut all.value) {
        if let Some(own) = &mut requestor.requestor {
            own.no_offers_timeout = minute;
        }
    }
    other
}

/// `None`: there is no trouble in it.
fn without_trouble(scenario: &Scenario) -> Option<Scenario> {
    let mut other = scenario.clone();
    other.faults.clear();
    other.timeline.clear();
    let mut troubled = 0;
    for group in &mut other.providers {
        let well = Behaviour {
            latency: group.behaviour.latency.clone(),
            approve_after: group.behaviour.approve_after,
            ..Behaviour::default()
        };
        troubled += usize::from(group.behaviour != well);
        group.behaviour = well;
    }
    let any = !scenario.faults.is_empty() || !scenario.timeline.is_empty() || troubled > 0;
    any.then_some(other)
}

/// What came of one scenario.
struct Tried {
    name: &'static str,
    /// Claims that were red nowhere.
    idle: Vec<String>,
    /// Claims that something does not come.
    absent: Vec<String>,
    /// Whether no claim sees that its trouble is gone.
    blind: bool,
    events: BTreeSet<String>,
}

fn attempt(name: &'static str) -> Tried {
    let scenario = get(name).expect("in the catalog");
    let folder = tempfile::tempdir().expect("a folder");
    let stricter_run = run(&with_stricter_claims(&scenario), &folder.path().join("a"));
    let stricter_run = stricter_run.expect("a report");
    let nobody = run(&with_nobody(&scenario), &folder.path().join("b"));
    let calm = without_trouble(&scenario);
    let calm = calm.and_then(|calm| run(&calm, &folder.path().join("c")));
    let outcome = &stricter_run.outcome;
    let mut events: BTreeSet<String> = outcome.engine_events.keys().cloned().collect();
    events.extend(outcome.network_events.keys().cloned());
    for run in nobody.iter().chain(&calm) {
        events.extend(run.outcome.engine_events.keys().cloned());
        events.extend(run.outcome.network_events.keys().cloned());
    }
    let in_stricter = red(&stricter_run);
    let elsewhere: Vec<_> = nobody.iter().chain(&calm).map(red).collect();
    let mut tried = Tried {
        name,
        idle: Vec::new(),
        absent: Vec::new(),
        blind: false,
        events,
    };
    for (before, claim) in claims(&scenario) {
        let words = format!("{before}{claim}");
        if let Some(event) = absent(&claim) {
            tried.absent.push(event.to_owned());
            continue;
        }
        let mut others = stricter(&claim).into_iter();
        let tight = others.any(|other| in_stricter.contains(&format!("{before}{other}")));
        if !tight && !elsewhere.iter().any(|red| red.contains(&words)) {
            tried.idle.push(words);
        }
    }
    let written: BTreeSet<_> = claims(&scenario)
        .into_iter()
        .map(|(before, claim)| format!("{before}{claim}"))
        .collect();
    tried.blind = calm.is_some_and(|calm| red(&calm).is_disjoint(&written));
    tried
}

#[test]
fn every_expectation_of_the_catalog_can_fail_and_sees_that_its_trouble_is_gone() {
    let whole = std::env::var("GOLEM_TESTS").is_ok_and(|tests| tests == "whole");
    let all = THEMES.iter().flat_map(|(theme, _)| names_of(theme));
    let all = all.filter(|name| {
        let lines = get(name).expect("in the catalog").size().lines;
        lines <= if whole { 100_000 } else { MOST_LINES }
    });
    let all: Vec<&'static str> = all.collect();
    let tried = in_threads(&all, 2, |name| attempt(name));
    let events: BTreeSet<&str> = tried
        .iter()
        .flat_map(|tried| tried.events.iter().map(String::as_str))
        .collect();
    let mut wrong = Vec::new();
    for tried in &tried {
        let name = tried.name;
        wrong.extend(
            tried
                .idle
                .iter()
                .map(|words| format!("{name}: nothing makes it red: {words}")),
        );
        let unknown = tried
            .absent
            .iter()
            .filter(|it| !events.contains(it.as_str()));
        wrong.extend(unknown.map(|it| {
            format!("{name}: {it} comes in no scenario, so nothing is said by its absence")
        }));
        if tried.blind {
            wrong.push(format!("{name}: no claim of it is red without its trouble"));
        }
    }
    assert!(wrong.is_empty(), "of {}:\n{}", all.len(), wrong.join("\n"));
}
