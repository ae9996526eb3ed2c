//! `/market-api/v1`: demands, proposals, agreements, agreement events.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use golem_wire::common::Reason;
use golem_wire::market::{
    Agreement, AgreementEvent, AgreementListEntry, AgreementState, Demand, DemandEvent, Offer,
    Proposal,
};
use golem_wire::{AgreementId, DemandId, GivenTime, ProposalId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::extract::{ApiJson, ApiQuery, Caller};
use super::operations::Operations;
use super::paths::{
    DemandPath, ProposalPath, agreement_id, awaited_id, promoted_id, terminated_id,
};
use super::time::{deadline, optional_stamp, poll_deadline, stamp, strict_deadline};
use crate::config::Operation;
use crate::daemon::market::{AgreementFilter, EventFilter, MarketError, flatten};
use crate::world::{Topic, World};

/// Long polls without a timeout.
const DEFAULT_TIMEOUT: f64 = 5.0;
/// Events per answer without `maxEvents`, and at the most.
const DEFAULT_EVENTS: i32 = 20;
const MOST_EVENTS: usize = 100;

pub(super) fn routes() -> Router<World> {
    use Operation as O;
    Router::new()
        .operation(O::SubscribeDemand, subscribe)
        .operation(O::GetDemands, list_demands)
        .operation(O::UnsubscribeDemand, unsubscribe)
        .operation(O::CollectOffers, collect)
        .operation(O::GetProposalOffer, get_proposal)
        .operation(O::CounterProposalDemand, counter)
        .operation(O::RejectProposalOffer, reject)
        .operation(O::CreateAgreement, create_agreement)
        .operation(O::ListAgreements, list_agreements)
        .operation(O::GetAgreement, get_agreement)
        .operation(O::ConfirmAgreement, confirm)
        .operation(O::WaitForApproval, wait)
        .operation(O::CancelAgreement, cancel)
        .operation(O::TerminateAgreement, terminate)
        .operation(O::GetTerminateReason, termination)
        .operation(O::CollectAgreementEvents, agreement_events)
        .route("/market-api/v1/offers", get(list_offers).post(publish))
        .route("/market-api/v1/offers/{offer}", delete(no_offer))
        .route("/market-api/v1/offers/{offer}/events", get(no_demands))
        .route(
            "/market-api/v1/offers/{offer}/proposals/{proposal}",
            get(no_proposal).post(no_counter),
        )
        .route(
            "/market-api/v1/offers/{offer}/proposals/{proposal}/reject",
            post(no_rejection),
        )
        .route(
            "/market-api/v1/agreements/{agreement}/approve",
            post(approve),
        )
        .route("/market-api/v1/agreements/{agreement}/reject", post(refuse))
        .route(
            "/market-api/v1/agreements/{agreement}/terminationNotice",
            post(give_notice),
        )
}

/// How many events an answer may carry.
fn max_events(asked: Option<i32>) -> Result<usize, MarketError> {
    let asked = asked.unwrap_or(DEFAULT_EVENTS);
    let max = usize::try_from(asked)
        .ok()
        .filter(|max| (1..=MOST_EVENTS).contains(max));
    max.ok_or(MarketError::MaxEvents(asked, MOST_EVENTS))
}

/// Properties may be anything: what is no object never matches.
#[derive(Debug, Deserialize)]
struct DemandOfferBase {
    properties: Value,
    constraints: String,
}

async fn subscribe(
    State(world): State<World>,
    Caller(me): Caller,
    ApiJson(base): ApiJson<DemandOfferBase>,
) -> (StatusCode, Json<DemandId>) {
    let properties = flatten(base.properties);
    let id = world.with(|state| {
        state.market.subscribe_demand(
            &mut state.ports,
            &mut state.providers,
            &me.node,
            properties,
            base.constraints,
        )
    });
    (StatusCode::CREATED, Json(id))
}

async fn list_demands(State(world): State<World>, Caller(me): Caller) -> Json<Vec<Demand>> {
    Json(world.with(|state| state.market.demands_of(&me.node)))
}

/// Requestors have none.
async fn list_offers(State(world): State<World>, Caller(me): Caller) -> Json<Vec<Offer>> {
    let own = world.with(|state| {
        let provider = state.providers.get(&me.node);
        let provider = provider.filter(|provider| provider.offers(state.ports.now));
        provider.map(|provider| provider.published(provider.publication.since()))
    });
    Json(own.into_iter().collect())
}

/// What providers do with offers and agreements of theirs: here nobody has any.
async fn no_offer(DemandPath(offer): DemandPath) -> ApiError {
    MarketError::NoOffer(offer).into()
}

async fn no_demands(
    DemandPath(offer): DemandPath,
    ApiQuery(query): ApiQuery<CollectQuery>,
) -> Result<Json<[Value; 0]>, ApiError> {
    max_events(query.max_events)?;
    Err(MarketError::NoSubscription(offer).into())
}

async fn no_proposal(ProposalPath(demand, proposal): ProposalPath) -> ApiError {
    MarketError::NoProposal { proposal, demand }.into()
}

async fn no_counter(
    ProposalPath(demand, proposal): ProposalPath,
    ApiJson(_): ApiJson<DemandOfferBase>,
) -> ApiError {
    MarketError::NoProposal { proposal, demand }.into()
}

async fn no_rejection(
    ProposalPath(demand, proposal): ProposalPath,
    ApiJson(_): ApiJson<Option<Reason>>,
) -> ApiError {
    MarketError::NoProposalToReject { proposal, demand }.into()
}

async fn approve(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiQuery(query): ApiQuery<WaitQuery>,
) -> Result<StatusCode, ApiError> {
    strict_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let id = agreement_id(&agreement)?;
    world.with(|state| state.market.approve_by_api(&mut state.ports, &me.node, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn refuse(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiJson(reason): ApiJson<Option<Reason>>,
) -> Result<StatusCode, ApiError> {
    let id = agreement_id(&agreement)?;
    world.with(|state| {
        let market = &mut state.market;
        market.reject_by_api(&mut state.ports, &me.node, &id, reason)
    })?;
    Ok(StatusCode::OK)
}

/// Nobody publishes here but simulated providers; what is no offer is told so first, as the daemon does.
async fn publish(ApiJson(_): ApiJson<DemandOfferBase>) -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn unsubscribe(
    State(world): State<World>,
    Caller(me): Caller,
    DemandPath(demand): DemandPath,
) -> Result<StatusCode, ApiError> {
    world.with(|state| {
        state
            .market
            .unsubscribe_demand(&mut state.ports, &me.node, &demand)
    })?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CollectQuery {
    timeout: Option<f64>,
    max_events: Option<i32>,
}

async fn collect(
    State(world): State<World>,
    Caller(me): Caller,
    DemandPath(demand): DemandPath,
    ApiQuery(query): ApiQuery<CollectQuery>,
) -> Result<Json<Vec<DemandEvent>>, ApiError> {
    let max = max_events(query.max_events)?;
    let deadline = poll_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    world.with(|state| state.market.check_collect(&me.node, &demand))?;
    let topics = [Topic::Demand(demand.clone())];
    let events = world
        .poll_until(&topics, deadline, |state| {
            state.market.collect(&demand, max)
        })
        .await;
    Ok(Json(events.transpose()?.unwrap_or_default()))
}

async fn get_proposal(
    State(world): State<World>,
    Caller(me): Caller,
    ProposalPath(demand, proposal): ProposalPath,
) -> Result<Json<Proposal>, ApiError> {
    Ok(Json(world.with(|state| {
        state.market.get_proposal(&me.node, &demand, &proposal)
    })?))
}

async fn counter(
    State(world): State<World>,
    Caller(me): Caller,
    ProposalPath(demand, proposal): ProposalPath,
    ApiJson(base): ApiJson<DemandOfferBase>,
) -> Result<Json<ProposalId>, ApiError> {
    let properties = flatten(base.properties);
    let countered = world.with(|state| {
        state.market.counter_proposal(
            &mut state.ports,
            &mut state.providers,
            &me.node,
            &demand,
            &proposal,
            (properties, base.constraints),
        )
    });
    Ok(Json(countered?))
}

async fn reject(
    State(world): State<World>,
    Caller(me): Caller,
    ProposalPath(demand, proposal): ProposalPath,
    ApiJson(reason): ApiJson<Option<Reason>>,
) -> Result<StatusCode, ApiError> {
    world.with(|state| {
        state
            .market
            .reject_proposal(&mut state.ports, &me.node, &demand, &proposal, reason)
    })?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgreementProposal {
    proposal_id: String,
    valid_to: GivenTime,
}

async fn create_agreement(
    State(world): State<World>,
    Caller(me): Caller,
    ApiJson(new): ApiJson<AgreementProposal>,
) -> Result<Json<AgreementId>, ApiError> {
    let proposal = promoted_id(&new.proposal_id)?;
    let created = world.with(|state| {
        state
            .market
            .create_agreement(&mut state.ports, &me.node, &proposal, new.valid_to)
    });
    Ok(Json(created?))
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum StateWord {
    Proposal,
    Pending,
    Cancelled,
    Rejected,
    Approved,
    Expired,
    Terminated,
}

impl From<StateWord> for AgreementState {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Proposal => AgreementState::Proposal,
            StateWord::Pending => AgreementState::Pending,
            StateWord::Cancelled => AgreementState::Cancelled,
            StateWord::Rejected => AgreementState::Rejected,
            StateWord::Approved => AgreementState::Approved,
            StateWord::Expired => AgreementState::Expired,
            StateWord::Terminated => AgreementState::Terminated,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    state: Option<StateWord>,
    #[serde(default, deserialize_with = "optional_stamp")]
    before_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "optional_stamp")]
    after_date: Option<Timestamp>,
    app_session_id: Option<String>,
}

async fn list_agreements(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Json<Vec<AgreementListEntry>> {
    let filter = AgreementFilter {
        state: query.state.map(AgreementState::from),
        before: query.before_date,
        after: query.after_date,
        session: query.app_session_id,
    };
    Json(world.with(|state| state.market.agreements_of(&me.node, &filter)))
}

async fn get_agreement(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
) -> Result<Json<Agreement>, ApiError> {
    let agreement = agreement_id(&agreement)?;
    Ok(Json(world.with(|state| {
        state.market.get_agreement(&me.node, &agreement)
    })?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmQuery {
    app_session_id: Option<String>,
}

async fn confirm(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiQuery(query): ApiQuery<ConfirmQuery>,
) -> Result<StatusCode, ApiError> {
    let agreement = agreement_id(&agreement)?;
    let session = query.app_session_id;
    world.with(|state| {
        state.market.confirm_agreement(
            &mut state.ports,
            &state.providers,
            &me.node,
            &agreement,
            session,
        )
    })?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct WaitQuery {
    timeout: Option<f64>,
}

async fn wait(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiQuery(query): ApiQuery<WaitQuery>,
) -> Result<StatusCode, ApiError> {
    let deadline = deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let agreement = awaited_id(&agreement)?;
    if world.with(|state| state.market.ask_for_approval(&me.node, &agreement))? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let topics = [Topic::Agreement(agreement.clone())];
    let decided = world.poll_until(&topics, deadline, |state| {
        match state.market.approval(&me.node, &agreement) {
            // An agreement that expires under a waiting client does not wake it.
            Ok(false) | Err(MarketError::Expired(_)) => None,
            decided => Some(decided),
        }
    });
    match decided.await {
        Some(decided) => decided
            .map(|_| StatusCode::NO_CONTENT)
            .map_err(ApiError::from),
        None => Err(MarketError::ApprovalTimeout(agreement).into()),
    }
}

async fn cancel(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiJson(reason): ApiJson<Option<Reason>>,
) -> Result<StatusCode, ApiError> {
    let agreement = agreement_id(&agreement)?;
    world.with(|state| {
        state
            .market
            .cancel_agreement(&mut state.ports, &me.node, &agreement, reason)
    })?;
    Ok(StatusCode::OK)
}

async fn terminate(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiJson(reason): ApiJson<Option<Reason>>,
) -> Result<StatusCode, ApiError> {
    let agreement = terminated_id(&agreement)?;
    world.with(|state| {
        state.market.terminate_by(
            &mut state.ports,
            &state.providers,
            &me.node,
            &agreement,
            reason,
        )
    })?;
    Ok(StatusCode::OK)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    #[serde(deserialize_with = "stamp")]
    termination_deadline: Timestamp,
    #[serde(default)]
    reason: Option<Reason>,
}

/// By a provider, from 0.18 on; before, there is nothing here.
async fn give_notice(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
    ApiJson(notice): ApiJson<Notice>,
) -> Result<StatusCode, ApiError> {
    if !world.with(|state| state.ports.config.daemon.has_termination_notices()) {
        return Err(ApiError::empty(StatusCode::NOT_FOUND));
    }
    let agreement = agreement_id(&agreement)?;
    world.with(|state| {
        state.market.announce_end_by(
            &mut state.ports,
            &me.node,
            &agreement,
            notice.termination_deadline,
            notice.reason,
        )
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn termination(
    State(world): State<World>,
    Caller(me): Caller,
    Path(agreement): Path<String>,
) -> Result<Json<AgreementEvent>, ApiError> {
    let agreement = terminated_id(&agreement)?;
    Ok(Json(world.with(|state| {
        state.market.termination(&me.node, &agreement)
    })?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventsQuery {
    timeout: Option<f64>,
    #[serde(default, deserialize_with = "optional_stamp")]
    after_timestamp: Option<Timestamp>,
    max_events: Option<i32>,
    app_session_id: Option<String>,
}

async fn agreement_events(
    State(world): State<World>,
    Caller(me): Caller,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<Vec<AgreementEvent>>, ApiError> {
    let filter = EventFilter {
        max: max_events(query.max_events)?,
        after: query.after_timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
        session: query.app_session_id,
    };
    let deadline = poll_deadline(world.now(), query.timeout, DEFAULT_TIMEOUT)?;
    let topics = [Topic::AgreementEvents(me.node.clone())];
    let read = |state: &mut crate::world::State| state.market.agreement_events(&me.node, &filter);
    let events = world.poll_until(&topics, deadline, read).await;
    Ok(Json(events.unwrap_or_default()))
}
