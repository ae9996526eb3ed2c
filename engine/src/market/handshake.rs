//! From a draft to an agreement in force: create, confirm, wait for the approval; cancel what was
//! not approved in time. Performs what [`lifecycle::agreement`](crate::lifecycle::agreement) decides.

use std::sync::Arc;

use golem_wire::AgreementId;
use golem_wire::common::Reason;
use golem_wire::market::{AgreementState, Party};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::demand::NUMBER_PROPERTY;
use super::pool::Draft;
use super::subscription::DemandSubscription;
use super::{AgreementEnd, EndedBy, OpenAgreement, Rental, SESSION_PROPERTY, terminate};
use crate::api::market::Approval;
use crate::api::{ApiError, Outcome};
use crate::event::EventKind;
use crate::journal::Fact;
use crate::lifecycle::agreement::{Effect, Event, State, step};
use crate::model::OfferProposal;
use crate::retry::{self, Attempt, Backoff, Policy};

/// Attempts to find an agreement whose creation had an unknown outcome.
const ATTEMPTS: u32 = 3;

/// A draft that did not become an agreement.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) offer: OfferProposal,
    pub(super) reason: String,
    /// Set when no other draft can do better.
    pub(super) fatal: Option<ApiError>,
}

/// Signs a draft. To be called in an owned task: it must not stop half-way.
pub(super) async fn run(
    subscription: &Arc<DemandSubscription>,
    draft: Draft,
) -> Result<Arc<Rental>, Failure> {
    let Draft { offer, .. } = draft;
    let context = &subscription.context;
    let id = match create(subscription, &offer).await {
        Ok(id) => id,
        Err(error) => {
            let reason = format!("no agreement was created: {error}");
            let fatal = error.is_status(StatusCode::UNAUTHORIZED).then_some(error);
            return Err(Failure {
                offer,
                reason,
                fatal,
            });
        }
    };
    context.emit(EventKind::AgreementCreated {
        job: subscription.job.clone(),
        agreement_id: id.clone(),
        provider_id: offer.provider_id().clone(),
        provider_name: offer.provider_name().to_owned(),
    });
    subscription.market.rentals.expect(&id);
    let outcome = Handshake {
        subscription,
        offer: &offer,
        id: &id,
    }
    .run()
    .await;
    match outcome {
        Ok(rental) => Ok(rental),
        // It was in force: it stays known until it is paid.
        Err(Missed::Approved(reason)) => Err(Failure {
            offer,
            reason: format!("approved when it was not wanted any more: {reason}"),
            fatal: None,
        }),
        Err(Missed::Nothing(end)) => {
            subscription.market.rentals.forget(&id);
            if end.by != EndedBy::Lost {
                // Nothing ever ran on it, and nothing more can come of it.
                context.log().fact(Fact::AccountClosed {
                    agreement: id.clone(),
                });
            }
            context.emit(EventKind::AgreementRejected {
                job: subscription.job.clone(),
                agreement_id: id,
                provider_id: offer.provider_id().clone(),
                provider_name: offer.provider_name().to_owned(),
                reason: end.reason.clone(),
            });
            let reason = format!("the agreement came to nothing: {}", end.reason);
            Err(Failure {
                offer,
                reason,
                fatal: None,
            })
        }
    }
}

fn refused(by: EndedBy, words: &str) -> Event {
    let reason = format!("the provider answered: {words}");
    Event::Refused(AgreementEnd::new(by, reason))
}

/// Creates the agreement, once. When it is not known whether it was created, it is looked for before
/// it is asked for again; a provider does not know of an agreement that is not confirmed, so one that
/// cannot be looked for merely expires.
async fn create(
    subscription: &Arc<DemandSubscription>,
    offer: &OfferProposal,
) -> Result<AgreementId, ApiError> {
    let context = &subscription.context;
    let proposal = offer.proposal_id();
    let mut backoff = Backoff::new(context.seed().fork(&format!("create/{proposal}")));
    let policy = Policy::new(&mut backoff, ATTEMPTS).unless(&subscription.closed);
    let creating = retry::until(
        policy,
        || context.is_daemon_away(),
        || async {
            let market = context.rest().market();
            let error = match market
                .create_agreement(proposal, valid_to(subscription))
                .await
            {
                Ok(id) => return Attempt::Break(Ok(id)),
                Err(error) => error,
            };
            let exists = error.is_status(StatusCode::CONFLICT);
            if exists || error.outcome() == Outcome::Unknown {
                match find_created(subscription, offer).await {
                    Ok(Some(id)) => return Attempt::Break(Ok(id)),
                    Ok(None) if exists => return Attempt::Break(Err(error)),
                    Ok(None) => {}
                    Err(looking) => {
                        tracing::warn!(%proposal, %looking, "an agreement may be left until it expires");
                        return Attempt::Break(Err(error));
                    }
                }
            } else if error.outcome() == Outcome::Refused || !error.is_retryable() {
                return Attempt::Break(Err(error));
            }
            Attempt::Continue(error)
        },
    );
    creating.await
}

