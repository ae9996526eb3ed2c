//! What may still be spent: the most that an agreement comes to when its machine is stopped in time,
//! what it has come to by now, and whether a budget has room. Owns: the rule, pure. Does not own: what
//! is done about a budget without room (`market/budget.rs`), the most that a document may ask for
//! (`ceiling.rs`).
//!
//! | agreement | promised | by now |
//! |---|---|---|
//! | paid | its invoice | its invoice |
//! | ended, nothing ran on it | nothing | nothing |
//! | in force, nothing runs on it yet | a start and [`Reserve::stop`] | nothing |
//! | running | what is known, and since then until it is stopped, all threads busy | what is known, and the same pace since then |
//! | ended, not paid | what is known, and since then until it was destroyed | the same |
//!
//! What was accepted is counted in any case, and the tolerance for bills is added to what is promised.

use std::ops::Add;
use std::time::Duration;

use golem_wire::Glm;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::agreement_record::{AgreementRecord, KnownCost, Lifetime};
use crate::model::LinearPrices;

/// How much longer than until we ask for its end a machine may count: a request takes its time.
const DESTROYING: Duration = Duration::from_secs(2);

/// How long a new machine is to be of use at the least before it has to be stopped.
const SHORTEST_USE: Duration = Duration::from_secs(5);

/// What is kept back of a budget for the machines that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// How long it may take until a running machine is stopped.
    pub(crate) stop: Duration,
    /// How much more than usage × price a bill may ask for, as a fraction.
    pub(crate) tolerance: Decimal,
}

impl Reserve {
    fn tolerated(self, amount: Glm) -> Glm {
        Glm::new(amount.get().saturating_mul(Decimal::ONE + self.tolerance))
    }

    /// What has to be left for a machine to be rented: its start, a little use, and its end.
    pub(crate) fn needed(self, prices: &LinearPrices, threads: u32) -> Glm {
        let time = self.stop.saturating_add(SHORTEST_USE);
        let use_of_it = growth(prices, threads, None, time);
        self.tolerated(Glm::new(prices.fixed) + use_of_it)
    }
}

/// What a machine costs: its prices, and its threads.
pub(crate) type Terms<'a> = (&'a LinearPrices, u32);

/// The most that an agreement comes to when its machine is told now to stop.
pub(crate) fn promised(
    (prices, threads): Terms<'_>,
    record: &AgreementRecord,
    reserve: Reserve,
    now: Timestamp,
) -> Glm {
    let accepted = record.documents.accepted();
    if record.is_paid() {
        return accepted;
    }
    let most = if record.was_used() {
        let parts = record.activities.iter();
        let parts = parts.map(|(id, lifetime)| {
            let known = record.costs.get(id).copied();
            let more = if is_running(record, *lifetime) {
                reserve.stop
            } else {
                DESTROYING
            };
            most_of((prices, threads), record, *lifetime, known, more, now)
        });
        parts.sum()
    } else if record.ended.is_some() {
        Glm::ZERO
    } else {
        Glm::new(prices.fixed) + growth(prices, threads, None, reserve.stop)
    };
    reserve.tolerated(most).max(accepted)
}

/// By how much [`promised`] may grow in a second.
pub(crate) fn rate(
    (prices, threads): Terms<'_>,
    record: &AgreementRecord,
    reserve: Reserve,
) -> Glm {
    let second = Duration::from_secs(1);
    if !record.was_used() && record.ended.is_none() {
        return reserve.tolerated(growth(prices, threads, None, second));
    }
    let running = record.activities.iter();
    let running = running.filter(|(_, lifetime)| is_running(record, **lifetime));
    let grows = running.map(|(id, lifetime)| {
        let pace = record
            .costs
            .get(id)
            .and_then(|known| pace(prices, *lifetime, *known));
        growth(prices, threads, pace, second)
    });
    reserve.tolerated(grows.sum())
}

/// What an agreement has come to by now: what was accepted, or used and not billed yet. Where the
/// usage is not known, the time is; what is not known otherwise goes on at its pace.
pub(crate) fn by_now((prices, _): Terms<'_>, record: &AgreementRecord, now: Timestamp) -> Glm {
    let accepted = record.documents.accepted();
    if record.is_paid() {
        return accepted;
    }
    let used = record.activities.iter().map(|(id, lifetime)| {
        let end = record.ended.unwrap_or(now);
        let length = lifetime.length(end);
        let by_time = |time| prices.bounded_growth(time, 0);
        match record.costs.get(id) {
            None => Glm::new(prices.fixed) + by_time(length),
            Some(known) => {
                let since = since(*lifetime, known.at, end);
                let pace = pace(prices, *lifetime, *known);
                let more = pace.map_or_else(|| by_time(since), |pace| per(pace, since));
                known.amount + more
            }
        }
    });
    let used: Glm = used.sum();
    used.max(accepted)
}

