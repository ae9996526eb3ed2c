//! Counts what happened, for a summary a person can read.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use golem_wire::{ActivityId, AgreementId, Glm, InvoiceId};
use indexmap::IndexMap;
use serde::Serialize;

use crate::event::{Consumer, Event, EventKind};
use crate::market::RefusedBy;
use crate::model::DocumentId;

/// What one provider did for us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProviderSummary {
    /// The provider's node id.
    pub provider_id: String,
    /// The provider's name.
    pub name: String,
    /// Agreements approved.
    pub agreements: u64,
    /// Tasks done.
    pub tasks: u64,
    /// GLM that were accepted: invoices, and debit notes of agreements without one.
    pub cost: Glm,
}

/// How often and how long the daemon was away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Absences {
    /// Times that it was away.
    pub times: u64,
    /// Seconds of all of them together.
    pub seconds: u64,
    /// Seconds of the absence that goes on, as far as they were told.
    #[serde(skip)]
    current: Option<u64>,
}

impl Absences {
    /// Counts an event, if it is about an absence.
    pub fn count(&mut self, kind: &EventKind) {
        let (seconds, next) = match *kind {
            EventKind::DaemonAway { seconds, .. } => (seconds, Some(seconds)),
            EventKind::DaemonBack { seconds } => (seconds, None),
            _ => return,
        };
        self.times += u64::from(self.current.is_none());
        self.seconds += seconds.saturating_sub(self.current.unwrap_or_default());
        self.current = next;
    }
}

impl fmt::Display for Absences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.times == 1 { "time" } else { "times" };
        write!(
            f,
            "the daemon was away {} {times}, {} s in all",
            self.times, self.seconds
        )
    }
}

/// An invoice that came and is not paid: it asks for more than is owed, or its acceptance failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnpaidInvoice {
    /// Whose.
    pub provider_name: String,
    /// For which agreement.
    pub agreement_id: AgreementId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// GLM that it asks for.
    pub amount: Glm,
    /// Why it is not paid; with what would have been right, if it asks for too much.
    pub reason: String,
}

impl fmt::Display for UnpaidInvoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an invoice of {} over {} GLM is not paid: {}",
            self.provider_name,
            self.amount.normalized(),
            self.reason
        )
    }
}

/// The invoices that came and are not paid, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnpaidInvoices {
    /// Those that nothing was decided about yet have no reason.
    invoices: IndexMap<InvoiceId, UnpaidInvoice>,
}

impl UnpaidInvoices {
    /// Counts an event, if it is about an invoice. Of more than a hundred thousand the first are
    /// forgotten.
    pub fn count(&mut self, kind: &EventKind) {
        match kind {
            EventKind::InvoiceReceived {
                agreement_id,
                invoice_id,
                provider_name,
                amount,
                ..
            } => {
                let invoice = UnpaidInvoice {
                    provider_name: provider_name.clone(),
                    agreement_id: agreement_id.clone(),
                    invoice_id: invoice_id.clone(),
                    amount: *amount,
                    reason: String::new(),
                };
                self.invoices.insert(invoice_id.clone(), invoice);
                if self.invoices.len() > MAX_ROWS {
                    self.invoices.shift_remove_index(0);
                }
            }
            EventKind::InvoiceAccepted { invoice_id, .. } => {
                self.invoices.shift_remove(invoice_id);
            }
            EventKind::PaymentFailed {
                document: DocumentId::Invoice(invoice),
                reason,
                ..
            } => {
                if let Some(invoice) = self.invoices.get_mut(invoice) {
                    invoice.reason.clone_from(reason);
                }
            }
            _ => {}
        }
    }

    /// Those of which it is known why they are not paid.
    pub fn list(&self) -> Vec<UnpaidInvoice> {
        let invoices = self.invoices.values();
        let refused = invoices.filter(|invoice| !invoice.reason.is_empty());
        refused.cloned().collect()
    }
}

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Offers that arrived.
    pub offers: u64,
    /// Offers refused, by either side.
    pub offers_refused: u64,
    /// Those of them that their providers refused.
    pub offers_refused_by_providers: u64,
    /// Agreements approved.
    pub agreements: u64,
    /// Agreements that providers refused or did not approve in time.
    pub agreements_rejected: u64,
    /// Activities created.
    pub activities: u64,
    /// Scripts that ended well.
    pub scripts: u64,
    /// Scripts that failed.
    pub scripts_failed: u64,
    /// Tasks done.
    pub tasks: u64,
    /// Debit notes accepted.
    pub debit_notes: u64,
    /// Invoices accepted.
    pub invoices: u64,
    /// Documents that were not paid.
    pub payments_failed: u64,
    /// Invoices that are not paid, each with its reason.
    pub unpaid_invoices: Vec<UnpaidInvoice>,
    /// Absences of the daemon.
    pub daemon_away: Absences,
    /// GLM that it costs: accepted invoices, accepted debit notes of agreements without one, and what
    /// is [`owed`](Self::owed).
    pub cost: Glm,
    /// GLM of it that were used and are not accepted yet, by usage and time. Only an engine knows that:
    /// zero in the summary of a [`SummaryLogger`].
    pub owed: Glm,
    /// One row per provider, in order of their first agreement.
    pub providers: Vec<ProviderSummary>,
}

