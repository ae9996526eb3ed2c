//! Listens to the engine's events and keeps what reports and expectations need of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use golem_engine::clock::Clock;
use golem_engine::event::{Event, EventKind};
use golem_engine::service::{InstanceId, ServiceState};
use golem_engine::{AcceptedCosts, EndedBy};
use indexmap::IndexMap;
use jiff::Timestamp;
use mock_yagna::{DemandMatches, MockYagna};
use serde_json::Value;

use super::journal::Journal;
use super::levels::Levels;
use super::monitor::Whose;
use crate::report::outcome::{Cause, InstanceOutcome, Outcome};
use crate::report::unmatched::{explained, groups};
use crate::workload::WorkLog;

/// Hears the engine's events while a scenario runs, each with the time since the beginning on the
/// stage's clock. Instances of services have their names in place of their ids.
#[derive(Clone)]
pub struct Listener {
    hear: Arc<Hear>,
    told: Option<Arc<Tell>>,
}

type Hear = dyn Fn(Duration, &Event) + Send + Sync;
type Tell = dyn Fn(Duration, &str) + Send + Sync;

impl Listener {
    /// `hear` is called for every event.
    pub fn new(hear: impl Fn(Duration, &Event) + Send + Sync + 'static) -> Self {
        Listener {
            hear: Arc::new(hear),
            told: None,
        }
    }

