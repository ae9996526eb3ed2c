//! The proposals on one demand and those who wait for a draft. Owns: who is countered next and who
//! gets which draft. Synchronous; the loops around it send what it decides.

use std::cmp::Ordering;
use std::time::Duration;

use golem_wire::{DemandId, NodeId, ProposalId};
use indexmap::IndexMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::memory::Memory;
use super::refusals::Refusals;
use crate::config::MarketLimits;
use crate::lifecycle::IllegalTransition;
use crate::lifecycle::negotiation::{Effect, Event, State, Verdict, step};
use crate::model::OfferProposal;

/// Rejections remembered that came before the answer to our own counter-proposal.
const EARLY: usize = 256;

/// A draft that a provider agreed to.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) offer: OfferProposal,
    pub(super) score: f64,
    pub(super) demand: DemandId,
}

struct Entry {
    offer: OfferProposal,
    state: State,
    demand: DemandId,
    /// Our counter-proposal.
    own: Option<ProposalId>,
    answer_by: Option<Instant>,
    drafted_at: Option<Instant>,
}

struct Waiter {
    avoid: Vec<NodeId>,
    since: Instant,
    reply: oneshot::Sender<Draft>,
}

/// What happened to a proposal, for the event feed.
#[derive(Debug)]
pub(super) enum Note {
    Reject {
        demand: DemandId,
        offer: OfferProposal,
        reason: String,
    },
    Confirmed {
        offer: OfferProposal,
    },
    Rejected {
        offer: OfferProposal,
        reason: String,
    },
    Failed {
        offer: OfferProposal,
        reason: String,
    },
    Violation(IllegalTransition),
}

/// The proposals of one demand.
pub(super) struct Pool {
    limits: MarketLimits,
    entries: IndexMap<ProposalId, Entry>,
    early: IndexMap<ProposalId, String>,
    waiters: IndexMap<u64, Waiter>,
    next_waiter: u64,
    pub(super) refusals: Refusals,
    pub(super) memory: Memory,
}

impl Pool {
    pub(super) fn new(limits: MarketLimits) -> Self {
        Pool {
            limits,
            entries: IndexMap::new(),
            early: IndexMap::new(),
            waiters: IndexMap::new(),
            next_waiter: 0,
            refusals: Refusals::default(),
            memory: Memory::default(),
        }
    }

