//! All agreements of an engine: those in force, those that could not be ended, and for a while those
//! that ended. Owns: forgetting the ones of which nothing more can come, so that an engine that runs
//! for a month stays as small as one that runs for an hour.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::AgreementId;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};

use super::{AgreementEnd, ProviderDebts, Rental};
use crate::OpenAgreement;
use crate::config::Config;
use crate::context::Context;
use crate::journal::Fact;
use crate::lifecycle::payment::InvoiceState;

/// How often it is looked for what can be forgotten.
const PRUNE_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Agreements that were never invoiced are named in the report up to this number, the latest ones.
const MAX_WRITTEN_OFF: usize = 1_000;

/// An agreement that the engine could not bring to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOpen {
    pub(crate) agreement_id: AgreementId,
    pub(crate) provider_name: String,
    pub(crate) reason: String,
}

/// Agreements by id.
pub(crate) struct Rentals {
    inner: Mutex<Inner>,
    debts: Arc<ProviderDebts>,
    /// How long one that ended is remembered: paid, and without an invoice.
    remember: SignedDuration,
    invoice_wait: SignedDuration,
}

#[derive(Default)]
struct Inner {
    slots: IndexMap<AgreementId, Slot>,
    left_open: IndexMap<AgreementId, LeftOpen>,
    /// Forgotten without an invoice although they were used.
    written_off: IndexMap<AgreementId, OpenAgreement>,
    /// All that were ever in force.
    total: u64,
    pruned_at: Option<Timestamp>,
}

enum Slot {
    /// Being signed; an end that was heard of before the approval.
    Expected(Option<AgreementEnd>),
    Live(Arc<Rental>),
}

impl Rentals {
    pub(crate) fn new(config: &Config) -> Self {
        let signed = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Rentals {
            inner: Mutex::default(),
            debts: Arc::new(ProviderDebts::new(config.market.owed_wait)),
            remember: signed(config.payment.remember),
            invoice_wait: signed(config.payment.invoice_wait),
        }
    }

    /// To whom something is owed.
    pub(crate) fn provider_debts(&self) -> &Arc<ProviderDebts> {
        &self.debts
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the maps consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of this agreement are ours from now on.
    pub(super) fn expect(&self, id: &AgreementId) {
        self.lock().slots.insert(id.clone(), Slot::Expected(None));
    }

    /// The agreement came to nothing.
    pub(super) fn forget(&self, id: &AgreementId) {
        self.lock().slots.shift_remove(id);
    }

    /// The agreement is in force; returns an end that was heard of before.
    pub(super) fn insert(&self, rental: Arc<Rental>) -> Option<AgreementEnd> {
        let id = rental.agreement_id.clone();
        let mut inner = self.lock();
        inner.total += 1;
        match inner.slots.insert(id, Slot::Live(rental)) {
            Some(Slot::Expected(end)) => end,
            _ => None,
        }
    }

    /// Hands an end from the event feed to the agreement it belongs to, if that is ours.
    pub(super) fn ended(&self, id: &AgreementId, end: AgreementEnd) {
        let rental = match self.lock().slots.get_mut(id) {
            Some(Slot::Live(rental)) => Arc::clone(rental),
            Some(Slot::Expected(early)) => {
                early.get_or_insert(end);
                return;
            }
            None => return,
        };
        rental.heard_end(end);
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
    pub(crate) fn prune(&self, context: &Context) {
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
            let invoice = context.payments().invoice(id);
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
            if !paid {
                let reason = match invoice {
                    InvoiceState::Refused { id, reason, .. } => format!("invoice {id}: {reason}"),
                    _ => format!("no invoice came within {:#}", self.invoice_wait),
                };
                let unpaid = OpenAgreement {
                    agreement_id: id.clone(),
                    provider_name: rental.provider_name.clone(),
                    reason,
                };
                inner.written_off.insert(id.clone(), unpaid);
                if inner.written_off.len() > MAX_WRITTEN_OFF {
                    inner.written_off.shift_remove_index(0);
                }
            }
            drop(inner);
            self.debts.clear(&rental.provider_id, id);
            context.payments().forget(id);
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

    pub(super) fn leave_open(&self, open: LeftOpen) {
        self.lock()
            .left_open
            .insert(open.agreement_id.clone(), open);
    }

    pub(super) fn not_open(&self, id: &AgreementId) {
        self.lock().left_open.shift_remove(id);
    }

    /// Agreements that could not be ended.
    pub(crate) fn left_open(&self) -> Vec<LeftOpen> {
        self.lock().left_open.values().cloned().collect()
    }

    /// Drops everything, so that the engine's parts no longer hold each other.
    pub(crate) fn clear(&self) {
        let slots = std::mem::take(&mut self.lock().slots);
        drop(slots);
    }
}
