//! Listens to the engine's events and keeps what reports and expectations need of them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use golem_engine::EndedBy;
use golem_engine::clock::Clock;
use golem_engine::event::{Event, EventKind};
use golem_engine::service::ServiceState;
use golem_wire::AgreementId;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;

use super::journal::Journal;
use crate::report::outcome::{Cause, InstanceOutcome, Outcome};
use crate::workload::WorkLog;

/// Hears the engine's events while a scenario runs, each with the time since the beginning on the
/// stage's clock. Instances of services have their names in place of their ids.
#[derive(Clone)]
pub struct Listener(Arc<Hear>);

type Hear = dyn Fn(Duration, &Event) + Send + Sync;

impl Listener {
    /// `hear` is called for every event.
    pub fn new(hear: impl Fn(Duration, &Event) + Send + Sync + 'static) -> Self {
        Listener(Arc::new(hear))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// Hears every event: writes it down, counts it, tells the listener. Clones share what they hear.
#[derive(Clone)]
pub(crate) struct Observer(Arc<Heard>);

struct Heard {
    journal: Journal,
    clock: Arc<dyn Clock>,
    begin: Timestamp,
    listener: Option<Listener>,
    facts: Mutex<Facts>,
}

#[derive(Default)]
struct Facts {
    instances: IndexMap<String, InstanceOutcome>,
    /// Names of instances by their ids.
    names: IndexMap<String, String>,
    /// Provider and reason by the agreement that it ended, the first reason of each.
    causes: IndexMap<String, (String, String)>,
    outcome: Outcome,
}

impl Observer {
    pub(crate) fn new(
        journal: Journal,
        clock: Arc<dyn Clock>,
        listener: Option<Listener>,
    ) -> Observer {
        Observer(Arc::new(Heard {
            begin: clock.now(),
            journal,
            clock,
            listener,
            facts: Mutex::default(),
        }))
    }

    /// Takes notice of an event.
    pub(crate) fn event(&self, event: &Event) {
        self.0.journal.engine(event);
        let mut event = event.clone();
        if let EventKind::ServiceStateChanged { service, .. } = &mut event.kind
            && let Some(name) = self.facts().names.get(service)
        {
            service.clone_from(name);
        }
        if let Some(Listener(hear)) = &self.0.listener {
            let since = event.at.duration_since(self.0.begin);
            hear(Duration::try_from(since).unwrap_or_default(), &event);
        }
        self.facts().take(&event.kind);
    }

    /// Writes down what the stage has to say.
    pub(crate) fn stage(&self, who: &str, event: &str, value: &Value) {
        let now = self.0.clock.now();
        self.0.journal.note("stage", now, who, event, value);
    }

    /// What the instances with these ids are called.
    pub(crate) fn name_instances(&self, names: impl IntoIterator<Item = (String, String)>) {
        self.facts().names.extend(names);
    }

    /// The facts so far.
    pub(crate) fn finish(&self) -> Outcome {
        let mut facts = self.facts();
        let mut outcome = std::mem::take(&mut facts.outcome);
        outcome.instances = std::mem::take(&mut facts.instances).into_values().collect();
        let mut counts: IndexMap<(String, String), u64> = IndexMap::new();
        for cause in std::mem::take(&mut facts.causes).into_values() {
            *counts.entry(cause).or_default() += 1;
        }
        let causes = counts.into_iter().map(|((provider, reason), times)| Cause {
            provider,
            reason,
            times,
        });
        outcome.causes = causes.collect();
        outcome
            .causes
            .sort_by_key(|cause| std::cmp::Reverse(cause.times));
        outcome
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Every fact is taken whole.
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkLog for Observer {
    fn note(&self, who: &str, event: &str, value: &Value) {
        let now = self.0.clock.now();
        self.0.journal.note("service", now, who, event, value);
    }

    fn statistics(&self) {
        self.facts().outcome.statistics += 1;
    }
}

impl Facts {
    /// Remembers why an agreement came to nothing; what comes after the first reason follows from it.
    fn cause(&mut self, agreement: &AgreementId, provider: Option<&str>, reason: &str) {
        let agreement = agreement.to_string();
        let known = self.outcome.agreement_providers.get(&agreement);
        let provider = provider.or(known.map(String::as_str)).unwrap_or("-");
        let cause = (provider.to_owned(), reason.to_owned());
        self.causes.entry(agreement).or_insert(cause);
    }

    fn take(&mut self, event: &EventKind) {
        self.take_cause(event);
        let outcome = &mut self.outcome;
        outcome.daemon_away.count(event);
        match event {
            EventKind::ServiceStateChanged {
                service,
                old,
                new,
                provider_name,
                error,
                ..
            } => {
                let instance = self.instances.entry(service.clone()).or_default();
                if instance.states.is_empty() {
                    instance.name.clone_from(service);
                    instance.states.push(old.to_string());
                }
                instance.states.push(new.to_string());
                if provider_name.is_some() {
                    instance.provider.clone_from(provider_name);
                }
                // A failed start that is tried again is not the instance's failure.
                let terminated = *new == ServiceState::Terminated;
                instance.failure = error.clone().filter(|_| terminated);
            }
            EventKind::AgreementConfirmed {
                provider_name,
                agreement_id,
                ..
            } => {
                outcome
                    .agreement_providers
                    .insert(agreement_id.to_string(), provider_name.clone());
                outcome.agreements += 1;
                outcome
                    .providers
                    .entry(provider_name.clone())
                    .or_default()
                    .agreements += 1;
            }
            EventKind::ActivityCreated {
                agreement_id,
                activity_id,
                ..
            } => {
                outcome.activities += 1;
                outcome
                    .parts_of_agreements
                    .insert(activity_id.to_string(), agreement_id.to_string());
            }
            EventKind::InvoiceReceived {
                agreement_id,
                invoice_id,
                ..
            } => {
                outcome
                    .parts_of_agreements
                    .insert(invoice_id.to_string(), agreement_id.to_string());
            }
            EventKind::InvoiceAccepted {
                provider_name,
                amount,
                ..
            } => {
                outcome.invoices_paid += 1;
                outcome.cost = outcome.cost + *amount;
                let provider = outcome.providers.entry(provider_name.clone()).or_default();
                provider.accepted = provider.accepted + *amount;
            }
            _ => {}
        }
    }

    fn take_cause(&mut self, event: &EventKind) {
        match event {
            EventKind::AgreementRejected {
                agreement_id,
                provider_name,
                reason,
                ..
            } => self.cause(agreement_id, Some(provider_name), reason),
            EventKind::AgreementTerminated {
                agreement_id,
                provider_name,
                by: EndedBy::Provider,
                reason,
                ..
            } => self.cause(agreement_id, Some(provider_name), reason),
            EventKind::ActivityCreateFailed {
                agreement_id,
                reason,
                ..
            }
            | EventKind::TaskRejected {
                agreement_id,
                reason,
                ..
            } => self.cause(agreement_id, None, reason),
            EventKind::WorkerFinished {
                agreement_id,
                error: Some(reason),
                ..
            }
            | EventKind::ServiceStateChanged {
                agreement_id: Some(agreement_id),
                error: Some(reason),
                ..
            } => self.cause(agreement_id, None, reason),
            _ => {}
        }
    }
}
