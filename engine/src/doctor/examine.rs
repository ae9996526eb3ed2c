//! Looking on behalf of a person: what the daemon has, as findings. Owns: which of it is open, and what
//! each finding says. Does not own: asking, and whose things are (`settle/`).

use std::collections::BTreeMap;

use golem_wire::activity::ActivityState;
use golem_wire::market::{Agreement, AgreementState};
use golem_wire::payment::{Allocation, DebitNote, Invoice};
use golem_wire::{ActivityId, AgreementId, Glm};
use indexmap::{IndexMap, IndexSet};

use super::{
    Doctor, Findings, FoundActivity, FoundAgreement, FoundAllocation, FoundDemand, FoundInvoice,
    FoundNetwork, FoundNote, FoundUnconfirmed,
};
use crate::error::Error;
use crate::journal::OpenState;
use crate::model::OfferProposal;
use crate::settle::observe::{self, Known, is_open};
use crate::settle::{
    Documents, OPEN_STATES, Observed, Observer, Owner, Scope, Standing, plan, standing,
};

/// The states of agreements that belong to a session.
const CONFIRMED_STATES: [AgreementState; 6] = [
    AgreementState::Pending,
    AgreementState::Approved,
    AgreementState::Terminated,
    AgreementState::Expired,
    AgreementState::Cancelled,
    AgreementState::Rejected,
];

/// What was read, besides the findings.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) findings: Findings,
    pub(super) documents: IndexMap<AgreementId, Agreement>,
    pub(super) invoices: Vec<Invoice>,
    pub(super) notes: Vec<DebitNote>,
}

impl Doctor {
    /// Lists what is open.
    ///
    /// # Errors
    /// [`Error::Api`] when the daemon does not answer the first question, or not which budgets there
    /// are.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub async fn examine(&self) -> Result<Findings, Error> {
        Ok(self.look().await?.findings)
    }

    /// Whether any agreement in any state is of the session that was asked for; `true` when none was.
    ///
    /// # Errors
    /// [`Error::Api`] when the daemon does not answer.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub async fn knows_session(&self) -> Result<bool, Error> {
        let Some(session) = self.session.as_deref() else {
            return Ok(true);
        };
        for state in CONFIRMED_STATES {
            let listed = self.rest.market().agreements(&state, Some(session)).await?;
            if !listed.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn open_state(&self) -> Option<OpenState> {
        self.log.as_ref().map(|log| log.open_state())
    }

    pub(super) async fn look(&self) -> Result<Snapshot, Error> {
        let seed = self.seed.fork("examine");
        let journal = self.open_state();
        let open_state = journal.clone().unwrap_or_default();
        let session = self.session.as_deref();
        let scope = Scope {
            journal: &open_state,
            owner: session.map_or(Owner::Anybody, Owner::Session),
            states: &OPEN_STATES,
            except: IndexSet::new(),
            since: None,
            demands: true,
            documents: Documents::All,
        };
        let seen = Observer::new(&self.rest, &seed).look(&scope).await;
        if seen.demands.is_none()
            && let Some(first) = seen.unanswered.first()
        {
            return Err(first.why.clone().into());
        }
        let mut observer = Observer::new(&self.rest, &seed.fork("budgets"));
        let budgets = self.budgets(journal.as_ref(), observer.budgets().await?);
        let mut findings = findings(&open_state, &seen);
        findings.in_use_by.clone_from(&self.in_use_by);
        findings.clock = self.clock.difference();
        let may_be_needed = !findings.demands.is_empty()
            || !findings.agreements.is_empty()
            || !findings.invoices.is_empty()
            || !findings.debit_notes.is_empty()
            || !findings.awaited.is_empty();
        let found = budgets.into_iter().map(|allocation| FoundAllocation {
            allocation_id: allocation.allocation_id,
            remaining: allocation.remaining_amount.glm(),
            timeout: allocation.timeout.map(|timeout| timeout.at()),
            may_be_needed,
        });
        findings.allocations = found.collect();
        let documents = seen.here();
        let documents = documents.map(|(id, known)| (id.clone(), known.agreement.clone()));
        Ok(Snapshot {
            documents: documents.collect(),
            invoices: seen.invoices.unwrap_or_default(),
            notes: seen.notes.unwrap_or_default(),
            findings,
        })
    }

    fn budgets(&self, journal: Option<&OpenState>, listed: Vec<Allocation>) -> Vec<Allocation> {
        match journal {
            // The journal knows which are its own.
            Some(open_state) => plan::budgets(open_state, listed).0,
            // A session alone has none that could be told from others.
            None if self.session.is_some() => Vec::new(),
            None => listed,
        }
    }
}

