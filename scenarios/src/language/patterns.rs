//! Events as scenario files speak of them: by name, and by what the journal tells of them.
//!
//! Owns: whether a line of the journal is one that is meant. Does not own: what follows from that (`expect`, `timeline`).

use std::fmt;

use indexmap::IndexMap;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::values::{Count, Span};

/// An event: one of the engine's or one of the network's, by its name in the journal.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pattern {
    /// An event of the engine.
    pub event: Option<Spanned<String>>,
    /// Or an event of the network.
    pub network_event: Option<Spanned<String>>,
    /// Members of its line in the journal, each with its value, or `{contains: …}` for a part of it.
    pub with: IndexMap<String, Value>,
}

/// Which journal lines are about the engine, and which about the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Engine,
    Network,
}

impl Pattern {
    /// The name that is meant, and whose event it is.
    pub(crate) fn name(&self) -> Option<(Source, &Spanned<String>)> {
        match (&self.event, &self.network_event) {
            (Some(name), None) => Some((Source::Engine, name)),
            (None, Some(name)) => Some((Source::Network, name)),
            _ => None,
        }
    }

    pub(crate) fn is_named(&self, source: Source, name: &str) -> bool {
        let meant = self.name();
        meant.is_some_and(|(meant, it)| meant == source && it.value == name)
    }

    /// Whether a line, whose event has the name that is meant, is as wanted.
    pub(crate) fn fits(&self, line: &Value) -> bool {
        self.with.iter().all(|(key, wanted)| {
            let found = line.get(key);
            found.is_some_and(|found| is_like(found, wanted))
        })
    }
}

fn is_like(found: &Value, wanted: &Value) -> bool {
    if let Some(part) = wanted.get("contains").and_then(Value::as_str) {
        let found = found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned);
        return found.contains(part);
    }
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        (Value::String(found), Value::Number(wanted)) => *found == wanted.to_string(),
        (found, wanted) => found == wanted,
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().map_or("", |(_, name)| &name.value);
        f.write_str(name)?;
        let mut before = " with ";
        for (key, wanted) in &self.with {
            let wanted = wanted
                .as_str()
                .map_or_else(|| wanted.to_string(), str::to_owned);
            write!(f, "{before}{key} {wanted}")?;
            before = ", ";
        }
        Ok(())
    }
}

/// An event that comes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eventually {
    /// Which.
    pub of: Pattern,
    /// So long after the beginning; absent: at any time of the run.
    #[serde(default)]
    pub within: Option<Span>,
}

/// Whatever follows one event.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeadsTo {
    /// After each of these …
    pub from: Pattern,
    /// … comes one of these …
    pub to: Pattern,
    /// … so soon; absent: before the run ends.
    #[serde(default)]
    pub within: Option<Span>,
    /// A member of both lines that is the same, as `agreement_id`; absent: any of them will do.
    #[serde(default)]
    pub same: Option<String>,
}

/// What a level of the run keeps to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// `agreements`, `activities` or `instances`: those that are open, or running, at one time.
    pub level: Spanned<String>,
    /// How many.
    pub count: Count,
}

/// What a metric amounts to; all that is written must hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricClaim {
    /// Its name: one of the run's, or of a workload's own.
    pub name: Spanned<String>,
    /// The workload that measured it; absent: the run, or any workload.
    #[serde(default)]
    pub workload: Option<String>,
    /// How many values there are.
    #[serde(default)]
    pub count: Option<Count>,
    /// All together.
    #[serde(default)]
    pub sum: Option<Limits>,
    /// The least.
    #[serde(default)]
    pub min: Option<Limits>,
    /// The middle one.
    #[serde(default)]
    pub p50: Option<Limits>,
    /// Nineteen of twenty are at most this.
    #[serde(default)]
    pub p95: Option<Limits>,
    /// Ninety-nine of a hundred are at most this.
    #[serde(default)]
    pub p99: Option<Limits>,
    /// The largest.
    #[serde(default)]
    pub max: Option<Limits>,
}

/// A range of numbers, or of durations in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// At least so much.
    pub at_least: Option<Amount>,
    /// At most so much.
    pub at_most: Option<Amount>,
}

impl Limits {
    pub(crate) fn admits(&self, value: f64) -> bool {
        let above = |least: Amount| value >= least.0;
        let below = |most: Amount| value <= most.0;
        self.at_least.is_none_or(above) && self.at_most.is_none_or(below)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => write!(f, "from {} to {}", least.0, most.0),
            (Some(least), None) => write!(f, "at least {}", least.0),
            (None, Some(most)) => write!(f, "at most {}", most.0),
            (None, None) => f.write_str("anything"),
        }
    }
}

/// A number, or a duration, which is its number of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount(pub f64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a duration such as `90s`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount(number as f64))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount(number as f64))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                let span: Span = text.parse().map_err(E::custom)?;
                Ok(Amount(span.0.as_secs_f64()))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

impl MetricClaim {
    /// The claims about single values, by their names.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&'static str, &Limits)> {
        let all = [
            ("sum", &self.sum),
            ("min", &self.min),
            ("p50", &self.p50),
            ("p95", &self.p95),
            ("p99", &self.p99),
            ("max", &self.max),
        ];
        all.into_iter()
            .filter_map(|(name, limits)| Some((name, limits.as_ref()?)))
    }
}

impl fmt::Display for MetricClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric {}", self.name.value)?;
        if let Some(workload) = &self.workload {
            write!(f, " of {workload}")?;
        }
        let mut before = ": ";
        if let Some(count) = &self.count {
            write!(f, "{before}{count} values")?;
            before = ", ";
        }
        for (name, limits) in self.limits() {
            write!(f, "{before}{name} {limits}")?;
            before = ", ";
        }
        Ok(())
    }
}
