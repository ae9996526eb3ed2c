//! Payment API, the requestor's side. Owns: paths, bodies, and what a refused budget says.

use std::time::Duration;

use golem_wire::payment::{
    Acceptance, Account, Allocation, AllocationUpdate, DebitNote, DebitNoteEvent, DemandDecoration,
    Invoice, InvoiceEvent, NewAllocation, Rejection,
};
use golem_wire::{AllocationId, DebitNoteId, Glm, InvoiceId};
use jiff::Timestamp;

use super::{ApiError, ApiErrorKind, Call, Rest};
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

fn path<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["payment-api", "v1"], rest].concat()
}

impl PaymentApi<'_> {
    /// `getRequestorAccounts`.
    pub(crate) async fn accounts(self) -> Result<Vec<Account>, ApiError> {
        self.0
            .send(Call::get(
                "getRequestorAccounts",
                &path(&["requestorAccounts"]),
            ))
            .await
    }

    /// `createAllocation`.
    pub(crate) async fn allocate(self, wanted: &NewAllocation) -> Result<Allocation, ApiError> {
        let change = Change::Allocate {
            total: wanted.total_amount,
            timeout: wanted.timeout.unwrap_or(Timestamp::MAX),
        };
        self.0
            .send(Call::post("createAllocation", &path(&["allocations"]), change).json(wanted)?)
            .await
    }

    /// `getAllocations`.
    pub(crate) async fn allocations(self) -> Result<Vec<Allocation>, ApiError> {
        self.0
            .send(Call::get("getAllocations", &path(&["allocations"])))
            .await
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
        self.0
            .send(Call::put("amendAllocation", &path, change).json(update)?)
            .await
    }

    /// `releaseAllocation`.
    pub(crate) async fn release(self, id: &AllocationId) -> Result<(), ApiError> {
        let path = path(&["allocations", id.as_str()]);
        let change = Change::ReleaseAllocation {
            allocation: id.clone(),
        };
        self.0
            .send_unit(Call::delete("releaseAllocation", &path, change))
            .await
    }

    /// `getDemandDecorations` for one allocation.
    pub(crate) async fn decorations(self, id: &AllocationId) -> Result<DemandDecoration, ApiError> {
        let call = Call::get("getDemandDecorations", &path(&["demandDecorations"]))
            .query("allocationIds", id);
        self.0.send(call).await
    }

    /// `getInvoiceEvents`: those of this session after `after`.
    pub(crate) async fn invoice_events(
        self,
        session: &str,
        after: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Vec<InvoiceEvent>, ApiError> {
        self.0
            .send(events(
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
    ) -> Result<Vec<DebitNoteEvent>, ApiError> {
        self.0
            .send(events(
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
        let call = Call::get("getInvoices", &path(&["invoices"]));
        self.0.send(call.query_opt("afterTimestamp", after)).await
    }

    /// `getDebitNotes`: all of this identity that came after `after`.
    pub(crate) async fn debit_notes(
        self,
        after: Option<Timestamp>,
    ) -> Result<Vec<DebitNote>, ApiError> {
        let call = Call::get("getDebitNotes", &path(&["debitNotes"]));
        self.0.send(call.query_opt("afterTimestamp", after)).await
    }

    /// `getInvoice`.
    pub(crate) async fn invoice(self, id: &InvoiceId) -> Result<Invoice, ApiError> {
        self.0
            .send(Call::get("getInvoice", &path(&["invoices", id.as_str()])))
            .await
    }

    /// `getDebitNote`.
    pub(crate) async fn debit_note(self, id: &DebitNoteId) -> Result<DebitNote, ApiError> {
        self.0
            .send(Call::get(
                "getDebitNote",
                &path(&["debitNotes", id.as_str()]),
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
        let call = Call::post("acceptInvoice", &path, change)
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
        let call = Call::post("acceptDebitNote", &path, change)
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
        let call = Call::post("rejectInvoice", &path, change)
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
    Call::get(operation, &path(&[what]))
        .long_poll(wait)
        .query_opt("afterTimestamp", after)
        .query("maxEvents", MAX_EVENTS)
        .query("appSessionId", session)
}
