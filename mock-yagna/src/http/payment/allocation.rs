//! Allocations, their orders and expenditures, and demand decorations.

use std::borrow::Cow;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use golem_wire::payment::{Allocation, AllocationUpdate, DemandDecoration, Deposit};
use golem_wire::{GivenAmount, GivenTime};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::unknown;
use crate::daemon::payment::{
    AllocationError, AllocationSpec, FundsError, Order, PaymentPlatformEnum,
};
use crate::http::error::ApiError;
use crate::http::extract::{ApiQuery, Caller, TextJson};
use crate::http::time::optional_stamp;
use crate::world::World;

/// Common prefix of the types of problems.
const PROBLEMS: &str = "/payment-api/v1/allocations";

/// `POST /allocations`. Members that clients send besides (empty ids and amounts) are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewAllocation {
    address: Option<String>,
    payment_platform: Option<PaymentPlatformEnum>,
    total_amount: GivenAmount,
    timeout: Option<GivenTime>,
    #[serde(default)]
    make_deposit: bool,
    deposit: Option<Deposit>,
    extend_timeout: Option<u64>,
}

/// createAllocation.
pub(super) async fn create(
    State(world): State<World>,
    Caller(me): Caller,
    TextJson(body): TextJson<NewAllocation>,
) -> Result<(StatusCode, Json<Allocation>), ApiError> {
    let request = json!({
        "address": body.address,
        "deposit": body.deposit,
        "extendTimeout": body.extend_timeout,
        "makeDeposit": body.make_deposit,
        "paymentPlatform": body.payment_platform,
        "timeout": body.timeout,
        "totalAmount": body.total_amount,
    });
    let spec = AllocationSpec {
        address: body.address,
        platform: body.payment_platform,
        total: body.total_amount,
        timeout: body.timeout,
        deposit: body.deposit,
    };
    match world.with(|state| {
        state
            .payments
            .create_allocation(&mut state.ports, &me.node, spec)
    }) {
        Ok(allocation) => Ok((StatusCode::CREATED, Json(allocation))),
        Err(error) => Err(refusal(error, request)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    #[serde(default, deserialize_with = "optional_stamp")]
    after_timestamp: Option<Timestamp>,
    max_items: Option<u32>,
}

/// getAllocations; `afterTimestamp` compares with the timeouts, not with the creation.
pub(super) async fn list(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Json<Vec<Allocation>> {
    Json(world.with(|state| {
        let live = state.payments.allocations(
            &me.node,
            query.after_timestamp,
            query.max_items.map(super::count),
        );
        live.into_iter()
            .map(|allocation| allocation.to_wire())
            .collect()
    }))
}

/// getAllocation.
pub(super) async fn get(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Result<Json<Allocation>, ApiError> {
    let found = world.with(|state| {
        state
            .payments
            .allocation(&me.node, &id)
            .map(|found| found.to_wire())
    });
    found.map(Json).ok_or_else(unknown)
}

/// amendAllocation.
pub(super) async fn amend(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
    TextJson(body): TextJson<AllocationUpdate>,
) -> Result<Json<Allocation>, ApiError> {
    let request = serde_json::to_value(&body).unwrap_or_default();
    let amended = world.with(|state| {
        state
            .payments
            .amend_allocation(&mut state.ports, &me.node, &id, body)
    });
    amended.map(Json).map_err(|error| refusal(error, request))
}

/// releaseAllocation.
pub(super) async fn release(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let released = world.with(|state| {
        state
            .payments
            .release_allocation(&mut state.ports, &me.node, &id)
    });
    released
        .map(|()| Json(Value::Null))
        .map_err(|error| refusal(error, Value::Null))
}

/// What the payment driver was told to pay with an allocation, released or not; nothing for one that is not there.
pub(super) async fn orders(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Json<Vec<Order>> {
    let found = world.with(|state| {
        let allocation = state.payments.past_allocation(&me.node, &id)?;
        Some(state.payments.orders(&allocation.id).to_vec())
    });
    Json(found.unwrap_or_default())
}

/// For what an allocation was charged, released or not, the latest purpose first.
pub(super) async fn expenditures(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<String>,
) -> Json<Vec<Value>> {
    let found = world.with(|state| {
        let allocation = state.payments.past_allocation(&me.node, &id)?;
        let rows = allocation
            .expenditures
            .iter()
            .rev()
            .map(|((agreement, activity), spent)| {
                let mut row = json!({
                    "allocationId": allocation.id,
                    "agreementId": agreement,
                    "acceptedAmount": spent.accepted,
                    "scheduledAmount": spent.scheduled,
                });
                if let (Some(activity), Some(row)) = (activity, row.as_object_mut()) {
                    row.insert("activityId".into(), json!(activity));
                }
                row
            });
        Some(rows.collect())
    });
    Json(found.unwrap_or_default())
}

/// getDemandDecorations. The ids are read from the raw query: the daemon cannot decode them.
pub(super) async fn decorations(
    State(world): State<World>,
    Caller(me): Caller,
    uri: Uri,
) -> Result<Json<DemandDecoration>, ApiError> {
    let bad = |what: String| {
        ApiError::text(
            StatusCode::BAD_REQUEST,
            format!("Query deserialize error: {what}"),
        )
    };
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut named = pairs.filter_map(|pair| match pair.strip_prefix("allocationIds=") {
        None if pair == "allocationIds" => Some(""),
        named => named,
    });
    let ids = named.next();
    let ids = ids.ok_or_else(|| bad("missing field `allocationIds`".into()))?;
    if named.next().is_some() {
        return Err(bad("duplicate field `allocationIds`".into()));
    }
    if ids.contains(['%', '+']) {
        let decoded = percent_decoded(ids);
        return Err(bad(format!(
            "invalid type: string {decoded:?}, expected a borrowed string"
        )));
    }
    let decoration = world.with(|state| state.payments.demand_decoration(&me.node, ids.split(',')));
    decoration.map(Json).ok_or_else(unknown)
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Decoded {
        text: String,
    }
    let uri = format!("/?text={text}").parse::<Uri>().ok();
    let decoded = uri.and_then(|uri| axum::extract::Query::<Decoded>::try_from_uri(&uri).ok());
    decoded.map_or(Cow::Borrowed(text), |query| Cow::Owned(query.0.text))
}

fn problem(kind: &str, instance: Option<&str>, detail: &str, members: Value) -> Value {
    let mut problem = Map::new();
    let kind = format!("{PROBLEMS}/{kind}");
    if let Some(instance) = instance {
        problem.insert("instance".into(), format!("{kind}/{instance}").into());
    }
    problem.insert("type".into(), kind.into());
    problem.insert("detail".into(), detail.into());
    if let Value::Object(members) = members {
        problem.extend(members);
    }
    Value::Object(problem)
}

/// How the daemon words a refusal of `request`.
fn refusal(error: FundsError, request: Value) -> ApiError {
    match error {
        FundsError::Unknown => unknown(),
        FundsError::Refused(error @ AllocationError::Released(_)) => {
            ApiError::gone(error.to_string())
        }
        FundsError::Refused(error) => ApiError::bad_request(error.to_string()),
        FundsError::Platform(error) => {
            let members = json!({
                "parseError": error.to_string(),
                "requestedPaymentPlatform": request.get("paymentPlatform"),
                "requestBody": request,
            });
            let detail = "Payment platform doesn't parse";
            ApiError::problem(
                StatusCode::BAD_REQUEST,
                problem("bad-payment-platform", None, detail, members),
            )
        }
        FundsError::TimeoutPassed {
            timeout,
            address,
            platform,
        } => {
            let members = json!({
                "address": address,
                "paymentPlatform": platform,
                "requestBody": request,
                "requestedTimeout": timeout.to_string().replace('Z', "+00:00"),
            });
            let detail = "Requested allocation timeout is in the past";
            ApiError::problem(
                StatusCode::BAD_REQUEST,
                problem("validation-error", Some("timeout-passed"), detail, members),
            )
        }
        FundsError::Deposit {
            error,
            address,
            platform,
        } => {
            let members = json!({
                "address": address,
                "paymentPlatform": platform,
                "requestBody": request,
            });
            let detail = error.to_string();
            ApiError::problem(
                StatusCode::BAD_REQUEST,
                problem("validation-error", Some(error.name()), &detail, members),
            )
        }
        FundsError::Account(why) => {
            let members = json!({ "internalError": why, "requestBody": request });
            ApiError::problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                problem("internal-error", None, "Unhandled internal error", members),
            )
        }
        FundsError::Insufficient {
            address,
            platform,
            requested,
            available,
            reserved,
        } => {
            let members = json!({
                "address": address,
                "availableFunds": available,
                "paymentPlatform": platform,
                "requestBody": request,
                "requestedFunds": requested,
                "reservedFunds": reserved,
            });
            let detail = "Insufficient funds to create the allocation. Top up your account or \
                          release all existing allocations to unlock the funds via `yagna payment \
                          release-allocations`";
            ApiError::problem(
                StatusCode::BAD_REQUEST,
                problem(
                    "validation-error",
                    Some("insufficient-account-funds"),
                    detail,
                    members,
                ),
            )
        }
    }
}
