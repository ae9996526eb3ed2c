//! Payment API, the requestor's side. Owns: paths, bodies, and what a refused budget says.

use std::time::Duration;

use golem_wire::payment::{
    Acceptance, Account, Allocation, AllocationUpdate, DebitNote, DebitNoteEvent, DemandDecoration,
    Invoice, InvoiceEvent, NewAllocation, Payment, Rejection,
};
use golem_wire::{AllocationId, DebitNoteId, Glm, InvoiceId};
use jiff::Timestamp;

use super::{ApiError, ApiErrorKind, Call, Page, Rest};
use crate::address;
use crate::journal::Change;

/// Most events asked for at once.
const MAX_EVENTS: u32 = 100;

/// How long the daemon may take to acknowledge a document.
const ACCEPT_WAIT: Duration = Duration::from_secs(15);

/// Operations of `/payment-api/v1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaymentApi<'a>(&'a Rest);

impl Rest {
    pub(crate) fn payment(&self) -> PaymentApi<'_> {
        PaymentApi(self)
    }
}

/// What the daemon says of a budget that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) requested: Option<Glm>,
    pub(crate) available: Glm,
    /// Reserved by other allocations; zero when it does not say.
    pub(crate) reserved: Glm,
}

impl Shortage {
    /// `None`, when an allocation was refused for another reason.
    pub(crate) fn of(error: &ApiError) -> Option<Self> {
        let ApiErrorKind::Refused {
            body: Some(body), ..
        } = &*error.kind
        else {
            return None;
        };
        let amount = |key: &str| body.get(key)?.as_str()?.parse::<Glm>().ok();
        Some(Shortage {
            requested: amount("requestedFunds"),
            available: amount("availableFunds")?,
            reserved: amount("reservedFunds").unwrap_or(Glm::ZERO),
        })
    }
}

/// Whether a document was not accepted since the allocation does not hold what it asks for.
pub(crate) fn lacks_funds(error: &ApiError) -> bool {
    let message = error.message();
    message.is_some_and(|message| message.starts_with("Not enough funds"))
}

/// Whether an event of this type says that a document came; others say what became of one.
pub(crate) fn brings_document(event_type: &str) -> bool {
    matches!(
        event_type,
        "InvoiceReceivedEvent" | "DebitNoteReceivedEvent"
    )
}

fn path(rest: &[&str]) -> String {
    address::path(["payment-api", "v1"].iter().chain(rest))
}

