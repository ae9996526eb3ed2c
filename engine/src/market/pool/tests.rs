use golem_wire::market::ProposalState;
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::model::tests::offer;

fn limits() -> MarketLimits {
    MarketLimits {
        collect_offers: Duration::ZERO,
        spare_drafts: 2,
        concurrent_counters: 2,
        ..MarketLimits::default()
    }
}

fn named(provider: &str) -> OfferProposal {
    offer(provider, json!([0.0, 0.0, 0.0]))
}

fn draft(provider: &str) -> OfferProposal {
    let mut proposal = named(provider).to_proposal();
    proposal.proposal_id = format!("R-draft-{provider}").as_str().into();
    proposal.prev_proposal_id = Some(format!("R-own-{provider}").as_str().into());
    proposal.state = ProposalState::Draft;
    OfferProposal::new(proposal)
}

fn offered(pool: &mut Pool, provider: &str, score: f64) {
    let (offer, now) = (named(provider), Instant::now());
    pool.offered("d".into(), offer, Verdict::Good(score), now);
}

/// Counters everything that is picked.
fn counter(pool: &mut Pool) -> Vec<String> {
    let now = Instant::now();
    let mut picked = Vec::new();
    while let Some((_, offer)) = pool.pick(now) {
        let name = offer.provider_name().to_owned();
        pool.sent(
            offer.proposal_id(),
            format!("R-own-{name}").as_str().into(),
            now,
        );
        picked.push(name);
    }
    picked
}

fn ready(pool: &mut Pool, provider: &str, score: f64) {
    offered(pool, provider, score);
    counter(pool);
    pool.answered(draft(provider), Verdict::Good(score), Instant::now());
}

#[tokio::test(start_paused = true)]
async fn the_best_offers_are_countered_first_and_no_more_than_are_wanted() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    for (provider, score) in [("low", 1.0), ("high", 3.0), ("middle", 2.0)] {
        offered(&mut pool, provider, score);
    }
    assert_eq!(counter(&mut pool), ["high", "middle"]);
    let (_, _waiting) = pool.wait(&[], Instant::now());
    assert_eq!(counter(&mut pool), ["low"]);
}

#[tokio::test(start_paused = true)]
async fn offers_are_collected_for_a_moment_before_the_best_are_countered() {
    let limits = MarketLimits {
        collect_offers: Duration::from_secs(1),
        ..limits()
    };
    let mut pool = Pool::new(limits, Arc::default(), 0);
    let begun = Instant::now();
    offered(&mut pool, "quick", 1.0);
    assert!(counter(&mut pool).is_empty());
    tokio::time::advance(Duration::from_millis(900)).await;
    offered(&mut pool, "slow", 2.0);
    assert!(counter(&mut pool).is_empty());
    let collected = begun + Duration::from_secs(1);
    assert_eq!(pool.next_deadline(Instant::now()), Some(collected));
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(counter(&mut pool), ["slow", "quick"]);
    let (_, _waiting) = pool.wait(&[], Instant::now());
    offered(&mut pool, "later", 1.0);
    assert_eq!(counter(&mut pool), ["later"], "the moment is once a demand");
}

#[tokio::test(start_paused = true)]
async fn a_better_offer_that_comes_late_is_countered_too_and_wins() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    for (provider, score) in [("fair", 2.0), ("poor", 1.0), ("bad", 0.5)] {
        offered(&mut pool, provider, score);
    }
    let (_, mut waiting) = pool.wait(&[], Instant::now());
    assert_eq!(
        counter(&mut pool),
        ["fair", "poor", "bad"],
        "all that are wanted"
    );
    offered(&mut pool, "so-so", 1.5);
    assert!(counter(&mut pool).is_empty(), "it would not be taken");
    offered(&mut pool, "good", 3.0);
    assert_eq!(counter(&mut pool), ["good"]);
    pool.answered(draft("fair"), Verdict::Good(2.0), Instant::now());
    assert!(waiting.try_recv().is_err());
    pool.answered(draft("good"), Verdict::Good(3.0), Instant::now());
    let taken = waiting.try_recv().expect("draft");
    assert_eq!(taken.offer.provider_name(), "good");
}

