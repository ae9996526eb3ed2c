//! `/activity-api/v1`: the routes, and activities: created, looked at, destroyed.
//!
//! Does not own: scripts, their results and the event stream (`batch`).

mod batch;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::{Json, Router};
use futures::StreamExt as _;
use golem_wire::activity::{ActivityState, ActivityStatus, ActivityUsage, CreatedActivity};
use golem_wire::{ActivityId, AgreementId, NodeId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::extract::{ApiQuery, Caller, TextJson};
use super::operations::Operations;
use super::paths::check_agreement_id;
use super::time::{after, stamp, strict_deadline};
use crate::config::Operation;
use crate::daemon::activity::{Activity, ActivityError};
use crate::world::{State as Network, Topic, World};

/// How long the daemon waits when it is not told.
const DEFAULT_TIMEOUT: f64 = 5.0;
/// How much longer than asked the daemon waits for a node that does not answer.
const MARGIN: Duration = Duration::from_secs(1);
/// The longest wait that makes sense to the daemon's connections.
const LONGEST_TIMEOUT: f64 = 3600.0;

pub(super) fn routes() -> Router<World> {
    use Operation as O;
    Router::new()
        .operation(O::CreateActivity, create)
        .operation(O::GetActivities, list)
        .operation(O::DestroyActivity, destroy)
        .operation(O::GetActivityState, state)
        .route("/activity-api/v1/activity/{id}/state", put(tell_state))
        .operation(O::GetActivityUsage, usage)
        .operation(O::GetActivityAgreement, agreement)
        .route("/activity-api/v1/activity/{id}/command", get(command))
        .route("/activity-api/v1/activity/{id}/encrypted", post(encrypted))
        .route(
            "/activity-api/v1/activity/{id}/proxy-http/{*url}",
            any(proxy),
        )
        .route(
            "/activity-api/v1/activity/{id}/proxy-http/",
            any(proxy_nothing),
        )
        .route("/activity-api/v1/_monitor", get(monitor))
        .route("/activity-api/v1/events", get(events))
        .merge(batch::routes())
}

impl From<ActivityError> for ApiError {
    fn from(error: ActivityError) -> Self {
        let status = match &error {
            ActivityError::NoAgreement(_) | ActivityError::NoBatch(_) => StatusCode::NOT_FOUND,
            ActivityError::NotApproved { .. }
            | ActivityError::PublicKey(_)
            | ActivityError::BadScript(_) => StatusCode::BAD_REQUEST,
            ActivityError::Timeout | ActivityError::Unreachable => StatusCode::REQUEST_TIMEOUT,
            ActivityError::MalformedAgreement(_)
            | ActivityError::NoActivity(_)
            | ActivityError::NoExeUnit
            | ActivityError::Aborted(..) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError::message(status, error.to_string())
    }
}

#[derive(Debug, Deserialize)]
struct Wait {
    timeout: Option<f32>,
}

impl Wait {
    /// When the wait ends; who may not ask at all is told so before the daemon looks at the time.
    fn deadline(
        &self,
        world: &World,
        default: f64,
        known: Result<(), ActivityError>,
    ) -> Result<Timestamp, ApiError> {
        match known {
            Ok(()) | Err(ActivityError::Timeout | ActivityError::Unreachable) => {}
            Err(error) => return Err(error.into()),
        }
        let deadline = strict_deadline(world.now(), self.timeout.map(f64::from), default)?;
        Ok(deadline.min(after(world.now(), LONGEST_TIMEOUT)))
    }
}

fn agreement_id(text: &str) -> Result<AgreementId, ActivityError> {
    check_agreement_id(text).map_err(ActivityError::MalformedAgreement)
}

/// An activity that the caller's daemon knows.
fn known<'a>(
    state: &'a Network,
    caller: &NodeId,
    id: &ActivityId,
) -> Result<&'a Activity, ActivityError> {
    let activity = state.activities.get(id);
    let activity = activity.filter(|activity| activity.is_known_to(caller));
    activity.ok_or_else(|| ActivityError::NoActivity(id.clone()))
}

/// Only the requestor may use an activity; to others its agreement does not exist.
fn own(state: &Network, caller: &NodeId, id: &ActivityId) -> Result<(), ActivityError> {
    let activity = known(state, caller, id)?;
    if activity.requestor != *caller {
        return Err(ActivityError::NoAgreement(activity.agreement.clone()));
    }
    if state.providers.reaches(&activity.provider) {
        Ok(())
    } else {
        Err(ActivityError::Unreachable)
    }
}

