//! What users plug in: how good an offer is, and which documents are paid. Owns: the trait and its
//! stock implementations. Its hooks are synchronous, so that no strategy can hold up the market; what has to be
//! asked elsewhere is asked by [`MarketStrategy::ask`], once for each provider.

mod combined;
mod filter;
mod guarded;
mod history;
mod linear;
mod lists;
mod ranges;
mod reputation;
mod verdicts;

use std::sync::Arc;

use futures::future::BoxFuture;
use golem_wire::Glm;
use golem_wire::market::Properties;
use golem_wire::payment::{DebitNote, Invoice};

pub use combined::CombinedScore;
pub use filter::{AskingProviderFilter, ProviderFilter};
pub(crate) use guarded::{Guarded, HookPanic, Strategy};
pub use history::DecreaseScoreForUnconfirmedAgreement;
pub use linear::{DummyStrategy, LeastExpensiveLinearPayu, PriceLimit};
pub use lists::ProviderLists;
pub use ranges::{
    AcceptableRanges, DEBIT_NOTE_ACCEPT_TIMEOUT, DEBIT_NOTE_INTERVAL, EmptyRange, PAYMENT_TIMEOUT,
    PropValueRange, PropValueRanges, default_prop_value_ranges,
};
pub(crate) use ranges::{answer as answer_negotiable, check as check_negotiable};
pub use reputation::Reputation;

use crate::event::Event;
use crate::model::OfferProposal;

/// What a strategy thinks of an offer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Score {
    /// Usable; higher is better.
    Accept(f64),
    /// Not usable, and why.
    Reject(String),
}

impl Score {
    /// Usable, no better or worse than others.
    pub const NEUTRAL: Score = Score::Accept(0.0);

    /// Usable; higher is better. What is no number is refused.
    pub fn accept(score: f64) -> Self {
        Score::Accept(score)
    }

    /// Not usable, and why.
    pub fn reject(reason: impl Into<String>) -> Self {
        Score::Reject(reason.into())
    }

    /// The same with another score, if it is usable: for strategies that wrap another one.
    #[must_use]
    pub fn map(self, change: impl FnOnce(f64) -> f64) -> Self {
        match self {
            Score::Accept(score) => Score::Accept(change(score)),
            Score::Reject(reason) => Score::Reject(reason),
        }
    }
}

/// What a strategy thinks of a debit note or an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Pay it, exactly.
    Accept,
    /// Do not pay it, and why.
    Refuse(String),
    /// Do not pay it as it is: the provider is told how much of it would be paid, and may send another one for
    /// that. A debit note has no such answer, and is refused.
    AcceptPart {
        /// How much would be paid, in GLM.
        amount: Glm,
        /// Why not all.
        reason: String,
    },
}

impl Decision {
    /// Pay no more than this, and why.
    pub fn accept_part(amount: Glm, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Decision::AcceptPart { amount, reason }
    }

    /// Do not pay it, and why.
    pub fn refuse(reason: impl Into<String>) -> Self {
        Decision::Refuse(reason.into())
    }
}

/// The answer to a question about a provider; see [`MarketStrategy::ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Its offers are scored.
    Allow,
    /// Its offers are refused, and why.
    Refuse(String),
}

impl Verdict {
    /// Its offers are refused, and why.
    pub fn refuse(reason: impl Into<String>) -> Self {
        Verdict::Refuse(reason.into())
    }
}

/// A demand or counter-proposal under construction.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DemandDraft {
    /// Flat properties.
    pub properties: Properties,
    /// Terms that are and-ed, each in parentheses.
    pub constraints: Vec<String>,
}

impl DemandDraft {
    /// A draft of these properties and constraints, for tests of strategies.
    pub fn new(properties: Properties, constraints: Vec<String>) -> Self {
        DemandDraft {
            properties,
            constraints,
        }
    }
}

