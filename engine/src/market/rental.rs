//! The record of an agreement in force: a rented machine. Owns: its end, what it may cost, what was
//! accepted for it, and why it is left open. Does not own: the activities on it, how documents are
//! accepted (`payment/`).

mod restored;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::payment::DebitNote;
use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use jiff::Timestamp;
use tokio::time::error::Elapsed;

use super::own_allocations::Platform;
use super::terms::{Notes, Terms};
use super::{AgreementEnd, EndedBy, ProviderDebts, Rentals};
use crate::agreement_record::{AgreementRecord, KnownCost, Usage};
use crate::context::Context;
use crate::event::{
    AgreementTerminated, AgreementTerminationNotice, EventContext, ProtocolViolation,
};
use crate::journal::Fact;
use crate::lifecycle::agreement::{Effect, Event, State, step};
use crate::lifecycle::payment::{self, Account, Again, InvoiceState, Sent};
use crate::model::{InstanceId, JobId, LinearPrices, OfferProposal};
use crate::settle::spending::{self, Reserve, Spending};
use crate::settle::usage::{self, Bounds};
use crate::settle::{Ender, ceiling};
use crate::watch;

/// How long a stop waits for the end of an agreement whose provider was given up, and which may not
/// be reached.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// How long the daemon is given to tell what an activity used.
const USAGE_WAIT: Duration = Duration::from_secs(2);

/// A rented machine.
pub(crate) struct Rental {
    context: Arc<Context>,
    debts: Arc<ProviderDebts>,
    job: JobId,
    /// The job of this life that goes on with it.
    adopted_by: OnceLock<JobId>,
    /// The instance that a later engine goes on with.
    left_to: OnceLock<InstanceId>,
    pub(crate) agreement_id: AgreementId,
    pub(crate) provider_id: NodeId,
    pub(crate) provider_name: String,
    /// On which its agreement says that it is paid.
    platform: Platform,
    offer: OfferProposal,
    prices: LinearPrices,
    threads: u32,
    inner: Mutex<Inner>,
    ended: watch::Sender<Option<AgreementEnd>>,
    /// When its provider will end it, if it said so.
    announced_end: watch::Sender<Option<Timestamp>>,
    /// True once nothing more will be done about the agreement.
    over: watch::Sender<bool>,
}

struct Inner {
    state: State,
    record: AgreementRecord,
    /// What an earlier run accepted for it.
    accepted_before: Glm,
    notes: Notes,
}

impl Rental {
    pub(super) fn new(
        rentals: &Rentals,
        job: JobId,
        agreement_id: AgreementId,
        offer: &OfferProposal,
        platform: Platform,
    ) -> Self {
        let prices = offer.prices().cloned().unwrap_or_default();
        let context = Arc::clone(rentals.context());
        let record = AgreementRecord::confirmed(context.now());
        Rental {
            job,
            adopted_by: OnceLock::new(),
            left_to: OnceLock::new(),
            agreement_id,
            provider_id: offer.provider_id().clone(),
            provider_name: offer.provider_name().to_owned(),
            prices,
            threads: offer.threads(),
            platform,
            offer: offer.clone(),
            inner: Mutex::new(Inner {
                state: State::Approved,
                record,
                accepted_before: Glm::ZERO,
                notes: Notes::default(),
            }),
            ended: watch::Sender::new(None),
            announced_end: watch::Sender::new(None),
            over: watch::Sender::new(false),
            debts: Arc::clone(rentals.provider_debts()),
            context,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the state consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job it was rented for.
    pub(crate) fn job(&self) -> &JobId {
        self.adopted_by.get().unwrap_or(&self.job)
    }

    /// The platform that its agreement is paid on.
    pub(crate) fn platform(&self) -> &Platform {
        &self.platform
    }

    /// What the provider offered, and was agreed on.
    pub(crate) fn offer(&self) -> &OfferProposal {
        &self.offer
    }

    /// What events of it are about.
    pub(crate) fn about(&self) -> EventContext {
        EventContext::of_job(self.job())
            .with_agreement(&self.agreement_id)
            .with_provider(&self.provider_id, &self.provider_name)
    }

    /// What the machine costs; the usage counters stand in the daemon's order.
    pub(crate) fn prices(&self) -> &LinearPrices {
        &self.prices
    }

    /// Becomes `Some` when the agreement ended, or the machine was given up.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<AgreementEnd>> {
        self.ended.subscribe()
    }

    /// How it ended, or was given up; `None` while it is in force as far as we know.
    pub(crate) fn ended_by(&self) -> Option<AgreementEnd> {
        self.ended.borrow().clone()
    }

    /// When its provider will end it, if it said so: no new work begins on it.
    pub(crate) fn announced_end(&self) -> Option<Timestamp> {
        *self.announced_end.borrow()
    }

    /// Waits until its provider announces an end.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn end_announced(&self) -> Timestamp {
        let mut announced = self.announced_end.subscribe();
        // The sender lives in `self`.
        let heard = announced.wait_for(Option::is_some).await.map(|it| *it);
        match heard {
            Ok(Some(deadline)) => deadline,
            _ => std::future::pending().await,
        }
    }

