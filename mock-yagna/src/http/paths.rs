//! Ids in paths: their formats, and the daemon's words for a malformed one.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use golem_wire::{AgreementId, DemandId, ProposalId};

use super::error::ApiError;

/// A malformed path: JSON words under a plain text content type, as the daemon does it.
fn malformed(what: &str) -> ApiError {
    let body = serde_json::json!({ "message": format!("Path deserialize error: {what}") });
    ApiError::text(StatusCode::BAD_REQUEST, body.to_string())
}

/// The demand that a path names. It is read before the query and the body: of several mistakes the daemon tells the
/// path's.
pub(super) struct DemandPath(pub(super) DemandId);

impl<S: Send + Sync> FromRequestParts<S> for DemandPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(demand) = path.map_err(|error| malformed(&error.body_text()))?;
        Ok(DemandPath(demand_id(&demand)?))
    }
}

/// The demand and the proposal that a path names.
pub(super) struct ProposalPath(pub(super) DemandId, pub(super) ProposalId);

impl<S: Send + Sync> FromRequestParts<S> for ProposalPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((demand, proposal)) = path.map_err(|error| malformed(&error.body_text()))?;
        Ok(ProposalPath(demand_id(&demand)?, proposal_id(&proposal)?))
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A subscription: 32 hex digits, a dash, 64 hex digits.
fn demand_id(text: &str) -> Result<DemandId, ApiError> {
    let parts = text.split_once('-').filter(|(_, hash)| !hash.contains('-'));
    let Some((random, hash)) = parts else {
        return Err(malformed(&format!(
            "Subscription id [{text}] has invalid format."
        )));
    };
    if !is_hex(random) || !is_hex(hash) {
        let what = format!("Subscription id [{text}] contains non hexadecimal characters.");
        return Err(malformed(&what));
    }
    if random.len() != 32 || hash.len() != 64 {
        return Err(malformed(&format!(
            "Subscription id [{text}] has invalid length. Should be |32|-|64|"
        )));
    }
    Ok(DemandId::new(text))
}

/// What is wrong with the hash of an id, if anything.
fn check_hash(hash: &str) -> Result<(), String> {
    if !is_hex(hash) {
        return Err(format!("Id [{hash}] contains non hexadecimal characters."));
    }
    if hash.len() != 64 {
        return Err(format!(
            "Id [{hash}] hash has invalid length. Should be |64|"
        ));
    }
    Ok(())
}

/// What is wrong with a proposal id, if anything.
fn check_proposal_id(text: &str) -> Result<ProposalId, String> {
    let parts = text.split_once('-').filter(|(_, hash)| !hash.contains('-'));
    let Some((side, hash)) = parts else {
        return Err(format!("Id [{text}] has invalid format."));
    };
    if side != "R" && side != "P" {
        return Err(format!("Id [{side}] has invalid owner type."));
    }
    check_hash(hash)?;
    Ok(ProposalId::new(text))
}

/// A proposal: `R-` or `P-` and 64 hex digits.
fn proposal_id(text: &str) -> Result<ProposalId, ApiError> {
    check_proposal_id(text).map_err(|what| malformed(&what))
}

/// An agreement: 64 hex digits.
pub(super) fn agreement_id(text: &str) -> Result<AgreementId, ApiError> {
    let invalid = |what| ApiError::bad_request(format!("Invalid Agreement id. {what}"));
    check_hash(text).map_err(invalid)?;
    Ok(AgreementId::new(text))
}

/// A proposal named in a body.
pub(super) fn promoted_id(text: &str) -> Result<ProposalId, ApiError> {
    let invalid = |what| ApiError::bad_request(format!("Invalid Agreement id. {what}"));
    check_proposal_id(text).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_are_checked_and_bad_ones_named() {
        let hash = "a".repeat(64);
        let random = "b".repeat(32);
        assert!(demand_id(&format!("{random}-{hash}")).is_ok());
        assert!(proposal_id(&format!("R-{hash}")).is_ok());
        assert!(agreement_id(&hash).is_ok());
        for bad in ["", "-", "nope", "xyz-123", "é-é", "R-", "R-00", "0x"] {
            assert!(demand_id(bad).is_err(), "{bad}");
            assert!(proposal_id(bad).is_err(), "{bad}");
            assert!(agreement_id(bad).is_err(), "{bad}");
        }
    }
}