/// Chooses providers and decides what is paid.
///
/// A strategy that wraps another one names it in [`base`](Self::base) and overrides the hooks that it is there
/// for; all others go to the base, also those that are added later:
///
/// ```
/// use golem_engine::model::OfferProposal;
/// use golem_engine::strategy::{LeastExpensiveLinearPayu, MarketStrategy, Score};
///
/// /// Prefers providers whose names begin with `home-`.
/// struct PreferHome(LeastExpensiveLinearPayu);
///
/// impl MarketStrategy for PreferHome {
///     fn base(&self) -> Option<&dyn MarketStrategy> {
///         Some(&self.0)
///     }
///
///     fn score_offer(&self, offer: &OfferProposal) -> Score {
///         let bonus = if offer.provider_name().starts_with("home-") { 1_000.0 } else { 0.0 };
///         self.0.score_offer(offer).map(|score| score + bonus)
///     }
/// }
/// ```
///
/// A hook that panics disturbs nothing else, and is named in
/// [`CallbackPanicked`](crate::event::CallbackPanicked): an offer that was not scored is
/// refused, one that was not responded to is passed over, a document that was not judged is not paid,
/// and a job whose demand was not decorated does not start.
pub trait MarketStrategy: Send + Sync {
    /// The strategy that decides what this one does not override. Without one every offer is as good as the
    /// other, and every document that price and usage allow is paid.
    fn base(&self) -> Option<&dyn MarketStrategy> {
        None
    }

    /// Adds to a demand before it is published.
    fn decorate_demand(&self, demand: &mut DemandDraft) {
        if let Some(base) = self.base() {
            base.decorate_demand(demand);
        }
    }

    /// Asks elsewhere, a database or a reputation service, whether a provider may be rented from; `None` asks
    /// nothing. It is asked with the provider's first offer, and the answer holds for all its offers as long as
    /// the strategy is in use; the last 10,000 providers are remembered. Offers are scored once it is there, and
    /// others are not held up meanwhile. A question that is not answered within 30 seconds, or panics, refuses
    /// the offer, and is put again with the provider's next one. No more than 64 are asked at a time.
    ///
    /// One that overrides it answers for its base as well, or asks it.
    fn ask(&self, offer: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
        self.base()?.ask(offer)
    }

    /// Scores an offer; asked again for the provider's final draft.
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        self.base()
            .map_or(Score::NEUTRAL, |base| base.score_offer(offer))
    }

    /// Which values of negotiable properties are acceptable. An offer is answered with the nearest of them, a
    /// provider whose final answer lies outside is refused, and one that breaks what was agreed (debit notes more
    /// often than [`DEBIT_NOTE_INTERVAL`], or due sooner than [`PAYMENT_TIMEOUT`]) loses the agreement.
    /// [`default_prop_value_ranges`] unless overridden, of which the payment timeout is only asked for by jobs of
    /// five hours and more.
    fn acceptable_prop_value_ranges(&self) -> PropValueRanges {
        self.base().map_or_else(default_prop_value_ranges, |base| {
            base.acceptable_prop_value_ranges()
        })
    }

    /// Changes our answer to an offer, in which negotiable values are answered already.
    fn respond_to_offer(&self, offer: &OfferProposal, counter: &mut DemandDraft) {
        if let Some(base) = self.base() {
            base.respond_to_offer(offer, counter);
        }
    }

    /// Whether a debit note is paid; `ceiling` is what price and usage allow. Amounts above it are
    /// refused without asking.
    fn accept_debit_note(&self, note: &DebitNote, ceiling: Glm) -> Decision {
        self.base().map_or(Decision::Accept, |base| {
            base.accept_debit_note(note, ceiling)
        })
    }

    /// Whether an invoice is paid; `ceiling` is what price and usage allow. Amounts above it are
    /// refused without asking.
    fn accept_invoice(&self, invoice: &Invoice, ceiling: Glm) -> Decision {
        self.base().map_or(Decision::Accept, |base| {
            base.accept_invoice(invoice, ceiling)
        })
    }

    /// Sees every event before the consumers do, to learn from it. Called where the event happens: it must
    /// not block.
    fn on_event(&self, event: &Event) {
        if let Some(base) = self.base() {
            base.on_event(event);
        }
    }
}

