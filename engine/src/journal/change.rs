//! What is written down: requests that change the daemon's state, how they ended, and facts that no
//! request tells. Owns: the words of the file for them, which are the same in all formats. Does not
//! own: what they mean together (`open_state.rs`), nor how they lie in a file (`disk.rs`).

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use golem_wire::{
    ActivityId, AgreementId, AllocationId, DebitNoteId, DemandId, Glm, InvoiceId, NetworkId,
    NodeId, ProposalId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lifecycle::service::ServiceState;
use crate::model::InstanceId;

/// A request that changes the daemon's state; named after what it does to its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields are the ids the variants are named after"
)]
pub enum Change {
    /// `createAllocation`. The timeout, at microseconds, is as good as a name. One made by hand is no engine's
    /// budget.
    Allocate {
        total: Glm,
        timeout: Timestamp,
        #[serde(default, skip_serializing_if = "is_false")]
        by_hand: bool,
    },
    /// `amendAllocation`.
    AmendAllocation { allocation: AllocationId },
    /// `releaseAllocation`.
    ReleaseAllocation { allocation: AllocationId },
    /// `subscribeDemand`.
    Subscribe { job: String },
    /// `unsubscribeDemand`.
    Unsubscribe { demand: DemandId },
    /// `counterProposalDemand`.
    Counter { proposal: ProposalId },
    /// `rejectProposalOffer`.
    RejectProposal { proposal: ProposalId },
    /// `createAgreement`.
    CreateAgreement { proposal: ProposalId },
    /// `confirmAgreement`.
    Confirm { agreement: AgreementId },
    /// `cancelAgreement`.
    Cancel { agreement: AgreementId },
    /// `terminateAgreement`.
    Terminate { agreement: AgreementId },
    /// `createActivity`.
    CreateActivity { agreement: AgreementId },
    /// `exec`.
    Exec { activity: ActivityId },
    /// `destroyActivity`.
    DestroyActivity { activity: ActivityId },
    /// `acceptDebitNote`.
    AcceptDebitNote {
        debit_note: DebitNoteId,
        amount: Glm,
    },
    /// `acceptInvoice`.
    AcceptInvoice { invoice: InvoiceId, amount: Glm },
    /// `rejectInvoice`.
    RejectInvoice { invoice: InvoiceId },
    /// `bindServices`.
    Bind { address: String },
    /// `unbindServices`.
    Unbind { services: String },
    /// `createNetwork`. The daemon gives a network no name of ours; `others` are those that there were
    /// before it.
    CreateNetwork {
        #[serde(flatten)]
        record: NetworkRecord,
        others: Vec<NetworkId>,
    },
    /// `removeNetwork`.
    RemoveNetwork { network: NetworkId },
    /// `addNetworkAddress`.
    AddAddress { network: NetworkId, ip: String },
    /// `addNetworkNode`. It ends with its network.
    AddNode {
        network: NetworkId,
        node: NodeId,
        ip: String,
    },
    /// `removeNetworkNode`.
    RemoveNode { network: NetworkId, node: NodeId },
}