/// Agreements whose invoice is still expected, at the most: some are never invoiced.
const MAX_ROWS: usize = 100_000;

#[derive(Default)]
struct State {
    summary: Summary,
    unpaid: UnpaidInvoices,
    /// Rows of the summary by provider id.
    rows: IndexMap<String, usize>,
    row_of: IndexMap<AgreementId, Row>,
}

/// An agreement without an accepted invoice.
#[derive(Default)]
struct Row {
    /// Its place among the providers.
    provider: usize,
    /// The last debit note of each activity that was accepted.
    notes: IndexMap<ActivityId, Glm>,
    /// Their sum.
    accepted: Glm,
}

impl Summary {
    /// With what is owed.
    pub(crate) fn with_owed(self, owed: Glm) -> Self {
        Summary {
            cost: self.cost + owed,
            owed,
            ..self
        }
    }
}

/// Listens to events and keeps a [`Summary`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct SummaryLogger(Arc<Mutex<State>>);

impl SummaryLogger {
    /// Counts from zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// To be given to [`GolemBuilder::event_consumer`](crate::GolemBuilder::event_consumer).
    pub fn consumer(&self) -> Consumer {
        let this = self.clone();
        Arc::new(move |event: &Event| this.log(event))
    }

    /// What happened so far.
    pub fn summary(&self) -> Summary {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Summary {
            unpaid_invoices: state.unpaid.list(),
            ..state.summary.clone()
        }
    }

    /// Counts an event.
    pub fn log(&self, event: &Event) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count(&event.kind);
    }
}

impl State {
    fn count(&mut self, kind: &EventKind) {
        self.unpaid.count(kind);
        let summary = &mut self.summary;
        summary.daemon_away.count(kind);
        match kind {
            EventKind::ProposalReceived { .. } => summary.offers += 1,
            EventKind::ProposalRejected { by, .. } => {
                summary.offers_refused += 1;
                summary.offers_refused_by_providers += u64::from(*by == RefusedBy::Provider);
            }
            EventKind::AgreementConfirmed {
                agreement_id,
                provider_id,
                provider_name,
                ..
            } => {
                summary.agreements += 1;
                let next = summary.providers.len();
                let row = *self.rows.entry(provider_id.to_string()).or_insert(next);
                if row == next {
                    summary.providers.push(ProviderSummary {
                        provider_id: provider_id.to_string(),
                        name: provider_name.clone(),
                        ..ProviderSummary::default()
                    });
                }
                summary.providers[row].agreements += 1;
                let row = Row {
                    provider: row,
                    ..Row::default()
                };
                self.row_of.insert(agreement_id.clone(), row);
                if self.row_of.len() > MAX_ROWS {
                    self.row_of.swap_remove_index(0);
                }
            }
            EventKind::AgreementRejected { .. } => summary.agreements_rejected += 1,
            EventKind::ActivityCreated { .. } => summary.activities += 1,
            EventKind::ScriptFinished { error: None, .. } => summary.scripts += 1,
            EventKind::ScriptFinished { .. } => summary.scripts_failed += 1,
            EventKind::TaskAccepted { agreement_id, .. } => {
                summary.tasks += 1;
                if let Some(provider) = self.provider(agreement_id) {
                    provider.tasks += 1;
                }
            }
            EventKind::DebitNoteAccepted {
                agreement_id,
                activity_id,
                amount,
                ..
            } => {
                summary.debit_notes += 1;
                let Some(row) = self.row_of.get_mut(agreement_id) else {
                    return;
                };
                // Notes are cumulative.
                let noted = row.notes.entry(activity_id.clone()).or_default();
                let more = (*amount - *noted).max(Glm::ZERO);
                *noted = *noted + more;
                row.accepted = row.accepted + more;
                let provider = row.provider;
                self.spend(provider, more);
            }
            EventKind::InvoiceAccepted {
                agreement_id,
                amount,
                ..
            } => {
                summary.invoices += 1;
                // The last that is heard of an agreement; it covers the notes.
                match self.row_of.swap_remove(agreement_id) {
                    Some(row) => {
                        let more = (*amount - row.accepted).max(Glm::ZERO);
                        self.spend(row.provider, more);
                    }
                    None => summary.cost = summary.cost + *amount,
                }
            }
            EventKind::PaymentFailed { .. } => summary.payments_failed += 1,
            _ => {}
        }
    }

