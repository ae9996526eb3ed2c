//! Counters of what happened, under the names of the daemon's metrics.
//!
//! Owns the counts, each kept as it happens. Does not own: what happens (the nouns record it in the
//! journal), HTTP.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::journal::{Actor, Event};

/// Every counter of the requestor's side that is kept, so that it is there before it counts.
const NAMES: [&str; 21] = [
    "activity_requestor_created",
    "activity_requestor_destroyed",
    "activity_requestor_run_exescript",
    "market_agreements_requestor_approved",
    "market_agreements_requestor_cancelled",
    "market_agreements_requestor_confirmed",
    "market_agreements_requestor_created",
    "market_agreements_requestor_rejected",
    "market_agreements_requestor_terminated",
    "market_demands_expired",
    "market_demands_subscribed",
    "market_demands_unsubscribed",
    "market_proposals_requestor_countered",
    "market_proposals_requestor_generated",
    "market_proposals_requestor_received",
    "market_proposals_requestor_rejected_by_them",
    "market_proposals_requestor_rejected_by_us",
    "payment_debit_notes_requestor_accepted",
    "payment_debit_notes_requestor_received",
    "payment_invoices_requestor_accepted",
    "payment_invoices_requestor_paid",
];

/// Two more of the daemon's, told beside the counters above.
const ALSO: [&str; 2] = [
    "payment_invoices_requestor_received",
    "payment_invoices_requestor_rejected",
];

/// What is known of the daemon itself.
const GAUGES: [(&str, u64); 5] = [
    ("yagna_service_up", 1),
    ("yagna_version_is_prerelease", 0),
    ("yagna_version_major", 0),
    ("yagna_version_minor", 17),
    ("yagna_version_patch", 6),
];

/// Counts by name.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    counters: BTreeMap<&'static str, u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let names = NAMES.iter().chain(&ALSO);
        Metrics {
            counters: names.map(|name| (*name, 0)).collect(),
        }
    }
}

/// The counter to which an event belongs.
fn counter(actor: &Actor, event: &Event) -> Option<&'static str> {
    let by_us = matches!(actor, Actor::Requestor(_));
    Some(match event {
        Event::DemandSubscribed { .. } => "market_demands_subscribed",
        Event::DemandUnsubscribed { .. } => "market_demands_unsubscribed",
        Event::DemandExpired { .. } => "market_demands_expired",
        Event::OfferMatched { .. } => "market_proposals_requestor_generated",
        Event::ProposalCountered { .. } if by_us => "market_proposals_requestor_countered",
        Event::ProposalCountered { .. } => "market_proposals_requestor_received",
        Event::ProposalRejected { .. } if by_us => "market_proposals_requestor_rejected_by_us",
        Event::ProposalRejected { .. } => "market_proposals_requestor_rejected_by_them",
        Event::AgreementCreated { .. } => "market_agreements_requestor_created",
        Event::AgreementConfirmed { .. } => "market_agreements_requestor_confirmed",
        Event::AgreementApproved { .. } => "market_agreements_requestor_approved",
        Event::AgreementRejected { .. } => "market_agreements_requestor_rejected",
        Event::AgreementCancelled { .. } => "market_agreements_requestor_cancelled",
        Event::AgreementTerminated { .. } => "market_agreements_requestor_terminated",
        Event::ActivityCreated { .. } => "activity_requestor_created",
        Event::ActivityDestroyed { .. } => "activity_requestor_destroyed",
        Event::BatchStarted { .. } => "activity_requestor_run_exescript",
        Event::DebitNoteIssued { .. } => "payment_debit_notes_requestor_received",
        Event::DebitNoteAccepted { .. } => "payment_debit_notes_requestor_accepted",
        Event::InvoiceIssued { .. } => "payment_invoices_requestor_received",
        Event::InvoiceAccepted { .. } => "payment_invoices_requestor_accepted",
        Event::InvoiceRejected { .. } => "payment_invoices_requestor_rejected",
        Event::InvoiceSettled { .. } => "payment_invoices_requestor_paid",
        _ => return None,
    })
}

impl Metrics {
    /// Counts an event.
    pub(crate) fn count(&mut self, actor: &Actor, event: &Event) {
        if let Some(count) = counter(actor, event).and_then(|name| self.counters.get_mut(name)) {
            *count += 1;
        }
    }

    /// All of it in the Prometheus text format, as the daemon writes it.
    pub(crate) fn expose(&self, now: Timestamp) -> String {
        let now = now.as_second();
        let mut text = format!("# metrics snapshot (ts={now}) (prometheus exposition format)\n");
        let counters = self
            .counters
            .iter()
            .map(|(name, value)| (*name, "counter", *value));
        let gauges = GAUGES.iter().map(|(name, value)| (*name, "gauge", *value));
        for (name, kind, value) in counters.chain(gauges) {
            text += &format!("# TYPE {name} {kind}\n{name} {value}\n\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_there_from_the_beginning_and_grows() {
        let mut metrics = Metrics::default();
        let line = |metrics: &Metrics, name: &str| {
            let text = metrics.expose(Timestamp::UNIX_EPOCH);
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.map(str::to_owned)
        };
        assert_eq!(
            line(&metrics, "market_demands_subscribed").as_deref(),
            Some("0")
        );
        let event = Event::DemandSubscribed { demand: "d".into() };
        metrics.count(&Actor::Requestor("me".into()), &event);
        assert_eq!(
            line(&metrics, "market_demands_subscribed").as_deref(),
            Some("1")
        );
        let event = Event::ProposalRejected {
            proposal: "p".into(),
            reason: String::new(),
        };
        for actor in [Actor::Requestor("me".into()), Actor::Provider("bob".into())] {
            let name = counter(&actor, &event).expect("a counter");
            assert_eq!(line(&metrics, name).as_deref(), Some("0"));
            metrics.count(&actor, &event);
            assert_eq!(line(&metrics, name).as_deref(), Some("1"));
        }
    }
}
