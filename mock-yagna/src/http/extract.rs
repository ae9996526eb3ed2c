//! Extractors with the daemon's words for bad input.
//!
//! `ApiJson` answers as the market does, `TextJson` as payment, activity and net do; both read the
//! body themselves to say what is wrong in the daemon's words.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::identity::Identity;

/// Largest body the market takes.
const MARKET_LIMIT: usize = 2 * 1024 * 1024;
/// Largest body the other APIs take.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Whose app key came with the request; the router put it there.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Identity);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let missing = || ApiError::text(StatusCode::UNAUTHORIZED, "Missing application key");
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(missing)
    }
}

async fn read(request: Request, limit: usize) -> Result<Bytes, String> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(format!("JSON payload has exceeded limit ({limit} bytes)."))
        }
        Err(error) => Err(format!("Error that occur during reading payload: {error}")),
    }
}

/// Whether the request says that it carries JSON; the daemon refuses to look otherwise.
fn says_json(request: &Request) -> bool {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

async fn read_json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, String> {
    if !says_json(&request) {
        return Err("Content type error".into());
    }
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if let Some(size) = announced.filter(|size| *size > limit) {
        return Err(format!(
            "JSON payload ({size} bytes) is larger than allowed (limit: {limit} bytes)."
        ));
    }
    let body = read(request, limit).await?;
    serde_json::from_slice(&body)
        .map_err(|error| format!("Json deserialize error: {}", in_daemons_words(&error)))
}

/// The daemon's own number type has another word for a bad amount.
fn in_daemons_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once("is not an amount of GLM") {
        Some((_, place)) => format!("invalid digit found in string{place}"),
        None => text,
    }
}

/// A JSON body; a bad one is answered 400 as JSON.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read_json(request, MARKET_LIMIT)
            .await
            .map(ApiJson)
            .map_err(ApiError::bad_request)
    }
}

/// A JSON body; a bad one is answered 400 as plain text.
#[derive(Debug)]
pub(crate) struct TextJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for TextJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bad = |message| ApiError::text(StatusCode::BAD_REQUEST, message);
        read_json(request, BODY_LIMIT)
            .await
            .map(TextJson)
            .map_err(bad)
    }
}

/// The query string; a bad one is answered 400 as plain text.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(ApiQuery(query)),
            Err(rejection) => {
                // The innermost cause, without the name of the parameter: so the daemon shows it.
                let mut cause: &dyn std::error::Error = &rejection;
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                let cause = cause.to_string();
                let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric());
                let cause = match cause.split_once(": ") {
                    Some((name, rest)) if is_name(name) => rest,
                    _ => &cause,
                };
                let text = format!("Query deserialize error: {cause}");
                Err(ApiError::text(StatusCode::BAD_REQUEST, text))
            }
        }
    }
}
