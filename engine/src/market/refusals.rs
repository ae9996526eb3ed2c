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
    /// Providers of them that this engine has rented.
    pub rented: usize,
    /// The first few of those.
    pub rented_from: Vec<String>,
    /// Offers that are being negotiated.
    pub negotiated: usize,
    /// Offers kept for the last: their providers failed us, or are owed something.
    pub held_back: usize,
    /// Offers that were not answered yet.
    pub unanswered: usize,
    /// Offers that were dropped unanswered, since there were too many.
    pub dropped: u64,
    /// How many were kept beyond those that are waited for.
    pub max_proposals: usize,
}

impl MarketSummary {
    /// Counts a provider that this engine has rented.
    pub(super) fn rented_from(&mut self, provider_name: &str) {
        self.rented += 1;
        if self.rented_from.len() < NAMED {
            self.rented_from.push(provider_name.to_owned());
        }
    }

    /// What became of the offers, part by part.
    fn parts(&self) -> Vec<String> {
        let refused = self.refusals.iter().map(|refusal| {
            let (count, reason) = (refusal.count, &refusal.reason);
            let names = named(&refusal.providers, count);
            format!("{count}× {reason}{names}")
        });
        let mut parts: Vec<String> = refused.collect();
        if self.rented > 0 {
            let whose = match self.rented {
                1 if self.providers_seen == 1 => "the only provider is".to_owned(),
                1 => "1 provider is".to_owned(),
                all if all >= self.providers_seen => format!("all {all} providers are"),
                some => format!("{some} providers are"),
            };
            let names = named(&self.rented_from, self.rented as u64);
            parts.push(format!("{whose} rented by us already{names}"));
        }
        let counted = [
            (self.negotiated as u64, "still being negotiated"),
            (
                self.held_back as u64,
                "kept for the last, since their providers failed us or are owed something",
            ),
            (self.unanswered as u64, "not answered by us yet"),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        parts.extend(counted.map(|(count, what)| format!("{count} {what}")));
        if self.dropped > 0 {
            parts.push(format!(
                "{} dropped, since no more than {} are kept beyond those waited for (`MarketLimits::max_proposals`)",
                self.dropped, self.max_proposals
            ));
        }
        parts
    }
}

/// Names in brackets, of so many.
fn named(names: &[String], count: u64) -> String {
    if names.is_empty() {
        return String::new();
    }
    let more = if count > names.len() as u64 {
        ", …"
    } else {
        ""
    };
    format!(" ({}{more})", names.join(", "))
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
            f.write_str(", none refused")?;
        }
        let parts = self.parts();
        if parts.is_empty() {
            return f.write_str(": none of them is left, and no other has come");
        }
        write!(f, ": {}", parts.join("; "))
    }
}

/// Counts refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    offers_seen: u64,
    providers: IndexSet<NodeId>,
    reasons: IndexMap<String, Refusal>,
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
