//! Several scorers as one.

use super::{MarketStrategy, Score};
use crate::model::OfferProposal;

type Scorer = Box<dyn Fn(&OfferProposal) -> Score + Send + Sync>;

/// Adds up scores: that of another strategy, and those of any number of functions, each times its weight. An offer
/// that one of them refuses is refused.
///
/// ```
/// use golem_engine::strategy::{CombinedScore, LeastExpensiveLinearPayu, Score};
///
/// let strategy = CombinedScore::new(LeastExpensiveLinearPayu::new())
///     .scorer(2.0, |offer| Score::accept(f64::from(offer.threads())))
///     .scorer(1.0, |offer| match offer.provider_name().starts_with("test-") {
///         true => Score::reject("it is for tests"),
///         false => Score::NEUTRAL,
///     });
/// # let _ = strategy;
/// ```
pub struct CombinedScore<S> {
    base: S,
    base_weight: f64,
    scorers: Vec<(f64, Scorer)>,
}

impl<S: MarketStrategy> CombinedScore<S> {
    /// The score of `base`, with weight 1.
    pub fn new(base: S) -> Self {
        CombinedScore {
            base,
            base_weight: 1.0,
            scorers: Vec::new(),
        }
    }

    /// Another weight for the base.
    pub fn base_weight(mut self, weight: f64) -> Self {
        self.base_weight = weight;
        self
    }

    /// One more scorer; it must not block. Asked in the order they are given, until one refuses.
    pub fn scorer(
        mut self,
        weight: f64,
        score: impl Fn(&OfferProposal) -> Score + Send + Sync + 'static,
    ) -> Self {
        self.scorers.push((weight, Box::new(score)));
        self
    }
}

impl<S: MarketStrategy> MarketStrategy for CombinedScore<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        let own = self.base.score_offer(offer);
        let own = own.map(|score| score * self.base_weight);
        self.scorers
            .iter()
            .fold(own, |sum, (weight, score)| match sum {
                Score::Accept(sum) => score(offer).map(|score| sum + score * weight),
                refused => refused,
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;
    use crate::strategy::DummyStrategy;

    #[test]
    fn scores_add_up_by_their_weights_and_one_refusal_is_enough() {
        let strategy = CombinedScore::new(DummyStrategy::default())
            .base_weight(3.0)
            .scorer(2.0, |offer| Score::accept(f64::from(offer.threads())))
            .scorer(-1.0, |_| Score::accept(1.5))
            .scorer(1.0, |offer| match offer.provider_name() {
                "bad" => Score::reject("bad"),
                _ => Score::NEUTRAL,
            });
        let scored = |name| strategy.score_offer(&offer(name, json!([0.0, 0.0, 0.0])));
        // Four threads.
        assert_eq!(scored("good"), Score::accept(6.5));
        assert_eq!(scored("bad"), Score::reject("bad"));
    }
}
