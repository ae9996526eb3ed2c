//! One published demand: the subscription at which machines are rented. Owns: publishing, withdrawing, and
//! turning drafts into agreements, many at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::{DemandId, NodeId};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handshake::{self, Failure};
use super::pool::{Draft, Pool};
use super::refusals::MarketSummary;
use super::{Market, Rental, SESSION_PROPERTY, SignError, SubscribeError, demand, negotiator};
use crate::api::{ApiError, Outcome};
use crate::context::Context;
use crate::event::EventKind;
use crate::journal::Fact;
use crate::model::{JobId, ResolvedPayload};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::strategy::DemandDraft;

/// Attempts to publish a demand, and to find one whose publication had an unknown outcome.
const FIND_ATTEMPTS: u32 = 5;

/// One demand and its proposals.
pub(crate) struct DemandSubscription {
    pub(super) context: Arc<Context>,
    pub(super) market: Arc<Market>,
    pub(super) job: JobId,
    pub(super) draft: DemandDraft,
    pub(super) expiration: Timestamp,
    /// Something changed that the negotiating loop should look at.
    pub(super) changed: Notify,
    pub(super) closed: CancellationToken,
    pub(super) courtesy: Arc<Semaphore>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) pool: Pool,
    pub(super) demand: Option<DemandId>,
    /// How often it was tried to publish.
    published: u32,
    /// Why no draft will ever come.
    pub(super) fatal: Option<ApiError>,
}

