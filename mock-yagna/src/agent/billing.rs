//! The billing half of every provider: opens and closes the bill of an agreement and the meters of
//! its activities.
//!
//! ```text
//! approved -> (activity created -> note … note -> activity ended, last note)* -> ended -> invoice
//! ```
//! The invoice follows the end of the agreement and of its last activity, whichever is later. Does
//! not own: what the documents say (`debit_note`, `invoice`), the ends that a provider puts to
//! agreements (`deadlines`).

use std::time::Duration;

use golem_wire::{ActivityId, AgreementId};

use super::bill::{Bill, Meter, Terms};
use super::{Agents, Network};
use crate::journal::Actor;
use crate::ledger::Fact;
use crate::timeline::{Action, AgentDue, Ticket};

/// How long a provider waits before it tries again to send a document.
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// What a requestor may not know of the latest use, for the ledger.
const MINUTE: Duration = Duration::from_secs(60);

impl Agents {
    /// An agreement came into force: its bill is opened.
    pub(super) fn agreement_approved(&mut self, net: &mut Network<'_>, id: &AgreementId) {
        let Some(agreement) = net.market.agreement(id) else {
            return;
        };
        let behaviour = net.providers.behaviour(&agreement.provider).cloned();
        let default_platform = net
            .ports
            .config
            .platforms
            .first()
            .map(crate::config::Platform::name);
        let terms = Terms::of(
            agreement,
            &behaviour.unwrap_or_default(),
            default_platform.as_deref().unwrap_or("erc20-holesky-tglm"),
        );
        let (requestor, provider) = (agreement.requestor.clone(), agreement.provider.clone());
        let session = agreement.app_session.clone();
        let bill = Bill::new(id.clone(), requestor, provider, terms);
        self.open_bill(net, bill, session);
    }

    /// An activity was created: its meter runs.
    pub(super) fn activity_up(&mut self, net: &mut Network<'_>, activity: &ActivityId) {
        let Some(agreement) = net.activities.get(activity).map(|a| a.agreement.clone()) else {
            return;
        };
        self.open_meter(net, activity, &agreement);
    }

    /// An activity ended: its meter stops, the last debit note is issued.
    pub(super) fn activity_ended(&mut self, net: &mut Network<'_>, activity: &ActivityId) {
        let usage = net.activities.usage(net.ports.now, net.providers, activity);
        self.close_meter(net, activity, &usage);
    }

    pub(crate) fn open_bill(
        &mut self,
        net: &mut Network<'_>,
        mut bill: Bill,
        session: Option<String>,
    ) {
        let idle = AgentDue::Idle(bill.agreement.clone());
        bill.idle = Some(after(net, bill.terms.idle_timeout, idle));
        bill.expiry = bill.terms.expires.map(|expires| {
            let due = Action::Agent(AgentDue::Expire(bill.agreement.clone()));
            net.ports.timeline.schedule(expires, due)
        });
        let (agreement, requestor) = (bill.agreement.clone(), bill.requestor.clone());
        net.ports.post(
            net.ports.actor(&bill.provider),
            Fact::Approved {
                agreement: agreement.clone(),
                requestor,
            },
        );
        net.payments
            .open_tab(agreement.clone(), bill.requestor.clone(), session);
        self.bills.insert(agreement, bill);
    }

    pub(crate) fn open_meter(
        &mut self,
        net: &mut Network<'_>,
        activity: &ActivityId,
        agreement: &AgreementId,
    ) {
        let requestor = self.bills.get(agreement).map(|bill| bill.requestor.clone());
        let by = requestor.map_or(Actor::Daemon, |requestor| net.ports.actor(&requestor));
        let fact = Fact::ActivityCreated {
            activity: activity.clone(),
            agreement: agreement.clone(),
        };
        net.ports.post(by, fact);
        let Some(bill) = self.bills.get_mut(agreement) else {
            return;
        };
        let (interval, idle) = (bill.terms.interval, bill.idle.take());
        bill.running += 1;
        let mut meter = Meter::new(net.ports.now);
        self.metered.insert(activity.clone(), agreement.clone());
        net.ports.cancel(idle);
        meter.next_note = interval.map(|i| after(net, i, AgentDue::DebitNote(activity.clone())));
        if let Some(bill) = self.bills.get_mut(agreement) {
            bill.meters.insert(activity.clone(), meter);
        }
    }

