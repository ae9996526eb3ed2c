//! Wrappers that refuse providers by id.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use golem_wire::NodeId;

use super::{MarketStrategy, Score, Verdict};
use crate::model::OfferProposal;

/// Why a provider's offers are refused.
const NOT_ALLOWED: &str = "the provider is not allowed";

/// Lets only allowed providers through to another strategy.
pub struct ProviderFilter<S, F> {
    base: S,
    is_allowed: F,
}

impl<S: MarketStrategy, F: Fn(&NodeId) -> bool + Send + Sync> ProviderFilter<S, F> {
    /// Asks `is_allowed` before `base`. It must not block: where the answer has to be looked up, there is
    /// [`AskingProviderFilter`].
    pub fn new(base: S, is_allowed: F) -> Self {
        ProviderFilter { base, is_allowed }
    }
}

impl<S: MarketStrategy, F: Fn(&NodeId) -> bool + Send + Sync> MarketStrategy
    for ProviderFilter<S, F>
{
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn ask(&self, offer: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
        // Who is refused anyway need not be asked about.
        (self.is_allowed)(offer.provider_id())
            .then(|| self.base.ask(offer))
            .flatten()
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        if (self.is_allowed)(offer.provider_id()) {
            self.base.score_offer(offer)
        } else {
            Score::reject(NOT_ALLOWED)
        }
    }
}

/// Lets only those providers through to another strategy that an asynchronous question allows, to a
/// database for one. When and how often it is asked is told by [`MarketStrategy::ask`].
///
/// ```
/// use golem_engine::strategy::{AskingProviderFilter, LeastExpensiveLinearPayu};
///
/// # struct Database;
/// # impl Database { async fn is_trusted(&self, _id: &str) -> bool { true } }
/// # let database = std::sync::Arc::new(Database);
/// let strategy = AskingProviderFilter::new(LeastExpensiveLinearPayu::new(), move |provider| {
///     let database = database.clone();
///     async move { database.is_trusted(provider.as_str()).await }
/// });
/// # let _ = strategy;
/// ```
pub struct AskingProviderFilter<S> {
    base: S,
    is_allowed: Arc<dyn Fn(NodeId) -> BoxFuture<'static, bool> + Send + Sync>,
}

impl<S: MarketStrategy> AskingProviderFilter<S> {
    /// Asks `is_allowed` about each provider, and then `base`, if it has a question of its own.
    pub fn new<F>(base: S, is_allowed: impl Fn(NodeId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        AskingProviderFilter {
            base,
            is_allowed: Arc::new(move |provider| is_allowed(provider).boxed()),
        }
    }
}

impl<S: MarketStrategy> MarketStrategy for AskingProviderFilter<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn ask(&self, offer: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
        let (provider, own) = (offer.provider_id().clone(), Arc::clone(&self.is_allowed));
        let of_base = self.base.ask(offer);
        let asking = async move {
            if !own(provider).await {
                return Verdict::refuse(NOT_ALLOWED);
            }
            match of_base {
                Some(asking) => asking.await,
                None => Verdict::Allow,
            }
        };
        Some(asking.boxed())
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

    #[tokio::test]
    async fn questions_of_nested_filters_are_all_asked() {
        let inner = AskingProviderFilter::new(DummyStrategy::default(), async |id: NodeId| {
            id.as_str() != "0xbad"
        });
        let outer = AskingProviderFilter::new(inner, async |id: NodeId| id.as_str() != "0xworse");
        for (name, allowed) in [("good", true), ("bad", false), ("worse", false)] {
            let asking = outer.ask(&offer(name, json!([0.0, 0.0, 0.0])));
            let verdict = asking.expect("a question").await;
            assert_eq!(verdict == Verdict::Allow, allowed, "{name}: {verdict:?}");
        }
    }
}
