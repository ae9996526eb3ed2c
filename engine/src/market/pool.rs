//! The proposals on one demand, and the queue of those who wait for a draft. Owns: what becomes of
//! each proposal, who is countered next, who gets which draft, and when one is held back for a better
//! one. Synchronous; the subscription sends what it decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use golem_wire::{DemandId, NodeId, ProposalId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::own_allocations::Platform;
use super::proposal_index::{Entry, ProposalIndex};
use super::provider_history::ProviderHistory;
use super::refusals::Refusals;
use super::starvation::Starvation;
use super::{DebtStanding, LONGEST_WAIT, ProviderDebts};
use crate::config::MarketLimits;
use crate::deadline;
use crate::id_map::IdMap;
use crate::lifecycle::IllegalTransition;
use crate::lifecycle::negotiation::{Effect, Event, RefusedFor, State, Verdict, step};
use crate::model::{MarketSummary, OfferProposal};

/// Rejections remembered that came before the answer to our own counter-proposal.
const EARLY: usize = 256;

/// What happened to a proposal, for the event feed.
#[derive(Debug)]
pub(super) enum PoolEvent {
    /// We refuse it.
    Reject {
        demand: DemandId,
        offer: OfferProposal,
        why: RefusedFor,
        reason: String,
    },
    Confirmed {
        offer: OfferProposal,
    },
    /// Its provider refused it.
    Rejected {
        offer: OfferProposal,
        reason: String,
    },
    Failed {
        offer: OfferProposal,
        reason: String,
    },
    /// More offers came than are kept, and the worst are dropped from now on.
    Dropped {
        kept: usize,
    },
    Violation(IllegalTransition),
}

/// A draft that a provider agreed to.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) offer: OfferProposal,
    pub(super) score: f64,
    pub(super) demand: DemandId,
    /// What its agreement will be paid on.
    pub(super) platform: Option<Platform>,
}

/// One who waits for a draft.
struct Waiter {
    avoid: BTreeSet<NodeId>,
    since: Instant,
    reply: oneshot::Sender<Draft>,
}

/// What a provider's proposals are worth to those who wait, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Everyone may have them.
    Welcome,
    /// Some may have them, others avoid the provider.
    Possible,
    /// All avoid it, it failed lately, or something is owed to it.
    LastResort,
}

/// The proposals of one demand.
pub(super) struct Pool {
    limits: MarketLimits,
    /// How many are going to wait at once, for all that is known before they do.
    expected: usize,
    proposals: ProposalIndex,
    /// The demand of the latest offer, and until when its first offers are collected.
    collecting: Option<(DemandId, Instant)>,
    early: IdMap<ProposalId, String>,
    /// First come first.
    waiters: BTreeMap<u64, Waiter>,
    /// Those of them that avoid a provider.
    particular: BTreeSet<u64>,
    /// How many of them avoid a provider, by provider.
    avoided: IdMap<NodeId, usize>,
    next_waiter: u64,
    /// Those below it take a last resort already.
    resorting: u64,
    refusals: Refusals,
    starvation: Starvation,
    /// An answer with offers of the demand may be lost: the daemon hands each out once.
    answer_lost: bool,
    /// Whether it was said that offers are dropped.
    told_of_drops: bool,
    history: ProviderHistory,
    debts: Arc<ProviderDebts>,
}

impl Pool {
    pub(super) fn new(limits: MarketLimits, debts: Arc<ProviderDebts>, expected: usize) -> Self {
        Pool {
            expected,
            starvation: Starvation::new(limits.renew_starving_after),
            limits,
            debts,
            proposals: ProposalIndex::default(),
            collecting: None,
            early: IdMap::default(),
            waiters: BTreeMap::new(),
            particular: BTreeSet::new(),
            avoided: IdMap::default(),
            next_waiter: 0,
            resorting: 0,
            refusals: Refusals::default(),
            answer_lost: false,
            told_of_drops: false,
            history: ProviderHistory::default(),
        }
    }