macro_rules! shared {
    ($($shared:ident),+) => {$(
        /// The same strategy, shared.
        impl<S: MarketStrategy + ?Sized> MarketStrategy for $shared<S> {
            fn base(&self) -> Option<&dyn MarketStrategy> {
                (**self).base()
            }
            fn decorate_demand(&self, demand: &mut DemandDraft) {
                (**self).decorate_demand(demand);
            }
            fn ask(&self, offer: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
                (**self).ask(offer)
            }
            fn score_offer(&self, offer: &OfferProposal) -> Score {
                (**self).score_offer(offer)
            }
            fn acceptable_prop_value_ranges(&self) -> PropValueRanges {
                (**self).acceptable_prop_value_ranges()
            }
            fn respond_to_offer(&self, offer: &OfferProposal, counter: &mut DemandDraft) {
                (**self).respond_to_offer(offer, counter);
            }
            fn accept_debit_note(&self, note: &DebitNote, ceiling: Glm) -> Decision {
                (**self).accept_debit_note(note, ceiling)
            }
            fn accept_invoice(&self, invoice: &Invoice, ceiling: Glm) -> Decision {
                (**self).accept_invoice(invoice, ceiling)
            }
            fn on_event(&self, event: &Event) {
                (**self).on_event(event);
            }
        }
    )+};
}

// Not by `base`: what is shared may be no more than a trait object.
shared!(Arc, Box);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;

    /// Overrides nothing.
    struct Wrapper<S>(S);

    impl<S: MarketStrategy> MarketStrategy for Wrapper<S> {
        fn base(&self) -> Option<&dyn MarketStrategy> {
            Some(&self.0)
        }
    }

    /// Overrides all.
    #[derive(Default)]
    struct Base(std::sync::Mutex<Vec<&'static str>>);

    impl Base {
        fn note(&self, hook: &'static str) {
            self.0.lock().expect("a list").push(hook);
        }
    }

    impl MarketStrategy for Base {
        fn decorate_demand(&self, _: &mut DemandDraft) {
            self.note("decorate");
        }
        fn ask(&self, _: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
            self.note("ask");
            Some(Box::pin(async { Verdict::Allow }))
        }
        fn score_offer(&self, _: &OfferProposal) -> Score {
            self.note("score");
            Score::reject("no")
        }
        fn respond_to_offer(&self, _: &OfferProposal, _: &mut DemandDraft) {
            self.note("respond");
        }
        fn on_event(&self, _: &Event) {
            self.note("event");
        }
    }

    #[test]
    fn a_wrapper_that_overrides_nothing_is_its_base_through_any_number_of_layers() {
        let base = Arc::new(Base::default());
        let inner: Box<dyn MarketStrategy> = Box::new(Wrapper(Arc::clone(&base)));
        let outer = Wrapper(Wrapper(inner));
        let offer = offer("p", json!([0.0, 0.0, 0.0]));
        outer.decorate_demand(&mut DemandDraft::default());
        assert!(outer.ask(&offer).is_some());
        assert_eq!(outer.score_offer(&offer), Score::reject("no"));
        outer.respond_to_offer(&offer, &mut DemandDraft::default());
        let at = jiff::Timestamp::UNIX_EPOCH;
        let back = crate::event::DaemonBack { seconds: 1 };
        outer.on_event(&Event::new(at, crate::event::EventContext::default(), back));
        let hooks = base.0.lock().expect("a list").clone();
        assert_eq!(hooks, ["decorate", "ask", "score", "respond", "event"]);
    }

    #[test]
    fn a_strategy_without_a_base_takes_every_offer_and_asks_nothing() {
        struct Nothing;
        impl MarketStrategy for Nothing {}
        let offer = offer("p", json!([0.0, 0.0, 0.0]));
        assert_eq!(Nothing.score_offer(&offer), Score::NEUTRAL);
        assert!(Nothing.ask(&offer).is_none());
    }

    #[test]
    fn a_refusal_keeps_its_reason_when_scores_are_changed() {
        assert_eq!(
            Score::accept(2.0).map(|score| score * 3.0),
            Score::accept(6.0)
        );
        assert_eq!(Score::reject("no").map(|_| 1.0), Score::reject("no"));
    }
}
