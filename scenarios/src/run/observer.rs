//! Listens to the engine's events and keeps what reports and expectations need of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_engine::event::{Event, EventKind};
use indexmap::IndexMap;

use super::journal::Journal;
use super::progress::Progress;
use crate::report::outcome::{InstanceOutcome, Outcome};

/// Hears every event: writes it down, shows it, counts it. Clones share what they hear.
#[derive(Clone)]
pub(crate) struct Observer(Arc<Heard>);

struct Heard {
    journal: Journal,
    progress: Progress,
    facts: Mutex<Facts>,
}

#[derive(Default)]
struct Facts {
    instances: IndexMap<String, InstanceOutcome>,
    /// Names of instances by their ids.
    names: IndexMap<String, String>,
    outcome: Outcome,
}

impl Observer {
    pub(crate) fn new(journal: Journal, progress: Progress) -> Observer {
        Observer(Arc::new(Heard {
            journal,
            progress,
            facts: Mutex::default(),
        }))
    }

    /// The journal it writes.
    pub(crate) fn journal(&self) -> &Journal {
        &self.0.journal
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
        self.0.progress.event(&event);
        self.facts().take(&event.kind);
    }

    /// What the instances with these ids are called.
    pub(crate) fn name_instances(&self, names: impl IntoIterator<Item = (String, String)>) {
        self.facts().names.extend(names);
    }

    /// Takes notice of statistics that an instance received.
    pub(crate) fn statistics(&self) {
        self.facts().outcome.statistics += 1;
    }

    /// The facts so far. Ends what is shown.
    pub(crate) fn finish(&self) -> Outcome {
        self.0.progress.end();
        let mut facts = self.facts();
        let mut outcome = std::mem::take(&mut facts.outcome);
        outcome.instances = std::mem::take(&mut facts.instances).into_values().collect();
        outcome
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Every fact is taken whole.
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    fn take(&mut self, event: &EventKind) {
        let outcome = &mut self.outcome;
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
                    instance.states.push(old.clone());
                }
                instance.states.push(new.clone());
                if provider_name.is_some() {
                    instance.provider.clone_from(provider_name);
                }
                // A failed start that is tried again is not the instance's failure.
                instance.failure = match new.as_str() {
                    "terminated" => error.clone(),
                    _ => None,
                };
            }
            EventKind::AgreementConfirmed { provider_name, .. } => {
                outcome.agreements += 1;
                outcome
                    .providers
                    .entry(provider_name.clone())
                    .or_default()
                    .agreements += 1;
            }
            EventKind::ActivityCreated { .. } => outcome.activities += 1,
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
}