/// Whether the machine of an activity still counts.
pub(crate) fn is_running(record: &AgreementRecord, lifetime: Lifetime) -> bool {
    record.ended.is_none() && lifetime.to.is_none()
}

fn most_of(
    (prices, threads): Terms<'_>,
    record: &AgreementRecord,
    lifetime: Lifetime,
    known: Option<KnownCost>,
    more: Duration,
    now: Timestamp,
) -> Glm {
    let end = record.ended.unwrap_or(now);
    let whole = lifetime.length(end).saturating_add(more);
    let pace = known.and_then(|known| pace(prices, lifetime, known));
    let most = Glm::new(prices.fixed) + growth(prices, threads, pace, whole);
    let Some(known) = known else {
        return most;
    };
    let since = since(lifetime, known.at, end).saturating_add(more);
    let by_what_is_known = known.amount + growth(prices, threads, pace, since);
    if prices.is_bounded() {
        most.min(by_what_is_known)
    } else {
        by_what_is_known
    }
}

/// The growth in this time, all threads busy. Counters that time does not bound go on at the pace
/// known, if one is.
fn growth(prices: &LinearPrices, threads: u32, pace: Option<Decimal>, time: Duration) -> Glm {
    let bounded = prices.bounded_growth(time, threads);
    match pace {
        Some(pace) if !prices.is_bounded() => bounded + per(pace, time),
        _ => bounded,
    }
}

/// From when something was known on, as far as the activity lived.
fn since(lifetime: Lifetime, known_at: Timestamp, end: Timestamp) -> Duration {
    let from = known_at.max(lifetime.from);
    Lifetime { from, ..lifetime }.length(end)
}

/// What an activity cost in each second, up to when that was known.
fn pace(prices: &LinearPrices, lifetime: Lifetime, known: KnownCost) -> Option<Decimal> {
    let lived = known.at.duration_since(lifetime.from);
    let seconds =
        Decimal::from(lived.as_millis().clamp(0, i64::MAX.into()) as i64) / Decimal::from(1000);
    let used = (known.amount.get() - prices.fixed).max(Decimal::ZERO);
    used.checked_div(seconds)
}

fn per(pace: Decimal, time: Duration) -> Glm {
    let millis = time.as_millis().min(i64::MAX as u128) as i64;
    Glm::new(pace.saturating_mul(Decimal::from(millis) / Decimal::from(1000)))
}

/// Where a budget stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spending {
    /// Accepted, of this budget.
    pub(crate) accepted: Glm,
    /// What the agreements have come to by now, accepted or not.
    pub(crate) by_now: Glm,
    /// What they come to when all machines are told now to stop.
    pub(crate) promised: Glm,
    /// By how much that may grow in a second.
    pub(crate) rate: Glm,
    /// How many agreements are in force.
    pub(crate) open: usize,
    /// Whether one of them has a price for something that time does not bound.
    pub(crate) unbounded: bool,
}

impl Add for Spending {
    type Output = Spending;

    fn add(self, other: Spending) -> Spending {
        Spending {
            accepted: self.accepted + other.accepted,
            by_now: self.by_now + other.by_now,
            promised: self.promised + other.promised,
            rate: self.rate + other.rate,
            open: self.open + other.open,
            unbounded: self.unbounded || other.unbounded,
        }
    }
}

impl Spending {
    /// What is left to pay when so much of it is paid from elsewhere.
    pub(crate) fn beyond(self, elsewhere: Glm) -> Spending {
        let left = |amount: Glm| (amount - elsewhere).max(Glm::ZERO);
        Spending {
            accepted: left(self.accepted),
            by_now: left(self.by_now),
            promised: left(self.promised),
            ..self
        }
    }

    /// Whether something may still be spent of so much in all.
    pub(crate) fn fits(&self, total: Glm) -> bool {
        self.promised <= total || golem_probe::planted!("the-budget-bounds-nobody")
    }

    /// When nothing may be left of so much, at the earliest; `None` while nothing is spent.
    pub(crate) fn lasts(&self, total: Glm) -> Option<Duration> {
        if golem_probe::planted!("the-budget-bounds-nobody") {
            return None;
        }
        let left = (total - self.promised).get().max(Decimal::ZERO);
        let rate = self.rate.get();
        if rate <= Decimal::ZERO {
            return None;
        }
        // Counted in milliseconds, cut off.
        let millis = left.checked_div(rate)?.checked_mul(Decimal::from(1000))?;
        let millis: u64 = millis.trunc().try_into().unwrap_or(u64::MAX);
        Some(Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests;
