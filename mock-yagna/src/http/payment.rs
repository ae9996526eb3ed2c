//! The payment API (`/payment-api/v1`): accounts, payments, and the routes of the whole area.
//!
//! `allocation` has allocations and decorations, `document` invoices, debit notes and their events.
//! Statuses and bodies are the recorded ones; a negative timeout ends the connection.

mod allocation;
mod document;
mod signed;
#[cfg(test)]
mod tests;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use golem_wire::payment::Account;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::{ApiQuery, Caller};
use super::operations::Operations;
use super::time::{optional_stamp, strict_deadline};
use crate::config::{Accounts, Operation, Platform};
use crate::daemon::payment::{BatchOrder, PaymentFilter, platform};
use crate::world::{Topic, World};
use signed::{SignedPayment, signed};

/// Seconds of a long poll that does not say.
const DEFAULT_TIMEOUT: f64 = 5.0;
/// Seconds between the payment driver's batches, as a daemon on a test network reports them.
const BATCH_SECONDS: i64 = 300;
/// The same where transactions cost.
const DAILY_SECONDS: i64 = 86_400;

pub(super) fn routes() -> Router<World> {
    use Operation as O;
    let api = |path: &str| format!("/payment-api/v1{path}");
    Router::new()
        .operation(O::GetRequestorAccounts, requestor_accounts)
        .operation(O::CreateAllocation, allocation::create)
        .operation(O::GetAllocations, allocation::list)
        .operation(O::GetAllocation, allocation::get)
        .operation(O::AmendAllocation, allocation::amend)
        .operation(O::ReleaseAllocation, allocation::release)
        .operation(O::GetDemandDecorations, allocation::decorations)
        .operation(O::GetInvoices, document::invoices)
        .operation(O::GetInvoice, document::invoice)
        .operation(O::AcceptInvoice, document::accept_invoice)
        .operation(O::RejectInvoice, document::reject_invoice)
        .operation(O::GetInvoiceEvents, document::invoice_events)
        .operation(O::GetDebitNotes, document::debit_notes)
        .operation(O::GetDebitNote, document::debit_note)
        .operation(O::AcceptDebitNote, document::accept_debit_note)
        .operation(O::GetDebitNoteEvents, document::debit_note_events)
        .operation(O::GetPayments, payments)
        .route(&api("/providerAccounts"), get(provider_accounts))
        .route(&api("/batchCycles"), get(batch_cycles))
        .route(&api("/allocations/{id}/orders"), get(allocation::orders))
        .route(
            &api("/allocations/{id}/expenditures"),
            get(allocation::expenditures),
        )
        .route(
            &api("/invoices/{id}/payments"),
            get(document::invoice_payments),
        )
        .route(&api("/debitNotes/{id}/payments"), get(not_implemented))
        .route(
            &api("/debitNotes/{id}/reject"),
            post(document::reject_debit_note),
        )
        .route(&api("/invoices"), post(document::issue_invoice))
        .route(&api("/debitNotes"), post(document::issue_debit_note))
        .route(&api("/debitNotes/{id}/cancel"), post(nothing_to_cancel))
        .route(
            &api("/debitNotes/{id}/send"),
            post(document::send_debit_note),
        )
        .route(&api("/invoices/{id}/send"), post(document::send_invoice))
        .route(
            &api("/invoices/{id}/cancel"),
            post(document::cancel_invoice),
        )
        .route(&api("/batchOrders"), get(batch_orders))
        .route(&api("/batchOrders/{id}"), get(batch_order))
        .route(&api("/payments/status"), get(driver_status))
        .route(&api("/payments/{id}"), get(payment))
}

/// How many items a query asks for at the most.
fn count(max: u32) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX)
}

/// An object that is not there, or not the caller's.
fn unknown() -> ApiError {
    ApiError::null(StatusCode::NOT_FOUND)
}

async fn nothing_to_cancel(ApiQuery(_): ApiQuery<document::AckQuery>) -> ApiError {
    not_implemented().await
}

/// getBatchOrders: what the driver paid in one go.
async fn batch_orders(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<document::ListQuery>,
) -> Json<Vec<BatchOrder>> {
    Json(world.with(|state| {
        let later = state.payments.batch_orders(&me.node, query.after_timestamp);
        query.page(later)
    }))
}

