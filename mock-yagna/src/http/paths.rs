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
        return Err(malformed(&format!("Subscription id [{text}] has invalid format.")));
    };
    if !is_hex(random) || !is_hex(hash) {
        let what = format!("Subscription id [{text}] contains non hexadecimal characters.");
        return Err(malformed(&what));
    }
    if random.len() != 32 || hash.len() != 64 {
        return Err(malformed(&format!("Subscription id [{text}] has invalid length.")));
    }
    Ok(DemandId::new(text))
}

/// What is wrong with a proposal id, if anything.
pub(super) fn check_proposal_id(text: &str) -> Result<ProposalId, String> {
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
    if !is_hex(text) {
        return Err(malformed(&format!("Id [{text}] contains non hexadecimal characters.")));
    }
    if text.len() != 64 {
        return Err(malformed(&format!("Id [{text}] has invalid length.")));
    }
    Ok(AgreementId::new(text))
}
