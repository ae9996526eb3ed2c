//! What is owed: accepted within the ceiling, from a budget that was found or a new one, and
//! nothing twice. Does not own: finding it (`examine.rs`), or when it is its turn (`settle.rs`).

use std::time::Duration;

use golem_wire::payment::{Acceptance, Allocation, DocumentStatus, NewAllocation};
use golem_wire::{AgreementId, AllocationId, Glm};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::Value;

use super::Doctor;
use super::examine::Snapshot;
use super::settle::ATTEMPTS;
use super::settled::StepLog;
use crate::api::ApiError;
use crate::config::PaymentLimits;
use crate::journal::Fact;
use crate::market::offer_of;
use crate::payment;
use crate::retry::Backoff;

/// How long a budget lives that is made for debts only.
const BUDGET_FOR: SignedDuration = SignedDuration::from_mins(30);

impl Doctor {
    /// Accepts what is owed, as far as the ceiling goes.
    pub(super) async fn accept(
        &self,
        backoff: &mut Backoff,
        snapshot: &Snapshot,
        steps: &mut StepLog<'_>,
    ) {
        let api = self.rest.payment();
        for invoice in &snapshot.findings.invoices {
            let (id, amount) = (&invoice.invoice_id, invoice.amount);
            let what = format!("invoice {id} of {} GLM", amount.normalized());
            let Some(budget) = self
                .budget(
                    backoff,
                    snapshot,
                    &invoice.agreement_id,
                    amount,
                    &what,
                    steps,
                )
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
            if steps.step(format!("{what} accepted"), done) {
                steps.settled.accepted = steps.settled.accepted + amount;
                self.fact(Fact::AccountClosed {
                    agreement: invoice.agreement_id.clone(),
                });
            }
            self.drop_own(backoff, snapshot, &budget, steps).await;
        }
        for note in &snapshot.findings.debit_notes {
            let (id, amount) = (&note.debit_note_id, note.amount);
            let what = format!("debit note {id} of {} GLM", amount.normalized());
            let Some(budget) = self
                .budget(backoff, snapshot, &note.agreement_id, amount, &what, steps)
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
            steps.step(format!("{what} accepted"), done);
            self.drop_own(backoff, snapshot, &budget, steps).await;
        }
    }

    /// A budget for a document that asks for no more than it may: one that was found, or a new one.
    async fn budget(
        &self,
        backoff: &mut Backoff,
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
        let found = backoff.read(ATTEMPTS, || api.allocations()).await;
        let ours = |it: &Allocation| {
            let findings = &snapshot.findings.allocations;
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
        backoff: &mut Backoff,
        snapshot: &Snapshot,
        budget: &Allocation,
        steps: &mut StepLog<'_>,
    ) {
        let found = &snapshot.findings.allocations;
        if !found
            .iter()
            .any(|known| known.allocation_id == budget.allocation_id)
        {
            self.release(backoff, &budget.allocation_id, steps).await;
        }
    }

    pub(super) async fn release(
        &self,
        backoff: &mut Backoff,
        id: &AllocationId,
        steps: &mut StepLog<'_>,
    ) {
        let api = self.rest.payment();
        let done = backoff.read(ATTEMPTS, || api.release(id)).await;
        if steps.step(format!("allocation {id} released"), done) {
            self.fact(Fact::AllocationGone {
                allocation: id.clone(),
            });
        }
    }

    /// The most that an agreement can cost: its prices times the time that its activities lived, or
    /// it was in force as far as anybody knows.
    fn ceiling(&self, snapshot: &Snapshot, id: &AgreementId) -> Option<Glm> {
        let document = snapshot.documents.get(id)?;
        let offer = offer_of(document);
        let prices = offer.prices().ok()?;
        let limits = PaymentLimits::default();
        let now = self.clock.now();
        let entry = self
            .open_state()
            .and_then(|mut open_state| open_state.agreements.shift_remove(id));
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
