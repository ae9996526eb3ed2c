//! Allocations: money set aside, one state machine each. Synchronous and without a clock.
//!
//! ```text
//! live --amend--> live      total >= spent, timeout in the future
//! live --charge--> live     charge <= remaining
//! live --release--> released (by its owner, or by itself at the timeout)
//! ```
//! Which allocation pays for a document is only known when the document is accepted.

use golem_wire::payment::{self as wire_payment, Deposit};
use golem_wire::{ActivityId, AgreementId, AllocationId, GivenAmount, GivenTime, Glm, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::timeline::Ticket;

/// What an allocation has been charged for one agreement, or for one activity of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expenditure {
    /// Accepted.
    pub accepted: Glm,
    /// Handed to the payment driver.
    pub scheduled: Glm,
}

/// For what an allocation is charged: an agreement, or one activity of it.
pub(crate) type Purpose = (AgreementId, Option<ActivityId>);

/// Money set aside.
#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    pub(crate) id: AllocationId,
    pub(crate) owner: NodeId,
    pub(crate) address: String,
    pub(crate) platform: String,
    pub(crate) spent: Glm,
    pub(crate) remaining: Glm,
    /// The total as it was given, where our amounts do not hold it.
    pub(crate) given: Option<GivenAmount>,
    pub(crate) timeout: GivenTime,
    pub(crate) created_at: Timestamp,
    pub(crate) deposit: Option<Deposit>,
    pub(crate) released: bool,
    pub(crate) expenditures: IndexMap<Purpose, Expenditure>,
    /// The release at the timeout.
    pub(crate) ticket: Option<Ticket>,
}

/// Why an allocation refused, in the daemon's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AllocationError {
    /// Below what is spent.
    #[error("New allocation would be smaller than the already spent amount")]
    BelowSpent,
    /// Timeouts are in the future.
    #[error("New allocation timeout is in the past")]
    TimeoutPassed,
    /// More than is left.
    #[error("Not enough funds. Allocated: {allocated} Needed: {needed}")]
    NotEnough {
        /// What is left.
        allocated: Glm,
        /// What the document costs beyond what is accepted already.
        needed: Glm,
    },
    /// A deposit is there from the beginning or never.
    #[error("Cannot update deposit of an allocation created without one")]
    NoDeposit,
    /// It is over.
    #[error("Allocation {0} has been already released")]
    Released(AllocationId),
}

impl Allocation {
    /// Amount set aside.
    pub(crate) fn total(&self) -> Glm {
        // As the daemon reports it: the more precise of both summands sets the digits.
        self.spent + self.remaining
    }

    /// Whether `total` and `timeout` may replace the current ones at `now`.
    ///
    /// # Errors
    /// See [`AllocationError`].
    pub(crate) fn check_amend(
        &self,
        total: Option<Glm>,
        timeout: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), AllocationError> {
        self.check_live()?;
        if total.is_some_and(|total| total < self.spent) {
            return Err(AllocationError::BelowSpent);
        }
        if timeout.is_some_and(|timeout| timeout <= now) {
            return Err(AllocationError::TimeoutPassed);
        }
        Ok(())
    }

    /// Replaces total and timeout.
    ///
    /// # Errors
    /// As [`Allocation::check_amend`]; nothing changes then.
    pub(crate) fn amend(
        &mut self,
        total: Option<GivenAmount>,
        timeout: Option<GivenTime>,
        now: Timestamp,
    ) -> Result<(), AllocationError> {
        let at = timeout.as_ref().map(GivenTime::at);
        self.check_amend(total.as_ref().map(GivenAmount::glm), at, now)?;
        if let Some(total) = total {
            self.remaining = total.glm() - self.spent;
            self.given = Some(total);
        }
        if let Some(timeout) = timeout {
            self.timeout = timeout;
        }
        Ok(())
    }

    /// Takes `amount` for `purpose`.
    ///
    /// # Errors
    /// When it is released or holds less than `amount`; nothing changes then.
    pub(crate) fn charge(&mut self, purpose: Purpose, amount: Glm) -> Result<(), AllocationError> {
        self.check_live()?;
        if amount > Glm::ZERO
            && amount > self.remaining
            && !golem_probe::planted!("the-budget-bounds-nobody")
        {
            return Err(AllocationError::NotEnough {
                allocated: self.remaining,
                needed: amount,
            });
        }
        if amount > Glm::ZERO {
            self.spent = self.spent + amount;
            self.remaining = self.remaining - amount;
            let expenditure = self.expenditures.entry(purpose).or_default();
            expenditure.accepted = expenditure.accepted + amount;
        }
        Ok(())
    }

    /// Gives back what is left.
    ///
    /// # Errors
    /// When it is released already.
    pub(crate) fn release(&mut self) -> Result<(), AllocationError> {
        golem_probe::sometimes!(self.released, "a budget is released twice");
        if !golem_probe::planted!("an-allocation-is-released-again") {
            self.check_live()?;
        }
        self.released = true;
        Ok(())
    }

