//! Looking: reads only.

use std::collections::{BTreeMap, BTreeSet};

use golem_wire::market::{Agreement, AgreementListEntry, AgreementState, Party};
use golem_wire::payment::{DebitNote, DocumentStatus, Invoice};
use golem_wire::{ActivityId, AgreementId, Glm};
use http::StatusCode;
use indexmap::{IndexMap, IndexSet};

use super::{
    Doctor, Findings, FoundActivity, FoundAgreement, FoundAllocation, FoundDemand, FoundInvoice,
    FoundNote,
};
use crate::api::ApiError;
use crate::error::Error;
use crate::journal::OpenState;
use crate::market::{SESSION_PROPERTY, offer_of};
use crate::payment::is_accepted;
use crate::recovery::sort_out_budgets;
use crate::retry::Backoff;

const ATTEMPTS: u32 = 3;

/// What was read, besides the findings.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) findings: Findings,
    pub(super) documents: IndexMap<AgreementId, Agreement>,
}

/// The session of an agreement: of its confirmation, or of its demand.
fn session_of(agreement: &Agreement) -> Option<String> {
    let named = agreement.demand.properties.get(SESSION_PROPERTY);
    let named = named.and_then(|value| value.as_str()).map(str::to_owned);
    agreement.app_session_id.clone().or(named)
}

