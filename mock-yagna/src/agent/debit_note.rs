//! The debit notes of a provider: one at each interval of a living activity, the last one at its
//! end.
//!
//! Does not own: when a meter runs (`billing`), what becomes of a note that waits for too long
//! (`deadlines`) or is decided about (`daemon::payment`).

use std::time::Duration;

use golem_wire::payment::{self as wire_payment, DocumentStatus};
use golem_wire::{ActivityId, AgreementId, Glm};
use serde_json::Value;

use super::billing::{RETRY, after};
use super::{Agents, Network};
use crate::daemon::payment::{to_micros, to_millis};
use crate::journal::Event;
use crate::ports::later;
use crate::timeline::{Action, AgentDue};

impl Agents {
    /// The next debit note of a living activity is due.
    pub(super) fn interval_passed(&mut self, net: &mut Network<'_>, activity: &ActivityId) {
        if self.is_postponed(net, activity) {
            return;
        }
        let last = self.meter(activity).is_some_and(|meter| !meter.alive);
        if !last && !self.sends_notes(net, activity) {
            let interval = self.bill_of(activity).and_then(|bill| bill.terms.interval);
            let next = interval.map(|i| after(net, i, AgentDue::DebitNote(activity.clone())));
            if let Some(meter) = self.meter(activity) {
                meter.next_note = next;
            }
            return;
        }
        self.post_use(net, activity);
        let usage = net.activities.usage(net.ports.now, net.providers, activity);
        self.issue_debit_note(net, activity, &usage, last);
    }

    pub(super) fn sends_notes(&mut self, net: &Network<'_>, activity: &ActivityId) -> bool {
        let provider = self.bill_of(activity).map(|bill| bill.provider.clone());
        provider
            .and_then(|provider| net.providers.behaviour(&provider))
            .is_none_or(|behaviour| behaviour.debit_notes)
    }

    /// A provider that is offline sends its notes when it is back.
    pub(super) fn is_postponed(&mut self, net: &mut Network<'_>, activity: &ActivityId) -> bool {
        let Some(provider) = self.bill_of(activity).map(|bill| bill.provider.clone()) else {
            return false;
        };
        if net.providers.answers(&provider) {
            return false;
        }
        let ticket = after(net, RETRY, AgentDue::DebitNote(activity.clone()));
        if let Some(meter) = self.meter(activity) {
            meter.next_note = Some(ticket);
        }
        true
    }

    /// Issues a debit note over everything an activity has used; `last` when it has ended.
    pub(crate) fn issue_debit_note(
        &mut self,
        net: &mut Network<'_>,
        activity: &ActivityId,
        usage: &[f64],
        last: bool,
    ) {
        let (now, id) = (net.ports.now, net.ports.ids.debit_note());
        if !self.sends_notes(net, activity) {
            return;
        }
        let Some(bill) = self.bill_of(activity) else {
            return;
        };
        let terms = bill.terms.clone();
        let (agreement, requestor, provider) = (
            bill.agreement.clone(),
            bill.requestor.clone(),
            bill.provider.clone(),
        );
        let enforced = !bill.ended;
        let Some(meter) = bill.meters.get_mut(activity) else {
            return;
        };
        meter.owes_last &= !last;
        // A clock that is read twice must not make a bill smaller.
        meter.due = terms.tariff.cost(usage).max(meter.due);
        if last && golem_probe::planted!("the-last-debit-note-is-smaller") {
            meter.due = Glm::ZERO;
        }
        let payable = terms.payment_timeout.filter(|timeout| {
            let since = now.duration_since(meter.last_payable);
            last || Duration::try_from(since).is_ok_and(|since| since >= *timeout)
        });
        if payable.is_some() {
            meter.last_payable = now;
        }
        let note = wire_payment::DebitNote {
            debit_note_id: id.clone(),
            issuer_id: provider.clone(),
            recipient_id: requestor,
            payee_addr: terms.payee,
            payer_addr: terms.payer,
            payment_platform: terms.platform,
            previous_debit_note_id: meter.last_note.replace(id.clone()),
            timestamp: to_millis(now),
            agreement_id: agreement,
            activity_id: activity.clone(),
            total_amount_due: meter.due,
            usage_counter_vector: Some(usage.iter().copied().map(Value::from).collect()),
            payment_due_date: payable.map(|timeout| to_micros(later(now, timeout))),
            status: DocumentStatus::Received,
        };
        let deadline = terms
            .accept_timeout
            .filter(|_| enforced)
            .map(|timeout| later(now, timeout));
        let first_deadline = deadline.filter(|_| meter.unaccepted.is_empty());
        meter
            .unaccepted
            .extend(deadline.map(|deadline| (id.clone(), deadline)));
        let amount = note.total_amount_due;
        if let Some(deadline) = first_deadline {
            let due = Action::Agent(AgentDue::AcceptDeadline(activity.clone()));
            let ticket = net.ports.timeline.schedule(deadline, due);
            if let Some(meter) = self.meter(activity) {
                meter.deadline = Some(ticket);
            }
        }
        if let Some(timeout) = payable.filter(|_| enforced) {
            self.watch_payment(net, &id, timeout);
        }
        if let Some(interval) = terms.interval.filter(|_| !last) {
            let ticket = after(net, interval, AgentDue::DebitNote(activity.clone()));
            if let Some(meter) = self.meter(activity) {
                meter.next_note = Some(ticket);
            }
        }
        net.payments.receive_note(net.ports, note);
        let event = Event::DebitNoteIssued {
            debit_note: id,
            activity: activity.clone(),
            amount,
        };
        net.ports.record(net.ports.actor(&provider), event);
    }

    /// The last notes that the provider could not issue when their activities ended.
    pub(super) fn issue_last_notes(&mut self, net: &mut Network<'_>, agreement: &AgreementId) {
        let bill = self.bills.get(agreement);
        let meters = bill.into_iter().flat_map(|bill| &bill.meters);
        let owed: Vec<ActivityId> = meters
            .filter(|(_, meter)| meter.owes_last)
            .map(|(activity, _)| activity.clone())
            .collect();
        for activity in owed {
            let ticket = self.meter(&activity).and_then(|m| m.next_note.take());
            net.ports.cancel(ticket);
            let usage = net
                .activities
                .usage(net.ports.now, net.providers, &activity);
            self.issue_debit_note(net, &activity, &usage, true);
        }
    }
}
