//! A wrapper that asks for the reputation of providers.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use golem_wire::NodeId;
use indexmap::IndexMap;

use super::{MarketStrategy, Score, Verdict};
use crate::model::OfferProposal;

/// Providers remembered at the most; the oldest is forgotten first.
const MEMORY: usize = 10_000;

type Known = Arc<Mutex<IndexMap<NodeId, f64>>>;

/// Asks a service, or a database of one's own, for the reputation of each provider, between 0 (worst) and 1 (best):
/// those below a bound are refused, the scores of the others are weighed by it. When and how often it is asked is told
/// by [`MarketStrategy::ask`].
///
/// ```
/// use golem_engine::strategy::{LeastExpensiveLinearPayu, Reputation};
///
/// # struct Service;
/// # impl Service { async fn of(&self, _id: &str) -> Option<f64> { None } }
/// # let service = std::sync::Arc::new(Service);
/// let strategy = Reputation::new(LeastExpensiveLinearPayu::new(), move |provider| {
///     let service = service.clone();
///     async move { service.of(provider.as_str()).await }
/// })
/// .at_least(0.7)
/// .unknown(0.5);
/// # let _ = strategy;
/// ```
pub struct Reputation<S> {
    base: S,
    ask: Arc<dyn Fn(NodeId) -> BoxFuture<'static, Option<f64>> + Send + Sync>,
    least: f64,
    unknown: Option<f64>,
    weight: f64,
    known: Known,
}

impl<S: MarketStrategy> Reputation<S> {
    /// `reputation` answers `None` for a provider that it does not know. Nobody is refused for what is known, and
    /// those who are not known are refused, unless set otherwise.
    pub fn new<F>(base: S, reputation: impl Fn(NodeId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<f64>> + Send + 'static,
    {
        Reputation {
            base,
            ask: Arc::new(move |provider| reputation(provider).boxed()),
            least: 0.0,
            unknown: None,
            weight: 1.0,
            known: Known::default(),
        }
    }

    /// Refuses providers with less.
    pub fn at_least(mut self, reputation: f64) -> Self {
        self.least = reputation;
        self
    }

    /// What those are taken for that are not known.
    pub fn unknown(mut self, reputation: f64) -> Self {
        self.unknown = Some(reputation);
        self
    }

    /// How much it counts: 1, the default, multiplies the score of the base by the reputation, 0 leaves it as it
    /// is.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight.clamp(0.0, 1.0);
        self
    }
}

fn lock(known: &Known) -> MutexGuard<'_, IndexMap<NodeId, f64>> {
    // Every statement leaves the map consistent.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: MarketStrategy> MarketStrategy for Reputation<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn ask(&self, offer: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
        let (provider, asking) = (offer.provider_id().clone(), Arc::clone(&self.ask));
        let (known, least, unknown) = (Arc::clone(&self.known), self.least, self.unknown);
        let of_base = self.base.ask(offer);
        let asked = async move {
            let Some(reputation) = asking(provider.clone()).await.or(unknown) else {
                return Verdict::refuse("the provider's reputation is not known");
            };
            if reputation.is_nan() || reputation < least {
                let why = format!("the provider's reputation {reputation} is below {least}");
                return Verdict::Refuse(why);
            }
            {
                let mut known = lock(&known);
                known.insert(provider, reputation.clamp(0.0, 1.0));
                if known.len() > MEMORY {
                    known.shift_remove_index(0);
                }
            }
            match of_base {
                Some(asking) => asking.await,
                None => Verdict::Allow,
            }
        };
        Some(asked.boxed())
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        let known = lock(&self.known).get(offer.provider_id()).copied();
        // Scored before it is asked about, it is judged without.
        let factor = known.map_or(1.0, |known| 1.0 - self.weight + self.weight * known);
        self.base.score_offer(offer).map(|score| match score > 0.0 {
            true => score * factor,
            // Less of what is bad would be better.
            false => score,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;
    use crate::strategy::LeastExpensiveLinearPayu;

    #[tokio::test]
    async fn providers_of_little_or_no_reputation_are_refused_and_others_weighed() {
        let reputation = |provider: NodeId| async move {
            match provider.as_str() {
                "0xgood" => Some(0.9),
                "0xfair" => Some(0.5),
                "0xbad" => Some(0.1),
                "0xodd" => Some(f64::NAN),
                _ => None,
            }
        };
        let base = LeastExpensiveLinearPayu::new();
        let strategy = Reputation::new(base.clone(), reputation).at_least(0.3);
        let free = |name| offer(name, json!([0.0, 0.0, 0.0]));
        for (name, allowed) in [
            ("good", true),
            ("fair", true),
            ("bad", false),
            ("odd", false),
            ("stranger", false),
        ] {
            let verdict = strategy.ask(&free(name)).expect("a question").await;
            assert_eq!(verdict == Verdict::Allow, allowed, "{name}: {verdict:?}");
        }
        let value = |score| match score {
            Score::Accept(value) => value,
            Score::Reject(why) => panic!("{why}"),
        };
        let plain = value(base.score_offer(&free("good")));
        let good = value(strategy.score_offer(&free("good")));
        let fair = value(strategy.score_offer(&free("fair")));
        assert!((good - plain * 0.9).abs() < 1e-9 && (fair - plain * 0.5).abs() < 1e-9);
        let lenient = Reputation::new(base, reputation).unknown(0.2);
        let verdict = lenient.ask(&free("stranger")).expect("a question").await;
        assert_eq!(verdict, Verdict::Allow);
    }
}
