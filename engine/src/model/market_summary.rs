//! What a demand met on the market, in numbers and words: what a "no offers" error tells. Does not own:
//! counting it (`market/refusals.rs`).

use std::fmt;

use serde::Serialize;

/// Providers named per reason.
pub(crate) const NAMED: usize = 5;

/// One reason and whom it hit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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
#[non_exhaustive]
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
    pub(crate) fn rented_from(&mut self, provider_name: &str) {
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