/// getBatchOrder: `null` for one that is not there.
async fn batch_order(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Json<Option<BatchOrder>> {
    Json(world.with(|state| state.payments.batch_order(&me.node, &id).cloned()))
}

async fn not_implemented() -> ApiError {
    ApiError::null(StatusCode::NOT_IMPLEMENTED)
}

/// getRequestorAccounts.
async fn requestor_accounts(State(world): State<World>, Caller(me): Caller) -> Json<Vec<Account>> {
    let platforms = world.with(|state| {
        let config = &state.ports.config;
        let has = |(at, platform): &(usize, &Platform)| match config.accounts {
            Accounts::Everywhere => true,
            Accounts::OnUse => *at == 0 || state.payments.uses_platform(&me.node, &platform.name()),
        };
        let known = config.platforms.iter().enumerate().filter(has);
        known.map(|(_, it)| it.clone()).collect::<Vec<_>>()
    });
    let account = |platform: Platform| Account {
        platform: platform.name(),
        address: me.node.to_string(),
        driver: platform.driver,
        network: platform.network,
        token: platform.token,
        send: true,
        receive: false,
    };
    Json(platforms.into_iter().map(account).collect())
}

/// getProviderAccounts: the caller is no provider.
async fn provider_accounts() -> Json<Vec<Account>> {
    Json(Vec::new())
}

/// When the driver looks for what is to be paid: once a day where it costs, else every five minutes.
async fn batch_cycles(State(world): State<World>, Caller(me): Caller) -> Json<Vec<Value>> {
    let (platforms, since, now) = world.with(|state| {
        (
            state.ports.config.platforms.clone(),
            state.ports.began,
            state.ports.now,
        )
    });
    let stamp = |at: Timestamp| golem_wire::stamp::fixed(at, 6).replace('Z', "+00:00");
    let cycle = |platform: Platform| {
        let (interval, extra) = match platform.network.as_str() {
            "mainnet" | "polygon" => (DAILY_SECONDS, 3600),
            _ => (BATCH_SECONDS, 240),
        };
        let passed = now.duration_since(since).as_secs() / interval * interval;
        let last = since + SignedDuration::from_secs(passed);
        json!({
            "cron": null,
            "extraPayTimeSec": extra,
            "intervalSec": interval,
            "lastProcess": (passed > 0).then(|| stamp(last)),
            "maxIntervalSec": interval,
            "nextProcess": stamp(last + SignedDuration::from_secs(interval)),
            "nodeId": me.node,
            "platform": platform.name(),
        })
    };
    Json(platforms.into_iter().map(cycle).collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentsQuery {
    timeout: Option<f64>,
    #[serde(default, deserialize_with = "optional_stamp")]
    after_timestamp: Option<Timestamp>,
    max_events: Option<u32>,
    app_session_id: Option<String>,
    network: Option<String>,
    driver: Option<String>,
}

/// getPayments: waits until there is one.
async fn payments(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<PaymentsQuery>,
) -> Result<Json<Vec<SignedPayment>>, ApiError> {
    let deadline = strict_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let (network, driver) = (query.network.as_deref(), query.driver.as_deref());
    let is_known =
        world.with(|state| platform::is_known(&state.ports.config.platforms, network, driver));
    if !is_known {
        return Err(ApiError::internal("Matching variant not found"));
    }
    let filter = PaymentFilter {
        after: query.after_timestamp,
        max: query.max_events.map(count),
        session: query.app_session_id,
        network: query.network,
        driver: query.driver,
    };
    let topics = [Topic::InvoiceEvents(me.node.clone())];
    let found = world.poll_until(&topics, deadline, |state| {
        let found = state.payments.payments(&me.node, &filter);
        (!found.is_empty()).then_some(found)
    });
    Ok(Json(signed(found.await.unwrap_or_default())))
}

/// getPayment.
async fn payment(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Result<Json<SignedPayment>, ApiError> {
    world
        .with(|state| state.payments.payment(&me.node, &id).cloned())
        .map(|payment| Json(SignedPayment::from(payment)))
        .ok_or_else(unknown)
}

#[derive(Debug, Deserialize)]
struct StatusQuery {
    network: Option<String>,
    driver: Option<String>,
}

/// Trouble of the payment driver: it has none.
async fn driver_status(
    State(world): State<World>,
    ApiQuery(query): ApiQuery<StatusQuery>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let platforms = world.with(|state| state.ports.config.platforms.clone());
    if let Some(driver) = &query.driver
        && !platforms.iter().any(|platform| platform.driver == *driver)
    {
        return Err(ApiError::not_found(format!(
            "Requested driver not registered {driver}"
        )));
    }
    if let Some(network) = &query.network
        && !platforms
            .iter()
            .any(|platform| platform.network == *network)
    {
        return Err(ApiError::not_found(format!(
            "Requested network not supported {network}"
        )));
    }
    Ok(Json(Vec::new()))
}
