//! Agreement events: a persistent log per requestor, read by time stamp.

use golem_wire::market::{AgreementEvent, AgreementEventKind};
use golem_wire::{AgreementId, NodeId};
use jiff::Timestamp;

use super::Market;
use crate::ports::Ports;
use crate::topics::Topic;

/// The events of one requestor's agreements, ascending by stamp.
#[derive(Debug, Default)]
pub(super) struct AgreementLog {
    entries: Vec<(Option<String>, AgreementEvent)>,
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
        let requestor = agreement.requestor.clone();
        let entry = (agreement.app_session.clone(), event.clone());
        self.log
            .entry(requestor.clone())
            .or_default()
            .entries
            .push(entry);
        ports.wake(&Topic::AgreementEvents(requestor));
        Some(event)
    }

    /// Reads agreement events; `None` when there is none yet.
    pub(crate) fn agreement_events(
        &self,
        requestor: &NodeId,
        filter: &EventFilter,
    ) -> Option<Vec<AgreementEvent>> {
        let entries = &self.log.get(requestor)?.entries;
        let first = entries.partition_point(|(_, event)| event.event_date <= filter.after);
        let wanted = |(session, _): &&(Option<String>, AgreementEvent)| {
            filter.session.is_none() || filter.session == *session
        };
        let events = entries[first..].iter().filter(wanted).take(filter.max);
        let events: Vec<_> = events.map(|(_, event)| event.clone()).collect();
        (!events.is_empty()).then_some(events)
    }
}
