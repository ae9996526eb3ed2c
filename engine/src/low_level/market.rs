//! The market's operations by hand.

use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::market::{
    Agreement, AgreementEvent, AgreementListEntry, AgreementState, Demand, DemandEvent,
    DemandOfferBase, Offer, Proposal,
};
use golem_wire::{AgreementId, DemandId, ProposalId};
use jiff::Timestamp;
use serde_json::json;

use super::LowLevel;
use crate::api::ApiError;
pub use crate::api::market::Approval;
use crate::model::JobId;
use crate::settle::observe::SESSION_PROPERTY;

/// The job of what is opened by hand, in the journal.
const BY_HAND: &str = "by-hand";

/// Operations of the market; made by [`LowLevel::market`]. Cheap to clone.
#[derive(Clone)]
pub struct MarketOperations(pub(super) LowLevel);

/// Which agreements are listed: all of this identity unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgreementQuery {
    /// In this state only.
    pub state: Option<AgreementState>,
    /// Made after this.
    pub after: Option<Timestamp>,
    /// Made before this.
    pub before: Option<Timestamp>,
    /// Those of this engine's session only. An agreement belongs to a session from its confirmation on.
    pub own_session: bool,
}

impl AgreementQuery {
    /// All of this identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// In this state only.
    pub fn state(mut self, state: AgreementState) -> Self {
        self.state = Some(state);
        self
    }

    /// Made after this.
    pub fn after(mut self, after: Timestamp) -> Self {
        self.after = Some(after);
        self
    }

    /// Made before this.
    pub fn before(mut self, before: Timestamp) -> Self {
        self.before = Some(before);
        self
    }

    /// Those of this engine's session only.
    pub fn own_session(mut self) -> Self {
        self.own_session = true;
        self
    }
}

impl MarketOperations {
    /// With the engine's session, unless it has one.
    fn of_session(&self, mut said: DemandOfferBase) -> DemandOfferBase {
        let session = json!(self.0.context.app_session());
        let key = SESSION_PROPERTY.to_owned();
        said.properties.entry(key).or_insert(session);
        said
    }

    /// `subscribeDemand`: publishes a demand. It gets the engine's session as a property, unless it has one.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; a demand that nobody waited for is withdrawn when the engine stops.
    pub async fn subscribe_demand(&self, demand: DemandOfferBase) -> Result<DemandId, ApiError> {
        let demand = self.of_session(demand);
        let request = |low: LowLevel| async move {
            let job = JobId::new(BY_HAND);
            low.rest().market().subscribe(&job, &demand).await
        };
        self.0.open("subscribeDemand", request).await
    }

