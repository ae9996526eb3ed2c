//! The typed, timestamped feed of everything that happens: what users watch and rehearsals assert
//! on. Owns: event names and delivery order. Names are those of the Golem Python API reference.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::{
    ActivityId, AgreementId, BatchId, DebitNoteId, DemandId, Glm, InvoiceId, NodeId, ProposalId,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::clock::{Clock, ClockDifference};
use crate::lifecycle::agreement::EndedBy;
use crate::lifecycle::negotiation::RefusedBy;
use crate::lifecycle::service::ServiceState;
use crate::model::{DocumentId, JobId};
use crate::panics::{Panic, caught};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When, on the engine's [`Clock`].
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }),+ $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "event")]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $name { $($(#[$field_doc])* #[doc = concat!("`", stringify!($field), "`")] $field: $type,)* },)+
        }

        impl EventKind {
            /// The names of all events.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// The name of the event.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name),)+ }
            }
        }
    };
}

events! {
    /// A job began.
    JobStarted { job: JobId },
    /// A job is done; `error` says why it failed.
    JobFinished { job: JobId, error: Option<String> },
    /// This computer's clock and the daemon's differ: the engine goes by the daemon's.
    ClockDiffers { difference: ClockDifference },
    /// A demand is published.
    SubscriptionCreated { job: JobId, demand_id: DemandId },
    /// A demand could not be published.
    SubscriptionFailed { job: JobId, reason: String },
    /// Offers could not be collected; it is tried again.
    CollectFailed { job: JobId, demand_id: DemandId, reason: String },
    /// An offer of a provider arrived.
    ProposalReceived { job: JobId, proposal_id: ProposalId, provider_id: NodeId, provider_name: String },
    /// A proposal was refused.
    ProposalRejected { job: JobId, proposal_id: ProposalId, provider_id: NodeId, provider_name: String, by: RefusedBy, reason: String },
    /// A counter-proposal went out.
    ProposalResponded { job: JobId, proposal_id: ProposalId, provider_id: NodeId, provider_name: String },
    /// The provider agreed to a draft.
    ProposalConfirmed { job: JobId, proposal_id: ProposalId, provider_id: NodeId, provider_name: String },
    /// A counter-proposal could not be sent, or got no answer.
    ProposalFailed { job: JobId, proposal_id: ProposalId, provider_id: NodeId, reason: String },
    /// More offers came than are kept (`MarketLimits::max_proposals`); the worst are dropped.
    OffersDropped { job: JobId, kept: usize },
    /// Nothing was confirmed within the deadline.
    NoProposalsConfirmed { job: JobId, offers_seen: u64, summary: String },
    /// A draft became an agreement, not confirmed yet.
    AgreementCreated { job: JobId, agreement_id: AgreementId, provider_id: NodeId, provider_name: String },
    /// The provider approved: the machine is ours.
    AgreementConfirmed { job: JobId, agreement_id: AgreementId, provider_id: NodeId, provider_name: String },
    /// The provider refused, or did not approve in time.
    AgreementRejected { job: JobId, agreement_id: AgreementId, provider_id: NodeId, provider_name: String, reason: String },
    /// An agreement ended.
    AgreementTerminated { job: JobId, agreement_id: AgreementId, provider_id: NodeId, provider_name: String, by: EndedBy, reason: String },
    /// A debit note arrived.
    DebitNoteReceived { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, debit_note_id: DebitNoteId, amount: Glm },
    /// A debit note was accepted.
    DebitNoteAccepted { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, debit_note_id: DebitNoteId, amount: Glm },
    /// A document is not paid.
    PaymentFailed { job: JobId, agreement_id: AgreementId, document: DocumentId, reason: String },
    /// An invoice arrived.
    InvoiceReceived { job: JobId, agreement_id: AgreementId, invoice_id: InvoiceId, provider_name: String, amount: Glm },
    /// An invoice was accepted: the daemon pays it.
    InvoiceAccepted { job: JobId, agreement_id: AgreementId, invoice_id: InvoiceId, provider_name: String, amount: Glm },
    /// Four fifths of the budget are accepted, or may still be asked for by the machines that run.
    BudgetLow { total: Glm, accepted: Glm, promised: Glm },
    /// The budget is used up once the machines that run are stopped: no more are rented, and those are
    /// stopped. `promised` is what it comes to by then.
    BudgetExhausted { total: Glm, accepted: Glm, promised: Glm },
    /// The budget was raised or lowered.
    BudgetAmended { total: Glm },
    /// A provider asked for more than can be right, and is not rented again by this engine.
    ProviderDistrusted { job: JobId, agreement_id: AgreementId, provider_id: NodeId, provider_name: String, reason: String },
    /// Work on an agreement began.
    WorkerStarted { job: JobId, agreement_id: AgreementId, provider_name: String },
    /// Work on an agreement ended; `error` says why if badly.
    WorkerFinished { job: JobId, agreement_id: AgreementId, activity_id: Option<ActivityId>, error: Option<String> },
    /// An activity is up.
    ActivityCreated { job: JobId, agreement_id: AgreementId, activity_id: ActivityId },
    /// An activity could not be created.
    ActivityCreateFailed { job: JobId, agreement_id: AgreementId, reason: String },
    /// An activity is gone.
    ActivityDestroyed { job: JobId, agreement_id: AgreementId, activity_id: ActivityId },
    /// A task was given to a provider.
    TaskStarted { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, task: String },
    /// A task's worker function ended.
    TaskFinished { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, task: String },
    /// A task's result was accepted.
    TaskAccepted { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, task: String },
    /// A task's result was refused.
    TaskRejected { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, task: String, reason: String },
    /// A service instance changed its state.
    ServiceStateChanged { job: JobId, service: String, old: ServiceState, new: ServiceState, agreement_id: Option<AgreementId>, activity_id: Option<ActivityId>, provider_name: Option<String>, error: Option<String> },
    /// A service instance reached its end.
    ServiceFinished { job: JobId, service: String, error: Option<String> },
    /// A script went to the provider.
    ScriptSent { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, batch_id: BatchId, commands: u32 },
    /// Results of a script are being waited for.
    GettingResults { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64 },
    /// A script ended; `error` names the command that failed.
    ScriptFinished { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, error: Option<String> },
    /// A command began.
    CommandStarted { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, command: u32, text: String },
    /// A command wrote to its standard output.
    CommandStdOut { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, command: u32, output: String },
    /// A command wrote to its standard error.
    CommandStdErr { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, command: u32, output: String },
    /// A command ended.
    CommandExecuted { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, command: u32, text: String, success: bool, message: Option<String>, stdout: Option<String>, stderr: Option<String> },
    /// A file is about to come.
    DownloadStarted { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, command: u32, path: String },
    /// A file came.
    DownloadFinished { job: JobId, agreement_id: AgreementId, activity_id: ActivityId, script: u64, command: u32, path: String, bytes: u64 },
    /// Code of the user's that the engine calls panicked; `place` is the file, line and column.
    CallbackPanicked { callback: String, message: String, place: Option<String> },
    /// The daemon did something its protocol forbids; the safe path was taken.
    ProtocolViolation { what: String },
    /// The daemon has not answered for so long, as `reason` says. Told soon after the beginning of an
    /// absence, and again at growing intervals while it lasts.
    DaemonAway { reason: String, seconds: u64 },
    /// The daemon answers again, after an absence of so long.
    DaemonBack { seconds: u64 },
    /// The journal was damaged; it is kept at `path`, and a new one was begun.
    JournalSetAside { path: PathBuf, reason: String },
    /// What an earlier run left open is being looked up.
    RecoveryStarted { open: usize },
    /// What an earlier run left open is gone on with, settled, or left.
    RecoveryFinished { adopted: usize, settled: usize, left: usize },
    /// The engine was stopped by an error it could not deal with.
    ExecutionInterrupted { reason: String },
    /// The engine is stopped; `open` counts what was left behind.
    ShutdownFinished { open: usize },
}

