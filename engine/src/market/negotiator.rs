//! The loops of a demand: one collects what providers say, one answers them and keeps the demand
//! alive. Owns: timers and requests. Who is answered is [`pool`](super::pool)'s decision.

use std::sync::Arc;

use golem_wire::DemandId;
use golem_wire::market::{DemandEvent, Proposal, ProposalState};
use http::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::demand::{self, NUMBER_PROPERTY};
use super::pool::PoolEvent;
use super::subscription::DemandSubscription;
use crate::api::ApiError;
use crate::api::market::CounterFault;
use crate::event::EventKind;
use crate::journal::Fact;
use crate::lifecycle::negotiation::Verdict;
use crate::model::OfferProposal;
use crate::retry::{self, Backoff, Pace, Policy};
use crate::strategy::Score;

/// Rejections sent to providers at the same time; beyond it they are only counted.
const COURTESY: usize = 16;

/// Attempts to send a counter-proposal.
const COUNTER_ATTEMPTS: u32 = 5;

/// Starts the loops; they end when the subscription is closed.
pub(super) fn start(subscription: &Arc<DemandSubscription>, demand: DemandId) {
    let collecting = Arc::clone(subscription);
    subscription.context.tasks().spawn("collect", async move {
        let closed = collecting.closed.clone();
        closed
            .run_until_cancelled(collect(collecting, demand))
            .await;
    });
    let answering = Arc::clone(subscription);
    subscription.context.tasks().spawn("negotiate", async move {
        let closed = answering.closed.clone();
        closed.run_until_cancelled(negotiate(answering)).await;
    });
}

/// Collects events of the demand, and publishes it anew when it is gone or about to expire.
async fn collect(subscription: Arc<DemandSubscription>, mut demand: DemandId) {
    let config = subscription.context.config();
    let mut backoff = Backoff::new(
        subscription
            .context
            .seed()
            .fork(&format!("collect/{}", subscription.job)),
    );
    let mut renew_at = Instant::now() + config.market.resubscribe_after;
    loop {
        let started = Instant::now();
        let wait = config.poll.min(renew_at.saturating_duration_since(started));
        let collected = if wait.is_zero() {
            None
        } else {
            Some(
                subscription
                    .context
                    .rest()
                    .market()
                    .collect(&demand, wait)
                    .await,
            )
        };
        match collected {
            Some(Ok(events)) => {
                let pace = Pace::of(events.is_empty(), started, wait);
                for event in events {
                    take(&subscription, &demand, event);
                }
                subscription.changed.notify_one();
                backoff.keep(pace).await;
            }
            Some(Err(error)) if !error.is_status(StatusCode::NOT_FOUND) => {
                subscription.context.emit(EventKind::CollectFailed {
                    job: subscription.job.clone(),
                    demand_id: demand.clone(),
                    reason: error.to_string(),
                });
                if error.is_status(StatusCode::UNAUTHORIZED) {
                    return fail(&subscription, error);
                }
                // Those who wait for offers get the time back in which there could be none.
                subscription.context.is_daemon_away().await;
                backoff.pause().await;
            }
            // The demand is gone at the daemon, or its hour is nearly over.
            gone => match renew(&subscription, &demand, gone.is_some()).await {
                Ok(renewed) => {
                    demand = renewed;
                    renew_at = Instant::now() + config.market.resubscribe_after;
                    backoff.reset();
                }
                Err(error) if error.is_retryable() => backoff.pause().await,
                Err(error) => return fail(&subscription, error),
            },
        }
    }
}

fn fail(subscription: &DemandSubscription, error: ApiError) {
    subscription.lock().fatal = Some(error);
    subscription.closed.cancel();
}

async fn renew(
    subscription: &Arc<DemandSubscription>,
    old: &DemandId,
    is_gone: bool,
) -> Result<DemandId, crate::api::ApiError> {
    let owned = Arc::clone(subscription);
    let old = old.clone();
    let renewed = subscription
        .context
        .tasks()
        .run("renew-demand", async move {
            let renewed = owned.publish().await?;
            owned.lock().pool.demand_gone(&old);
            if is_gone {
                let demand = old;
                owned.context.log().fact(Fact::DemandGone { demand });
            } else {
                owned.withdraw(&old).await;
            }
            if owned.closed.is_cancelled() {
                // Closing and renewing crossed: the closer may not have seen the new demand.
                let unseen = owned.lock().demand.take();
                if let Some(demand) = unseen {
                    owned.withdraw(&demand).await;
                }
            }
            Ok(renewed)
        });
    renewed.await.unwrap_or_else(|lost| {
        let kind = crate::api::ApiErrorKind::Task(lost);
        Err(crate::api::ApiError::new(
            "subscribeDemand",
            "/market-api/v1/demands",
            kind,
        ))
    })
}

