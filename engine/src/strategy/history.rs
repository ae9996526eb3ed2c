//! A wrapper that remembers which providers did not confirm.

use std::sync::{Mutex, MutexGuard, PoisonError};

use golem_wire::payment::{DebitNote, Invoice};
use golem_wire::{Glm, NodeId};
use indexmap::IndexSet;

use super::{Decision, DemandDraft, MarketStrategy, Score};
use crate::event::{Event, EventKind};
use crate::model::OfferProposal;

/// Providers remembered at the most; the oldest is forgotten first.
const MEMORY: usize = 10_000;

/// Multiplies the score of providers whose last agreement was not confirmed.
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
    fn decorate_demand(&self, demand: &mut DemandDraft) {
        self.base.decorate_demand(demand);
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match self.base.score_offer(offer) {
            Score::Accept(score) if self.rejecting().contains(offer.provider_id()) => {
                Score::Accept(score * self.factor)
            }
            other => other,
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
        match &event.kind {
            EventKind::AgreementRejected { provider_id, .. } => {
                let mut rejecting = self.rejecting();
                rejecting.insert(provider_id.clone());
                if rejecting.len() > MEMORY {
                    rejecting.shift_remove_index(0);
                }
            }
            EventKind::AgreementConfirmed { provider_id, .. } => {
                self.rejecting().shift_remove(provider_id);
            }
            _ => {}
        }
        self.base.on_event(event);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::model::JobId;
    use crate::model::tests::offer;
    use crate::strategy::LeastExpensiveLinearPayu;

    #[test]
    fn a_provider_that_did_not_confirm_scores_less_until_it_does() {
        let strategy =
            DecreaseScoreForUnconfirmedAgreement::new(LeastExpensiveLinearPayu::new(), 0.5);
        let offer = offer("p", json!([0.0, 0.0, 0.0]));
        let before = strategy.score_offer(&offer);
        let (job, agreement_id) = (JobId::new("j"), "a".into());
        let (provider_id, provider_name) = (offer.provider_id().clone(), "p".into());
        let rejected = EventKind::AgreementRejected {
            job: job.clone(),
            agreement_id,
            provider_id: provider_id.clone(),
            provider_name,
            reason: String::new(),
        };
        let at = Timestamp::UNIX_EPOCH;
        strategy.on_event(&Event { at, kind: rejected });
        assert_ne!(strategy.score_offer(&offer), before);
        let kind = EventKind::AgreementConfirmed {
            job,
            agreement_id: "b".into(),
            provider_id,
            provider_name: "p".into(),
        };
        strategy.on_event(&Event { at, kind });
        assert_eq!(strategy.score_offer(&offer), before);
    }
}
