//! `/gsb-api/v1`: binding services, and the websocket over which the daemon calls them.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};
use futures::{SinkExt, StreamExt};
use golem_wire::gsb::{SUBPROTOCOL, ServiceRequest};
use jiff::SignedDuration;

use super::error::ApiError;
use super::extract::{Caller, TextJson};
use super::operations::Operations;
use super::websocket::{CloseCode, CloseFrame, Message, NoUpgrade, Upgrade, WebSocket};
use crate::config::Operation;
use crate::daemon::gsb::{SocketStep, socket_topic};
use crate::world::World;

/// Largest frame a client may send: a chunk of a file and a little more.
const FRAME_LIMIT: usize = 16 * 1024 * 1024;
/// An idle socket looks around so often.
const IDLE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// A websocket refuses longer reasons.
const REASON_LIMIT: usize = 120;

pub(super) fn routes() -> Router<World> {
    Router::new()
        .operation(Operation::BindServices, bind)
        .operation(Operation::UnbindServices, unbind)
        .route("/gsb-api/v1/services/{id}", get(connect))
}

async fn bind(
    State(world): State<World>,
    Caller(caller): Caller,
    TextJson(body): TextJson<ServiceRequest>,
) -> Result<Response, ApiError> {
    let bound = world.with(|state| state.gsb.bind(&caller.node, body.listen));
    let bound = bound.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::from_str(&format!("/{}", bound.services_id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::CREATED, headers, Json(bound)).into_response())
}

/// The address that an id stands for.
fn address(id: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(id).map_err(|error| {
        let why = match error {
            DecodeError::InvalidByte(at, byte) => format!("Invalid byte {byte}, offset {at}."),
            DecodeError::InvalidLastSymbol { offset, symbol, .. } => {
                format!("Invalid last symbol {symbol}, offset {offset}.")
            }
            DecodeError::InvalidPadding => "Invalid padding".to_owned(),
            _ => "Encoded text cannot have a 6-bit remainder.".to_owned(),
        };
        let what = "Service address should be encoded in base64. Unable to decode.";
        ApiError::bad_request(format!("{what} Err: {why}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let what = "Service address should be a string. Unable to parse address.";
        ApiError::bad_request(format!("{what} Err: {}", error.utf8_error()))
    })
}

async fn unbind(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<()>, ApiError> {
    address(&id)?;
    world
        .with(|state| state.gsb.unbind(&mut state.ports, &caller.node, &id))
        .map_err(|error| ApiError::not_found(error.to_string()))?;
    Ok(Json(()))
}

async fn connect(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Response, ApiError> {
    let address = address(&id)?;
    let missing = || ApiError::not_found(format!("Service prefix not found: {address}"));
    world
        .with(|state| state.gsb.find(&caller.node, &id))
        .map_err(|_| missing())?;
    let upgrade = upgrade.map_err(|error| ApiError::internal(format!("Actix error: {error}")))?;
    let served = world.clone();
    let serve = async move |socket| serve(served, caller.node, id, socket).await;
    Ok(upgrade.accept(&world, Some(SUBPROTOCOL), FRAME_LIMIT, serve))
}

/// One socket until it is closed, replaced, or its service is unbound.
async fn serve(world: World, owner: golem_wire::NodeId, id: String, mut socket: WebSocket) {
    let Ok(number) = world.with(|state| state.gsb.attach(&mut state.ports, &owner, &id)) else {
        return close(socket, CloseCode::Policy, "Service unbound").await;
    };
    let topics = [socket_topic(&id)];
    let (code, reason) = loop {
        let deadline = world.now() + IDLE;
        let step = world.poll_until(&topics, deadline, |state| state.gsb.step(&id, number));
        tokio::select! {
            biased;
            step = step => match step {
                Some(SocketStep::Send(frame)) => {
                    if socket.send(Message::Binary(frame)).await.is_err() {
                        break (CloseCode::Away, String::new());
                    }
                }
                Some(SocketStep::Replaced) => {
                    break (CloseCode::Policy, "Closing old WS connection in favor of new one".into());
                }
                Some(SocketStep::Unbound) => break (CloseCode::Normal, "Unbinding service".into()),
                None if world.now() >= deadline => {}
                None => break (CloseCode::Away, "The daemon stops".into()),
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(frame))) => {
                    let read = world.with(|state| {
                        state.gsb.frame(&mut state.ports, &id, &frame)
                    });
                    if let Err(reason) = read {
                        break (CloseCode::Policy, reason);
                    }
                }
                Some(Ok(Message::Text(_))) => {
                    let reason = "Text messages are not supported".to_owned();
                    break (CloseCode::Unsupported, reason);
                }
                // The library answers these by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    break (CloseCode::Normal, String::new());
                }
            },
        }
    };
    world.with(|state| state.gsb.detach(&id, number));
    close(socket, code, &reason).await;
}

async fn close(mut socket: WebSocket, code: CloseCode, reason: &str) {
    let end = reason
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|at| *at <= REASON_LIMIT)
        .last();
    let reason = if reason.len() > REASON_LIMIT {
        &reason[..end.unwrap_or(0)]
    } else {
        reason
    };
    // The other side may be gone already.
    let frame = CloseFrame {
        code,
        reason: reason.to_owned().into(),
    };
    if socket.send(Message::Close(Some(frame))).await.is_err() {
        tracing::debug!("a websocket was gone before it was closed");
    }
}
