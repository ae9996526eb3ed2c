//! Stopping, stage by stage, each with its deadline: jobs end, demands are withdrawn, agreements
//! terminated, final invoices accepted, the budget released. Owns: the order, and the report of what
//! is left behind.

use std::fmt;
use std::sync::Arc;

use futures::future::join_all;
use golem_wire::common::Reason;
use golem_wire::{AgreementId, Glm};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::event::EventKind;
use crate::golem::Core;
use crate::lifecycle::payment::InvoiceState;
use crate::market::Rental;
use crate::payment;

/// How long an invoice of an agreement is waited for on which nothing ever ran: it is usually zero.
const UNUSED_GRACE: Duration = Duration::from_secs(3);

/// An agreement with something left to do, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenAgreement {
    /// Its id.
    pub agreement_id: AgreementId,
    /// The provider's name.
    pub provider_name: String,
    /// What is left, and why.
    pub reason: String,
}

/// What stopping achieved, and what it left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Agreements that were in force at some time.
    pub agreements: u64,
    /// Invoices accepted.
    pub invoices_accepted: u64,
    /// GLM accepted by invoices, and by debit notes where no invoice came.
    pub accepted: Glm,
    /// Agreements that may still be in force.
    pub open_agreements: Vec<OpenAgreement>,
    /// Agreements that were used and are not paid.
    pub unpaid: Vec<OpenAgreement>,
    /// Why the budget may still be reserved.
    pub allocation: Option<String>,
    /// Services, task lists or requests that did not end in time and were cut off.
    pub cut_off: Vec<String>,
}

impl ShutdownReport {
    /// Whether nothing is left behind.
    pub fn is_clean(&self) -> bool {
        self.open_count() == 0
    }

    /// How many things are left behind.
    pub fn open_count(&self) -> usize {
        self.open_agreements.len()
            + self.unpaid.len()
            + usize::from(self.allocation.is_some())
            + self.cut_off.len()
    }

    /// What is left behind, a line each.
    pub fn open(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut agreements = |what: &str, list: &[OpenAgreement]| {
            for open in list {
                let OpenAgreement {
                    agreement_id,
                    provider_name,
                    reason,
                } = open;
                lines.push(format!(
                    "agreement {agreement_id} with {provider_name} {what}: {reason}"
                ));
            }
        };
        agreements("may still be in force", &self.open_agreements);
        agreements("is not paid", &self.unpaid);
        if let Some(reason) = &self.allocation {
            lines.push(format!("the budget may still be reserved: {reason}"));
        }
        lines.extend(
            self.cut_off
                .iter()
                .map(|name| format!("`{name}` was cut off")),
        );
        lines
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} agreements, {} invoices accepted, {} GLM",
            self.agreements,
            self.invoices_accepted,
            self.accepted.normalized()
        )?;
        if self.is_clean() {
            return f.write_str("; nothing left open");
        }
        write!(f, "; {} left open:", self.open_count())?;
        for line in self.open() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Stops everything. To be called once, in a task that nobody drops.
pub(crate) async fn run(core: Arc<Core>) -> ShutdownReport {
    let limits = core.config().shutdown.clone();
    let mut report = ShutdownReport {
        cut_off: core.jobs().shutdown(limits.jobs).await,
        ..ShutdownReport::default()
    };

    let markets = core.markets();
    let closing = join_all(markets.iter().map(|desk| desk.close()));
    if timeout(limits.cleanup, closing).await.is_err() {
        report.cut_off.push("withdrawing demands".into());
    }
    // What is being signed now is cancelled, or becomes an agreement to terminate.
    let deadline = Instant::now() + limits.agreements;
    let _ = timeout_at(deadline, core.signing().idle()).await;
    let rentals = core.rentals().all();
    let ending = join_all(rentals.iter().map(|rental| rental.terminate(reason())));
    // Those that do not end in time are found below.
    let _ = timeout_at(deadline, ending).await;

    settle(&core, &rentals, limits.invoices).await;
    core.loops().shutdown(limits.cleanup).await;
    // Acceptances under way must not lose their budget.
    let _ = timeout(limits.cleanup, core.tasks().idle()).await;

    report.agreements = rentals.len() as u64;
    let totals = core.payments().totals();
    report.invoices_accepted = totals.invoices_accepted;
    report.accepted = totals.accepted;
    report.unpaid = unpaid(&core, &rentals, limits.invoices);
    report.allocation = match timeout(limits.cleanup, payment::release(&core)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("releasing it took too long".into()),
    };
    report
        .cut_off
        .extend(core.tasks().shutdown(limits.cleanup).await);
    report.open_agreements = open_agreements(&core, &rentals);
    core.rentals().clear();
    core.emit(EventKind::ShutdownFinished {
        open: report.open_count(),
    });
    report
}

