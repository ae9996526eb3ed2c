//! Market API, the requestor's side. Owns: paths, bodies, and what the daemon's words mean.

use std::time::Duration;

use bytes::Bytes;
use golem_wire::common::Reason;
use golem_wire::market::{
    Agreement, AgreementEvent, AgreementListEntry, AgreementProposal, AgreementState, Demand,
    DemandOfferBase, Offer, Proposal,
};
use golem_wire::{AgreementId, DemandId, ProposalId};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{ApiError, Call, Outcome, Page, Rest};
use crate::address;
use crate::journal::Change;
use crate::model::JobId;

/// Most events that the daemon hands out at once.
const MAX_EVENTS: u32 = 100;

/// Operations of `/market-api/v1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketApi<'a>(&'a Rest);

impl Rest {
    pub(crate) fn market(&self) -> MarketApi<'_> {
        MarketApi(self)
    }
}

/// What became of an agreement that waited for its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Approval {
    /// The provider approved it.
    Given,
    /// The provider has not decided yet.
    NotInTime,
    /// Nobody decided before its time was over, in the daemon's words.
    Expired(String),
    /// It is not to be, in the daemon's words.
    Refused(String),
}

/// Why a counter-proposal did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CounterFault {
    /// Nobody knows whether it did.
    Unclear,
    /// The proposal was countered before.
    Countered,
    /// The offer is no longer on the market.
    OfferOver,
    /// Anything else, our own demand's end included.
    Refused,
}

impl CounterFault {
    /// Judges a counter-proposal of `demand`. An offer that is over and a proposal that was countered
    /// are refused with one status; only the words tell.
    pub(crate) fn of(error: &ApiError, demand: &DemandId) -> Self {
        let words = error.message().unwrap_or_default();
        let is_over = words.starts_with("Subscription [");
        if error.outcome() == Outcome::Unknown {
            CounterFault::Unclear
        } else if is_over && !words.contains(demand.as_str()) {
            CounterFault::OfferOver
        } else if !is_over && error.is_status(StatusCode::GONE) {
            CounterFault::Countered
        } else {
            CounterFault::Refused
        }
    }
}

fn path(rest: &[&str]) -> String {
    address::path(["market-api", "v1"].iter().chain(rest))
}

fn countering(demand: &DemandId, proposal: &ProposalId) -> Call {
    let path = path(&["demands", demand.as_str(), "proposals", proposal.as_str()]);
    let change = Change::Counter {
        proposal: proposal.clone(),
    };
    Call::post("counterProposalDemand", path, change)
}

