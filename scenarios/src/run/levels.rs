//! Levels and durations of a run, from the engine's events: how many agreements, activities and instances there
//! are at a time, and how long what has a beginning and an end takes.
//!
//! Does not own: what workloads measure themselves (`workload::WorkLog`).

use std::collections::{BTreeMap, BTreeSet};

use golem_engine::event::{Event, EventKind};
use golem_engine::service::ServiceState;
use jiff::Timestamp;

use crate::report::metrics::Metrics;
use crate::report::outcome::LevelOutcome;

/// What is counted and measured so far.
#[derive(Debug, Default)]
pub(super) struct Levels {
    agreements: Level,
    activities: Level,
    instances: Level,
    /// What has begun: the metric and whose it is.
    begun: BTreeMap<(&'static str, String), Timestamp>,
    pub(super) metrics: Metrics,
}

#[derive(Debug, Default)]
struct Level {
    now: BTreeSet<String>,
    most: u64,
}

impl Level {
    fn set(&mut self, id: String, there: bool) {
        match there {
            true => self.now.insert(id),
            false => self.now.remove(&id),
        };
        let number = self.now.len() as u64;
        self.most = self.most.max(number);
    }

    fn outcome(&self) -> LevelOutcome {
        LevelOutcome {
            most: self.most,
            last: self.now.len() as u64,
        }
    }
}

impl Levels {
    /// Takes notice of an event.
    pub(super) fn take(&mut self, event: &Event) {
        let agreement = || event.agreement().map(ToString::to_string);
        let activity = || event.activity().map(ToString::to_string);
        match &event.kind {
            EventKind::AgreementCreated(_) => {
                self.begin("agreement_seconds", agreement(), event.at)
            }
            EventKind::AgreementConfirmed(_) => {
                self.end("agreement_seconds", agreement(), event.at);
                set(&mut self.agreements, agreement(), true);
            }
            EventKind::AgreementTerminated(_) => set(&mut self.agreements, agreement(), false),
            EventKind::ActivityCreated(_) => set(&mut self.activities, activity(), true),
            EventKind::ActivityDestroyed(_) => set(&mut self.activities, activity(), false),
            EventKind::ServiceStateChanged(change) => {
                let instance = event.instance().map(|it| it.id.to_string());
                let running = change.new == ServiceState::Running;
                match change.new {
                    ServiceState::Starting => {
                        self.begin("start_seconds", instance.clone(), event.at)
                    }
                    ServiceState::Running => self.end("start_seconds", instance.clone(), event.at),
                    _ => {}
                }
                set(&mut self.instances, instance, running);
            }
            EventKind::ScriptSent(_) => self.begin("script_seconds", activity(), event.at),
            EventKind::ScriptFinished(_) => self.end("script_seconds", activity(), event.at),
            EventKind::TaskStarted(_) => self.begin("task_seconds", activity(), event.at),
            EventKind::TaskFinished(_) => self.end("task_seconds", activity(), event.at),
            EventKind::InvoiceReceived(_) => self.begin("invoice_seconds", agreement(), event.at),
            EventKind::InvoiceAccepted(_) => self.end("invoice_seconds", agreement(), event.at),
            _ => {}
        }
    }

    fn begin(&mut self, metric: &'static str, of: Option<String>, at: Timestamp) {
        if let Some(of) = of {
            self.begun.insert((metric, of), at);
        }
    }

    fn end(&mut self, metric: &'static str, of: Option<String>, at: Timestamp) {
        let begun = of.and_then(|of| self.begun.remove(&(metric, of)));
        if let Some(begun) = begun {
            let seconds = at.duration_since(begun).as_secs_f64();
            self.metrics
                .entry(metric.to_owned())
                .or_default()
                .add(seconds);
        }
    }

    /// The levels by name.
    pub(super) fn outcome(&self) -> BTreeMap<String, LevelOutcome> {
        [
            ("agreements", &self.agreements),
            ("activities", &self.activities),
            ("instances", &self.instances),
        ]
        .map(|(name, level)| (name.to_owned(), level.outcome()))
        .into()
    }
}

fn set(level: &mut Level, id: Option<String>, there: bool) {
    if let Some(id) = id {
        level.set(id, there);
    }
}