fn take(subscription: &Arc<DemandSubscription>, demand: &DemandId, event: DemandEvent) {
    let events = match event {
        DemandEvent::ProposalEvent { proposal, .. } => {
            proposal_arrived(subscription, demand, *proposal)
        }
        DemandEvent::ProposalRejectedEvent {
            proposal_id,
            reason,
            ..
        } => {
            let reason = reason.map_or_else(|| "no reason given".into(), |reason| reason.message);
            let reason = reason.chars().take(200).collect();
            subscription.lock().pool.rejected(&proposal_id, reason)
        }
        DemandEvent::Other => Vec::new(),
    };
    publish(subscription, events);
}

fn proposal_arrived(
    subscription: &Arc<DemandSubscription>,
    demand: &DemandId,
    proposal: Proposal,
) -> Vec<PoolEvent> {
    let is_initial =
        proposal.state == ProposalState::Initial && proposal.prev_proposal_id.is_none();
    let offer = OfferProposal::new(proposal);
    let verdict = verdict(subscription, &offer);
    if !is_initial {
        return subscription
            .lock()
            .pool
            .answered(offer, verdict, Instant::now());
    }
    subscription.context.emit(EventKind::ProposalReceived {
        job: subscription.job.clone(),
        proposal_id: offer.proposal_id().clone(),
        provider_id: offer.provider_id().clone(),
        provider_name: offer.provider_name().to_owned(),
    });
    subscription
        .lock()
        .pool
        .offered(demand.clone(), offer, verdict)
}

fn verdict(subscription: &DemandSubscription, offer: &OfferProposal) -> Verdict {
    let address = format!(
        "golem.com.payment.platform.{}.address",
        subscription.platform()
    );
    if !offer.properties().contains_key(&address) {
        return Verdict::Bad(format!("it cannot be paid on {}", subscription.platform()));
    }
    // Without prices no invoice could ever be checked.
    if let Err(fault) = offer.prices() {
        return Verdict::Bad(fault.to_string());
    }
    match subscription.context.strategy().score_offer(offer) {
        Score::Accept(score) if score.is_nan() => Verdict::Bad("its score is no number".into()),
        Score::Accept(score) => Verdict::Good(score),
        Score::Reject(reason) => Verdict::Bad(reason),
    }
}