/// What is open, besides budgets.
fn findings(open_state: &OpenState, seen: &Observed) -> Findings {
    let mut findings = Findings::default();
    for demand in seen.demands.iter().flatten() {
        let session = observe::session_of_demand(&demand.properties);
        findings.demands.push(FoundDemand {
            demand_id: demand.demand_id.clone(),
            session: session.map(str::to_owned),
            since: demand.timestamp,
        });
    }
    let networks = seen.networks.iter().flatten().chain(&seen.stray_networks);
    findings.networks = networks
        .map(|network| FoundNetwork {
            network_id: network.id.clone(),
            address: network.ip.clone(),
        })
        .collect();
    let notes: Vec<&DebitNote> = seen.notes.iter().flatten().collect();
    for (id, known) in seen.here() {
        let document = &known.agreement;
        if document.state == AgreementState::Proposal {
            let offer = OfferProposal::of_agreement(document);
            findings.unconfirmed.push(FoundUnconfirmed {
                agreement_id: id.clone(),
                session: observe::session_of(document).map(str::to_owned),
                provider_name: offer.provider_name().to_owned(),
                expires: document.valid_to.at(),
            });
        } else if matches!(standing(document), Standing::Waiting | Standing::InForce) {
            findings.agreements.push(agreement(id, known, &notes));
        }
    }
    for invoice in seen.invoices.iter().flatten() {
        if is_open(&invoice.status) {
            findings.invoices.push(FoundInvoice {
                invoice_id: invoice.invoice_id.clone(),
                agreement_id: invoice.agreement_id.clone(),
                amount: invoice.amount,
                status: invoice.status.clone(),
            });
        }
    }
    for note in notes.into_iter().filter(|it| is_open(&it.status)) {
        let id = &note.agreement_id;
        let invoiced = |it: &FoundInvoice| it.agreement_id == *id;
        // An invoice covers the notes of its agreement.
        if !seen.is_paid(id) && !findings.invoices.iter().any(invoiced) {
            findings.debit_notes.push(FoundNote {
                debit_note_id: note.debit_note_id.clone(),
                agreement_id: id.clone(),
                amount: note.total_amount_due,
            });
        }
    }
    // Of these nothing is at the daemon.
    let awaited = open_state.agreements.iter().filter(|(id, record)| {
        let open = |it: &FoundAgreement| it.agreement_id == **id;
        let mut invoices = seen.invoices.iter().flatten();
        record.was_used()
            && !findings.agreements.iter().any(open)
            && invoices.all(|it| it.agreement_id != **id)
    });
    findings.awaited = awaited.map(|(id, _)| id.clone()).collect();
    let requests = open_state.unresolved.values();
    let requests = requests.map(|open| format!("{}, sent at {}", open.change, open.at));
    findings.requests = requests.collect();
    let unanswered = seen.unanswered.iter();
    findings.unanswered = unanswered.map(ToString::to_string).collect();
    findings
}

fn agreement(id: &AgreementId, known: &Known, notes: &[&DebitNote]) -> FoundAgreement {
    let document = &known.agreement;
    let offer = OfferProposal::of_agreement(document);
    let live = known.activities.iter();
    let live = live.filter(|(_, state)| **state != Some(ActivityState::Terminated));
    let activities = live.map(|(id, state)| FoundActivity {
        activity_id: id.clone(),
        state: state.clone(),
    });
    FoundAgreement {
        agreement_id: id.clone(),
        state: document.state.clone(),
        session: observe::session_of(document).map(str::to_owned),
        provider_id: offer.provider_id().clone(),
        provider_name: offer.provider_name().to_owned(),
        since: document.approved_date.unwrap_or(document.timestamp),
        cost: asked(notes, id),
        activities: activities.collect(),
    }
}

/// The sum of the latest debit notes of each activity.
fn asked(notes: &[&DebitNote], agreement: &AgreementId) -> Glm {
    let mut latest: BTreeMap<&ActivityId, Glm> = BTreeMap::new();
    for note in notes.iter().filter(|it| it.agreement_id == *agreement) {
        let amount = latest.entry(&note.activity_id).or_default();
        *amount = note.total_amount_due.max(*amount);
    }
    latest.into_values().sum()
}
