//! Why offers were not taken, counted by reason: what a "no offers" error tells.

use std::fmt;

use golem_wire::NodeId;
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

/// Distinct reasons kept; the rest is counted together.
const REASONS: usize = 32;
/// Providers named per reason.
const NAMED: usize = 5;

/// One reason and whom it hit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// The first few providers.
    pub providers: Vec<String>,
}

/// What a demand met on the market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarketSummary {
    /// Offers that arrived.
    pub offers_seen: u64,
    /// Providers they came from.
    pub providers_seen: usize,
    /// Why they were not taken, in order of appearance.
    pub refusals: Vec<Refusal>,
}

impl fmt::Display for MarketSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.offers_seen == 0 {
            return f.write_str(
                "0 offers seen; check the subnet, the payload's constraints and the payment network",
            );
        }
        write!(
            f,
            "{} offers seen from {} providers",
            self.offers_seen, self.providers_seen
        )?;
        if self.refusals.is_empty() {
            return f.write_str(", none refused: they are still being negotiated");
        }
        for (index, refusal) in self.refusals.iter().enumerate() {
            write!(
                f,
                "{} {}× {}",
                if index == 0 { ":" } else { ";" },
                refusal.count,
                refusal.reason
            )?;
            if !refusal.providers.is_empty() {
                write!(f, " ({}", refusal.providers.join(", "))?;
                let more = refusal.count.saturating_sub(refusal.providers.len() as u64);
                f.write_str(if more > 0 { ", …)" } else { ")" })?;
            }
        }
        Ok(())
    }
}

/// Counts refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    offers_seen: u64,
    providers: IndexSet<NodeId>,
    reasons: IndexMap<String, Refusal>,
}

impl Refusals {
    pub(super) fn seen(&mut self, provider: &NodeId) {
        self.offers_seen += 1;
        self.providers.insert(provider.clone());
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
    fn reasons_without_end_do_not_fill_memory() {
        let mut refusals = Refusals::default();
        for n in 0..1000 {
            refusals.record("p", &format!("reason {n}"));
        }
        assert!(refusals.summary().refusals.len() <= REASONS + 1);
    }
}
