//! What a doctor found at the daemon. Owns: the shape of it, as data and as text.

use std::collections::BTreeSet;
use std::fmt;

use golem_wire::activity::ActivityState;
use golem_wire::market::AgreementState;
use golem_wire::payment::DocumentStatus;
use golem_wire::{
    ActivityId, AgreementId, AllocationId, DebitNoteId, DemandId, Glm, InvoiceId, NetworkId, NodeId,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::clock::ClockDifference;

/// Everything that is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Findings {
    /// Demands on the market.
    pub demands: Vec<FoundDemand>,
    /// Virtual networks. They cost nothing, and end with the daemon.
    pub networks: Vec<FoundNetwork>,
    /// Agreements in force, or on their way.
    pub agreements: Vec<FoundAgreement>,
    /// Agreements that were never confirmed: their providers do not know of them, the daemon cannot cancel them, and they
    /// expire. So they do not count as open.
    pub unconfirmed: Vec<FoundUnconfirmed>,
    /// Invoices that are not accepted.
    pub invoices: Vec<FoundInvoice>,
    /// Debit notes that are not accepted, and no accepted invoice covers.
    pub debit_notes: Vec<FoundNote>,
    /// Agreements of the journal that were used, have ended, and whose invoice has not come: nothing can
    /// be done about them now, so they do not count as open.
    pub awaited: Vec<AgreementId>,
    /// Budgets.
    pub allocations: Vec<FoundAllocation>,
    /// Requests of the journal whose outcome is unknown.
    pub requests: Vec<String>,
    /// Questions that the daemon did not answer.
    pub unanswered: Vec<String>,
    /// Who works with the journal at this time: what is open is in use then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use_by: Option<String>,
    /// How far this computer's clock and the daemon's differ, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockDifference>,
}

/// A demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundDemand {
    /// Its id.
    pub demand_id: DemandId,
    /// Of which application run, if it says.
    pub session: Option<String>,
    /// When it was published.
    pub since: Timestamp,
}

/// A virtual network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundNetwork {
    /// Its id.
    pub network_id: NetworkId,
    /// Its address with the length of the mask.
    pub address: String,
}

/// An agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundAgreement {
    /// Its id.
    pub agreement_id: AgreementId,
    /// Where it stands.
    pub state: AgreementState,
    /// Of which application run, if it says.
    pub session: Option<String>,
    /// The provider.
    pub provider_id: NodeId,
    /// Its name.
    pub provider_name: String,
    /// When it was approved, or made.
    pub since: Timestamp,
    /// What the provider asked for up to now, in GLM.
    pub cost: Glm,
    /// What lives on it.
    pub activities: Vec<FoundActivity>,
}

/// An agreement that was never confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundUnconfirmed {
    /// Its id.
    pub agreement_id: AgreementId,
    /// Of which application run, if it says.
    pub session: Option<String>,
    /// The name of the provider that it names.
    pub provider_name: String,
    /// When it expires.
    pub expires: Timestamp,
}

/// An activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundActivity {
    /// Its id.
    pub activity_id: ActivityId,
    /// Where it stands; `None` when the daemon does not know.
    pub state: Option<ActivityState>,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundInvoice {
    /// Its id.
    pub invoice_id: InvoiceId,
    /// What it is for.
    pub agreement_id: AgreementId,
    /// In GLM.
    pub amount: Glm,
    /// Where it stands.
    pub status: DocumentStatus,
}

/// A debit note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundNote {
    /// Its id.
    pub debit_note_id: DebitNoteId,
    /// What it is for.
    pub agreement_id: AgreementId,
    /// In GLM, all of the activity up to then.
    pub amount: Glm,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundAllocation {
    /// Its id.
    pub allocation_id: AllocationId,
    /// In GLM, what is not spent.
    pub remaining: Glm,
    /// When the daemon releases it by itself.
    pub timeout: Option<Timestamp>,
    /// Whether something open may be paid from it; the daemon does not tell whose a budget is.
    pub may_be_needed: bool,
}

impl Findings {
    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.unanswered.is_empty()
    }

    /// How many things are open.
    pub fn count(&self) -> usize {
        self.demands.len()
            + self.networks.len()
            + self.agreements.len()
            + self.invoices.len()
            + self.debit_notes.len()
            + self.allocations.len()
            + self.requests.len()
    }

    fn sessions(&self) -> BTreeSet<Option<&str>> {
        let demands = self.demands.iter().map(|it| it.session.as_deref());
        let agreements = self.agreements.iter().map(|it| it.session.as_deref());
        demands.chain(agreements).collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(holder) = &self.in_use_by {
            writeln!(
                f,
                "the journal is in use by {holder}: what is open is in use, too"
            )?;
        }
        if let Some(difference) = &self.clock {
            writeln!(
                f,
                "{difference}: set it right, since agreements end by the daemon's and the providers' clocks"
            )?;
        }
        if self.is_empty() {
            f.write_str("nothing is open")?;
        } else {
            write!(f, "{} things are open", self.count())?;
        }
        for session in self.sessions() {
            match session {
                Some(session) => write!(f, "\nsession {session}")?,
                None => f.write_str("\nwithout a session")?,
            }
            for it in self
                .demands
                .iter()
                .filter(|it| it.session.as_deref() == session)
            {
                write!(f, "\n  demand {} since {:.0}", it.demand_id, it.since)?;
            }
            let of_session = |it: &&FoundAgreement| it.session.as_deref() == session;
            for it in self.agreements.iter().filter(of_session) {
                write!(
                    f,
                    "\n  agreement {} {} with {} ({}) since {:.0}, {} GLM asked for",
                    it.agreement_id,
                    it.state,
                    it.provider_name,
                    it.provider_id,
                    it.since,
                    it.cost.normalized()
                )?;
                for activity in &it.activities {
                    let state = activity.state.as_ref().map(ToString::to_string);
                    let state = state.as_deref().unwrap_or("in an unknown state");
                    write!(f, "\n    activity {} {state}", activity.activity_id)?;
                }
            }
        }
        for it in &self.networks {
            write!(f, "\nnetwork {} {}", it.network_id, it.address)?;
        }
        for it in &self.invoices {
            write!(
                f,
                "\ninvoice {} of {} GLM for agreement {}: {}",
                it.invoice_id,
                it.amount.normalized(),
                it.agreement_id,
                it.status
            )?;
        }
        for it in &self.debit_notes {
            write!(
                f,
                "\ndebit note {} of {} GLM for agreement {} is not accepted",
                it.debit_note_id,
                it.amount.normalized(),
                it.agreement_id
            )?;
        }
        for it in &self.unconfirmed {
            write!(
                f,
                "\nagreement {} with {} was never confirmed: its provider does not know of it, and it expires at {:.0}",
                it.agreement_id, it.provider_name, it.expires
            )?;
        }
        for id in &self.awaited {
            write!(f, "\nagreement {id} has ended, its invoice is awaited")?;
        }
        for it in &self.allocations {
            let id = &it.allocation_id;
            write!(
                f,
                "\nallocation {id}: {} GLM left",
                it.remaining.normalized()
            )?;
            if let Some(timeout) = it.timeout {
                write!(f, ", until {timeout:.0}")?;
            }
            if !it.may_be_needed {
                f.write_str("; nothing open belongs to it")?;
            }
        }
        for request in &self.requests {
            write!(f, "\noutcome unknown: {request}")?;
        }
        for question in &self.unanswered {
            write!(f, "\nnot known: {question}")?;
        }
        Ok(())
    }
}
