//! Agreement events: a persistent log per requestor, read by time stamp. A provider reads in it what became of its own
//! agreements; sessions are the requestor's business.

use golem_wire::market::{AgreementEvent, AgreementEventKind};
use golem_wire::{AgreementId, NodeId};
use jiff::Timestamp;

use super::Market;
use crate::ports::Ports;
use crate::topics::Topic;

/// The events of one requestor's agreements, ascending by stamp.
#[derive(Clone, Debug, Default)]
pub(super) struct AgreementLog {
    entries: Vec<(Option<String>, AgreementEvent)>,
}

impl AgreementLog {
    fn after(&self, stamp: Timestamp) -> &[(Option<String>, AgreementEvent)] {
        let entries = &self.entries;
        &entries[entries.partition_point(|(_, event)| event.event_date <= stamp)..]
    }
}

/// Which events to read.
#[derive(Clone, Debug)]
pub(crate) struct EventFilter {
    /// Strictly after this.
    pub(crate) after: Timestamp,
    /// Of agreements confirmed with this session; `None`: of all.
    pub(crate) session: Option<String>,
    /// At the most so many.
    pub(crate) max: usize,
}

impl Market {
    /// Writes an event of an agreement down and wakes who waits for it.
    pub(super) fn log_agreement(
        &mut self,
        ports: &mut Ports,
        id: &AgreementId,
        kind: AgreementEventKind,
    ) -> Option<AgreementEvent> {
        let event_date = ports.stamp();
        let agreement = self.agreements.get(id)?;
        let event = AgreementEvent {
            event_date,
            agreement_id: id.clone(),
            kind,
        };
        let (requestor, provider) = (agreement.requestor.clone(), agreement.provider.clone());
        let entry = (agreement.app_session.clone(), event.clone());
        self.log
            .entry(requestor.clone())
            .or_default()
            .entries
            .push(entry);
        ports.wake(&Topic::AgreementEvents(requestor));
        ports.wake(&Topic::AgreementEvents(provider));
        Some(event)
    }

    /// Reads agreement events; `None` when there is none yet.
    pub(crate) fn agreement_events(
        &self,
        party: &NodeId,
        filter: &EventFilter,
    ) -> Option<Vec<AgreementEvent>> {
        let events: Vec<_> = match self.log.get(party) {
            Some(log) => {
                let wanted = |(session, _): &&(Option<String>, AgreementEvent)| {
                    filter.session.is_none() || filter.session == *session
                };
                let events = log.after(filter.after).iter().filter(wanted);
                let events = events.map(|(_, event)| event.clone());
                events.take(filter.max).collect()
            }
            None if filter.session.is_some() => Vec::new(),
            None => self.events_of_provider(party, filter),
        };
        (!events.is_empty()).then_some(events)
    }

    /// What became of a provider's agreements, whoever rents.
    fn events_of_provider(&self, provider: &NodeId, filter: &EventFilter) -> Vec<AgreementEvent> {
        let logs = self.log.values();
        let entries = logs.flat_map(|log| log.after(filter.after));
        let is_its = |event: &&AgreementEvent| {
            let agreement = self.agreement(&event.agreement_id);
            agreement.is_some_and(|agreement| agreement.provider == *provider)
        };
        let mut events: Vec<_> = entries
            .map(|(_, event)| event)
            .filter(is_its)
            .cloned()
            .collect();
        events.sort_by_key(|event| event.event_date);
        events.truncate(filter.max);
        events
    }
}