#[tokio::test(start_paused = true)]
async fn drafts_go_to_those_who_wait_in_their_order() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let (_, mut first) = pool.wait(&[], Instant::now());
    let (_, mut second) = pool.wait(&[], Instant::now());
    ready(&mut pool, "a", 1.0);
    assert_eq!(first.try_recv().expect("draft").offer.provider_name(), "a");
    assert_eq!(
        second.try_recv().expect_err("none yet"),
        TryRecvError::Empty
    );
    ready(&mut pool, "b", 1.0);
    assert_eq!(second.try_recv().expect("draft").offer.provider_name(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_better_provider_that_was_asked_is_waited_for_but_not_for_long() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    offered(&mut pool, "good", 2.0);
    offered(&mut pool, "fair", 1.0);
    counter(&mut pool);
    let (_, mut waiting) = pool.wait(&[], Instant::now());
    pool.answered(draft("fair"), Verdict::Good(1.0), Instant::now());
    assert!(waiting.try_recv().is_err());
    let later = pool.next_deadline(Instant::now()).expect("patience ends");
    pool.tick(later);
    assert_eq!(
        waiting.try_recv().expect("draft").offer.provider_name(),
        "fair"
    );
}

#[tokio::test(start_paused = true)]
async fn avoided_providers_are_the_last_resort() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    ready(&mut pool, "bad", 9.0);
    let now = Instant::now();
    let (_, mut waiting) = pool.wait(&["0xbad".into()], now);
    assert!(waiting.try_recv().is_err());
    pool.tick(now + limits().last_resort_after);
    assert_eq!(
        waiting.try_recv().expect("draft").offer.provider_name(),
        "bad"
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_who_waits_may_take_keeps_no_other_provider_from_being_asked() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    for provider in ["bad", "worse", "worst"] {
        offered(&mut pool, provider, 9.0);
    }
    let (first, _before) = pool.wait(&[], Instant::now());
    assert_eq!(counter(&mut pool).len(), 3, "all that are wanted");
    pool.leave(first);
    let all_of_them = ["0xbad", "0xworse", "0xworst"].map(NodeId::new);
    let (_, mut waiting) = pool.wait(&all_of_them, Instant::now());
    offered(&mut pool, "fair", 1.0);
    assert_eq!(counter(&mut pool), ["fair"]);
    pool.answered(draft("fair"), Verdict::Good(1.0), Instant::now());
    pool.tick(Instant::now() + limits().patience);
    let taken = waiting.try_recv().expect("a draft");
    assert_eq!(taken.offer.provider_name(), "fair");
}

#[tokio::test(start_paused = true)]
async fn avoided_providers_are_countered_only_for_whom_there_is_no_other() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let (_, _waiting) = pool.wait(&["0xbad".into()], Instant::now());
    offered(&mut pool, "bad", 9.0);
    assert_eq!(counter(&mut pool), ["bad"], "there is no other");
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let (_, _waiting) = pool.wait(&["0xbad".into()], Instant::now());
    offered(&mut pool, "bad", 9.0);
    offered(&mut pool, "fair", 1.0);
    assert_eq!(counter(&mut pool), ["fair"], "nor is it kept ready");
    // Somebody else may have it.
    let (_, _other) = pool.wait(&[], Instant::now());
    assert_eq!(counter(&mut pool), ["bad"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_failed_comes_after_worse_ones() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    pool.failed(&named("bad"), "not approved in time", Instant::now());
    ready(&mut pool, "bad", 9.0);
    ready(&mut pool, "fair", 1.0);
    let (_, mut waiting) = pool.wait(&[], Instant::now());
    assert_eq!(
        waiting.try_recv().expect("draft").offer.provider_name(),
        "fair"
    );
}

#[tokio::test(start_paused = true)]
async fn a_draft_nobody_took_goes_back() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let (_, first) = pool.wait(&[], Instant::now());
    drop(first);
    ready(&mut pool, "a", 1.0);
    let (_, mut second) = pool.wait(&[], Instant::now());
    assert!(second.try_recv().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_overtake_the_response_to_our_request() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    offered(&mut pool, "a", 1.0);
    let (_, offer) = pool.pick(Instant::now()).expect("picked");
    let events = pool.answered(draft("a"), Verdict::Good(1.0), Instant::now());
    assert!(matches!(events.as_slice(), [PoolEvent::Confirmed { .. }]));
    let late = pool.sent(offer.proposal_id(), "R-own-a".into(), Instant::now());
    assert!(late.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_may_overtake_the_response_to_our_request() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    offered(&mut pool, "a", 1.0);
    let (_, offer) = pool.pick(Instant::now()).expect("picked");
    assert!(pool.rejected(&"R-own-a".into(), "busy".into()).is_empty());
    let events = pool.sent(offer.proposal_id(), "R-own-a".into(), Instant::now());
    assert!(
        matches!(events.as_slice(), [PoolEvent::Rejected { reason, .. }] if reason.contains("busy"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_makes_room_for_another() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    for provider in ["a", "b", "c"] {
        offered(&mut pool, provider, 1.0);
    }
    assert_eq!(counter(&mut pool), ["a", "b"]);
    let events = pool.tick(Instant::now() + limits().answer_timeout);
    assert_eq!(events.len(), 2);
    assert_eq!(counter(&mut pool), ["c"]);
    assert!(
        pool.refusals
            .summary()
            .to_string()
            .contains("2× the provider did not answer (a, b)")
    );
}

#[tokio::test(start_paused = true)]
async fn drafts_of_a_demand_that_is_gone_are_not_handed_out() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    ready(&mut pool, "a", 1.0);
    pool.demand_gone(&"d".into());
    let (_, mut waiting) = pool.wait(&[], Instant::now());
    assert!(waiting.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn offers_without_end_do_not_fill_memory() {
    let mut pool = Pool::new(
        MarketLimits {
            max_proposals: 10,
            ..limits()
        },
        Arc::default(),
        0,
    );
    let mut events = Vec::new();
    for n in 0..100 {
        let (offer, now) = (named(&format!("p{n}")), Instant::now());
        events.extend(pool.offered("d".into(), offer, Verdict::Good(f64::from(n)), now));
    }
    assert!(matches!(
        events.as_slice(),
        [PoolEvent::Dropped { kept: 10 }]
    ));
    let said = pool.summary(Instant::now()).to_string();
    assert!(
        said.contains("90 dropped, since no more than 10 are kept"),
        "{said}"
    );
    assert_eq!(pool.proposals.len(), 10);
    assert_eq!(counter(&mut pool), ["p99", "p98"]);
}

#[tokio::test(start_paused = true)]
async fn as_many_offers_are_kept_as_are_waited_for() {
    let limits = MarketLimits {
        max_proposals: 10,
        concurrent_counters: 100,
        ..limits()
    };
    let mut pool = Pool::new(limits, Arc::default(), 0);
    let waiting: Vec<_> = (0..50).map(|_| pool.wait(&[], Instant::now())).collect();
    for n in 0..60 {
        offered(&mut pool, &format!("p{n}"), 1.0);
    }
    assert_eq!(pool.proposals.len(), 60);
    assert_eq!(counter(&mut pool).len(), waiting.len() + 2);
}

#[tokio::test(start_paused = true)]
async fn offers_that_come_before_anybody_waits_are_kept_for_as_many_as_are_going_to() {
    let limits = MarketLimits {
        max_proposals: 10,
        concurrent_counters: 100,
        ..limits()
    };
    let mut pool = Pool::new(limits, Arc::default(), 50);
    for n in 0..70 {
        offered(&mut pool, &format!("p{n}"), 1.0);
    }
    assert_eq!(pool.proposals.len(), 60);
    let waiting: Vec<_> = (0..50).map(|_| pool.wait(&[], Instant::now())).collect();
    assert_eq!(counter(&mut pool).len(), waiting.len() + 2);
}

/// The same provider's offer, published later, of a machine with so many threads.
fn published_anew(provider: &str, threads: u32) -> OfferProposal {
    let mut proposal = named(provider).to_proposal();
    proposal.proposal_id = format!("R-anew-{provider}-{threads}").as_str().into();
    let threads = json!(threads);
    proposal
        .properties
        .insert("golem.inf.cpu.threads".into(), threads);
    OfferProposal::new(proposal)
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_lost_when_its_provider_publishes_the_offer_anew() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    ready(&mut pool, "a", 1.0);
    ready(&mut pool, "b", 0.5);
    let anew = published_anew("a", 4);
    let events = pool.offered("d".into(), anew, Verdict::Good(1.0), Instant::now());
    assert!(events.is_empty(), "{events:?}");
    let (_, mut waiting) = pool.wait(&[], Instant::now());
    let draft = waiting.try_recv().expect("a draft");
    assert_eq!(draft.offer.provider_name(), "b");
    assert_eq!(counter(&mut pool), ["a"], "the fresh offer is negotiated");
}

#[tokio::test(start_paused = true)]
async fn an_offer_of_another_machine_leaves_the_draft_of_the_first() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    ready(&mut pool, "a", 1.0);
    let other = published_anew("a", 8);
    pool.offered("d".into(), other, Verdict::Good(0.5), Instant::now());
    let (_, mut waiting) = pool.wait(&[], Instant::now());
    let draft = waiting.try_recv().expect("a draft");
    assert_eq!(draft.offer.threads(), 4);
}

#[tokio::test(start_paused = true)]
async fn each_who_waits_takes_a_last_resort_at_its_own_time() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let resort = |since| since + limits().last_resort_after;
    let first = Instant::now();
    let (_, _first) = pool.wait(&[], first);
    tokio::time::advance(Duration::from_secs(1)).await;
    let second = Instant::now();
    let (id, _second) = pool.wait(&[], second);
    assert_eq!(pool.next_deadline(second), Some(resort(first)));
    for _again in 0..2 {
        assert_eq!(pool.next_deadline(resort(first)), Some(resort(second)));
    }
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(pool.next_deadline(Instant::now()), None);
    let third = Instant::now();
    let (_, _third) = pool.wait(&[], third);
    pool.leave(id);
    assert_eq!(pool.next_deadline(third), Some(resort(third)));
}

impl Pool {
    /// Hands out by asking everybody of every draft: what [`Pool::hand_out`] comes to.
    fn hand_out_asking_all(&mut self, now: Instant) {
        for id in self.waiters.keys().copied().collect::<Vec<_>>() {
            if let Some(proposal) = self.choose(&self.waiters[&id], now) {
                self.give(id, &proposal, now);
            }
        }
    }
}

/// One who waits: seconds after the one before, and whom it avoids.
type Waits = (u64, BTreeSet<usize>);

/// A proposal: its provider, its score, and how many seconds ago it became a draft; one without is asked.
type Proposed = (usize, u8, Option<u64>);

/// Whom each of those who wait gets.
fn handed_out(
    waiting: &[Waits],
    proposed: &[Proposed],
    ask: fn(&mut Pool, Instant),
) -> Vec<Option<String>> {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let name = |provider: &usize| format!("p{provider}");
    let mut now = Instant::now();
    let mut replies = Vec::new();
    for (later, avoid) in waiting {
        now += Duration::from_secs(*later);
        let avoid: Vec<NodeId> = avoid
            .iter()
            .map(|it| named(&name(it)).provider_id().clone())
            .collect();
        replies.push(pool.wait(&avoid, now).1);
    }
    now += Duration::from_secs(3);
    for (n, (provider, score, drafted)) in proposed.iter().enumerate() {
        let mut proposal = named(&name(provider)).to_proposal();
        proposal.proposal_id = format!("R-{n}").as_str().into();
        let score = f64::from(*score);
        pool.proposals.insert(Entry {
            offer: OfferProposal::new(proposal),
            state: match drafted {
                Some(_) => State::Draft(score),
                None => State::Awaiting(score),
            },
            demand: "d".into(),
            platform: None,
            own: None,
            answer_by: None,
            drafted_at: drafted.map(|ago| now - Duration::from_secs(ago)),
            place: 0,
        });
    }
    ask(&mut pool, now);
    let got = replies.iter_mut().map(|reply| reply.try_recv().ok());
    got.map(|draft| draft.map(|draft| draft.offer.proposal_id().to_string()))
        .collect()
}

proptest! {
    #[test]
    fn who_is_not_asked_would_have_had_no_draft(
        waiting in prop::collection::vec((0..3_u64, prop::collection::btree_set(0..4_usize, 0..3)), 0..12),
        proposed in prop::collection::vec((0..4_usize, 0..4_u8, prop::option::of(0..4_u64)), 0..8),
    ) {
        prop_assert_eq!(
            handed_out(&waiting, &proposed, Pool::hand_out),
            handed_out(&waiting, &proposed, Pool::hand_out_asking_all)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_made_up_for_by_one_new_demand() {
    let mut pool = Pool::new(limits(), Arc::default(), 0);
    let (_, _waiting) = pool.wait(&[], Instant::now());
    let start = Instant::now();
    let starves = |pool: &mut Pool, secs| pool.starves(start + Duration::from_secs(secs));
    assert!(!starves(&mut pool, 0), "no offer came, and none is lost");
    assert!(!starves(&mut pool, 100));
    pool.answer_lost();
    assert!(!starves(&mut pool, 100));
    assert!(starves(&mut pool, 120));
    assert!(!starves(&mut pool, 10_000), "all come again with it");
    pool.answer_lost();
    assert!(!starves(&mut pool, 10_000));
    assert!(starves(&mut pool, 10_040), "the second takes twice as long");
}
