//! What will happen by itself in a simulated network, noun by noun.
//!
//! Owns how it is worded. Does not own: when (`timeline`), how it is done, which is up to the nouns.

use std::fmt;

use golem_wire::common::Reason;
use golem_wire::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, NodeId, ProposalId,
};
use jiff::Timestamp;

/// Something that will happen, by the noun that knows how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Demands, offers, agreements.
    Market(MarketDue),
    /// Exe-units and their commands.
    Activity(ActivityDue),
    /// Allocations and the payment driver.
    Payment(PaymentDue),
    /// What providers do.
    Agent(AgentDue),
}

/// What the market will do by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MarketDue {
    /// A demand reaches the end of its life time.
    ExpireDemand(DemandId),
    /// An ended demand has been kept for long enough.
    ForgetDemand(DemandId),
    /// A provider's offer reaches a demand.
    Offer {
        /// To whom.
        demand: DemandId,
        /// Whose.
        provider: NodeId,
    },
    /// An agreement's time to be approved is over.
    ExpireAgreement(AgreementId),
}

/// What activities will do by themselves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ActivityDue {
    /// The exe-unit is up.
    Created(ActivityId),
    /// The exe-unit is down, as the requestor asked.
    Destroyed(ActivityId),
    /// The agreement ended a while ago, and its activities end now.
    Orphaned(AgreementId),
    /// The exe-unit dies, as the provider's behaviour says.
    Killed(ActivityId),
    /// The exe-unit is killed, as the provider's behaviour says.
    ExeUnitKilled(ActivityId),
    /// The next command of a batch begins.
    Next(ActivityId, BatchId),
    /// The command of this number prints.
    Prints(ActivityId, BatchId, u32),
    /// The command of this number ends.
    Finished(ActivityId, BatchId, u32),
}

/// What the payment service will do by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PaymentDue {
    /// An allocation reaches its timeout.
    ReleaseAllocation(AllocationId),
    /// The payment driver pays what was accepted.
    Settle,
}

/// What providers will do by themselves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AgentDue {
    /// It answers a counter-proposal.
    Answer(ProposalId),
    /// It decides about a confirmed agreement.
    Decide(AgreementId),
    /// It ends an approved agreement, as its behaviour says.
    Terminate(AgreementId, Reason),
    /// It announces the end of an approved agreement.
    Announce(AgreementId, Timestamp, Reason),
    /// Its offer reaches the end of its life time.
    ExpireOffer(NodeId),
    /// Its behaviour may change.
    Reconsider(NodeId),
    /// It goes silent.
    Silence(NodeId),
    /// It issues the next debit note of an activity.
    DebitNote(ActivityId),
    /// The oldest debit note of an activity had to be accepted by now.
    AcceptDeadline(ActivityId),
    /// A payable debit note had to be paid by now.
    PayDeadline(DebitNoteId),
    /// The agreement has been without an activity for too long.
    Idle(AgreementId),
    /// The agreement's own time is over.
    Expire(AgreementId),
    /// The only activity of a single-activity agreement has ended.
    Finish(AgreementId),
    /// It issues the invoice of an ended agreement.
    Invoice(AgreementId),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Market(due) => due.fmt(f),
            Action::Activity(due) => due.fmt(f),
            Action::Payment(due) => due.fmt(f),
            Action::Agent(due) => due.fmt(f),
        }
    }
}

impl fmt::Display for MarketDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpireDemand(id) => write!(f, "demand {id} expires"),
            Self::ForgetDemand(id) => write!(f, "demand {id} is forgotten"),
            Self::Offer { demand, provider } => write!(f, "{provider} offers to demand {demand}"),
            Self::ExpireAgreement(id) => write!(f, "agreement {id} expires unless it is approved"),
        }
    }
}

impl fmt::Display for ActivityDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(id) => write!(f, "the exe-unit of activity {id} is up"),
            Self::Destroyed(id) => write!(f, "activity {id} is destroyed"),
            Self::Orphaned(id) => write!(f, "activities of the ended agreement {id} end"),
            Self::Killed(id) => write!(f, "activity {id} is killed by its provider"),
            Self::ExeUnitKilled(id) => write!(f, "the exe-unit of activity {id} is killed"),
            Self::Next(id, batch) => write!(f, "the next command of batch {batch} in {id} begins"),
            Self::Prints(id, batch, index) => {
                write!(f, "command {index} of batch {batch} in {id} prints")
            }
            Self::Finished(id, batch, index) => {
                write!(f, "command {index} of batch {batch} in {id} ends")
            }
        }
    }
}

impl fmt::Display for PaymentDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReleaseAllocation(id) => write!(f, "allocation {id} times out"),
            Self::Settle => f.write_str("the payment driver pays what was accepted"),
        }
    }
}

impl fmt::Display for AgentDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(id) => write!(f, "proposal {id} is answered"),
            Self::Decide(id) => write!(f, "agreement {id} is decided about"),
            Self::Terminate(id, reason) => {
                write!(f, "agreement {id} is terminated: {}", reason.message)
            }
            Self::Announce(id, deadline, _) => {
                write!(f, "the end of agreement {id} at {deadline} is announced")
            }
            Self::ExpireOffer(node) => write!(f, "the offer of {node} expires"),
            Self::Reconsider(node) => write!(f, "the behaviour of {node} may change"),
            Self::Silence(node) => write!(f, "{node} goes silent"),
            Self::DebitNote(id) => write!(f, "a debit note of activity {id} is issued"),
            Self::AcceptDeadline(id) => {
                write!(f, "the oldest debit note of activity {id} must be accepted")
            }
            Self::PayDeadline(id) => write!(f, "debit note {id} must be paid"),
            Self::Idle(id) => write!(f, "agreement {id} was without an activity for too long"),
            Self::Expire(id) => write!(f, "the time of agreement {id} is over"),
            Self::Finish(id) => write!(
                f,
                "agreement {id} with its only activity ended is terminated"
            ),
            Self::Invoice(id) => write!(f, "the invoice of agreement {id} is issued"),
        }
    }
}
