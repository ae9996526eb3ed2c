//! What can happen: a struct for each kind, and its group. Owns: names, groups, and what each kind
//! tells beside its context.

use std::net::IpAddr;
use std::path::PathBuf;

use golem_wire::{BatchId, DebitNoteId, Glm, InvoiceId, NetworkId, NodeId};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Custom;
use crate::cause::Cause;
use crate::clock::ClockDifference;
use crate::lifecycle::agreement::EndedBy;
use crate::lifecycle::negotiation::{RefusedBy, RefusedFor};
use crate::lifecycle::service::ServiceState;
use crate::model::{DocumentId, MarketSummary, OfferProposal, Progress};
use crate::panics::Panic;

/// What events are about, as a tree: an event of a group is one of the groups above as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum EventGroup {
    /// A piece of work; above demands, proposals and agreements.
    Job,
    /// A demand.
    Subscription,
    /// A provider's proposal.
    Proposal,
    /// An agreement; above activities, invoices and debit notes.
    Agreement,
    /// An activity; above tasks, services, machines of pools and scripts.
    Activity,
    /// A task.
    Task,
    /// An instance of a service.
    Service,
    /// A machine of a rental pool.
    Pool,
    /// A script; above commands.
    Script,
    /// A command of a script.
    Command,
    /// An invoice.
    Invoice,
    /// A debit note.
    DebitNote,
    /// A virtual network.
    Network,
    /// The budget of the engine.
    Budget,
    /// The engine, its daemon, its journal.
    Engine,
    /// Users' own events.
    Custom,
}

impl EventGroup {
    /// The group above.
    pub fn above(self) -> Option<EventGroup> {
        match self {
            Self::Subscription | Self::Proposal | Self::Agreement => Some(Self::Job),
            Self::Activity | Self::Invoice | Self::DebitNote => Some(Self::Agreement),
            Self::Task | Self::Service | Self::Pool | Self::Script => Some(Self::Activity),
            Self::Command => Some(Self::Script),
            Self::Job | Self::Network | Self::Budget | Self::Engine | Self::Custom => None,
        }
    }

    /// Whether it is this group, or one below it.
    pub fn is_in(self, group: EventGroup) -> bool {
        std::iter::successors(Some(self), |group| group.above()).any(|above| above == group)
    }
}

/// A kind of event, by its struct: what [`Event::get`](super::Event::get) and
/// [`EventFilter::kind`](super::EventFilter::kind) choose by.
pub trait EventType: Sized {
    /// Its name.
    const NAME: &'static str;

    /// What an event tells, if it is of this kind.
    fn of(kind: &EventKind) -> Option<&Self>;
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident in $group:ident { $($(#[$how:meta])* $field:ident: $type:ty = $said:literal),* $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Serialize)]
            #[non_exhaustive]
            pub struct $name {
                $(#[doc = $said] $(#[$how])* pub $field: $type,)*
            }

            impl From<$name> for EventKind {
                fn from(told: $name) -> EventKind {
                    EventKind::$name(told)
                }
            }

            impl EventType for $name {
                const NAME: &'static str = stringify!($name);

                fn of(kind: &EventKind) -> Option<&Self> {
                    match kind {
                        EventKind::$name(told) => Some(told),
                        _ => None,
                    }
                }
            }
        )+

        /// What happened, and what is told of it beside its [context](super::EventContext).
        #[derive(Clone, Debug, Serialize)]
        #[serde(tag = "event")]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $name($name),)+
            /// An event of the user's own.
            Custom(Custom),
        }

        impl EventKind {
            /// The names of all events.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+ "Custom"];

            /// The name of the event.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                    Self::Custom(_) => "Custom",
                }
            }

            /// The group of the event.
            pub fn group(&self) -> EventGroup {
                match self {
                    $(Self::$name(_) => EventGroup::$group,)+
                    Self::Custom(_) => EventGroup::Custom,
                }
            }
        }
    };
}

