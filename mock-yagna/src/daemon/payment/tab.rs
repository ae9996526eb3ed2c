//! What the daemon's payment service knows of one agreement: what was accepted, what was paid.
//! Synchronous and without a clock.
//!
//! Does not own: what the provider bills for it (`agent::bill`).

use golem_wire::{ActivityId, AllocationId, DebitNoteId, Glm, InvoiceId, NodeId};
use indexmap::IndexMap;

/// An accepted amount that no order pays yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accrued {
    pub(super) note: DebitNoteId,
    pub(super) allocation: AllocationId,
    pub(super) amount: Glm,
}

/// The part of a tab that is for one activity.
#[derive(Clone, Debug, Default)]
pub(super) struct ActivityTab {
    /// Largest accepted total.
    pub(super) accepted: Glm,
    /// The note that was accepted last.
    pub(super) last: Option<DebitNoteId>,
    /// Accepted by notes that are not payable by themselves.
    pub(super) accrued: Vec<Accrued>,
    pub(super) paid: Glm,
    /// Accepted notes that are not settled, in order of acceptance.
    pub(super) unsettled: Vec<DebitNoteId>,
}

/// What is accepted and paid for one agreement.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    pub(super) requestor: NodeId,
    /// The agreement's app session.
    pub(super) session: Option<String>,
    pub(super) activities: IndexMap<ActivityId, ActivityTab>,
    /// The invoice that counts; more of them are the provider's mistake.
    pub(super) invoice: Option<InvoiceId>,
    pub(super) invoice_accepted: bool,
    /// Accepted in all, through notes and the invoice.
    pub(super) accepted: Glm,
    pub(super) paid: Glm,
}

impl Tab {
    pub(super) fn new(requestor: NodeId, session: Option<String>) -> Self {
        Tab {
            requestor,
            session,
            activities: IndexMap::new(),
            invoice: None,
            invoice_accepted: false,
            accepted: Glm::ZERO,
            paid: Glm::ZERO,
        }
    }
}
