//! The loops of a demand: one collects what providers say, one answers them and keeps the demand
//! alive. Owns: timers and requests. Who is answered is [`pool`](super::pool)'s decision.

use std::sync::Arc;

use golem_wire::DemandId;
use golem_wire::market::{DemandEvent, Proposal, ProposalState};
use http::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::demand::{self, NUMBER_PROPERTY};
use super::pool::Note;
use super::signing::Desk;
use crate::api::{ApiError, Outcome};
use crate::event::EventKind;
use crate::journal::Fact;
use crate::lifecycle::negotiation::Verdict;
use crate::model::OfferProposal;
use crate::retry::{Backoff, Pace};
use crate::strategy::Score;

/// Rejections sent to providers at the same time; beyond it they are only counted.
const COURTESY: usize = 16;

/// Attempts to send a counter-proposal.
const COUNTER_ATTEMPTS: u32 = 5;

/// Starts the loops; they end when the desk is closed.
pub(super) fn start(desk: &Arc<Desk>, demand: DemandId) {
    let collecting = Arc::clone(desk);
    desk.core.tasks().spawn("collect", async move {
        let closed = collecting.closed.clone();
        closed
            .run_until_cancelled(collect(collecting, demand))
            .await;
    });
    let answering = Arc::clone(desk);
    desk.core.tasks().spawn("negotiate", async move {
        let closed = answering.closed.clone();
        closed.run_until_cancelled(negotiate(answering)).await;
    });
}

/// Collects events of the demand, and publishes it anew when it is gone or about to expire.
async fn collect(desk: Arc<Desk>, mut demand: DemandId) {
    let config = desk.core.config();
    let mut backoff = Backoff::new(desk.core.seed().fork(&format!("collect/{}", desk.job)));
    let mut renew_at = Instant::now() + config.market.resubscribe_after;
    loop {
        let started = Instant::now();
        let wait = config.poll.min(renew_at.saturating_duration_since(started));
        let collected = if wait.is_zero() {
            None
        } else {
            Some(desk.core.rest().market().collect(&demand, wait).await)
        };
        match collected {
            Some(Ok(events)) => {
                let pace = Pace::of(events.is_empty(), started, wait);
                for event in events {
                    take(&desk, &demand, event);
                }
                desk.changed.notify_one();
                backoff.keep(pace).await;
            }
            Some(Err(error)) if !error.is_status(StatusCode::NOT_FOUND) => {
                desk.core.emit(EventKind::CollectFailed {
                    job: desk.job.clone(),
                    demand_id: demand.clone(),
                    reason: error.to_string(),
                });
                if error.is_status(StatusCode::UNAUTHORIZED) {
                    return fail(&desk, error);
                }
                // Those who wait for offers get the time back in which there could be none.
                desk.core.is_daemon_away().await;
                backoff.pause().await;
            }
            // The demand is gone at the daemon, or its hour is nearly over.
            gone => match renew(&desk, &demand, gone.is_some()).await {
                Ok(renewed) => {
                    demand = renewed;
                    renew_at = Instant::now() + config.market.resubscribe_after;
                    backoff.reset();
                }
                Err(error) if error.is_retryable() => backoff.pause().await,
                Err(error) => return fail(&desk, error),
            },
        }
    }
}

fn fail(desk: &Desk, error: ApiError) {
    desk.lock().fatal = Some(error);
    desk.closed.cancel();
}

