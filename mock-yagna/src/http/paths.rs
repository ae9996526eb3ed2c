//! Ids in paths: their formats, and the daemon's words for a malformed one.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use golem_wire::{AgreementId, DemandId, ProposalId};

use super::error::ApiError;

/// What an id is made of.
const NO_HEX: &str = "contains non hexadecimal characters.";
const NO_FORMAT: &str = "has invalid format.";
const NO_HASH: &str = "hash has invalid length. Should be |64|";

/// A malformed path: JSON words under a plain text content type, as the daemon does it.
fn malformed(what: &str) -> ApiError {
    let body = serde_json::json!({ "message": format!("Path deserialize error: {what}") });
    ApiError::text(StatusCode::BAD_REQUEST, body.to_string())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The two sides of the only dash.
fn halves(text: &str) -> Option<(&str, &str)> {
    text.split_once('-').filter(|(_, rest)| !rest.contains('-'))
}

/// A subscription: 32 hex digits, a dash, 64 hex digits.
fn demand_id(text: &str) -> Result<DemandId, ApiError> {
    let bad = |why| Err(malformed(&format!("Subscription id [{text}] {why}")));
    match halves(text) {
        None => bad(NO_FORMAT),
        Some((random, hash)) if !is_hex(random) || !is_hex(hash) => bad(NO_HEX),
        Some((random, hash)) if random.len() != 32 || hash.len() != 64 => {
            bad("has invalid length. Should be |32|-|64|")
        }
        Some(_) => Ok(DemandId::new(text)),
    }
}

/// What is wrong with a hash, if anything.
fn check_hash(hash: &str) -> Result<(), String> {
    let why = match hash {
        _ if !is_hex(hash) => NO_HEX,
        _ if hash.len() != 64 => NO_HASH,
        _ => return Ok(()),
    };
    Err(format!("Id [{hash}] {why}"))
}

/// What is wrong with a proposal id, if anything: `R-` or `P-` and 64 hex digits.
fn check_proposal_id(text: &str) -> Result<ProposalId, String> {
    let (owner, hash) = halves(text).ok_or_else(|| format!("Id [{text}] {NO_FORMAT}"))?;
    if owner != "R" && owner != "P" {
        return Err(format!("Id [{owner}] has invalid owner type."));
    }
    check_hash(hash)?;
    Ok(ProposalId::new(text))
}

/// A demand in a path. Told before anything that is wrong with the body.
#[derive(Debug)]
pub(super) struct DemandPath(pub(super) DemandId);

impl<S: Send + Sync> FromRequestParts<S> for DemandPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(demand) = path.map_err(|bad| malformed(&bad.body_text()))?;
        demand_id(&demand).map(DemandPath)
    }
}

/// A demand and a proposal of it in a path.
#[derive(Debug)]
pub(super) struct ProposalPath(pub(super) DemandId, pub(super) ProposalId);

impl<S: Send + Sync> FromRequestParts<S> for ProposalPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((demand, proposal)) = path.map_err(|bad| malformed(&bad.body_text()))?;
        let demand = demand_id(&demand)?;
        let proposal = check_proposal_id(&proposal).map_err(|what| malformed(&what))?;
        Ok(ProposalPath(demand, proposal))
    }
}

/// What is wrong with an agreement's id, if anything: 64 hex digits.
pub(in crate::http) fn check_agreement_id(text: &str) -> Result<AgreementId, String> {
    check_hash(text).map(|()| AgreementId::new(text))
}

/// An agreement; a bad id is told after everything else that is wrong.
pub(super) fn agreement_id(text: &str) -> Result<AgreementId, ApiError> {
    check_agreement_id(text)
        .map_err(|what| ApiError::bad_request(format!("Invalid Agreement id. {what}")))
}

/// The same for who waits for its approval.
pub(super) fn awaited_id(text: &str) -> Result<AgreementId, ApiError> {
    check_agreement_id(text)
        .map_err(|what| ApiError::bad_request(format!("Invalid agreement id. {what}")))
}

/// The same for who asks for the reason of its end.
pub(super) fn terminated_id(text: &str) -> Result<AgreementId, ApiError> {
    check_agreement_id(text).map_err(|what| {
        let words = "Error: Invalid Agreement id";
        ApiError::internal(format!("Failed to get Agreement [{text}]. {words}: {what}"))
    })
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
    fn ids_are_checked_and_bad_ones_named_in_the_words_of_the_daemon() {
        let hash = "a".repeat(64);
        let random = "b".repeat(32);
        assert!(demand_id(&format!("{random}-{hash}")).is_ok());
        assert!(check_proposal_id(&format!("R-{hash}")).is_ok());
        assert!(agreement_id(&hash).is_ok());
        for (id, demand, proposal, agreement) in [
            (
                "",
                "Subscription id [] has invalid format.",
                "Id [] has invalid format.",
                "Id [] hash has invalid length. Should be |64|",
            ),
            (
                "-",
                "Subscription id [-] has invalid length. Should be |32|-|64|",
                "Id [] has invalid owner type.",
                "Id [-] contains non hexadecimal characters.",
            ),
            (
                "r-",
                "Subscription id [r-] contains non hexadecimal characters.",
                "Id [r] has invalid owner type.",
                "Id [r-] contains non hexadecimal characters.",
            ),
            (
                "R-",
                "Subscription id [R-] contains non hexadecimal characters.",
                "Id [] hash has invalid length. Should be |64|",
                "Id [R-] contains non hexadecimal characters.",
            ),
            (
                "R-0",
                "Subscription id [R-0] contains non hexadecimal characters.",
                "Id [0] hash has invalid length. Should be |64|",
                "Id [R-0] contains non hexadecimal characters.",
            ),
            (
                "R-x",
                "Subscription id [R-x] contains non hexadecimal characters.",
                "Id [x] contains non hexadecimal characters.",
                "Id [R-x] contains non hexadecimal characters.",
            ),
            (
                "0-0",
                "Subscription id [0-0] has invalid length. Should be |32|-|64|",
                "Id [0] has invalid owner type.",
                "Id [0-0] contains non hexadecimal characters.",
            ),
            (
                "R-R-0",
                "Subscription id [R-R-0] has invalid format.",
                "Id [R-R-0] has invalid format.",
                "Id [R-R-0] contains non hexadecimal characters.",
            ),
            (
                "00",
                "Subscription id [00] has invalid format.",
                "Id [00] has invalid format.",
                "Id [00] hash has invalid length. Should be |64|",
            ),
        ] {
            assert_eq!(demand_id(id).err(), Some(malformed(demand)), "{id}");
            assert_eq!(
                check_proposal_id(id).err().as_deref(),
                Some(proposal),
                "{id}"
            );
            assert_eq!(
                check_agreement_id(id).err().as_deref(),
                Some(agreement),
                "{id}"
            );
        }
        let words = |error: Result<AgreementId, ApiError>| error.err().map(|error| error.body);
        let message = |text: &str| Some(super::super::error::ErrorBody::Message(text.into()));
        let why = "Id [x] contains non hexadecimal characters.";
        assert_eq!(
            words(agreement_id("x")),
            message(&format!("Invalid Agreement id. {why}"))
        );
        assert_eq!(
            words(awaited_id("x")),
            message(&format!("Invalid agreement id. {why}"))
        );
        let told = format!("Failed to get Agreement [x]. Error: Invalid Agreement id: {why}");
        assert_eq!(words(terminated_id("x")), message(&told));
    }
}
