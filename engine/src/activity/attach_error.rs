//! Why a machine that is there already cannot be used.

use golem_wire::market::AgreementState;
use golem_wire::{ActivityId, AgreementId, NodeId};

use crate::api::ApiError;
use crate::cause::Cause;

/// Why an agreement or an activity cannot be attached to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The daemon knows no such activity of this identity.
    #[error("the daemon knows no activity {activity_id}; check the id, and the app key")]
    NoActivity {
        /// As given.
        activity_id: ActivityId,
    },
    /// The daemon knows no such agreement of this identity.
    #[error("the daemon knows no agreement {agreement_id}; check the id, and the app key")]
    NoAgreement {
        /// As given.
        agreement_id: AgreementId,
    },
    /// The agreement is somebody else's.
    #[error(
        "agreement {agreement_id} is of requestor {owner}, and this engine is {ours}: use the app key of its owner"
    )]
    NotOurs {
        /// Which.
        agreement_id: AgreementId,
        /// Whose.
        owner: NodeId,
        /// Who we are.
        ours: NodeId,
    },
    /// The agreement is not in force.
    #[error("agreement {agreement_id} is {state}, and nothing can run on it; rent another machine")]
    NotInForce {
        /// Which.
        agreement_id: AgreementId,
        /// Where it stands.
        state: AgreementState,
    },
    /// The activity has ended.
    #[error(
        "activity {activity_id} of agreement {agreement_id} has ended; attach to the agreement for another one"
    )]
    Ended {
        /// Which.
        activity_id: ActivityId,
        /// Its agreement.
        agreement_id: AgreementId,
    },
    /// No activity could be created on the agreement.
    #[error("no activity on agreement {agreement_id}")]
    NotCreated {
        /// Which.
        agreement_id: AgreementId,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The daemon did not answer, or not as it should.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The engine is stopping or stopped.
    #[error("the engine is stopped; start a new `Golem`")]
    Stopped,
}