/// Receives events, synchronously and in order; must not block. One that panics gets the next event
/// all the same.
pub type Consumer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Hands events to the consumers. Cheap to clone.
#[derive(Clone)]
pub struct Emitter(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    consumers: Vec<(&'static str, Consumer)>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    draining: bool,
}

impl Emitter {
    /// An emitter for these consumers, each with a name for its panics.
    pub fn new(clock: Arc<dyn Clock>, consumers: Vec<(&'static str, Consumer)>) -> Self {
        Emitter(Arc::new(Inner {
            clock,
            consumers,
            queue: Mutex::default(),
        }))
    }

    /// Stamps an event and hands it on. All consumers see all events in one order, also when
    /// several threads emit, or when a consumer emits itself.
    pub fn emit(&self, kind: EventKind) {
        let event = Event {
            at: self.0.clock.now(),
            kind,
        };
        tracing::debug!(event = event.kind.name(), kind = ?event.kind);
        let mut queue = self.0.queue();
        queue.events.push_back(event);
        if queue.draining {
            return;
        }
        queue.draining = true;
        drop(queue);
        while let Some(event) = self.0.next() {
            for (callback, consumer) in &self.0.consumers {
                if let Err(panic) = caught(|| consumer(&event)) {
                    self.panicked(callback, panic, &event);
                }
            }
        }
    }

    /// A panic over the news of a panic is no news.
    fn panicked(&self, callback: &str, panic: Panic, over: &Event) {
        tracing::error!(callback, %panic, event = over.kind.name(), "a callback panicked");
        if !matches!(over.kind, EventKind::CallbackPanicked { .. }) {
            self.emit(EventKind::CallbackPanicked {
                callback: callback.to_owned(),
                message: panic.message,
                place: panic.place,
            });
        }
    }
}

impl Inner {
    /// The next event, or the end of draining.
    fn next(&self) -> Option<Event> {
        let mut queue = self.queue();
        let next = queue.events.pop_front();
        queue.draining = next.is_some();
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent after every statement.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}
