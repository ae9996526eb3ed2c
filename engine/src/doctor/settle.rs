//! Settling what was found: demands withdrawn, activities destroyed, agreements ended, what is owed
//! accepted, budgets released, and the journal closed. Owns: the order, from which budget a debt is
//! paid, and telling each step. Does not own: the requests, and what their outcomes mean (`settle/`).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use golem_wire::market::AgreementState;
use golem_wire::payment::{Acceptance, Allocation, DocumentStatus, NewAllocation};
use golem_wire::props::com;
use golem_wire::{ActivityId, AgreementId, AllocationId, Glm};
use indexmap::IndexSet;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::examine::Snapshot;
use super::{Doctor, Findings};
use crate::agreement_record::AgreementRecord;
use crate::api::ApiError;
use crate::clock::Clock;
use crate::config::PaymentLimits;
use crate::deadline;
use crate::error::Error;
use crate::journal::{Fact, JournalError};
use crate::model::OfferProposal;
use crate::settle::{Cancelled, Document, Ender, Observer, ceiling, perform, usage};

/// What settling achieved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// What was done, a line each.
    pub done: Vec<String>,
    /// What could not be done, and why.
    pub failed: Vec<String>,
    /// GLM accepted.
    pub accepted: Glm,
    /// What is still open.
    pub left: Findings,
}

impl Settled {
    /// Whether nothing is left open.
    pub fn is_clean(&self) -> bool {
        self.left.is_empty()
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} steps done, {} GLM accepted",
            self.done.len(),
            self.accepted.normalized()
        )?;
        for failed in &self.failed {
            write!(f, "\nnot settled: {failed}")?;
        }
        write!(f, "\n{}", self.left)
    }
}

/// Says what is done, as it is done.
struct StepLog<'a> {
    settled: Settled,
    say: &'a mut (dyn FnMut(&str) + Send),
}

