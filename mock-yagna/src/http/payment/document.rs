//! Invoices and debit notes: reading, accepting, rejecting, and their events.
//!
//! A decision is answered when the node of the provider has taken note of it, or with 504 when that
//! takes too long; it holds either way.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use golem_wire::payment::{self as wire_payment, Acceptance, DebitNote, DocumentStatus, Invoice};
use golem_wire::{ActivityId, GivenAmount, GivenTime, Glm, NodeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::signed::{SignedPayment, signed};
use super::{DEFAULT_TIMEOUT, count, unknown};
use crate::daemon::activity::ActivityError;
use crate::daemon::payment::{DecisionError, DocumentEvent, EventFilter, EventKind, EventWord};
use crate::http::error::ApiError;
use crate::http::extract::{ApiQuery, Caller, TextJson};
use crate::http::paths::check_agreement_id;
use crate::http::time::{optional_stamp, strict_deadline};
use crate::world::{State as Network, Topic, World};

/// Seconds that the provider's node may take to hear of a decision if the request does not say.
const ACK_TIMEOUT: f64 = 15.0;
/// How often a node that cannot be reached is tried again.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    #[serde(default, deserialize_with = "optional_stamp")]
    pub(super) after_timestamp: Option<Timestamp>,
    max_items: Option<u32>,
}

impl ListQuery {
    pub(super) fn page<'a, T: Clone + 'a>(&self, later: impl Iterator<Item = &'a T>) -> Vec<T> {
        let max = self.max_items.map_or(usize::MAX, count);
        later.take(max).cloned().collect()
    }
}

