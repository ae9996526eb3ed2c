//! Why offers were not taken, counted by reason. Does not own: what is told of it
//! (`model/market_summary.rs`).

use golem_wire::NodeId;

use crate::id_map::{IdMap, IdSet};
use crate::model::{MarketSummary, NAMED, Refusal};

/// Distinct reasons kept; the rest is counted together.
const REASONS: usize = 32;

/// Counts refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    offers_seen: u64,
    providers: IdSet<NodeId>,
    reasons: IdMap<String, Refusal>,
    dropped: u64,
}

impl Refusals {
    pub(super) fn seen(&mut self, provider: &NodeId) {
        self.offers_seen += 1;
        self.providers.insert(provider.clone());
    }

    /// Whether any offer came.
    pub(super) fn any_seen(&self) -> bool {
        self.offers_seen > 0
    }

    /// Whether this provider brought an offer.
    pub(super) fn has_seen(&self, provider: &NodeId) -> bool {
        self.providers.contains(provider)
    }

    /// An offer was dropped: there are too many.
    pub(super) fn drop_one(&mut self) {
        self.dropped += 1;
    }

    pub(super) fn record(&mut self, provider_name: &str, reason: &str) {
        let known = self.reasons.contains_key(reason) || self.reasons.len() < REASONS;
        let key: String = if known {
            reason.chars().take(300).collect()
        } else {
            "other reasons".into()
        };
        let refusal = self.reasons.entry(key.clone()).or_default();
        refusal.reason = key;
        refusal.count += 1;
        if refusal.providers.len() < NAMED && !refusal.providers.iter().any(|p| p == provider_name)
        {
            refusal.providers.push(provider_name.to_owned());
        }
    }

    pub(super) fn summary(&self) -> MarketSummary {
        MarketSummary {
            offers_seen: self.offers_seen,
            providers_seen: self.providers.len(),
            refusals: self.reasons.values().cloned().collect(),
            dropped: self.dropped,
            ..MarketSummary::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_offers_and_names_who_was_refused_and_why() {
        let mut refusals = Refusals::default();
        for name in ["alice", "bob"] {
            refusals.seen(&name.into());
            refusals.record(name, "too dear");
        }
        assert_eq!(
            refusals.summary().to_string(),
            "2 offers seen from 2 providers: 2× too dear (alice, bob)"
        );
    }

    #[test]
    fn the_summary_says_what_became_of_offers_that_nobody_refused() {
        let mut refusals = Refusals::default();
        refusals.seen(&"only".into());
        let mut summary = refusals.summary();
        summary.rented_from("only");
        assert_eq!(
            summary.to_string(),
            "1 offers seen from 1 providers, none refused: the only provider is rented by us already (only)"
        );
        let summary = MarketSummary {
            offers_seen: 4_000,
            providers_seen: 4_000,
            negotiated: 5,
            unanswered: 1_995,
            dropped: 2_000,
            max_proposals: 2_000,
            ..MarketSummary::default()
        };
        assert_eq!(
            summary.to_string(),
            "4000 offers seen from 4000 providers, none refused: 5 still being negotiated; 1995 not answered by us yet; \
             2000 dropped, since no more than 2000 are kept beyond those waited for (`MarketLimits::max_proposals`)"
        );
    }

    #[test]
    fn reasons_without_end_do_not_fill_memory() {
        let mut refusals = Refusals::default();
        for n in 0..1000 {
            refusals.record("p", &format!("reason {n}"));
        }
        assert!(refusals.summary().refusals.len() <= REASONS + 1);
    }
}
