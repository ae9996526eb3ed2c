//! The engine's budget at work: whether it has room for one more machine, and that all machines stop
//! before it is used up. Owns: who has a claim to it, how far it is used, and the loop that watches it.
//! Does not own: the rule (`settle/spending.rs`), the allocation at the daemon (`payment/`), how
//! machines are stopped (`service/`, `task/`).
//!
//! | level | when | what follows |
//! |---|---|---|
//! | open | what is promised fits | machines are rented as long as they fit as well |
//! | ending | with [`PaymentLimits::stop_reserve`] it fits no longer, or the daemon refused to pay | no machine is rented, instances are stopped, tasks in work are finished |
//! | over | with [`CUT`] it fits no longer | handlers and tasks are cut off, agreements are terminated |
//!
//! A budget that was raised is open again.
//!
//! [`PaymentLimits::stop_reserve`]: crate::config::PaymentLimits::stop_reserve

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_wire::{AllocationId, Glm};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::own_allocations::{OwnBudget, Platform};
use super::{Rental, Rentals};
use crate::context::Context;
use crate::event::{self, BudgetAmended, BudgetLow};
use crate::journal::Fact;
use crate::model::LinearPrices;
use crate::settle::spending::{Reserve, Spending};

/// What is left of [`PaymentLimits::stop_reserve`](crate::config::PaymentLimits::stop_reserve) when
/// what did not end by itself is cut off.
const CUT: Duration = Duration::from_secs(5);

/// How often it is looked at the most, which is also how often while something is waited for.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// How often it is looked at the least while a machine is rented.
const LOOK_AT_LEAST: Duration = Duration::from_secs(600);

/// How often it is looked where a price is for something that time does not bound.
const LOOK_UNBOUNDED: Duration = Duration::from_secs(30);

/// How long what was found is good enough to say that there is no room.
const FRESH: Duration = Duration::from_secs(1);

/// Machines that are asked at the same time what they used.
const ASKED_AT_ONCE: usize = 64;

/// From what share of a budget on its user is told.
const LOW: Decimal = Decimal::from_parts(8, 0, 0, false, 1);

/// The budget is used up, or has no room for one more machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[non_exhaustive]
pub struct BudgetExhausted {
    /// The platform whose budget it is, if the engine has [several](crate::GolemBuilder::also_pay_on).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Box<str>>,
    /// The budget, in GLM.
    pub total: Glm,
    /// What was accepted of it up to now.
    pub accepted: Glm,
    /// What was accepted and what running machines may still ask for until they are stopped.
    pub promised: Glm,
    /// What one more machine would have needed: its start, five seconds of use, and its end.
    pub needed: Option<Glm>,
}

impl fmt::Display for BudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [total, accepted, promised] = [self.total, self.accepted, self.promised].map(shown);
        let more = shown(self.promised - self.accepted);
        let on = self.platform.as_ref();
        let on = on.map_or_else(String::new, |platform| format!(" on {platform}"));
        let amend = match &self.platform {
            None => "amend_budget",
            Some(_) => "amend_budget_on",
        };
        match self.needed.map(shown) {
            None => write!(
                f,
                "the budget of {total} GLM{on} is used up: {accepted} GLM are accepted, and the machines may still ask for {more} GLM until they are stopped; raise it with `Golem::{amend}`"
            ),
            Some(needed) if self.promised.is_zero() => write!(
                f,
                "the budget of {total} GLM{on} is too small for a machine, which needs at least {needed} GLM (its start, some seconds of use, and the time to stop it, all threads busy)"
            ),
            Some(needed) => write!(
                f,
                "the budget of {total} GLM{on} has no room for another machine: {promised} GLM are accepted or may still be asked for, and it needs at least {needed} GLM; raise it with `Golem::{amend}`"
            ),
        }
    }
}

/// Amounts in words: six digits are enough.
fn shown(amount: Glm) -> Glm {
    Glm::new(amount.get().round_dp(6)).normalized()
}

