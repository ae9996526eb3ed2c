//! The billing half of every provider: meters activities, issues debit notes and the invoice.
//!
//! ```text
//! approved -> (activity created -> note … note -> activity ended, last note)* -> ended -> invoice
//! ```
//! The invoice follows the end of the agreement and of its last activity, whichever is later.

use std::time::Duration;

use golem_wire::payment::{self as wire_payment, DocumentStatus};
use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::bill::{Bill, Meter, Terms};
use super::{DocumentEvent, Due, EventKind};
use crate::behaviour::Step;
use crate::journal::{Actor, Event};
use crate::ledger::Fact;
use crate::world::{Action, State, Topic};

/// Time to pay an invoice when no payment timeout was negotiated.
const INVOICE_TERM: Duration = Duration::from_secs(24 * 3600);

/// How long a provider waits before it tries again to send a document.
const RETRY: Duration = Duration::from_secs(5);

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

    /// The next debit note of a living activity is due.
    pub(super) fn interval_passed(&mut self, activity: &ActivityId) {
        if self.is_postponed(activity) {
            return;
        }
        let last = self.meter(activity).is_some_and(|meter| !meter.alive);
        if !last && !self.sends_notes(activity) {
            let interval = self.bill_of(activity).and_then(|bill| bill.terms.interval);
            let next = interval.map(|i| self.after(i, Due::DebitNote(activity.clone())));
            if let Some(meter) = self.meter(activity) {
                meter.next_note = next;
            }
            return;
        }
        let usage = self.usage(activity);
        self.issue_debit_note(activity, &usage, last);
    }

    fn sends_notes(&mut self, activity: &ActivityId) -> bool {
        let provider = self.bill_of(activity).map(|bill| bill.provider.clone());
        provider
            .and_then(|provider| self.provider(&provider))
            .is_none_or(|provider| provider.spec.behaviour.debit_notes)
    }

    /// A provider that is offline sends its notes when it is back.
    fn is_postponed(&mut self, activity: &ActivityId) -> bool {
        let Some(provider) = self.bill_of(activity).map(|bill| bill.provider.clone()) else {
            return false;
        };
        if self.answers(&provider) {
            return false;
        }
        let ticket = self.after(RETRY, Due::DebitNote(activity.clone()));
        if let Some(meter) = self.meter(activity) {
            meter.next_note = Some(ticket);
        }
        true
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

    /// Issues a debit note over everything an activity has used; `last` when it has ended.
    pub(super) fn issue_debit_note(&mut self, activity: &ActivityId, usage: &[f64], last: bool) {
        let (now, id) = (self.now, self.ids.debit_note());
        if !self.sends_notes(activity) {
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
        let (session, enforced) = (bill.session.clone(), !bill.ended);
        let Some(meter) = bill.meters.get_mut(activity) else {
            return;
        };
        meter.owes_last &= !last;
        // A clock that is read twice must not make a bill smaller.
        meter.due = terms.tariff.cost(usage).max(meter.due);
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
            recipient_id: requestor.clone(),
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
            let due = Action::Payment(Due::AcceptDeadline(activity.clone()));
            let ticket = self.timeline.schedule(deadline, due);
            if let Some(meter) = self.meter(activity) {
                meter.deadline = Some(ticket);
            }
        }
        if let Some(timeout) = payable.filter(|_| enforced) {
            self.watch_payment(&id, timeout);
        }
        if let Some(interval) = terms.interval.filter(|_| !last) {
            let ticket = self.after(interval, Due::DebitNote(activity.clone()));
            if let Some(meter) = self.meter(activity) {
                meter.next_note = Some(ticket);
            }
        }
        self.payments.file_note(note);
        self.payments.totals.debit_notes += 1;
        let actor = self.actor(&provider);
        let activity = activity.clone();
        let fact = Fact::DebitNoteIssued {
            note: id.clone(),
            activity: activity.clone(),
            total: amount,
        };
        self.post(actor.clone(), fact);
        let event = Event::DebitNoteIssued {
            debit_note: id.clone(),
            activity,
            amount,
        };
        self.record(actor, event);
        let at = self.stamp();
        let event = DocumentEvent {
            id,
            at,
            session,
            kind: EventKind::Received,
        };
        self.payments.note_events.push(&requestor, event);
        self.wake(&Topic::DebitNoteEvents(requestor));
    }

    fn invoice_if_ready(&mut self, agreement: &AgreementId) {
        let ready = self
            .payments
            .bills
            .get(agreement)
            .is_some_and(Bill::is_ready_for_invoice);
        if ready {
            let provider = self
                .payments
                .bills
                .get(agreement)
                .map(|bill| bill.provider.clone());
            let wanted = provider.as_ref().and_then(|p| self.provider(p));
            if wanted.is_some_and(|p| p.spec.behaviour.invoices == 0) {
                return;
            }
            let own = provider.and_then(|p| self.own_latency(&p, |l| &l.invoice));
            let delay = own.unwrap_or(self.config.latency.invoice);
            let ticket = self.after(delay, Due::Invoice(agreement.clone()));
            if let Some(bill) = self.payments.bills.get_mut(agreement) {
                bill.invoicing = Some(ticket);
            }
        }
    }

    /// The last notes that the provider could not issue when their activities ended.
    fn issue_last_notes(&mut self, agreement: &AgreementId) {
        let bill = self.payments.bills.get(agreement);
        let meters = bill.into_iter().flat_map(|bill| &bill.meters);
        let owed: Vec<ActivityId> = meters
            .filter(|(_, meter)| meter.owes_last)
            .map(|(activity, _)| activity.clone())
            .collect();
        for activity in owed {
            let ticket = self.meter(&activity).and_then(|m| m.next_note.take());
            if let Some(ticket) = ticket {
                self.timeline.cancel(ticket);
            }
            let usage = self.usage(&activity);
            self.issue_debit_note(&activity, &usage, true);
        }
    }

    /// The provider bills the whole agreement; one without activities costs nothing.
    pub(super) fn issue_invoice(&mut self, agreement: &AgreementId) {
        let provider = self
            .payments
            .bills
            .get(agreement)
            .map(|bill| bill.provider.clone());
        let behaviour = provider.as_ref().and_then(|p| self.provider(p));
        let behaviour = behaviour
            .map(|p| p.spec.behaviour.clone())
            .unwrap_or_default();
        if let Some(provider) = &provider
            && self.dies_before(provider, Step::Invoice)
        {
            return;
        }
        if provider.is_some_and(|provider| !self.answers(&provider)) {
            let ticket = self.after(RETRY, Due::Invoice(agreement.clone()));
            if let Some(bill) = self.payments.bills.get_mut(agreement) {
                bill.invoicing = Some(ticket);
            }
            return;
        }
        self.issue_last_notes(agreement);
        let (now, id) = (self.now, self.ids.invoice());
        let Some(bill) = self.payments.bills.get_mut(agreement) else {
            return;
        };
        // The first one counts; more of them are the provider's mistake.
        bill.invoice.get_or_insert_with(|| id.clone());
        bill.invoicing = None;
        bill.invoices += 1;
        let again = bill.invoices < behaviour.invoices;
        let amount = behaviour.invoice_factor.times(bill.due());
        let (requestor, provider) = (bill.requestor.clone(), bill.provider.clone());
        let session = bill.session.clone();
        let term = bill.terms.payment_timeout.unwrap_or(INVOICE_TERM);
        let invoice = wire_payment::Invoice {
            invoice_id: id.clone(),
            issuer_id: provider.clone(),
            recipient_id: requestor.clone(),
            payee_addr: bill.terms.payee.clone(),
            payer_addr: bill.terms.payer.clone(),
            payment_platform: bill.terms.platform.clone(),
            timestamp: to_millis(now),
            agreement_id: agreement.clone(),
            activity_ids: bill.meters.keys().cloned().collect(),
            amount,
            payment_due_date: to_micros(later(now, term)),
            status: DocumentStatus::Received,
        };
        self.payments.file_invoice(invoice);
        let totals = &mut self.payments.totals;
        totals.invoices += 1;
        totals.invoiced = totals.invoiced + amount;
        let (actor, agreement) = (self.actor(&provider), agreement.clone());
        let billed = agreement.clone();
        let fact = Fact::InvoiceIssued {
            invoice: id.clone(),
            agreement: agreement.clone(),
            amount,
        };
        self.post(actor.clone(), fact);
        self.record(
            actor,
            Event::InvoiceIssued {
                invoice: id.clone(),
                agreement,
                amount,
            },
        );
        let event = DocumentEvent {
            id,
            at: self.stamp(),
            session,
            kind: EventKind::Received,
        };
        self.push_invoice_event(&requestor, event);
        if again {
            self.after(RETRY, Due::Invoice(billed));
        }
        self.may_die_after(&provider, Step::Invoice);
    }

    pub(super) fn push_invoice_event(
        &mut self,
        requestor: &NodeId,
        event: DocumentEvent<golem_wire::InvoiceId>,
    ) {
        self.payments.invoice_events.push(requestor, event);
        self.wake(&Topic::InvoiceEvents(requestor.clone()));
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
