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
        self.link(&id, &entry);
        self.entries.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: &ProposalId) -> Option<Entry> {
        let entry = self.entries.swap_remove(id)?;
        self.unlink(&entry);
        Some(entry)
    }

    /// Changes a proposal in its place.
    pub(super) fn change(&mut self, id: &ProposalId, change: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.entries.get(id).map(Entry::marks) else {
            return;
        };
        self.unlink_marks(id, &entry);
        if let Some(stored) = self.entries.get_mut(id) {
            change(stored);
            entry = stored.marks();
        }
        self.link_marks(id, &entry);
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

    fn link(&mut self, id: &ProposalId, entry: &Entry) {
        self.link_marks(id, &entry.marks());
    }

    fn unlink(&mut self, entry: &Entry) {
        self.unlink_marks(entry.offer.proposal_id(), &entry.marks());
    }

    fn link_marks(&mut self, id: &ProposalId, marks: &Marks) {
        let rank = |score| Rank::new(score, marks.place);
        match marks.state {
            State::Ranked(score) => {
                self.ranked.insert(rank(score), id.clone());
            }
            State::Countering(score) | State::Awaiting(score) => {
                self.asked.insert(rank(score), id.clone());
            }
            State::Draft(score) => {
                self.drafts.insert(rank(score), id.clone());
                self.drafted
                    .extend(marks.drafted_at.map(|at| (at, marks.place)));
            }
            _ => {}
        }
        self.countering += usize::from(matches!(marks.state, State::Countering(_)));
        if marks.is_under_way() {
            *self.under_way.entry(marks.provider.clone()).or_default() += 1;
        }
        if let Some(own) = &marks.own {
            self.own.insert(own.clone(), id.clone());
        }
        self.answers
            .extend(marks.answer_by.map(|by| (by, marks.place, id.clone())));
    }

    fn unlink_marks(&mut self, id: &ProposalId, marks: &Marks) {
        let rank = |score| Rank::new(score, marks.place);
        match marks.state {
            State::Ranked(score) => {
                self.ranked.remove(&rank(score));
            }
            State::Countering(score) | State::Awaiting(score) => {
                self.asked.remove(&rank(score));
            }
            State::Draft(score) => {
                self.drafts.remove(&rank(score));
                if let Some(at) = marks.drafted_at {
                    self.drafted.remove(&(at, marks.place));
                }
            }
            _ => {}
        }
        self.countering -= usize::from(matches!(marks.state, State::Countering(_)));
        if marks.is_under_way()
            && let Some(count) = self.under_way.get_mut(&marks.provider)
        {
            *count -= 1;
            if *count == 0 {
                self.under_way.swap_remove(&marks.provider);
            }
        }
        if let Some(own) = &marks.own {
            self.own.swap_remove(own);
        }
        if let Some(by) = marks.answer_by {
            self.answers.remove(&(by, marks.place, id.clone()));
        }
    }
}

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
    fn is_under_way(&self) -> bool {
        matches!(
            self.state,
            State::Countering(_) | State::Awaiting(_) | State::Draft(_)
        )
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