fn reason() -> Reason {
    let mut reason = Reason::from("the requestor is done");
    reason
        .extra
        .insert("golem.requestor.code".into(), Value::from("Success"));
    reason
}

/// Waits for the final invoices; they come once agreements have ended.
async fn settle(core: &Core, rentals: &[Arc<Rental>], within: Duration) {
    let mut changes = core.payments().changes();
    let waits = |only_used: bool| {
        rentals.iter().any(|rental| {
            (rental.was_used() || !only_used)
                && matches!(
                    core.payments().invoice(&rental.agreement_id),
                    InvoiceState::None | InvoiceState::Accepting { .. }
                )
        })
    };
    let started = Instant::now();
    for (only_used, within) in [(true, within), (false, UNUSED_GRACE.min(within))] {
        while waits(only_used) {
            match timeout_at(started + within, changes.changed()).await {
                Ok(Ok(())) => {}
                // The deadline, or the payments are gone.
                _ => break,
            }
        }
    }
}

fn unpaid(core: &Core, rentals: &[Arc<Rental>], within: Duration) -> Vec<OpenAgreement> {
    let why = |rental: &Rental| {
        let accepted = core.payments().accepted(&rental.agreement_id).normalized();
        match core.payments().invoice(&rental.agreement_id) {
            InvoiceState::Accepted { .. } => None,
            InvoiceState::None if !rental.was_used() => None,
            InvoiceState::None => Some(format!(
                "no invoice came within {within:?}; debit notes of {accepted} GLM were accepted"
            )),
            InvoiceState::Accepting { id, amount } => Some(format!(
                "whether invoice {id} of {} GLM was accepted is unknown",
                amount.normalized()
            )),
            InvoiceState::Refused { id, amount, reason } => Some(format!(
                "invoice {id} of {} GLM: {reason}",
                amount.normalized()
            )),
        }
    };
    rentals
        .iter()
        .filter_map(|rental| Some(open(rental, why(rental)?)))
        .collect()
}

fn open(rental: &Rental, reason: String) -> OpenAgreement {
    OpenAgreement {
        agreement_id: rental.agreement_id.clone(),
        provider_name: rental.provider_name.clone(),
        reason,
    }
}

fn open_agreements(core: &Core, rentals: &[Arc<Rental>]) -> Vec<OpenAgreement> {
    let named = core.rentals().left_open();
    let unfinished = rentals.iter().filter(|rental| {
        rental.is_open()
            && !named
                .iter()
                .any(|open| open.agreement_id == rental.agreement_id)
    });
    let unfinished: Vec<_> = unfinished
        .map(|rental| open(rental, "the termination was not answered in time".into()))
        .collect();
    let named = named.into_iter().map(|open| OpenAgreement {
        agreement_id: open.agreement_id,
        provider_name: open.provider_name,
        reason: open.reason,
    });
    named.chain(unfinished).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_report_says_so_and_a_dirty_one_names_everything() {
        let mut report = ShutdownReport {
            agreements: 1,
            invoices_accepted: 1,
            accepted: "0.500".parse().expect("literal"),
            ..ShutdownReport::default()
        };
        assert_eq!(
            report.to_string(),
            "1 agreements, 1 invoices accepted, 0.5 GLM; nothing left open"
        );
        report.unpaid.push(OpenAgreement {
            agreement_id: "abc".into(),
            provider_name: "bob".into(),
            reason: "no invoice came".into(),
        });
        report.allocation = Some("refused".into());
        let text = report.to_string();
        assert!(text.contains("2 left open") && text.contains("abc with bob is not paid"));
    }
}