async fn renew(
    desk: &Arc<Desk>,
    old: &DemandId,
    is_gone: bool,
) -> Result<DemandId, crate::api::ApiError> {
    let owned = Arc::clone(desk);
    let old = old.clone();
    let renewed = desk.core.tasks().run("renew-demand", async move {
        let renewed = owned.publish().await?;
        owned.lock().pool.demand_gone(&old);
        if is_gone {
            let demand = old;
            owned.core.log().fact(Fact::DemandGone { demand });
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

fn take(desk: &Arc<Desk>, demand: &DemandId, event: DemandEvent) {
    let notes = match event {
        DemandEvent::ProposalEvent { proposal, .. } => proposal_arrived(desk, demand, *proposal),
        DemandEvent::ProposalRejectedEvent {
            proposal_id,
            reason,
            ..
        } => {
            let reason = reason.map_or_else(|| "no reason given".into(), |reason| reason.message);
            let reason = reason.chars().take(200).collect();
            desk.lock().pool.rejected(&proposal_id, reason)
        }
        DemandEvent::Other => Vec::new(),
    };
    publish(desk, notes);
}

fn proposal_arrived(desk: &Arc<Desk>, demand: &DemandId, proposal: Proposal) -> Vec<Note> {
    let is_initial =
        proposal.state == ProposalState::Initial && proposal.prev_proposal_id.is_none();
    let offer = OfferProposal::new(proposal);
    let verdict = verdict(desk, &offer);
    if !is_initial {
        return desk.lock().pool.answered(offer, verdict, Instant::now());
    }
    desk.core.emit(EventKind::ProposalReceived {
        job: desk.job.clone(),
        proposal_id: offer.proposal_id().clone(),
        provider_id: offer.provider_id().clone(),
        provider_name: offer.provider_name().to_owned(),
    });
    desk.lock().pool.offered(demand.clone(), offer, verdict)
}

fn verdict(desk: &Desk, offer: &OfferProposal) -> Verdict {
    let address = format!("golem.com.payment.platform.{}.address", desk.platform);
    if !offer.properties().contains_key(&address) {
        return Verdict::Bad(format!("it cannot be paid on {}", desk.platform));
    }
    // Without prices no invoice could ever be checked.
    if let Err(fault) = offer.prices() {
        return Verdict::Bad(fault.to_string());
    }
    match desk.core.strategy().score_offer(offer) {
        Score::Accept(score) if score.is_nan() => Verdict::Bad("its score is no number".into()),
        Score::Accept(score) => Verdict::Good(score),
        Score::Reject(reason) => Verdict::Bad(reason),
    }
}

/// Sends counter-proposals as long as drafts are wanted, and gives up on silent providers.
async fn negotiate(desk: Arc<Desk>) {
    let mut payments = desk.core.rentals().owed().payments();
    loop {
        loop {
            let picked = desk.lock().pool.pick(Instant::now());
            let Some((demand, offer)) = picked else { break };
            send_counter(&desk, demand, offer);
        }
        let now = Instant::now();
        let deadline = desk.lock().pool.next_deadline(now);
        tokio::select! {
            biased;
            () = desk.changed.notified() => {}
            // The sender lives as long as the core.
            Ok(()) = payments.changed() => desk.lock().pool.paid(Instant::now()),
            () = sleep_until(deadline) => {
                let notes = desk.lock().pool.tick(Instant::now());
                publish(&desk, notes);
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

fn send_counter(desk: &Arc<Desk>, demand: DemandId, offer: OfferProposal) {
    let mut counter = demand::counter(&desk.draft, &desk.platform);
    // It becomes our side of the agreement, and tells there which job it is for.
    let job = Value::from(desk.job.as_str());
    counter.properties.insert(NUMBER_PROPERTY.into(), job);
    desk.core.strategy().respond_to_offer(&offer, &mut counter);
    let counter = demand::base(counter);
    let desk = Arc::clone(desk);
    desk.core.tasks().clone().spawn("counter", async move {
        let id = offer.proposal_id();
        let market = || desk.core.rest().market();
        let unclear = |error: &ApiError| error.outcome() == Outcome::Unknown;
        let mut sent = market().counter(&demand, id, &counter).await;
        let mut backoff = Backoff::new(desk.core.seed().fork(&format!("counter/{id}")));
        let mut attempt = 1;
        while let Err(error) = &sent
            && error.is_retryable()
            && attempt < COUNTER_ATTEMPTS
            && !desk.closed.is_cancelled()
        {
            // Saying it again does no harm: a proposal can be countered once only, and the daemon
            // says so if it was. Otherwise the provider's only offer would be lost.
            attempt += 1;
            backoff.pause().await;
            sent = market().counter(&demand, id, &counter).await;
        }
        let notes = match sent {
            // Nobody else can have countered it. An offer that expired is the same status.
            Err(error)
                if unclear(&error) || error.is_status(StatusCode::GONE) && !is_over(&error) =>
            {
                desk.lock().pool.sent_unseen(id, Instant::now())
            }
            Ok(own) => {
                desk.core.emit(EventKind::ProposalResponded {
                    job: desk.job.clone(),
                    proposal_id: id.clone(),
                    provider_id: offer.provider_id().clone(),
                    provider_name: offer.provider_name().to_owned(),
                });
                desk.lock().pool.sent(id, own, Instant::now())
            }
            Err(error) => {
                let reason = match error.message() {
                    Some(_) if is_over(&error) && !names(&error, &demand) => {
                        "its offer is no longer on the market".to_owned()
                    }
                    Some(message) => format!("the counter-proposal was refused: {message}"),
                    None => error.to_string(),
                };
                // Ids differ from refusal to refusal; without them equal reasons count together.
                let reason = reason.replace(id.as_str(), "…");
                desk.lock().pool.send_failed(id, reason)
            }
        };
        publish(&desk, notes);
        desk.changed.notify_one();
    });
}

/// Whether the offer or the demand behind a proposal is over; only the daemon's words tell.
fn is_over(error: &ApiError) -> bool {
    let message = error.message();
    message.is_some_and(|message| message.starts_with("Subscription ["))
}

fn names(error: &ApiError, demand: &DemandId) -> bool {
    let message = error.message();
    message.is_some_and(|message| message.contains(demand.as_str()))
}

fn publish(desk: &Arc<Desk>, notes: Vec<Note>) {
    let job = || desk.job.clone();
    for note in notes {
        let kind = match note {
            Note::Reject {
                demand,
                offer,
                reason,
            } => {
                tell_provider(desk, demand, &offer, &reason);
                rejected(desk, &offer, reason)
            }
            Note::Rejected { offer, reason } => rejected(desk, &offer, reason),
            Note::Confirmed { offer } => EventKind::ProposalConfirmed {
                job: job(),
                proposal_id: offer.proposal_id().clone(),
                provider_id: offer.provider_id().clone(),
                provider_name: offer.provider_name().to_owned(),
            },
            Note::Failed { offer, reason } => EventKind::ProposalFailed {
                job: job(),
                proposal_id: offer.proposal_id().clone(),
                provider_id: offer.provider_id().clone(),
                reason,
            },
            Note::Violation(illegal) => EventKind::ProtocolViolation {
                what: illegal.to_string(),
            },
        };
        desk.core.emit(kind);
    }
}

fn rejected(desk: &Desk, offer: &OfferProposal, reason: String) -> EventKind {
    EventKind::ProposalRejected {
        job: desk.job.clone(),
        proposal_id: offer.proposal_id().clone(),
        provider_id: offer.provider_id().clone(),
        provider_name: offer.provider_name().to_owned(),
        reason,
    }
}

/// Tells a provider that we do not want its proposal: a courtesy, so failures do not matter, and a
/// flood of bad offers does not become a flood of requests.
fn tell_provider(desk: &Arc<Desk>, demand: DemandId, offer: &OfferProposal, reason: &str) {
    let Ok(permit) = desk.courtesy.clone().try_acquire_owned() else {
        return;
    };
    let desk = Arc::clone(desk);
    let id = offer.proposal_id().clone();
    let mut said: golem_wire::common::Reason = reason.into();
    said.extra
        .insert("golem.requestor.code".into(), Value::from("Rejected"));
    desk.core.tasks().clone().spawn("reject", async move {
        let _permit = permit;
        if let Err(error) = desk.core.rest().market().reject(&demand, &id, &said).await {
            tracing::debug!(proposal = %id, %error, "the provider was not told");
        }
    });
}

pub(super) fn courtesy() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(COURTESY))
}