/// Sends counter-proposals as long as drafts are wanted, and gives up on silent providers.
async fn negotiate(subscription: Arc<DemandSubscription>) {
    let mut payments = subscription.market.rentals.provider_debts().payments();
    loop {
        loop {
            let picked = subscription.lock().pool.pick(Instant::now());
            let Some((demand, offer)) = picked else { break };
            send_counter(&subscription, demand, offer);
        }
        let now = Instant::now();
        let deadline = subscription.lock().pool.next_deadline(now);
        tokio::select! {
            biased;
            () = subscription.changed.notified() => {}
            // The sender lives as long as the context.
            Ok(()) = payments.changed() => subscription.lock().pool.paid(Instant::now()),
            () = sleep_until(deadline) => {
                let events = subscription.lock().pool.tick(Instant::now());
                publish(&subscription, events);
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn send_counter(subscription: &Arc<DemandSubscription>, demand: DemandId, offer: OfferProposal) {
    let mut counter = demand::counter(&subscription.draft, subscription.platform());
    // It becomes our side of the agreement, and tells there which job it is for.
    let job = Value::from(subscription.job.as_str());
    counter.properties.insert(NUMBER_PROPERTY.into(), job);
    subscription
        .context
        .strategy()
        .respond_to_offer(&offer, &mut counter);
    let counter = demand::base(counter);
    let subscription = Arc::clone(subscription);
    subscription
        .context
        .tasks()
        .clone()
        .spawn("counter", async move {
            let id = offer.proposal_id();
            let market = || subscription.context.rest().market();
            let mut backoff =
                Backoff::new(subscription.context.seed().fork(&format!("counter/{id}")));
            let policy = Policy::new(&mut backoff, COUNTER_ATTEMPTS).unless(&subscription.closed);
            // Saying it again does no harm: a proposal can be countered once only, and the daemon says
            // so if it was. Otherwise the provider's only offer would be lost.
            let sending = retry::until(
                policy,
                async || false,
                || async { retry::unless_passing(market().counter(&demand, id, &counter).await) },
            );
            let events = match sending.await {
                Ok(own) => {
                    subscription.context.emit(EventKind::ProposalResponded {
                        job: subscription.job.clone(),
                        proposal_id: id.clone(),
                        provider_id: offer.provider_id().clone(),
                        provider_name: offer.provider_name().to_owned(),
                    });
                    subscription.lock().pool.sent(id, own, Instant::now())
                }
                Err(error) => match CounterFault::of(&error, &demand) {
                    // Nobody else can have countered it.
                    CounterFault::Unclear | CounterFault::Countered => {
                        subscription.lock().pool.sent_unseen(id, Instant::now())
                    }
                    fault => {
                        let reason = match error.message() {
                            _ if fault == CounterFault::OfferOver => {
                                "its offer is no longer on the market".to_owned()
                            }
                            Some(message) => format!("the counter-proposal was refused: {message}"),
                            None => error.to_string(),
                        };
                        // Ids differ from refusal to refusal; without them equal reasons count
                        // together.
                        let reason = reason.replace(id.as_str(), "…");
                        subscription.lock().pool.send_failed(id, reason)
                    }
                },
            };
            publish(&subscription, events);
            subscription.changed.notify_one();
        });
}

fn publish(subscription: &Arc<DemandSubscription>, events: Vec<PoolEvent>) {
    let job = || subscription.job.clone();
    for event in events {
        let kind = match event {
            PoolEvent::Reject {
                demand,
                offer,
                reason,
            } => {
                tell_provider(subscription, demand, &offer, &reason);
                rejected(subscription, &offer, reason)
            }
            PoolEvent::Rejected { offer, reason } => rejected(subscription, &offer, reason),
            PoolEvent::Confirmed { offer } => EventKind::ProposalConfirmed {
                job: job(),
                proposal_id: offer.proposal_id().clone(),
                provider_id: offer.provider_id().clone(),
                provider_name: offer.provider_name().to_owned(),
            },
            PoolEvent::Failed { offer, reason } => EventKind::ProposalFailed {
                job: job(),
                proposal_id: offer.proposal_id().clone(),
                provider_id: offer.provider_id().clone(),
                reason,
            },
            PoolEvent::Violation(illegal) => EventKind::ProtocolViolation {
                what: illegal.to_string(),
            },
        };
        subscription.context.emit(kind);
    }
}

fn rejected(subscription: &DemandSubscription, offer: &OfferProposal, reason: String) -> EventKind {
    EventKind::ProposalRejected {
        job: subscription.job.clone(),
        proposal_id: offer.proposal_id().clone(),
        provider_id: offer.provider_id().clone(),
        provider_name: offer.provider_name().to_owned(),
        reason,
    }
}

/// Tells a provider that we do not want its proposal: a courtesy, so failures do not matter, and a
/// flood of bad offers does not become a flood of requests.
fn tell_provider(
    subscription: &Arc<DemandSubscription>,
    demand: DemandId,
    offer: &OfferProposal,
    reason: &str,
) {
    let Ok(permit) = subscription.courtesy.clone().try_acquire_owned() else {
        return;
    };
    let subscription = Arc::clone(subscription);
    let id = offer.proposal_id().clone();
    let mut said: golem_wire::common::Reason = reason.into();
    said.extra
        .insert("golem.requestor.code".into(), Value::from("Rejected"));
    subscription
        .context
        .tasks()
        .clone()
        .spawn("reject", async move {
            let _permit = permit;
            if let Err(error) = subscription
                .context
                .rest()
                .market()
                .reject(&demand, &id, &said)
                .await
            {
                tracing::debug!(proposal = %id, %error, "the provider was not told");
            }
        });
}

pub(super) fn courtesy() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(COURTESY))
}
