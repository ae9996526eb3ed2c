//! Looks for what is at the daemon and remembered by nobody: the answer that told of it was lost, or
//! a request was processed twice. Everything of this life carries its session, or the timeout of
//! its allocation. Does not own: what earlier lives left, which is recovery's.
//!
//! An agreement in force is adopted before all are terminated, so that its invoice is paid like
//! those of the others; everything else is ended last, when nothing new can come.

use std::sync::Arc;

use golem_wire::AgreementId;
use golem_wire::common::Reason;
use golem_wire::market::{AgreementState, Party};
use http::StatusCode;
use indexmap::IndexMap;
use jiff::Timestamp;

use super::Shutdown;
use crate::api::ApiError;
use crate::market::{Rental, SESSION_PROPERTY, terminate};
use crate::retry::Backoff;

/// Attempts at each request, while the daemon is there.
const ATTEMPTS: u32 = 3;

/// Ends all of it; answers what may be left, in words.
pub(super) async fn end(shutdown: &Shutdown) -> Vec<String> {
    let mut left = Vec::new();
    let mut note = |what: &str, done: Result<(), ApiError>| {
        if let Err(error) = done {
            left.push(format!("{what} may be left: {error}"));
        }
    };
    // In the daemon's time, which need not be ours.
    let since = shutdown.payments.allocation().timestamp;
    note("a demand", demands(shutdown, since).await);
    note("an agreement", agreements(shutdown, since).await);
    note("an allocation", allocations(shutdown).await);
    left
}

/// Adopts the agreements of this life that are in force and that nobody remembers. They are left to
/// [`end`] if the daemon does not tell.
pub(super) async fn adopt(shutdown: &Arc<Shutdown>) {
    let since = shutdown.payments.allocation().timestamp;
    let mut backoff = backoff(shutdown, "adopt");
    let api = shutdown.context.rest().market();
    let state = AgreementState::Approved;
    let session = shutdown.context.app_session();
    let list = || api.agreements(&state, Some(session));
    let listed = match shutdown.context.insist(&mut backoff, ATTEMPTS, list).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "which agreements are in force is not known");
            return;
        }
    };
    let strays = listed.into_iter().filter(|found| {
        let ours = found.role == Party::Requestor && found.timestamp >= since;
        ours && shutdown.market.rentals().get(&found.id).is_none()
    });
    for stray in strays {
        let id = stray.id;
        match shutdown
            .context
            .insist(&mut backoff, ATTEMPTS, || api.agreement(&id))
            .await
        {
            Ok(document) if document.state == AgreementState::Approved => {
                tracing::warn!(agreement = %id, "adopting an agreement that nobody remembers");
                Rental::restore(shutdown.market.rentals(), &document, &IndexMap::new(), None);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(agreement = %id, %error, "it cannot be looked at"),
        }
    }
}

fn backoff(shutdown: &Shutdown, label: &str) -> Backoff {
    Backoff::new(shutdown.context.seed().fork(&format!("leftovers/{label}")))
}

