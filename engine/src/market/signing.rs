//! From a draft to an agreement in force: create, confirm, wait for the approval; cancel what was
//! not approved in time. Performs what [`lifecycle::signing`](crate::lifecycle::signing) decides.
//!
//! The provider's answer is in the feed of agreement events, which is read anyway: a thousand agreements wait without a
//! request each. Who is slow is asked for (`waitForApproval`), so that a feed that cannot be read costs time but no machine.

use std::sync::Arc;
use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::market::{AgreementState, Party};
use golem_wire::{AgreementId, DemandId};
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::demand::NUMBER_PROPERTY;
use super::own_allocations::Platform;
use super::rentals::Answer;
use super::{AgreementEnd, EndedBy, OpenAgreement, Rental, Rentals};
use crate::api::market::Approval;
use crate::api::{ApiError, Outcome};
use crate::context::Context;
use crate::deadline;
use crate::event::{
    AgreementConfirmed, AgreementCreated, AgreementRejected, EventContext, ProtocolViolation,
};
use crate::journal::Fact;
use crate::lifecycle::signing::{Effect, Event, State, step};
use crate::model::{JobId, OfferProposal};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::settle::Ender;
use crate::settle::observe::session_of;

/// Attempts to find an agreement whose creation had an unknown outcome.
const ATTEMPTS: u32 = 3;

/// How much longer than we wait a provider may approve.
const SLOW_CLOCK: Duration = Duration::from_secs(30);

/// How long the feed may take to tell the provider's answer, at the most, before the daemon is asked.
const ASKED_AFTER: Duration = Duration::from_secs(5);

/// A draft that did not become an agreement.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) offer: OfferProposal,
    pub(super) reason: String,
    /// Set when no other draft can do better.
    pub(super) fatal: Option<ApiError>,
}

/// Why there is no machine.
enum Missed {
    /// The agreement came to nothing.
    Nothing(AgreementEnd),
    /// It was approved after all, and has ended.
    Approved(String),
}

/// A draft on its way to an agreement.
pub(super) struct Signing {
    pub(super) context: Arc<Context>,
    pub(super) rentals: Arc<Rentals>,
    pub(super) job: JobId,
    pub(super) demand: DemandId,
    pub(super) offer: OfferProposal,
    /// What the agreement is paid on.
    pub(super) platform: Platform,
    /// When the engine's budget was set aside, in the daemon's time: older agreements are not ours.
    pub(super) since: Timestamp,
    /// Nothing more is wanted once it is closed.
    pub(super) closed: CancellationToken,
}

impl Signing {
    /// Signs the draft. To be called in an owned task: it must not stop half-way.
    pub(super) async fn run(self) -> Result<Arc<Rental>, Failure> {
        let id = match self.create().await {
            Ok(id) => id,
            Err(error) => {
                let reason = format!("no agreement was created: {error}");
                let fatal = error.is_status(StatusCode::UNAUTHORIZED).then_some(error);
                return Err(self.failure(reason, fatal));
            }
        };
        self.context.emit(self.about(&id), AgreementCreated {});
        let answered = self.rentals.expect(&id);
        match self.sign(&id, answered).await {
            Ok(rental) => Ok(rental),
            // It was in force: it stays known until it is paid.
            Err(Missed::Approved(reason)) => {
                let reason = format!("approved when it was not wanted any more: {reason}");
                Err(self.failure(reason, None))
            }
            Err(Missed::Nothing(end)) => {
                self.rentals.forget(&id);
                if end.by != EndedBy::Lost {
                    // Nothing ever ran on it, and nothing more can come of it.
                    self.context.log().fact(Fact::AccountClosed {
                        agreement: id.clone(),
                    });
                }
                let rejected = AgreementRejected {
                    by: end.by,
                    reason: end.reason.clone(),
                };
                self.context.emit(self.about(&id), rejected);
                let reason = format!("the agreement came to nothing: {}", end.reason);
                Err(self.failure(reason, None))
            }
        }
    }

    fn about(&self, id: &AgreementId) -> EventContext {
        EventContext::of_job(&self.job)
            .with_demand(&self.demand)
            .with_proposal(self.offer.proposal_id())
            .with_agreement(id)
            .with_provider(self.offer.provider_id(), self.offer.provider_name())
    }

    fn failure(self, reason: String, fatal: Option<ApiError>) -> Failure {
        Failure {
            offer: self.offer,
            reason,
            fatal,
        }
    }