    fn provider(&mut self, agreement: &AgreementId) -> Option<&mut ProviderSummary> {
        let row = self.row_of.get(agreement)?;
        self.summary.providers.get_mut(row.provider)
    }

    fn spend(&mut self, provider: usize, amount: Glm) {
        self.summary.cost = self.summary.cost + amount;
        if let Some(provider) = self.summary.providers.get_mut(provider) {
            provider.cost = provider.cost + amount;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} offers ({} refused, {} of them by providers), {} agreements ({} not approved), {} activities, {} scripts ({} failed), {} tasks",
            self.offers,
            self.offers_refused,
            self.offers_refused_by_providers,
            self.agreements,
            self.agreements_rejected,
            self.activities,
            self.scripts,
            self.scripts_failed,
            self.tasks
        )?;
        write!(
            f,
            "{} invoices and {} debit notes accepted, {} documents not paid, {} GLM",
            self.invoices,
            self.debit_notes,
            self.payments_failed,
            self.cost.normalized()
        )?;
        if !self.owed.is_zero() {
            write!(
                f,
                " ({} GLM of it not accepted yet)",
                self.owed.normalized()
            )?;
        }
        for invoice in &self.unpaid_invoices {
            write!(f, "\n  {invoice}")?;
        }
        if self.daemon_away.times > 0 {
            write!(f, "\n  {}", self.daemon_away)?;
        }
        for provider in &self.providers {
            let ProviderSummary {
                name,
                agreements,
                tasks,
                cost,
                ..
            } = provider;
            write!(
                f,
                "\n  {name}: {agreements} agreements, {tasks} tasks, {} GLM",
                cost.normalized()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::JobId;

    #[test]
    fn the_cost_of_each_provider_is_the_sum_of_its_invoices() {
        let logger = SummaryLogger::new();
        let log = |kind| {
            logger.log(&Event {
                at: Timestamp::UNIX_EPOCH,
                kind,
            })
        };
        for agreement in ["a", "b"] {
            log(EventKind::AgreementConfirmed {
                job: JobId::new("j"),
                agreement_id: agreement.into(),
                provider_id: "0xp".into(),
                provider_name: "bob".into(),
            });
            log(EventKind::InvoiceAccepted {
                job: JobId::new("j"),
                agreement_id: agreement.into(),
                invoice_id: "i".into(),
                provider_name: "bob".into(),
                amount: "0.1".parse().expect("literal"),
            });
        }
        let summary = logger.summary();
        assert_eq!(summary.providers[0].cost.to_string(), "0.2");
        assert!(
            summary
                .to_string()
                .contains("bob: 2 agreements, 0 tasks, 0.2 GLM")
        );
    }

    #[test]
    fn an_invoice_that_is_refused_is_named_with_its_provider_and_both_amounts_until_it_is_paid() {
        let logger = SummaryLogger::new();
        let log = |kind| {
            let at = Timestamp::UNIX_EPOCH;
            logger.log(&Event { at, kind });
        };
        for (invoice, provider, amount) in [("i", "bob", "0.5"), ("j", "eve", "2")] {
            log(EventKind::InvoiceReceived {
                job: JobId::new("j"),
                agreement_id: "a".into(),
                invoice_id: invoice.into(),
                provider_name: provider.into(),
                amount: amount.parse().expect("literal"),
            });
        }
        assert_eq!(logger.summary().unpaid_invoices, []);
        let failed = |invoice: &str| EventKind::PaymentFailed {
            job: JobId::new("j"),
            agreement_id: "a".into(),
            document: DocumentId::Invoice(invoice.into()),
            reason: "0.1 GLM is owed".into(),
        };
        log(failed("i"));
        log(failed("j"));
        log(EventKind::InvoiceAccepted {
            job: JobId::new("j"),
            agreement_id: "a".into(),
            invoice_id: "j".into(),
            provider_name: "eve".into(),
            amount: "2".parse().expect("literal"),
        });
        let summary = logger.summary().to_string();
        assert!(
            summary.contains("an invoice of bob over 0.5 GLM is not paid: 0.1 GLM is owed"),
            "{summary}"
        );
        assert!(!summary.contains("eve over"), "{summary}");
    }
}
