//! The proposals of a demand, kept so that every question about them is answered without going
//! through all. Owns the orders: best first, ties to the one that was there first. Does not own any
//! decision; that is the pool's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use golem_wire::{DemandId, NodeId, ProposalId};
use tokio::time::Instant;

use super::own_allocations::Platform;
use crate::id_map::IdMap;
use crate::lifecycle::negotiation::State;
use crate::model::OfferProposal;

/// A proposal and what is known of it.
pub(super) struct Entry {
    pub(super) offer: OfferProposal,
    pub(super) state: State,
    pub(super) demand: DemandId,
    /// What our counter-proposal chose to pay on.
    pub(super) platform: Option<Platform>,
    /// Our counter-proposal.
    pub(super) own: Option<ProposalId>,
    pub(super) answer_by: Option<Instant>,
    pub(super) drafted_at: Option<Instant>,
    /// Given by the proposals: tells who was there first.
    pub(super) place: u64,
}

/// Best first, then first come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    score: Reverse<u64>,
    place: u64,
}

impl Rank {
    fn new(score: f64, place: u64) -> Self {
        // The bits of floats, flipped so that they sort as the numbers do.
        let bits = score.to_bits();
        let ordered = if bits >> 63 == 0 {
            bits | 1 << 63
        } else {
            !bits
        };
        Rank {
            score: Reverse(ordered),
            place,
        }
    }
}

/// Proposals by id, and the orders in which they are looked for.
#[derive(Default)]
pub(super) struct ProposalIndex {
    entries: IdMap<ProposalId, Entry>,
    /// Scored, not countered yet.
    ranked: BTreeMap<Rank, ProposalId>,
    /// Countered, or about to be.
    asked: BTreeMap<Rank, ProposalId>,
    /// To be signed.
    drafts: BTreeMap<Rank, ProposalId>,
    /// By our counter-proposal.
    own: IdMap<ProposalId, ProposalId>,
    answers: BTreeSet<(Instant, u64, ProposalId)>,
    drafted: BTreeSet<(Instant, u64)>,
    countering: usize,
    /// Of each provider, how many are countered, being countered, or drafts.
    under_way: IdMap<NodeId, usize>,
    places: u64,
}

impl ProposalIndex {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, id: &ProposalId) -> Option<&Entry> {
        self.entries.get(id)
    }

    pub(super) fn contains(&self, id: &ProposalId) -> bool {
        self.entries.contains_key(id)
    }

    /// Puts a proposal behind all others of its score.
    pub(super) fn insert(&mut self, mut entry: Entry) {
        self.places += 1;
        entry.place = self.places;
        let id = entry.offer.proposal_id().clone();
        self.remove(&id);
        self.relink(&id, None, Some(&entry.marks()));
        self.entries.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: &ProposalId) -> Option<Entry> {
        let entry = self.entries.swap_remove(id)?;
        self.relink(id, Some(&entry.marks()), None);
        Some(entry)
    }

    /// Changes a proposal in its place.
    pub(super) fn change(&mut self, id: &ProposalId, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let before = entry.marks();
        change(entry);
        let after = entry.marks();
        self.relink(id, Some(&before), Some(&after));
    }

    /// Scored proposals, best first.
    pub(super) fn ranked(&self) -> impl DoubleEndedIterator<Item = (&ProposalId, &Entry)> {
        self.of(&self.ranked)
    }

    /// Proposals that were countered or are about to be, best first.
    pub(super) fn asked(&self) -> impl DoubleEndedIterator<Item = (&ProposalId, &Entry)> {
        self.of(&self.asked)
    }

    /// Drafts, best first.
    pub(super) fn drafts(&self) -> impl DoubleEndedIterator<Item = (&ProposalId, &Entry)> {
        self.of(&self.drafts)
    }

    fn of<'a>(
        &'a self,
        order: &'a BTreeMap<Rank, ProposalId>,
    ) -> impl DoubleEndedIterator<Item = (&'a ProposalId, &'a Entry)> {
        order
            .values()
            .filter_map(|id| self.entries.get_key_value(id))
    }

    /// How many counter-proposals are being sent.
    pub(super) fn countering(&self) -> usize {
        self.countering
    }

    /// How many are countered, being countered, or drafts.
    pub(super) fn under_way(&self) -> usize {
        self.asked.len() + self.drafts.len()
    }

    /// How many of those are this provider's.
    pub(super) fn under_way_of(&self, provider: &NodeId) -> usize {
        self.under_way.get(provider).copied().unwrap_or_default()
    }

    /// The worst of those that are countered, being countered, or drafts.
    pub(super) fn worst_under_way(&self) -> Option<&Entry> {
        let last = |order: &BTreeMap<Rank, ProposalId>| {
            let (rank, id) = order.last_key_value()?;
            Some((rank.score, self.entries.get(id)?))
        };
        let worst = [last(&self.asked), last(&self.drafts)];
        let worst = worst.into_iter().flatten().max_by_key(|(score, _)| *score);
        worst.map(|(_, entry)| entry)
    }

    /// The proposal that we answered with `own`.
    pub(super) fn by_own(&self, own: &ProposalId) -> Option<&ProposalId> {
        self.own.get(own)
    }

    /// Every proposal on `demand`, first come first.
    pub(super) fn on(&self, demand: &DemandId) -> Vec<ProposalId> {
        let on_it = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.demand == *demand);
        let mut on_it: Vec<_> = on_it.map(|(id, entry)| (entry.place, id)).collect();
        on_it.sort();
        on_it.into_iter().map(|(_, id)| id.clone()).collect()
    }

    /// Those whose provider should have answered by `now`, longest overdue first.
    pub(super) fn overdue(&self, now: Instant) -> Vec<ProposalId> {
        self.answers
            .iter()
            .take_while(|(by, ..)| *by <= now)
            .map(|(.., id)| id.clone())
            .collect()
    }

    /// When the next provider should have answered, after `now`.
    pub(super) fn next_answer(&self, now: Instant) -> Option<Instant> {
        self.answers.iter().map(|(by, ..)| *by).find(|by| *by > now)
    }

    /// When the oldest draft came.
    pub(super) fn first_drafted(&self) -> Option<Instant> {
        self.drafted.first().map(|(at, _)| *at)
    }

    /// When the oldest draft came of those that came after `then`.
    pub(super) fn next_drafted(&self, then: Instant) -> Option<Instant> {
        self.drafted
            .range((then, u64::MAX)..)
            .map(|(at, _)| *at)
            .find(|at| *at > then)
    }

    /// Puts a proposal where it belongs by what is known of it now; what did not change is not looked at.
    fn relink(&mut self, id: &ProposalId, before: Option<&Marks>, after: Option<&Marks>) {
        let orders = [
            (&mut self.ranked, Marks::ranked as RankOf),
            (&mut self.asked, Marks::asked),
            (&mut self.drafts, Marks::draft),
        ];
        for (order, rank) in orders {
            let (old, new) = changed(before, after, rank);
            if let Some(old) = old {
                order.remove(&old);
            }
            order.extend(new.map(|new| (new, id.clone())));
        }
        let (old, new) = changed(before, after, Marks::drafted);
        if let Some(old) = old {
            self.drafted.remove(&old);
        }
        self.drafted.extend(new);
        let (old, new) = changed(before, after, |marks| {
            marks.answer_by.map(|by| (by, marks.place))
        });
        if let Some((by, place)) = old {
            self.answers.remove(&(by, place, id.clone()));
        }
        self.answers
            .extend(new.map(|(by, place)| (by, place, id.clone())));
        let (old, new) = changed(before, after, |marks| marks.own.as_ref());
        if let Some(old) = old {
            self.own.swap_remove(old);
        }
        self.own.extend(new.map(|own| (own.clone(), id.clone())));
        let (old, new) = changed(before, after, Marks::countering);
        self.countering -= usize::from(old.is_some());
        self.countering += usize::from(new.is_some());
        let (old, new) = changed(before, after, Marks::under_way);
        if let Some(provider) = old
            && let Some(count) = self.under_way.get_mut(provider)
        {
            *count -= 1;
            if *count == 0 {
                self.under_way.swap_remove(provider);
            }
        }
        if let Some(provider) = new {
            *self.under_way.entry(provider.clone()).or_default() += 1;
        }
    }
}