    /// Creates the agreement, once. When it is not known whether it was created, it is looked for before
    /// it is asked for again; a provider does not know of an agreement that is not confirmed, so one that
    /// cannot be looked for merely expires.
    async fn create(&self) -> Result<AgreementId, ApiError> {
        let context = &self.context;
        let proposal = self.offer.proposal_id();
        let mut backoff = Backoff::new(context.seed(), format!("create/{proposal}"));
        let policy = Policy::new(&mut backoff, ATTEMPTS).unless(&self.closed);
        let creating = retry::until(
            policy,
            || context.is_daemon_away(),
            || async {
                let market = context.rest().market();
                let error = match market.create_agreement(proposal, self.valid_to()).await {
                    Ok(id) => return Attempt::Break(Ok(id)),
                    Err(error) => error,
                };
                let exists = error.is_status(StatusCode::CONFLICT);
                if exists || error.outcome() == Outcome::Unknown {
                    // Boxed, as all that follows a lost answer: hardly ever needed.
                    match Box::pin(self.find_created()).await {
                        Ok(Some(id)) => {
                            // No answer tells the journal its id.
                            let agreement = id.clone();
                            context.log().fact(Fact::AgreementFound { agreement });
                            return Attempt::Break(Ok(id));
                        }
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

    /// The agreement that was created although its answer was lost. If there are several, which
    /// is whose cannot be told, and they are cancelled.
    async fn find_created(&self) -> Result<Option<AgreementId>, ApiError> {
        let context = &self.context;
        let provider = self.offer.provider_id();
        let mut backoff = Backoff::new(context.seed(), format!("created/{provider}"));
        let api = || context.rest().market();
        let fresh = AgreementState::Proposal;
        let list = || api().agreements(&fresh, None);
        let since = self.since;
        let mut found = Vec::new();
        for row in context.insist(&mut backoff, ATTEMPTS, list).await? {
            if row.role != Party::Requestor || row.timestamp < since || self.rentals.knows(&row.id)
            {
                continue;
            }
            let read = || api().agreement(&row.id);
            let agreement = context.insist(&mut backoff, ATTEMPTS, read).await?;
            let job = agreement.demand.properties.get(NUMBER_PROPERTY);
            if session_of(&agreement) == Some(context.app_session())
                && job.and_then(|job| job.as_str()) == Some(self.job.as_str())
                && agreement.offer.provider_id == *provider
            {
                found.push(row.id);
            }
        }
        if found.len() > 1 {
            for id in found.drain(..) {
                let reason = Reason::from("the answer to its creation was lost");
                // It is not confirmed: a failure leaves it to expire.
                if let Err(error) = api().cancel(&id, &reason).await {
                    tracing::debug!(agreement = %id, %error, "not cancelled; it expires");
                }
            }
        }
        Ok(found.pop())
    }

    /// The provider may approve as long as we wait for it, and a little longer for slow clocks.
    fn valid_to(&self) -> Timestamp {
        let wait = self.context.config().market.approval_timeout;
        deadline::date_after(self.context.now(), wait.saturating_add(SLOW_CLOCK))
    }

    async fn sign(
        &self,
        id: &AgreementId,
        mut answered: oneshot::Receiver<Answer>,
    ) -> Result<Arc<Rental>, Missed> {
        let mut state = State::Created;
        let mut event = self.confirm(id).await;
        loop {
            let (next, effect) = match step(state, event) {
                Ok(done) => done,
                Err(illegal) => {
                    // Cannot be: every event below answers the effect that was asked for.
                    let what = illegal.to_string();
                    let violation = ProtocolViolation { what: what.clone() };
                    self.context.emit(self.about(id), violation);
                    return Err(self.left_open(id, what));
                }
            };
            state = next;
            event = match effect {
                Effect::HandOver => return Ok(self.hand_over(id)),
                Effect::Conclude(end) => return Err(Missed::Nothing(end)),
                Effect::AwaitApproval => self.await_approval(id, &mut answered).await,
                Effect::Cancel(reason) => Box::pin(self.cancel(id, reason.as_str().into())).await,
                Effect::GiveBack(reason) => {
                    // In force like any other until it has ended: its invoice must find it.
                    let rental = self.hand_over(id);
                    Box::pin(rental.terminate(reason.as_str().into())).await;
                    return Err(Missed::Approved(reason));
                }
                Effect::AccountFor(end) => {
                    // Over, and like any other until it is paid: its invoice must find it.
                    self.hand_over(id).heard_end(end.clone());
                    return Err(Missed::Approved(end.reason));
                }
                Effect::LookUp => {
                    let ender = Ender::of(&self.context, "sign");
                    match Box::pin(ender.look_up(id)).await {
                        Ok(Some(found)) => Event::Found(found.state),
                        Ok(None) => {
                            let why = "the daemon no longer knows it";
                            return Err(self.left_open(id, why.into()));
                        }
                        Err(error) => return Err(self.left_open(id, error.to_string())),
                    }
                }
            };
        }
    }

    fn left_open(&self, id: &AgreementId, reason: String) -> Missed {
        self.rentals.leave_open(OpenAgreement {
            agreement_id: id.clone(),
            provider_name: self.offer.provider_name().to_owned(),
            reason: reason.clone(),
        });
        Missed::Nothing(AgreementEnd::new(EndedBy::Lost, reason))
    }

    async fn confirm(&self, id: &AgreementId) -> Event {
        let context = &self.context;
        match context
            .rest()
            .market()
            .confirm(id, context.app_session())
            .await
        {
            Ok(()) => Event::Confirmed,
            Err(error) if error.outcome() == Outcome::Unknown => {
                Event::ConfirmUnclear(error.to_string())
            }
            Err(error) => Event::ConfirmFailed(error.to_string()),
        }
    }

    async fn await_approval(
        &self,
        id: &AgreementId,
        answered: &mut oneshot::Receiver<Answer>,
    ) -> Event {
        let wait = self.context.config().market.approval_timeout;
        let unasked = ASKED_AFTER.min(wait / 2);
        tokio::select! {
            biased;
            answer = &mut *answered => return of_feed(answer),
            () = self.closed.cancelled() => return Event::NotInTime,
            () = sleep(unasked) => {}
        }
        // Boxed: most are answered by now.
        let asked = Box::pin(self.ask_for_approval(id, wait.saturating_sub(unasked)));
        tokio::select! {
            biased;
            answer = answered => of_feed(answer),
            () = self.closed.cancelled() => Event::NotInTime,
            event = asked => event,
        }
    }

    async fn ask_for_approval(&self, id: &AgreementId, wait: Duration) -> Event {
        golem_probe::sometimes!(true, "the feed does not tell of an approval in time");
        let market = self.context.rest().market();
        match market.wait_for_approval(id, wait).await {
            Ok(Approval::Given) => Event::Approved,
            Ok(Approval::NotInTime) => Event::NotInTime,
            Ok(Approval::Expired(words)) => refused(EndedBy::Expired, &words),
            Ok(Approval::Refused(words)) => refused(EndedBy::Provider, &words),
            Err(error) => {
                tracing::debug!(agreement = %id, %error, "the wait for the approval failed");
                Event::WaitFailed
            }
        }
    }

    async fn cancel(&self, id: &AgreementId, reason: Reason) -> Event {
        match self.context.rest().market().cancel(id, &reason).await {
            Ok(()) => Event::Cancelled,
            Err(error) => {
                tracing::debug!(agreement = %id, %error, "cancelling failed");
                Event::CancelFailed
            }
        }
    }

    fn hand_over(&self, id: &AgreementId) -> Arc<Rental> {
        let (context, rentals) = (&self.context, &self.rentals);
        // New ones come as old ones go, so this is a good time to forget.
        rentals.prune();
        let platform = self.platform.clone();
        let rental = Rental::new(rentals, self.job.clone(), id.clone(), &self.offer, platform);
        let rental = Arc::new(rental);
        context.emit(self.about(id), AgreementConfirmed {});
        rentals.insert(Arc::clone(&rental)).tell(&rental);
        rental
    }
}

fn refused(by: EndedBy, words: &str) -> Event {
    let reason = format!("the provider answered: {words}");
    Event::Refused(AgreementEnd::new(by, reason))
}

/// What the provider's answer in the feed means.
fn of_feed(answer: Result<Answer, RecvError>) -> Event {
    match answer {
        Ok(Answer::Approved) => Event::Approved,
        Ok(Answer::Refused(end)) => refused(end.by, &end.reason),
        Ok(Answer::Over) | Err(RecvError { .. }) => Event::WaitFailed,
    }
}
