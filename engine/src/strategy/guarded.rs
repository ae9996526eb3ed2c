//! The user's strategy as the engine calls it. Owns: that a panic in a hook ends there, and is told.
//! Does not own: what a hook that did not answer means for an offer, a demand or a document.

use std::fmt;
use std::sync::Arc;

use golem_wire::Glm;
use golem_wire::payment::{DebitNote, Invoice};

use super::{Decision, DemandDraft, MarketStrategy, Score};
use crate::event::{Emitter, EventKind};
use crate::model::OfferProposal;
use crate::panics::{Panic, caught};

/// Calls the hooks of a strategy.
pub(crate) struct Guarded {
    strategy: Arc<dyn MarketStrategy>,
    emitter: Emitter,
}

/// A hook that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookPanic {
    hook: &'static str,
    panic: Panic,
}

impl fmt::Display for HookPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.hook, self.panic)
    }
}

impl Guarded {
    pub(crate) fn new(strategy: Arc<dyn MarketStrategy>, emitter: Emitter) -> Self {
        Guarded { strategy, emitter }
    }

    /// A demand that was not decorated to its end must not be published.
    pub(crate) fn decorate_demand(&self, demand: &mut DemandDraft) -> Result<(), HookPanic> {
        self.call("MarketStrategy::decorate_demand", |strategy| {
            strategy.decorate_demand(demand);
        })
    }

    pub(crate) fn score_offer(&self, offer: &OfferProposal) -> Score {
        let score = self.call("MarketStrategy::score_offer", |strategy| {
            strategy.score_offer(offer)
        });
        score.unwrap_or_else(|panicked| Score::Reject(panicked.to_string()))
    }

    /// An answer that was not changed to its end must not be sent.
    pub(crate) fn respond_to_offer(
        &self,
        offer: &OfferProposal,
        counter: &mut DemandDraft,
    ) -> Result<(), HookPanic> {
        self.call("MarketStrategy::respond_to_offer", |strategy| {
            strategy.respond_to_offer(offer, counter);
        })
    }

    /// What was not looked at to its end is not paid.
    pub(crate) fn accept_debit_note(&self, note: &DebitNote, ceiling: Glm) -> Decision {
        let decision = self.call("MarketStrategy::accept_debit_note", |strategy| {
            strategy.accept_debit_note(note, ceiling)
        });
        decision.unwrap_or_else(|panicked| Decision::Refuse(panicked.to_string()))
    }

    /// What was not looked at to its end is not paid.
    pub(crate) fn accept_invoice(&self, invoice: &Invoice, ceiling: Glm) -> Decision {
        let decision = self.call("MarketStrategy::accept_invoice", |strategy| {
            strategy.accept_invoice(invoice, ceiling)
        });
        decision.unwrap_or_else(|panicked| Decision::Refuse(panicked.to_string()))
    }

    fn call<T>(
        &self,
        hook: &'static str,
        call: impl FnOnce(&dyn MarketStrategy) -> T,
    ) -> Result<T, HookPanic> {
        caught(|| call(&*self.strategy)).map_err(|panic| {
            self.emitter.emit(EventKind::CallbackPanicked {
                callback: hook.into(),
                message: panic.message.clone(),
                place: panic.place.clone(),
            });
            HookPanic { hook, panic }
        })
    }
}
