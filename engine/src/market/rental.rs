//! The record of an agreement in force: a rented machine. Owns: its end, what it may cost, what was
//! accepted for it, and why it is left open. Does not own: the activities on it, how documents are
//! accepted (`payment/`).

mod restored;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::sync::watch;

pub(crate) use restored::{RECOVERED, offer_of};

use super::{AgreementEnd, EndedBy, ProviderDebts, Rentals, terminate};
use crate::context::Context;
use crate::event::EventKind;
use crate::journal::Fact;
use crate::lifecycle::agreement::{Effect, Event, State, step};
use crate::lifecycle::payment::{self, Account, InvoiceState};
use crate::model::{JobId, LinearPrices, OfferProposal};

/// A rented machine.
pub(crate) struct Rental {
    context: Arc<Context>,
    debts: Arc<ProviderDebts>,
    job: JobId,
    /// The job of this life that goes on with it.
    adopted_by: OnceLock<JobId>,
    pub(crate) agreement_id: AgreementId,
    pub(crate) provider_id: NodeId,
    pub(crate) provider_name: String,
    prices: LinearPrices,
    threads: u32,
    approved_at: Timestamp,
    inner: Mutex<Inner>,
    ended: watch::Sender<Option<AgreementEnd>>,
    /// True once nothing more will be done about the agreement.
    over: watch::Sender<bool>,
}

struct Inner {
    state: State,
    ended_at: Option<Timestamp>,
    activities: IndexMap<ActivityId, Lifetime>,
    /// Its documents.
    account: Account,
    /// Why it could not be ended.
    left_open: Option<String>,
}

