//! Ends things at the daemon, and makes sure of it. Owns: what counts as gone; that a request of
//! unknown outcome is looked up before it is sent again; how a cancellation that races an approval
//! ends; writing down what is gone. Does not own: what is to be ended (`plan.rs`), telling of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::market::{Agreement, AgreementState};
use golem_wire::payment::{Acceptance, DocumentStatus};
use golem_wire::{
    ActivityId, AgreementId, AllocationId, DebitNoteId, DemandId, InvoiceId, NetworkId,
};
use http::StatusCode;
use serde_json::Value;

use super::Daemon;
use super::observe::is_accepted;
use super::plan::{Standing, standing};
use crate::api::net::is_no_network;
use crate::api::{ApiError, Outcome, Rest};
use crate::context::Context;
use crate::journal::{Fact, Log};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::rng::Seed;

/// Attempts at each request while the daemon is there.
const ATTEMPTS: u32 = 5;
/// Attempts at an acceptance.
const ACCEPT_ATTEMPTS: u32 = 6;
/// Attempts at a termination before the agreement is reported as left open; about half a minute.
const TERMINATE_ATTEMPTS: u32 = 8;

/// What is gone already is as good as ended.
pub(crate) fn unless_gone(done: Result<(), ApiError>) -> Result<(), ApiError> {
    match done {
        Err(error) if error.is_gone() => Ok(()),
        done => done,
    }
}

/// What providers are told when an agreement ends: `message` for people, `code` for programs.
pub(crate) fn reason(message: &str, code: &str) -> Reason {
    let mut reason = Reason::from(message);
    let code = ("golem.requestor.code".into(), Value::from(code));
    reason.extra.extend([code]);
    reason
}

/// Which document an acceptance is about.
#[derive(Clone, Copy)]
pub(crate) enum Document<'a> {
    Note(&'a DebitNoteId),
    Invoice(&'a InvoiceId),
}

/// What became of an agreement that was cancelled before its approval.
#[derive(Debug)]
pub(crate) enum Cancelled {
    /// It never came into force: nothing can come of it.
    Nothing(&'static str),
    /// It was approved in the meantime.
    InForce(Box<Agreement>),
    /// It was approved and has ended in the meantime: its invoice may still come.
    Over(Box<Agreement>),
    /// It was not cancelled. It expires at its provider.
    Waiting(ApiError),
    /// The daemon does not tell where it stands.
    Unknown(ApiError),
}

/// An agreement that may still be in force, and why.
#[derive(Debug, Clone)]
pub(crate) enum NotTerminated {
    /// The daemon does not take the app key.
    Refused(ApiError),
    /// All attempts failed; the last one like this.
    Attempts(ApiError),
}

impl fmt::Display for NotTerminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotTerminated::Refused(error) => error.fmt(f),
            NotTerminated::Attempts(error) => write!(
                f,
                "could not be terminated in {TERMINATE_ATTEMPTS} attempts; the last said: {error}"
            ),
        }
    }
}

/// Sends the requests that end something.
pub(crate) struct Ender<'a> {
    daemon: Daemon<'a>,
    log: Option<&'a Log>,
    seed: Seed,
}

impl<'a> Ender<'a> {
    /// On behalf of an engine.
    pub(crate) fn of(context: &'a Context, label: &str) -> Self {
        let (rest, engine) = (context.rest(), Some(context));
        Ender {
            daemon: Daemon { rest, engine },
            log: Some(context.log()),
            seed: context.seed().fork(label),
        }
    }

    /// On behalf of somebody else, who may have a journal.
    pub(crate) fn new(rest: &'a Rest, log: Option<&'a Log>, seed: Seed) -> Self {
        let daemon = Daemon { rest, engine: None };
        Ender { daemon, log, seed }
    }

    fn backoff(&self, label: &str) -> Backoff {
        Backoff::new(&self.seed, label.to_owned())
    }

    fn fact(&self, fact: Fact) {
        if let Some(log) = self.log {
            log.fact(fact);
        }
    }

    /// Withdraws a demand.
    ///
    /// # Errors
    /// Why it may still be on the market.
    pub(crate) async fn withdraw(&self, id: &DemandId) -> Result<(), ApiError> {
        let mut backoff = self.backoff(id.as_str());
        let send = || self.daemon.rest.market().unsubscribe(id);
        if !golem_probe::planted!("a-demand-is-not-withdrawn") {
            unless_gone(self.daemon.insist(&mut backoff, ATTEMPTS, send).await)?;
        }
        self.fact(Fact::DemandGone { demand: id.clone() });
        Ok(())
    }

    /// Takes a service off the daemon's bus.
    ///
    /// # Errors
    /// Why it may still be bound.
    pub(crate) async fn unbind(&self, services: &str) -> Result<(), ApiError> {
        let mut backoff = self.backoff(services);
        let api = self.daemon.rest.gsb();
        let send = || api.unbind(services);
        unless_gone(self.daemon.insist(&mut backoff, ATTEMPTS, send).await)?;
        let services = services.to_owned();
        self.fact(Fact::ServiceGone { services });
        Ok(())
    }

