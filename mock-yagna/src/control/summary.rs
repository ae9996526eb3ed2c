//! What happened in the network so far, in numbers, and what is wrong or left open.

use std::fmt;

use golem_wire::Glm;
use serde::Serialize;

use crate::journal::counted;
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
            write!(f, "\nwrong in the books: {violation}")?;
        }
        for item in &self.open {
            write!(f, "\nleft open: {item}")?;
        }
        Ok(())
    }
}

/// Counts what the journal tells, and asks the ledger, the market and the networks what is open.
pub(crate) fn summary(state: &State) -> Summary {
    let totals = state.ports.journal.totals();
    let mut summary = Summary {
        agreements: totals.agreements,
        activities: totals.activities,
        invoices: totals.invoices,
        invoices_paid: totals.settled,
        invoiced: totals.invoiced,
        paid: totals.paid,
        violations: state.ports.ledger.violations().to_vec(),
        open: state.ports.ledger.open_items(),
    };
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
    let networks = state.networks.all();
    summary
        .open
        .extend(networks.map(|(owner, id)| OpenItem::Network {
            id: id.clone(),
            owner: owner.clone(),
        }));
    summary
}