/// What is kept of a virtual network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its address with the prefix, `192.168.0.0/24`.
    pub address: String,
    /// Its gateway, if one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The name under which a later run may go on with it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Change {
    /// Whether what comes of it costs nothing and ends by itself where nobody goes on with it: its intent is written down
    /// before it is sent, and need not be durable by then. A proposal ends with its demand; a provider does not know of an
    /// agreement that is not confirmed, and it expires. The next request that something could be owed for makes all
    /// before it durable.
    pub fn ends_by_itself(&self) -> bool {
        matches!(
            self,
            Change::Counter { .. } | Change::RejectProposal { .. } | Change::CreateAgreement { .. }
        )
    }

    /// Whether it ends something or pays for it: better done without a journal than not at all.
    pub fn is_closing(&self) -> bool {
        match self {
            Change::Allocate { .. }
            | Change::AmendAllocation { .. }
            | Change::Subscribe { .. }
            | Change::Counter { .. }
            | Change::CreateAgreement { .. }
            | Change::Confirm { .. }
            | Change::CreateActivity { .. }
            | Change::Exec { .. }
            | Change::CreateNetwork { .. }
            | Change::AddAddress { .. }
            | Change::AddNode { .. }
            | Change::Bind { .. } => false,
            Change::ReleaseAllocation { .. }
            | Change::Unsubscribe { .. }
            | Change::RejectProposal { .. }
            | Change::Cancel { .. }
            | Change::Terminate { .. }
            | Change::DestroyActivity { .. }
            | Change::AcceptDebitNote { .. }
            | Change::AcceptInvoice { .. }
            | Change::RejectInvoice { .. }
            | Change::RemoveNetwork { .. }
            | Change::RemoveNode { .. }
            | Change::Unbind { .. } => true,
        }
    }

    /// The network that it is about, and that has an end.
    pub(super) fn network(&self) -> Option<&NetworkId> {
        match self {
            Change::RemoveNetwork { network }
            | Change::AddAddress { network, .. }
            | Change::AddNode { network, .. }
            | Change::RemoveNode { network, .. } => Some(network),
            _ => None,
        }
    }
}

/// What the daemon calls services bound to `address`: the address in the base64 of URLs.
pub(crate) fn services_at(address: &str) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(address)
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The daemon did it.
    Done {
        /// What it created, if it creates something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// The daemon said no.
    Refused {
        /// In its words.
        reason: String,
    },
    /// It never reached the daemon.
    NotSent {
        /// Why.
        reason: String,
    },
    /// It is not known.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Feeds of the daemon that are followed across runs of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    /// `collectAgreementEvents`.
    Agreements,
    /// `getInvoiceEvents`.
    Invoices,
    /// `getDebitNoteEvents`.
    DebitNotes,
}

/// Where an instance of a service stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The cluster's name.
    pub cluster: String,
    /// Which of its instances, from 0.
    pub index: usize,
    /// Its parameters as JSON; `null` when they cannot be kept.
    pub params: serde_json::Value,
    /// Where it stands.
    pub state: ServiceState,
    /// Whether a later run may go on with it.
    #[serde(default)]
    pub resumable: bool,
    /// The agreement it runs under.
    pub agreement: Option<AgreementId>,
    /// The activity it runs in.
    pub activity: Option<ActivityId>,
    /// The network that its machine is a node of, and its address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeRecord>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What events call it in the life that wrote this down; absent in journals of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<InstanceId>,
    /// What people call it, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Where a machine is in a virtual network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Which network.
    pub network: NetworkId,
    /// The machine's address there.
    pub ip: IpAddr,
}

/// For members that are left out where they say nothing.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

impl InstanceRecord {
    /// `cluster/index`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.cluster, self.index)
    }

    /// What events of the life that wrote this down call it; of an older version's, what they most likely did.
    pub(crate) fn earlier_id(&self) -> InstanceId {
        let told = || InstanceId::new(format!("{}/{}", self.cluster, self.index + 1));
        self.id.clone().unwrap_or_else(told)
    }

    /// The same instance, of which nothing is left.
    pub(crate) fn terminated(&self) -> Self {
        InstanceRecord {
            state: ServiceState::Terminated,
            ..self.clone()
        }
    }
}