    pub(crate) fn close_meter(
        &mut self,
        net: &mut Network<'_>,
        activity: &ActivityId,
        usage: &[f64],
    ) {
        let Some(meter) = self.meter(activity).filter(|meter| meter.alive) else {
            return;
        };
        meter.alive = false;
        net.ports.cancel(meter.next_note.take());
        self.post_use(net, activity);
        net.ports.post(
            Actor::Daemon,
            Fact::ActivityEnded {
                activity: activity.clone(),
            },
        );
        if self.sends_notes(net, activity) && self.is_postponed(net, activity) {
            if let Some(meter) = self.meter(activity) {
                meter.owes_last = true;
            }
        } else {
            self.issue_debit_note(net, activity, usage, true);
        }
        let Some(bill) = self.bill_of(activity) else {
            return;
        };
        bill.running = bill.running.saturating_sub(1);
        let agreement = bill.agreement.clone();
        golem_probe::sometimes!(bill.ended, "an activity ends after its agreement");
        if bill.ended {
            self.invoice_if_ready(net, &agreement);
        } else if bill.running > 0 {
            // Who may have one only, and made more, is left the others.
        } else if !bill.terms.multi_activity {
            after(net, Duration::ZERO, AgentDue::Finish(agreement));
        } else if bill.idle.is_none() {
            let patience = bill.terms.idle_timeout;
            let ticket = after(net, patience, AgentDue::Idle(agreement.clone()));
            if let Some(bill) = self.bills.get_mut(&agreement) {
                bill.idle = Some(ticket);
            }
        }
    }

    /// Tells the ledger what an activity has used by now.
    pub(super) fn post_use(&mut self, net: &mut Network<'_>, activity: &ActivityId) {
        let now = net.ports.now;
        let arguable = |later| net.activities.arguable(now, net.providers, activity, later);
        let (Some(by_now), Some(later)) = (arguable(Duration::ZERO), arguable(MINUTE)) else {
            return;
        };
        let Some(bill) = self.bill_of(activity) else {
            return;
        };
        let cost = bill.terms.tariff.cost(&by_now);
        let minute = bill.terms.tariff.cost(&later) - cost;
        let fact = Fact::Used {
            activity: activity.clone(),
            cost,
            minute,
        };
        net.ports.post(Actor::Daemon, fact);
    }

    /// An agreement ended: the invoice follows when its last activity has ended too.
    pub(crate) fn close_bill(&mut self, net: &mut Network<'_>, agreement: &AgreementId) {
        let Some(bill) = self.bills.get_mut(agreement) else {
            return;
        };
        bill.ended = true;
        let mut tickets = vec![bill.idle.take(), bill.expiry.take(), bill.early_end.take()];
        for meter in bill.meters.values_mut() {
            meter.unaccepted.clear();
            // What an activity that has ended still owes comes with the invoice at the latest.
            tickets.extend([meter.next_note.take(), meter.deadline.take()]);
        }
        net.ports.cancel(tickets.into_iter().flatten());
        net.ports.post(
            Actor::Daemon,
            Fact::Ended {
                agreement: agreement.clone(),
            },
        );
        self.invoice_if_ready(net, agreement);
    }

    pub(crate) fn meter(&mut self, activity: &ActivityId) -> Option<&mut Meter> {
        self.bill_of(activity)?.meters.get_mut(activity)
    }
}

/// Schedules what an agent will do, `delay` from now.
pub(super) fn after(net: &mut Network<'_>, delay: Duration, due: AgentDue) -> Ticket {
    net.ports.after(delay, Action::Agent(due))
}