impl MarketApi<'_> {
    /// `subscribeDemand`.
    pub(crate) async fn subscribe(
        self,
        job: &JobId,
        demand: &DemandOfferBase,
    ) -> Result<DemandId, ApiError> {
        let change = Change::Subscribe {
            job: job.as_str().to_owned(),
        };
        let call = Call::post("subscribeDemand", path(&["demands"]), change).json(demand)?;
        self.0.send(call).await
    }

    /// `getDemands`: those of this identity.
    pub(crate) async fn demands(self) -> Result<Vec<Demand>, ApiError> {
        self.0
            .list(Call::get("getDemands", path(&["demands"])))
            .await
    }

    /// `unsubscribeDemand`.
    pub(crate) async fn unsubscribe(self, demand: &DemandId) -> Result<(), ApiError> {
        let change = Change::Unsubscribe {
            demand: demand.clone(),
        };
        let path = path(&["demands", demand.as_str()]);
        let call = Call::delete("unsubscribeDemand", path, change);
        self.0.send_unit(call).await
    }

    /// `collectOffers`: waits up to `wait` for something to happen. Events are handed out once.
    pub(crate) async fn collect<Event: DeserializeOwned>(
        self,
        demand: &DemandId,
        wait: Duration,
    ) -> Result<Vec<Event>, ApiError> {
        let call = Call::get(
            "collectOffers",
            path(&["demands", demand.as_str(), "events"]),
        )
        .long_poll(wait)
        .query("maxEvents", MAX_EVENTS);
        self.0.list(call).await
    }

    /// `beginScan`: of offers, kept for `kept` since it was last read.
    pub(crate) async fn begin_scan(
        self,
        constraints: &str,
        kept: Duration,
    ) -> Result<String, ApiError> {
        let wanted = json!({
            "type": "offer",
            "constraints": constraints,
            "timeout": kept.as_secs(),
        });
        let call = Call::view(Method::POST, "beginScan", path(&["scan"]));
        self.0.send(call.json(&wanted)?).await
    }

    /// `collectScan`: waits up to `wait` for offers that it has not shown yet.
    pub(crate) async fn scanned(self, scan: &str, wait: Duration) -> Result<Vec<Offer>, ApiError> {
        let call = Call::get("collectScan", path(&["scan", scan, "events"]));
        self.0
            .list(call.long_poll(wait).query("maxEvents", MAX_EVENTS))
            .await
    }

    /// `endScan`.
    pub(crate) async fn end_scan(self, scan: &str) -> Result<(), ApiError> {
        let call = Call::view(Method::DELETE, "endScan", path(&["scan", scan]));
        self.0.send_unit(call).await
    }

    /// `getProposalOffer`: a proposal on a demand, ours or a provider's.
    pub(crate) async fn proposal(
        self,
        demand: &DemandId,
        proposal: &ProposalId,
    ) -> Result<Proposal, ApiError> {
        let path = path(&["demands", demand.as_str(), "proposals", proposal.as_str()]);
        self.0.send(Call::get("getProposalOffer", path)).await
    }

    /// `counterProposalDemand`.
    pub(crate) async fn counter(
        self,
        demand: &DemandId,
        proposal: &ProposalId,
        counter: &DemandOfferBase,
    ) -> Result<ProposalId, ApiError> {
        let call = countering(demand, proposal).json(counter)?;
        self.0.send(call).await
    }

    /// The same, with what is said in JSON already.
    pub(crate) async fn counter_said(
        self,
        demand: &DemandId,
        proposal: &ProposalId,
        counter: &Bytes,
    ) -> Result<ProposalId, ApiError> {
        let call = countering(demand, proposal).body(counter.clone());
        self.0.send(call).await
    }

    /// `rejectProposalOffer`.
    pub(crate) async fn reject(
        self,
        demand: &DemandId,
        proposal: &ProposalId,
        reason: &Reason,
    ) -> Result<(), ApiError> {
        let path = path(&[
            "demands",
            demand.as_str(),
            "proposals",
            proposal.as_str(),
            "reject",
        ]);
        let change = Change::RejectProposal {
            proposal: proposal.clone(),
        };
        let call = Call::post("rejectProposalOffer", path, change).json(reason)?;
        self.0.send_unit(call).await
    }

    /// `createAgreement`; the provider may approve until `valid_to`.
    pub(crate) async fn create_agreement(
        self,
        proposal: &ProposalId,
        valid_to: Timestamp,
    ) -> Result<AgreementId, ApiError> {
        let body = AgreementProposal {
            proposal_id: proposal.clone(),
            valid_to,
        };
        let change = Change::CreateAgreement {
            proposal: proposal.clone(),
        };
        let call = Call::post("createAgreement", path(&["agreements"]), change).json(&body)?;
        self.0.send(call).await
    }

    /// `getAgreement`.
    pub(crate) async fn agreement(self, id: &AgreementId) -> Result<Agreement, ApiError> {
        self.0
            .send(Call::get(
                "getAgreement",
                path(&["agreements", id.as_str()]),
            ))
            .await
    }

    /// `listAgreements` in one state; those of one session, unless all are wanted. An agreement
    /// belongs to a session from its confirmation on.
    pub(crate) async fn agreements(
        self,
        state: &AgreementState,
        session: Option<&str>,
    ) -> Result<Vec<AgreementListEntry>, ApiError> {
        let call = Call::get("listAgreements", path(&["agreements"]))
            .query("state", state)
            .query_opt("appSessionId", session);
        self.0.list(call).await
    }

    /// `listAgreements` in one state or all, made in a span of time, of one session or all.
    pub(crate) async fn list_agreements(
        self,
        state: Option<&AgreementState>,
        (after, before): (Option<Timestamp>, Option<Timestamp>),
        session: Option<&str>,
    ) -> Result<Vec<AgreementListEntry>, ApiError> {
        let call = Call::get("listAgreements", path(&["agreements"]))
            .query_opt("state", state)
            .query_opt("afterDate", after)
            .query_opt("beforeDate", before)
            .query_opt("appSessionId", session);
        self.0.list(call).await
    }

    /// `getTerminateAgreementReason`: how an agreement that is over came to its end.
    pub(crate) async fn termination(self, id: &AgreementId) -> Result<AgreementEvent, ApiError> {
        let path = path(&["agreements", id.as_str(), "terminate", "reason"]);
        self.0
            .send(Call::get("getTerminateAgreementReason", path))
            .await
    }

    /// `confirmAgreement`.
    pub(crate) async fn confirm(self, id: &AgreementId, session: &str) -> Result<(), ApiError> {
        let change = Change::Confirm {
            agreement: id.clone(),
        };
        let call = Call::post(
            "confirmAgreement",
            path(&["agreements", id.as_str(), "confirm"]),
            change,
        )
        .query("appSessionId", session);
        self.0.send_unit(call).await
    }

    /// `waitForApproval`, for as long as `wait`.
    pub(crate) async fn wait_for_approval(
        self,
        id: &AgreementId,
        wait: Duration,
    ) -> Result<Approval, ApiError> {
        let call = Call::wait(
            "waitForApproval",
            path(&["agreements", id.as_str(), "wait"]),
        )
        .long_poll(wait);
        match self.0.send_unit(call).await {
            Ok(()) => Ok(Approval::Given),
            Err(error) if error.is_status(StatusCode::REQUEST_TIMEOUT) => Ok(Approval::NotInTime),
            Err(error) if error.is_status(StatusCode::GONE) => {
                let words = error.message().unwrap_or("gone").to_owned();
                Ok(if words.contains("Expired") {
                    Approval::Expired(words)
                } else {
                    Approval::Refused(words)
                })
            }
            Err(error) => Err(error),
        }
    }

    /// `cancelAgreement`.
    pub(crate) async fn cancel(self, id: &AgreementId, reason: &Reason) -> Result<(), ApiError> {
        let path = path(&["agreements", id.as_str(), "cancel"]);
        let change = Change::Cancel {
            agreement: id.clone(),
        };
        let call = Call::post("cancelAgreement", path, change).json(reason)?;
        self.0.send_unit(call).await
    }

    /// `terminateAgreement`.
    pub(crate) async fn terminate(self, id: &AgreementId, reason: &Reason) -> Result<(), ApiError> {
        let path = path(&["agreements", id.as_str(), "terminate"]);
        let change = Change::Terminate {
            agreement: id.clone(),
        };
        let call = Call::post("terminateAgreement", path, change).json(reason)?;
        self.0.send_unit(call).await
    }

    /// `collectAgreementEvents`: those of this session after `after`.
    pub(crate) async fn agreement_events(
        self,
        session: &str,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Page<AgreementEvent>, ApiError> {
        let call = Call::get("collectAgreementEvents", path(&["agreementEvents"]))
            .long_poll(wait)
            .query_opt("afterTimestamp", after)
            .query("maxEvents", MAX_EVENTS)
            .query("appSessionId", session);
        self.0.feed(call).await
    }
}