/// Something that was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields are the ids the variants are named after"
)]
pub enum Fact {
    /// An engine began to write here. All of a journal share session and node.
    Run {
        session: String,
        node: NodeId,
        api_url: String,
    },
    /// An agreement came to its end, whoever ended it.
    AgreementEnded {
        agreement: AgreementId,
        reason: String,
    },
    /// The provider sent its invoice.
    InvoiceSeen {
        agreement: AgreementId,
        invoice: InvoiceId,
        amount: Glm,
    },
    /// Nothing more can come of the agreement: it ended, and is paid or nothing is owed.
    AccountClosed { agreement: AgreementId },
    /// An agreement was found at the daemon whose creation had an unknown outcome.
    AgreementFound { agreement: AgreementId },
    /// An activity was found at the daemon whose creation had an unknown outcome; it lives since
    /// `from` at the earliest.
    ActivityFound {
        agreement: AgreementId,
        activity: ActivityId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Timestamp>,
    },
    /// An activity is known to be gone.
    ActivityGone { activity: ActivityId },
    /// A demand is known to be gone.
    DemandGone { demand: DemandId },
    /// A service on the daemon's bus is known to be gone.
    ServiceGone { services: String },
    /// An allocation was found at the daemon whose creation had an unknown outcome, or is kept, or is
    /// used up, or was raised after it was.
    AllocationFound {
        allocation: AllocationId,
        total: Glm,
        timeout: Timestamp,
        #[serde(default, skip_serializing_if = "is_false")]
        exhausted: bool,
    },
    /// A network was found at the daemon whose creation had an unknown outcome.
    NetworkFound {
        network: NetworkId,
        record: NetworkRecord,
    },
    /// A network is known to be gone.
    NetworkGone { network: NetworkId },
    /// An allocation is known to be gone.
    AllocationGone { allocation: AllocationId },
    /// What a request of unknown outcome did is settled.
    Resolved { op: u64 },
    /// Everything of a feed up to this time was dealt with.
    Cursor { feed: Feed, after: Timestamp },
    /// An instance of a service changed its state.
    Instance { instance: InstanceRecord },
    /// The engine was stopped in order; `open` things were left behind.
    Stopped { open: usize },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Allocate { total, .. } => write!(f, "set {} GLM aside", total.normalized()),
            Change::AmendAllocation { allocation } => write!(f, "amend allocation {allocation}"),
            Change::ReleaseAllocation { allocation } => {
                write!(f, "release allocation {allocation}")
            }
            Change::Subscribe { job } => write!(f, "publish the demand of {job}"),
            Change::Unsubscribe { demand } => write!(f, "withdraw demand {demand}"),
            Change::Counter { proposal } => write!(f, "counter proposal {proposal}"),
            Change::RejectProposal { proposal } => write!(f, "reject proposal {proposal}"),
            Change::CreateAgreement { proposal } => {
                write!(f, "make an agreement of proposal {proposal}")
            }
            Change::Confirm { agreement } => write!(f, "confirm agreement {agreement}"),
            Change::Cancel { agreement } => write!(f, "cancel agreement {agreement}"),
            Change::Terminate { agreement } => write!(f, "terminate agreement {agreement}"),
            Change::CreateActivity { agreement } => {
                write!(f, "create an activity on agreement {agreement}")
            }
            Change::Exec { activity } => write!(f, "run a script in activity {activity}"),
            Change::DestroyActivity { activity } => write!(f, "destroy activity {activity}"),
            Change::AcceptDebitNote { debit_note, amount } => write!(
                f,
                "accept debit note {debit_note} of {} GLM",
                amount.normalized()
            ),
            Change::AcceptInvoice { invoice, amount } => {
                write!(f, "accept invoice {invoice} of {} GLM", amount.normalized())
            }
            Change::RejectInvoice { invoice } => write!(f, "reject invoice {invoice}"),
            Change::Bind { address } => write!(f, "offer files at {address}"),
            Change::Unbind { services } => write!(f, "withdraw the files of service {services}"),
            Change::CreateNetwork { record, .. } => {
                write!(f, "create the network {}", record.address)
            }
            Change::RemoveNetwork { network } => write!(f, "remove network {network}"),
            Change::AddAddress { network, ip } => {
                write!(f, "take the address {ip} in network {network}")
            }
            Change::AddNode { network, node, ip } => {
                write!(f, "add node {node} with {ip} to network {network}")
            }
            Change::RemoveNode { network, node } => {
                write!(f, "remove node {node} from network {network}")
            }
        }
    }
}