/// How far the budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The budget, in GLM.
    pub total: Glm,
    /// What was accepted of it: invoices, and debit notes of agreements without one.
    pub accepted: Glm,
    /// What was used by now, accepted or not.
    pub used: Glm,
    /// What it comes to when all machines are told now to stop.
    pub promised: Glm,
    /// Whether no machine is rented any more until it is raised.
    pub exhausted: bool,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Open,
    Ending(BudgetExhausted),
    Over(BudgetExhausted),
}

impl Level {
    fn number(&self) -> u8 {
        match self {
            Level::Open => 0,
            Level::Ending(_) => 1,
            Level::Over(_) => 2,
        }
    }

    fn shortage(&self) -> Option<&BudgetExhausted> {
        match self {
            Level::Open => None,
            Level::Ending(shortage) | Level::Over(shortage) => Some(shortage),
        }
    }
}

/// The budget of an engine on a payment platform.
pub(crate) struct Budget {
    context: Arc<Context>,
    rentals: Arc<Rentals>,
    /// What is paid on it counts.
    platform: Platform,
    /// Whether there are others: words name the platform then.
    is_one_of_several: bool,
    /// What the settings ask for.
    asked: Glm,
    /// The allocation that holds it, and when that ends, or would have.
    allocation: (AllocationId, Option<Timestamp>),
    inner: Mutex<Inner>,
    level: Mutex<Level>,
    /// The level changed. Not a `watch` channel, which wakes those who wait in no certain order.
    changed: Notify,
    /// It was looked, for those who wait for room.
    looked: Notify,
    /// Something happened that should be looked at.
    news: Notify,
}

struct Inner {
    total: Glm,
    /// What earlier runs accepted of it.
    before: Glm,
    /// What budgets of earlier runs have left for what those owe.
    earlier: Glm,
    /// Machines that are being rented.
    claims: BTreeMap<u64, Glm>,
    next_claim: u64,
    /// What was claimed since the latest look, and before it by those who still rent.
    claimed: Glm,
    latest: Option<(Instant, Spending)>,
    told_low: bool,
    /// How many wait for room.
    waiting: usize,
}

/// Room for a machine, until its agreement is in force and counts by itself.
pub(crate) struct Claim {
    budget: Arc<Budget>,
    number: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.lock().claims.remove(&self.number);
        self.budget.news.notify_one();
    }
}

/// Why there is no room.
enum NoRoom {
    /// Something may come back.
    Now(BudgetExhausted),
    /// More is spent already than leaves room.
    Ever(BudgetExhausted),
}