/// getInvoices.
pub(super) async fn invoices(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Json<Vec<Invoice>> {
    let page =
        |state: &mut Network| query.page(state.payments.invoices(&me.node, query.after_timestamp));
    Json(world.with(page))
}

/// getDebitNotes.
pub(super) async fn debit_notes(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Json<Vec<DebitNote>> {
    let page = |state: &mut Network| {
        query.page(state.payments.debit_notes(&me.node, query.after_timestamp))
    };
    Json(world.with(page))
}

/// getInvoice.
pub(super) async fn invoice(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Result<Json<Invoice>, ApiError> {
    world
        .with(|state| state.payments.shown_invoice(&me.node, &id).cloned())
        .map(Json)
        .ok_or_else(unknown)
}

/// getDebitNote.
pub(super) async fn debit_note(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Result<Json<DebitNote>, ApiError> {
    world
        .with(|state| state.payments.shown_note(&me.node, &id).cloned())
        .map(Json)
        .ok_or_else(unknown)
}

/// getPaymentsForInvoice.
pub(super) async fn invoice_payments(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<SignedPayment>>, ApiError> {
    let found = world.with(|state| {
        let invoice = state.payments.invoice(&me.node, &id)?;
        Some(signed(state.payments.payments_of_invoice(invoice)))
    });
    found.map(Json).ok_or_else(unknown)
}

#[derive(Debug, Deserialize)]
pub(super) struct AckQuery {
    timeout: Option<f64>,
}

impl AckQuery {
    /// The daemon looks at the time once it knows that somebody is to be told.
    fn check(&self, world: &World, is_news: bool) -> Result<(), ApiError> {
        if is_news {
            strict_deadline(world.now(), self.timeout, ACK_TIMEOUT)?;
        }
        Ok(())
    }
}

/// acceptInvoice.
pub(super) async fn accept_invoice(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    ApiQuery(query): ApiQuery<AckQuery>,
    TextJson(body): TextJson<Acceptance>,
) -> Result<Json<Value>, ApiError> {
    let news = world.with(|state| state.payments.is_invoice_news(&me.node, &id, &body));
    query.check(&world, news)?;
    let outcome = world.with(|state| {
        state
            .payments
            .accept_invoice(&mut state.ports, &me.node, &id, &body)
    });
    decided(&world, outcome, &query, "accepting Invoice").await
}

/// acceptDebitNote.
pub(super) async fn accept_debit_note(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    ApiQuery(query): ApiQuery<AckQuery>,
    TextJson(body): TextJson<Acceptance>,
) -> Result<Json<Value>, ApiError> {
    let news = world.with(|state| state.payments.is_note_news(&me.node, &id, &body));
    query.check(&world, news)?;
    let outcome = world.with(|state| {
        state
            .payments
            .accept_debit_note(&mut state.ports, &me.node, &id, &body)
    });
    decided(&world, outcome, &query, "accepting Debit Note").await
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RejectionReason {
    UnsolicitedService,
    BadService,
    IncorrectAmount,
}

/// A rejection; unlike a client, the daemon knows three reasons only.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rejection {
    rejection_reason: RejectionReason,
    total_amount_accepted: Glm,
    message: Option<String>,
}

/// rejectInvoice.
pub(super) async fn reject_invoice(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    ApiQuery(query): ApiQuery<AckQuery>,
    TextJson(body): TextJson<Rejection>,
) -> Result<Json<Value>, ApiError> {
    let news = world.with(|state| state.payments.is_refusal_news(&me.node, &id));
    query.check(&world, news)?;
    let reason = match body.rejection_reason {
        RejectionReason::UnsolicitedService => "UNSOLICITED_SERVICE",
        RejectionReason::BadService => "BAD_SERVICE",
        RejectionReason::IncorrectAmount => "INCORRECT_AMOUNT",
    };
    let rejection = wire_payment::Rejection {
        rejection_reason: reason.into(),
        total_amount_accepted: body.total_amount_accepted,
        message: body.message,
    };
    let outcome = world.with(|state| {
        state
            .payments
            .reject_invoice(&mut state.ports, &me.node, &id, rejection)
    });
    decided(&world, outcome, &query, "rejecting Invoice").await
}

/// rejectDebitNote: the daemon has none, once it has read what it would be.
pub(super) async fn reject_debit_note(
    Path(_): Path<String>,
    ApiQuery(_): ApiQuery<AckQuery>,
    TextJson(_): TextJson<Rejection>,
) -> ApiError {
    ApiError::null(StatusCode::NOT_IMPLEMENTED)
}

/// An invoice as a provider issues it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewInvoice {
    agreement_id: String,
    #[serde(rename = "activityIds")]
    _activities: Option<Vec<String>>,
    #[serde(rename = "amount")]
    _amount: GivenAmount,
    #[serde(rename = "paymentDueDate")]
    _due: GivenTime,
}

/// issueInvoice: nobody here provides anything.
pub(super) async fn issue_invoice(TextJson(new): TextJson<NewInvoice>) -> ApiError {
    match check_agreement_id(&new.agreement_id) {
        Ok(id) => ApiError::bad_request(format!("Agreement not found: {id}")),
        Err(what) => ApiError::internal(format!(
            "External service error: Market service error: Market API error: {what}"
        )),
    }
}

/// A debit note as a provider issues it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewDebitNote {
    activity_id: ActivityId,
    #[serde(rename = "totalAmountDue")]
    _total: GivenAmount,
    #[serde(default, rename = "usageCounterVector")]
    _usage: Option<Value>,
    #[serde(default, rename = "paymentDueDate")]
    _due: Option<GivenTime>,
}

/// issueDebitNote: nobody here provides anything.
pub(super) async fn issue_debit_note(
    State(world): State<World>,
    TextJson(new): TextJson<NewDebitNote>,
) -> ApiError {
    let id = new.activity_id;
    match world.with(|state| state.activities.get(&id).is_some()) {
        true => ApiError::bad_request(format!("Activity not found: {id}")),
        false => ApiError::internal(format!(
            "External service error: Activity service error: Service error: {}",
            ActivityError::NoActivity(id)
        )),
    }
}

/// sendInvoice: what has arrived was sent.
pub(super) async fn send_invoice(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    ApiQuery(_): ApiQuery<AckQuery>,
) -> Result<Json<Value>, ApiError> {
    let known = world.with(|state| state.payments.shown_invoice(&me.node, &id).is_some());
    known.then_some(Json(Value::Null)).ok_or_else(unknown)
}

/// sendDebitNote: the same.
pub(super) async fn send_debit_note(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    ApiQuery(_): ApiQuery<AckQuery>,
) -> Result<Json<Value>, ApiError> {
    let known = world.with(|state| state.payments.shown_note(&me.node, &id).is_some());
    known.then_some(Json(Value::Null)).ok_or_else(unknown)
}

/// cancelInvoice: nobody cancels what somebody else issued.
pub(super) async fn cancel_invoice(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    ApiQuery(_): ApiQuery<AckQuery>,
) -> ApiError {
    let status = world.with(|state| {
        let invoice = state.payments.invoice(&me.node, &id);
        invoice.map(|invoice| invoice.status.clone())
    });
    match status {
        Some(DocumentStatus::Accepted | DocumentStatus::Settled) => ApiError::message(
            StatusCode::CONFLICT,
            "Invoice already accepted by requestor",
        ),
        Some(_) => ApiError::internal("RPC error: Forbidden"),
        None => unknown(),
    }
}

/// The answer to a decision: if there is somebody to be told of it, not before that is done.
async fn decided(
    world: &World,
    outcome: Result<Option<NodeId>, DecisionError>,
    query: &AckQuery,
    doing: &str,
) -> Result<Json<Value>, ApiError> {
    match outcome {
        Ok(None) => Ok(Json(Value::Null)),
        Ok(Some(provider)) if is_told(world, &provider, query.timeout).await => {
            Ok(Json(Value::Null))
        }
        Ok(Some(_)) => Err(ApiError::message(
            StatusCode::GATEWAY_TIMEOUT,
            format!("Timeout {doing} on remote Node."),
        )),
        Err(DecisionError::Unknown) => Err(unknown()),
        Err(error) => Err(ApiError::message(
            StatusCode::BAD_REQUEST,
            error.to_string(),
        )),
    }
}

/// Waits until the node of a provider can be reached; false when `timeout` seconds have passed. Cancel
/// safe: there is nothing to undo. No time at all is too little for any node, as with the daemon.
async fn is_told(world: &World, provider: &NodeId, timeout: Option<f64>) -> bool {
    // What is no time was refused before.
    let end = strict_deadline(world.now(), timeout, ACK_TIMEOUT).unwrap_or(Timestamp::MAX);
    loop {
        let now = world.now();
        if now >= end || world.is_stopping() {
            return false;
        }
        if world.with(|state| state.providers.reaches(provider)) {
            return true;
        }
        let next = now.saturating_add(AGAIN).unwrap_or(end).min(end);
        let _: Option<()> = world.poll_until(&[], next, |_| None).await;
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsQuery {
    timeout: Option<f64>,
    #[serde(default, deserialize_with = "optional_stamp")]
    after_timestamp: Option<Timestamp>,
    max_events: Option<u32>,
    app_session_id: Option<String>,
}

impl EventsQuery {
    /// `X-Requestor-Events` names the kinds a requestor wants; unknown names mean nothing.
    fn filter(&self, headers: &HeaderMap) -> EventFilter {
        let asked = headers
            .get("X-Requestor-Events")
            .and_then(|value| value.to_str().ok());
        let words = match asked {
            Some(asked) => asked.split(',').filter_map(EventWord::parse).collect(),
            None => EventWord::USUAL.to_vec(),
        };
        EventFilter {
            after: self.after_timestamp,
            max: self.max_events.map(count),
            session: self.app_session_id.clone(),
            words,
        }
    }
}

/// Waits for events as the daemon does: by looking for them again and again.
async fn look<R>(
    world: &World,
    topics: &[Topic],
    deadline: Timestamp,
    mut attempt: impl FnMut(&mut Network) -> Option<R>,
) -> Option<R> {
    let pace = world.with(|state| state.ports.config.latency.payment_events);
    if pace.is_zero() {
        return world.poll_until(topics, deadline, attempt).await;
    }
    loop {
        if let Some(found) = world.with(&mut attempt) {
            return Some(found);
        }
        let next = world.now().saturating_add(pace).unwrap_or(Timestamp::MAX);
        let end = next.min(deadline);
        let _: Option<()> = world.poll_until(topics, end, |_| None).await;
        // At its end it looks no more; before `end` only when the network stops.
        if next >= deadline || world.now() < end {
            return None;
        }
    }
}

/// getInvoiceEvents: waits until there is one.
pub(super) async fn invoice_events(
    State(world): State<World>,
    Caller(me): Caller,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let filter = query.filter(&headers);
    let deadline = strict_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let topics = [Topic::InvoiceEvents(me.node.clone())];
    let found = look(&world, &topics, deadline, |state| {
        let found = state.payments.invoice_events(&me.node, &filter);
        (!found.is_empty()).then_some(found)
    });
    let found = found.await.unwrap_or_default();
    Ok(Json(
        found
            .into_iter()
            .map(|event| rendered("Invoice", "invoiceId", event))
            .collect(),
    ))
}

/// getDebitNoteEvents: waits until there is one.
pub(super) async fn debit_note_events(
    State(world): State<World>,
    Caller(me): Caller,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let filter = query.filter(&headers);
    let deadline = strict_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let topics = [Topic::DebitNoteEvents(me.node.clone())];
    let found = look(&world, &topics, deadline, |state| {
        let found = state.payments.debit_note_events(&me.node, &filter);
        (!found.is_empty()).then_some(found)
    });
    let found = found.await.unwrap_or_default();
    Ok(Json(
        found
            .into_iter()
            .map(|event| rendered("DebitNote", "debitNoteId", event))
            .collect(),
    ))
}

fn rendered<Id: Serialize>(document: &str, key: &str, event: DocumentEvent<Id>) -> Value {
    let mut rendered = json!({
        key: event.id,
        "eventDate": golem_wire::stamp::fixed(event.at, 6),
        "eventType": format!("{document}{}Event", event.kind.name()),
    });
    if let (EventKind::Rejected(rejection), Some(members)) = (event.kind, rendered.as_object_mut())
    {
        members.insert("rejection".into(), json!(rejection));
    }
    rendered
}
