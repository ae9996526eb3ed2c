//! Providers whose offers do not match what was wanted, in groups by reason.
//!
//! Owns the grouping and its words. Does not own: the comparison, which is the simulated network's; a real
//! daemon shows matching offers only.

use indexmap::IndexSet;
use mock_yagna::{DemandMatches, Mismatch, UnmatchedOffer};
use serde::{Deserialize, Serialize};

/// Providers that do not match for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Unmatched {
    /// Why, with what there is and what the demand wants.
    pub why: String,
    /// The providers, by name.
    pub providers: Vec<String>,
}

/// Names that are told of a group.
const NAMED: usize = 3;
/// Different values that are told of a group.
const VALUES: usize = 3;
/// Groups that are told in an error.
const GROUPS: usize = 6;

struct Group<'a> {
    why: &'a [Mismatch],
    /// What the members have, by reason.
    has: Vec<IndexSet<&'a str>>,
    providers: Vec<String>,
}

impl<'a> Group<'a> {
    fn takes(&self, offer: &UnmatchedOffer) -> bool {
        self.why.len() == offer.why.len()
            && self.why.iter().zip(&offer.why).all(|(a, b)| a.is_like(b))
    }

    fn add(&mut self, offer: &'a UnmatchedOffer) {
        self.providers.push(offer.provider.clone());
        for (known, why) in self.has.iter_mut().zip(&offer.why) {
            known.extend(why.has());
        }
    }

    fn finish(self) -> Unmatched {
        let reasons = self.why.iter().zip(&self.has).map(|(why, has)| {
            let more = if has.len() > VALUES { " or …" } else { "" };
            let told: Vec<&str> = has.iter().take(VALUES).copied().collect();
            let told = (!told.is_empty()).then(|| told.join(" or ") + more);
            why.told(told.as_deref())
        });
        Unmatched {
            why: reasons.collect::<Vec<_>>().join("; also "),
            providers: self.providers,
        }
    }
}

/// The providers that do not match a demand, the largest group first.
pub(crate) fn groups(matches: &DemandMatches) -> Vec<Unmatched> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for offer in &matches.unmatched {
        let at = groups.iter().position(|group| group.takes(offer));
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                why: &offer.why,
                has: vec![IndexSet::new(); offer.why.len()],
                providers: Vec::new(),
            });
            groups.len() - 1
        });
        groups[at].add(offer);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.providers.len()));
    groups.into_iter().map(Group::finish).collect()
}

impl Unmatched {
    /// Who they are, many of them by number.
    pub(crate) fn who(&self) -> String {
        let names: Vec<&str> = self
            .providers
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        match self.providers.len().checked_sub(NAMED) {
            Some(rest) if rest > 0 => format!("{} and {rest} more", names.join(", ")),
            _ => names.join(", "),
        }
    }
}

/// The groups behind the words of an error.
pub(crate) fn explained(error: &str, unmatched: &[Unmatched]) -> String {
    let groups = unmatched.iter().take(GROUPS);
    let told = groups.map(|group| format!("{}: {}", group.who(), group.why));
    let mut told: Vec<String> = told.collect();
    if let Some(rest) = unmatched.len().checked_sub(GROUPS + 1) {
        told.push(format!("{} more reasons", rest + 1));
    }
    format!("{error}; offers that do not match: {}", told.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(provider: &str, gib: &str) -> UnmatchedOffer {
        UnmatchedOffer {
            provider: provider.into(),
            why: vec![Mismatch::Offer {
                what: "memory".into(),
                has: Some(format!("{gib} GiB")),
                wants: "at least 0.5 GiB".into(),
            }],
        }
    }

    #[test]
    fn providers_with_one_reason_are_one_group_with_their_number_and_some_of_their_values() {
        let mut unmatched: Vec<_> = (1..=97)
            .map(|n| memory(&format!("fleet-{n}"), &format!("0.{}", 10 + n % 5)))
            .collect();
        unmatched.push(UnmatchedOffer {
            provider: "away".into(),
            why: vec![Mismatch::NoOffer],
        });
        let groups = groups(&DemandMatches {
            demand: golem_wire::DemandId::new("d"),
            matching: vec![],
            unmatched,
        });
        assert_eq!(groups.len(), 2);
        assert_eq!(
            explained("nothing found", &groups),
            "nothing found; offers that do not match: fleet-1, fleet-2, fleet-3 and 94 more: memory 0.11 GiB \
             or 0.12 GiB or 0.13 GiB or …, the demand wants at least 0.5 GiB; away: no offer on the market"
        );
    }
}
