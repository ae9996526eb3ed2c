//! What an engine does, in numbers, for dashboards and for runs that are compared. Owns: the list of names, which is
//! stable, and how events become numbers. Does not own: how much is kept in memory now ([`Golem::gauges`]), what a
//! person reads ([`Summary`](crate::Summary)), where numbers are sent.
//!
//! ```no_run
//! use golem_engine::metrics::Metrics;
//! use golem_engine::{Error, Golem};
//!
//! # async fn example() -> Result<(), Error> {
//! let metrics = Metrics::new();
//! let golem = Golem::builder().event_consumer(metrics.consumer()).start().await?;
//! // … whenever somebody asks for it:
//! println!("{}", metrics.to_prometheus());
//! # Ok(())
//! # }
//! ```
//!
//! # Counters
//!
//! | name | counts |
//! |---|---|
//! | `offers` | proposals that arrived |
//! | `offers_refused` | proposals that either side refused |
//! | `agreements` | agreements approved |
//! | `agreements_rejected` | agreements refused, or not approved in time |
//! | `agreements_terminated` | agreements that ended |
//! | `activities` | activities created |
//! | `activities_failed` | activities that could not be created |
//! | `scripts` | scripts that ended well |
//! | `scripts_failed` | scripts that failed |
//! | `commands` | commands that ended, well or not |
//! | `tasks` | tasks done |
//! | `tasks_rejected` | attempts at tasks that failed |
//! | `services_restarted` | instances that began anew after they had run |
//! | `debit_notes` | debit notes accepted |
//! | `invoices` | invoices accepted |
//! | `payments_failed` | documents that were not paid |
//! | `daemon_absences` | times the daemon was away |
//! | `glm_accepted` | GLM of accepted invoices |
//!
//! # Distributions
//!
//! All in seconds, by the times of the events. The first six have the names of the ecosystem's load test.
//!
//! | name | from | to |
//! |---|---|---|
//! | `provider_found_to_agreement` | a provider's first proposal on a demand | its agreement is approved |
//! | `script_start_to_agreement` | the job began | an agreement of it is approved |
//! | `provider_setup_time` | an agreement is approved | its first task begins, or its instance runs |
//! | `script_start_to_task_start` | the job began | a task begins |
//! | `task_execution_duration` | a task begins | it is done |
//! | `provider_found_to_task_start` | a provider's first proposal on a demand | the first task on its agreement begins |
//! | `agreement_duration` | an agreement is approved | it ended |
//! | `script_duration` | a script went to the provider | it ended, well or not |
//! | `invoice_delay` | an agreement ended | its invoice came |
//!
//! In the Prometheus text all begin with `golem_`; counters end in `_total`, distributions in `_seconds`. Names are
//! added, not changed.
//!
//! [`Golem::gauges`]: crate::Golem::gauges

use std::fmt::Write as _;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use crate::event::{Event, EventKind};
use crate::lifecycle::service::ServiceState;
use crate::model::JobId;

/// Samples of which quartiles are told: the latest.
const SAMPLES: usize = 4096;
/// Things of each kind whose beginning is remembered; of more, the oldest are forgotten.
const MAX_OPEN: usize = 100_000;
/// Upper ends of the buckets of a distribution in the Prometheus text, in seconds.
const BUCKETS: [f64; 14] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 1800.0, 7200.0,
];

/// Names of the counters, in the order in which they are told.
pub const COUNTERS: [&str; 18] = [
    "offers",
    "offers_refused",
    "agreements",
    "agreements_rejected",
    "agreements_terminated",
    "activities",
    "activities_failed",
    "scripts",
    "scripts_failed",
    "commands",
    "tasks",
    "tasks_rejected",
    "services_restarted",
    "debit_notes",
    "invoices",
    "payments_failed",
    "daemon_absences",
    "glm_accepted",
];

/// Names of the distributions, in the order in which they are told.
pub const DISTRIBUTIONS: [&str; 9] = [
    "provider_found_to_agreement",
    "script_start_to_agreement",
    "provider_setup_time",
    "script_start_to_task_start",
    "task_execution_duration",
    "provider_found_to_task_start",
    "agreement_duration",
    "script_duration",
    "invoice_delay",
];

/// How long something took, many times.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// How often.
    pub count: u64,
    /// All together, in seconds.
    pub sum: f64,
    /// On average, in seconds; zero of none.
    pub mean: f64,
    /// Standard deviation, in seconds; zero of fewer than two.
    pub std: f64,
    /// The shortest, in seconds.
    pub min: f64,
    /// A quarter took no longer, in seconds; of the latest 4,096.
    pub first_quartile: f64,
    /// Half took no longer, in seconds; of the latest 4,096.
    pub median: f64,
    /// Three quarters took no longer, in seconds; of the latest 4,096.
    pub third_quartile: f64,
    /// The longest, in seconds.
    pub max: f64,
}

