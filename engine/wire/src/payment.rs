//! Payment API bodies (`/payment-api/v1`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::common::open_enum;
use crate::{
    ActivityId, AgreementId, AllocationId, DebitNoteId, GivenAmount, GivenTime, Glm, InvoiceId,
    NodeId,
};

/// A row of `GET /requestorAccounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `<driver>-<network>-<token>`, lower case.
    pub platform: String,
    /// Wallet address.
    pub address: String,
    /// Payment driver.
    pub driver: String,
    /// Payment network.
    pub network: String,
    /// Token, in the chain's spelling.
    pub token: String,
    /// Whether it can pay.
    pub send: bool,
    /// Whether it can be paid.
    pub receive: bool,
}

/// `POST /allocations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewAllocation {
    /// Wallet; the identity's own by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// A platform string, or an object with `driver`, `network`, `token`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payment_platform: Option<Value>,
    /// Amount set aside.
    pub total_amount: Glm,
    /// When the daemon releases it by itself.
    #[serde(
        with = "crate::stamp::given::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub timeout: Option<Timestamp>,
    /// Ignored by the daemon.
    #[serde(default)]
    pub make_deposit: bool,
    /// Where the money comes from, if not from the account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deposit: Option<Deposit>,
    /// Seconds by which each use extends the timeout.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub extend_timeout: Option<u64>,
}

impl NewAllocation {
    /// An amount of GLM from the identity's own account, on the daemon's default platform, for ever.
    ///
    /// ```
    /// use golem_wire::{Glm, payment::NewAllocation};
    ///
    /// let allocation = NewAllocation::new(Glm::from(1)).platform("erc20-hoodi-tglm");
    /// assert!(allocation.timeout.is_none());
    /// ```
    pub fn new(total: Glm) -> Self {
        NewAllocation {
            address: None,
            payment_platform: None,
            total_amount: total,
            timeout: None,
            make_deposit: false,
            deposit: None,
            extend_timeout: None,
        }
    }

    /// The same on a platform, `erc20-hoodi-tglm`.
    pub fn platform(mut self, platform: impl Into<String>) -> Self {
        self.payment_platform = Some(Value::String(platform.into()));
        self
    }

    /// The same from a wallet.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// The same until then: the daemon releases it by itself.
    pub fn timeout(mut self, timeout: Timestamp) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same from what a contract holds.
    pub fn deposit(mut self, deposit: Deposit) -> Self {
        self.deposit = Some(deposit);
        self
    }
}

/// Money that a contract holds for the requestor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Its number in the contract, hexadecimal.
    pub id: String,
    /// Address of the contract.
    pub contract: String,
    /// Arguments of the contract's check.
    #[serde(default)]
    pub validate: Option<BTreeMap<String, String>>,
}

/// What can be changed about a deposit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositUpdate {
    /// Arguments of the contract's check.
    #[serde(default)]
    pub validate: Option<BTreeMap<String, String>>,
}

/// `PUT /allocations/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocationUpdate {
    /// New total.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_amount: Option<GivenAmount>,
    /// New timeout.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout: Option<GivenTime>,
    /// Only of an allocation that has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deposit: Option<DepositUpdate>,
}

impl AllocationUpdate {
    /// The same with a total, in GLM.
    pub fn total(mut self, total: Glm) -> Self {
        self.total_amount = Some(total.into());
        self
    }

    /// The same with a timeout.
    pub fn timeout(mut self, timeout: Timestamp) -> Self {
        self.timeout = Some(timeout.into());
        self
    }
}

/// An allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// Uuid.
    pub allocation_id: AllocationId,
    /// Wallet, spelt as it was sent.
    pub address: String,
    /// `<driver>-<network>-<token>`.
    pub payment_platform: String,
    /// Amount set aside.
    pub total_amount: GivenAmount,
    /// Amount of accepted documents.
    pub spent_amount: GivenAmount,
    /// Total less spent.
    pub remaining_amount: GivenAmount,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub timestamp: Timestamp,
    /// When the daemon releases it by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout: Option<GivenTime>,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub created_ts: Timestamp,
    /// Last change.
    #[serde(with = "crate::stamp::nanos")]
    pub updated_ts: Timestamp,
    /// Always false.
    pub make_deposit: bool,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deposit: Option<Deposit>,
}

/// `GET /demandDecorations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemandDecoration {
    /// To be added to the demand.
    pub properties: Vec<DecorationProperty>,
    /// To be and-ed to the demand's constraints.
    pub constraints: Vec<String>,
}

/// One property of a decoration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecorationProperty {
    /// Property key.
    pub key: String,
    /// Property value; a string from today's daemon.
    pub value: Value,
}

open_enum! {
    /// Status of an invoice or a debit note.
    DocumentStatus {
        /// Made by the provider, not delivered.
        Issued = "ISSUED",
        /// Delivered to the requestor.
        Received = "RECEIVED",
        /// Accepted by the requestor.
        Accepted = "ACCEPTED",
        /// Rejected by the requestor.
        Rejected = "REJECTED",
        /// Payment failed.
        Failed = "FAILED",
        /// Paid.
        Settled = "SETTLED",
        /// Withdrawn by the provider.
        Cancelled = "CANCELLED",
    }
}