/// The agreement that was created although its answer was lost. If there are several, nobody can
/// tell which is whose, and they are cancelled.
async fn find_created(
    subscription: &DemandSubscription,
    offer: &OfferProposal,
) -> Result<Option<AgreementId>, ApiError> {
    let context = &subscription.context;
    let provider = offer.provider_id();
    let mut backoff = Backoff::new(context.seed().fork(&format!("created/{provider}")));
    let api = || context.rest().market();
    let fresh = AgreementState::Proposal;
    let list = || api().agreements(&fresh, None);
    let since = subscription.market.budget.timestamp;
    let mut found = Vec::new();
    for row in context.insist(&mut backoff, ATTEMPTS, list).await? {
        if row.role != Party::Requestor
            || row.timestamp < since
            || subscription.market.rentals.knows(&row.id)
        {
            continue;
        }
        let read = || api().agreement(&row.id);
        let agreement = context.insist(&mut backoff, ATTEMPTS, read).await?;
        let said = |key: &str| agreement.demand.properties.get(key)?.as_str();
        if said(SESSION_PROPERTY) == Some(context.app_session())
            && said(NUMBER_PROPERTY) == Some(subscription.job.as_str())
            && agreement.offer.provider_id == *provider
        {
            found.push(row.id);
        }
    }
    if found.len() > 1 {
        for id in found.drain(..) {
            let reason = Reason::from("the answer to its creation was lost");
            // Nobody confirms it: a failure leaves it to expire.
            if let Err(error) = api().cancel(&id, &reason).await {
                tracing::debug!(agreement = %id, %error, "not cancelled; it expires");
            }
        }
    }
    Ok(found.pop())
}

/// The provider may approve as long as we wait for it, and a little longer for slow clocks.
fn valid_to(subscription: &DemandSubscription) -> Timestamp {
    let wait = subscription.context.config().market.approval_timeout;
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let valid_to = subscription
        .context
        .now()
        .saturating_add(wait.saturating_add(SignedDuration::from_secs(30)));
    valid_to.unwrap_or(Timestamp::MAX)
}

/// Why there is no machine.
enum Missed {
    /// The agreement came to nothing.
    Nothing(AgreementEnd),
    /// It was approved behind our back, and has been terminated.
    Approved(String),
}

struct Handshake<'a> {
    subscription: &'a Arc<DemandSubscription>,
    offer: &'a OfferProposal,
    id: &'a AgreementId,
}

impl Handshake<'_> {
    async fn run(&self) -> Result<Arc<Rental>, Missed> {
        let mut state = State::Created;
        let mut event = self.confirm().await;
        loop {
            let (next, effects) = match step(state, event) {
                Ok(done) => done,
                Err(illegal) => {
                    // Cannot be: every event below answers the effect that was asked for.
                    self.subscription
                        .context
                        .emit(EventKind::ProtocolViolation {
                            what: illegal.to_string(),
                        });
                    return Err(self.left_open(illegal.to_string()));
                }
            };
            state = next;
            let Some(effect) = effects.into_iter().next() else {
                return Err(self.left_open("the handshake stopped".into()));
            };
            event = match effect {
                Effect::HandOver => return Ok(self.hand_over()),
                Effect::Announce(end) => return Err(Missed::Nothing(end)),
                Effect::AwaitApproval => self.await_approval().await,
                Effect::Cancel(reason) => self.cancel(reason.as_str().into()).await,
                Effect::Terminate(reason) => {
                    // In force like any other until it has ended: its invoice must find it.
                    let rental = self.hand_over();
                    rental.terminate(reason.as_str().into()).await;
                    return Err(Missed::Approved(reason));
                }
                Effect::LookUp => {
                    match terminate::look_up(&self.subscription.context, self.id).await {
                        Ok(found) => Event::Found(found),
                        Err(error) => return Err(self.left_open(error.to_string())),
                    }
                }
            };
        }
    }

    fn left_open(&self, reason: String) -> Missed {
        self.subscription.market.rentals.leave_open(OpenAgreement {
            agreement_id: self.id.clone(),
            provider_name: self.offer.provider_name().to_owned(),
            reason: reason.clone(),
        });
        Missed::Nothing(AgreementEnd::new(EndedBy::Lost, reason))
    }

    async fn confirm(&self) -> Event {
        let context = &self.subscription.context;
        match context
            .rest()
            .market()
            .confirm(self.id, context.app_session())
            .await
        {
            Ok(()) => Event::Confirmed,
            Err(error) => Event::ConfirmFailed(error.outcome(), error.to_string()),
        }
    }

    async fn await_approval(&self) -> Event {
        let context = &self.subscription.context;
        let wait = context.config().market.approval_timeout;
        let waited = tokio::select! {
            biased;
            waited = context.rest().market().wait_for_approval(self.id, wait) => waited,
            () = self.subscription.closed.cancelled() => return Event::NotInTime,
        };
        match waited {
            Ok(Approval::Given) => Event::Approved,
            Ok(Approval::NotInTime) => Event::NotInTime,
            Ok(Approval::Expired(words)) => refused(EndedBy::Expired, &words),
            Ok(Approval::Refused(words)) => refused(EndedBy::Provider, &words),
            Err(error) => Event::WaitFailed(error.to_string()),
        }
    }

    async fn cancel(&self, reason: Reason) -> Event {
        match self
            .subscription
            .context
            .rest()
            .market()
            .cancel(self.id, &reason)
            .await
        {
            Ok(()) => Event::Cancelled,
            Err(error) => {
                tracing::debug!(agreement = %self.id, %error, "cancelling failed");
                Event::CancelFailed
            }
        }
    }

    fn hand_over(&self) -> Arc<Rental> {
        let subscription = self.subscription;
        let (context, rentals) = (&subscription.context, &subscription.market.rentals);
        // New ones come as old ones go, so this is a good time to forget.
        rentals.prune();
        let rental = Rental::new(
            rentals,
            subscription.job.clone(),
            self.id.clone(),
            self.offer,
        );
        let rental = Arc::new(rental);
        context.emit(EventKind::AgreementConfirmed {
            job: subscription.job.clone(),
            agreement_id: self.id.clone(),
            provider_id: self.offer.provider_id().clone(),
            provider_name: self.offer.provider_name().to_owned(),
        });
        if let Some(end) = rentals.insert(Arc::clone(&rental)) {
            rental.heard_end(end);
        }
        rental
    }
}