impl Doctor {
    /// Lists what is open.
    ///
    /// # Errors
    /// [`Error::Api`] when the daemon does not answer the first question.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub async fn examine(&self) -> Result<Findings, Error> {
        Ok(self.look().await?.findings)
    }

    pub(super) fn open_state(&self) -> Option<OpenState> {
        self.log.as_ref().map(|log| log.open_state())
    }

    fn is_wanted(&self, session: Option<&str>) -> bool {
        match &self.session {
            Some(wanted) => session == Some(wanted.as_str()),
            None => true,
        }
    }

    pub(super) async fn look(&self) -> Result<Snapshot, Error> {
        let mut backoff = Backoff::new(self.seed.fork("examine"));
        let mut snapshot = Snapshot::default();
        let market = self.rest.market();
        let demands = backoff.read(ATTEMPTS, || market.demands()).await?;
        for demand in demands {
            let named = demand.properties.get(SESSION_PROPERTY);
            let session = named.and_then(|value| value.as_str()).map(str::to_owned);
            if self.is_wanted(session.as_deref()) {
                snapshot.findings.demands.push(FoundDemand {
                    demand_id: demand.demand_id,
                    session,
                    since: demand.timestamp,
                });
            }
        }
        let payment = self.rest.payment();
        let invoices = backoff.read(ATTEMPTS, || payment.invoices(None)).await?;
        let notes = backoff.read(ATTEMPTS, || payment.debit_notes(None)).await?;
        self.agreements(&mut backoff, &mut snapshot, &notes).await?;
        self.documents(&mut backoff, &mut snapshot, invoices, notes)
            .await?;
        self.allocations(&mut backoff, &mut snapshot).await?;
        snapshot.findings.in_use_by.clone_from(&self.in_use_by);
        let unresolved = self
            .open_state()
            .map(|open_state| open_state.unresolved)
            .unwrap_or_default();
        snapshot.findings.requests = unresolved
            .values()
            .map(|open| format!("{}, sent at {}", open.change, open.at))
            .collect();
        Ok(snapshot)
    }

    async fn agreements(
        &self,
        backoff: &mut Backoff,
        snapshot: &mut Snapshot,
        notes: &[DebitNote],
    ) -> Result<(), Error> {
        let market = self.rest.market();
        // In the order in which they come: one that moves on between two questions is not missed.
        for state in [
            AgreementState::Proposal,
            AgreementState::Pending,
            AgreementState::Approved,
        ] {
            let listed = backoff
                .read(ATTEMPTS, || market.agreements(&state, None))
                .await?;
            let found = &snapshot.findings.agreements;
            let known: IndexSet<_> = found
                .iter()
                .map(|found| found.agreement_id.clone())
                .collect();
            let ours = |entry: &&AgreementListEntry| {
                entry.role == Party::Requestor && !known.contains(&entry.id)
            };
            for entry in listed.iter().filter(ours) {
                let Some(agreement) = self.agreement(backoff, &entry.id).await? else {
                    continue;
                };
                let session = session_of(&agreement);
                if !self.is_wanted(session.as_deref()) {
                    continue;
                }
                let activities = match &agreement.state {
                    AgreementState::Approved => self.activities(backoff, snapshot, &entry.id).await,
                    _ => Vec::new(),
                };
                let offer = offer_of(&agreement);
                snapshot.findings.agreements.push(FoundAgreement {
                    agreement_id: entry.id.clone(),
                    state: agreement.state.to_string(),
                    session,
                    provider_id: offer.provider_id().clone(),
                    provider_name: offer.provider_name().to_owned(),
                    since: agreement.approved_date.unwrap_or(agreement.timestamp),
                    cost: asked(notes, &entry.id),
                    activities,
                });
                snapshot.documents.insert(entry.id.clone(), agreement);
            }
        }
        Ok(())
    }

    async fn agreement(
        &self,
        backoff: &mut Backoff,
        id: &AgreementId,
    ) -> Result<Option<Agreement>, ApiError> {
        let market = self.rest.market();
        match backoff.read(ATTEMPTS, || market.agreement(id)).await {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn activities(
        &self,
        backoff: &mut Backoff,
        snapshot: &mut Snapshot,
        id: &AgreementId,
    ) -> Vec<FoundActivity> {
        let api = self.rest.activity();
        let listed = match backoff.read(ATTEMPTS, || api.of_agreement(id)).await {
            Ok(listed) => listed,
            Err(error) => {
                let question = format!("the activities of agreement {id}: {error}");
                snapshot.findings.unanswered.push(question);
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for activity_id in listed {
            let state = api.state(&activity_id).await.ok();
            found.push(FoundActivity {
                activity_id,
                state: state.map(|status| status.state.0.to_string()),
            });
        }
        found.retain(|it| it.state.as_deref() != Some("Terminated"));
        found
    }

    async fn documents(
        &self,
        backoff: &mut Backoff,
        snapshot: &mut Snapshot,
        invoices: Vec<Invoice>,
        notes: Vec<DebitNote>,
    ) -> Result<(), Error> {
        let paid: BTreeSet<AgreementId> = invoices
            .iter()
            .filter(|invoice| is_accepted(&invoice.status))
            .map(|invoice| invoice.agreement_id.clone())
            .collect();
        snapshot.findings.awaited = self.awaited(snapshot, &invoices);
        let open = |status: &DocumentStatus| {
            matches!(status, DocumentStatus::Received | DocumentStatus::Failed)
        };
        for invoice in invoices.into_iter().filter(|it| open(&it.status)) {
            if self
                .concerns(backoff, snapshot, &invoice.agreement_id)
                .await?
            {
                snapshot.findings.invoices.push(FoundInvoice {
                    invoice_id: invoice.invoice_id,
                    agreement_id: invoice.agreement_id,
                    amount: invoice.amount,
                    status: invoice.status.to_string(),
                });
            }
        }
        let invoiced: BTreeSet<AgreementId> = snapshot
            .findings
            .invoices
            .iter()
            .map(|it| it.agreement_id.clone())
            .collect();
        for note in notes.into_iter().filter(|it| open(&it.status)) {
            let id = &note.agreement_id;
            // An invoice covers the notes of its agreement.
            if !paid.contains(id)
                && !invoiced.contains(id)
                && self.concerns(backoff, snapshot, id).await?
            {
                snapshot.findings.debit_notes.push(FoundNote {
                    debit_note_id: note.debit_note_id,
                    agreement_id: note.agreement_id,
                    amount: note.total_amount_due,
                });
            }
        }
        Ok(())
    }

    /// Agreements whose account is open in the journal, although nothing of them is at the daemon.
    fn awaited(&self, snapshot: &Snapshot, invoices: &[Invoice]) -> Vec<AgreementId> {
        let agreements = self
            .open_state()
            .map(|open_state| open_state.agreements)
            .unwrap_or_default();
        let used = agreements
            .into_iter()
            .filter(|(_, entry)| !entry.activities.is_empty());
        let ids = used.map(|(id, _)| id);
        ids.filter(|id| {
            !snapshot.documents.contains_key(id) && invoices.iter().all(|it| it.agreement_id != *id)
        })
        .collect()
    }

    /// Whether an agreement belongs to the session that is looked at; reads its document.
    async fn concerns(
        &self,
        backoff: &mut Backoff,
        snapshot: &mut Snapshot,
        id: &AgreementId,
    ) -> Result<bool, Error> {
        if !snapshot.documents.contains_key(id) {
            let Some(agreement) = self.agreement(backoff, id).await? else {
                return Ok(self.session.is_none());
            };
            snapshot.documents.insert(id.clone(), agreement);
        }
        let session = snapshot.documents.get(id).and_then(session_of);
        Ok(self.is_wanted(session.as_deref()))
    }

    async fn allocations(
        &self,
        backoff: &mut Backoff,
        snapshot: &mut Snapshot,
    ) -> Result<(), Error> {
        let payment = self.rest.payment();
        let mut listed = backoff.read(ATTEMPTS, || payment.allocations()).await?;
        match self.open_state() {
            // The journal knows which are its own.
            Some(open_state) => listed = sort_out_budgets(&open_state, listed).0,
            // A session alone has none that anybody could tell.
            None if self.session.is_some() => listed.clear(),
            None => {}
        }
        let findings = &snapshot.findings;
        let may_be_needed = !findings.demands.is_empty()
            || !findings.agreements.is_empty()
            || !findings.invoices.is_empty()
            || !findings.debit_notes.is_empty()
            || !findings.awaited.is_empty();
        let found = listed.into_iter().map(|allocation| FoundAllocation {
            allocation_id: allocation.allocation_id,
            remaining: allocation.remaining_amount,
            timeout: allocation.timeout,
            may_be_needed,
        });
        snapshot.findings.allocations = found.collect();
        Ok(())
    }
}

/// The sum of the latest debit notes of each activity.
fn asked(notes: &[DebitNote], agreement: &AgreementId) -> Glm {
    let mut latest: BTreeMap<&ActivityId, Glm> = BTreeMap::new();
    for note in notes.iter().filter(|it| it.agreement_id == *agreement) {
        let amount = latest.entry(&note.activity_id).or_default();
        *amount = note.total_amount_due.max(*amount);
    }
    latest.into_values().sum()
}
