//! The ledger: an observer with books of its own, which checks after every step that money and
//! machines obey the laws.
//!
//! The nouns post [`Fact`]s as they change; after each step the ledger books what was posted since the
//! last one and compares it with what it knows, so a step costs as much as it changed. The ledger
//! never asks the nouns: the mistake of a noun cannot hide itself.
//!
//! Laws that need time to hold (nothing stays open) are judged at the end, by
//! `Ledger::open_items`.

mod book;

use std::fmt;

use golem_wire::{
    ActivityId, AgreementId, AllocationId, DebitNoteId, DemandId, Glm, InvoiceId, NetworkId, NodeId,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::journal::Actor;

pub use book::Ledger;

/// What must always be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// An agreement is paid no more than was accepted for it.
    PaidWithinAccepted,
    /// An agreement is paid no more than its provider billed.
    PaidWithinInvoiced,
    /// No more is accepted for an agreement than its provider billed.
    AcceptedWithinInvoiced,
    /// No more is accepted with an allocation than it holds.
    AcceptedWithinAllocated,
    /// No more is accepted for a document than it says.
    AcceptedWithinDocument,
    /// No more is accepted for an agreement than its machines used, by the network's own measure and
    /// the agreement's prices, a twentieth and a minute of all threads more. Where a provider's report
    /// says more, and time and threads allow it, nobody can tell: that counts as used.
    AcceptedWithinUsed,
    /// No invoice is paid twice.
    InvoicePaidOnce,
    /// No document is issued for a stranger, or accepted, rejected or paid before it exists.
    DocumentExists,
    /// Every activity is born under an approved agreement.
    ActivityUnderAgreement,
    /// The debit notes of an activity never fall.
    DebitNotesMonotone,
    /// What is released, ended or settled stays so.
    EndedOnce,
}

impl Law {
    /// All of them.
    pub const ALL: [Law; 11] = [
        Law::PaidWithinAccepted,
        Law::PaidWithinInvoiced,
        Law::AcceptedWithinInvoiced,
        Law::AcceptedWithinAllocated,
        Law::AcceptedWithinDocument,
        Law::AcceptedWithinUsed,
        Law::InvoicePaidOnce,
        Law::DocumentExists,
        Law::ActivityUnderAgreement,
        Law::DebitNotesMonotone,
        Law::EndedOnce,
    ];

    /// Its name, as in scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Law::PaidWithinAccepted => "paid-within-accepted",
            Law::PaidWithinInvoiced => "paid-within-invoiced",
            Law::AcceptedWithinInvoiced => "accepted-within-invoiced",
            Law::AcceptedWithinAllocated => "accepted-within-allocated",
            Law::AcceptedWithinDocument => "accepted-within-document",
            Law::AcceptedWithinUsed => "accepted-within-used",
            Law::InvoicePaidOnce => "invoice-paid-once",
            Law::DocumentExists => "document-exists",
            Law::ActivityUnderAgreement => "activity-under-agreement",
            Law::DebitNotesMonotone => "debit-notes-monotone",
            Law::EndedOnce => "ended-once",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Law::PaidWithinAccepted => "an agreement is paid no more than was accepted for it",
            Law::PaidWithinInvoiced => "an agreement is paid no more than was billed for it",
            Law::AcceptedWithinInvoiced => "no more is accepted for an agreement than was billed",
            Law::AcceptedWithinAllocated => "no more is accepted than the allocation holds",
            Law::AcceptedWithinUsed => "no more is accepted for an agreement than was used",
            Law::AcceptedWithinDocument => "no more is accepted for a document than it says",
            Law::InvoicePaidOnce => "no invoice is paid twice",
            Law::DocumentExists => "documents belong to known agreements and exist before they act",
            Law::ActivityUnderAgreement => "no activity without an approved agreement",
            Law::DebitNotesMonotone => "the debit notes of an activity never fall",
            Law::EndedOnce => "what is released, ended or settled stays so",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A law that was broken: which, when, by whom, how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which law.
    pub law: Law,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
    /// What exactly happened.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} (at {}, by {})",
            self.law, self.detail, self.at, self.by
        )
    }
}