    /// Removes a virtual network, with its nodes.
    ///
    /// # Errors
    /// Why it may still be there.
    pub(crate) async fn remove_network(&self, id: &NetworkId) -> Result<(), ApiError> {
        let mut backoff = self.backoff(id.as_str());
        let api = self.daemon.rest.net();
        let send = || api.remove(id);
        if !golem_probe::planted!("a-network-is-not-removed") {
            match self.daemon.insist(&mut backoff, ATTEMPTS, send).await {
                Err(error) if !is_no_network(&error) => return Err(error),
                _ => {}
            }
        }
        let network = id.clone();
        self.fact(Fact::NetworkGone { network });
        Ok(())
    }

    /// Destroys an activity; the provider may take `within` for it.
    ///
    /// # Errors
    /// Why it may still live; the end of its agreement ends it.
    pub(crate) async fn destroy(&self, id: &ActivityId, within: Duration) -> Result<(), ApiError> {
        let mut backoff = self.backoff(id.as_str());
        // Destroying twice is as good as once.
        let api = self.daemon.rest.activity();
        let send = || api.destroy(id, within);
        unless_gone(self.daemon.insist(&mut backoff, 2, send).await)?;
        let activity = id.clone();
        self.fact(Fact::ActivityGone { activity });
        Ok(())
    }

    /// The activities that the daemon lists for an agreement.
    ///
    /// # Errors
    /// The daemon's.
    pub(crate) async fn activities(&self, id: &AgreementId) -> Result<Vec<ActivityId>, ApiError> {
        let mut backoff = self.backoff(id.as_str());
        let api = self.daemon.rest.activity();
        let list = || api.of_agreement(id);
        self.daemon.insist(&mut backoff, ATTEMPTS, list).await
    }

    /// Releases a budget.
    ///
    /// # Errors
    /// Why it may still be reserved.
    pub(crate) async fn release(&self, id: &AllocationId) -> Result<(), ApiError> {
        let mut backoff = self.backoff(&format!("release/{id}"));
        let send = || self.daemon.rest.payment().release(id);
        if !golem_probe::planted!("the-budget-is-not-released") {
            unless_gone(self.daemon.insist(&mut backoff, ATTEMPTS, send).await)?;
        }
        // Also when it was gone already: an earlier attempt did it.
        let allocation = id.clone();
        self.fact(Fact::AllocationGone { allocation });
        Ok(())
    }

    /// An agreement of this owner was in force and has ended, whoever knew of it before: its invoice
    /// may still come.
    pub(crate) fn ended(&self, id: &AgreementId, why: &str) {
        let agreement = id.clone();
        self.fact(Fact::AgreementFound { agreement });
        self.fact(Fact::AgreementEnded {
            agreement: id.clone(),
            reason: why.to_owned(),
        });
    }

    /// An agreement came to nothing, or is paid: nothing more can come of it.
    pub(crate) fn close(&self, id: &AgreementId) {
        let agreement = id.clone();
        self.fact(Fact::AccountClosed { agreement });
    }