/// All numbers at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// Counters by name, all of [`COUNTERS`].
    pub counters: IndexMap<&'static str, f64>,
    /// Distributions by name, all of [`DISTRIBUTIONS`].
    pub distributions: IndexMap<&'static str, Distribution>,
}

/// Listens to events and keeps numbers. Cheap to clone. Given to several engines it counts all of them together, as
/// long as their jobs have different names.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    counters: IndexMap<&'static str, f64>,
    glm: Glm,
    series: IndexMap<&'static str, Series>,
    jobs: Open<JobId>,
    found: Open<(JobId, NodeId)>,
    agreements: Open<AgreementId>,
    /// Agreements on which nothing has begun.
    unused: Open<AgreementId>,
    /// When their provider was found.
    found_for: Open<AgreementId>,
    ended: Open<AgreementId>,
    tasks: Open<String>,
    scripts: Open<(ActivityId, u64)>,
    is_away: bool,
}

/// When things began, by what they are; the oldest are forgotten.
#[derive(Debug)]
struct Open<K>(IndexMap<K, Timestamp>);

impl<K> Default for Open<K> {
    fn default() -> Self {
        Open(IndexMap::new())
    }
}

impl<K: Eq + Hash> Open<K> {
    fn begin(&mut self, what: K, at: Timestamp) {
        self.0.insert(what, at);
        if self.0.len() > MAX_OPEN {
            self.0.shift_remove_index(0);
        }
    }

    /// The first time counts.
    fn begin_once(&mut self, what: K, at: Timestamp) {
        if !self.0.contains_key(&what) {
            self.begin(what, at);
        }
    }

    fn since(&self, what: &K) -> Option<Timestamp> {
        self.0.get(what).copied()
    }

    fn end(&mut self, what: &K) -> Option<Timestamp> {
        self.0.swap_remove(what)
    }
}

/// One distribution.
#[derive(Debug, Default)]
struct Series {
    count: u64,
    sum: f64,
    squares: f64,
    min: f64,
    max: f64,
    buckets: [u64; BUCKETS.len()],
    latest: Vec<f64>,
    next: usize,
}

impl Series {
    fn add(&mut self, seconds: f64) {
        self.min = if self.count == 0 {
            seconds
        } else {
            self.min.min(seconds)
        };
        self.max = self.max.max(seconds);
        self.count += 1;
        self.sum += seconds;
        self.squares += seconds * seconds;
        for (count, limit) in self.buckets.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= limit);
        }
        match self.latest.get_mut(self.next) {
            Some(oldest) => *oldest = seconds,
            None => self.latest.push(seconds),
        }
        self.next = (self.next + 1) % SAMPLES;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn distribution(&self) -> Distribution {
        if self.count == 0 {
            return Distribution::default();
        }
        let count = self.count as f64;
        let mean = self.sum / count;
        let variance = if self.count < 2 {
            0.0
        } else {
            (self.squares - count * mean * mean) / (count - 1.0)
        };
        let mut sorted = self.latest.clone();
        sorted.sort_by(f64::total_cmp);
        let quartile = |quarters: usize| {
            let at = (sorted.len() - 1) * quarters;
            let (low, rest) = (at / 4, at % 4);
            let low_value = sorted.get(low).copied().unwrap_or_default();
            let high_value = sorted.get(low + 1).copied().unwrap_or(low_value);
            low_value + (high_value - low_value) * rest as f64 / 4.0
        };
        Distribution {
            count: self.count,
            sum: self.sum,
            mean,
            std: variance.max(0.0).sqrt(),
            min: self.min,
            first_quartile: quartile(1),
            median: quartile(2),
            third_quartile: quartile(3),
            max: self.max,
        }
    }
}

impl Metrics {
    /// Counts from zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// To be given to [`GolemBuilder::event_consumer`](crate::GolemBuilder::event_consumer), or to
    /// [`event_observer`](crate::GolemBuilder::event_observer), which misses nothing.
    pub fn consumer(&self) -> impl Fn(&Event) + Send + Sync + use<> {
        let this = self.clone();
        move |event: &Event| this.log(event)
    }

