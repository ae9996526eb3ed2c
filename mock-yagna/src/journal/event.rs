//! What can happen in a simulated network, noun by noun.
//!
//! Does not own: who did it and when (`journal`), how it is told (`story`).

use golem_wire::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, Glm, InvoiceId,
    NetworkId, NodeId, ProposalId,
};
use jiff::Timestamp;
use serde::Serialize;

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
    /// An agreement was made from a draft; neither side is bound yet.
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
    /// A provider announced the end of an agreement.
    TerminationAnnounced {
        /// Which.
        agreement: AgreementId,
        /// When it will end.
        deadline: Timestamp,
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
    /// The exe-unit of an activity was killed; the requestor is not told.
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
    /// Something is wrong in the books of the network.
    LawBroken {
        /// Which law, and how.
        law: String,
    },
}

impl Event {
    /// The names of all events, as the journal shows them.
    pub const NAMES: &[&str] = &[
        "demand_subscribed",
        "demand_unsubscribed",
        "demand_expired",
        "offer_matched",
        "proposal_countered",
        "proposal_rejected",
        "agreement_created",
        "agreement_confirmed",
        "agreement_approved",
        "agreement_rejected",
        "agreement_cancelled",
        "agreement_expired",
        "agreement_terminated",
        "termination_announced",
        "provider_online",
        "provider_silent",
        "behaviour_changed",
        "provider_died",
        "fault_added",
        "fault_lifted",
        "fault_hit",
        "daemon_restarted",
        "activity_created",
        "activity_destroyed",
        "exe_unit_killed",
        "batch_started",
        "command_finished",
        "network_created",
        "network_removed",
        "allocation_created",
        "allocation_amended",
        "allocation_released",
        "debit_note_issued",
        "debit_note_accepted",
        "invoice_issued",
        "invoice_accepted",
        "invoice_rejected",
        "invoice_settled",
        "law_broken",
    ];

    /// Its name, as the journal shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DemandSubscribed { .. } => "demand_subscribed",
            Self::DemandUnsubscribed { .. } => "demand_unsubscribed",
            Self::DemandExpired { .. } => "demand_expired",
            Self::OfferMatched { .. } => "offer_matched",
            Self::ProposalCountered { .. } => "proposal_countered",
            Self::ProposalRejected { .. } => "proposal_rejected",
            Self::AgreementCreated { .. } => "agreement_created",
            Self::AgreementConfirmed { .. } => "agreement_confirmed",
            Self::AgreementApproved { .. } => "agreement_approved",
            Self::AgreementRejected { .. } => "agreement_rejected",
            Self::AgreementCancelled { .. } => "agreement_cancelled",
            Self::AgreementExpired { .. } => "agreement_expired",
            Self::AgreementTerminated { .. } => "agreement_terminated",
            Self::TerminationAnnounced { .. } => "termination_announced",
            Self::ProviderOnline { .. } => "provider_online",
            Self::ProviderSilent { .. } => "provider_silent",
            Self::BehaviourChanged { .. } => "behaviour_changed",
            Self::ProviderDied { .. } => "provider_died",
            Self::FaultAdded { .. } => "fault_added",
            Self::FaultLifted { .. } => "fault_lifted",
            Self::FaultHit { .. } => "fault_hit",
            Self::DaemonRestarted { .. } => "daemon_restarted",
            Self::ActivityCreated { .. } => "activity_created",
            Self::ActivityDestroyed { .. } => "activity_destroyed",
            Self::ExeUnitKilled { .. } => "exe_unit_killed",
            Self::BatchStarted { .. } => "batch_started",
            Self::CommandFinished { .. } => "command_finished",
            Self::NetworkCreated { .. } => "network_created",
            Self::NetworkRemoved { .. } => "network_removed",
            Self::AllocationCreated { .. } => "allocation_created",
            Self::AllocationAmended { .. } => "allocation_amended",
            Self::AllocationReleased { .. } => "allocation_released",
            Self::DebitNoteIssued { .. } => "debit_note_issued",
            Self::DebitNoteAccepted { .. } => "debit_note_accepted",
            Self::InvoiceIssued { .. } => "invoice_issued",
            Self::InvoiceAccepted { .. } => "invoice_accepted",
            Self::InvoiceRejected { .. } => "invoice_rejected",
            Self::InvoiceSettled { .. } => "invoice_settled",
            Self::LawBroken { .. } => "law_broken",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_has_every_event() {
        let source = include_str!("event.rs");
        let (_, body) = source.split_once("pub enum Event {").expect("the enum");
        let (body, _) = body.split_once("\n}\n").expect("its end");
        let variants = body.lines().filter_map(|line| {
            let name = line.strip_prefix("    ")?;
            name.starts_with(|c: char| c.is_ascii_uppercase())
                .then(|| name.trim_end_matches([' ', '{', '}', ',']))
        });
        let snake = |name: &str| {
            let mut text = String::new();
            for c in name.chars() {
                if c.is_ascii_uppercase() && !text.is_empty() {
                    text.push('_');
                }
                text.push(c.to_ascii_lowercase());
            }
            text
        };
        assert_eq!(variants.map(snake).collect::<Vec<_>>(), Event::NAMES);
        let (_, arms) = source.split_once("match self {").expect("the arms");
        let named = arms.lines().filter_map(|arm| {
            let (variant, name) = arm
                .trim()
                .strip_prefix("Self::")?
                .split_once(" { .. } => ")?;
            Some((snake(variant), name.trim_matches(['"', ',']).to_owned()))
        });
        let named: Vec<_> = named.take(Event::NAMES.len()).collect();
        assert_eq!(named.len(), Event::NAMES.len());
        assert!(
            named.iter().all(|(variant, name)| variant == name),
            "{named:?}"
        );
    }
}
