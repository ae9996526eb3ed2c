//! Ends agreements at the daemon, and makes sure of it.

use golem_wire::AgreementId;
use golem_wire::common::Reason;
use golem_wire::market::AgreementState;
use http::StatusCode;

use crate::api::{ApiError, Outcome};
use crate::context::Context;
use crate::retry::Backoff;

/// Attempts before an agreement is reported as left open; about half a minute.
const ATTEMPTS: u32 = 8;

/// Terminates an agreement; after a failure it is looked up before it is tried again.
///
/// # Errors
/// Why it may still be in force.
pub(crate) async fn terminate(
    context: &Context,
    id: &AgreementId,
    reason: &Reason,
) -> Result<(), String> {
    let mut backoff = Backoff::new(context.seed().fork(&format!("terminate/{id}")));
    let mut said = String::new();
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        match context.rest().market().terminate(id, reason).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::debug!(agreement = %id, attempt, %error, "termination failed");
                if error.is_status(StatusCode::NOT_FOUND) {
                    return Ok(());
                }
                if error.outcome() == Outcome::Refused && over(context, id).await == Some(true) {
                    return Ok(());
                }
                said = error.to_string();
                if matches!(error.status(), Some(StatusCode::UNAUTHORIZED)) {
                    return Err(said);
                }
            }
        }
        if context.is_daemon_away().await {
            // Only attempts that the daemon had a chance to hear count.
            attempt = attempt.saturating_sub(1);
        }
        if attempt < ATTEMPTS {
            backoff.pause().await;
            if over(context, id).await == Some(true) {
                return Ok(());
            }
        }
    }
    Err(format!(
        "could not be terminated in {ATTEMPTS} attempts; the last said: {said}"
    ))
}

/// Whether an agreement is over for good; `None` when that is not known.
async fn over(context: &Context, id: &AgreementId) -> Option<bool> {
    match context.rest().market().agreement(id).await {
        Ok(agreement) => Some(matches!(
            agreement.state,
            AgreementState::Terminated
                | AgreementState::Cancelled
                | AgreementState::Rejected
                | AgreementState::Expired
        )),
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => Some(true),
        Err(_) => None,
    }
}

/// The state of an agreement, asked for until the daemon answers.
pub(super) async fn look_up(
    context: &Context,
    id: &AgreementId,
) -> Result<AgreementState, ApiError> {
    let mut backoff = Backoff::new(context.seed().fork(&format!("look-up/{id}")));
    let agreement = context
        .insist(&mut backoff, ATTEMPTS, || {
            context.rest().market().agreement(id)
        })
        .await?;
    Ok(agreement.state)
}
