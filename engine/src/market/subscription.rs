//! One demand and what comes of it. Owns: the loops that collect what providers say and answer them,
//! and turning drafts into agreements, many at a time. Does not own: the demand itself (`demand.rs`),
//! who is answered and who gets which draft (`pool.rs`), the way from a draft to an agreement
//! (`signing.rs`). Long, since its loops share one demand and its pool.

mod guards;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use golem_wire::common::Reason;
use golem_wire::{DemandId, NodeId};
use http::StatusCode;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use guards::{Begun, Held, Place, Unclaimed};

use super::budget::{Budget, Claim};
use super::demand::Demand;
use super::own_allocations::{OwnAllocation, OwnAllocations, Platform};
use super::pool::{Draft, Pool, PoolEvent};
use super::signing::{Failure, Signing};
use super::{Market, Rental, SignError, SubscribeError};
use crate::api::market::CounterFault;
use crate::api::{ApiError, ApiErrorKind, Outcome};
use crate::cause::Cause;
use crate::context::Context;
use crate::deadline;
use crate::event::{
    CollectFailed, EventContext, EventKind, JobStarted, NoProposalsConfirmed, OffersDropped,
    ProposalConfirmed, ProposalFailed, ProposalReceived, ProposalRejected, ProposalResponded,
    ProtocolViolation,
};
use crate::lifecycle::negotiation::{RefusedBy, RefusedFor, Verdict};
use crate::model::{CollectedEvent, JobId, MarketSummary, OfferProposal, ResolvedPayload};
use crate::retry::{self, Backoff, Pace, Policy};
use crate::strategy::{Score, answer_negotiable, check_negotiable};

/// Rejections sent to providers at the same time; beyond it they are only counted.
const COURTESY: usize = 16;

/// Attempts to send a counter-proposal.
const COUNTER_ATTEMPTS: u32 = 5;

/// One demand and its proposals. Closed by [`close`](Self::close), not by being dropped.
pub(crate) struct DemandSubscription {
    context: Arc<Context>,
    market: Arc<Market>,
    job: JobId,
    demand: Demand,
    expiration: Timestamp,
    /// Something changed that the negotiating loop should look at.
    changed: Notify,
    /// The demand starves: the collecting loop publishes it anew.
    starves: Notify,
    closed: CancellationToken,
    /// Providers that are being told of a rejection.
    courtesy: Arc<Semaphore>,
    state: Mutex<State>,
    /// Whether scripts bring `deploy` and `start` by themselves.
    by_hand: bool,
}

struct State {
    pool: Pool,
    /// Why no draft will ever come.
    fatal: Option<ApiError>,
    /// What has to be there while machines are deployed.
    kept: Option<DropGuard>,
}