events! {
    /// A job began.
    JobStarted in Job {}
    /// A job is done; `error` says why it failed.
    JobFinished in Job { error: Option<Cause> = "Why it failed, if it did." }
    /// This computer's clock and the daemon's differ: the engine goes by the daemon's.
    ClockDiffers in Engine { difference: ClockDifference = "By how much." }
    /// A virtual network was created.
    NetworkCreated in Network {
        network_id: NetworkId = "The network.",
        address: String = "Its address with the length of the mask, `192.168.0.0/24`.",
    }
    /// A virtual network was removed.
    NetworkRemoved in Network { network_id: NetworkId = "The network." }
    /// A machine became a node of a network.
    NodeAdded in Network {
        network_id: NetworkId = "The network.",
        node_id: NodeId = "The machine's provider.",
        ip: IpAddr = "The machine's address in the network.",
    }
    /// A machine of a network is gone.
    NodeRemoved in Network {
        network_id: NetworkId = "The network.",
        node_id: NodeId = "The machine's provider.",
        ip: IpAddr = "The machine's address in the network.",
    }
    /// A demand is published.
    SubscriptionCreated in Subscription {}
    /// A demand could not be published.
    SubscriptionFailed in Subscription { reason: Cause = "Why." }
    /// Offers could not be collected; it is tried again.
    CollectFailed in Subscription { reason: Cause = "Why." }
    /// An offer of a provider arrived.
    ProposalReceived in Proposal {
        #[serde(skip)]
        offer: OfferProposal = "The proposal, with its properties and prices. Not in JSON.",
    }
    /// A proposal was refused.
    ProposalRejected in Proposal {
        by: RefusedBy = "By whom.",
        why: RefusedFor = "Why.",
        reason: String = "Why, in words.",
        #[serde(skip)]
        offer: OfferProposal = "The proposal, with its properties and prices. Not in JSON.",
    }
    /// A counter-proposal went out.
    ProposalResponded in Proposal {}
    /// The provider agreed to a draft.
    ProposalConfirmed in Proposal {
        #[serde(skip)]
        offer: OfferProposal = "The proposal, with its properties and prices. Not in JSON.",
    }
    /// A counter-proposal could not be sent, or got no answer.
    ProposalFailed in Proposal { reason: String = "Why, in words." }
    /// More offers came than are kept (`MarketLimits::max_proposals`); the worst are dropped.
    OffersDropped in Subscription { kept: usize = "How many are kept." }
    /// Nothing was confirmed within the deadline.
    NoProposalsConfirmed in Subscription {
        offers_seen: u64 = "Offers that arrived.",
        timeout_secs: u64 = "How long it was waited, in seconds.",
        #[serde(serialize_with = "in_words")]
        summary: MarketSummary = "What was seen, and why it was refused. In JSON: in words.",
    }
    /// A draft became an agreement, not confirmed yet.
    AgreementCreated in Agreement {}
    /// The provider approved: the machine is ours.
    AgreementConfirmed in Agreement {}
    /// The provider refused, or did not approve in time.
    AgreementRejected in Agreement {
        by: EndedBy = "Who ended it before it began.",
        reason: String = "Why, in words.",
    }
    /// A provider announced that it will end an agreement. It is in force until then; what runs there is moved to
    /// another provider. Daemons tell this from 0.18 on.
    AgreementTerminationNotice in Agreement {
        deadline: Timestamp = "When it ends, unless its provider ends it earlier.",
        reason: String = "Why, in words.",
    }
    /// An agreement ended.
    AgreementTerminated in Agreement {
        by: EndedBy = "Who ended it.",
        reason: String = "Why, in words.",
    }
    /// A debit note arrived.
    DebitNoteReceived in DebitNote {
        debit_note_id: DebitNoteId = "The debit note.",
        amount: Glm = "What is due for the activity up to now, in GLM.",
    }
    /// A debit note was accepted.
    DebitNoteAccepted in DebitNote {
        debit_note_id: DebitNoteId = "The debit note.",
        amount: Glm = "What was due for the activity up to then, in GLM.",
    }
    /// A document is not paid.
    PaymentFailed in Agreement {
        document: DocumentId = "The invoice or debit note.",
        reason: Cause = "Why.",
    }
    /// An invoice arrived.
    InvoiceReceived in Invoice {
        invoice_id: InvoiceId = "The invoice.",
        amount: Glm = "What is due for the agreement, in GLM.",
    }
    /// An invoice was accepted: the daemon pays it.
    InvoiceAccepted in Invoice {
        invoice_id: InvoiceId = "The invoice.",
        amount: Glm = "What is paid for the agreement, in GLM.",
    }
    /// Four fifths of the budget are accepted, or may still be asked for by the machines that run.
    BudgetLow in Budget {
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<String> = "The platform whose budget it is, if the engine has several.",
        total: Glm = "The budget, in GLM.",
        accepted: Glm = "What is accepted of it, in GLM.",
        promised: Glm = "What it comes to once all machines are stopped, in GLM.",
    }
    /// The budget is used up once the machines that run are stopped: no more are rented, and those are
    /// stopped. `promised` is what it comes to by then.
    BudgetExhausted in Budget {
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<String> = "The platform whose budget it is, if the engine has several.",
        total: Glm = "The budget, in GLM.",
        accepted: Glm = "What is accepted of it, in GLM.",
        promised: Glm = "What it comes to once all machines are stopped, in GLM.",
    }
    /// The budget was raised or lowered.
    BudgetAmended in Budget {
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<String> = "The platform whose budget it is, if the engine has several.",
        total: Glm = "The budget from now on, in GLM.",
    }
    /// A provider asked for more than can be right, or broke what was agreed, and is not rented again by this engine.
    ProviderDistrusted in Agreement { reason: String = "Why, in words." }
    /// Work on an agreement began.
    WorkerStarted in Agreement {}
    /// Work on an agreement ended; `error` says why if badly.
    WorkerFinished in Activity { error: Option<Cause> = "Why it ended badly, if it did." }
    /// An activity is up.
    ActivityCreated in Activity {}
    /// An activity could not be created.
    ActivityCreateFailed in Agreement { reason: Cause = "Why." }
    /// An activity is gone.
    ActivityDestroyed in Activity {}
    /// A task was given to a provider.
    TaskStarted in Task {}
    /// A task's worker function ended.
    TaskFinished in Task {}
    /// A task's result was accepted.
    TaskAccepted in Task {}
    /// A task's result was refused.
    TaskRejected in Task { reason: Cause = "Why." }
    /// A service instance changed its state.
    ServiceStateChanged in Service {
        old: ServiceState = "The state before.",
        new: ServiceState = "The state now.",
        error: Option<Cause> = "What went wrong, if that is why.",
    }
    /// A service instance begins anew on another machine after it has run.
    ServiceRestarted in Service {
        restarts: u32 = "How often it did, this time included.",
        error: Option<Cause> = "What its life before ended with, if that was a failure.",
    }
    /// A service instance runs on another machine from now on, since the provider of the one that it had announced
    /// an end: it is started there already, and is stopped here.
    ServiceMoved in Service {
        from_provider: String = "The name of the provider that it leaves.",
        to_provider: String = "The name of the provider to which it goes.",
    }
    /// The health check of a service instance says otherwise than before, or for the first time.
    ServiceHealthChanged in Service {
        healthy: bool = "Whether it is well.",
        failures: u32 = "How often in a row the check failed.",
        error: Option<Cause> = "With what the last time.",
    }
    /// A service instance reached its end.
    ServiceFinished in Service { error: Option<Cause> = "Why it failed, if it did." }
    /// A machine of a pool is set up, and waits for somebody who uses it.
    MachineReady in Pool {}
    /// A machine of a pool was handed out.
    MachineAcquired in Pool {}
    /// A machine of a pool came back from whoever used it.
    MachineReleased in Pool {}
    /// A machine of a pool is not handed out: its set-up or its validation failed.
    MachineUnfit in Pool { reason: Cause = "Why." }
    /// A machine of a pool is given back to its provider.
    MachineRetired in Pool { reason: String = "Why, in words." }
    /// A script went to the provider.
    ScriptSent in Script {
        script: u64 = "Which of the activity, from 1.",
        batch_id: BatchId = "What the daemon calls it.",
        commands: u32 = "How many commands it has, `deploy` and `start` put in front included.",
    }
    /// Results of a script are being waited for.
    GettingResults in Script { script: u64 = "Which of the activity, from 1." }
    /// A script ended; `error` names the command that failed.
    ScriptFinished in Script {
        script: u64 = "Which of the activity, from 1.",
        error: Option<Cause> = "Why it failed, if it did: a `ScriptError`.",
    }
    /// A command began.
    CommandStarted in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        text: String = "The command, for people.",
    }
    /// A command wrote to its standard output.
    CommandStdOut in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        output: String = "What it wrote.",
    }
    /// A command wrote to its standard error.
    CommandStdErr in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        output: String = "What it wrote.",
    }
    /// How far a `deploy` or a transfer has come, where that is asked for.
    CommandProgress in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        progress: Progress = "How far.",
    }
    /// A command ended.
    CommandExecuted in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        text: String = "The command, for people.",
        success: bool = "Whether it ended well.",
        message: Option<String> = "What the exe-unit said.",
        stdout: Option<String> = "Its standard output, cut after 4,096 characters.",
        stderr: Option<String> = "Its standard error, cut after 4,096 characters.",
    }
    /// A file is about to come.
    DownloadStarted in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        path: String = "Its path on the machine.",
    }
    /// A file came.
    DownloadFinished in Command {
        script: u64 = "Which script of the activity, from 1.",
        command: u32 = "Which command of the script, from 0, those put in front included.",
        path: String = "Its path on the machine.",
        bytes: u64 = "Its size, in bytes.",
    }
    /// Code of the user's that the engine calls panicked; `place` is the file, line and column.
    CallbackPanicked in Engine {
        callback: String = "Which code it was.",
        message: String = "What it said.",
        place: Option<String> = "File, line and column, where they are known.",
    }
    /// The daemon did something its protocol forbids; the safe path was taken.
    ProtocolViolation in Engine { what: String = "What, in words." }
    /// The daemon has not answered for so long, as `reason` says. Told soon after the beginning of an
    /// absence, and again at growing intervals while it lasts.
    DaemonAway in Engine {
        reason: String = "What became of the first question, in words.",
        seconds: u64 = "How long it has been away, in seconds.",
    }
    /// The daemon answers again, after an absence of so long.
    DaemonBack in Engine { seconds: u64 = "How long it was away, in seconds." }
    /// The journal was damaged; it is kept at `path`, and a new one was begun.
    JournalSetAside in Engine {
        path: PathBuf = "Where the damaged one is.",
        reason: String = "What is wrong with it, in words.",
    }
    /// What an earlier run left open is being looked up.
    RecoveryStarted in Engine { open: usize = "How many things it left open." }
    /// What an earlier run left open is gone on with, settled, or left.
    RecoveryFinished in Engine {
        adopted: usize = "How many things are gone on with.",
        settled: usize = "How many were settled.",
        left: usize = "How many are left open.",
    }
    /// What the program does in `Golem::run` failed or panicked, and the engine is stopped for it.
    ExecutionInterrupted in Engine { reason: Cause = "Why." }
    /// The engine is stopped; `open` counts what was left behind.
    ShutdownFinished in Engine { open: usize = "How many things were left behind." }
}