/// What is left open: alive, neither ended nor decided nor released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OpenItem {
    /// A demand that is still published.
    Demand {
        /// Which.
        id: DemandId,
        /// Whose.
        owner: NodeId,
    },
    /// A virtual network that was not removed.
    Network {
        /// Which.
        id: NetworkId,
        /// Whose.
        owner: NodeId,
    },
    /// An agreement that has not ended.
    Agreement {
        /// Which.
        id: AgreementId,
        /// The requestor.
        owner: NodeId,
        /// Since when.
        since: Timestamp,
    },
    /// An activity that was not destroyed.
    Activity {
        /// Which.
        id: ActivityId,
        /// Under which agreement.
        agreement: AgreementId,
        /// The requestor.
        owner: NodeId,
        /// Since when.
        since: Timestamp,
    },
    /// An invoice that is neither accepted nor rejected.
    Invoice {
        /// Which.
        id: InvoiceId,
        /// The requestor.
        owner: NodeId,
        /// How much it is about.
        amount: Glm,
        /// Since when.
        since: Timestamp,
    },
    /// An allocation that was not released.
    Allocation {
        /// Which.
        id: AllocationId,
        /// The requestor.
        owner: NodeId,
        /// What is left in it.
        remaining: Glm,
        /// Since when.
        since: Timestamp,
    },
}

impl fmt::Display for OpenItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenItem::Demand { id, owner } => {
                write!(f, "demand {id} of {owner} is still published")
            }
            OpenItem::Network { id, owner } => {
                write!(f, "network {} of {}", id.short(), owner.short())
            }
            OpenItem::Agreement { id, owner, since } => {
                write!(f, "agreement {id} of {owner} is in force since {since}")
            }
            OpenItem::Activity {
                id,
                agreement,
                owner,
                since,
            } => {
                write!(
                    f,
                    "activity {id} of {owner} under {agreement} is alive since {since}"
                )
            }
            OpenItem::Invoice {
                id,
                owner,
                amount,
                since,
            } => {
                write!(
                    f,
                    "invoice {id} to {owner} over {amount} waits for a decision since {since}"
                )
            }
            OpenItem::Allocation {
                id,
                owner,
                remaining,
                since,
            } => {
                write!(
                    f,
                    "allocation {id} of {owner} holds {remaining} since {since}"
                )
            }
        }
    }
}

/// An invoice or a debit note.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Document {
    /// An invoice.
    Invoice(InvoiceId),
    /// A debit note.
    DebitNote(DebitNoteId),
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Document::Invoice(id) => write!(f, "invoice {id}"),
            Document::DebitNote(id) => write!(f, "debit note {id}"),
        }
    }
}

/// A change that concerns money or machines.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// An allocation was created or amended.
    Allocated {
        /// Which.
        allocation: AllocationId,
        /// Whose.
        owner: NodeId,
        /// How much it holds from now on, spent or not.
        total: Glm,
    },
    /// An allocation was released.
    Released {
        /// Which.
        allocation: AllocationId,
    },
    /// An agreement came into force.
    Approved {
        /// Which.
        agreement: AgreementId,
        /// Who pays.
        requestor: NodeId,
    },
    /// An agreement ended.
    Ended {
        /// Which.
        agreement: AgreementId,
    },
    /// An activity was created.
    ActivityCreated {
        /// Which.
        activity: ActivityId,
        /// Under which agreement.
        agreement: AgreementId,
    },
    /// What an activity has used by now costs so much.
    Used {
        /// Which.
        activity: ActivityId,
        /// By the network's measure, and what its provider can add unnoticed.
        cost: Glm,
        /// A minute with all threads busy costs so much more.
        minute: Glm,
    },
    /// An activity ended.
    ActivityEnded {
        /// Which.
        activity: ActivityId,
    },
    /// A debit note was issued.
    DebitNoteIssued {
        /// Which.
        note: DebitNoteId,
        /// For which activity.
        activity: ActivityId,
        /// Cumulative for the activity.
        total: Glm,
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
    /// The daemon forgot a debit note, since a later one covers it.
    Forgotten {
        /// Which.
        note: DebitNoteId,
    },
    /// A document was accepted.
    Accepted {
        /// Which.
        document: Document,
        /// With which allocation.
        allocation: AllocationId,
        /// What was accepted beyond what earlier documents of the series had accepted.
        charged: Glm,
    },
    /// An invoice was rejected.
    Rejected {
        /// Which.
        invoice: InvoiceId,
    },
    /// Money was transferred.
    Paid {
        /// For which document.
        document: Document,
        /// How much.
        amount: Glm,
    },
    /// The daemon considers an invoice paid.
    Settled {
        /// Which.
        invoice: InvoiceId,
    },
}

#[cfg(test)]
mod tests;
