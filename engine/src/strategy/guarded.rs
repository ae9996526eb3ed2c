//! The user's strategy as the engine calls it. Owns: that a panic in a hook ends there, and is told.
//! Does not own: what a hook that did not answer means for an offer, a demand or a document.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use golem_wire::Glm;
use golem_wire::payment::{DebitNote, Invoice};

use super::verdicts::{Unanswered, Verdicts};
use super::{
    Decision, DemandDraft, MarketStrategy, PropValueRanges, Score, Verdict,
    default_prop_value_ranges,
};
use crate::event::{CallbackPanicked, Emitter, EventContext};
use crate::model::OfferProposal;
use crate::panics::{Panic, caught};

/// The strategy that is in use; another one may take its place.
pub(crate) struct Strategy(RwLock<Arc<InUse>>);

/// A strategy, and what it was told.
struct InUse {
    strategy: Arc<dyn MarketStrategy>,
    verdicts: Verdicts,
}

impl Strategy {
    pub(crate) fn new(strategy: Arc<dyn MarketStrategy>) -> Self {
        Strategy(RwLock::new(Arc::new(InUse::new(strategy))))
    }

    fn in_use(&self) -> Arc<InUse> {
        let in_use = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&in_use)
    }

    /// The strategy.
    pub(crate) fn get(&self) -> Arc<dyn MarketStrategy> {
        Arc::clone(&self.in_use().strategy)
    }

    /// Puts another one in its place, and hands out the one before.
    pub(crate) fn replace(&self, strategy: Arc<dyn MarketStrategy>) -> Arc<dyn MarketStrategy> {
        let mut in_use = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *in_use, Arc::new(InUse::new(strategy)));
        Arc::clone(&before.strategy)
    }
}

impl InUse {
    fn new(strategy: Arc<dyn MarketStrategy>) -> Self {
        InUse {
            strategy,
            verdicts: Verdicts::default(),
        }
    }
}

/// Calls the hooks of a strategy.
pub(crate) struct Guarded {
    strategy: Arc<Strategy>,
    emitter: Emitter,
}

/// A hook that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookPanic {
    pub(crate) hook: &'static str,
    pub(crate) panic: Panic,
}

impl fmt::Display for HookPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.hook, self.panic)
    }
}

impl Guarded {
    pub(crate) fn new(strategy: Arc<Strategy>, emitter: Emitter) -> Self {
        Guarded { strategy, emitter }
    }

    /// The strategy that is in use.
    pub(crate) fn in_use(&self) -> &Strategy {
        &self.strategy
    }

    /// What the strategy has to ask elsewhere about an offer's provider, if it has: why it is refused, or
    /// nothing, if it is allowed. It asks when it is awaited.
    pub(crate) fn ask(
        self: &Arc<Self>,
        offer: &OfferProposal,
    ) -> Option<BoxFuture<'static, Option<String>>> {
        const HOOK: &str = "MarketStrategy::ask";
        let in_use = self.strategy.in_use();
        let question = || caught(|| in_use.strategy.ask(offer));
        let provider = offer.provider_id().clone();
        let asked = in_use.verdicts.of(&provider, question)?;
        let guarded = Arc::clone(self);
        let refusal = async move {
            match asked.await {
                Ok(Verdict::Allow) => None,
                Ok(Verdict::Refuse(reason)) => Some(reason),
                Err(unanswered) => {
                    in_use.verdicts.forget(&provider);
                    if let Unanswered::Panicked(panic) = &unanswered {
                        guarded.told(HOOK, panic.clone());
                    }
                    Some(unanswered.reason())
                }
            }
        };
        Some(refusal.boxed())
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

    /// The strategy's, or the usual ones if it panics.
    pub(crate) fn acceptable_prop_value_ranges(&self) -> PropValueRanges {
        let hook = "MarketStrategy::acceptable_prop_value_ranges";
        let ranges = self.call(hook, |strategy| strategy.acceptable_prop_value_ranges());
        ranges.unwrap_or_else(|_| default_prop_value_ranges())
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
        let strategy = self.strategy.get();
        caught(|| call(&*strategy)).map_err(|panic| self.told(hook, panic))
    }

    fn told(&self, hook: &'static str, panic: Panic) -> HookPanic {
        let told = CallbackPanicked::of(hook, panic.clone());
        self.emitter.emit(EventContext::default(), told);
        HookPanic { hook, panic }
    }
}
