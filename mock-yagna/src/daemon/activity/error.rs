//! What the activity API refuses, in the daemon's words.

use golem_wire::{ActivityId, AgreementId, BatchId};

/// A refusal; its text is the daemon's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ActivityError {
    /// Not 64 hex digits.
    #[error("Service error: {0}")]
    MalformedAgreement(String),
    /// No such agreement, or somebody else's.
    #[error("Not found: {0}")]
    NoAgreement(AgreementId),
    /// Activities need an approved agreement.
    #[error("Bad request: Agreement {agreement} is not Approved. Current state: {state}")]
    NotApproved {
        agreement: AgreementId,
        state: String,
    },
    /// Not a public key.
    #[error("Bad request: Invalid requestor pub key: {0}")]
    PublicKey(String),
    /// No such activity.
    #[error("DAO error: Not found: agreement id for activity: {0}")]
    NoActivity(ActivityId),
    /// The exe-unit is not there (any more).
    #[error("GSB error: Bad request: Bad request: endpoint address not found")]
    NoExeUnit,
    /// The script is not one.
    #[error("Bad request: {0}")]
    BadScript(String),
    /// No such batch.
    #[error("Not found: batch_id = {0}")]
    NoBatch(BatchId),
    /// Nothing happened in time.
    #[error("Timeout")]
    Timeout,
    /// The provider's node does not answer; the daemon says the same, a little later.
    #[error("Timeout")]
    Unreachable,
    /// The exe-unit ended before it was ready.
    #[error("Service error: Activity {0} was abruptly terminated. Reason: Failed, message: {1}")]
    Aborted(ActivityId, String),
}