/// One who waits for room.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn on(budget: &'a Budget) -> Self {
        budget.lock().waiting += 1;
        budget.news.notify_one();
        Waiting(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

impl Budget {
    /// What `own` is worth. It may be that a life before, which crashed, had used it up.
    pub(crate) fn new(
        context: Arc<Context>,
        rentals: Arc<Rentals>,
        budget: &OwnBudget,
        is_one_of_several: bool,
    ) -> Self {
        let own = &budget.allocation;
        let platform = own.payment_platform.as_str();
        let used_up = || BudgetExhausted {
            platform: is_one_of_several.then(|| platform.into()),
            total: own.total_amount.glm(),
            accepted: own.spent_amount.glm(),
            promised: own.spent_amount.glm(),
            needed: None,
        };
        Budget {
            platform: platform.into(),
            is_one_of_several,
            asked: budget.asked,
            context,
            rentals,
            allocation: (
                own.allocation_id.clone(),
                own.timeout
                    .as_ref()
                    // Somebody else's is not written down: no later life releases it.
                    .filter(|_| !budget.is_shared)
                    .map(|timeout| timeout.at()),
            ),
            inner: Mutex::new(Inner {
                total: own.total_amount.glm(),
                before: own.spent_amount.glm(),
                earlier: Glm::ZERO,
                claims: BTreeMap::new(),
                next_claim: 0,
                claimed: Glm::ZERO,
                latest: None,
                told_low: false,
                waiting: 0,
            }),
            level: Mutex::new(match budget.exhausted {
                true => Level::Ending(used_up()),
                false => Level::Open,
            }),
            changed: Notify::new(),
            looked: Notify::new(),
            news: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the amounts consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, level: Level) {
        *self.level() = level;
        self.changed.notify_waiters();
    }

    /// What is kept back for machines that need `stop` to end.
    fn reserve(&self, stop: Duration) -> Reserve {
        Reserve {
            stop,
            tolerance: self.context.config().payment.tolerance,
        }
    }

    fn stop_reserve(&self) -> Duration {
        self.context.config().payment.stop_reserve
    }

    /// Debts of earlier runs are paid from budgets that have so much left.
    pub(crate) fn add_earlier(&self, left: Glm) {
        let mut inner = self.lock();
        inner.earlier = inner.earlier + left;
    }

    /// What is spent, counted anew.
    fn count(&self, stop: Duration) -> Spending {
        let (before, earlier) = {
            let inner = self.lock();
            (inner.before, inner.earlier)
        };
        let platform = &self.platform;
        self.rentals.spending(
            platform,
            self.reserve(stop),
            before,
            earlier,
            self.context.now(),
        )
    }

    /// The same, remembered.
    fn look(&self) -> Spending {
        let spending = self.count(self.stop_reserve());
        let mut inner = self.lock();
        inner.latest = Some((Instant::now(), spending));
        inner.claimed = inner.claims.values().copied().sum();
        drop(inner);
        self.looked.notify_waiters();
        spending
    }

    /// How far it is used.
    pub(crate) fn status(&self) -> BudgetStatus {
        let spending = self.look();
        BudgetStatus {
            total: self.lock().total,
            accepted: spending.accepted,
            used: spending.by_now,
            promised: spending.promised,
            exhausted: self.exhausted().is_some(),
        }
    }

    /// Waits until the level is above the one that was heard of.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn beyond(&self, heard: u8) -> (u8, BudgetExhausted) {
        loop {
            // No change from here on is missed.
            let changed = self.changed.notified();
            if let Some(beyond) = self.level_above(heard) {
                return beyond;
            }
            changed.await;
        }
    }

    /// Its level, if it is above the one that was heard of.
    pub(super) fn level_above(&self, heard: u8) -> Option<(u8, BudgetExhausted)> {
        let level = self.level();
        let shortage = level.shortage().filter(|_| level.number() > heard)?;
        Some((level.number(), shortage.clone()))
    }

    /// Whether there is room for a machine with these prices just now.
    pub(super) fn has_room(self: &Arc<Self>, prices: &LinearPrices, threads: u32) -> bool {
        let needed = self.reserve(self.stop_reserve()).needed(prices, threads);
        // The claim is given back at once.
        self.try_claim(needed).is_ok()
    }

    /// Whether no machine is rented any more, and why.
    pub(crate) fn exhausted(&self) -> Option<BudgetExhausted> {
        self.level().shortage().cloned()
    }

    /// Room for a machine with these prices. Waits for `within` if it may come, since other machines
    /// hold what it needs.
    ///
    /// # Errors
    /// There is no room.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        prices: &LinearPrices,
        threads: u32,
        within: Duration,
    ) -> Result<Claim, BudgetExhausted> {
        let needed = self.reserve(self.stop_reserve()).needed(prices, threads);
        match self.try_claim(needed) {
            Ok(claim) => Ok(claim),
            Err(NoRoom::Ever(why)) => Err(why),
            // Boxed: most find room at once.
            Err(NoRoom::Now(why)) => Box::pin(self.wait_for_room(needed, why, within)).await,
        }
    }

    async fn wait_for_room(
        self: &Arc<Self>,
        needed: Glm,
        mut why: BudgetExhausted,
        within: Duration,
    ) -> Result<Claim, BudgetExhausted> {
        let waiting = Waiting::on(self);
        let patience = sleep(within.min(super::LONGEST_WAIT));
        tokio::pin!(patience);
        loop {
            tokio::select! {
                biased;
                () = &mut patience => return Err(why),
                (_, exhausted) = self.beyond(0) => return Err(exhausted),
                () = self.looked.notified() => {}
            }
            match self.try_claim(needed) {
                Ok(claim) => {
                    drop(waiting);
                    return Ok(claim);
                }
                Err(NoRoom::Ever(why)) => return Err(why),
                Err(NoRoom::Now(still)) => why = still,
            }
        }
    }

    fn try_claim(self: &Arc<Self>, needed: Glm) -> Result<Claim, NoRoom> {
        if let Some(exhausted) = self.exhausted() {
            return Err(NoRoom::Ever(exhausted));
        }
        let now = Instant::now();
        let has_room = |inner: &Inner| {
            let (at, spending) = inner.latest.as_ref()?;
            let since = now.saturating_duration_since(*at).as_millis();
            let since = Decimal::from(since.min(i64::MAX as u128) as i64) / Decimal::from(1000);
            let grown = Glm::new(spending.rate.get().saturating_mul(since));
            let promised = spending.promised + grown + inner.claimed;
            let fresh = now.saturating_duration_since(*at) < FRESH;
            let fits = promised + needed <= inner.total
                || golem_probe::planted!("the-budget-bounds-nobody");
            Some((fits, fresh, promised, *spending))
        };
        let known = has_room(&self.lock());
        if !matches!(known, Some((true, ..) | (false, true, ..))) {
            self.look();
        }
        let mut inner = self.lock();
        let Some((fits, _, promised, spending)) = has_room(&inner) else {
            return Err(NoRoom::Now(self.shortage(
                &inner,
                Spending::default(),
                needed,
            )));
        };
        if fits {
            let number = inner.next_claim;
            inner.next_claim += 1;
            inner.claims.insert(number, needed);
            inner.claimed = inner.claimed + needed;
            return Ok(Claim {
                budget: Arc::clone(self),
                number,
            });
        }
        let spent = spending.by_now;
        let shortage = self.shortage(
            &inner,
            Spending {
                promised,
                ..spending
            },
            needed,
        );
        golem_probe::sometimes!(
            spent + needed <= inner.total,
            "a machine waits for room in the budget"
        );
        Err(match spent + needed > inner.total {
            true => NoRoom::Ever(shortage),
            false => NoRoom::Now(shortage),
        })
    }

    fn shortage(&self, inner: &Inner, spending: Spending, needed: Glm) -> BudgetExhausted {
        BudgetExhausted {
            platform: self.told_platform(),
            total: inner.total,
            accepted: spending.accepted,
            promised: spending.promised,
            needed: Some(needed),
        }
    }

    /// What words about it name.
    fn told_platform(&self) -> Option<Box<str>> {
        self.is_one_of_several.then(|| (*self.platform).into())
    }

    /// The daemon refused to accept a document, since the budget does not hold what it asks for.
    pub(crate) fn refused(&self) {
        let spending = self.look();
        self.end(&spending);
        self.news.notify_one();
    }

    /// The daemon keeps so much from now on.
    pub(crate) fn amended(&self, total: Glm) {
        {
            let mut inner = self.lock();
            inner.total = total;
            inner.told_low = false;
        }
        let spending = self.look();
        if spending.fits(total) {
            if self.exhausted().is_some() {
                self.write_down(false);
            }
            self.set(Level::Open);
        }
        let platform = self.told_platform().map(String::from);
        self.context.tell(BudgetAmended { platform, total });
        self.news.notify_one();
    }

    fn exhausted_by(&self, spending: &Spending) -> BudgetExhausted {
        BudgetExhausted {
            platform: self.told_platform(),
            total: self.lock().total,
            accepted: spending.accepted,
            promised: spending.promised,
            needed: None,
        }
    }

    fn end(&self, spending: &Spending) {
        let why = self.exhausted_by(spending);
        let begins = *self.level() == Level::Open;
        if begins {
            self.write_down(true);
            self.set(Level::Ending(why.clone()));
            self.tell_exhausted(&why);
        }
    }

    fn tell_exhausted(&self, why: &BudgetExhausted) {
        tracing::warn!(%why, "no machine is rented any more, and those that run are stopped");
        self.context.tell(event::BudgetExhausted {
            platform: self.told_platform().map(String::from),
            total: why.total,
            accepted: why.accepted,
            promised: why.promised,
        });
    }

    /// For the life after a crash.
    fn write_down(&self, exhausted: bool) {
        if let (allocation, Some(timeout)) = &self.allocation {
            self.context.log().fact(Fact::AllocationFound {
                allocation: allocation.clone(),
                total: self.asked,
                timeout: *timeout,
                exhausted,
            });
        }
    }

    /// Looks how far it is used, decides what follows, and says when to look again.
    async fn watch(&self) -> Option<Duration> {
        let total = || self.lock().total;
        let mut spending = self.look();
        // Or will be before it is looked again.
        let is_used_up = |spending: &Spending| {
            let left = spending.lasts(total());
            !spending.fits(total()) || left.is_some_and(|left| left < LOOK_EVERY)
        };
        if spending.open > 0 && (self.exhausted().is_some() || is_used_up(&spending)) {
            // What was used is asked for before anything is stopped for what may have been used.
            self.measure().await;
            spending = self.look();
            if is_used_up(&spending) {
                self.end(&spending);
            }
        }
        self.tell_low(&spending);
        if let Some(why) = self.exhausted() {
            let over = matches!(*self.level(), Level::Over(_));
            if over {
                // Whoever had a machine has given it back.
                for rental in self.open() {
                    rental.give_up("the budget is used up");
                }
            } else if !self.count(CUT.min(self.stop_reserve())).fits(total()) {
                self.set(Level::Over(why));
            }
            return (spending.open > 0).then_some(LOOK_EVERY);
        }
        if self.lock().waiting > 0 {
            return Some(LOOK_EVERY);
        }
        if spending.open == 0 {
            return None;
        }
        let most = match spending.unbounded {
            true => LOOK_UNBOUNDED,
            false => LOOK_AT_LEAST,
        };
        let lasts = spending.lasts(total()).unwrap_or(most);
        Some(lasts.clamp(LOOK_EVERY, most))
    }

    fn tell_low(&self, spending: &Spending) {
        let total = {
            let mut inner = self.lock();
            let low = spending.promised.get() >= inner.total.get().saturating_mul(LOW);
            if inner.told_low || !low || spending.promised.is_zero() {
                return;
            }
            inner.told_low = true;
            inner.total
        };
        self.context.tell(BudgetLow {
            platform: self.told_platform().map(String::from),
            total,
            accepted: spending.accepted,
            promised: spending.promised,
        });
    }

    /// Agreements in force that it pays for.
    fn open(&self) -> Vec<Arc<Rental>> {
        let mut open = self.rentals.open();
        open.retain(|rental| *rental.platform() == self.platform);
        open
    }

    /// Asks for what all that runs has used.
    async fn measure(&self) {
        futures::stream::iter(self.open())
            .for_each_concurrent(ASKED_AT_ONCE, |rental| async move {
                rental.measure_all().await;
            })
            .await;
    }
}

/// Watches the budget, as long as its task runs.
pub(crate) async fn watch_over(budget: Arc<Budget>) {
    if let Some(why) = budget.exhausted() {
        budget.tell_exhausted(&why);
    }
    loop {
        let next = budget.watch().await;
        let pause = async {
            match next {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = pause => {}
            // What follows soon is looked at together with it.
            () = budget.news.notified() => sleep(FRESH).await,
        }
    }
}
