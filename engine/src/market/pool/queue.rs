//! The queue of those who wait for a draft. Owns: who gets which draft, and when one is held back
//! for a better one. Does not own: how proposals become drafts.

use golem_wire::{DemandId, NodeId, ProposalId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Pool;
use crate::lifecycle::negotiation::{Event, State};
use crate::market::DebtStanding;
use crate::market::proposal_index::Entry;
use crate::model::OfferProposal;

/// A draft that a provider agreed to.
#[derive(Debug)]
pub(in crate::market) struct Draft {
    pub(in crate::market) offer: OfferProposal,
    pub(in crate::market) score: f64,
    pub(in crate::market) demand: DemandId,
}

/// One who waits for a draft.
pub(super) struct Waiter {
    avoid: Vec<NodeId>,
    pub(super) since: Instant,
    reply: oneshot::Sender<Draft>,
}

impl Pool {
    /// Queues for a draft.
    pub(in crate::market) fn wait(
        &mut self,
        avoid: &[NodeId],
        now: Instant,
    ) -> (u64, oneshot::Receiver<Draft>) {
        let (reply, draft) = oneshot::channel();
        let id = self.next_waiter;
        self.next_waiter += 1;
        let avoid = avoid.to_vec();
        self.picky += usize::from(!avoid.is_empty());
        self.waiters.insert(
            id,
            Waiter {
                avoid,
                since: now,
                reply,
            },
        );
        self.hand_out(now);
        (id, draft)
    }

    /// Leaves the queue.
    pub(in crate::market) fn leave(&mut self, waiter: u64) {
        self.take(waiter);
    }

    fn take(&mut self, waiter: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&waiter)?;
        self.picky -= usize::from(!waiter.avoid.is_empty());
        Some(waiter)
    }

    /// Takes back a draft that nobody took.
    pub(in crate::market) fn put_back(&mut self, draft: Draft, now: Instant) {
        self.insert_draft(draft, now);
        self.hand_out(now);
    }

    fn insert_draft(&mut self, draft: Draft, now: Instant) {
        self.proposals.insert(Entry {
            state: State::Draft(draft.score),
            offer: draft.offer,
            demand: draft.demand,
            own: None,
            answer_by: None,
            drafted_at: Some(now),
            place: 0,
        });
    }

    /// Gives drafts to those who wait, first come first served.
    pub(super) fn hand_out(&mut self, now: Instant) {
        let mut next = self.waiters.keys().next().copied();
        while let Some(id) = next {
            if self.proposals.drafts().next().is_none() {
                return;
            }
            let Some(waiter) = self.waiters.get(&id) else {
                return;
            };
            match self.choose(waiter, now) {
                Some(proposal) => self.give(id, &proposal, now),
                // Nobody behind can have what the least particular one in front cannot.
                None if self.picky == 0 && !self.is_last_resort(waiter, now) => return,
                None => {}
            }
            next = self.waiters.range(id + 1..).next().map(|(id, _)| *id);
        }
    }

    fn give(&mut self, waiter: u64, proposal: &ProposalId, now: Instant) {
        let (Some(waiter), Some(draft)) = (self.take(waiter), self.promote(proposal)) else {
            return;
        };
        if let Err(draft) = waiter.reply.send(draft) {
            // The one who waited is gone.
            self.insert_draft(draft, now);
        }
    }

    fn is_last_resort(&self, waiter: &Waiter, now: Instant) -> bool {
        waiter.since + self.limits.last_resort_after <= now
    }

    fn promote(&mut self, id: &ProposalId) -> Option<Draft> {
        let State::Draft(score) = self.proposals.get(id)?.state else {
            return None;
        };
        self.apply(id, Event::Promoted);
        let Entry { offer, demand, .. } = self.proposals.remove(id)?;
        Some(Draft {
            offer,
            score,
            demand,
        })
    }

    fn choose(&self, waiter: &Waiter, now: Instant) -> Option<ProposalId> {
        let clean = |entry: &Entry| {
            let provider = entry.offer.provider_id();
            !waiter.avoid.contains(provider) && self.is_free(provider, now)
        };
        if let Some((id, draft)) = self.proposals.drafts().find(|(_, entry)| clean(entry)) {
            let fresh = draft
                .drafted_at
                .is_some_and(|at| at + self.limits.patience > now);
            // Somebody better was asked and will answer in a moment.
            let better = |entry: &Entry| score_of(entry) > score_of(draft);
            let hold = fresh
                && self
                    .proposals
                    .asked()
                    .take_while(|(_, entry)| better(entry))
                    .any(|(_, entry)| clean(entry));
            return (!hold).then(|| id.clone());
        }
        if !self.is_last_resort(waiter, now) {
            return None;
        }
        let rank = |entry: &Entry| {
            let provider = entry.offer.provider_id();
            (
                self.debts.standing(provider, now) != DebtStanding::Nothing,
                waiter.avoid.contains(provider),
                self.history.failures(provider),
            )
        };
        // Whoever waits for our money is not asked for more before it had time to ask for that.
        let unpaid = |entry: &Entry| {
            let standing = self.debts.standing(entry.offer.provider_id(), now);
            matches!(standing, DebtStanding::Until(_))
        };
        // Best first, and the first of equals is taken.
        self.proposals
            .drafts()
            .filter(|(_, entry)| !unpaid(entry))
            .min_by_key(|(_, entry)| rank(entry))
            .map(|(id, _)| id.clone())
    }

    /// Whether nothing speaks against a provider.
    pub(super) fn is_free(&self, provider: &NodeId, now: Instant) -> bool {
        !self.history.is_shunned(provider, now)
            && self.debts.standing(provider, now) == DebtStanding::Nothing
    }
}

fn score_of(entry: &Entry) -> f64 {
    match entry.state {
        State::Ranked(score)
        | State::Countering(score)
        | State::Awaiting(score)
        | State::Draft(score) => score,
        State::Received | State::Promoted | State::Refused => f64::NEG_INFINITY,
    }
}