    /// Queues for a draft.
    pub(super) fn wait(
        &mut self,
        avoid: &[NodeId],
        now: Instant,
    ) -> (u64, oneshot::Receiver<Draft>) {
        let (reply, draft) = oneshot::channel();
        let id = self.next_waiter;
        self.next_waiter += 1;
        let avoid = avoid.to_vec();
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
    pub(super) fn leave(&mut self, waiter: u64) {
        self.waiters.shift_remove(&waiter);
    }

    /// Takes back a draft that nobody took.
    pub(super) fn put_back(&mut self, draft: Draft, now: Instant) {
        self.insert_draft(draft, now);
        self.hand_out(now);
    }

    fn insert_draft(&mut self, draft: Draft, now: Instant) {
        let entry = Entry {
            state: State::Draft(draft.score),
            offer: draft.offer,
            demand: draft.demand,
            own: None,
            answer_by: None,
            drafted_at: Some(now),
        };
        self.entries
            .insert(entry.offer.proposal_id().clone(), entry);
    }

    /// A provider's first proposal.
    pub(super) fn offered(
        &mut self,
        demand: DemandId,
        offer: OfferProposal,
        verdict: Verdict,
    ) -> Vec<Note> {
        if self.entries.contains_key(offer.proposal_id()) {
            return Vec::new();
        }
        self.refusals.seen(offer.provider_id());
        let id = offer.proposal_id().clone();
        let entry = Entry {
            offer,
            state: State::Received,
            demand,
            own: None,
            answer_by: None,
            drafted_at: None,
        };
        self.entries.insert(id.clone(), entry);
        let notes = self.apply(&id, Event::Scored(verdict));
        if self.entries.len() > self.limits.max_proposals {
            self.drop_worst();
        }
        notes
    }

    /// A provider's answer to a counter-proposal of ours.
    pub(super) fn answered(
        &mut self,
        offer: OfferProposal,
        verdict: Verdict,
        now: Instant,
    ) -> Vec<Note> {
        let Some(id) = self.answered_entry(&offer) else {
            // An answer to what was dropped in the meantime.
            return Vec::new();
        };
        let Some(mut entry) = self.entries.shift_remove(&id) else {
            return Vec::new();
        };
        if let State::Countering(score) = entry.state {
            // The answer overtook the response to our own request.
            entry.state = State::Awaiting(score);
        }
        let new_id = offer.proposal_id().clone();
        entry.offer = offer;
        entry.answer_by = None;
        entry.drafted_at = Some(now);
        self.entries.insert(new_id.clone(), entry);
        let notes = self.apply(&new_id, Event::Answered(verdict));
        self.hand_out(now);
        notes
    }

    fn answered_entry(&self, offer: &OfferProposal) -> Option<ProposalId> {
        let asked =
            |entry: &Entry| matches!(entry.state, State::Awaiting(_) | State::Countering(_));
        let previous = offer.proposal().prev_proposal_id.as_ref();
        let exact = self.entries.iter().find(|(_, entry)| {
            asked(entry) && entry.own.is_some() && entry.own.as_ref() == previous
        });
        let by_provider = || {
            self.entries.iter().find(|(_, entry)| {
                asked(entry)
                    && entry.offer.provider_id() == offer.provider_id()
                    && (entry.own.is_none() || previous.is_none())
            })
        };
        exact.or_else(by_provider).map(|(id, _)| id.clone())
    }

    /// A provider refused our counter-proposal.
    pub(super) fn rejected(&mut self, own: &ProposalId, reason: String) -> Vec<Note> {
        let found = self
            .entries
            .iter()
            .find(|(_, entry)| entry.own.as_ref() == Some(own));
        let Some((id, _)) = found else {
            if self.early.len() < EARLY {
                self.early.insert(own.clone(), reason);
            }
            return Vec::new();
        };
        let id = id.clone();
        self.apply(&id, Event::ProviderRejected(reason))
    }

    /// The best proposal to counter now, if there is need for one more draft.
    pub(super) fn pick(&mut self, now: Instant) -> Option<(DemandId, OfferProposal)> {
        let (mut countering, mut ready) = (0, 0);
        for entry in self.entries.values() {
            match entry.state {
                State::Countering(_) => countering += 1,
                State::Awaiting(_) | State::Draft(_) => ready += 1,
                _ => {}
            }
        }
        let wanted = self.waiters.len() + self.limits.spare_drafts;
        if countering >= self.limits.concurrent_counters || countering + ready >= wanted {
            return None;
        }
        let best = self
            .entries
            .iter()
            .filter_map(|(id, entry)| match entry.state {
                State::Ranked(score) => Some((id, entry, score)),
                _ => None,
            })
            .max_by(|a, b| self.compare(now, (a.1, a.2), (b.1, b.2)))?;
        let id = best.0.clone();
        self.apply(&id, Event::Picked);
        let entry = self.entries.get(&id)?;
        Some((entry.demand.clone(), entry.offer.clone()))
    }

    /// Providers that failed lately come last; ties go to the one that was there first.
    fn compare(&self, now: Instant, a: (&Entry, f64), b: (&Entry, f64)) -> Ordering {
        let good = |entry: &Entry| !self.memory.is_shunned(entry.offer.provider_id(), now);
        good(a.0)
            .cmp(&good(b.0))
            .then(a.1.total_cmp(&b.1))
            .then(Ordering::Greater)
    }

    /// Our counter-proposal arrived.
    pub(super) fn sent(&mut self, id: &ProposalId, own: ProposalId, now: Instant) -> Vec<Note> {
        let Some(entry) = self.entries.get_mut(id) else {
            return Vec::new();
        };
        if !matches!(entry.state, State::Countering(_)) {
            return Vec::new();
        }
        entry.own = Some(own.clone());
        entry.answer_by = Some(now + self.limits.answer_timeout);
        let mut notes = self.apply(id, Event::Sent);
        if let Some(reason) = self.early.shift_remove(&own) {
            notes.extend(self.rejected(&own, reason));
        }
        notes
    }

    /// Our counter-proposal was not sent, or refused by the daemon.
    pub(super) fn send_failed(&mut self, id: &ProposalId, reason: String) -> Vec<Note> {
        match self.entries.get(id) {
            Some(entry) if matches!(entry.state, State::Countering(_)) => {
                self.apply(id, Event::SendFailed(reason))
            }
            _ => Vec::new(),
        }
    }

    /// Everything on a demand that is gone is worthless.
    pub(super) fn demand_gone(&mut self, demand: &DemandId) {
        let on_it = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.demand == *demand);
        let gone: Vec<ProposalId> = on_it.map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.apply(&id, Event::DemandGone);
        }
    }

    /// Providers that did not answer in time are given up.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Note> {
        let silent: Vec<ProposalId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.answer_by.is_some_and(|by| by <= now))
            .map(|(id, _)| id.clone())
            .collect();
        let notes = silent
            .iter()
            .flat_map(|id| self.apply(id, Event::Silent))
            .collect();
        self.hand_out(now);
        notes
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let answers = self.entries.values().filter_map(|entry| entry.answer_by);
        let holds = self.entries.values().filter_map(|entry| match entry.state {
            State::Draft(_) => entry.drafted_at.map(|at| at + self.limits.patience),
            _ => None,
        });
        let resorts = self
            .waiters
            .values()
            .map(|waiter| waiter.since + self.limits.last_resort_after);
        answers
            .chain(holds)
            .chain(resorts)
            .filter(|at| *at > now)
            .min()
    }

    /// Gives drafts to those who wait, first come first served.
    fn hand_out(&mut self, now: Instant) {
        let queue: Vec<u64> = self.waiters.keys().copied().collect();
        let mut drafts = self.count_drafts();
        for id in queue {
            if drafts == 0 {
                return;
            }
            let Some(waiter) = self.waiters.get(&id) else {
                continue;
            };
            let Some(proposal) = self.choose(waiter, now) else {
                continue;
            };
            let (Some(waiter), Some(draft)) =
                (self.waiters.shift_remove(&id), self.promote(&proposal))
            else {
                continue;
            };
            drafts -= 1;
            if let Err(draft) = waiter.reply.send(draft) {
                // The one who waited is gone.
                self.insert_draft(draft, now);
                drafts += 1;
            }
        }
    }

    fn promote(&mut self, id: &ProposalId) -> Option<Draft> {
        let State::Draft(score) = self.entries.get(id)?.state else {
            return None;
        };
        self.apply(id, Event::Promoted);
        let Entry { offer, demand, .. } = self.entries.shift_remove(id)?;
        Some(Draft {
            offer,
            score,
            demand,
        })
    }

    fn count_drafts(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| matches!(entry.state, State::Draft(_)))
            .count()
    }

    fn choose(&self, waiter: &Waiter, now: Instant) -> Option<ProposalId> {
        let clean = |entry: &Entry| {
            let provider = entry.offer.provider_id();
            !waiter.avoid.contains(provider) && !self.memory.is_shunned(provider, now)
        };
        let best = self
            .entries
            .iter()
            .filter_map(draft_of)
            .filter(|(_, entry, _)| clean(entry))
            .max_by(|a, b| a.2.total_cmp(&b.2).then(Ordering::Greater));
        if let Some((id, entry, score)) = best {
            let fresh = entry
                .drafted_at
                .is_some_and(|at| at + self.limits.patience > now);
            // Somebody better was asked and will answer in a moment.
            let better = fresh
                && self.entries.values().any(|other| match other.state {
                    State::Countering(s) | State::Awaiting(s) => s > score && clean(other),
                    _ => false,
                });
            return (!better).then(|| id.clone());
        }
        if waiter.since + self.limits.last_resort_after > now {
            return None;
        }
        let rank = |entry: &Entry| {
            let provider = entry.offer.provider_id();
            (
                waiter.avoid.contains(provider),
                self.memory.failures(provider),
            )
        };
        self.entries
            .iter()
            .filter_map(draft_of)
            .min_by(|a, b| rank(a.1).cmp(&rank(b.1)).then(b.2.total_cmp(&a.2)))
            .map(|(id, ..)| id.clone())
    }

    fn drop_worst(&mut self) {
        let worst = self
            .entries
            .iter()
            .filter_map(|(id, entry)| match entry.state {
                State::Ranked(score) => Some((id, score)),
                _ => None,
            })
            .min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((id, _)) = worst {
            let id = id.clone();
            self.entries.swap_remove(&id);
        }
    }

    fn apply(&mut self, id: &ProposalId, event: Event) -> Vec<Note> {
        let Some(entry) = self.entries.get_mut(id) else {
            return Vec::new();
        };
        let by_provider = matches!(event, Event::ProviderRejected(_));
        let (state, effects) = match step(entry.state, event) {
            Ok(done) => done,
            Err(illegal) => return vec![Note::Violation(illegal)],
        };
        entry.state = state;
        let (offer, demand) = (entry.offer.clone(), entry.demand.clone());
        if state == State::Refused {
            self.entries.shift_remove(id);
        }
        let mut notes = Vec::new();
        let mut rejected_by_us = false;
        for effect in effects {
            match effect {
                Effect::Counter => {}
                Effect::Reject(reason) => {
                    rejected_by_us = true;
                    let (demand, offer) = (demand.clone(), offer.clone());
                    notes.push(Note::Reject {
                        demand,
                        offer,
                        reason,
                    });
                }
                Effect::Offer(_) => notes.push(Note::Confirmed {
                    offer: offer.clone(),
                }),
                Effect::Record(reason) => {
                    self.refusals.record(offer.provider_name(), &reason);
                    let offer = offer.clone();
                    if by_provider {
                        notes.push(Note::Rejected { offer, reason });
                    } else if !rejected_by_us {
                        notes.push(Note::Failed { offer, reason });
                    }
                }
            }
        }
        notes
    }

    /// How long a draft that could not be signed keeps its provider at the end of the queue.
    pub(super) fn failed(&mut self, offer: &OfferProposal, reason: &str, now: Instant) -> Duration {
        self.refusals.record(offer.provider_name(), reason);
        self.memory.failed(offer.provider_id(), now)
    }
}

fn draft_of<'a>(
    (id, entry): (&'a ProposalId, &'a Entry),
) -> Option<(&'a ProposalId, &'a Entry, f64)> {
    match entry.state {
        State::Draft(score) => Some((id, entry, score)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