/// Both sides may look at an activity; to others its agreement does not exist. The requestor's daemon
/// asks the provider's, unless it knows that the activity has ended.
fn seen(state: &Network, caller: &NodeId, id: &ActivityId) -> Result<(), ActivityError> {
    let activity = known(state, caller, id)?;
    if activity.requestor != *caller && activity.provider != *caller {
        return Err(ActivityError::NoAgreement(activity.agreement.clone()));
    }
    let is_told_locally = activity.provider == *caller || !activity.is_alive();
    if is_told_locally || state.providers.reaches(&activity.provider) {
        Ok(())
    } else {
        Err(ActivityError::Unreachable)
    }
}

/// When a look at an activity ends: of what the caller's daemon knows by itself, it takes any time.
fn look_ends(
    world: &World,
    caller: &NodeId,
    id: &ActivityId,
    wait: &Wait,
) -> Result<Timestamp, ApiError> {
    let (seen, is_told_locally) = world.with(|state| {
        let seen = seen(state, caller, id);
        (seen, state.activities.knows_end(id, caller))
    });
    match (&seen, is_told_locally) {
        (Ok(()), true) => Ok(world.now()),
        _ => wait.deadline(world, DEFAULT_TIMEOUT, seen),
    }
}

/// The body of `POST /activity`: text (yapapi, golem-core) or an object (golem-js). Its name is part
/// of the daemon's message for anything else.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CreateActivityJson {
    Text(String),
    #[serde(rename_all = "camelCase")]
    Object {
        agreement_id: String,
        requestor_pub_key: Option<String>,
    },
}

async fn create(
    State(world): State<World>,
    Caller(caller): Caller,
    ApiQuery(wait): ApiQuery<Wait>,
    TextJson(body): TextJson<CreateActivityJson>,
) -> Result<Response, ApiError> {
    let (agreement, is_object) = match body {
        CreateActivityJson::Text(agreement) => (agreement, false),
        CreateActivityJson::Object {
            agreement_id,
            requestor_pub_key,
        } => {
            if let Some(Err(error)) = requestor_pub_key.as_deref().map(public_key) {
                return Err(error.into());
            }
            (agreement_id, true)
        }
    };
    let agreement = agreement_id(&agreement)?;
    let known = world.with(|state| {
        state.market.touch(&caller.node, &agreement);
        let found = state.market.agreement(&agreement);
        match found.is_some_and(|found| found.requestor == caller.node) {
            // Its provider is asked whether it may be.
            true => Ok(()),
            false => Err(ActivityError::NoAgreement(agreement.clone())),
        }
    });
    let deadline = wait.deadline(&world, DEFAULT_TIMEOUT, known)?;
    let created = world.with(|state| {
        state.activities.create(
            &mut state.ports,
            &mut state.providers,
            &state.market,
            &caller.node,
            &agreement,
        )
    });
    let id = or_silence(&world, created, deadline).await?;
    let topics = [Topic::Activity(id.clone())];
    let up = world.poll_until(&topics, deadline, |state| {
        let activity = state.activities.get(&id)?;
        match &activity.state {
            ActivityState::New => None,
            ActivityState::Terminated => {
                let why = activity
                    .failure
                    .clone()
                    .unwrap_or_else(|| "it was destroyed".into());
                Some(Err(ActivityError::Aborted(id.clone(), why)))
            }
            _ => Some(Ok(())),
        }
    });
    let up = up.await.unwrap_or_else(|| {
        world.with(|state| state.activities.forget_unanswered(&id));
        Err(in_vain(&world, &id))
    });
    or_silence(&world, up, deadline).await?;
    Ok(if is_object {
        Json(CreatedActivity {
            activity_id: id,
            credentials: None,
        })
        .into_response()
    } else {
        Json(id).into_response()
    })
}

/// A key is hexadecimal; what it is good for, only SGX knows.
fn public_key(text: &str) -> Result<(), ActivityError> {
    let bad = text.char_indices().find(|(_, c)| !c.is_ascii_hexdigit());
    match bad {
        None => Ok(()),
        Some((at, c)) => {
            let why = format!("Invalid character '{c}' at position {at}");
            Err(ActivityError::PublicKey(why))
        }
    }
}