    /// The document of an agreement, asked for until the daemon answers; `None` when it does not
    /// know it.
    ///
    /// # Errors
    /// The daemon's.
    pub(crate) async fn look_up(&self, id: &AgreementId) -> Result<Option<Agreement>, ApiError> {
        let mut backoff = self.backoff(&format!("look-up/{id}"));
        let read = || self.daemon.rest.market().agreement(id);
        match self
            .daemon
            .insist(&mut backoff, TERMINATE_ATTEMPTS, read)
            .await
        {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Cancels an agreement whose approval is no longer wanted. It may be approved at the same
    /// time, and even be ended by its provider: whatever the daemon answers but "done", it is looked
    /// up. One that was never confirmed cannot be cancelled (yagna 0.17.6 answers 500) and need not be: its
    /// provider does not know of it, nobody but its requestor could confirm it, and it expires.
    pub(crate) async fn cancel(&self, id: &AgreementId, reason: &Reason) -> Cancelled {
        let mut backoff = self.backoff(id.as_str());
        let policy = Policy::new(&mut backoff, ATTEMPTS);
        let cancelled = retry::until(
            policy,
            async || false,
            async || {
                let error = match self.daemon.rest.market().cancel(id, reason).await {
                    Ok(()) => {
                        let why = "cancelled before it was approved";
                        return Attempt::Break(Ok(self.nothing(id, why)));
                    }
                    Err(error) => error,
                };
                let found = match self.look_up(id).await {
                    Ok(Some(found)) => found,
                    Ok(None) => {
                        let why = "the daemon no longer knows it";
                        return Attempt::Break(Ok(self.nothing(id, why)));
                    }
                    Err(error) => return Attempt::Break(Ok(Cancelled::Unknown(error))),
                };
                if found.state == AgreementState::Proposal {
                    let why =
                        "it was never confirmed: its provider does not know of it, and it expires";
                    return Attempt::Break(Ok(self.nothing(id, why)));
                }
                golem_probe::sometimes!(
                    standing(&found) == Standing::InForce,
                    "recovery cancels what was approved meanwhile"
                );
                Attempt::Break(match standing(&found) {
                    Standing::Nothing => Ok(self.nothing(id, "nothing came of it")),
                    Standing::InForce => Ok(Cancelled::InForce(Box::new(found))),
                    Standing::Over(_) => Ok(Cancelled::Over(Box::new(found))),
                    Standing::Waiting if error.is_retryable() => return Attempt::Continue(error),
                    Standing::Waiting => Err(error),
                })
            },
        );
        cancelled.await.unwrap_or_else(Cancelled::Waiting)
    }

    fn nothing(&self, id: &AgreementId, why: &'static str) -> Cancelled {
        self.close(id);
        Cancelled::Nothing(why)
    }

    /// Terminates an agreement; after a failure it is looked up before it is tried again.
    ///
    /// # Errors
    /// Why it may still be in force.
    pub(crate) async fn terminate(
        &self,
        id: &AgreementId,
        reason: &Reason,
    ) -> Result<(), NotTerminated> {
        if golem_probe::planted!("an-agreement-is-not-terminated") {
            return Ok(());
        }
        let mut backoff = self.backoff(&format!("terminate/{id}"));
        let policy = Policy::new(&mut backoff, TERMINATE_ATTEMPTS);
        // Only attempts that the daemon had a chance to hear count.
        let is_away = || self.daemon.is_away();
        let asked_before = AtomicBool::new(false);
        let terminated = retry::until(policy, is_away, async || {
            if asked_before.swap(true, Ordering::Relaxed) && self.is_over(id).await {
                return Attempt::Break(Ok(()));
            }
            let Err(error) = self.daemon.rest.market().terminate(id, reason).await else {
                return Attempt::Break(Ok(()));
            };
            if error.is_status(StatusCode::NOT_FOUND)
                || error.outcome() == Outcome::Refused && self.is_over(id).await
                || error.outcome() == Outcome::Unknown
                    && golem_probe::planted!("a-termination-without-an-answer-counts-as-done")
            {
                return Attempt::Break(Ok(()));
            }
            if error.is_status(StatusCode::UNAUTHORIZED) {
                return Attempt::Break(Err(NotTerminated::Refused(error)));
            }
            Attempt::Continue(NotTerminated::Attempts(error))
        });
        terminated.await
    }

    /// Whether an agreement is known to be over for good.
    async fn is_over(&self, id: &AgreementId) -> bool {
        match self.daemon.rest.market().agreement(id).await {
            Ok(found) => matches!(standing(&found), Standing::Over(_) | Standing::Nothing),
            Err(error) => error.is_status(StatusCode::NOT_FOUND),
        }
    }

    /// Accepts a document of which `status` is known. After a failure the daemon is asked how the
    /// document stands before it is sent again, so that nothing is accepted twice and nothing counts
    /// as failed that worked; as long as that is not answered it is not sent.
    ///
    /// # Errors
    /// Why it may not be accepted.
    pub(crate) async fn accept(
        &self,
        document: Document<'_>,
        status: &DocumentStatus,
        acceptance: &Acceptance,
    ) -> Result<(), ApiError> {
        if is_accepted(status) {
            return Ok(());
        }
        let mut backoff = self.backoff(document.id());
        let policy = Policy::new(&mut backoff, ACCEPT_ATTEMPTS);
        let accepted = retry::until(
            policy,
            async || false,
            async || {
                let Err(error) = document.accept(self.daemon.rest, acceptance).await else {
                    return Attempt::Break(Ok(()));
                };
                let mut backoff = self.backoff(&format!("status/{}", document.id()));
                let read = || document.status(self.daemon.rest);
                match self
                    .daemon
                    .insist(&mut backoff, ACCEPT_ATTEMPTS, read)
                    .await
                {
                    Ok(found) if is_accepted(&found) => Attempt::Break(Ok(())),
                    Ok(DocumentStatus::Cancelled) | Err(_) => Attempt::Break(Err(error)),
                    Ok(_) if error.is_retryable() => Attempt::Continue(error),
                    Ok(_) => Attempt::Break(Err(error)),
                }
            },
        );
        accepted.await
    }
}

impl Document<'_> {
    fn id(&self) -> &str {
        match self {
            Document::Note(id) => id.as_str(),
            Document::Invoice(id) => id.as_str(),
        }
    }

    async fn accept(self, rest: &Rest, acceptance: &Acceptance) -> Result<(), ApiError> {
        match self {
            Document::Note(id) => rest.payment().accept_debit_note(id, acceptance).await,
            Document::Invoice(id) => rest.payment().accept_invoice(id, acceptance).await,
        }
    }

    async fn status(self, rest: &Rest) -> Result<DocumentStatus, ApiError> {
        match self {
            Document::Note(id) => Ok(rest.payment().debit_note(id).await?.status),
            Document::Invoice(id) => Ok(rest.payment().invoice(id).await?.status),
        }
    }
}

#[cfg(test)]
mod tests;