    /// The event feed told of an announcement; the first one counts.
    pub(super) fn heard_announcement(&self, deadline: Timestamp, reason: String) {
        if !self.is_open() || self.announced_end().is_some() {
            return;
        }
        let told = AgreementTerminationNotice { deadline, reason };
        self.context.emit(self.about(), told);
        self.announced_end.send_replace(Some(deadline));
    }

    /// When it ended or was given up, if it was.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        self.lock().record.ended
    }

    /// Counts an activity since it was asked for: it bounds what the provider may ask for.
    pub(crate) fn activity_created(&self, id: &ActivityId, from: Timestamp) {
        self.lock().record.activity_created(id.clone(), from);
    }

    /// Stops counting an activity.
    pub(crate) fn activity_destroyed(&self, id: &ActivityId) {
        let now = self.context.now();
        self.lock().record.activity_gone(id, now);
    }

    /// An activity was known to cost `amount` at a time of its provider's clock.
    pub(crate) fn cost_known(&self, id: &ActivityId, amount: Glm, at: Timestamp) {
        let now = self.context.now();
        let cost = KnownCost { amount, at };
        self.lock().record.cost_known(id, cost, now);
    }

    /// Asks the daemon what an activity has used by now: its bills are held against that.
    ///
    /// # Errors
    /// It is not told in time, and stays unknown.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn measure(&self, id: &ActivityId) -> Result<(), Elapsed> {
        if self.is_lost() {
            return Ok(());
        }
        let at = self.context.now();
        let asking = self.context.rest().activity();
        let asking = asking.usage(id);
        match tokio::time::timeout(USAGE_WAIT, asking).await {
            Ok(Ok(usage)) => {
                if let Some(usage) = usage.current_usage {
                    let cost = self.bounds(id).cost_of(&usage);
                    self.cost_known(id, cost, at);
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(activity = %id, %error, "what it used is not known");
            }
            Err(late) => {
                tracing::debug!(activity = %id, "what it used is not told in time");
                return Err(late);
            }
        }
        Ok(())
    }

    /// What an activity can have used by now.
    fn bounds(&self, id: &ActivityId) -> Bounds<'_> {
        let limits = &self.context.config().payment;
        let lived = self.lock().record.lived(id, self.context.now());
        Bounds {
            prices: &self.prices,
            threads: self.threads,
            lived: lived.saturating_add(limits.grace),
            tolerance: limits.tolerance,
        }
    }

    /// The usage that a debit note tells, if it does.
    ///
    /// # Errors
    /// Why it cannot be true.
    pub(crate) fn check_usage(&self, note: &DebitNote) -> Result<Option<Usage>, String> {
        let Some(vector) = &note.usage_counter_vector else {
            return Ok(None);
        };
        let vector = usage::read(vector)?;
        let id = &note.activity_id;
        let before = self.lock().record.usage.get(id).cloned();
        let (bounds, amount) = (self.bounds(id), note.total_amount_due);
        let checked = bounds.check(&vector, note.timestamp, before.as_ref(), amount);
        checked.map(Some)
    }

    /// A debit note told of a usage that cannot be true. Where it could not be true of a machine that is at work to this
    /// day either, what it claims is the most that is owed by then, as far as it can be true. (A provider may well
    /// go on counting after we gave its machine up.)
    pub(crate) fn claimed(&self, note: &DebitNote) {
        let Some(Ok(vector)) = note.usage_counter_vector.as_ref().map(usage::read) else {
            return;
        };
        let (id, now) = (&note.activity_id, self.context.now());
        let limits = &self.context.config().payment;
        let (known, still) = {
            let inner = self.lock();
            let still = usage::still(&inner.record, id, limits, now);
            (inner.record.costs.get(id).copied(), still)
        };
        let bounds = self.bounds(id);
        if bounds.is_possible(&vector, still) {
            return;
        }
        if let Some(amount) = bounds.at_most(&vector, known.as_ref()) {
            self.cost_known(id, amount, note.timestamp);
        }
    }

    /// How a debit note breaks what was agreed about them, if it does.
    pub(crate) fn breach(&self, note: &DebitNote) -> Option<String> {
        let ranges = self.context.strategy().acceptable_prop_value_ranges();
        let terms = Terms::of(&self.offer, &ranges);
        let now = self.context.now();
        let mut inner = self.lock();
        let since = inner.record.activities.get(&note.activity_id)?.from;
        inner.notes.breach(&terms, note, since, now)
    }

    /// A debit note that was right told of an activity's usage.
    pub(crate) fn usage_known(&self, id: &ActivityId, usage: Usage) {
        self.lock().record.usage_known(id, usage);
    }

    /// The same of all that run on it.
    pub(super) async fn measure_all(&self) {
        let running: Vec<ActivityId> = {
            let record = &self.lock().record;
            let running = record.activities.iter();
            let running = running.filter(|(_, lifetime)| spending::is_running(record, **lifetime));
            running.map(|(id, _)| id.clone()).collect()
        };
        for id in running {
            // What is not told counts as used by all threads.
            let _ = self.measure(&id).await;
        }
    }

    /// What it may still cost, beside what an earlier run accepted for it.
    pub(super) fn spending(&self, reserve: Reserve, now: Timestamp) -> Spending {
        let terms = (&self.prices, self.threads);
        let inner = self.lock();
        let record = &inner.record;
        let amount = |amount: Glm| amount - inner.accepted_before;
        let open = !matches!(inner.state, State::Ended(_));
        Spending {
            accepted: amount(record.documents.accepted()),
            by_now: amount(spending::by_now(terms, record, now)),
            promised: amount(spending::promised(terms, record, reserve, now)),
            rate: spending::rate(terms, record, reserve),
            open: usize::from(open),
            unbounded: open && !self.prices.is_bounded(),
        }
    }

    /// What was used and is not accepted.
    pub(super) fn owed(&self, now: Timestamp) -> Glm {
        let record = &self.lock().record;
        let by_now = spending::by_now((&self.prices, self.threads), record, now);
        by_now - record.documents.accepted()
    }

    /// What is accepted by now was accepted by an earlier run.
    pub(crate) fn accepted_before(&self) {
        let mut inner = self.lock();
        inner.accepted_before = inner.record.documents.accepted();
    }

    /// What this run accepted for it.
    pub(super) fn accepted_in_this_run(&self) -> Glm {
        let inner = self.lock();
        inner.record.documents.accepted() - inner.accepted_before
    }

    /// Whether anything ran on it, so that an invoice is due.
    pub(crate) fn was_used(&self) -> bool {
        self.lock().record.was_used()
    }

    /// Ends the agreement and waits until the daemon took it, or it was given up and is named in
    /// the shutdown report.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub(crate) async fn terminate(self: &Arc<Self>, reason: Reason) {
        self.apply(Event::TerminateWanted(reason.message.clone()), Some(reason));
        let mut over = self.over.subscribe();
        // The sender lives in `self`.
        let _ = over.wait_for(|over| *over).await;
    }

    /// Ends the agreement without waiting for it.
    pub(crate) fn give_up(self: &Arc<Self>, why: &str) {
        self.apply(Event::TerminateWanted(why.to_owned()), None);
    }

    /// Its provider does not keep to what was agreed, and loses the agreement.
    pub(crate) fn breaks_terms(self: &Arc<Self>, why: &str) {
        let reason = Reason::from(why);
        self.apply(Event::TerminateWanted(why.to_owned()), Some(reason));
    }

    /// The machine does not answer any more: whoever uses it is told, then the agreement is ended.
    pub(crate) fn notify_dead(self: &Arc<Self>, why: impl Into<String>) {
        self.apply(Event::Lost(why.into()), None);
    }

    /// Its provider does something about it: if it was given up and could not be ended, it is ended now.
    pub(crate) fn sign_of_life(self: &Arc<Self>) {
        self.apply(Event::SignOfLife, None);
    }

    /// The event feed told of the end.
    pub(super) fn heard_end(self: &Arc<Self>, end: AgreementEnd) {
        self.apply(Event::EndedBy(end), None);
    }

    /// Whether it is still in force, as far as we know.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.lock().state, State::Ended(_))
    }

    /// Whether its machine was given up, and it may still be in force: its provider may not be reached.
    /// It is left to a later engine, with the activity of this instance.
    pub(crate) fn leave(&self, instance: InstanceId) {
        // The first one stays.
        let _ = self.left_to.set(instance);
    }

    /// Whose machine it is that is left to a later engine, if it is.
    pub(crate) fn left_to(&self) -> Option<&InstanceId> {
        self.left_to.get()
    }

    pub(crate) fn is_lost(&self) -> bool {
        let lost = |end: &AgreementEnd| end.by == EndedBy::Lost;
        match &self.lock().state {
            State::LeftOpen(end) | State::Terminating { end, .. } => lost(end),
            State::Approved | State::Ended(_) => false,
        }
    }

    fn apply(self: &Arc<Self>, event: Event, reason: Option<Reason>) {
        let (effects, ended, over) = {
            let mut inner = self.lock();
            let ended_before = matches!(inner.state, State::Ended(_));
            let next = match step(inner.state.clone(), event) {
                Ok((state, effects)) => {
                    inner.state = state;
                    effects
                }
                Err(illegal) => {
                    drop(inner);
                    let what = format!("agreement {}: {illegal}", self.agreement_id);
                    return self.context.emit(self.about(), ProtocolViolation { what });
                }
            };
            let ended = matches!(inner.state, State::Ended(_));
            let over = ended || matches!(inner.state, State::LeftOpen(_));
            if next
                .iter()
                .any(|effect| matches!(effect, Effect::Announce(_)))
            {
                inner.record.ended = Some(self.context.now());
            }
            if next
                .iter()
                .any(|effect| matches!(effect, Effect::Terminate(_)))
            {
                self.over.send_replace(false);
            }
            (next, ended.then_some(ended_before), over)
        };
        for effect in effects {
            match effect {
                Effect::Announce(end) => self.announce(end),
                Effect::Terminate(text) => {
                    self.end_at_daemon(reason.clone().unwrap_or_else(|| text.as_str().into()));
                }
            }
        }
        if let Some(ended_before) = ended {
            self.lock().record.left_open = None;
            let given_up = self.ended_by().is_some_and(|end| end.by == EndedBy::Lost);
            if given_up && !ended_before {
                // Its loss was announced; that it ended after all is still to be written down.
                self.context.log().fact(Fact::AgreementEnded {
                    agreement: self.agreement_id.clone(),
                    reason: "ended after it was given up".into(),
                });
            }
            self.close_if_settled();
        }
        if over {
            self.over.send_replace(true);
        }
    }

    /// Writes down that nothing more can come of it, once it has ended and is paid.
    pub(crate) fn close_if_settled(&self) {
        let forgets = golem_probe::planted!("a-paid-agreement-stays-in-the-journal");
        if !self.is_open() && self.is_paid() && !forgets {
            self.context.log().fact(Fact::AccountClosed {
                agreement: self.agreement_id.clone(),
            });
        }
    }

    fn announce(&self, end: AgreementEnd) {
        let now = self.context.now();
        self.lock().record.ended.get_or_insert(now);
        if self.was_used() && !self.is_paid() {
            self.owe();
        }
        if end.by != EndedBy::Lost {
            // A machine that was given up is not known to be gone.
            self.context.log().fact(Fact::AgreementEnded {
                agreement: self.agreement_id.clone(),
                reason: end.to_string(),
            });
        }
        let terminated = AgreementTerminated {
            by: end.by,
            reason: end.reason.clone(),
        };
        self.context.emit(self.about(), terminated);
        self.ended.send_replace(Some(end));
    }

    fn end_at_daemon(self: &Arc<Self>, reason: Reason) {
        let rental = Arc::clone(self);
        self.context.tasks().spawn("terminate", async move {
            let ender = Ender::of(&rental.context, "end");
            let terminated = tokio::select! {
                biased;
                done = ender.terminate(&rental.agreement_id, &reason) => {
                    done.map_err(|why| why.to_string())
                }
                () = rental.stop_waits_no_longer() => {
                    Err(format!("its provider does not answer; it was tried for {STOP_WAIT:?} when stopping"))
                }
            };
            match terminated {
                Ok(()) => rental.apply(Event::Terminated, None),
                Err(why) => {
                    rental.lock().record.left_open = Some(why.clone());
                    rental.apply(Event::NotTerminated(why), None);
                }
            }
        });
    }

    /// Returns when the engine stops and has waited long enough for a provider that was given up.
    async fn stop_waits_no_longer(&self) {
        if !self.is_lost() {
            return std::future::pending().await;
        }
        self.context.jobs().token().cancelled().await;
        tokio::time::sleep(STOP_WAIT).await;
    }

    /// Something of it is not accepted: its provider is not signed again before that.
    pub(crate) fn owe(&self) {
        self.debts.owe(&self.provider_id, &self.agreement_id);
    }

    /// Nothing is owed for it any more, or never will be.
    pub(crate) fn owes_nothing(&self) {
        self.debts.clear(&self.provider_id, &self.agreement_id);
    }

    /// Something happened to a document of it; what is to be done follows.
    pub(crate) fn document(&self, event: payment::Event) -> Vec<payment::Effect> {
        let mut inner = self.lock();
        let documents = &mut inner.record.documents;
        let (next, effects) = std::mem::take(documents).step(event);
        *documents = next;
        effects
    }

    /// Whether a document of it came.
    pub(super) fn has_documents(&self) -> bool {
        self.lock().record.documents != Account::default()
    }

    /// How far its invoice is.
    pub(crate) fn invoice(&self) -> InvoiceState {
        self.lock().record.documents.invoice().clone()
    }

    /// What was accepted for it.
    pub(crate) fn accepted(&self) -> Glm {
        self.lock().record.documents.accepted()
    }

    /// What a document has paid beyond what came before it; see [`Account::more`](payment::Account::more).
    pub(crate) fn more(&self, activity: Option<&ActivityId>, amount: Glm, sent: &Sent) -> Glm {
        self.lock().record.documents.more(activity, amount, sent)
    }

    /// Why it is not paid although it was used.
    pub(crate) fn unpaid(&self) -> Option<String> {
        self.lock().record.unpaid()
    }

    /// Whether its invoice is accepted.
    pub(crate) fn is_paid(&self) -> bool {
        self.lock().record.is_paid()
    }

    /// Whether its invoice is owed, and only its acceptance failed, or is not known to have worked.
    pub(crate) fn may_be_paid_later(&self) -> bool {
        matches!(
            self.invoice(),
            InvoiceState::Accepting { .. }
                | InvoiceState::Refused {
                    again: Again::Later,
                    ..
                }
        )
    }

    /// Whether we refused its invoice: nothing more is to be done about it.
    pub(crate) fn is_refused(&self) -> bool {
        let refused = |again| again == Again::Refused;
        matches!(self.invoice(), InvoiceState::Refused { again, .. } if refused(again))
    }

    /// Why it could not be ended.
    pub(super) fn left_open(&self) -> Option<String> {
        self.lock().record.left_open.clone()
    }

    /// The most that debit notes of `activity`, or the invoice (`None`), may ask for.
    pub(crate) fn ceiling(&self, activity: Option<&ActivityId>) -> Glm {
        let limits = &self.context.config().payment;
        let terms = (&self.prices, self.threads);
        let record = &self.lock().record;
        ceiling(terms, record, activity, limits, self.context.now())
    }
}

impl std::fmt::Debug for Rental {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rental")
            .field("agreement_id", &self.agreement_id)
            .field("provider_name", &self.provider_name)
            .finish_non_exhaustive()
    }
}
