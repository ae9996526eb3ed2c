//! Extractors with the daemon's words for bad input.
//!
//! `ApiJson` answers as the market does, `TextJson` as payment, activity and net do; both read the
//! body themselves to say what is wrong in the daemon's words.

use std::io::{self, Write};

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::write::{GzDecoder, ZlibDecoder};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::identity::Identity;
use crate::json_words;

/// Largest body, as it came and unpacked.
const LIMIT: usize = 2 * 1024 * 1024;
/// How much of a packed body is unpacked at a time; a thousand times as much comes of it at the most.
const PIECE: usize = 1024;

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

/// Whether the client wants a stream of events: it says nothing else. With more in the header, whatever
/// the order, the daemon answers with JSON.
pub(crate) fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes() == b"text/event-stream")
}

/// Why a body was not read.
enum BadBody {
    /// It is longer than anybody takes.
    TooLarge(String),
    /// It is none.
    Bad(String),
}

fn exceeded() -> BadBody {
    BadBody::TooLarge(format!("JSON payload has exceeded limit ({LIMIT} bytes)."))
}

fn unreadable(error: impl std::fmt::Display) -> BadBody {
    BadBody::Bad(format!("Error that occur during reading payload: {error}"))
}

/// The body, unpacked. Boxed: a handler is not to hold the room for it while it waits for something else.
fn read(request: Request) -> BoxFuture<'static, Result<Bytes, BadBody>> {
    let coding = request.headers().get(header::CONTENT_ENCODING);
    let coding = coding
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let coding = coding.trim().to_ascii_lowercase();
    let body = Limited::new(request.into_body(), LIMIT).collect();
    let reading = body.map(move |body| match body {
        Ok(body) => unpacked(&coding, body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(exceeded()),
        Err(error) => Err(unreadable(error)),
    });
    reading.boxed()
}

fn unpacked(coding: &str, body: Bytes) -> Result<Bytes, BadBody> {
    let unpacked = match coding {
        "gzip" => unpack(
            GzDecoder::new(Vec::new()),
            &body,
            GzDecoder::get_ref,
            GzDecoder::finish,
        ),
        "deflate" => unpack(
            ZlibDecoder::new(Vec::new()),
            &body,
            ZlibDecoder::get_ref,
            ZlibDecoder::finish,
        ),
        // They are not unpacked here; so the daemon refuses what is not packed at all.
        "br" => Err(Some(io::Error::new(
            io::ErrorKind::InvalidData,
            "Invalid Data",
        ))),
        "zstd" => Err(Some(io::Error::other("Unknown frame descriptor"))),
        // Anything else is nothing to the daemon.
        _ => return Ok(body),
    };
    match unpacked {
        Ok(unpacked) => Ok(unpacked.into()),
        Err(None) => Err(exceeded()),
        Err(Some(error)) => Err(unreadable(format!(
            "payload reached EOF before completing: Some({error:?})"
        ))),
    }
}

/// Unpacks a body piece by piece; an error that is none: it is longer than anybody takes.
fn unpack<D: Write>(
    mut decoder: D,
    body: &[u8],
    so_far: impl Fn(&D) -> &Vec<u8>,
    finish: impl FnOnce(D) -> io::Result<Vec<u8>>,
) -> Result<Vec<u8>, Option<io::Error>> {
    for piece in body.chunks(PIECE) {
        decoder.write_all(piece).map_err(Some)?;
        if so_far(&decoder).len() > LIMIT {
            return Err(None);
        }
    }
    let unpacked = finish(decoder).map_err(Some)?;
    if unpacked.len() > LIMIT {
        Err(None)
    } else {
        Ok(unpacked)
    }
}

/// Whether the request says that it carries JSON; the daemon refuses to look otherwise.
fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let is_token = |text: &str| {
        let other = |b: u8| b"!#$&-^_.+%'*`|~".contains(&b);
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || other(b))
    };
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    let (name, suffix) = subtype.rsplit_once('+').unwrap_or((subtype, ""));
    let says = |word: &str| word.eq_ignore_ascii_case("json");
    is_token(kind) && is_token(subtype) && (says(name) || says(suffix))
}

/// What a body says. Not an `async fn`: that would keep the request beside what is read of it.
fn read_json<T: DeserializeOwned>(
    request: Request,
) -> impl Future<Output = Result<T, BadBody>> + Send {
    let body = match check_kind(request.headers()) {
        Ok(()) => read(request),
        Err(bad) => ready(Err(bad)).boxed(),
    };
    body.map(|body| {
        serde_json::from_slice(&body?).map_err(|error| {
            let words = json_words::plain(error.to_string());
            BadBody::Bad(format!("Json deserialize error: {words}"))
        })
    })
}

/// Whether a body of this kind and length is read.
fn check_kind(headers: &HeaderMap) -> Result<(), BadBody> {
    if !says_json(headers) {
        return Err(BadBody::Bad("Content type error".into()));
    }
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    match announced.filter(|size| *size > LIMIT) {
        None => Ok(()),
        Some(size) => Err(BadBody::TooLarge(format!(
            "JSON payload ({size} bytes) is larger than allowed (limit: {LIMIT} bytes)."
        ))),
    }
}

/// A JSON body; a bad one is answered 400 as JSON.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    fn from_request(
        request: Request,
        _: &S,
    ) -> impl Future<Output = Result<Self, ApiError>> + Send {
        let refused = |bad| match bad {
            BadBody::TooLarge(why) | BadBody::Bad(why) => ApiError::bad_request(why),
        };
        read_json(request).map(move |body| body.map(ApiJson).map_err(refused))
    }
}

/// A JSON body; a bad one is answered 400 as plain text, one that is too large 413.
#[derive(Debug)]
pub(crate) struct TextJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for TextJson<T> {
    type Rejection = ApiError;

    fn from_request(
        request: Request,
        _: &S,
    ) -> impl Future<Output = Result<Self, ApiError>> + Send {
        let refused = |bad| match bad {
            BadBody::Bad(why) => ApiError::text(StatusCode::BAD_REQUEST, why),
            BadBody::TooLarge(why) => ApiError::text(StatusCode::PAYLOAD_TOO_LARGE, why),
        };
        read_json(request).map(move |body| body.map(TextJson).map_err(refused))
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