impl DemandSubscription {
    /// Begins a job that is going to wait for so many `machines` at once: tells of it, and publishes its demand. A job
    /// whose demand is not published, or for whom nobody waits any more, is over.
    ///
    /// # Errors
    /// [`SubscribeError`], when nothing was published.
    ///
    /// # Cancel safety
    /// Cancel-safe: a demand without a waiter is withdrawn in an owned task.
    pub(crate) fn begin<'a>(
        market: &'a Arc<Market>,
        job: &'a JobId,
        payload: ResolvedPayload,
        expiration: Timestamp,
        machines: usize,
    ) -> BoxFuture<'a, Result<Arc<Self>, SubscribeError>> {
        // Boxed, so that it is compiled with the engine and not with each program that starts something.
        Box::pin(Self::begun(market, job, payload, expiration, machines))
    }

    async fn begun(
        market: &Arc<Market>,
        job: &JobId,
        payload: ResolvedPayload,
        expiration: Timestamp,
        machines: usize,
    ) -> Result<Arc<Self>, SubscribeError> {
        let context = Arc::clone(&market.context);
        let begun = Begun {
            context: Arc::clone(&context),
            job: job.clone(),
            demand: None,
        };
        context.emit(EventContext::of_job(job), JobStarted {});
        let (market, job) = (Arc::clone(market), job.clone());
        let beginning = context.tasks().run("begin-job", async move {
            let mut begun = begun;
            match Self::open(&market, job, &payload, expiration, machines).await {
                Ok(demand) => {
                    begun.demand = Some(demand);
                    Ok(begun)
                }
                Err(error) => {
                    begun.over(error.cause());
                    Err(error)
                }
            }
        });
        let begun = beginning.await.unwrap_or(Err(SubscribeError::Stopped))?;
        begun.claim()
    }

    /// Publishes a demand for the payload and begins to collect and counter proposals, of which so many `machines` are
    /// going to be waited for at once: they come before anybody waits.
    ///
    /// # Errors
    /// [`SubscribeError`], when nothing was published.
    pub(crate) async fn open(
        market: &Arc<Market>,
        job: JobId,
        payload: &ResolvedPayload,
        expiration: Timestamp,
        machines: usize,
    ) -> Result<Arc<Self>, SubscribeError> {
        let context = &market.context;
        let tasks = context.tasks();
        if tasks.is_cancelled() {
            return Err(SubscribeError::Stopped);
        }
        let closed = tasks.token().child_token();
        let composing = Demand::compose(market, job.clone(), payload, expiration, closed.clone());
        let demand = composing.await?;
        let debts = Arc::clone(market.rentals.provider_debts());
        let subscription = Arc::new(DemandSubscription {
            context: Arc::clone(context),
            market: Arc::clone(market),
            job,
            demand,
            expiration,
            changed: Notify::new(),
            starves: Notify::new(),
            closed,
            courtesy: Arc::new(Semaphore::new(COURTESY)),
            state: Mutex::new(State {
                pool: Pool::new(context.config().market.clone(), debts, machines),
                fatal: None,
                kept: None,
            }),
            by_hand: payload.by_hand,
        });
        let (reply, opened) = oneshot::channel();
        tasks.spawn("collect", Arc::clone(&subscription).run(reply));
        match opened.await {
            Ok(Ok(())) => {
                market.remember(&subscription);
                let negotiating = Arc::clone(&subscription);
                tasks.spawn("negotiate", async move {
                    let closed = negotiating.closed.clone();
                    closed.run_until_cancelled(negotiating.negotiate()).await;
                });
                Ok(subscription)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(SubscribeError::Stopped),
        }
    }

    /// Publishes the demand, tells whether that worked, and collects what comes until it is closed.
    async fn run(self: Arc<Self>, reply: oneshot::Sender<Result<(), ApiError>>) {
        let (published, outcome) = match self.demand.publish().await {
            Ok(demand) => (Some(demand), Ok(())),
            Err(error) => (None, Err(error)),
        };
        if reply.send(outcome).is_err() {
            // Whoever asked for it is gone.
            return self.close().await;
        }
        if let Some(demand) = published {
            self.closed.run_until_cancelled(self.collect(demand)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps something until the demand is withdrawn.
    pub(crate) fn keep(&self, kept: Option<DropGuard>) {
        self.lock().kept = kept;
    }

    /// Whether scripts bring `deploy` and `start` by themselves.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.by_hand
    }

    /// Withdraws the demand. Agreements are not touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub(crate) async fn close(self: &Arc<Self>) {
        self.closed.cancel();
        drop(self.lock().kept.take());
        let owned = Arc::clone(self);
        let withdrawn = self.context.tasks().run("close-market", async move {
            owned.demand.withdraw_last().await;
        });
        if let Err(lost) = withdrawn.await {
            tracing::warn!(%lost, "the demand stays until it expires");
        }
    }

    /// Offers seen up to now, and what became of them.
    pub(super) fn summary(&self) -> MarketSummary {
        let open = self.market.rentals.open();
        let state = self.lock();
        let mut summary = state.pool.summary(Instant::now());
        let rented = open
            .iter()
            .filter(|rental| state.pool.has_seen(&rental.provider_id));
        let rented: IndexMap<_, _> = rented
            .map(|rental| (&rental.provider_id, &rental.provider_name))
            .collect();
        for name in rented.into_values() {
            summary.rented_from(name);
        }
        summary
    }

    /// Collects events of the demand, and publishes it anew when it is gone, starves, or is about to
    /// expire.
    async fn collect(self: &Arc<Self>, mut demand: DemandId) {
        let config = self.context.config();
        let mut backoff = Backoff::new(self.context.seed(), format!("collect/{}", self.job));
        let mut renew_at = deadline::within(config.market.resubscribe_after);
        loop {
            let started = Instant::now();
            let wait = config.poll.min(renew_at.saturating_duration_since(started));
            let collected = if wait.is_zero() {
                None
            } else {
                tokio::select! {
                    biased;
                    // What is lost of this poll comes to the next demand as well.
                    () = self.starves.notified() => None,
                    collected = self.context.rest().market().collect(&demand, wait) => Some(collected),
                }
            };
            match collected {
                Some(Ok(events)) => {
                    let pace = Pace::of(events.is_empty(), started, wait);
                    for event in events {
                        self.take(&demand, event);
                    }
                    self.changed.notify_one();
                    backoff.keep(pace).await;
                }
                Some(Err(error)) if !error.is_status(StatusCode::NOT_FOUND) => {
                    let reason = Cause::new(error.clone());
                    let about = EventContext::of_job(&self.job).with_demand(&demand);
                    self.context.emit(about, CollectFailed { reason });
                    if error.is_status(StatusCode::UNAUTHORIZED) {
                        return self.fail(error);
                    }
                    if error.outcome() == Outcome::Unknown {
                        self.lock().pool.answer_lost();
                        self.changed.notify_one();
                    }
                    // Those who wait for offers get the time back in which there could be none.
                    self.context.is_daemon_away().await;
                    backoff.pause().await;
                }
                // The demand is gone at the daemon, starves, or expires soon.
                gone => match self.renew(&demand, gone.is_some()).await {
                    Ok(renewed) => {
                        demand = renewed;
                        renew_at = deadline::within(config.market.resubscribe_after);
                        backoff.reset();
                    }
                    Err(error) if error.is_retryable() => backoff.pause().await,
                    Err(error) => return self.fail(error),
                },
            }
        }
    }

    fn fail(&self, error: ApiError) {
        self.lock().fatal = Some(error);
        self.closed.cancel();
    }

    /// In an owned task: it must not stop half-way.
    async fn renew(self: &Arc<Self>, old: &DemandId, is_gone: bool) -> Result<DemandId, ApiError> {
        let (owned, old) = (Arc::clone(self), old.clone());
        let renewed = self.context.tasks().run("renew-demand", async move {
            let replaced = |old: &DemandId| owned.lock().pool.demand_gone(old);
            owned.demand.renew(old, is_gone, replaced).await
        });
        renewed.await.unwrap_or_else(|lost| {
            let kind = ApiErrorKind::Task(lost);
            Err(ApiError::new(
                "subscribeDemand",
                "/market-api/v1/demands",
                kind,
            ))
        })
    }

    fn take(self: &Arc<Self>, demand: &DemandId, event: CollectedEvent) {
        let events = match event {
            CollectedEvent::Offer(offer) => self.proposal_arrived(demand, offer),
            CollectedEvent::Rejected(proposal, reason) => {
                let reason =
                    reason.map_or_else(|| "no reason given".into(), |reason| reason.message);
                let reason = reason.chars().take(200).collect();
                self.lock().pool.rejected(&proposal, reason)
            }
            CollectedEvent::Other => Vec::new(),
        };
        self.tell(events);
    }

    fn proposal_arrived(
        self: &Arc<Self>,
        demand: &DemandId,
        offer: OfferProposal,
    ) -> Vec<PoolEvent> {
        let verdict = self.verdict(&offer);
        if !offer.is_initial() {
            let ranges = self.context.strategy().acceptable_prop_value_ranges();
            let agreed = check_negotiable(&ranges, self.demand.properties(), &offer);
            let bad = |reason| Verdict::Bad(RefusedFor::Terms, reason);
            let verdict = agreed.map_or_else(bad, |()| verdict);
            return self.lock().pool.answered(offer, verdict, Instant::now());
        }
        let about = self.about(&offer).with_demand(demand);
        let received = ProposalReceived {
            offer: offer.clone(),
        };
        self.context.emit(about, received);
        if let Verdict::Good(_) = verdict
            && let Some(asking) = self.context.strategy().ask(&offer)
        {
            self.offer_once_known(demand.clone(), offer, asking);
            return Vec::new();
        }
        let now = Instant::now();
        self.lock()
            .pool
            .offered(demand.clone(), offer, verdict, now)
    }

    /// Looks at an offer once the strategy was told about its provider, in an owned task: others are not
    /// held up.
    fn offer_once_known(
        self: &Arc<Self>,
        demand: DemandId,
        offer: OfferProposal,
        asking: BoxFuture<'static, Option<String>>,
    ) {
        let owned = Arc::clone(self);
        let looking = async move {
            let refused = owned.closed.run_until_cancelled(asking).await;
            // Once it is closed no offer is wanted.
            let Some(refused) = refused else { return };
            if !owned.demand.is_published_as(&demand) {
                // It comes to the demand in its place as well.
                return;
            }
            // Its score may depend on what is known by now.
            let bad = |reason| Verdict::Bad(RefusedFor::Strategy, reason);
            let verdict = refused.map_or_else(|| owned.verdict(&offer), bad);
            let events = owned
                .lock()
                .pool
                .offered(demand, offer, verdict, Instant::now());
            owned.tell(events);
            owned.changed.notify_one();
        };
        self.context.tasks().spawn("ask-about-provider", looking);
    }

    fn verdict(&self, offer: &OfferProposal) -> Verdict {
        let own_allocations = self.own_allocations();
        if !own_allocations.any_is_taken_by(offer) {
            let reason = format!("it cannot be paid on {}", own_allocations.platforms());
            return Verdict::Bad(RefusedFor::Platform, reason);
        }
        if let Some(why) = self.market.rentals.distrusted(offer.provider_id()) {
            return Verdict::Bad(RefusedFor::Distrust, why);
        }
        // Without prices no invoice could ever be checked.
        if let Err(fault) = offer.prices() {
            return Verdict::Bad(RefusedFor::Prices, fault.to_string());
        }
        match self.context.strategy().score_offer(offer) {
            Score::Accept(score) if score.is_nan() => {
                Verdict::Bad(RefusedFor::Strategy, "its score is no number".into())
            }
            Score::Accept(score) => Verdict::Good(score),
            Score::Reject(reason) => Verdict::Bad(RefusedFor::Strategy, reason),
        }
    }

    /// Sends counter-proposals as long as drafts are wanted, and gives up on silent providers.
    async fn negotiate(self: &Arc<Self>) {
        let mut payments = self.market.rentals.provider_debts().payments();
        loop {
            loop {
                let picked = self.lock().pool.pick(Instant::now());
                let Some((demand, offer)) = picked else { break };
                self.send_counter(demand, offer);
            }
            let now = Instant::now();
            if self.lock().pool.starves(now) {
                self.starves.notify_one();
            }
            let deadline = self.lock().pool.next_deadline(now);
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = payments.changed() => self.lock().pool.paid(Instant::now()),
                () = sleep_until(deadline) => {
                    let events = self.lock().pool.tick(Instant::now());
                    self.tell(events);
                }
            }
        }
    }

    /// Answers an offer, in an owned task.
    fn send_counter(self: &Arc<Self>, demand: DemandId, offer: OfferProposal) {
        let own_allocations = self.own_allocations();
        let platform = own_allocations
            .for_offer(&offer)
            .unwrap_or_else(|| own_allocations.first());
        let platform = platform.platform();
        self.lock()
            .pool
            .chosen(offer.proposal_id(), platform.into());
        let mut draft = self.demand.counter(platform);
        let strategy = self.context.strategy();
        let ranges = strategy.acceptable_prop_value_ranges();
        let answered = answer_negotiable(&ranges, &offer, &mut draft.properties).and_then(|()| {
            let responded = strategy.respond_to_offer(&offer, &mut draft);
            responded.map_err(|panicked| panicked.to_string())
        });
        let answered = answered.and_then(|()| {
            let text = self.demand.text_of(platform, draft);
            text.map_err(|unsayable| unsayable.to_string())
        });
        let counter = match answered {
            Ok(text) => text,
            Err(why) => {
                let id = offer.proposal_id();
                let events = self.lock().pool.send_failed(id, why);
                return self.tell(events);
            }
        };
        let owned = Arc::clone(self);
        self.context.tasks().spawn("counter", async move {
            let events = owned.counter(&demand, &offer, &counter).await;
            owned.tell(events);
            owned.changed.notify_one();
        });
    }

    async fn counter(
        &self,
        demand: &DemandId,
        offer: &OfferProposal,
        counter: &Bytes,
    ) -> Vec<PoolEvent> {
        let id = offer.proposal_id();
        let api = self.context.rest().market();
        let mut backoff = Backoff::new(self.context.seed(), format!("counter/{id}"));
        let policy = Policy::new(&mut backoff, COUNTER_ATTEMPTS).unless(&self.closed);
        // Saying it again does no harm: a proposal can be countered once only, and the daemon says so
        // if it was. Otherwise the provider's only offer would be lost.
        let sending = retry::until(
            policy,
            async || false,
            || async { retry::unless_passing(api.counter_said(demand, id, counter).await) },
        );
        match sending.await {
            Ok(own) => {
                let about = self.about(offer).with_demand(demand);
                self.context.emit(about, ProposalResponded {});
                self.lock().pool.sent(id, own, Instant::now())
            }
            Err(error) => match CounterFault::of(&error, demand) {
                // Only we can have countered it.
                CounterFault::Unclear | CounterFault::Countered => {
                    self.lock().pool.sent_unseen(id, Instant::now())
                }
                fault => {
                    let reason = match error.message() {
                        _ if fault == CounterFault::OfferOver => {
                            "its offer is no longer on the market".to_owned()
                        }
                        Some(message) => format!("the counter-proposal was refused: {message}"),
                        None => error.to_string(),
                    };
                    // Ids differ from refusal to refusal; without them equal reasons count together.
                    let reason = reason.replace(id.as_str(), "…");
                    self.lock().pool.send_failed(id, reason)
                }
            },
        }
    }

    /// Tells of what became of proposals: the feed of events, and providers that are refused.
    fn tell(self: &Arc<Self>, events: Vec<PoolEvent>) {
        for event in events {
            let (about, kind): (_, EventKind) = match event {
                PoolEvent::Reject {
                    demand,
                    offer,
                    why,
                    reason,
                } => {
                    let by = RefusedBy::Requestor;
                    let about = self.about(&offer).with_demand(&demand);
                    self.tell_provider(demand, &offer, &reason);
                    let rejected = ProposalRejected {
                        by,
                        why,
                        reason,
                        offer,
                    };
                    (about, rejected.into())
                }
                PoolEvent::Rejected { offer, reason } => {
                    let about = self.about(&offer);
                    let rejected = ProposalRejected {
                        by: RefusedBy::Provider,
                        why: RefusedFor::Provider,
                        reason,
                        offer,
                    };
                    (about, rejected.into())
                }
                PoolEvent::Confirmed { offer } => {
                    let about = self.about(&offer);
                    (about, ProposalConfirmed { offer }.into())
                }
                PoolEvent::Failed { offer, reason } => {
                    (self.about(&offer), ProposalFailed { reason }.into())
                }
                PoolEvent::Dropped { kept } => {
                    let about = EventContext::of_job(&self.job);
                    (about, OffersDropped { kept }.into())
                }
                PoolEvent::Violation(illegal) => {
                    let what = illegal.to_string();
                    let about = EventContext::of_job(&self.job);
                    (about, ProtocolViolation { what }.into())
                }
            };
            self.context.emit(about, kind);
        }
    }

    /// What events of a proposal are about.
    fn about(&self, offer: &OfferProposal) -> EventContext {
        EventContext::of_job(&self.job)
            .with_proposal(offer.proposal_id())
            .with_provider(offer.provider_id(), offer.provider_name())
    }

    /// Tells a provider that we do not want its proposal: a courtesy, so failures do not matter, and a
    /// flood of bad offers does not become a flood of requests.
    fn tell_provider(self: &Arc<Self>, demand: DemandId, offer: &OfferProposal, reason: &str) {
        let Ok(permit) = Arc::clone(&self.courtesy).try_acquire_owned() else {
            return;
        };
        let owned = Arc::clone(self);
        let id = offer.proposal_id().clone();
        let mut said: Reason = reason.into();
        said.extra
            .insert("golem.requestor.code".into(), Value::from("Rejected"));
        self.context.tasks().spawn("reject", async move {
            let _permit = permit;
            let api = owned.context.rest().market();
            if let Err(error) = api.reject(&demand, &id, &said).await {
                tracing::debug!(proposal = %id, %error, "the provider was not told");
            }
        });
    }

    /// Rents a machine: waits for a draft, promotes and confirms it, and waits for the provider's
    /// approval; the next draft after a refusal. Many run at once. Providers in `avoid` are the
    /// last resort.
    ///
    /// # Errors
    /// [`SignError`], when nothing was rented.
    ///
    /// # Cancel safety
    /// Cancel-safe: an agreement without a waiter is cancelled or terminated.
    pub(crate) async fn sign(self: &Arc<Self>, avoid: &[NodeId]) -> Result<Arc<Rental>, SignError> {
        let mut began = Instant::now();
        let mut backoff = Backoff::new(self.context.seed(), format!("sign/{}", self.job));
        loop {
            if self.context.now() >= self.expiration {
                return Err(SignError::Expired(self.expiration));
            }
            let draft = self.next_draft(avoid, &mut began).await?;
            if let Some(why) = self.market.rentals.distrusted(draft.offer.provider_id()) {
                // What it agreed to before is worth nothing.
                self.lock().pool.failed(&draft.offer, &why, Instant::now());
                continue;
            }
            let own = self.own_allocation_of(&draft);
            if self
                .own_allocations()
                .is_better_elsewhere(own, &draft.offer)
            {
                let why = format!("the budget on {} has no room for it", own.platform());
                self.lock().pool.failed(&draft.offer, &why, Instant::now());
                continue;
            }
            let (draft, claim) = self.claim(draft).await?;
            let rented = self.rent(draft, claim).await?;
            match rented {
                Ok(rental) => return Ok(rental),
                Err(Failure {
                    offer,
                    reason,
                    fatal,
                }) => {
                    let now = Instant::now();
                    self.lock().pool.failed(&offer, &reason, now);
                    if let Some(error) = fatal {
                        return Err(SignError::Api(error));
                    }
                    let was_away = self.context.was_daemon_away(began);
                    if was_away && self.context.daemon_back(&mut backoff).await {
                        // Drafts of before may be worth nothing: the daemon gets time for new ones.
                        began = now;
                    }
                    if now >= self.no_offers_at(began) {
                        return Err(self.no_offers());
                    }
                }
            }
        }
    }

    /// What may still be spent, and on what.
    pub(crate) fn own_allocations(&self) -> &OwnAllocations {
        &self.market.own_allocations
    }

    /// What a machine is paid from.
    pub(crate) fn budget_of(&self, rental: &Rental) -> &Arc<Budget> {
        &self.own_allocations().of(rental).budget
    }

    /// What the machine of a draft will be paid from.
    fn own_allocation_of(&self, draft: &Draft) -> &OwnAllocation {
        let chosen = draft.platform.as_deref();
        let own = chosen.and_then(|platform| self.own_allocations().on(platform));
        own.unwrap_or_else(|| self.own_allocations().first())
    }

    /// Room in the budget for the machine of a draft; without it the draft goes back.
    async fn claim(&self, draft: Draft) -> Result<(Draft, Claim), SignError> {
        let held = Held {
            subscription: self,
            draft: Some(draft),
        };
        let within = self.context.config().market.no_offers_timeout;
        let claim = match &held.draft {
            None => return Err(SignError::Closed),
            Some(draft) => {
                let offer = &draft.offer;
                let prices = offer.prices().cloned().unwrap_or_default();
                let budget = &self.own_allocation_of(draft).budget;
                let claiming = budget.claim(&prices, offer.threads(), within);
                tokio::select! {
                    biased;
                    () = self.closed.cancelled() => return Err(SignError::Closed),
                    claim = claiming => claim?,
                }
            }
        };
        Ok((held.keep(), claim))
    }

    fn no_offers(&self) -> SignError {
        let summary = self.summary();
        let within = self.context.config().market.no_offers_timeout;
        let none = NoProposalsConfirmed {
            offers_seen: summary.offers_seen,
            timeout_secs: within.as_secs(),
            summary: summary.clone(),
        };
        self.context.emit(EventContext::of_job(&self.job), none);
        SignError::NoOffers {
            within,
            summary: Box::new(summary),
        }
    }

    async fn next_draft(&self, avoid: &[NodeId], began: &mut Instant) -> Result<Draft, SignError> {
        let (id, draft) = self.lock().pool.wait(avoid, Instant::now());
        let mut place = Place {
            subscription: self,
            id,
            draft: Some(draft),
        };
        self.changed.notify_one();
        let draft = place.draft.as_mut().expect("taken below only");
        let outcome = tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(()),
            draft = draft => draft.map_err(|_| ()),
            () = self.patience(began) => return Err(self.no_offers()),
        };
        match outcome {
            Ok(draft) => {
                place.draft = None;
                Ok(draft)
            }
            Err(()) => Err(match self.lock().fatal.clone() {
                Some(error) => SignError::Api(error),
                None => SignError::Closed,
            }),
        }
    }

    /// Takes back a draft that was not used, if its demand is still there.
    fn put_back(&self, draft: Draft) {
        if self.demand.is_published_as(&draft.demand) {
            self.lock().pool.put_back(draft, Instant::now());
        }
    }

    /// When a search that began then is given up.
    fn no_offers_at(&self, began: Instant) -> Instant {
        deadline::after(began, self.context.config().market.no_offers_timeout)
    }

    /// Waits for the end of a search; it begins anew when the daemon was away, without which no offer
    /// can come.
    async fn patience(&self, began: &mut Instant) {
        let label = format!("patience/{}", self.job);
        let mut backoff = Backoff::new(self.context.seed(), label);
        loop {
            tokio::time::sleep_until(self.no_offers_at(*began)).await;
            let away = self.context.is_daemon_away().await;
            let was_away = away || self.context.was_daemon_away(*began);
            if !was_away || !self.context.daemon_back(&mut backoff).await {
                return;
            }
            *began = Instant::now();
        }
    }

    /// Turns a draft into an agreement, in an owned task.
    async fn rent(
        self: &Arc<Self>,
        draft: Draft,
        claim: Claim,
    ) -> Result<Result<Arc<Rental>, Failure>, SignError> {
        let owned = Arc::clone(self);
        let platform: Platform = self.own_allocation_of(&draft).platform().into();
        let signing = self.context.signing().see_through("sign", async move {
            // Until it counts by itself.
            let _claim = claim;
            let signing = Signing {
                context: Arc::clone(&owned.context),
                rentals: Arc::clone(&owned.market.rentals),
                job: owned.job.clone(),
                demand: draft.demand,
                offer: draft.offer,
                platform,
                since: owned.own_allocations().since(),
                closed: owned.closed.clone(),
            };
            let outcome = signing.run().await;
            if let Ok(rental) = &outcome {
                owned.lock().pool.worked(&rental.provider_id);
            }
            // Without a waiter the machine is dropped, and thereby terminated.
            outcome.map(Unclaimed::new)
        });
        match signing.await {
            Ok(outcome) => Ok(outcome.map(Unclaimed::claim)),
            Err(_) => Err(SignError::Closed),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