impl DemandSubscription {
    pub(super) async fn open(
        market: &Arc<Market>,
        job: JobId,
        payload: &ResolvedPayload,
        expiration: Timestamp,
    ) -> Result<Arc<DemandSubscription>, SubscribeError> {
        let context = &market.context;
        if context.tasks().is_cancelled() {
            return Err(SubscribeError::Stopped);
        }
        let mut backoff = Backoff::new(context.seed().fork("decorations"));
        let budget = &market.budget.allocation_id;
        let api = context.rest().payment();
        let decoration = context
            .insist(&mut backoff, FIND_ATTEMPTS, || api.decorations(budget))
            .await?;
        let config = context.config();
        let mut draft = demand::compose(
            payload,
            &decoration,
            &config.subnet,
            context.now(),
            expiration,
        );
        let session = json!(context.app_session());
        draft.properties.insert(SESSION_PROPERTY.into(), session);
        context.strategy().decorate_demand(&mut draft);
        let subscription = Arc::new(DemandSubscription {
            context: Arc::clone(context),
            market: Arc::clone(market),
            job,
            draft,
            expiration,
            changed: Notify::new(),
            closed: context.tasks().token().child_token(),
            courtesy: negotiator::courtesy(),
            state: Mutex::new(State {
                pool: Pool::new(
                    config.market.clone(),
                    Arc::clone(market.rentals.provider_debts()),
                ),
                demand: None,
                published: 0,
                fatal: None,
            }),
        });
        let (reply, opened) = oneshot::channel();
        let owned = Arc::clone(&subscription);
        context.tasks().spawn("open-market", async move {
            let published = owned.publish().await;
            if reply.send(published).is_err() {
                // Nobody wants this market any more.
                owned.close().await;
            }
        });
        match opened.await {
            Ok(Ok(demand)) => {
                negotiator::start(&subscription, demand);
                Ok(subscription)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(SubscribeError::Stopped),
        }
    }

    /// The platform that agreements are paid on.
    pub(super) fn platform(&self) -> &str {
        &self.market.budget.payment_platform
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the demand. To be called in an owned task.
    pub(super) async fn publish(&self) -> Result<DemandId, ApiError> {
        let number = {
            let mut state = self.lock();
            state.published += 1;
            json!(format!("{}/{}", self.job, state.published))
        };
        let mut draft = self.draft.clone();
        draft
            .properties
            .insert(demand::NUMBER_PROPERTY.into(), number.clone());
        let base = demand::base(draft);
        let api = self.context.rest().market();
        let seed = self.context.seed().fork(&format!("publish/{number}"));
        let mut backoff = Backoff::new(seed);
        let policy = Policy::new(&mut backoff, FIND_ATTEMPTS).unless(&self.closed);
        let publishing = retry::until(
            policy,
            || self.context.is_daemon_away(),
            || async {
                match api.subscribe(&self.job, &base).await {
                    Err(error) if error.outcome() == Outcome::Unknown => {
                        match self.find_published(&number).await {
                            Some(found) => Attempt::Break(found),
                            // It is not there, so saying it again publishes it once.
                            None => Attempt::Continue(error),
                        }
                    }
                    Err(error) if error.outcome() == Outcome::NotSent && error.is_retryable() => {
                        Attempt::Continue(error)
                    }
                    done => Attempt::Break(done),
                }
            },
        );
        let published = publishing.await;
        match &published {
            Ok(demand) => {
                self.lock().demand = Some(demand.clone());
                self.context.emit(EventKind::SubscriptionCreated {
                    job: self.job.clone(),
                    demand_id: demand.clone(),
                });
            }
            Err(error) => self.context.emit(EventKind::SubscriptionFailed {
                job: self.job.clone(),
                reason: error.to_string(),
            }),
        }
        published
    }

    /// The demand whose publication had an unknown outcome, if there is one: adopted rather than left
    /// alone on the market. One that was published twice is withdrawn once.
    async fn find_published(&self, number: &Value) -> Option<Result<DemandId, ApiError>> {
        let label = format!("find-demand/{number}");
        let mut backoff = Backoff::new(self.context.seed().fork(&label));
        let api = self.context.rest().market();
        let listing = self
            .context
            .insist(&mut backoff, FIND_ATTEMPTS, || api.demands());
        let demands = match listing.await {
            Ok(demands) => demands,
            // What may be there is looked for again when the engine stops.
            Err(error) => return Some(Err(error)),
        };
        let session = json!(self.context.app_session());
        let mut ours = demands.into_iter().filter(|demand| {
            let said = |key| demand.properties.get(key);
            said(SESSION_PROPERTY) == Some(&session)
                && said(demand::NUMBER_PROPERTY) == Some(number)
        });
        let adopted = ours.next()?.demand_id;
        for twin in ours {
            self.withdraw(&twin.demand_id).await;
        }
        Some(Ok(adopted))
    }

    /// Withdraws a demand. To be called in an owned task.
    pub(super) async fn withdraw(&self, demand: &DemandId) {
        let label = format!("unsubscribe/{demand}");
        let mut backoff = Backoff::new(self.context.seed().fork(&label));
        // Withdrawing twice is as good as once, so it may be repeated like a read.
        let api = self.context.rest();
        let done = self
            .context
            .insist(&mut backoff, 5, || async {
                api.market().unsubscribe(demand).await
            })
            .await;
        match done {
            Ok(()) => {}
            Err(error)
                if error.is_status(StatusCode::NOT_FOUND) || error.is_status(StatusCode::GONE) =>
            {
                // An earlier attempt did it, or the daemon forgot it in a restart.
                let demand = demand.clone();
                self.context.log().fact(Fact::DemandGone { demand });
            }
            Err(error) => tracing::warn!(%demand, %error, "the demand stays until it expires"),
        }
    }

    /// Withdraws the demand. Agreements are not touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub(crate) async fn close(self: &Arc<Self>) {
        self.closed.cancel();
        let subscription = Arc::clone(self);
        let withdrawn = self.context.tasks().run("close-market", async move {
            let demand = subscription.lock().demand.take();
            if let Some(demand) = demand {
                subscription.withdraw(&demand).await;
            }
        });
        if let Err(lost) = withdrawn.await {
            tracing::warn!(%lost, "the demand stays until it expires");
        }
    }

    /// Offers seen up to now, and why they were refused.
    pub(super) fn summary(&self) -> MarketSummary {
        self.lock().pool.refusals.summary()
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
        let within = self.context.config().market.no_offers_timeout;
        let mut deadline = Instant::now() + within;
        let mut backoff = Backoff::new(self.context.seed().fork(&format!("sign/{}", self.job)));
        loop {
            if self.context.now() >= self.expiration {
                return Err(SignError::Expired(self.expiration));
            }
            let draft = self.next_draft(avoid, &mut deadline).await?;
            match self.rent(draft).await? {
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
                    let was_away = self.context.was_daemon_away(deadline - within);
                    if was_away && self.context.daemon_back(&mut backoff).await {
                        // Drafts of before may be worth nothing: the daemon gets time for new ones.
                        deadline = now + within;
                    }
                    if now >= deadline {
                        return Err(self.no_offers());
                    }
                }
            }
        }
    }