/// Waits a silence out, if `asked` met one. The daemon waits a moment longer for a node than it asks it
/// to wait.
async fn or_silence<T>(
    world: &World,
    asked: Result<T, ActivityError>,
    deadline: Timestamp,
) -> Result<T, ApiError> {
    let until = match &asked {
        Err(ActivityError::Timeout) => deadline,
        Err(ActivityError::Unreachable) => deadline + MARGIN,
        _ => return Ok(asked?),
    };
    let _: Option<()> = world.poll_until(&[], until, |_| None).await;
    Ok(asked?)
}

/// The end of a request on which nothing came by `deadline`: its provider had nothing to say, or its node
/// is not there to say it.
fn in_vain(world: &World, id: &ActivityId) -> ActivityError {
    let is_reached = world.with(|state| {
        let activity = state.activities.get(id);
        activity.is_none_or(|activity| state.providers.reaches(&activity.provider))
    });
    if is_reached {
        ActivityError::Timeout
    } else {
        ActivityError::Unreachable
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfAgreement {
    agreement_id: String,
}

async fn list(
    State(world): State<World>,
    Caller(caller): Caller,
    ApiQuery(query): ApiQuery<OfAgreement>,
) -> Result<Json<Vec<ActivityId>>, ApiError> {
    let agreement = agreement_id(&query.agreement_id)?;
    world.with(|state| {
        let found = state.market.agreement(&agreement);
        let party = found.is_some_and(|a| a.requestor == caller.node || a.provider == caller.node);
        if !party {
            return Err(ActivityError::NoAgreement(agreement.clone()).into());
        }
        let all = state.activities.under(&agreement).iter();
        let known = all.filter(|id| {
            let activity = state.activities.get(id);
            activity.is_some_and(|activity| activity.is_known_to(&caller.node))
        });
        Ok(Json(known.cloned().collect()))
    })
}

async fn destroy(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    ApiQuery(wait): ApiQuery<Wait>,
) -> Result<Json<()>, ApiError> {
    let known = world.with(|state| own(state, &caller.node, &id));
    let deadline = wait.deadline(&world, DEFAULT_TIMEOUT, known)?;
    let asked = world.with(|state| {
        own(state, &caller.node, &id)?;
        state
            .activities
            .destroy(&mut state.ports, &mut state.providers, &id);
        Ok(())
    });
    or_silence(&world, asked, deadline).await?;
    let topics = [Topic::Activity(id.clone())];
    let down = world.poll_until(&topics, deadline, |state| {
        state
            .activities
            .get(&id)
            .is_none_or(|activity| !activity.is_alive())
            .then_some(())
    });
    let down = down.await.ok_or_else(|| in_vain(&world, &id));
    or_silence(&world, down, deadline).await?;
    world.with(|state| state.activities.hear_own_end(&id, &caller.node));
    Ok(Json(()))
}

async fn state(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    ApiQuery(wait): ApiQuery<Wait>,
) -> Result<Json<ActivityStatus>, ApiError> {
    let deadline = look_ends(&world, &caller.node, &id, &wait)?;
    let asked = world.with(|state| {
        seen(state, &caller.node, &id)?;
        state.activities.hear_end(&id, &caller.node);
        let activity = state.activities.get(&id);
        let activity = activity.ok_or(ActivityError::NoActivity(id))?;
        Ok(activity.status(&caller.node))
    });
    Ok(Json(or_silence(&world, asked, deadline).await?))
}

async fn usage(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    ApiQuery(wait): ApiQuery<Wait>,
) -> Result<Json<ActivityUsage>, ApiError> {
    let deadline = look_ends(&world, &caller.node, &id, &wait)?;
    let asked = world.with(|state| {
        seen(state, &caller.node, &id)?;
        let at = state
            .activities
            .get(&id)
            .and_then(|activity| activity.destroyed_at);
        let timestamp = at.unwrap_or(state.ports.now).as_second();
        let heard = state.activities.hear_usage(&id, &caller.node);
        let usage = || {
            state
                .activities
                .usage(state.ports.now, &state.providers, &id)
        };
        Ok(ActivityUsage {
            current_usage: heard.then(usage),
            timestamp,
        })
    });
    Ok(Json(or_silence(&world, asked, deadline).await?))
}

async fn agreement(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
) -> Result<Json<AgreementId>, ApiError> {
    world.with(|state| {
        match seen(state, &caller.node, &id) {
            // The requestor's daemon knows it by itself.
            Ok(()) | Err(ActivityError::Unreachable) => {}
            Err(other) => return Err(other.into()),
        }
        let activity = state
            .activities
            .get(&id)
            .ok_or(ActivityError::NoActivity(id))?;
        Ok(Json(activity.agreement.clone()))
    })
}

/// The recorded daemon has no such endpoint behind it, whatever the activity does.
async fn command(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    ApiQuery(wait): ApiQuery<Wait>,
) -> Result<Json<Value>, ApiError> {
    let asked = world.with(|state| own(state, &caller.node, &id));
    let deadline = wait.deadline(&world, DEFAULT_TIMEOUT, asked.clone())?;
    or_silence(&world, asked, deadline).await?;
    Err(ActivityError::NoExeUnit.into())
}

/// SGX only.
async fn encrypted(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    ApiQuery(wait): ApiQuery<Wait>,
) -> Result<Json<Value>, ApiError> {
    let asked = world.with(|state| own(state, &caller.node, &id));
    wait.deadline(&world, DEFAULT_TIMEOUT, asked.clone())?;
    asked?;
    Err(ActivityError::NoExeUnit.into())
}

/// A service on the machine: an exe-unit of today has none behind this.
async fn proxy(
    State(world): State<World>,
    Caller(caller): Caller,
    Path((id, _)): Path<(ActivityId, String)>,
) -> Result<Response, ApiError> {
    let provider = world.with(|state| {
        own(state, &caller.node, &id)?;
        let activity = state.activities.get(&id);
        Ok::<_, ActivityError>(activity.map(|activity| activity.provider.clone()))
    })?;
    let provider = provider.ok_or_else(|| ActivityError::NoActivity(id.clone()))?;
    let words = format!(
        "Error: Remote service at `/net/{provider}/exeunit/{id}/GsbHttpCallMessage` error: GSB failure: \
         Bad request: endpoint address not found"
    );
    let mut response = Response::new(Body::from(words));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    Ok(response)
}

async fn proxy_nothing(
    world: State<World>,
    caller: Caller,
    Path(id): Path<ActivityId>,
) -> Result<Response, ApiError> {
    proxy(world, caller, Path((id, String::new()))).await
}

/// What providers tell of their activities.
mod told {
    use serde::Deserialize;

    /// A state; of the names of a provider's daemon.
    #[derive(Debug, Deserialize)]
    pub(super) enum State {
        New,
        Initialized,
        Deployed,
        Ready,
        Terminated,
        Unresponsive,
    }

    /// The state, and the next one.
    #[derive(Debug, Deserialize)]
    pub(super) struct StatePair(
        #[expect(dead_code, reason = "it is read, and refused")] State,
        #[expect(dead_code, reason = "it is read, and refused")] Option<State>,
    );

    /// Where an activity is, and where it is going.
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct ActivityState {
        #[serde(rename = "state")]
        _state: StatePair,
        #[serde(default, rename = "reason")]
        _reason: Option<String>,
        #[serde(default, rename = "errorMessage")]
        _error: Option<String>,
    }
}

/// setActivityState, of providers: nobody here provides anything.
async fn tell_state(
    State(world): State<World>,
    Caller(caller): Caller,
    Path(id): Path<ActivityId>,
    TextJson(_): TextJson<told::ActivityState>,
) -> Result<StatusCode, ApiError> {
    let agreement = world
        .with(|state| known(state, &caller.node, &id).map(|activity| activity.agreement.clone()))?;
    Err(ApiError::not_found(format!("Not found: {agreement}")))
}

/// What the daemon's provider side works at, which is nothing here; then silence.
async fn monitor(State(world): State<World>) -> Response {
    let now = golem_wire::stamp::fixed(world.now(), 9);
    let first = format!("data: {{\"ts\":\"{now}\",\"activities\":[]}}\r\n\r\n");
    let first =
        futures::stream::once(async { Ok::<_, std::convert::Infallible>(Bytes::from(first)) });
    let ended = async move { world.poll_until(&[], Timestamp::MAX, |_| None::<()>).await };
    let rest = futures::stream::once(ended).filter_map(async |_| None);
    let mut response = Response::new(Body::from_stream(first.chain(rest)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProviderEvents {
    #[serde(rename = "afterTimestamp", deserialize_with = "stamp")]
    _after: Timestamp,
    timeout: Option<f64>,
    #[serde(rename = "maxEvents")]
    _max: Option<u32>,
}

/// What providers wait for: nothing for who is none, which is a 408.
async fn events(
    State(world): State<World>,
    ApiQuery(query): ApiQuery<ProviderEvents>,
) -> Result<Json<[Value; 0]>, ApiError> {
    let deadline = strict_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let _: Option<()> = world.poll_until(&[], deadline, |_| None).await;
    Err(ActivityError::Timeout.into())
}
