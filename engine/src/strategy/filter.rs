//! A wrapper that refuses providers by id.

use golem_wire::payment::{DebitNote, Invoice};
use golem_wire::{Glm, NodeId};

use super::{Decision, DemandDraft, MarketStrategy, Score};
use crate::event::Event;
use crate::model::OfferProposal;

/// Lets only allowed providers through to another strategy.
pub struct ProviderFilter<S, F> {
    base: S,
    is_allowed: F,
}

impl<S: MarketStrategy, F: Fn(&NodeId) -> bool + Send + Sync> ProviderFilter<S, F> {
    /// Asks `is_allowed` before `base`.
    pub fn new(base: S, is_allowed: F) -> Self {
        ProviderFilter { base, is_allowed }
    }
}

impl<S: MarketStrategy, F: Fn(&NodeId) -> bool + Send + Sync> MarketStrategy
    for ProviderFilter<S, F>
{
    fn decorate_demand(&self, demand: &mut DemandDraft) {
        self.base.decorate_demand(demand);
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        if (self.is_allowed)(offer.provider_id()) {
            self.base.score_offer(offer)
        } else {
            Score::Reject("the provider is not allowed".into())
        }
    }

    fn respond_to_offer(&self, offer: &OfferProposal, counter: &mut DemandDraft) {
        self.base.respond_to_offer(offer, counter);
    }

    fn accept_debit_note(&self, note: &DebitNote, ceiling: Glm) -> Decision {
        self.base.accept_debit_note(note, ceiling)
    }

    fn accept_invoice(&self, invoice: &Invoice, ceiling: Glm) -> Decision {
        self.base.accept_invoice(invoice, ceiling)
    }

    fn on_event(&self, event: &Event) {
        self.base.on_event(event);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;
    use crate::strategy::DummyStrategy;

    #[test]
    fn only_allowed_providers_reach_the_base_strategy() {
        let filter = ProviderFilter::new(DummyStrategy::default(), |id| id.as_str() != "0xbad");
        assert_eq!(
            filter.score_offer(&offer("good", json!([0.0, 0.0, 0.0]))),
            Score::NEUTRAL
        );
        let refused = filter.score_offer(&offer("bad", json!([0.0, 0.0, 0.0])));
        assert!(matches!(refused, Score::Reject(_)));
    }
}
