//! Settling what was found: demands withdrawn, activities destroyed, agreements ended, what is owed
//! accepted within the ceiling, budgets released. Owns: the order, and saying each step.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::payment::{Acceptance, Allocation, DocumentStatus, NewAllocation};
use golem_wire::{AgreementId, AllocationId, Glm};
use http::StatusCode;
use indexmap::IndexSet;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::examine::Sight;
use super::{Doctor, Findings};
use crate::api::ApiError;
use crate::config::PaymentLimits;
use crate::error::Error;
use crate::journal::{Fact, JournalError};
use crate::market::offer_of;
use crate::payment;
use crate::retry::Backoff;

const ATTEMPTS: u32 = 4;
/// How long a provider may take to destroy an activity.
const DESTROY_WAIT: Duration = Duration::from_secs(30);
/// How often it is looked for invoices.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a budget lives that is made for debts only.
const BUDGET_FOR: SignedDuration = SignedDuration::from_mins(30);

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
    /// Whether nothing is open any more.
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
struct Teller<'a> {
    settled: Settled,
    say: &'a mut (dyn FnMut(&str) + Send),
}

impl Teller<'_> {
    /// What is gone already is as good as done.
    fn step(&mut self, what: String, done: Result<(), ApiError>) -> bool {
        match done {
            Err(error)
                if !error.is_status(StatusCode::NOT_FOUND)
                    && !error.is_status(StatusCode::GONE) =>
            {
                self.fail(format!("{what}: {error}"));
                false
            }
            _ => {
                (self.say)(&what);
                self.settled.done.push(what);
                true
            }
        }
    }

    fn fail(&mut self, what: String) {
        (self.say)(&format!("failed: {what}"));
        self.settled.failed.push(what);
    }
}

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
        let sight = self.look().await?;
        let mut teller = Teller {
            settled: Settled::default(),
            say,
        };
        let mut backoff = Backoff::new(self.seed.fork("settle"));
        let api = self.rest.market();
        for demand in &sight.findings.demands {
            let id = &demand.demand_id;
            let done = backoff.read(ATTEMPTS, || api.unsubscribe(id)).await;
            if teller.step(format!("demand {id} withdrawn"), done) {
                self.fact(Fact::DemandGone { demand: id.clone() });
            }
        }
        let mut owed = self.end_agreements(&mut backoff, &sight, &mut teller).await;
        // Ended by an earlier life, and not paid.
        owed.extend(sight.findings.awaited.iter().cloned());
        let sight = self.await_invoices(sight, owed).await?;
        self.accept(&mut backoff, &sight, &mut teller).await;
        for budget in &sight.findings.allocations {
            self.release(&mut backoff, &budget.allocation_id, &mut teller)
                .await;
        }
        let left = self.look().await?.findings;
        self.close_journal(&left);
        // Requests of the journal are looked up by looking at everything.
        teller.settled.left = self.look().await?.findings;
        Ok(teller.settled)
    }

    fn fact(&self, fact: Fact) {
        if let Some(log) = &self.log {
            log.fact(fact);
        }
    }

    /// Ends agreements; answers which used ones may still send an invoice.
    async fn end_agreements(
        &self,
        backoff: &mut Backoff,
        sight: &Sight,
        teller: &mut Teller<'_>,
    ) -> IndexSet<AgreementId> {
        let market = self.rest.market();
        let activity = self.rest.activity();
        let mut reason = Reason::from("the requestor cleans up");
        let code = ("golem.requestor.code".into(), Value::from("Cancelled"));
        reason.extra.extend([code]);
        let mut owed = IndexSet::new();
        for agreement in &sight.findings.agreements {
            let id = &agreement.agreement_id;
            if agreement.state != "Approved" {
                let done = backoff.read(ATTEMPTS, || market.cancel(id, &reason)).await;
                teller.step(format!("agreement {id} cancelled"), done);
                continue;
            }
            for found in &agreement.activities {
                let activity_id = &found.activity_id;
                let done = backoff
                    .read(2, || activity.destroy(activity_id, DESTROY_WAIT))
                    .await;
                if teller.step(format!("activity {activity_id} destroyed"), done) {
                    self.fact(Fact::ActivityGone {
                        activity: activity_id.clone(),
                    });
                }
            }
            let done = backoff
                .read(ATTEMPTS, || market.terminate(id, &reason))
                .await;
            let name = &agreement.provider_name;
            if teller.step(format!("agreement {id} with {name} terminated"), done) {
                owed.insert(id.clone());
            }
        }
        owed
    }

    /// Looks until the invoices of these agreements are there, or the patience is over.
    async fn await_invoices(
        &self,
        mut sight: Sight,
        owed: IndexSet<AgreementId>,
    ) -> Result<Sight, Error> {
        let give_up = Instant::now() + self.patience;
        let allocations = sight.findings.allocations.clone();
        loop {
            let invoiced = |id: &AgreementId| {
                let invoices = &sight.findings.invoices;
                invoices.iter().any(|invoice| invoice.agreement_id == *id)
            };
            if owed.iter().all(invoiced) || Instant::now() >= give_up {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            sight = self.look().await?;
        }
        if owed.is_empty() {
            return Ok(sight);
        }
        let mut sight = self.look().await?;
        sight.findings.allocations = allocations;
        Ok(sight)
    }

    /// Accepts what is owed, as far as the ceiling goes.
    async fn accept(&self, backoff: &mut Backoff, sight: &Sight, teller: &mut Teller<'_>) {
        let api = self.rest.payment();
        for invoice in &sight.findings.invoices {
            let (id, amount) = (&invoice.invoice_id, invoice.amount);
            let what = format!("invoice {id} of {} GLM", amount.normalized());
            let Some(budget) = self
                .budget(backoff, sight, &invoice.agreement_id, amount, &what, teller)
                .await
            else {
                continue;
            };
            let acceptance = Acceptance {
                total_amount_accepted: amount,
                allocation_id: budget.allocation_id.clone(),
            };
            let send = async || api.accept_invoice(id, &acceptance).await;
            let status = async || Ok(api.invoice(id).await?.status);
            let done = accept_once(backoff, send, status).await;
            if teller.step(format!("{what} accepted"), done) {
                teller.settled.accepted = teller.settled.accepted + amount;
                self.fact(Fact::AccountClosed {
                    agreement: invoice.agreement_id.clone(),
                });
            }
            self.drop_own(backoff, sight, &budget, teller).await;
        }
        for note in &sight.findings.debit_notes {
            let (id, amount) = (&note.debit_note_id, note.amount);
            let what = format!("debit note {id} of {} GLM", amount.normalized());
            let Some(budget) = self
                .budget(backoff, sight, &note.agreement_id, amount, &what, teller)
                .await
            else {
                continue;
            };
            let acceptance = Acceptance {
                total_amount_accepted: amount,
                allocation_id: budget.allocation_id.clone(),
            };
            let send = async || api.accept_debit_note(id, &acceptance).await;
            let status = async || Ok(api.debit_note(id).await?.status);
            let done = accept_once(backoff, send, status).await;
            teller.step(format!("{what} accepted"), done);
            self.drop_own(backoff, sight, &budget, teller).await;
        }
    }

    /// A budget for a document that asks for no more than it may: one that was found, or a new one.
    async fn budget(
        &self,
        backoff: &mut Backoff,
        sight: &Sight,
        agreement: &AgreementId,
        amount: Glm,
        what: &str,
        teller: &mut Teller<'_>,
    ) -> Option<Allocation> {
        let ceiling = self.ceiling(sight, agreement);
        if amount < Glm::ZERO || ceiling.is_none_or(|ceiling| amount > ceiling) {
            let most = ceiling.map_or_else(
                || "its agreement is unknown".into(),
                |ceiling| format!("at most {} GLM can be owed", ceiling.normalized()),
            );
            teller.fail(format!("{what} is not accepted: {most}"));
            return None;
        }
        let api = self.rest.payment();
        let document = sight.documents.get(agreement)?;
        let found = backoff.read(ATTEMPTS, || api.allocations()).await;
        let ours = |it: &Allocation| {
            let findings = &sight.findings.allocations;
            findings
                .iter()
                .any(|known| known.allocation_id == it.allocation_id)
        };
        let platform = document
            .demand
            .properties
            .get("golem.com.payment.chosen-platform")
            .and_then(|value| value.as_str());
        let fits = |it: &Allocation| {
            ours(it)
                && it.remaining_amount >= amount
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
                teller.fail(format!(
                    "{what} is not accepted, there is no budget: {error}"
                ));
                None
            }
        }
    }

    /// Releases a budget that was made for one document.
    async fn drop_own(
        &self,
        backoff: &mut Backoff,
        sight: &Sight,
        budget: &Allocation,
        teller: &mut Teller<'_>,
    ) {
        let found = &sight.findings.allocations;
        if !found
            .iter()
            .any(|known| known.allocation_id == budget.allocation_id)
        {
            self.release(backoff, &budget.allocation_id, teller).await;
        }
    }

    async fn release(&self, backoff: &mut Backoff, id: &AllocationId, teller: &mut Teller<'_>) {
        let api = self.rest.payment();
        let done = backoff.read(ATTEMPTS, || api.release(id)).await;
        if teller.step(format!("allocation {id} released"), done) {
            self.fact(Fact::AllocationGone {
                allocation: id.clone(),
            });
        }
    }

    /// The most that an agreement can cost: its prices times the time that its activities lived, or
    /// it was in force as far as anybody knows.
    fn ceiling(&self, sight: &Sight, id: &AgreementId) -> Option<Glm> {
        let document = sight.documents.get(id)?;
        let offer = offer_of(document);
        let prices = offer.prices().ok()?;
        let limits = PaymentLimits::default();
        let now = self.clock.now();
        let entry = self
            .book()
            .and_then(|mut book| book.agreements.shift_remove(id));
        let end = entry.as_ref().and_then(|entry| entry.ended).unwrap_or(now);
        let lived: Vec<(Timestamp, Timestamp)> = match &entry {
            Some(entry) if !entry.activities.is_empty() => entry
                .activities
                .values()
                .map(|lifetime| (lifetime.from, lifetime.to.unwrap_or(end)))
                .collect(),
            _ => vec![(document.approved_date.unwrap_or(document.timestamp), end)],
        };
        let cost = |(from, to): &(Timestamp, Timestamp)| {
            let time = Duration::try_from(to.duration_since(*from)).unwrap_or_default();
            prices.for_time(time.saturating_add(limits.grace), offer.threads())
        };
        let total: Glm = lived.iter().map(cost).sum();
        Some(Glm::new(
            total.get().saturating_mul(Decimal::ONE + limits.tolerance),
        ))
    }

    /// Writes into the journal that what is not at the daemon is not open.
    fn close_journal(&self, left: &Findings) {
        let Some(book) = self.book() else { return };
        for op in book.unresolved.keys() {
            if left.unanswered.is_empty() {
                self.fact(Fact::Resolved { op: *op });
            }
        }
        let open = |id: &AgreementId| {
            left.agreements.iter().any(|it| it.agreement_id == *id)
                || left.invoices.iter().any(|it| it.agreement_id == *id)
                || left.debit_notes.iter().any(|it| it.agreement_id == *id)
        };
        for (id, entry) in &book.agreements {
            let paid = entry.invoice.as_ref().is_some_and(|it| it.accepted);
            // One that was used and sent no invoice yet may still send it.
            if !open(id) && (paid || entry.activities.is_empty()) {
                let agreement = id.clone();
                self.fact(Fact::AccountClosed { agreement });
            }
        }
        for id in book.demands.keys() {
            if !left.demands.iter().any(|it| it.demand_id == *id) {
                self.fact(Fact::DemandGone { demand: id.clone() });
            }
        }
        for instance in book.instances.values() {
            let mut instance = instance.clone();
            instance.state = "terminated".into();
            self.fact(Fact::Instance { instance });
        }
    }
}

/// Sends an acceptance. After a failure the document is asked for before it is sent again; as long as
/// that is not answered, nobody knows, and it is not.
async fn accept_once(
    backoff: &mut Backoff,
    send: impl AsyncFn() -> Result<(), ApiError>,
    status: impl AsyncFn() -> Result<DocumentStatus, ApiError>,
) -> Result<(), ApiError> {
    for attempt in 1.. {
        let Err(error) = send().await else { break };
        match backoff.read(ATTEMPTS, || status()).await {
            Ok(status) if payment::is_accepted(&status) => break,
            Ok(_) if error.is_retryable() && attempt < ATTEMPTS => backoff.pause().await,
            Ok(_) | Err(_) => return Err(error),
        }
    }
    Ok(())
}