/// What is gone already is as good as ended.
fn unless_gone(done: Result<(), ApiError>) -> Result<(), ApiError> {
    match done {
        Err(error)
            if error.is_status(StatusCode::NOT_FOUND) || error.is_status(StatusCode::GONE) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// All demands of this life are withdrawn by now.
async fn demands(shutdown: &Shutdown, since: Timestamp) -> Result<(), ApiError> {
    let mut backoff = backoff(shutdown, "demands");
    let api = shutdown.context.rest().market();
    let demands = shutdown
        .context
        .insist(&mut backoff, ATTEMPTS, || api.demands())
        .await?;
    let session = shutdown.context.app_session();
    let ours = demands.into_iter().filter(|demand| {
        let said = demand.properties.get(SESSION_PROPERTY);
        demand.timestamp >= since && said.and_then(|said| said.as_str()) == Some(session)
    });
    for demand in ours {
        let id = demand.demand_id;
        tracing::warn!(demand = %id, "withdrawing a demand that nobody remembers");
        unless_gone(
            shutdown
                .context
                .insist(&mut backoff, ATTEMPTS, || api.unsubscribe(&id))
                .await,
        )?;
    }
    Ok(())
}

/// All agreements of this life have ended by now.
async fn agreements(shutdown: &Shutdown, since: Timestamp) -> Result<(), ApiError> {
    let mut backoff = backoff(shutdown, "agreements");
    let session = shutdown.context.app_session();
    let rest = shutdown.context.rest();
    let reason = Reason::from("nobody remembers this agreement");
    for state in [
        AgreementState::Proposal,
        AgreementState::Pending,
        AgreementState::Approved,
    ] {
        // Only what was confirmed has a session.
        let confirmed = state != AgreementState::Proposal;
        let list = || {
            let api = rest.market();
            api.agreements(&state, confirmed.then_some(session))
        };
        for found in shutdown
            .context
            .insist(&mut backoff, ATTEMPTS, list)
            .await?
        {
            if found.role != Party::Requestor
                || found.timestamp < since
                || (!confirmed && !is_ours(shutdown, &mut backoff, &found.id).await?)
            {
                continue;
            }
            tracing::warn!(agreement = %found.id, %state, "ending an agreement that nobody remembers");
            if state == AgreementState::Approved {
                if let Err(why) = terminate(&shutdown.context, &found.id, &reason).await {
                    tracing::warn!(agreement = %found.id, why, "it may still be in force");
                }
            } else {
                let api = rest.market();
                let cancelled = shutdown
                    .context
                    .insist(&mut backoff, ATTEMPTS, || api.cancel(&found.id, &reason))
                    .await;
                match cancelled {
                    // It ended, or was approved; the list of those in force comes last.
                    Err(error) if error.is_status(StatusCode::GONE) => {}
                    cancelled => unless_gone(cancelled)?,
                }
            }
        }
    }
    Ok(())
}

/// An agreement that was never confirmed tells whose it is by our side of it.
async fn is_ours(
    shutdown: &Shutdown,
    backoff: &mut Backoff,
    id: &AgreementId,
) -> Result<bool, ApiError> {
    let api = shutdown.context.rest().market();
    let agreement = shutdown
        .context
        .insist(backoff, ATTEMPTS, || api.agreement(id))
        .await?;
    let said = agreement.demand.properties.get(SESSION_PROPERTY);
    Ok(said.and_then(|said| said.as_str()) == Some(shutdown.context.app_session()))
}

/// An allocation that was made twice has the same timeout, to the microsecond.
async fn allocations(shutdown: &Shutdown) -> Result<(), ApiError> {
    let ours = shutdown.payments.allocation();
    let mut backoff = backoff(shutdown, "allocations");
    let api = shutdown.context.rest().payment();
    let all = shutdown
        .context
        .insist(&mut backoff, ATTEMPTS, || api.allocations())
        .await?;
    let twins = all.into_iter().filter(|found| {
        found.allocation_id != ours.allocation_id
            && ours.timeout.is_some()
            && found.timeout == ours.timeout
            && found.total_amount == ours.total_amount
    });
    for twin in twins {
        let id = twin.allocation_id;
        tracing::warn!(allocation = %id, "releasing an allocation that was made twice");
        unless_gone(
            shutdown
                .context
                .insist(&mut backoff, ATTEMPTS, || api.release(&id))
                .await,
        )?;
    }
    Ok(())
}

/// Destroys every activity that the daemon lists for an agreement.
pub(super) async fn destroy_activities(shutdown: &Shutdown, agreement: &AgreementId) {
    let mut backoff = backoff(shutdown, agreement.as_str());
    let api = shutdown.context.rest().activity();
    let wait = shutdown.context.config().activity.change_timeout;
    let listing = shutdown
        .context
        .insist(&mut backoff, ATTEMPTS, || api.of_agreement(agreement));
    let activities = match listing.await {
        Ok(activities) => activities,
        Err(error) => {
            tracing::warn!(%agreement, %error, "its activities are not known; its end ends them");
            return;
        }
    };
    for activity in activities {
        let destroying = shutdown
            .context
            .insist(&mut backoff, ATTEMPTS, || api.destroy(&activity, wait));
        if let Err(error) = destroying.await {
            tracing::warn!(%activity, %error, "not destroyed; the end of its agreement ends it");
        }
    }
}
