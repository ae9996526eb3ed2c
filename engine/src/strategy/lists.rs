//! Black and white lists of providers, that may change while the engine runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use golem_wire::NodeId;
use indexmap::IndexSet;

use super::{MarketStrategy, Score, Verdict};
use crate::model::OfferProposal;

#[derive(Default)]
struct Lists {
    allowed: IndexSet<String>,
    blocked: IndexSet<String>,
}

/// Lets only those providers through to another strategy that are on its white list, if that has any, and not on
/// its black list. Providers are given by their node id, or by the name they give themselves, which is not
/// unique. The lists can be changed while the engine runs: share the strategy in an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use golem_engine::strategy::{LeastExpensiveLinearPayu, ProviderLists};
///
/// let lists = ProviderLists::new(LeastExpensiveLinearPayu::new()).block("slow-provider");
/// let lists = Arc::new(lists);
/// let strategy = Arc::clone(&lists); // for `GolemBuilder::strategy`
/// lists.add_blocked("0x19ee20338a4c4bf8f6aebc79d9d3af2a01434119");
/// # let _ = strategy;
/// ```
pub struct ProviderLists<S> {
    base: S,
    lists: Mutex<Lists>,
}

impl<S: MarketStrategy> ProviderLists<S> {
    /// Empty lists: all are allowed.
    pub fn new(base: S) -> Self {
        ProviderLists {
            base,
            lists: Mutex::default(),
        }
    }

    /// Puts a provider on the white list, by id or name.
    pub fn allow(self, provider: impl AsRef<str>) -> Self {
        self.add_allowed(provider);
        self
    }

    /// Puts a provider on the black list, by id or name; that counts before the white list.
    pub fn block(self, provider: impl AsRef<str>) -> Self {
        self.add_blocked(provider);
        self
    }

    /// Puts a provider on the white list while the engine runs. Drafts that others gave count again when they
    /// are signed, agreements in force stay.
    pub fn add_allowed(&self, provider: impl AsRef<str>) {
        self.lock().allowed.insert(key(provider.as_ref()));
    }

    /// Puts a provider on the black list while the engine runs. Agreements in force stay.
    pub fn add_blocked(&self, provider: impl AsRef<str>) {
        self.lock().blocked.insert(key(provider.as_ref()));
    }

    /// Takes a provider off the white list; whether it was there. With the last one gone all are allowed.
    pub fn remove_allowed(&self, provider: impl AsRef<str>) -> bool {
        self.lock().allowed.shift_remove(&key(provider.as_ref()))
    }

    /// Takes a provider off the black list; whether it was there.
    pub fn remove_blocked(&self, provider: impl AsRef<str>) -> bool {
        self.lock().blocked.shift_remove(&key(provider.as_ref()))
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // Every statement leaves the lists consistent.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, id: &NodeId, name: &str) -> Result<(), &'static str> {
        let (id, lists) = (key(id.as_str()), self.lock());
        let is_on = |list: &IndexSet<String>| list.contains(&id) || list.contains(name);
        if is_on(&lists.blocked) {
            return Err("the provider is on the black list");
        }
        if !lists.allowed.is_empty() && !is_on(&lists.allowed) {
            return Err("the provider is not on the white list");
        }
        Ok(())
    }
}

/// Ids are hexadecimal, whatever their letters; names are as they are.
fn key(provider: &str) -> String {
    let hex = provider.strip_prefix("0x").or(provider.strip_prefix("0X"));
    match hex {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            provider.to_ascii_lowercase()
        }
        _ => provider.to_owned(),
    }
}

impl<S: MarketStrategy> MarketStrategy for ProviderLists<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn ask(&self, offer: &OfferProposal) -> Option<BoxFuture<'static, Verdict>> {
        // Who is refused anyway need not be asked about.
        self.check(offer.provider_id(), offer.provider_name())
            .ok()?;
        self.base.ask(offer)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match self.check(offer.provider_id(), offer.provider_name()) {
            Ok(()) => self.base.score_offer(offer),
            Err(why) => Score::reject(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;
    use crate::strategy::DummyStrategy;

    fn takes(lists: &ProviderLists<DummyStrategy>, name: &str) -> bool {
        lists.score_offer(&offer(name, json!([0.0, 0.0, 0.0]))) == Score::NEUTRAL
    }

    #[test]
    fn the_black_list_counts_before_the_white_list_and_both_may_change() {
        let lists = ProviderLists::new(DummyStrategy::default());
        assert!(takes(&lists, "a"));
        let lists = lists.block("a").allow("a").allow("0XBEEF");
        assert!(!takes(&lists, "a") && !takes(&lists, "c"));
        assert!(takes(&lists, "beef"), "by its id");
        assert!(lists.remove_blocked("a") && !lists.remove_blocked("a"));
        assert!(takes(&lists, "a"));
        lists.add_blocked("0xBeef");
        assert!(!takes(&lists, "beef"));
        assert!(lists.remove_allowed("a") && lists.remove_allowed("0xbeef"));
        assert!(takes(&lists, "c"), "an empty white list allows all");
    }
}