    /// `told` is called with what is done to the network on purpose: each step of the timeline when it is
    /// taken, each fault when it hits a request for the first time.
    #[must_use]
    pub fn with_notes(self, told: impl Fn(Duration, &str) + Send + Sync + 'static) -> Self {
        Listener {
            told: Some(Arc::new(told)),
            ..self
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// Hears every event: writes it down, counts it, tells the listener. Clones share what they hear.
#[derive(Clone)]
pub(crate) struct Observer {
    heard: Arc<Heard>,
    /// The one of several requestors whose events are heard.
    whose: Whose,
}

struct Heard {
    journal: Journal,
    clock: Arc<dyn Clock>,
    begin: Timestamp,
    listener: Option<Listener>,
    /// Unless it is real.
    network: Option<MockYagna>,
    /// Of everybody.
    facts: Mutex<Facts>,
    /// Of each of several requestors.
    own: Mutex<BTreeMap<Arc<str>, Facts>>,
}

/// How often, on the stage's clock, the faults are looked at.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Facts {
    instances: IndexMap<String, InstanceOutcome>,
    /// Names of instances by their ids.
    names: IndexMap<String, String>,
    /// Provider and reason by the agreement that it ended, the first reason of each.
    causes: IndexMap<String, (String, String)>,
    /// How the latest demand without an agreement stood to the providers.
    matches: Option<DemandMatches>,
    /// Faults that have hit a request, and when the faults were looked at.
    hit: Vec<String>,
    looked: Option<Duration>,
    levels: Levels,
    accepted: AcceptedCosts,
    outcome: Outcome,
}

impl Observer {
    pub(crate) fn new(
        journal: Journal,
        clock: Arc<dyn Clock>,
        listener: Option<Listener>,
        network: Option<MockYagna>,
    ) -> Observer {
        let heard = Arc::new(Heard {
            begin: clock.now(),
            journal,
            clock,
            listener,
            network,
            facts: Mutex::default(),
            own: Mutex::default(),
        });
        Observer { heard, whose: None }
    }

    /// The same, for one of several requestors.
    pub(crate) fn of(&self, whose: &Whose) -> Observer {
        Observer {
            heard: Arc::clone(&self.heard),
            whose: whose.clone(),
        }
    }

    /// Hears what a workload tells.
    pub(crate) fn of_workload(&self, name: &str) -> WorkloadLog {
        WorkloadLog {
            observer: self.clone(),
            name: name.to_owned(),
        }
    }

    /// Takes notice of an event.
    pub(crate) fn event(&self, event: &Event) {
        self.heard.journal.engine(&self.whose, event);
        let mut event = event.clone();
        if let Some(instance) = event.instance() {
            // What an earlier life of the program left is the instance of that life.
            let earlier = instance.earlier_id().map(str::to_owned);
            let name = self.name_of(earlier.as_deref().unwrap_or(instance.id.as_str()));
            if let Some(name) = name.or(earlier)
                && let Some(instance) = &mut Arc::make_mut(&mut event.context).instance
            {
                instance.id = InstanceId::new(name.as_str());
            }
        }
        if let Some(Listener { hear, told }) = &self.heard.listener {
            let since = self.since(event.at);
            if told.is_some() {
                self.look_at_faults(since);
            }
            hear(since, &event);
        }
        if let EventKind::NoProposalsConfirmed(_) = event.kind {
            self.compare_offers();
        }
        self.each(|facts| facts.take(&event));
    }

    fn since(&self, at: Timestamp) -> Duration {
        let since = at.duration_since(self.heard.begin);
        Duration::try_from(since).unwrap_or_default()
    }

    /// Tells what is done on purpose to whoever listens.
    pub(crate) fn tell(&self, what: &str) {
        let told = self.heard.listener.as_ref().and_then(|l| l.told.as_ref());
        if let Some(told) = told {
            told(self.since(self.heard.clock.now()), what);
        }
    }

    /// Tells which faults have hit their first request.
    fn look_at_faults(&self, since: Duration) {
        let Some(network) = &self.heard.network else {
            return;
        };
        {
            let mut facts = self.facts();
            if facts
                .looked
                .is_some_and(|last| since < last.saturating_add(LOOK))
            {
                return;
            }
            facts.looked = Some(since);
        }
        let hit = network.faults().into_iter().filter(|fault| fault.hits > 0);
        for fault in hit {
            let mut facts = self.facts();
            if !facts.hit.contains(&fault.name) {
                facts.hit.push(fault.name.clone());
                drop(facts);
                self.tell(&format!("fault {} hits requests", fault.name));
            }
        }
    }

    /// Remembers why offers do not match the demand that found no provider.
    fn compare_offers(&self) {
        let network = self.heard.network.as_ref();
        let newest = network.and_then(|network| {
            let matches = network.matches().into_iter().rev();
            let mut own = matches.filter(|it| self.is_own(it.demand.as_str()));
            own.next()
        });
        if let Some(newest) = newest.filter(|newest| !newest.unmatched.is_empty()) {
            self.each(|facts| facts.matches = Some(newest.clone()));
        }
    }

    /// Writes down what the stage has to say.
    pub(crate) fn stage(&self, who: &str, event: &str, value: &Value) {
        let now = self.heard.clock.now();
        let journal = &self.heard.journal;
        journal.note("stage", &self.whose, now, who, event, value);
    }

    /// What the instances with these ids are called.
    pub(crate) fn name_instances(&self, names: impl IntoIterator<Item = (String, String)>) {
        let names = names.into_iter().map(|(id, name)| (self.own_id(&id), name));
        let names: Vec<_> = names.collect();
        self.facts().names.extend(names);
    }

    /// Whether something is not known to be another requestor's.
    fn is_own(&self, id: &str) -> bool {
        let owner = || self.heard.journal.owner_of(id);
        self.whose.is_none() || owner().is_none_or(|owner| self.whose == Some(owner))
    }

    /// The id of something that an engine counts itself: one of several begins as the others do.
    fn own_id(&self, id: &str) -> String {
        match &self.whose {
            None => id.to_owned(),
            Some(whose) => format!("{whose}/{id}"),
        }
    }

    /// What an instance is called, if its id is not all there is.
    fn name_of(&self, id: &str) -> Option<String> {
        let own = self.own_id(id);
        let name = self.facts().names.get(&own).cloned();
        name.or_else(|| self.whose.is_some().then_some(own))
    }

    /// The facts so far: of everybody, or of the one of several requestors whose observer this is.
    pub(crate) fn finish(&self) -> Outcome {
        let Some(whose) = &self.whose else {
            return Observer::told(&mut self.facts());
        };
        Observer::told(self.own().entry(Arc::clone(whose)).or_default())
    }

    fn told(facts: &mut Facts) -> Outcome {
        let mut outcome = std::mem::take(&mut facts.outcome);
        outcome.instances = std::mem::take(&mut facts.instances).into_values().collect();
        outcome.levels = facts.levels.outcome();
        outcome.metrics = std::mem::take(&mut facts.levels.metrics);
        outcome.causes = fold(std::mem::take(&mut facts.causes).into_values());
        if let Some(matches) = facts.matches.take() {
            outcome.unmatched = groups(&matches);
        }
        outcome
    }

    /// The same words, with the offers that do not match where the market is what they are about.
    pub(crate) fn explained(outcome: &Outcome, error: String) -> String {
        let is_of_the_market = error.contains("offers seen");
        match outcome.unmatched.as_slice() {
            [] => error,
            _ if !is_of_the_market => error,
            unmatched => explained(&error, unmatched),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Every fact is taken whole.
        let facts = self.heard.facts.lock();
        facts.unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Facts>> {
        let own = self.heard.own.lock();
        own.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a fact for everybody, and for the one of several whose it is.
    fn each(&self, take: impl Fn(&mut Facts)) {
        take(&mut self.facts());
        if let Some(whose) = &self.whose {
            take(self.own().entry(Arc::clone(whose)).or_default());
        }
    }
}

/// The same words without what is different each time: ids and long numbers.
fn without_ids(reason: &str) -> String {
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_id = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let hex = word
            .chars()
            .all(|c| c.is_ascii_hexdigit() || c == '-' || c == 'x');
        (word.len() >= 8 && hex && digits > 0) || (word.len() >= 24 && digits > 0)
    };
    let mut text = String::with_capacity(reason.len());
    let mut rest = reason;
    while let Some(first) = rest.chars().next() {
        let of_a_word = is_of_a_word(first);
        let end = rest.find(|c| is_of_a_word(c) != of_a_word);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        text.push_str(if of_a_word && is_id(part) {
            "…"
        } else {
            part
        });
        rest = after;
    }
    text
}

/// Reasons by provider, the most frequent first; those that differ in ids only are one.
fn fold(causes: impl Iterator<Item = (String, String)>) -> Vec<Cause> {
    let mut folded: IndexMap<(String, String), Cause> = IndexMap::new();
    for (provider, reason) in causes {
        let common = without_ids(&reason);
        let cause = folded
            .entry((provider.clone(), common.clone()))
            .or_insert_with(|| Cause {
                provider,
                reason: reason.clone(),
                times: 0,
            });
        cause.times += 1;
        if cause.reason != reason {
            cause.reason = common;
        }
    }
    let mut causes: Vec<Cause> = folded.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.times));
    causes
}

/// Hears what one workload tells.
pub(crate) struct WorkloadLog {
    observer: Observer,
    name: String,
}

impl WorkLog for WorkloadLog {
    fn note(&self, who: &str, event: &str, value: &Value) {
        let Observer { heard, whose } = &self.observer;
        let now = heard.clock.now();
        heard.journal.note("service", whose, now, who, event, value);
    }

    fn statistics(&self) {
        self.observer.each(|facts| facts.outcome.statistics += 1);
    }

    fn measure(&self, metric: &str, value: f64) {
        self.observer.each(|facts| {
            let outcome = &mut facts.outcome;
            let known = outcome.metrics_of.entry(self.name.clone()).or_default();
            // Whoever makes up a name for each value finds them together.
            let metric = match known.len() < MOST_METRICS || known.contains_key(metric) {
                true => metric,
                false => "more",
            };
            known.entry(metric.to_owned()).or_default().add(value);
        });
    }
}

/// Most metrics of one workload.
const MOST_METRICS: usize = 100;

impl Facts {
    /// Remembers why an agreement came to nothing; what comes after the first reason follows from it.
    fn cause(&mut self, event: &Event, reason: String) {
        let Some(agreement) = event.agreement() else {
            return;
        };
        let provider = match event.provider_name() {
            "" => "-",
            name => name,
        };
        let cause = (provider.to_owned(), reason);
        self.causes.entry(agreement.to_string()).or_insert(cause);
    }

    fn take(&mut self, event: &Event) {
        self.take_cause(event);
        self.levels.take(event);
        let outcome = &mut self.outcome;
        outcome.daemon_away.count(&event.kind);
        outcome.unpaid_invoices.count(event);
        let agreement = || event.agreement().map(ToString::to_string);
        match &event.kind {
            EventKind::ServiceStateChanged(change) => {
                let service = event.instance().map_or("", |it| it.id.as_str());
                let instance = self.instances.entry(service.to_owned()).or_default();
                if instance.states.is_empty() {
                    service.clone_into(&mut instance.name);
                    instance.states.push(change.old.to_string());
                }
                instance.states.push(change.new.to_string());
                if let Some(provider) = event.provider() {
                    instance.provider = Some(provider.name.clone());
                }
                // A failed start that is tried again is not the instance's failure.
                let failure = change.error.as_ref();
                let terminated = change.new == ServiceState::Terminated;
                instance.failure = failure
                    .filter(|_| terminated)
                    .map(|error| format!("{error:#}"));
            }
            EventKind::AgreementConfirmed(_) => in_force(outcome, event, agreement()),
            EventKind::ActivityCreated(_) => {
                // Nobody tells that an agreement is confirmed that was signed by hand and attached to.
                in_force(outcome, event, agreement());
                outcome.activities += 1;
                if let (Some(agreement), Some(activity)) = (agreement(), event.activity()) {
                    outcome
                        .parts_of_agreements
                        .insert(activity.to_string(), agreement);
                }
            }
            EventKind::InvoiceReceived(invoice) => {
                if let Some(agreement) = agreement() {
                    outcome
                        .parts_of_agreements
                        .insert(invoice.invoice_id.to_string(), agreement);
                }
            }
            EventKind::InvoiceAccepted(_) => outcome.invoices_paid += 1,
            _ => {}
        }
        let more = self.accepted.count(event);
        if !more.is_zero() {
            outcome.cost = outcome.cost + more;
            let provider = event.provider_name().to_owned();
            let provider = outcome.providers.entry(provider).or_default();
            provider.accepted = provider.accepted + more;
        }
    }

    fn take_cause(&mut self, event: &Event) {
        match &event.kind {
            EventKind::AgreementRejected(rejected) => {
                self.cause(event, rejected.reason.clone());
            }
            EventKind::AgreementTerminated(ended) if ended.by == EndedBy::Provider => {
                self.cause(event, ended.reason.clone());
            }
            EventKind::ActivityCreateFailed(_)
            | EventKind::TaskRejected(_)
            | EventKind::WorkerFinished(_)
            | EventKind::ServiceStateChanged(_) => {
                if let Some(error) = event.error() {
                    self.cause(event, format!("{error:#}"));
                }
            }
            _ => {}
        }
    }
}

/// An agreement is known to be in force: it is counted once, with its provider.
fn in_force(outcome: &mut Outcome, event: &Event, agreement: Option<String>) {
    let Some(agreement) = agreement else {
        return;
    };
    let provider = event.provider_name().to_owned();
    let known = &mut outcome.agreement_providers;
    if known.insert(agreement, provider.clone()).is_none() {
        outcome.agreements += 1;
        outcome.providers.entry(provider).or_default().agreements += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_ids_only_are_one_with_its_number() {
        let ids = ["0f3a9c21b7d84e55", "77b1c0de12aa4f0c", "a-1", "a-1"];
        let causes = ids.map(|id| {
            let reason = format!("activity {id} on port 8080: runtime not found");
            ("alice".to_owned(), reason)
        });
        let folded = fold(causes.into_iter());
        let told: Vec<_> = folded
            .iter()
            .map(|c| (c.times, c.reason.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (2, "activity … on port 8080: runtime not found"),
                (2, "activity a-1 on port 8080: runtime not found"),
            ]
        );
    }
}
