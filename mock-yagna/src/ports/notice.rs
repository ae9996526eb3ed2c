//! What the daemon tells the agent of a provider, as it would over the network.

use golem_wire::{ActivityId, AgreementId, DebitNoteId, NodeId};

use crate::behaviour::Step;

/// A message to a provider's agent; it arrives when the step that sent it is over, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    /// A requestor confirmed an agreement: the provider may decide.
    AgreementProposed(AgreementId),
    /// An agreement is over: its exe-units end first.
    AgreementEnded(AgreementId),
    /// An agreement is over, approved or not: the provider is free again.
    AgreementLeft(AgreementId),
    /// An exe-unit is up.
    ActivityUp(ActivityId),
    /// An exe-unit that was up has ended.
    ActivityEnded(ActivityId),
    /// A debit note was accepted.
    NoteAccepted(ActivityId, DebitNoteId),
    /// A step has come before or after which the provider vanishes for good.
    Vanished(NodeId, Moment),
}

/// When, beside a step of its work, a provider vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before it.
    Before(Step),
    /// Once it is done.
    After(Step),
}
