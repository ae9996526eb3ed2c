//! All agreements of an engine: those being signed, those in force, those that could not be ended, and for a while those
//! that ended. Owns: who is told what the event feed has of one, and forgetting the ones of which nothing more can come, so
//! that an engine that runs for a month stays as small as one that runs for an hour.
//!
//! What is forgotten leaves a line in the lists that the report at the stop is made of (`left_open`,
//! `written_off`) and in the totals: they hold what was read from a record at its end, and no agreement
//! is in them and in `slots` at a time. `distrusted` is by provider, since it outlives every agreement.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::{AgreementId, Glm, NodeId};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::oneshot;

use super::own_allocations::Platform;
use super::{AgreementEnd, ProviderDebts, Rental};
use crate::context::Context;
use crate::event::ProviderDistrusted;
use crate::id_map::IdMap;
use crate::journal::Fact;
use crate::lifecycle::payment::{Again, InvoiceState};
use crate::settle::spending::{Reserve, Spending};

/// How often it is looked for what can be forgotten.
const PRUNE_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Agreements that were never invoiced are named in the report up to this number, the latest ones.
const MAX_WRITTEN_OFF: usize = 1_000;

/// Providers that asked for too much, the latest ones.
const MAX_DISTRUSTED: usize = 10_000;

/// An agreement with something left to do, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OpenAgreement {
    /// Its id.
    pub agreement_id: AgreementId,
    /// The provider's name.
    pub provider_name: String,
    /// What is left, and why.
    pub reason: String,
}

/// Money, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) invoices_accepted: u64,
    pub(crate) accepted: Glm,
}

/// What of it this run accepted on a platform, for agreements of its own and of earlier runs.
#[derive(Clone, Copy, Debug, Default)]
struct OfThisRun {
    own: Glm,
    restored: Glm,
}

/// Agreements by id.
pub(crate) struct Rentals {
    context: Arc<Context>,
    inner: Mutex<Inner>,
    debts: Arc<ProviderDebts>,
    /// How long one that ended is remembered: paid, and without an invoice.
    remember: SignedDuration,
    invoice_wait: SignedDuration,
    /// What agreements are paid on that do not say.
    usual_platform: Platform,
}

#[derive(Default)]
struct Inner {
    slots: IdMap<AgreementId, Slot>,
    /// Could not be ended, and are not in `slots`: they were never rented, or are forgotten.
    left_open: IdMap<AgreementId, OpenAgreement>,
    /// Forgotten without an invoice although they were used.
    written_off: IdMap<AgreementId, OpenAgreement>,
    /// All that were ever in force.
    total: u64,
    /// Providers that asked for more than can be right, and what they asked for.
    distrusted: IdMap<NodeId, String>,
    /// What those that are forgotten came to.
    closed: Totals,
    closed_on: IdMap<Platform, OfThisRun>,
    pruned_at: Option<Timestamp>,
}

enum Slot {
    Expected(Expected),
    Live(Arc<Rental>),
}

/// Being signed.
struct Expected {
    /// Told of the provider's answer, once.
    answer: Option<oneshot::Sender<Answer>>,
    early: Early,
}

/// What a provider answered to an agreement, as the event feed has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Approved,
    Refused(AgreementEnd),
    /// It ended, and nobody heard how it was answered.
    Over,
}

impl Expected {
    fn tell(&mut self, answer: Answer) {
        if let Some(waiting) = self.answer.take() {
            // Whoever signs it may have learned it in another way.
            let _ = waiting.send(answer);
        }
    }
}

/// What was heard of an agreement before its approval was known to whoever signs it.
#[derive(Default)]
pub(super) struct Early {
    end: Option<AgreementEnd>,
    /// When it is to end, and why.
    announced: Option<(Timestamp, String)>,
}

impl Early {
    /// Hands it on.
    pub(super) fn tell(self, rental: &Arc<Rental>) {
        if let Some((deadline, reason)) = self.announced {
            rental.heard_announcement(deadline, reason);
        }
        if let Some(end) = self.end {
            rental.heard_end(end);
        }
    }
}