    /// A provider's first proposal.
    pub(super) fn offered(
        &mut self,
        demand: DemandId,
        offer: OfferProposal,
        verdict: Verdict,
        now: Instant,
    ) -> Vec<PoolEvent> {
        if self.proposals.contains(offer.proposal_id()) {
            return Vec::new();
        }
        if golem_probe::planted!("only-the-first-offers-are-read")
            && self
                .collecting
                .as_ref()
                .is_some_and(|(_, until)| *until <= now)
        {
            return Vec::new();
        }
        if !matches!(&self.collecting, Some((collected, _)) if *collected == demand) {
            let until = now + self.limits.collect_offers.min(LONGEST_WAIT);
            self.collecting = Some((demand.clone(), until));
        }
        self.refusals.seen(offer.provider_id());
        self.supersede(&offer);
        let id = offer.proposal_id().clone();
        let entry = Entry {
            offer,
            state: State::Received,
            demand,
            platform: None,
            own: None,
            answer_by: None,
            drafted_at: None,
            place: 0,
        };
        self.proposals.insert(entry);
        let mut events = self.apply(&id, Event::Scored(verdict));
        let kept = self.expected.max(self.waiters.len());
        if self.proposals.len() > self.limits.max_proposals.saturating_add(kept) {
            events.extend(self.drop_worst());
        }
        events
    }

    /// Drafts of an earlier offer are lost: the provider no longer looks at what comes to it.
    fn supersede(&mut self, later: &OfferProposal) {
        let drafts = self.proposals.drafts();
        let lost = drafts.filter(|(_, entry)| entry.offer.is_superseded_by(later));
        let lost: Vec<ProposalId> = lost.map(|(id, _)| id.clone()).collect();
        for id in lost {
            self.apply(&id, Event::Superseded);
        }
    }