    fn check_live(&self) -> Result<(), AllocationError> {
        if self.released {
            Err(AllocationError::Released(self.id.clone()))
        } else {
            Ok(())
        }
    }

    /// As its owner sees it.
    pub(crate) fn to_wire(&self) -> wire_payment::Allocation {
        // Until something is spent, the digits are those that were given.
        let given = self.given.clone().filter(|_| self.spent.is_zero());
        wire_payment::Allocation {
            allocation_id: self.id.clone(),
            address: self.address.clone(),
            payment_platform: self.platform.clone(),
            total_amount: given.clone().unwrap_or_else(|| self.total().into()),
            spent_amount: self.spent.into(),
            remaining_amount: given.unwrap_or_else(|| self.remaining.into()),
            timestamp: self.created_at,
            timeout: Some(self.timeout.clone()),
            created_ts: self.created_at,
            // The daemon does not touch it when the allocation changes.
            updated_ts: self.created_at,
            // Whatever was asked for.
            make_deposit: false,
            deposit: self.deposit.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glm(text: &str) -> Glm {
        text.parse().expect("amount")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn allocation(total: &str) -> Allocation {
        Allocation {
            id: "a".into(),
            owner: "0x1".into(),
            address: "0x1".into(),
            platform: "erc20-holesky-tglm".into(),
            spent: Glm::ZERO,
            remaining: glm(total),
            given: None,
            timeout: at(100).into(),
            created_at: at(0),
            deposit: None,
            released: false,
            expenditures: IndexMap::new(),
            ticket: None,
        }
    }

    fn purpose() -> Purpose {
        ("agreement".into(), None)
    }

    enum Op {
        Charge(&'static str),
        Total(&'static str),
        Timeout(i64),
        Release,
    }

    #[test]
    fn every_operation_in_every_state_does_what_the_table_says() {
        use AllocationError as E;
        let not_enough = |allocated, needed| {
            Err(E::NotEnough {
                allocated: glm(allocated),
                needed: glm(needed),
            })
        };
        // operation, its answer, then total, spent and whether it is released
        let table = [
            (Op::Charge("0.001"), Ok(()), "1.000", "0.001", false),
            (
                Op::Charge("1"),
                not_enough("0.999", "1"),
                "1",
                "0.001",
                false,
            ),
            (Op::Charge("0.999"), Ok(()), "1", "1", false),
            (
                Op::Charge("0.000000000000000001"),
                not_enough("0", "0.000000000000000001"),
                "1",
                "1",
                false,
            ),
            (Op::Total("0.5"), Err(E::BelowSpent), "1", "1", false),
            (Op::Total("-1"), Err(E::BelowSpent), "1", "1", false),
            (Op::Total("1"), Ok(()), "1", "1", false),
            (Op::Total("5"), Ok(()), "5", "1", false),
            (Op::Timeout(9), Err(E::TimeoutPassed), "5", "1", false),
            (Op::Timeout(11), Ok(()), "5", "1", false),
            (Op::Release, Ok(()), "5", "1", true),
            (Op::Release, Err(E::Released("a".into())), "5", "1", true),
            (
                Op::Charge("1"),
                Err(E::Released("a".into())),
                "5",
                "1",
                true,
            ),
            (Op::Total("9"), Err(E::Released("a".into())), "5", "1", true),
        ];
        let mut allocation = allocation("1.0");
        for (step, (op, answer, total, spent, released)) in table.into_iter().enumerate() {
            let got = match op {
                Op::Charge(amount) => allocation.charge(purpose(), glm(amount)),
                Op::Total(total) => allocation.amend(Some(glm(total).into()), None, at(10)),
                Op::Timeout(second) => allocation.amend(None, Some(at(second).into()), at(10)),
                Op::Release => allocation.release(),
            };
            assert_eq!(got, answer, "step {step}");
            assert_eq!(
                (allocation.total(), allocation.spent, allocation.released),
                (glm(total), glm(spent), released),
                "after step {step}"
            );
        }
        assert_eq!(allocation.expenditures[&purpose()].accepted, glm("1"));
    }

    #[test]
    fn totals_show_the_digits_of_what_was_spent() {
        let mut allocation = allocation("1.0");
        allocation.charge(purpose(), glm("0.001")).expect("enough");
        let wire = allocation.to_wire();
        assert_eq!(wire.total_amount.to_string(), "1.000");
        assert_eq!(wire.remaining_amount.to_string(), "0.999");
    }

    #[test]
    fn a_zero_charge_leaves_no_expenditure_and_works_without_money() {
        let mut allocation = allocation("0");
        allocation
            .charge(purpose(), Glm::ZERO)
            .expect("nothing needed");
        assert!(allocation.expenditures.is_empty());
    }
}
