//! Answers that are not a success, and how each looks on the wire.
//!
//! One type for all APIs, because the daemon has one error shape with a few exceptions
//! (text, problem documents, empty bodies) that the recordings name per endpoint.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use golem_wire::market::AgreementState;
use serde_json::{Value, json};

use super::edge::no_answer;
use crate::daemon::market::MarketError;

/// Content type of plain text answers.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Body of an answer that is not a success.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ErrorBody {
    /// `{"message": "…"}`.
    Message(String),
    /// `{"message": null}`.
    Null,
    /// Plain text.
    Text(String),
    /// RFC 7807 document.
    Problem(Value),
    /// Nothing.
    Empty,
    /// No answer at all: the connection ends.
    HangUp,
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) body: ErrorBody,
}

impl ApiError {
    /// `{"message": …}` with this status.
    pub(crate) fn message(status: StatusCode, message: impl Into<String>) -> Self {
        ApiError {
            status,
            body: ErrorBody::Message(message.into()),
        }
    }

    /// `{"message": null}` with this status.
    pub(crate) fn null(status: StatusCode) -> Self {
        ApiError {
            status,
            body: ErrorBody::Null,
        }
    }

    /// Plain text with this status.
    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        ApiError {
            status,
            body: ErrorBody::Text(text.into()),
        }
    }

    /// A problem document with this status.
    pub(crate) fn problem(status: StatusCode, problem: Value) -> Self {
        ApiError {
            status,
            body: ErrorBody::Problem(problem),
        }
    }

    /// The connection ends without an answer.
    pub(crate) fn hang_up() -> Self {
        ApiError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: ErrorBody::HangUp,
        }
    }

    /// No body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        ApiError {
            status,
            body: ErrorBody::Empty,
        }
    }

    /// 400 with a message.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::message(StatusCode::BAD_REQUEST, message)
    }

    /// 404 with a message.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::message(StatusCode::NOT_FOUND, message)
    }

    /// 410 with a message.
    pub(crate) fn gone(message: impl Into<String>) -> Self {
        Self::message(StatusCode::GONE, message)
    }

    /// 500 with a message.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::message(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<MarketError> for ApiError {
    fn from(error: MarketError) -> Self {
        use MarketError as E;
        let status = match &error {
            E::SubscriptionGone(_)
            | E::OfferWithdrawn(_)
            | E::OfferExpiredForReject(_)
            | E::OwnProposal(_)
            | E::NotMatching { .. }
            | E::NothingToPromote(_)
            | E::PromotedOwn(_)
            | E::PromotedInitial(_)
            | E::PromotedCountered(_)
            | E::PromotedRejected(_)
            | E::NotConfirmed(_)
            | E::Terminated(_)
            | E::NotTerminated(_)
            | E::NotTerminatedByProvider(_)
            | E::MaxEvents(..)
            | E::Constraint(_)
            | E::AnnouncedPast(..)
            | E::NotComparable { .. } => StatusCode::BAD_REQUEST,
            E::NoSubscription(_)
            | E::SubscriptionExpired(_)
            | E::NoDemand(_)
            | E::NoOffer(_)
            | E::NoProposal { .. }
            | E::NoAgreement(_)
            | E::NoAgreementOfRequestor(_)
            | E::NoAgreementOfProvider(_)
            | E::NoScan(_) => StatusCode::NOT_FOUND,
            E::ApprovalTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            E::NoPeer => StatusCode::GATEWAY_TIMEOUT,
            E::AnnouncedByRequestor(_) => StatusCode::FORBIDDEN,
            E::PromotedTwice(_)
            | E::AnnouncedUnapproved(_)
            | E::AnnouncedOtherwise(_)
            | E::Transition {
                from: AgreementState::Proposal,
                to: AgreementState::Terminated,
            } => StatusCode::CONFLICT,
            E::OfferExpired(_)
            | E::AlreadyCountered(_)
            | E::Transition { .. }
            | E::Expired(_)
            | E::AnnouncedTooLate(_)
            | E::NotApproved(_) => StatusCode::GONE,
            // A rejection that finds nothing is the daemon's own mistake: 500, not 404.
            E::NoProposalToReject { .. }
            | E::CancelledUnconfirmed(_)
            | E::ConfirmedCountered { .. }
            | E::ProposalUnreachable(_)
            | E::AgreementUnreachable(_)
            | E::TerminationRefused(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError::message(status, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (kind, body) = match self.body {
            ErrorBody::Message(message) => (Some(JSON), json!({ "message": message }).to_string()),
            ErrorBody::Null => (Some(JSON), json!({ "message": null }).to_string()),
            ErrorBody::Text(text) => (Some(TEXT), text),
            ErrorBody::Problem(problem) => (Some(PROBLEM), problem.to_string()),
            ErrorBody::Empty => (None, String::new()),
            ErrorBody::HangUp => return no_answer(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        if let Some(kind) = kind {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    }
}
