//! The journal of a simulated network: everything that happened, in order, for reports and for the
//! proof that two runs with one seed are equal.
//!
//! Owns the entries and their order. Each noun adds the events it records to [`Event`].

use std::fmt;

use golem_wire::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, Glm, InvoiceId, NetworkId,
    NodeId, ProposalId,
};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::world::State;

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
        tracing::info!("{actor}: {}", Telling(&event));
        let seq = self.entries.len() as u64;
        self.entries.push(Entry {
            seq,
            at,
            actor,
            event,
        });
    }
}

/// An event as a line for people: `agreement confirmed (agreement 88c54318)`, ids shortened.
struct Telling<'a>(&'a Event);

/// Ids are told apart by their first digits.
fn shortened(text: &str) -> &str {
    let id = text.len() >= 32
        && text
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b"-RPx".contains(&b));
    if id { &text[..10] } else { text }
}

impl fmt::Display for Telling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Value::Object(mut members)) = serde_json::to_value(self.0) else {
            return Ok(());
        };
        let name = members.remove("event");
        f.write_str(
            &name
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .replace('_', " "),
        )?;
        for (position, (key, value)) in members.iter().enumerate() {
            f.write_str(if position == 0 { " (" } else { ", " })?;
            match value {
                Value::String(text) => write!(f, "{key} {}", shortened(text))?,
                value => write!(f, "{key} {value}")?,
            }
        }
        f.write_str(if members.is_empty() { "" } else { ")" })
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
    fn an_event_is_told_in_one_line_with_short_ids() {
        let agreement =
            AgreementId::new("88c54318f56ca2185fb59565063454619a8fe52997bdaa40f7095a7bdf0717c7");
        let event = Event::AgreementTerminated {
            agreement,
            reason: "done".into(),
        };
        assert_eq!(
            Telling(&event).to_string(),
            "agreement terminated (agreement 88c54318f5, reason done)"
        );
        assert_eq!(
            Telling(&Event::ProviderOnline { online: false }).to_string(),
            "provider online (online false)"
        );
    }

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
