//! Ids in paths: their formats, and the daemon's words for a malformed one.

use axum::http::StatusCode;
use golem_wire::{AgreementId, DemandId, ProposalId};

use super::error::ApiError;

/// A malformed path: JSON words under a plain text content type, as the daemon does it.
fn malformed(what: &str) -> ApiError {
    let body = serde_json::json!({ "message": format!("Path deserialize error: {what}") });
    ApiError::text(StatusCode::BAD_REQUEST, body.to_string())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A subscription: 32 hex digits, a dash, 64 hex digits.
pub(super) fn demand_id(text: &str) -> Result<DemandId, ApiError> {
    let Some((random, hash)) = text.split_once('-') else {
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
            "Subscription id [{text}] has invalid length."
        )));
    }
    Ok(DemandId::new(text))
}

/// What is wrong with a proposal id, if anything.
fn check_proposal_id(text: &str) -> Result<ProposalId, String> {
    let Some((side, hash)) = text.split_once('-') else {
        return Err(format!("Id [{text}] has invalid format."));
    };
    if side != "R" && side != "P" {
        return Err(format!("Id [{text}] has invalid owner type."));
    }
    if !is_hex(hash) {
        return Err(format!("Id [{text}] contains non hexadecimal characters."));
    }
    if hash.len() != 64 {
        return Err(format!("Id [{text}] has invalid length."));
    }
    Ok(ProposalId::new(text))
}

/// A proposal: `R-` or `P-` and 64 hex digits.
pub(super) fn proposal_id(text: &str) -> Result<ProposalId, ApiError> {
    check_proposal_id(text).map_err(|what| malformed(&what))
}

/// An agreement: 64 hex digits.
pub(super) fn agreement_id(text: &str) -> Result<AgreementId, ApiError> {
    let invalid = |what| ApiError::bad_request(format!("Invalid Agreement id. Id [{text}] {what}"));
    if !is_hex(text) {
        return Err(invalid("contains non hexadecimal characters."));
    }
    if text.len() != 64 {
        return Err(invalid("has invalid length."));
    }
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
