//! The journal of a simulated network: everything that happened, in order, for reports and for the
//! proof that two runs with one seed are equal.
//!
//! Owns the entries and their order. Each noun adds the events it records to [`Event`].

use std::fmt;

use golem_wire::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, Glm, InvoiceId,
    NetworkId, NodeId, ProposalId,
};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::story::Line;
use crate::world::State;

/// Where the story is told: the target of its log lines.
pub const STORY: &str = "mock_yagna::story";

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The renting side, by the name of its app key.
    Requestor(String),
    /// A provider, by name.
    Provider(String),
    /// The daemon itself.
    Daemon,
    /// Whoever directs the network: a scenario's timeline.
    Scenario,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Requestor(name) => write!(f, "requestor {name}"),
            Actor::Provider(name) => write!(f, "provider {name}"),
            Actor::Daemon => f.write_str("daemon"),
            Actor::Scenario => f.write_str("scenario"),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    // --- market ---
    /// A demand was published.
    DemandSubscribed {
        /// Its subscription.
        demand: DemandId,
    },
    /// A demand was withdrawn.
    DemandUnsubscribed {
        /// Its subscription.
        demand: DemandId,
    },
    /// A demand reached the end of its life time.
    DemandExpired {
        /// Its subscription.
        demand: DemandId,
    },
    /// An offer matched a demand.
    OfferMatched {
        /// The demand.
        demand: DemandId,
        /// The initial proposal.
        proposal: ProposalId,
    },
    /// A proposal was countered.
    ProposalCountered {
        /// The proposal that is answered.
        previous: ProposalId,
        /// The answer.
        proposal: ProposalId,
    },
    /// A proposal was rejected.
    ProposalRejected {
        /// Which.
        proposal: ProposalId,
        /// Why.
        reason: String,
    },
    /// An agreement was made from a draft; nobody is bound yet.
    AgreementCreated {
        /// Which.
        agreement: AgreementId,
        /// With whom.
        provider: NodeId,
    },
    /// The requestor confirmed an agreement.
    AgreementConfirmed {
        /// Which.
        agreement: AgreementId,
    },
    /// The provider approved an agreement.
    AgreementApproved {
        /// Which.
        agreement: AgreementId,
    },
    /// The provider rejected an agreement.
    AgreementRejected {
        /// Which.
        agreement: AgreementId,
        /// Why.
        reason: String,
    },
    /// The requestor withdrew from an agreement that was not approved yet.
    AgreementCancelled {
        /// Which.
        agreement: AgreementId,
    },
    /// An agreement was not approved in time.
    AgreementExpired {
        /// Which.
        agreement: AgreementId,
    },
    /// An agreement was ended.
    AgreementTerminated {
        /// Which.
        agreement: AgreementId,
        /// Why.
        reason: String,
    },
    /// A provider came or went.
    ProviderOnline {
        /// Whether it can be reached now.
        online: bool,
    },

    /// A provider stopped or began to answer.
    ProviderSilent {
        /// Whether it is silent now.
        silent: bool,
    },
    /// A provider behaves otherwise from now on.
    BehaviourChanged {
        /// Which members are different.
        changed: Vec<String>,
    },
    /// A provider's agent is gone for good.
    ProviderDied {
        /// At which step.
        step: String,
    },

    // --- faults ---
    /// A fault was added.
    FaultAdded {
        /// Its name.
        fault: String,
        /// What it does.
        effect: String,
    },
    /// A fault was lifted.
    FaultLifted {
        /// Its name.
        fault: String,
    },
    /// A fault hit a request.
    FaultHit {
        /// Its name.
        fault: String,
        /// What it did.
        effect: String,
        /// To which request.
        request: String,
    },
    /// The daemon restarted and forgot what it does not store.
    DaemonRestarted {},

    // --- activity ---
    /// An activity was created.
    ActivityCreated {
        /// Which.
        activity: ActivityId,
        /// Under which agreement.
        agreement: AgreementId,
    },
    /// An activity came to its end.
    ActivityDestroyed {
        /// Which.
        activity: ActivityId,
        /// Why.
        reason: String,
    },
    /// The exe-unit of an activity was killed; nobody tells the requestor.
    ExeUnitKilled {
        /// Which.
        activity: ActivityId,
    },
    /// A script was sent.
    BatchStarted {
        /// Where.
        activity: ActivityId,
        /// Which.
        batch: BatchId,
        /// How many commands it has.
        commands: u32,
    },
    /// One command ended.
    CommandFinished {
        /// Where.
        activity: ActivityId,
        /// Which batch.
        batch: BatchId,
        /// Position in the batch.
        index: u32,
        /// What it was, shortened.
        command: String,
        /// Whether it worked.
        ok: bool,
        /// What failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },

    // --- net ---
    /// A virtual network was created.
    NetworkCreated {
        /// Which.
        network: NetworkId,
        /// Its address and prefix.
        address: String,
    },
    /// A virtual network was removed.
    NetworkRemoved {
        /// Which.
        network: NetworkId,
    },

    // --- payment ---
    /// Money was set aside.
    AllocationCreated {
        /// Which.
        allocation: AllocationId,
        /// How much.
        amount: Glm,
    },
    /// An allocation has another total or timeout.
    AllocationAmended {
        /// Which.
        allocation: AllocationId,
        /// Its total now.
        amount: Glm,
    },
    /// An allocation was given back.
    AllocationReleased {
        /// Which.
        allocation: AllocationId,
        /// What was left in it.
        remaining: Glm,
    },
    /// A debit note was issued.
    DebitNoteIssued {
        /// Which.
        debit_note: DebitNoteId,
        /// For which activity.
        activity: ActivityId,
        /// Due so far for the activity.
        amount: Glm,
    },
    /// A debit note was accepted.
    DebitNoteAccepted {
        /// Which.
        debit_note: DebitNoteId,
        /// Accepted so far for the activity.
        amount: Glm,
    },
    /// An invoice was issued.
    InvoiceIssued {
        /// Which.
        invoice: InvoiceId,
        /// For which agreement.
        agreement: AgreementId,
        /// In all.
        amount: Glm,
    },
    /// An invoice was accepted.
    InvoiceAccepted {
        /// Which.
        invoice: InvoiceId,
        /// In all.
        amount: Glm,
    },
    /// An invoice was rejected.
    InvoiceRejected {
        /// Which.
        invoice: InvoiceId,
        /// Why.
        reason: String,
    },
    /// An invoice was paid.
    InvoiceSettled {
        /// Which.
        invoice: InvoiceId,
        /// What was transferred for it.
        amount: Glm,
    },
    /// A law of the ledger was broken.
    LawBroken {
        /// Which law, and how.
        law: String,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Position, from 0 without gaps.
    pub seq: u64,
    /// Calendar time of the network.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// All entries so far.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
}

impl Journal {
    /// The entries from number `seq` on.
    pub fn since(&self, seq: u64) -> &[Entry] {
        let from = usize::try_from(seq).unwrap_or(usize::MAX);
        self.entries.get(from..).unwrap_or_default()
    }

    fn push(&mut self, at: Timestamp, actor: Actor, event: Event) {
        let line = Line {
            at,
            actor: &actor,
            event: &event,
        };
        tracing::info!(target: STORY, "{line}");
        let seq = self.entries.len() as u64;
        self.entries.push(Entry {
            seq,
            at,
            actor,
            event,
        });
    }
}

impl State {
    /// Writes down that something happened now.
    pub(crate) fn record(&mut self, actor: Actor, event: Event) {
        self.metrics.count(&actor, &event);
        self.journal.push(self.now, actor, event);
    }

    /// How the journal names `node`.
    pub(crate) fn actor(&self, node: &NodeId) -> Actor {
        if let Some(provider) = self.provider(node) {
            return Actor::Provider(provider.name.clone());
        }
        match self.identities.by_node(node) {
            Some(identity) => Actor::Requestor(identity.name.clone()),
            None => Actor::Daemon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_flat_object() {
        let entry = Entry {
            seq: 3,
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Provider("bob".into()),
            event: Event::ProviderOnline { online: true },
        };
        assert_eq!(
            serde_json::to_string(&entry).expect("JSON"),
            r#"{"seq":3,"at":"1970-01-01T00:00:00Z","actor":"provider bob","event":"provider_online","online":true}"#
        );
    }
}
