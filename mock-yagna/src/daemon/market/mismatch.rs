//! Why the offers of providers do not match a demand: term by term, with what there is and what is wanted.
//!
//! Owns the comparison and its words, for whoever runs the network. Does not own: matching (`matching`);
//! the daemon tells none of this to its clients.

use std::fmt;

use golem_wire::DemandId;
use golem_wire::constraint::{Constraint, Lookup, Operator};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Market;
use super::demand::Demand;
use crate::provider::{Provider, Providers};

/// How a demand stands to the providers of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DemandMatches {
    /// The demand.
    pub demand: DemandId,
    /// Providers whose offers match it.
    pub matching: Vec<String>,
    /// Those whose offers do not, and why.
    pub unmatched: Vec<UnmatchedOffer>,
}

/// An offer that does not match a demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnmatchedOffer {
    /// Name of the provider.
    pub provider: String,
    /// Why, each reason alone is enough.
    pub why: Vec<Mismatch>,
}

/// A reason why an offer and a demand do not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "side")]
pub enum Mismatch {
    /// The demand's constraints want something else of the offer.
    Offer {
        /// What it is about, as `memory`.
        what: String,
        /// What the offer says of it; `null` when it says nothing.
        has: Option<String>,
        /// What the demand wants.
        wants: String,
    },
    /// The provider's constraints want something else of the demand.
    Demand {
        /// What it is about, as `subnet`.
        what: String,
        /// What the demand says of it; `null` when it says nothing.
        has: Option<String>,
        /// What the provider wants.
        wants: String,
    },
    /// The demand's constraints are no expression: nothing ever matches them.
    NoExpression,
    /// The provider has no offer on the market: it is away, or gave up.
    NoOffer,
}

impl Mismatch {
    /// What there is, where something else is wanted.
    pub fn has(&self) -> Option<&str> {
        match self {
            Mismatch::Offer { has, .. } | Mismatch::Demand { has, .. } => has.as_deref(),
            Mismatch::NoExpression | Mismatch::NoOffer => None,
        }
    }

    /// The same for all providers of which one thing is wanted, whatever each has.
    pub fn is_like(&self, other: &Mismatch) -> bool {
        match (self, other) {
            (
                Mismatch::Offer { what, wants, has },
                Mismatch::Offer {
                    what: as_well,
                    wants: wanted,
                    has: there,
                },
            )
            | (
                Mismatch::Demand { what, wants, has },
                Mismatch::Demand {
                    what: as_well,
                    wants: wanted,
                    has: there,
                },
            ) => what == as_well && wants == wanted && has.is_some() == there.is_some(),
            (one, other) => one == other,
        }
    }

    /// In words, with `has` in place of what this one has.
    pub fn told(&self, has: Option<&str>) -> String {
        match (self, has) {
            (Mismatch::Offer { what, wants, .. }, Some(has)) => {
                format!("{what} {has}, the demand wants {wants}")
            }
            (Mismatch::Offer { what, wants, .. }, None) => {
                format!("no {what}, the demand wants {wants}")
            }
            (Mismatch::Demand { what, wants, .. }, Some(has)) => {
                format!("wants {what} {wants}, the demand has {has}")
            }
            (Mismatch::Demand { what, wants, .. }, None) => {
                format!("wants {what} {wants}, the demand has none")
            }
            (Mismatch::NoExpression, _) => "the demand's constraints are no expression".into(),
            (Mismatch::NoOffer, _) => "no offer on the market".into(),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(self.has()))
    }
}

/// What people call a property, and its unit.
const NAMES: [(&str, &str, &str); 10] = [
    ("golem.inf.mem.gib", "memory", " GiB"),
    ("golem.inf.storage.gib", "storage", " GiB"),
    ("golem.inf.cpu.cores", "cores", ""),
    ("golem.inf.cpu.threads", "threads", ""),
    ("golem.inf.cpu.architecture", "architecture", ""),
    ("golem.runtime.name", "runtime", ""),
    ("golem.runtime.version", "runtime version", ""),
    ("golem.runtime.capabilities", "capabilities", ""),
    ("golem.node.debug.subnet", "subnet", ""),
    ("golem.srv.comp.expiration", "expiration", " ms"),
];

fn called(key: &str) -> (String, &'static str) {
    let known = NAMES.iter().find(|(name, ..)| *name == key);
    known.map_or((key.to_owned(), ""), |(_, called, unit)| {
        ((*called).to_owned(), unit)
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(members) => members.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What a part of an expression wants: what of, what there is of it, and what should be.
fn wanted(part: &Constraint, there: &impl Lookup) -> (String, Option<String>, String) {
    match part {
        Constraint::Compare {
            property,
            operator,
            value,
        } => {
            let (what, unit) = called(&property.to_string());
            let has = there.property(&property.name);
            let has = has.map(|has| format!("{}{unit}", plain(has)));
            let relation = match operator {
                Operator::Equal => "",
                Operator::Greater => "more than ",
                Operator::GreaterOrEqual => "at least ",
                Operator::Less => "less than ",
                Operator::LessOrEqual => "at most ",
            };
            (what, has, format!("{relation}{}{unit}", value.text()))
        }
        Constraint::Present(property) => (called(&property.to_string()).0, None, "one".into()),
        other => ("combination of properties".into(), None, other.to_string()),
    }
}

fn mismatches(demand: &Demand, provider: &Provider, now: Timestamp) -> Vec<Mismatch> {
    let mut why: Vec<Mismatch> = Vec::new();
    let Ok(constraint) = &demand.terms.parsed else {
        return vec![Mismatch::NoExpression];
    };
    for part in constraint.failing(&*provider.offer) {
        let (what, has, wants) = wanted(part, &*provider.offer);
        why.push(Mismatch::Offer { what, has, wants });
    }
    for part in provider.constraint.failing(&*demand.terms.properties) {
        let (what, has, wants) = wanted(part, &*demand.terms.properties);
        // Both sides want their subnet of the other.
        let told =
            |known: &Mismatch| matches!(known, Mismatch::Offer { what: of, .. } if *of == what);
        if !why.iter().any(told) {
            why.push(Mismatch::Demand { what, has, wants });
        }
    }
    if why.is_empty() && !provider.publication.stands(now) {
        why.push(Mismatch::NoOffer);
    }
    why
}

impl Market {
    /// How every demand that is remembered stands to the providers, the newest last.
    pub(crate) fn matches(&self, providers: &Providers, now: Timestamp) -> Vec<DemandMatches> {
        let demands = self.demands.values();
        demands
            .map(|demand| {
                let (mut matching, mut unmatched) = (Vec::new(), Vec::new());
                for provider in providers.by_id.values() {
                    let name = provider.name.clone();
                    match mismatches(demand, provider, now) {
                        why if why.is_empty() => matching.push(name),
                        why => unmatched.push(UnmatchedOffer {
                            provider: name,
                            why,
                        }),
                    }
                }
                DemandMatches {
                    demand: demand.id.clone(),
                    matching,
                    unmatched,
                }
            })
            .collect()
    }
}