    /// `getDemands`: those of this identity, also of other programs.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_demands(&self) -> Result<Vec<Demand>, ApiError> {
        self.0.rest().market().demands().await
    }

    /// `unsubscribeDemand`: withdraws a demand; agreements that came of it go on.
    ///
    /// # Errors
    /// [`ApiError`]; 404 and 410 when it is gone.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn unsubscribe_demand(&self, id: &DemandId) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move { low.rest().market().unsubscribe(&id).await };
        self.0.change("unsubscribeDemand", request).await
    }

    /// `collectOffers`: waits up to `wait` for something to happen on a demand; at most a hundred events. The
    /// daemon hands out each of them once.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when the demand is gone.
    ///
    /// # Cancel safety
    /// Not quite: events that the daemon sent when it is dropped are lost.
    pub async fn collect_offers(
        &self,
        demand: &DemandId,
        wait: Duration,
    ) -> Result<Vec<DemandEvent>, ApiError> {
        self.0.rest().market().collect(demand, wait).await
    }

    /// `getProposalOffer`: a proposal on a demand of ours, the provider's or our own.
    ///
    /// # Errors
    /// [`ApiError`]; 404 also when it belongs to another demand.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_proposal_offer(
        &self,
        demand: &DemandId,
        proposal: &ProposalId,
    ) -> Result<Proposal, ApiError> {
        self.0.rest().market().proposal(demand, proposal).await
    }

    /// `counterProposalDemand`: answers a proposal; the id is of our counter-proposal, which gets the engine's
    /// session as a property as well. Of a payment platform it has to name the one that it is paid on.
    ///
    /// # Errors
    /// [`ApiError`]; 410 when it was answered before, or is over.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn counter_proposal_demand(
        &self,
        demand: &DemandId,
        proposal: &ProposalId,
        counter: DemandOfferBase,
    ) -> Result<ProposalId, ApiError> {
        let (demand, proposal) = (demand.clone(), proposal.clone());
        let counter = self.of_session(counter);
        let request = |low: LowLevel| async move {
            let api = low.rest().market();
            api.counter(&demand, &proposal, &counter).await
        };
        self.0.open("counterProposalDemand", request).await
    }

    /// `rejectProposalOffer`: tells a provider that its proposal is not wanted.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn reject_proposal_offer(
        &self,
        demand: &DemandId,
        proposal: &ProposalId,
        reason: Reason,
    ) -> Result<(), ApiError> {
        let (demand, proposal) = (demand.clone(), proposal.clone());
        let request = |low: LowLevel| async move {
            low.rest()
                .market()
                .reject(&demand, &proposal, &reason)
                .await
        };
        self.0.change("rejectProposalOffer", request).await
    }

    /// `createAgreement`: makes an agreement of a provider's draft, one that answers our counter-proposal. The
    /// provider may approve it until `valid_to`, and hears of it when it is confirmed.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; an agreement that nobody waited for is ended when the engine stops.
    pub async fn create_agreement(
        &self,
        proposal: &ProposalId,
        valid_to: Timestamp,
    ) -> Result<AgreementId, ApiError> {
        let proposal = proposal.clone();
        let request = |low: LowLevel| async move {
            let api = low.rest().market();
            let made = api.create_agreement(&proposal, valid_to).await?;
            low.by_hand().agreement_made(&made);
            Ok(made)
        };
        self.0.open("createAgreement", request).await
    }

    /// `getAgreement`.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when there is none.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_agreement(&self, id: &AgreementId) -> Result<Agreement, ApiError> {
        self.0.rest().market().agreement(id).await
    }

    /// `listAgreements`, those of other programs with this identity as well unless
    /// [said otherwise](AgreementQuery::own_session).
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn list_agreements(
        &self,
        query: &AgreementQuery,
    ) -> Result<Vec<AgreementListEntry>, ApiError> {
        let session = self.0.context.app_session();
        let session = query.own_session.then_some(session);
        let api = self.0.rest().market();
        let span = (query.after, query.before);
        api.list_agreements(query.state.as_ref(), span, session)
            .await
    }

    /// `confirmAgreement`: sends it to its provider, in the engine's session.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn confirm_agreement(&self, id: &AgreementId) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            let session = low.context.app_session();
            low.rest().market().confirm(&id, session).await
        };
        self.0.open("confirmAgreement", request).await
    }

    /// `waitForApproval`: waits up to `wait` for the provider's answer; a minute at the most.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_for_approval(
        &self,
        id: &AgreementId,
        wait: Duration,
    ) -> Result<Approval, ApiError> {
        self.0.rest().market().wait_for_approval(id, wait).await
    }

    /// `cancelAgreement`: withdraws an agreement that its provider has not approved.
    ///
    /// # Errors
    /// [`ApiError`]; 410 when it is past that.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn cancel_agreement(&self, id: &AgreementId, reason: Reason) -> Result<(), ApiError> {
        let id = id.clone();
        let request = |low: LowLevel| async move {
            low.rest().market().cancel(&id, &reason).await?;
            low.by_hand().agreement_closed(&id);
            Ok(())
        };
        self.0.change("cancelAgreement", request).await
    }

    /// `terminateAgreement`: ends an agreement in force. Its invoice comes after that: accept it, or leave it to
    /// [`Golem::stop`](crate::Golem::stop).
    ///
    /// # Errors
    /// [`ApiError`]; 410 when it is over already.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn terminate_agreement(
        &self,
        id: &AgreementId,
        reason: Reason,
    ) -> Result<(), ApiError> {
        let id = id.clone();
        let request =
            |low: LowLevel| async move { low.rest().market().terminate(&id, &reason).await };
        self.0.change("terminateAgreement", request).await
    }

    /// `getTerminateAgreementReason`: how an agreement that is over came to its end.
    ///
    /// # Errors
    /// [`ApiError`]; 400 when it is not terminated.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_terminate_agreement_reason(
        &self,
        id: &AgreementId,
    ) -> Result<AgreementEvent, ApiError> {
        self.0.rest().market().termination(id).await
    }

    /// `collectAgreementEvents`: waits up to `wait` for what happened to agreements of the engine's session after
    /// `after`; at most a hundred events. They are a log: each can be read again.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn collect_agreement_events(
        &self,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Vec<AgreementEvent>, ApiError> {
        let session = self.0.context.app_session();
        let api = self.0.rest().market();
        let page = api.agreement_events(session, after, wait).await?;
        Ok(page.events)
    }

    /// `beginScan`: of offers that meet `constraints`. The daemon forgets it when it was not read for as long as
    /// `kept`, in whole seconds.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn begin_scan(&self, constraints: &str, kept: Duration) -> Result<String, ApiError> {
        self.0.rest().market().begin_scan(constraints, kept).await
    }

    /// `collectScanResults`: waits up to `wait` for offers that the scan has not shown yet; at most a hundred.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Not quite: offers that the daemon sent when it is dropped are not shown again.
    pub async fn collect_scan_results(
        &self,
        scan: &str,
        wait: Duration,
    ) -> Result<Vec<Offer>, ApiError> {
        self.0.rest().market().scanned(scan, wait).await
    }

    /// `endScan`.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn end_scan(&self, scan: &str) -> Result<(), ApiError> {
        self.0.rest().market().end_scan(scan).await
    }
}