    fn no_offers(&self) -> SignError {
        let summary = self.summary();
        self.context.emit(EventKind::NoProposalsConfirmed {
            job: self.job.clone(),
            offers_seen: summary.offers_seen,
            summary: summary.to_string(),
        });
        SignError::NoOffers {
            within: self.context.config().market.no_offers_timeout,
            summary: Box::new(summary),
        }
    }

    async fn next_draft(
        &self,
        avoid: &[NodeId],
        deadline: &mut Instant,
    ) -> Result<Draft, SignError> {
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
            () = self.patience(deadline) => return Err(self.no_offers()),
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

    /// Waits for the deadline; it begins anew when the daemon was away, without which nobody can
    /// offer anything.
    async fn patience(&self, deadline: &mut Instant) {
        let seed = self.context.seed().fork(&format!("patience/{}", self.job));
        let mut backoff = Backoff::new(seed);
        loop {
            tokio::time::sleep_until(*deadline).await;
            let within = self.context.config().market.no_offers_timeout;
            let away = self.context.is_daemon_away().await;
            let was_away = away || self.context.was_daemon_away(*deadline - within);
            if !was_away || !self.context.daemon_back(&mut backoff).await {
                return;
            }
            *deadline = Instant::now() + within;
        }
    }

    /// Turns a draft into an agreement, in an owned task.
    async fn rent(
        self: &Arc<Self>,
        draft: Draft,
    ) -> Result<Result<Arc<Rental>, Failure>, SignError> {
        let (reply, rented) = oneshot::channel();
        let subscription = Arc::clone(self);
        self.context.signing().spawn("sign", async move {
            let outcome = handshake::run(&subscription, draft).await;
            if let Ok(rental) = &outcome {
                subscription.lock().pool.history.worked(&rental.provider_id);
            }
            // When the receiver is gone the machine is dropped, and thereby terminated.
            let _ = reply.send(outcome.map(Unclaimed::new));
        });
        match rented.await {
            Ok(outcome) => Ok(outcome.map(Unclaimed::claim)),
            Err(_) => Err(SignError::Closed),
        }
    }
}

/// A place in the queue for drafts; a draft that came too late goes back.
struct Place<'a> {
    subscription: &'a DemandSubscription,
    id: u64,
    draft: Option<oneshot::Receiver<Draft>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.subscription.lock();
        state.pool.leave(self.id);
        if let Some(Ok(draft)) = self.draft.as_mut().map(oneshot::Receiver::try_recv)
            && state.demand.as_ref() == Some(&draft.demand)
        {
            state.pool.put_back(draft, Instant::now());
        }
    }
}

/// A machine on its way to the one who wanted it; terminated if it never arrives.
struct Unclaimed(Option<Arc<Rental>>);

impl Unclaimed {
    fn new(rental: Arc<Rental>) -> Self {
        Unclaimed(Some(rental))
    }

    fn claim(mut self) -> Arc<Rental> {
        self.0.take().expect("claimed once")
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(rental) = self.0.take() {
            rental.give_up("nobody waits for this machine any more");
        }
    }
}