impl StepLog<'_> {
    /// Tells that `what` is done, or why not; answers which.
    fn step(&mut self, what: String, done: Result<(), impl fmt::Display>) -> bool {
        if let Err(error) = done {
            self.fail(format!("{what}: {error}"));
            return false;
        }
        (self.say)(&what);
        self.settled.done.push(what);
        true
    }

    fn fail(&mut self, what: String) {
        (self.say)(&format!("failed: {what}"));
        self.settled.failed.push(what);
    }
}

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
        let ender = Ender::new(&self.rest, self.log.as_ref(), self.seed.fork("settle"));
        for demand in &snapshot.findings.demands {
            let id = &demand.demand_id;
            steps.step(format!("demand {id} withdrawn"), ender.withdraw(id).await);
        }
        let mut owed = self.end_agreements(&ender, &snapshot, &mut steps).await;
        for network in &snapshot.findings.networks {
            let id = &network.network_id;
            let done = ender.remove_network(id).await;
            steps.step(format!("network {id} removed"), done);
        }
        // Ended by an earlier run, and not paid.
        owed.extend(snapshot.findings.awaited.iter().cloned());
        let snapshot = self.await_invoices(snapshot, owed).await?;
        self.accept(&ender, &snapshot, &mut steps).await;
        for budget in &snapshot.findings.allocations {
            self.release(&ender, &budget.allocation_id, &mut steps)
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

    /// Ends agreements; answers which of them were in force, and may still send an invoice.
    async fn end_agreements(
        &self,
        ender: &Ender<'_>,
        snapshot: &Snapshot,
        steps: &mut StepLog<'_>,
    ) -> IndexSet<AgreementId> {
        let why = "the requestor cleans up";
        let reason = perform::reason(why, "Cancelled");
        let mut owed = IndexSet::new();
        for agreement in &snapshot.findings.agreements {
            let id = &agreement.agreement_id;
            if agreement.state == AgreementState::Pending {
                let what = format!("agreement {id} cancelled");
                match ender.cancel(id, &reason).await {
                    Cancelled::Nothing(_) => {
                        steps.step(what, Ok::<(), ApiError>(()));
                        continue;
                    }
                    Cancelled::InForce(_) => {}
                    Cancelled::Over(_) => {
                        let what = format!("agreement {id} was approved, and has ended");
                        steps.step(what, Ok::<(), ApiError>(()));
                        ender.ended(id, why);
                        owed.insert(id.clone());
                        continue;
                    }
                    Cancelled::Waiting(error) | Cancelled::Unknown(error) => {
                        steps.step(what, Err(error));
                        continue;
                    }
                }
            }
            for found in &agreement.activities {
                let activity_id = &found.activity_id;
                let done = ender.destroy(activity_id, DESTROY_WAIT).await;
                steps.step(format!("activity {activity_id} destroyed"), done);
            }
            let done = ender.terminate(id, &reason).await;
            let name = &agreement.provider_name;
            if steps.step(format!("agreement {id} with {name} terminated"), done) {
                ender.ended(id, why);
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
        let give_up = deadline::within(self.patience);
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
            let paid = entry.is_paid();
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
        for id in open_state.networks.keys() {
            if !left.networks.iter().any(|it| it.network_id == *id) {
                let network = id.clone();
                self.fact(Fact::NetworkGone { network });
            }
        }
        for instance in open_state.instances.values() {
            let instance = instance.terminated();
            self.fact(Fact::Instance { instance });
        }
    }
}

/// How long a budget lives that is made for debts only.
const BUDGET_FOR: SignedDuration = SignedDuration::from_mins(30);

impl Doctor {
    /// Accepts what is owed, as far as the ceiling goes.
    async fn accept(&self, ender: &Ender<'_>, snapshot: &Snapshot, steps: &mut StepLog<'_>) {
        for invoice in &snapshot.findings.invoices {
            let (id, amount) = (&invoice.invoice_id, invoice.amount);
            let what = format!("invoice {id} of {} GLM", amount.normalized());
            let Some(budget) = self
                .budget(snapshot, &invoice.agreement_id, amount, &what, steps)
                .await
            else {
                continue;
            };
            let acceptance = Acceptance {
                total_amount_accepted: amount,
                allocation_id: budget.allocation_id.clone(),
            };
            let document = Document::Invoice(id);
            let done = ender.accept(document, &invoice.status, &acceptance).await;
            if steps.step(format!("{what} accepted"), done) {
                steps.settled.accepted = steps.settled.accepted + amount;
                ender.close(&invoice.agreement_id);
            }
            self.drop_own(ender, snapshot, &budget, steps).await;
        }
        for note in &snapshot.findings.debit_notes {
            let (id, amount) = (&note.debit_note_id, note.amount);
            let what = format!("debit note {id} of {} GLM", amount.normalized());
            let Some(budget) = self
                .budget(snapshot, &note.agreement_id, amount, &what, steps)
                .await
            else {
                continue;
            };
            let acceptance = Acceptance {
                total_amount_accepted: amount,
                allocation_id: budget.allocation_id.clone(),
            };
            let document = Document::Note(id);
            let open = DocumentStatus::Received;
            let done = ender.accept(document, &open, &acceptance).await;
            steps.step(format!("{what} accepted"), done);
            self.drop_own(ender, snapshot, &budget, steps).await;
        }
    }

    /// A budget for a document that asks for no more than it may: one that was found, or a new one.
    async fn budget(
        &self,
        snapshot: &Snapshot,
        agreement: &AgreementId,
        amount: Glm,
        what: &str,
        steps: &mut StepLog<'_>,
    ) -> Option<Allocation> {
        let ceiling = self.ceiling(snapshot, agreement);
        if amount < Glm::ZERO || ceiling.is_none_or(|ceiling| amount > ceiling) {
            let most = ceiling.map_or_else(
                || "its agreement is unknown".into(),
                |ceiling| format!("at most {} GLM can be owed", ceiling.normalized()),
            );
            steps.fail(format!("{what} is not accepted: {most}"));
            return None;
        }
        let api = self.rest.payment();
        let document = snapshot.documents.get(agreement)?;
        let mut observer = Observer::new(&self.rest, &self.seed.fork(what));
        let found = observer.budgets().await;
        let ours = |it: &Allocation| {
            let findings = &snapshot.findings.allocations;
            findings
                .iter()
                .any(|known| known.allocation_id == it.allocation_id)
        };
        let platform = document
            .demand
            .properties
            .get(com::CHOSEN_PLATFORM)
            .and_then(|value| value.as_str());
        let fits = |it: &Allocation| {
            ours(it)
                && it.remaining_amount.glm() >= amount
                && platform.is_none_or(|platform| it.payment_platform == platform)
        };
        if let Some(budget) = found.ok().and_then(|all| all.into_iter().find(fits)) {
            return Some(budget);
        }
        let timeout = self.clock.now().saturating_add(BUDGET_FOR);
        let timeout = timeout.unwrap_or(Timestamp::MAX).as_microsecond();
        let wanted = NewAllocation {
            address: None,
            payment_platform: platform.map(Value::from),
            total_amount: amount,
            timeout: Timestamp::from_microsecond(timeout).ok(),
            make_deposit: false,
            deposit: None,
            extend_timeout: None,
        };
        match api.allocate(&wanted).await {
            Ok(budget) => Some(budget),
            Err(error) => {
                steps.fail(format!(
                    "{what} is not accepted, there is no budget: {error}"
                ));
                None
            }
        }
    }

    /// Releases a budget that was made for one document.
    async fn drop_own(
        &self,
        ender: &Ender<'_>,
        snapshot: &Snapshot,
        budget: &Allocation,
        steps: &mut StepLog<'_>,
    ) {
        let found = &snapshot.findings.allocations;
        if !found
            .iter()
            .any(|known| known.allocation_id == budget.allocation_id)
        {
            self.release(ender, &budget.allocation_id, steps).await;
        }
    }

    async fn release(&self, ender: &Ender<'_>, id: &AllocationId, steps: &mut StepLog<'_>) {
        let done = ender.release(id).await;
        steps.step(format!("allocation {id} released"), done);
    }

    /// The most that an agreement can cost: what debit notes that can be right tell of its usage, and its
    /// prices times the time that its activities lived, or it was in force as far as anybody knows.
    fn ceiling(&self, snapshot: &Snapshot, id: &AgreementId) -> Option<Glm> {
        let document = snapshot.documents.get(id)?;
        let offer = OfferProposal::of_agreement(document);
        let prices = offer.prices().ok()?;
        let journaled = self.open_state();
        let journaled = journaled.and_then(|mut open_state| open_state.agreements.shift_remove(id));
        let since = document.approved_date.unwrap_or(document.timestamp);
        let mut record = journaled.unwrap_or_else(|| AgreementRecord::confirmed(since));
        record.since = since;
        let limits = PaymentLimits::default();
        let terms = (prices, offer.threads());
        let notes = snapshot.notes.iter();
        let notes: Vec<_> = notes.filter(|note| note.agreement_id == *id).collect();
        if record.activities.is_empty() {
            // Without a journal, its invoice names its activities.
            let billed = snapshot.invoices.iter();
            let billed = billed.filter(|invoice| invoice.agreement_id == *id);
            let billed: Vec<_> = billed.flat_map(|invoice| &invoice.activity_ids).collect();
            let noted = |id: &&ActivityId| notes.iter().any(|note| note.activity_id == **id);
            if billed.iter().all(noted) {
                for activity in billed {
                    record.activity_created(activity.clone(), since);
                }
            }
        }
        let now = self.clock.now();
        usage::learn(&mut record, terms, &limits, notes, now);
        Some(ceiling(terms, &record, None, &limits, now))
    }
}