impl Rentals {
    pub(crate) fn new(context: Arc<Context>, usual_platform: &str) -> Self {
        let config = context.config();
        let signed = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Rentals {
            usual_platform: usual_platform.into(),
            inner: Mutex::default(),
            debts: Arc::new(ProviderDebts::new(config.market.owed_wait)),
            remember: signed(config.payment.remember),
            invoice_wait: signed(config.payment.invoice_wait),
            context,
        }
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// What agreements are paid on that do not say.
    pub(super) fn usual_platform(&self) -> &Platform {
        &self.usual_platform
    }

    /// To whom something is owed.
    pub(crate) fn provider_debts(&self) -> &Arc<ProviderDebts> {
        &self.debts
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the maps consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of this agreement are ours from now on; the provider's answer comes as soon as the feed has it.
    pub(super) fn expect(&self, id: &AgreementId) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let expected = Expected {
            answer: Some(answer),
            early: Early::default(),
        };
        self.lock()
            .slots
            .insert(id.clone(), Slot::Expected(expected));
        answered
    }

    /// The agreement came to nothing.
    pub(super) fn forget(&self, id: &AgreementId) {
        self.lock().slots.shift_remove(id);
    }

    /// The agreement is in force; returns what was heard of it before.
    pub(super) fn insert(&self, rental: Arc<Rental>) -> Early {
        let id = rental.agreement_id.clone();
        let mut inner = self.lock();
        inner.total += 1;
        match inner.slots.insert(id, Slot::Live(rental)) {
            Some(Slot::Expected(expected)) => expected.early,
            _ => Early::default(),
        }
    }

    /// Hands an approval from the event feed to whoever signs the agreement, if that is ours.
    pub(super) fn approved(&self, id: &AgreementId) {
        if let Some(Slot::Expected(expected)) = self.lock().slots.get_mut(id) {
            expected.tell(Answer::Approved);
        }
    }

    /// Hands a refusal from the event feed to whoever signs the agreement, if that is ours.
    pub(super) fn refused(&self, id: &AgreementId, end: AgreementEnd) {
        if let Some(Slot::Expected(expected)) = self.lock().slots.get_mut(id) {
            expected.tell(Answer::Refused(end));
        }
    }

    /// Hands an end from the event feed to the agreement it belongs to, if that is ours.
    pub(super) fn ended(&self, id: &AgreementId, end: AgreementEnd) {
        let rental = match self.lock().slots.get_mut(id) {
            Some(Slot::Live(rental)) => Arc::clone(rental),
            Some(Slot::Expected(expected)) => {
                expected.tell(Answer::Over);
                expected.early.end.get_or_insert(end);
                return;
            }
            None => return,
        };
        rental.heard_end(end);
    }

    /// Hands an announcement from the event feed to the agreement it belongs to, if that is ours.
    pub(super) fn end_announced(&self, id: &AgreementId, deadline: Timestamp, reason: String) {
        let rental = match self.lock().slots.get_mut(id) {
            Some(Slot::Live(rental)) => Arc::clone(rental),
            Some(Slot::Expected(expected)) => {
                // A daemon reports each agreement's once; a later one would hold as well.
                expected.early.announced = Some((deadline, reason));
                return;
            }
            None => return,
        };
        rental.heard_announcement(deadline, reason);
    }

    /// The agreement, if it is or was ours.
    pub(crate) fn get(&self, id: &AgreementId) -> Option<Arc<Rental>> {
        match self.lock().slots.get(id) {
            Some(Slot::Live(rental)) => Some(Arc::clone(rental)),
            _ => None,
        }
    }

    /// Whether it is ours, or being signed.
    pub(super) fn knows(&self, id: &AgreementId) -> bool {
        self.lock().slots.contains_key(id)
    }

    /// How many were ever in force.
    pub(crate) fn total(&self) -> u64 {
        self.lock().total
    }

    /// Those in force as far as we know, oldest first.
    pub(crate) fn open(&self) -> Vec<Arc<Rental>> {
        let mut open = self.all();
        open.retain(|rental| rental.is_open());
        open
    }

    /// Those that were used, never invoiced, and forgotten.
    pub(crate) fn written_off(&self) -> Vec<OpenAgreement> {
        self.lock().written_off.values().cloned().collect()
    }

    /// Forgets agreements of which nothing more can come; does nothing most of the time.
    pub(crate) fn prune(&self) {
        let context = &self.context;
        if context.jobs().is_cancelled() {
            // Stopping accounts for all that are remembered.
            return;
        }
        let now = context.now();
        {
            let mut inner = self.lock();
            let soon = |at: Timestamp| now.duration_since(at) < PRUNE_EVERY;
            if inner.pruned_at.is_some_and(soon) {
                return;
            }
            inner.pruned_at = Some(now);
        }
        for rental in self.all() {
            let Some(ended) = rental.ended_at() else {
                continue;
            };
            let id = &rental.agreement_id;
            let ago = now.duration_since(ended);
            let invoice = rental.invoice();
            let paid = match &invoice {
                InvoiceState::Accepted { .. } => true,
                InvoiceState::None => !rental.was_used(),
                InvoiceState::Accepting { .. } | InvoiceState::Refused { .. } => false,
            };
            // One that could not be ended is watched for longer.
            let due = if paid && !rental.is_open() {
                self.remember
            } else {
                self.invoice_wait
            };
            if ago < due {
                continue;
            }
            tracing::debug!(agreement = %id, paid, "nothing more is expected of this agreement");
            let mut inner = self.lock();
            inner.slots.shift_remove(id);
            inner.closed.add(&rental);
            let platform = rental.platform().clone();
            inner.closed_on.entry(platform).or_default().add(&rental);
            if let Some(reason) = rental.left_open() {
                let open = OpenAgreement::of(&rental, reason);
                inner.left_open.insert(id.clone(), open);
            }
            if !paid {
                let reason = match invoice {
                    InvoiceState::Refused { id, reason, .. } => format!("invoice {id}: {reason}"),
                    _ => format!("no invoice came within {:#}", self.invoice_wait),
                };
                let unpaid = OpenAgreement::of(&rental, reason);
                inner.written_off.insert(id.clone(), unpaid);
                if inner.written_off.len() > MAX_WRITTEN_OFF {
                    inner.written_off.shift_remove_index(0);
                }
            }
            drop(inner);
            rental.owes_nothing();
            context.log().fact(Fact::AccountClosed {
                agreement: id.clone(),
            });
        }
    }

    /// All that are remembered, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Rental>> {
        let inner = self.lock();
        inner
            .slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Live(rental) => Some(Arc::clone(rental)),
                Slot::Expected(_) => None,
            })
            .collect()
    }

    /// An agreement that was never rented may be in force, or come into force.
    pub(super) fn leave_open(&self, open: OpenAgreement) {
        self.lock()
            .left_open
            .insert(open.agreement_id.clone(), open);
    }

    /// Agreements that could not be ended.
    pub(crate) fn left_open(&self) -> Vec<OpenAgreement> {
        let mut open: Vec<_> = self.lock().left_open.values().cloned().collect();
        for rental in self.all() {
            if let Some(reason) = rental.left_open() {
                open.push(OpenAgreement::of(&rental, reason));
            }
        }
        open
    }

    /// Whether the acceptance of an invoice failed and is to be tried again like this.
    pub(crate) fn any_failed(&self, wanted: Again) -> bool {
        let failed = |rental: &Arc<Rental>| match rental.invoice() {
            InvoiceState::Refused { again, .. } => again == wanted,
            _ => false,
        };
        self.all().iter().any(failed)
    }

    /// What was accepted in all.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.lock().closed;
        for rental in self.all() {
            totals.add(&rental);
        }
        totals
    }

    /// What all that are paid on a platform come to when they are told now to stop, beside what earlier runs accepted
    /// of the budget (`before`), and without what those owe as far as their own budgets reach (`earlier`).
    pub(super) fn spending(
        &self,
        platform: &Platform,
        reserve: Reserve,
        before: Glm,
        earlier: Glm,
        now: Timestamp,
    ) -> Spending {
        let closed = self.lock().closed_on.get(platform).copied();
        let closed = closed.unwrap_or_default();
        let accepted = |amount: Glm| Spending {
            accepted: amount,
            by_now: amount,
            promised: amount,
            ..Spending::default()
        };
        let (mut own, mut restored) = (accepted(before + closed.own), accepted(closed.restored));
        for rental in self.all() {
            if rental.platform() != platform {
                continue;
            }
            let part = rental.spending(reserve, now);
            if rental.is_restored() {
                restored = restored + part;
            } else {
                own = own + part;
            }
        }
        own + restored.beyond(earlier)
    }

    /// What was used and is not accepted.
    pub(crate) fn owed(&self) -> Glm {
        let now = self.context.now();
        self.all().iter().map(|rental| rental.owed(now)).sum()
    }

    /// Its provider asked for more than can be right, or broke what was agreed: it is not rented again by this
    /// engine.
    pub(crate) fn distrust(&self, rental: &Rental, reason: &str) {
        let mut inner = self.lock();
        let known = inner.distrusted.contains_key(&rental.provider_id);
        if known {
            return;
        }
        let provider = rental.provider_id.clone();
        inner.distrusted.insert(provider, reason.to_owned());
        if inner.distrusted.len() > MAX_DISTRUSTED {
            inner.distrusted.shift_remove_index(0);
        }
        drop(inner);
        let distrusted = ProviderDistrusted {
            reason: reason.to_owned(),
        };
        self.context.emit(rental.about(), distrusted);
    }

    /// Why a provider is not rented again, if it is not.
    pub(super) fn distrusted(&self, provider: &NodeId) -> Option<String> {
        let reason = self.lock().distrusted.get(provider).cloned()?;
        Some(format!("it is not trusted any more: {reason}"))
    }

    /// How many have documents.
    pub(crate) fn accounts(&self) -> usize {
        self.all().iter().filter(|it| it.has_documents()).count()
    }
}

impl OpenAgreement {
    pub(crate) fn of(rental: &Rental, reason: String) -> Self {
        OpenAgreement {
            agreement_id: rental.agreement_id.clone(),
            provider_name: rental.provider_name.clone(),
            reason,
        }
    }
}

impl Totals {
    fn add(&mut self, rental: &Rental) {
        self.invoices_accepted += u64::from(rental.is_paid());
        self.accepted = self.accepted + rental.accepted();
    }
}

impl OfThisRun {
    fn add(&mut self, rental: &Rental) {
        let this_run = rental.accepted_in_this_run();
        if rental.is_restored() {
            self.restored = self.restored + this_run;
        } else {
            self.own = self.own + this_run;
        }
    }
}
