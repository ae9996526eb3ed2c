//! A wrapper that remembers which providers did not confirm.

use std::sync::{Mutex, MutexGuard, PoisonError};

use golem_wire::NodeId;
use indexmap::IndexSet;

use super::{MarketStrategy, Score};
use crate::event::{Event, EventKind};
use crate::model::OfferProposal;

/// Providers remembered at the most; the oldest is forgotten first.
const MEMORY: usize = 10_000;

/// Multiplies the score, if it is above zero, of providers whose last agreement was not confirmed.
pub struct DecreaseScoreForUnconfirmedAgreement<S> {
    base: S,
    factor: f64,
    rejecting: Mutex<IndexSet<NodeId>>,
}

impl<S: MarketStrategy> DecreaseScoreForUnconfirmedAgreement<S> {
    /// Wraps `base`; `factor` is usually between 0 and 1.
    pub fn new(base: S, factor: f64) -> Self {
        DecreaseScoreForUnconfirmedAgreement {
            base,
            factor,
            rejecting: Mutex::default(),
        }
    }

    fn rejecting(&self) -> MutexGuard<'_, IndexSet<NodeId>> {
        // Every statement leaves the set consistent.
        self.rejecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: MarketStrategy> MarketStrategy for DecreaseScoreForUnconfirmedAgreement<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match self.base.score_offer(offer) {
            // Less of what is bad would be better.
            Score::Accept(score)
                if score > 0.0 && self.rejecting().contains(offer.provider_id()) =>
            {
                Score::Accept(score * self.factor)
            }
            other => other,
        }
    }

    fn on_event(&self, event: &Event) {
        if let Some(provider) = event.provider() {
            match &event.kind {
                EventKind::AgreementRejected(_) => {
                    let mut rejecting = self.rejecting();
                    rejecting.insert(provider.id.clone());
                    if rejecting.len() > MEMORY {
                        rejecting.shift_remove_index(0);
                    }
                }
                EventKind::AgreementConfirmed(_) => {
                    self.rejecting().shift_remove(&provider.id);
                }
                _ => {}
            }
        }
        self.base.on_event(event);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::event::{AgreementConfirmed, AgreementRejected, EventContext};
    use crate::lifecycle::agreement::EndedBy;
    use crate::model::tests::offer;
    use crate::strategy::LeastExpensiveLinearPayu;

    #[test]
    fn a_provider_that_did_not_confirm_scores_less_until_it_does() {
        let strategy =
            DecreaseScoreForUnconfirmedAgreement::new(LeastExpensiveLinearPayu::new(), 0.5);
        let offer = offer("p", json!([0.0, 0.0, 0.0]));
        let before = strategy.score_offer(&offer);
        let about = EventContext::default().with_provider(offer.provider_id(), "p");
        let rejected = AgreementRejected {
            by: EndedBy::Provider,
            reason: String::new(),
        };
        let at = Timestamp::UNIX_EPOCH;
        strategy.on_event(&Event::new(at, about.clone(), rejected));
        assert_ne!(strategy.score_offer(&offer), before);
        strategy.on_event(&Event::new(at, about, AgreementConfirmed {}));
        assert_eq!(strategy.score_offer(&offer), before);
    }
}