impl PaymentApi<'_> {
    /// `getRequestorAccounts`.
    pub(crate) async fn accounts(self) -> Result<Vec<Account>, ApiError> {
        self.0
            .list(Call::get(
                "getRequestorAccounts",
                path(&["requestorAccounts"]),
            ))
            .await
    }

    /// `createAllocation` for an engine's budget.
    pub(crate) async fn allocate(self, wanted: &NewAllocation) -> Result<Allocation, ApiError> {
        self.set_aside(wanted, false).await
    }

    /// `createAllocation` for what a user does with it.
    pub(crate) async fn allocate_by_hand(
        self,
        wanted: &NewAllocation,
    ) -> Result<Allocation, ApiError> {
        self.set_aside(wanted, true).await
    }

    async fn set_aside(
        self,
        wanted: &NewAllocation,
        by_hand: bool,
    ) -> Result<Allocation, ApiError> {
        let change = Change::Allocate {
            total: wanted.total_amount,
            timeout: wanted.timeout.unwrap_or(Timestamp::MAX),
            by_hand,
        };
        let call = Call::post("createAllocation", path(&["allocations"]), change).json(wanted)?;
        self.0.send(call).await
    }

    /// `getAllocations`.
    pub(crate) async fn allocations(self) -> Result<Vec<Allocation>, ApiError> {
        self.0
            .list(Call::get("getAllocations", path(&["allocations"])))
            .await
    }

    /// `getAllocation`.
    pub(crate) async fn allocation(self, id: &AllocationId) -> Result<Allocation, ApiError> {
        let path = path(&["allocations", id.as_str()]);
        self.0.send(Call::get("getAllocation", path)).await
    }

    /// `amendAllocation`.
    pub(crate) async fn amend(
        self,
        id: &AllocationId,
        update: &AllocationUpdate,
    ) -> Result<Allocation, ApiError> {
        let path = path(&["allocations", id.as_str()]);
        let change = Change::AmendAllocation {
            allocation: id.clone(),
        };
        let call = Call::put("amendAllocation", path, change).json(update)?;
        self.0.send(call).await
    }

    /// `releaseAllocation`.
    pub(crate) async fn release(self, id: &AllocationId) -> Result<(), ApiError> {
        let path = path(&["allocations", id.as_str()]);
        let change = Change::ReleaseAllocation {
            allocation: id.clone(),
        };
        self.0
            .send_unit(Call::delete("releaseAllocation", path, change))
            .await
    }

    /// `getDemandDecorations`: the daemon reads their ids as one word between commas, which must
    /// not be escaped.
    pub(crate) async fn decorations_of(
        self,
        ids: &[AllocationId],
    ) -> Result<DemandDecoration, ApiError> {
        let ids: Vec<&str> = ids.iter().map(AllocationId::as_str).collect();
        let call = Call::get("getDemandDecorations", path(&["demandDecorations"]))
            .query("allocationIds", ids.join(","));
        self.0.send(call).await
    }

    /// `getPayments`: those of this identity that the driver made after `after`; waits up to `wait` for one.
    pub(crate) async fn payments(
        self,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Vec<Payment>, ApiError> {
        let call = Call::get("getPayments", path(&["payments"]))
            .long_poll(wait)
            .query_opt("afterTimestamp", after)
            .query("maxEvents", MAX_EVENTS);
        self.0.send(call).await
    }

    /// `getPayment`.
    pub(crate) async fn payment_made(self, id: &str) -> Result<Payment, ApiError> {
        self.0
            .send(Call::get("getPayment", path(&["payments", id])))
            .await
    }

    /// `getPaymentsForInvoice`.
    pub(crate) async fn payments_of(self, id: &InvoiceId) -> Result<Vec<Payment>, ApiError> {
        let path = path(&["invoices", id.as_str(), "payments"]);
        self.0.send(Call::get("getPaymentsForInvoice", path)).await
    }

    /// `paymentsStatus`: what troubles the payment driver.
    pub(crate) async fn driver_status(self) -> Result<Vec<serde_json::Value>, ApiError> {
        self.0
            .send(Call::get("paymentsStatus", path(&["payments", "status"])))
            .await
    }

    /// `getInvoiceEvents`: those of this session after `after`.
    pub(crate) async fn invoice_events(
        self,
        session: &str,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Page<InvoiceEvent>, ApiError> {
        self.0
            .feed(events(
                "getInvoiceEvents",
                "invoiceEvents",
                session,
                after,
                wait,
            ))
            .await
    }

    /// `getDebitNoteEvents`: those of this session after `after`.
    pub(crate) async fn debit_note_events(
        self,
        session: &str,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Page<DebitNoteEvent>, ApiError> {
        self.0
            .feed(events(
                "getDebitNoteEvents",
                "debitNoteEvents",
                session,
                after,
                wait,
            ))
            .await
    }

    /// `getInvoices`: all of this identity that came after `after`.
    pub(crate) async fn invoices(self, after: Option<Timestamp>) -> Result<Vec<Invoice>, ApiError> {
        let call = Call::get("getInvoices", path(&["invoices"]));
        self.0.list(call.query_opt("afterTimestamp", after)).await
    }

    /// `getDebitNotes`: all of this identity that came after `after`.
    pub(crate) async fn debit_notes(
        self,
        after: Option<Timestamp>,
    ) -> Result<Vec<DebitNote>, ApiError> {
        let call = Call::get("getDebitNotes", path(&["debitNotes"]));
        self.0.list(call.query_opt("afterTimestamp", after)).await
    }

    /// `getInvoice`.
    pub(crate) async fn invoice(self, id: &InvoiceId) -> Result<Invoice, ApiError> {
        self.0
            .send(Call::get("getInvoice", path(&["invoices", id.as_str()])))
            .await
    }

    /// `getDebitNote`.
    pub(crate) async fn debit_note(self, id: &DebitNoteId) -> Result<DebitNote, ApiError> {
        self.0
            .send(Call::get(
                "getDebitNote",
                path(&["debitNotes", id.as_str()]),
            ))
            .await
    }

    /// `acceptInvoice`: the amount must be the document's own, to the digit.
    pub(crate) async fn accept_invoice(
        self,
        id: &InvoiceId,
        acceptance: &Acceptance,
    ) -> Result<(), ApiError> {
        let path = path(&["invoices", id.as_str(), "accept"]);
        let change = Change::AcceptInvoice {
            invoice: id.clone(),
            amount: acceptance.total_amount_accepted,
        };
        let call = Call::post("acceptInvoice", path, change)
            .long_poll(ACCEPT_WAIT)
            .json(acceptance)?;
        self.0.send_unit(call).await
    }

    /// `acceptDebitNote`.
    pub(crate) async fn accept_debit_note(
        self,
        id: &DebitNoteId,
        acceptance: &Acceptance,
    ) -> Result<(), ApiError> {
        let path = path(&["debitNotes", id.as_str(), "accept"]);
        let change = Change::AcceptDebitNote {
            debit_note: id.clone(),
            amount: acceptance.total_amount_accepted,
        };
        let call = Call::post("acceptDebitNote", path, change)
            .long_poll(ACCEPT_WAIT)
            .json(acceptance)?;
        self.0.send_unit(call).await
    }

    /// `rejectInvoice`.
    pub(crate) async fn reject_invoice(
        self,
        id: &InvoiceId,
        rejection: &Rejection,
    ) -> Result<(), ApiError> {
        let path = path(&["invoices", id.as_str(), "reject"]);
        let change = Change::RejectInvoice {
            invoice: id.clone(),
        };
        let call = Call::post("rejectInvoice", path, change)
            .long_poll(ACCEPT_WAIT)
            .json(rejection)?;
        self.0.send_unit(call).await
    }
}

fn events(
    operation: &'static str,
    what: &str,
    session: &str,
    after: Option<Timestamp>,
    wait: Duration,
) -> Call {
    Call::get(operation, path(&[what]))
        .long_poll(wait)
        .query_opt("afterTimestamp", after)
        .query("maxEvents", MAX_EVENTS)
        .query("appSessionId", session)
}