fn in_words<S: Serializer>(summary: &MarketSummary, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(summary)
}

impl EventKind {
    /// The error that it tells of, if it does.
    pub fn error(&self) -> Option<&Cause> {
        match self {
            EventKind::JobFinished(JobFinished { error })
            | EventKind::WorkerFinished(WorkerFinished { error })
            | EventKind::ServiceStateChanged(ServiceStateChanged { error, .. })
            | EventKind::ServiceRestarted(ServiceRestarted { error, .. })
            | EventKind::ServiceHealthChanged(ServiceHealthChanged { error, .. })
            | EventKind::ServiceFinished(ServiceFinished { error })
            | EventKind::ScriptFinished(ScriptFinished { error, .. }) => error.as_ref(),
            EventKind::SubscriptionFailed(SubscriptionFailed { reason })
            | EventKind::CollectFailed(CollectFailed { reason })
            | EventKind::PaymentFailed(PaymentFailed { reason, .. })
            | EventKind::ActivityCreateFailed(ActivityCreateFailed { reason })
            | EventKind::TaskRejected(TaskRejected { reason })
            | EventKind::MachineUnfit(MachineUnfit { reason })
            | EventKind::ExecutionInterrupted(ExecutionInterrupted { reason }) => Some(reason),
            _ => None,
        }
    }
}

impl From<Custom> for EventKind {
    fn from(custom: Custom) -> Self {
        EventKind::Custom(custom)
    }
}

impl CallbackPanicked {
    pub(crate) fn of(callback: &str, panic: Panic) -> Self {
        CallbackPanicked {
            callback: callback.to_owned(),
            message: panic.message,
            place: panic.place,
        }
    }
}