    /// Counts an event.
    pub fn log(&self, event: &Event) {
        self.lock().count(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the numbers consistent enough to be told.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A counter by its name; `None` when there is none of it.
    pub fn counter(&self, name: &str) -> Option<f64> {
        let name = COUNTERS.iter().find(|known| **known == name)?;
        Some(self.lock().counter(name))
    }

    /// A distribution by its name; `None` when there is none of it.
    pub fn distribution(&self, name: &str) -> Option<Distribution> {
        let name = DISTRIBUTIONS.iter().find(|known| **known == name)?;
        Some(self.lock().distribution(name))
    }

    /// All numbers.
    pub fn snapshot(&self) -> MetricsSnapshot {
        let state = self.lock();
        let counters = COUNTERS.iter().map(|name| (*name, state.counter(name)));
        let distributions = DISTRIBUTIONS.iter();
        let distributions = distributions.map(|name| (*name, state.distribution(name)));
        MetricsSnapshot {
            counters: counters.collect(),
            distributions: distributions.collect(),
        }
    }

    /// All numbers in the text format of Prometheus, to be served by the program at an address of its own.
    pub fn to_prometheus(&self) -> String {
        let state = self.lock();
        let mut text = String::new();
        // Writing into a text does not fail.
        for name in COUNTERS {
            let _ = writeln!(text, "# TYPE golem_{name}_total counter");
            let _ = writeln!(text, "golem_{name}_total {}", state.counter(name));
        }
        let empty = Series::default();
        for name in DISTRIBUTIONS {
            let series = state.series.get(name).unwrap_or(&empty);
            let name = format!("golem_{name}_seconds");
            let _ = writeln!(text, "# TYPE {name} histogram");
            for (count, limit) in series.buckets.iter().zip(BUCKETS) {
                let _ = writeln!(text, "{name}_bucket{{le=\"{limit}\"}} {count}");
            }
            let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {}", series.count);
            let _ = writeln!(text, "{name}_sum {}", series.sum);
            let _ = writeln!(text, "{name}_count {}", series.count);
        }
        text
    }
}

impl State {
    fn counter(&self, name: &str) -> f64 {
        if name == "glm_accepted" {
            return self.glm.to_string().parse().unwrap_or_default();
        }
        self.counters.get(name).copied().unwrap_or_default()
    }

    fn distribution(&self, name: &str) -> Distribution {
        let series = self.series.get(name);
        series.map_or_else(Distribution::default, Series::distribution)
    }

    fn add(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1.0;
    }

    /// What began then took until now.
    fn took(&mut self, name: &'static str, since: Option<Timestamp>, now: Timestamp) {
        if let Some(since) = since {
            let seconds = now.duration_since(since).as_secs_f64().max(0.0);
            self.series.entry(name).or_default().add(seconds);
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a line or two for each kind of event"
    )]
    fn count(&mut self, event: &Event) {
        let at = event.at;
        let (job, agreement) = (event.job(), event.agreement());
        match &event.kind {
            EventKind::JobStarted(_) => {
                if let Some(job) = job {
                    self.jobs.begin(job.clone(), at);
                }
            }
            EventKind::JobFinished(_) => {
                if let Some(job) = job {
                    self.jobs.end(job);
                    self.found.0.retain(|(of, _), _| of != job);
                }
            }
            EventKind::ProposalReceived(_) => {
                self.add("offers");
                if let (Some(job), Some(provider)) = (job, event.provider()) {
                    let found = (job.clone(), provider.id.clone());
                    self.found.begin_once(found, at);
                }
            }
            EventKind::ProposalRejected(_) => self.add("offers_refused"),
            EventKind::AgreementConfirmed(_) => {
                self.add("agreements");
                let Some(agreement) = agreement else { return };
                self.agreements.begin(agreement.clone(), at);
                self.unused.begin(agreement.clone(), at);
                let Some(job) = job else { return };
                let since = self.jobs.since(job);
                self.took("script_start_to_agreement", since, at);
                if let Some(provider) = event.provider() {
                    let found = (job.clone(), provider.id.clone());
                    if let Some(since) = self.found.since(&found) {
                        self.found_for.begin(agreement.clone(), since);
                        self.took("provider_found_to_agreement", Some(since), at);
                    }
                }
            }
            EventKind::AgreementRejected(_) => self.add("agreements_rejected"),
            EventKind::AgreementTerminated(_) => {
                self.add("agreements_terminated");
                let Some(agreement) = agreement else { return };
                let since = self.agreements.end(agreement);
                self.took("agreement_duration", since, at);
                self.unused.end(agreement);
                self.found_for.end(agreement);
                self.ended.begin(agreement.clone(), at);
            }
            EventKind::ActivityCreated(_) => self.add("activities"),
            EventKind::ActivityCreateFailed(_) => self.add("activities_failed"),
            EventKind::ScriptSent(sent) => {
                if let Some(activity) = event.activity() {
                    self.scripts.begin((activity.clone(), sent.script), at);
                }
            }
            EventKind::ScriptFinished(finished) => {
                self.add(match finished.error {
                    None => "scripts",
                    Some(_) => "scripts_failed",
                });
                if let Some(activity) = event.activity() {
                    let since = self.scripts.end(&(activity.clone(), finished.script));
                    self.took("script_duration", since, at);
                }
            }
            EventKind::CommandExecuted(_) => self.add("commands"),
            EventKind::TaskStarted(_) => {
                self.work_begins(event);
                if let Some(task) = event.task() {
                    self.tasks.begin(task.id.clone(), at);
                }
                let since = job.and_then(|job| self.jobs.since(job));
                self.took("script_start_to_task_start", since, at);
            }
            EventKind::TaskAccepted(_) => {
                self.add("tasks");
                if let Some(task) = event.task() {
                    let since = self.tasks.end(&task.id);
                    self.took("task_execution_duration", since, at);
                }
            }
            EventKind::TaskRejected(_) => {
                self.add("tasks_rejected");
                if let Some(task) = event.task() {
                    self.tasks.end(&task.id);
                }
            }
            EventKind::ServiceStateChanged(changed) if changed.new == ServiceState::Running => {
                self.work_begins(event);
            }
            EventKind::ServiceRestarted(_) => self.add("services_restarted"),
            EventKind::DebitNoteAccepted(_) => self.add("debit_notes"),
            EventKind::InvoiceReceived(_) => {
                let since = agreement.and_then(|agreement| self.ended.end(agreement));
                self.took("invoice_delay", since, at);
            }
            EventKind::InvoiceAccepted(accepted) => {
                self.add("invoices");
                self.glm = self.glm + accepted.amount;
            }
            EventKind::PaymentFailed(_) => self.add("payments_failed"),
            EventKind::DaemonAway(_) => {
                if !self.is_away {
                    self.add("daemon_absences");
                }
                self.is_away = true;
            }
            EventKind::DaemonBack(_) => self.is_away = false,
            _ => {}
        }
    }

    /// The first of an agreement.
    fn work_begins(&mut self, event: &Event) {
        let Some(agreement) = event.agreement() else {
            return;
        };
        if let Some(since) = self.unused.end(agreement) {
            self.took("provider_setup_time", Some(since), event.at);
            if event.task().is_some() {
                let found = self.found_for.end(agreement);
                self.took("provider_found_to_task_start", found, event.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_tells_what_a_load_test_tells() {
        let mut series = Series::default();
        for seconds in [1.0, 2.0, 3.0, 4.0, 5.0] {
            series.add(seconds);
        }
        let told = series.distribution();
        assert_eq!((told.count, told.sum, told.mean), (5, 15.0, 3.0));
        assert_eq!((told.min, told.median, told.max), (1.0, 3.0, 5.0));
        assert_eq!((told.first_quartile, told.third_quartile), (2.0, 4.0));
        assert!((told.std - 2.5f64.sqrt()).abs() < 1e-9, "{told:?}");
        assert_eq!(Series::default().distribution(), Distribution::default());
    }

    #[test]
    fn what_is_measured_for_months_does_not_grow() {
        let mut series = Series::default();
        for _ in 0..3 * SAMPLES {
            series.add(1.0);
        }
        assert_eq!(series.latest.len(), SAMPLES);
        let mut open = Open::default();
        for number in 0..MAX_OPEN + 5 {
            open.begin(number, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(open.0.len(), MAX_OPEN);
    }

    #[test]
    fn every_name_is_told_once_also_of_nothing_and_no_other_exists() {
        let metrics = Metrics::new();
        let told = metrics.snapshot();
        assert_eq!(Vec::from_iter(told.counters.keys().copied()), COUNTERS);
        assert_eq!(
            Vec::from_iter(told.distributions.keys().copied()),
            DISTRIBUTIONS
        );
        let text = metrics.to_prometheus();
        for name in COUNTERS {
            assert!(
                text.contains(&format!("\ngolem_{name}_total 0\n")),
                "{name}"
            );
            assert_eq!(metrics.counter(name), Some(0.0));
        }
        for name in DISTRIBUTIONS {
            let sum = format!("golem_{name}_seconds_sum 0\n");
            assert!(text.contains(&sum), "{name}: {text}");
        }
        assert_eq!(metrics.counter("nothing"), None);
        assert_eq!(metrics.distribution("nothing"), None);
    }
}