#[derive(Clone, Copy)]
struct Lifetime {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl Rental {
    pub(super) fn new(
        rentals: &Rentals,
        job: JobId,
        agreement_id: AgreementId,
        offer: &OfferProposal,
    ) -> Self {
        let prices = offer.prices().cloned().unwrap_or_default();
        let context = Arc::clone(rentals.context());
        let approved_at = context.now();
        Rental {
            job,
            adopted_by: OnceLock::new(),
            agreement_id,
            provider_id: offer.provider_id().clone(),
            provider_name: offer.provider_name().to_owned(),
            prices,
            threads: offer.threads(),
            approved_at,
            inner: Mutex::new(Inner {
                state: State::Approved,
                ended_at: None,
                activities: IndexMap::new(),
                account: Account::default(),
                left_open: None,
            }),
            ended: watch::Sender::new(None),
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

    /// When it ended or was given up, if it was.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        self.lock().ended_at
    }

    /// Counts an activity from now on: it bounds what the provider may ask for.
    pub(crate) fn activity_created(&self, id: &ActivityId) {
        let from = self.context.now();
        self.lock()
            .activities
            .insert(id.clone(), Lifetime { from, to: None });
    }

    /// Stops counting an activity.
    pub(crate) fn activity_destroyed(&self, id: &ActivityId) {
        let now = self.context.now();
        if let Some(lifetime) = self.lock().activities.get_mut(id) {
            lifetime.to.get_or_insert(now);
        }
    }

    /// Whether anything ran on it, so that an invoice is due.
    pub(crate) fn was_used(&self) -> bool {
        !self.lock().activities.is_empty()
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
    pub(super) fn give_up(self: &Arc<Self>, why: &str) {
        self.apply(Event::TerminateWanted(why.to_owned()), None);
    }

    /// The machine does not answer any more: whoever uses it is told, then the agreement is ended.
    pub(crate) fn notify_dead(self: &Arc<Self>, why: impl Into<String>) {
        self.apply(Event::Lost(why.into()), None);
    }

    /// The event feed told of the end.
    pub(super) fn heard_end(self: &Arc<Self>, end: AgreementEnd) {
        self.apply(Event::EndedBy(end), None);
    }

    /// Whether it is still in force, as far as we know.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.lock().state, State::Ended(_))
    }

    fn apply(self: &Arc<Self>, event: Event, reason: Option<Reason>) {
        let (effects, over) = {
            let mut inner = self.lock();
            let next = match step(inner.state.clone(), event) {
                Ok((state, effects)) => {
                    inner.state = state;
                    effects
                }
                Err(illegal) => {
                    drop(inner);
                    let what = format!("agreement {}: {illegal}", self.agreement_id);
                    return self.context.emit(EventKind::ProtocolViolation { what });
                }
            };
            let over = matches!(inner.state, State::Ended(_));
            if next
                .iter()
                .any(|effect| matches!(effect, Effect::Announce(_)))
            {
                inner.ended_at = Some(self.context.now());
            }
            (next, over)
        };
        for effect in effects {
            match effect {
                Effect::Announce(end) => self.announce(end),
                Effect::Terminate(text) => {
                    self.end_at_daemon(reason.clone().unwrap_or_else(|| text.as_str().into()));
                }
            }
        }
        if over {
            self.lock().left_open = None;
            self.close_if_settled();
            self.over.send_replace(true);
        }
    }

    /// Writes down that nothing more can come of it, once it has ended and is paid.
    pub(crate) fn close_if_settled(&self) {
        if !self.is_open() && self.is_paid() {
            self.context.log().fact(Fact::AccountClosed {
                agreement: self.agreement_id.clone(),
            });
        }
    }

    fn announce(&self, end: AgreementEnd) {
        let now = self.context.now();
        self.lock().ended_at.get_or_insert(now);
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
        self.context.emit(EventKind::AgreementTerminated {
            job: self.job().clone(),
            agreement_id: self.agreement_id.clone(),
            provider_id: self.provider_id.clone(),
            provider_name: self.provider_name.clone(),
            by: end.by,
            reason: end.reason.clone(),
        });
        self.ended.send_replace(Some(end));
    }

    fn end_at_daemon(self: &Arc<Self>, reason: Reason) {
        let rental = Arc::clone(self);
        self.context.tasks().spawn("terminate", async move {
            match terminate::terminate(&rental.context, &rental.agreement_id, &reason).await {
                Ok(()) => rental.apply(Event::Terminated, None),
                Err(why) => {
                    rental.lock().left_open = Some(why.clone());
                    if rental.ended.borrow().is_none() {
                        rental.announce(AgreementEnd::new(EndedBy::Lost, why));
                    }
                    rental.over.send_replace(true);
                }
            }
        });
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
        let (next, effects) = std::mem::take(&mut inner.account).step(event);
        inner.account = next;
        effects
    }

    /// Whether a document of it came.
    pub(super) fn has_documents(&self) -> bool {
        self.lock().account != Account::default()
    }

    /// How far its invoice is.
    pub(crate) fn invoice(&self) -> InvoiceState {
        self.lock().account.invoice().clone()
    }

    /// What was accepted for it.
    pub(crate) fn accepted(&self) -> Glm {
        self.lock().account.accepted()
    }

    /// Whether its invoice is accepted.
    pub(crate) fn is_paid(&self) -> bool {
        matches!(self.lock().account.invoice(), InvoiceState::Accepted { .. })
    }

    /// Whether its invoice is owed, and only its acceptance failed, or is not known to have worked.
    pub(crate) fn may_be_paid_later(&self) -> bool {
        matches!(
            self.invoice(),
            InvoiceState::Accepting { .. } | InvoiceState::Refused { passing: true, .. }
        )
    }

    /// Why it could not be ended.
    pub(super) fn left_open(&self) -> Option<String> {
        self.lock().left_open.clone()
    }

    /// The most that debit notes of `activity`, or the invoice (`None`), may ask for: price times
    /// the time we saw activities live, with tolerance and grace. Counters that time does not bound
    /// are not limited here.
    pub(crate) fn ceiling(&self, activity: Option<&ActivityId>) -> Glm {
        let limits = &self.context.config().payment;
        let inner = self.lock();
        let end = inner.ended_at.unwrap_or_else(|| self.context.now());
        let whole = Lifetime {
            from: self.approved_at,
            to: Some(end),
        };
        let mut total = Glm::ZERO;
        let mut counted = 0u32;
        for (id, lifetime) in &inner.activities {
            if activity.is_none_or(|wanted| wanted == id) {
                total = total + self.cost(lifetime.length(end) + limits.grace);
                counted += 1;
            }
        }
        if counted == 0 {
            // An activity whose creation we could not follow: at the most as long as the agreement.
            total = self.cost(whole.length(end) + limits.grace);
        }
        Glm::new(total.get().saturating_mul(Decimal::ONE + limits.tolerance))
    }

    fn cost(&self, time: Duration) -> Glm {
        self.prices.for_time(time, self.threads)
    }
}

impl Lifetime {
    fn length(self, end: Timestamp) -> Duration {
        let to = self.to.unwrap_or(end);
        Duration::try_from(to.duration_since(self.from)).unwrap_or_default()
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