/// An invoice: what an agreement costs in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// Uuid.
    pub invoice_id: InvoiceId,
    /// Node id of the provider.
    pub issuer_id: NodeId,
    /// Node id of the requestor.
    pub recipient_id: NodeId,
    /// Wallet of the provider.
    pub payee_addr: String,
    /// Wallet of the requestor, as in its allocation.
    pub payer_addr: String,
    /// `<driver>-<network>-<token>`.
    pub payment_platform: String,
    /// Issue.
    #[serde(with = "crate::stamp::millis")]
    pub timestamp: Timestamp,
    /// For which agreement.
    pub agreement_id: AgreementId,
    /// For which activities.
    pub activity_ids: Vec<ActivityId>,
    /// Total, debit notes included.
    pub amount: Glm,
    /// When it must be paid.
    #[serde(with = "crate::stamp::micros")]
    pub payment_due_date: Timestamp,
    /// Where it stands.
    pub status: DocumentStatus,
}

/// A debit note: what an activity cost up to now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DebitNote {
    /// Uuid.
    pub debit_note_id: DebitNoteId,
    /// Node id of the provider.
    pub issuer_id: NodeId,
    /// Node id of the requestor.
    pub recipient_id: NodeId,
    /// Wallet of the provider.
    pub payee_addr: String,
    /// Wallet of the requestor.
    pub payer_addr: String,
    /// `<driver>-<network>-<token>`.
    pub payment_platform: String,
    /// The one before in this activity's series.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_debit_note_id: Option<DebitNoteId>,
    /// Issue.
    #[serde(with = "crate::stamp::millis")]
    pub timestamp: Timestamp,
    /// For which agreement.
    pub agreement_id: AgreementId,
    /// For which activity.
    pub activity_id: ActivityId,
    /// Cumulative for the activity.
    pub total_amount_due: Glm,
    /// Usage, in the order of the vector.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage_counter_vector: Option<Value>,
    /// Only on payable notes.
    #[serde(
        with = "crate::stamp::micros::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub payment_due_date: Option<Timestamp>,
    /// Where it stands.
    pub status: DocumentStatus,
}

/// Body of accepting an invoice or a debit note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// Must equal the document's amount.
    pub total_amount_accepted: Glm,
    /// Which allocation pays.
    pub allocation_id: AllocationId,
}

impl Acceptance {
    /// Of a document's whole amount, paid from an allocation.
    pub fn new(amount: Glm, allocation: AllocationId) -> Self {
        Acceptance {
            total_amount_accepted: amount,
            allocation_id: allocation,
        }
    }
}

/// Body of rejecting an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// `UNSOLICITED_SERVICE`, `BAD_SERVICE` or `INCORRECT_AMOUNT`.
    pub rejection_reason: String,
    /// What is accepted all the same.
    pub total_amount_accepted: Glm,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

impl Rejection {
    /// For a reason: `UNSOLICITED_SERVICE`, `BAD_SERVICE` or `INCORRECT_AMOUNT`; nothing is accepted.
    pub fn new(reason: impl Into<String>) -> Self {
        Rejection {
            rejection_reason: reason.into(),
            total_amount_accepted: Glm::ZERO,
            message: None,
        }
    }

    /// The same with words for people.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// A payment that the driver made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Payment {
    /// Uuid.
    pub payment_id: String,
    /// Node id of the requestor.
    pub payer_id: NodeId,
    /// Node id of the provider.
    pub payee_id: NodeId,
    /// Wallet of the requestor.
    pub payer_addr: String,
    /// Wallet of the provider.
    pub payee_addr: String,
    /// `<driver>-<network>-<token>`.
    pub payment_platform: String,
    /// In GLM.
    pub amount: GivenAmount,
    /// When it was made.
    pub timestamp: GivenTime,
    /// What of it is for agreements.
    #[serde(default)]
    pub agreement_payments: Vec<AgreementPayment>,
    /// What of it is for activities.
    #[serde(default)]
    pub activity_payments: Vec<ActivityPayment>,
    /// The transaction, as the driver writes it.
    #[serde(default)]
    pub details: String,
}

/// The part of a payment that is for an agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AgreementPayment {
    /// Which.
    pub agreement_id: AgreementId,
    /// In GLM.
    pub amount: GivenAmount,
}

/// The part of a payment that is for an activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ActivityPayment {
    /// Which.
    pub activity_id: ActivityId,
    /// In GLM.
    pub amount: GivenAmount,
}

/// An event of `GET /invoiceEvents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceEvent {
    /// Which invoice.
    pub invoice_id: InvoiceId,
    /// When; strictly increasing.
    #[serde(with = "crate::stamp::micros")]
    pub event_date: Timestamp,
    /// `InvoiceReceivedEvent`, `InvoiceSettledEvent`, …
    pub event_type: String,
}

/// An event of `GET /debitNoteEvents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DebitNoteEvent {
    /// Which debit note.
    pub debit_note_id: DebitNoteId,
    /// When; strictly increasing.
    #[serde(with = "crate::stamp::micros")]
    pub event_date: Timestamp,
    /// `DebitNoteReceivedEvent`, …
    pub event_type: String,
}
