//! Settling what was found: demands withdrawn, activities destroyed, agreements ended, what is owed
//! accepted, budgets released, and the journal closed. Owns: the order. Does not own: what may be
//! accepted (`debts.rs`).

use std::path::PathBuf;
use std::time::Duration;

use golem_wire::AgreementId;
use golem_wire::common::Reason;
use golem_wire::market::AgreementState;
use http::StatusCode;
use indexmap::IndexSet;
use serde_json::Value;
use tokio::time::Instant;

use super::examine::Snapshot;
use super::settled::{Settled, StepLog};
use super::{Doctor, Findings};
use crate::error::Error;
use crate::journal::{Fact, JournalError};
use crate::retry::Backoff;

pub(super) const ATTEMPTS: u32 = 4;
/// How long a provider may take to destroy an activity.
const DESTROY_WAIT: Duration = Duration::from_secs(30);
/// How often it is looked for invoices.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Doctor {
    /// Settles everything that [`examine`](Self::examine) lists, and says each step.
    ///
    /// # Errors
    /// [`Error::Api`] when the daemon does not answer the first question; later failures are in the
    /// answer. [`Error::Journal`] when the engine of an
    /// [inspected](super::DoctorBuilder::inspected) journal was alive.
    ///
    /// # Cancel safety
    /// Not safe: a request may be left with an unknown outcome. Settling again finds it.
    pub async fn settle(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<Settled, Error> {
        if let Some(holder) = &self.in_use_by {
            return Err(Error::Journal(JournalError::Locked {
                path: PathBuf::from("that was inspected"),
                holder: holder.clone(),
            }));
        }
        let snapshot = self.look().await?;
        let mut steps = StepLog {
            settled: Settled::default(),
            say,
        };
        let mut backoff = Backoff::new(self.seed.fork("settle"));
        let api = self.rest.market();
        for demand in &snapshot.findings.demands {
            let id = &demand.demand_id;
            let done = backoff.read(ATTEMPTS, || api.unsubscribe(id)).await;
            if steps.step(format!("demand {id} withdrawn"), done) {
                self.fact(Fact::DemandGone { demand: id.clone() });
            }
        }
        let mut owed = self
            .end_agreements(&mut backoff, &snapshot, &mut steps)
            .await;
        // Ended by an earlier life, and not paid.
        owed.extend(snapshot.findings.awaited.iter().cloned());
        let snapshot = self.await_invoices(snapshot, owed).await?;
        self.accept(&mut backoff, &snapshot, &mut steps).await;
        for budget in &snapshot.findings.allocations {
            self.release(&mut backoff, &budget.allocation_id, &mut steps)
                .await;
        }
        let left = self.look().await?.findings;
        self.close_journal(&left);
        // Requests of the journal are looked up by looking at everything.
        steps.settled.left = self.look().await?.findings;
        Ok(steps.settled)
    }

    pub(super) fn fact(&self, fact: Fact) {
        if let Some(log) = &self.log {
            log.fact(fact);
        }
    }

    /// Ends agreements; answers which used ones may still send an invoice.
    async fn end_agreements(
        &self,
        backoff: &mut Backoff,
        snapshot: &Snapshot,
        steps: &mut StepLog<'_>,
    ) -> IndexSet<AgreementId> {
        let market = self.rest.market();
        let activity = self.rest.activity();
        let mut reason = Reason::from("the requestor cleans up");
        let code = ("golem.requestor.code".into(), Value::from("Cancelled"));
        reason.extra.extend([code]);
        let mut owed = IndexSet::new();
        for agreement in &snapshot.findings.agreements {
            let id = &agreement.agreement_id;
            if agreement.state != "Approved" {
                let done = backoff.read(ATTEMPTS, || market.cancel(id, &reason)).await;
                // One that was approved in the meantime is "gone" for this, and yet in force.
                let doubtful = matches!(&done, Err(error) if error.is_status(StatusCode::GONE));
                let seen = match doubtful {
                    true => backoff.read(ATTEMPTS, || market.agreement(id)).await.ok(),
                    false => None,
                };
                if seen.is_none_or(|seen| seen.state != AgreementState::Approved) {
                    steps.step(format!("agreement {id} cancelled"), done);
                    continue;
                }
            }
            for found in &agreement.activities {
                let activity_id = &found.activity_id;
                let done = backoff
                    .read(2, || activity.destroy(activity_id, DESTROY_WAIT))
                    .await;
                if steps.step(format!("activity {activity_id} destroyed"), done) {
                    self.fact(Fact::ActivityGone {
                        activity: activity_id.clone(),
                    });
                }
            }
            let done = backoff
                .read(ATTEMPTS, || market.terminate(id, &reason))
                .await;
            let name = &agreement.provider_name;
            if steps.step(format!("agreement {id} with {name} terminated"), done) {
                owed.insert(id.clone());
            }
        }
        owed
    }

    /// Looks until the invoices of these agreements are there, or the patience is over.
    async fn await_invoices(
        &self,
        mut snapshot: Snapshot,
        owed: IndexSet<AgreementId>,
    ) -> Result<Snapshot, Error> {
        let give_up = Instant::now() + self.patience;
        let allocations = snapshot.findings.allocations.clone();
        loop {
            let invoiced = |id: &AgreementId| {
                let invoices = &snapshot.findings.invoices;
                invoices.iter().any(|invoice| invoice.agreement_id == *id)
            };
            if owed.iter().all(invoiced) || Instant::now() >= give_up {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            snapshot = self.look().await?;
        }
        if owed.is_empty() {
            return Ok(snapshot);
        }
        let mut snapshot = self.look().await?;
        snapshot.findings.allocations = allocations;
        Ok(snapshot)
    }

    /// Writes into the journal that what is not at the daemon is not open.
    fn close_journal(&self, left: &Findings) {
        let Some(open_state) = self.open_state() else {
            return;
        };
        for op in open_state.unresolved.keys() {
            if left.unanswered.is_empty() {
                self.fact(Fact::Resolved { op: *op });
            }
        }
        let open = |id: &AgreementId| {
            left.agreements.iter().any(|it| it.agreement_id == *id)
                || left.invoices.iter().any(|it| it.agreement_id == *id)
                || left.debit_notes.iter().any(|it| it.agreement_id == *id)
        };
        for (id, entry) in &open_state.agreements {
            let paid = entry.invoice.as_ref().is_some_and(|it| it.accepted);
            // One that was used and sent no invoice yet may still send it.
            if !open(id) && (paid || entry.activities.is_empty()) {
                let agreement = id.clone();
                self.fact(Fact::AccountClosed { agreement });
            }
        }
        for id in open_state.demands.keys() {
            if !left.demands.iter().any(|it| it.demand_id == *id) {
                self.fact(Fact::DemandGone { demand: id.clone() });
            }
        }
        for instance in open_state.instances.values() {
            let mut instance = instance.clone();
            instance.state = "terminated".into();
            self.fact(Fact::Instance { instance });
        }
    }
}
