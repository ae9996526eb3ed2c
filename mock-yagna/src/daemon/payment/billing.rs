//! The billing half of every provider: opens and closes the bill of an agreement and the meters of
//! its activities.
//!
//! ```text
//! approved -> (activity created -> note … note -> activity ended, last note)* -> ended -> invoice
//! ```
//! The invoice follows the end of the agreement and of its last activity, whichever is later. Does
//! not own: what the documents say (`debit_note`, `invoice`), the ends that a provider puts to
//! agreements (`deadline`).

use std::time::Duration;

use golem_wire::{ActivityId, AgreementId, Glm};
use jiff::{SignedDuration, Timestamp};

use super::Due;
use super::bill::{Bill, Meter, Terms};
use crate::journal::Actor;
use crate::ledger::Fact;
use crate::world::{Action, State};

/// How long a provider waits before it tries again to send a document.
pub(super) const RETRY: Duration = Duration::from_secs(5);

impl State {
    /// An agreement came into force: its bill is opened.
    pub(crate) fn agreement_approved(&mut self, id: &AgreementId) {
        let Some(agreement) = self.agreement(id) else {
            return;
        };
        let behaviour = self
            .provider(&agreement.provider)
            .map(|p| p.spec.behaviour.clone());
        let default_platform = self
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
        self.open_bill(Bill::new(id.clone(), requestor, provider, session, terms));
    }

    /// An activity was created: its meter runs.
    pub(crate) fn activity_created(&mut self, activity: &ActivityId) {
        let Some(agreement) = self.activity(activity).map(|a| a.agreement.clone()) else {
            return;
        };
        self.open_meter(activity, &agreement);
    }

    /// An activity ended: its meter stops, the last debit note is issued.
    pub(crate) fn activity_ended(&mut self, activity: &ActivityId) {
        let usage = self.usage(activity);
        self.close_meter(activity, &usage);
    }

    /// An agreement ended: the invoice follows when its last activity has ended too.
    pub(crate) fn agreement_ended(&mut self, agreement: &AgreementId) {
        self.close_bill(agreement);
    }

    pub(super) fn open_bill(&mut self, mut bill: Bill) {
        bill.idle = Some(self.after(bill.terms.idle_timeout, Due::Idle(bill.agreement.clone())));
        bill.expiry = bill.terms.expires.map(|expires| {
            let due = Action::Payment(Due::Expire(bill.agreement.clone()));
            self.timeline.schedule(expires, due)
        });
        let (agreement, requestor) = (bill.agreement.clone(), bill.requestor.clone());
        self.post(
            self.actor(&bill.provider),
            Fact::Approved {
                agreement: agreement.clone(),
                requestor,
            },
        );
        self.payments.bills.insert(agreement, bill);
    }

    pub(super) fn open_meter(&mut self, activity: &ActivityId, agreement: &AgreementId) {
        let requestor = self
            .payments
            .bills
            .get(agreement)
            .map(|bill| bill.requestor.clone());
        let by = requestor.map_or(Actor::Daemon, |requestor| self.actor(&requestor));
        let fact = Fact::ActivityCreated {
            activity: activity.clone(),
            agreement: agreement.clone(),
        };
        self.post(by, fact);
        let Some(bill) = self.payments.bills.get_mut(agreement) else {
            return;
        };
        let (interval, idle) = (bill.terms.interval, bill.idle.take());
        bill.running += 1;
        let mut meter = Meter::new(self.now);
        self.payments
            .metered
            .insert(activity.clone(), agreement.clone());
        if let Some(idle) = idle {
            self.timeline.cancel(idle);
        }
        meter.next_note = interval.map(|i| self.after(i, Due::DebitNote(activity.clone())));
        if let Some(bill) = self.payments.bills.get_mut(agreement) {
            bill.meters.insert(activity.clone(), meter);
        }
    }

    pub(super) fn close_meter(&mut self, activity: &ActivityId, usage: &[f64]) {
        let Some(meter) = self.meter(activity).filter(|meter| meter.alive) else {
            return;
        };
        meter.alive = false;
        let next = meter.next_note.take();
        if let Some(ticket) = next {
            self.timeline.cancel(ticket);
        }
        self.post(
            Actor::Daemon,
            Fact::ActivityEnded {
                activity: activity.clone(),
            },
        );
        if self.sends_notes(activity) && self.is_postponed(activity) {
            if let Some(meter) = self.meter(activity) {
                meter.owes_last = true;
            }
        } else {
            self.issue_debit_note(activity, usage, true);
        }
        let Some(bill) = self.bill_of(activity) else {
            return;
        };
        bill.running = bill.running.saturating_sub(1);
        let agreement = bill.agreement.clone();
        if bill.ended {
            self.invoice_if_ready(&agreement);
        } else if !bill.terms.multi_activity {
            self.after(Duration::ZERO, Due::Finish(agreement));
        } else if bill.running == 0 && bill.idle.is_none() {
            let patience = bill.terms.idle_timeout;
            let ticket = self.after(patience, Due::Idle(agreement.clone()));
            if let Some(bill) = self.payments.bills.get_mut(&agreement) {
                bill.idle = Some(ticket);
            }
        }
    }

    pub(super) fn close_bill(&mut self, agreement: &AgreementId) {
        let Some(bill) = self
            .payments
            .bills
            .get_mut(agreement)
            .filter(|bill| !bill.ended)
        else {
            return;
        };
        bill.ended = true;
        let mut tickets = vec![bill.idle.take(), bill.expiry.take()];
        for meter in bill.meters.values_mut() {
            meter.unaccepted.clear();
            // What an activity that has ended still owes comes with the invoice at the latest.
            tickets.extend([meter.next_note.take(), meter.deadline.take()]);
        }
        for ticket in tickets.into_iter().flatten() {
            self.timeline.cancel(ticket);
        }
        self.post(
            Actor::Daemon,
            Fact::Ended {
                agreement: agreement.clone(),
            },
        );
        self.invoice_if_ready(agreement);
    }

    pub(super) fn bill_of(&mut self, activity: &ActivityId) -> Option<&mut Bill> {
        let agreement = self.payments.metered.get(activity)?;
        self.payments.bills.get_mut(agreement)
    }

    pub(super) fn meter(&mut self, activity: &ActivityId) -> Option<&mut Meter> {
        self.bill_of(activity)?.meters.get_mut(activity)
    }

    pub(super) fn after(&mut self, delay: Duration, due: Due) -> crate::timeline::Ticket {
        self.timeline
            .schedule(later(self.now, delay), Action::Payment(due))
    }

    /// What the agreement of `activity` has cost so far, as of the last debit note.
    pub fn billed(&self, agreement: &AgreementId) -> Glm {
        self.payments
            .bills
            .get(agreement)
            .map_or(Glm::ZERO, Bill::due)
    }
}

/// `delay` after `now`, or the end of time.
pub(super) fn later(now: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| now.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The daemon stamps documents in milliseconds …
pub(super) fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// … and due dates in microseconds.
pub(super) fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
