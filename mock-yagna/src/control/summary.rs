//! What happened in the network so far, in numbers, and what is wrong or left open.

use std::fmt;

use golem_wire::Glm;
use serde::Serialize;

use crate::journal::{Event, counted};
use crate::ledger::{OpenItem, Violation};
use crate::world::State;

/// What happened so far, in numbers, and what is wrong or left open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Agreements that were approved.
    pub agreements: usize,
    /// Activities that were created.
    pub activities: usize,
    /// Invoices that were issued.
    pub invoices: usize,
    /// Invoices that were paid.
    pub invoices_paid: usize,
    /// Sum of all invoices.
    pub invoiced: Glm,
    /// Sum of the paid ones.
    pub paid: Glm,
    /// Laws that were broken.
    pub violations: Vec<Violation>,
    /// What is still open.
    pub open: Vec<OpenItem>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {}, {} of {} paid, {} of {} GLM",
            counted(self.agreements, "agreement", "agreements"),
            counted(self.activities, "activity", "activities"),
            self.invoices_paid,
            counted(self.invoices, "invoice", "invoices"),
            self.paid.normalized(),
            self.invoiced.normalized(),
        )?;
        for violation in &self.violations {
            write!(f, "\nbroken law: {violation}")?;
        }
        for item in &self.open {
            write!(f, "\nleft open: {item}")?;
        }
        Ok(())
    }
}

/// Counts what the journal tells, and asks the ledger and the market what is open.
pub(crate) fn summary(state: &State) -> Summary {
    let mut summary = Summary {
        agreements: 0,
        activities: 0,
        invoices: 0,
        invoices_paid: 0,
        invoiced: Glm::ZERO,
        paid: Glm::ZERO,
        violations: state.ports.ledger.violations().to_vec(),
        open: state.ports.ledger.open_items(),
    };
    for entry in state.ports.journal.since(0) {
        match &entry.event {
            Event::AgreementApproved { .. } => summary.agreements += 1,
            Event::ActivityCreated { .. } => summary.activities += 1,
            Event::InvoiceIssued { amount, .. } => {
                summary.invoices += 1;
                summary.invoiced = summary.invoiced + *amount;
            }
            Event::InvoiceSettled { amount, .. } => {
                summary.invoices_paid += 1;
                summary.paid = summary.paid + *amount;
            }
            _ => {}
        }
    }
    let has_demands = summary
        .open
        .iter()
        .any(|item| matches!(item, OpenItem::Demand { .. }));
    if !has_demands {
        summary.open.extend(
            state
                .market
                .living_demands()
                .map(|demand| OpenItem::Demand {
                    id: demand.id().clone(),
                    owner: demand.requestor.clone(),
                }),
        );
    }
    summary
}