    /// A provider's answer to a counter-proposal of ours.
    pub(super) fn answered(
        &mut self,
        offer: OfferProposal,
        verdict: Verdict,
        now: Instant,
    ) -> Vec<PoolEvent> {
        let Some(id) = self.answered_entry(&offer) else {
            // An answer to what was dropped in the meantime.
            return Vec::new();
        };
        let Some(mut entry) = self.proposals.remove(&id) else {
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
        self.proposals.insert(entry);
        let events = self.apply(&new_id, Event::Answered(verdict));
        self.hand_out(now);
        events
    }

    fn answered_entry(&self, offer: &OfferProposal) -> Option<ProposalId> {
        let asked =
            |entry: &Entry| matches!(entry.state, State::Awaiting(_) | State::Countering(_));
        let previous = offer.previous();
        let exact = previous.and_then(|own| self.proposals.by_own(own));
        let exact = exact.filter(|id| self.proposals.get(id).is_some_and(asked));
        // An answer may overtake the id of what it answers.
        let by_provider = || {
            let mut asked = self.proposals.asked();
            let found = asked.find(|(_, entry)| {
                entry.offer.provider_id() == offer.provider_id()
                    && (entry.own.is_none() || previous.is_none())
            });
            found.map(|(id, _)| id)
        };
        exact.or_else(by_provider).cloned()
    }

    /// A provider refused our counter-proposal.
    pub(super) fn rejected(&mut self, own: &ProposalId, reason: String) -> Vec<PoolEvent> {
        let Some(id) = self.proposals.by_own(own).cloned() else {
            self.early.insert(own.clone(), reason);
            if self.early.len() > EARLY {
                self.early.shift_remove_index(0);
            }
            return Vec::new();
        };
        self.apply(&id, Event::ProviderRejected(reason))
    }

    /// The best proposal to counter now, if there is need for one more draft.
    pub(super) fn pick(&mut self, now: Instant) -> Option<(DemandId, OfferProposal)> {
        let busy = self.proposals.countering() >= self.limits.concurrent_counters;
        if busy || self.collected_at(now).is_some() {
            return None;
        }
        let standings = [Standing::Welcome, Standing::Possible, Standing::LastResort];
        let mut picked = standings.into_iter();
        let id = picked.find_map(|standing| self.wanted_next(standing, now))?;
        self.apply(&id, Event::Picked);
        let entry = self.proposals.get(&id)?;
        Some((entry.demand.clone(), entry.offer.clone()))
    }

    /// Our answer to a proposal chooses this platform.
    pub(super) fn chosen(&mut self, id: &ProposalId, platform: Platform) {
        self.proposals
            .change(id, |entry| entry.platform = Some(platform));
    }

    /// The best proposal of at least this standing, if one more of them is wanted.
    fn wanted_next(&self, least: Standing, now: Instant) -> Option<ProposalId> {
        let suits = |entry: &Entry| self.standing(entry.offer.provider_id(), now) <= least;
        let (id, best) = self.proposals.ranked().find(|(_, entry)| suits(entry))?;
        let is_wanted = if least == Standing::LastResort {
            // Only for those for whom there is no other, and never to be kept ready.
            self.under_way(Standing::Possible, now) < self.waiters.len()
                && self.proposals.under_way() < self.wanted()
        } else {
            self.under_way(least, now) < self.wanted() || self.improves(score_of(best), suits)
        };
        is_wanted.then(|| id.clone())
    }

    /// How many drafts are wanted.
    fn wanted(&self) -> usize {
        self.waiters.len() + self.limits.spare_drafts
    }

    /// How many proposals of at least this standing are countered, or drafts. What none of those who
    /// wait may take does not keep others from being asked.
    fn under_way(&self, least: Standing, now: Instant) -> usize {
        let shunned = self.history.shunned(now).cloned();
        let owed = self.debts.providers();
        let worse: BTreeSet<NodeId> = self
            .avoided
            .keys()
            .cloned()
            .chain(shunned)
            .chain(owed)
            .filter(|provider| self.standing(provider, now) > least)
            .collect();
        let worse = worse
            .iter()
            .map(|provider| self.proposals.under_way_of(provider));
        self.proposals.under_way() - worse.sum::<usize>()
    }

    /// What a provider's proposals are worth to those who wait.
    fn standing(&self, provider: &NodeId, now: Instant) -> Standing {
        if !self.is_free(provider, now) {
            return Standing::LastResort;
        }
        match self.avoided.get(provider) {
            None => Standing::Welcome,
            Some(waiters) if *waiters < self.waiters.len() => Standing::Possible,
            Some(_) => Standing::LastResort,
        }
    }

    /// An answer that may have held offers is lost.
    pub(super) fn answer_lost(&mut self) {
        self.answer_lost = true;
    }

    /// Whether the demand should be published anew: offers came to it, or may have come, none of them is left, and
    /// those who wait have waited long for another. To be asked whenever something changed.
    pub(super) fn starves(&mut self, now: Instant) -> bool {
        if self.waiters.is_empty() {
            self.starvation.over();
            return false;
        }
        let nothing_left =
            self.proposals.under_way() == 0 && self.proposals.ranked().next().is_none();
        let starves = nothing_left && (self.refusals.any_seen() || self.answer_lost);
        let renewed = self.starvation.look(starves, now);
        // The next demand brings all offers once more.
        self.answer_lost &= !renewed;
        renewed
    }

    /// Whether an offer that came late is better than what those who wait would get without it; the
    /// best is kept ready although nobody waits.
    fn improves(&self, score: f64, good: impl Fn(&Entry) -> bool) -> bool {
        let worst = self.proposals.worst_under_way();
        if !worst.is_some_and(|worst| score_of(worst) < score) {
            return false;
        }
        let as_good = |entry: &Entry| score_of(entry) >= score;
        let taken = self.waiters.len().max(1);
        let drafts = self.proposals.drafts().map(|(_, entry)| entry);
        let asked = self.proposals.asked().map(|(_, entry)| entry);
        let better = drafts
            .take_while(|entry| as_good(entry))
            .chain(asked.take_while(|entry| as_good(entry)));
        better.filter(|entry| good(entry)).take(taken).count() < taken
    }

    /// When the first offers of the demand are collected, if they are not yet.
    fn collected_at(&self, now: Instant) -> Option<Instant> {
        let (_, until) = self.collecting.as_ref()?;
        Some(*until).filter(|until| *until > now)
    }

    /// Our counter-proposal arrived.
    pub(super) fn sent(
        &mut self,
        id: &ProposalId,
        own: ProposalId,
        now: Instant,
    ) -> Vec<PoolEvent> {
        let countering = |entry: &Entry| matches!(entry.state, State::Countering(_));
        if !self.proposals.get(id).is_some_and(countering) {
            return Vec::new();
        }
        let answer_by = Some(deadline::after(now, self.limits.answer_timeout));
        self.proposals.change(id, |entry| {
            entry.own = Some(own.clone());
            entry.answer_by = answer_by;
        });
        let mut events = self.apply(id, Event::Sent);
        if let Some(reason) = self.early.shift_remove(&own) {
            events.extend(self.rejected(&own, reason));
        }
        events
    }

    /// Our counter-proposal arrived, but its id is lost: the answer is known by its provider.
    pub(super) fn sent_unseen(&mut self, id: &ProposalId, now: Instant) -> Vec<PoolEvent> {
        let countering = |entry: &Entry| matches!(entry.state, State::Countering(_));
        if !self.proposals.get(id).is_some_and(countering) {
            return Vec::new();
        }
        let answer_by = Some(deadline::after(now, self.limits.answer_timeout));
        self.proposals
            .change(id, |entry| entry.answer_by = answer_by);
        self.apply(id, Event::Sent)
    }

    /// Our counter-proposal was not sent, or refused by the daemon.
    pub(super) fn send_failed(&mut self, id: &ProposalId, reason: String) -> Vec<PoolEvent> {
        match self.proposals.get(id) {
            Some(entry) if matches!(entry.state, State::Countering(_)) => {
                self.apply(id, Event::SendFailed(reason))
            }
            _ => Vec::new(),
        }
    }

    /// Everything on a demand that is gone is worthless.
    pub(super) fn demand_gone(&mut self, demand: &DemandId) {
        for id in self.proposals.on(demand) {
            self.apply(&id, Event::DemandGone);
        }
    }

    /// A provider was paid, and may be had again.
    pub(super) fn paid(&mut self, now: Instant) {
        self.hand_out(now);
    }

    /// Providers that did not answer in time are given up.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<PoolEvent> {
        let silent = self.proposals.overdue(now);
        let events = silent
            .iter()
            .flat_map(|id| self.apply(id, Event::Silent))
            .collect();
        self.hand_out(now);
        events
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        // A draft is held until its patience is over: the first one for which it is not yet.
        let patience = self.limits.patience;
        let held = match now.checked_sub(patience) {
            Some(then) => self.proposals.next_drafted(then),
            None => self.proposals.first_drafted(),
        };
        let resort = self.next_resort(now);
        let held = held
            .map(|at| deadline::after(at, patience))
            .filter(|at| *at > now);
        let owed = self.debts.next_release(now);
        let collected = self.collected_at(now);
        [
            self.starvation.next_deadline(),
            collected,
            self.proposals.next_answer(now),
            held,
            resort,
            owed,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the next of those who wait takes a last resort. Who came first takes it first, so that those who do already
    /// are looked at once.
    fn next_resort(&mut self, now: Instant) -> Option<Instant> {
        for (id, waiter) in self.waiters.range(self.resorting..) {
            let at = deadline::after(waiter.since, self.limits.last_resort_after);
            if at > now {
                return Some(at);
            }
            self.resorting = id + 1;
        }
        None
    }

    /// The first time it is told; all are counted.
    fn drop_worst(&mut self) -> Option<PoolEvent> {
        let (worst, _) = self.proposals.ranked().next_back()?;
        let worst = worst.clone();
        self.proposals.remove(&worst);
        self.refusals.drop_one();
        let is_first = !std::mem::replace(&mut self.told_of_drops, true);
        is_first.then(|| PoolEvent::Dropped {
            kept: self.proposals.len(),
        })
    }

    fn apply(&mut self, id: &ProposalId, event: Event) -> Vec<PoolEvent> {
        let Some(entry) = self.proposals.get(id) else {
            return Vec::new();
        };
        let by_provider = matches!(event, Event::ProviderRejected(_));
        let (state, effects) = match step(entry.state, event) {
            Ok(done) => done,
            Err(illegal) => return vec![PoolEvent::Violation(illegal)],
        };
        let (offer, demand) = (entry.offer.clone(), entry.demand.clone());
        if state == State::Refused {
            self.proposals.remove(id);
        } else {
            self.proposals.change(id, |entry| entry.state = state);
        }
        let mut events = Vec::new();
        let mut rejected_by_us = false;
        for effect in effects {
            match effect {
                Effect::Counter => {}
                Effect::Reject(why, reason) => {
                    rejected_by_us = true;
                    let (demand, offer) = (demand.clone(), offer.clone());
                    events.push(PoolEvent::Reject {
                        demand,
                        offer,
                        why,
                        reason,
                    });
                }
                Effect::Offer(_) => events.push(PoolEvent::Confirmed {
                    offer: offer.clone(),
                }),
                Effect::Record(reason) => {
                    self.refusals.record(offer.provider_name(), &reason);
                    let offer = offer.clone();
                    if by_provider {
                        events.push(PoolEvent::Rejected { offer, reason });
                    } else if !rejected_by_us {
                        events.push(PoolEvent::Failed { offer, reason });
                    }
                }
            }
        }
        events
    }

    /// Offers seen up to now, and what became of them.
    pub(super) fn summary(&self, now: Instant) -> MarketSummary {
        let negotiated = self.under_way(Standing::Possible, now);
        MarketSummary {
            negotiated,
            held_back: self.proposals.under_way() - negotiated,
            unanswered: self.proposals.ranked().count(),
            max_proposals: self.limits.max_proposals,
            ..self.refusals.summary()
        }
    }

    /// Whether this provider brought an offer.
    pub(super) fn has_seen(&self, provider: &NodeId) -> bool {
        self.refusals.has_seen(provider)
    }

    /// An agreement of this provider is in force: its failures are forgotten.
    pub(super) fn worked(&mut self, provider: &NodeId) {
        self.history.worked(provider);
    }

    /// How long a draft that could not be signed keeps its provider at the end of the queue.
    pub(super) fn failed(&mut self, offer: &OfferProposal, reason: &str, now: Instant) -> Duration {
        self.refusals.record(offer.provider_name(), reason);
        self.history.failed(offer.provider_id(), now)
    }
}

impl Pool {
    /// Queues for a draft.
    pub(super) fn wait(
        &mut self,
        avoid: &[NodeId],
        now: Instant,
    ) -> (u64, oneshot::Receiver<Draft>) {
        let (reply, draft) = oneshot::channel();
        let id = self.next_waiter;
        self.next_waiter += 1;
        let avoid: BTreeSet<NodeId> = avoid.iter().cloned().collect();
        for provider in &avoid {
            *self.avoided.entry(provider.clone()).or_default() += 1;
        }
        if !avoid.is_empty() {
            self.particular.insert(id);
        }
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
        self.take(waiter);
    }

    fn take(&mut self, waiter: u64) -> Option<Waiter> {
        self.particular.remove(&waiter);
        let waiter = self.waiters.remove(&waiter)?;
        for provider in &waiter.avoid {
            if let Some(waiters) = self.avoided.get_mut(provider) {
                *waiters -= 1;
                if *waiters == 0 {
                    self.avoided.swap_remove(provider);
                }
            }
        }
        Some(waiter)
    }

    /// Takes back a draft that was not taken.
    pub(super) fn put_back(&mut self, draft: Draft, now: Instant) {
        self.insert_draft(draft, now);
        self.hand_out(now);
    }

    fn insert_draft(&mut self, draft: Draft, now: Instant) {
        self.proposals.insert(Entry {
            state: State::Draft(draft.score),
            offer: draft.offer,
            demand: draft.demand,
            platform: draft.platform,
            own: None,
            answer_by: None,
            drafted_at: Some(now),
            place: 0,
        });
    }

    /// Gives drafts to those who wait, first come first served.
    fn hand_out(&mut self, now: Instant) {
        let mut next = self.waiters.keys().next().copied();
        // Whether somebody who avoids nobody gets none of those that are there: nor does anybody behind it then who avoids
        // nobody, and has not waited longer.
        let mut none_for_all = false;
        while let Some(id) = next {
            if self.proposals.drafts().next().is_none() {
                return;
            }
            let Some(waiter) = self.waiters.get(&id) else {
                return;
            };
            let avoids_nobody = waiter.avoid.is_empty();
            match self.choose(waiter, now) {
                Some(proposal) => {
                    self.give(id, &proposal, now);
                    none_for_all = false;
                }
                None => none_for_all |= avoids_nobody,
            }
            let behind = id + 1..;
            next = match none_for_all {
                true => self.particular.range(behind).next().copied(),
                false => self.waiters.range(behind).next().map(|(id, _)| *id),
            };
        }
    }

    fn give(&mut self, waiter: u64, proposal: &ProposalId, now: Instant) {
        let (Some(waiter), Some(draft)) = (self.take(waiter), self.promote(proposal)) else {
            return;
        };
        self.starvation.over();
        if let Err(draft) = waiter.reply.send(draft) {
            // The one who waited is gone.
            self.insert_draft(draft, now);
        }
    }

    fn is_last_resort(&self, waiter: &Waiter, now: Instant) -> bool {
        deadline::after(waiter.since, self.limits.last_resort_after) <= now
    }

    fn promote(&mut self, id: &ProposalId) -> Option<Draft> {
        let State::Draft(score) = self.proposals.get(id)?.state else {
            return None;
        };
        self.apply(id, Event::Promoted);
        let Entry {
            offer,
            demand,
            platform,
            ..
        } = self.proposals.remove(id)?;
        Some(Draft {
            offer,
            score,
            demand,
            platform,
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
                .is_some_and(|at| deadline::after(at, self.limits.patience) > now);
            // A better provider was asked and will answer in a moment.
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
    fn is_free(&self, provider: &NodeId, now: Instant) -> bool {
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

#[cfg(test)]
mod tests;