/// What it was and what it is, where these are not the same.
fn changed<'a, T: PartialEq>(
    before: Option<&'a Marks>,
    after: Option<&'a Marks>,
    what: impl Fn(&'a Marks) -> Option<T>,
) -> (Option<T>, Option<T>) {
    match (before.and_then(&what), after.and_then(&what)) {
        (old, new) if old == new => (None, None),
        change => change,
    }
}

/// Where in an order a proposal is, if it is in it.
type RankOf = fn(&Marks) -> Option<Rank>;

/// What of an entry the orders are made of.
struct Marks {
    provider: NodeId,
    state: State,
    own: Option<ProposalId>,
    answer_by: Option<Instant>,
    drafted_at: Option<Instant>,
    place: u64,
}

impl Marks {
    fn ranked(&self) -> Option<Rank> {
        match self.state {
            State::Ranked(score) => Some(Rank::new(score, self.place)),
            _ => None,
        }
    }

    fn asked(&self) -> Option<Rank> {
        match self.state {
            State::Countering(score) | State::Awaiting(score) => Some(Rank::new(score, self.place)),
            _ => None,
        }
    }

    fn draft(&self) -> Option<Rank> {
        match self.state {
            State::Draft(score) => Some(Rank::new(score, self.place)),
            _ => None,
        }
    }

    fn drafted(&self) -> Option<(Instant, u64)> {
        let at = self.drafted_at.filter(|_| self.draft().is_some())?;
        Some((at, self.place))
    }

    fn countering(&self) -> Option<()> {
        matches!(self.state, State::Countering(_)).then_some(())
    }

    /// Its provider, while it is countered, being countered, or a draft.
    fn under_way(&self) -> Option<&NodeId> {
        (self.asked().is_some() || self.draft().is_some()).then_some(&self.provider)
    }
}

impl Entry {
    fn marks(&self) -> Marks {
        Marks {
            provider: self.offer.provider_id().clone(),
            state: self.state,
            own: self.own.clone(),
            answer_by: self.answer_by,
            drafted_at: self.drafted_at,
            place: self.place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_sort_best_first_and_ties_first_come_first() {
        let mut ranks: Vec<_> = [(0.5, 3), (-1.0, 1), (0.5, 2), (f64::INFINITY, 4), (0.0, 5)]
            .map(|(score, place)| (Rank::new(score, place), place))
            .into();
        ranks.sort();
        let places: Vec<u64> = ranks.into_iter().map(|(_, place)| place).collect();
        assert_eq!(places, [4, 2, 3, 5, 1]);
    }
}
