//! The budget at the daemon: set aside at the start, kept alive, released at the end.

use std::sync::Arc;
use std::time::Duration;

use golem_wire::payment::{Allocation, AllocationUpdate, NewAllocation};
use golem_wire::{AllocationId, Glm};
use jiff::Timestamp;
use rand::RngExt;
use serde_json::{Value, json};

use super::reconcile::catch_up;
use super::{Payments, PreviousBudget};
use crate::api::payment::Shortage;
use crate::api::{ApiError, Outcome, Rest};
use crate::config::{Config, Recovery};
use crate::deadline;
use crate::error::Error;
use crate::journal::{Fact, OpenState};
use crate::lifecycle::payment::Again;
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::rng::Seed;
use crate::settle::{Ender, plan};

const ATTEMPTS: u32 = 5;

/// Finds the account of the configuration and sets the budget aside. To be called in an owned task.
pub(crate) async fn reserve(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
) -> Result<Allocation, Error> {
    let api = rest.payment();
    let mut backoff = Backoff::new(seed.fork("accounts"));
    let accounts = backoff.read(ATTEMPTS, || api.accounts()).await?;
    let fits = |account: &&golem_wire::payment::Account| {
        account.driver.eq_ignore_ascii_case(&config.payment_driver)
            && account
                .network
                .eq_ignore_ascii_case(&config.payment_network)
            && account.send
    };
    let no_account = || {
        let known: Vec<&str> = accounts
            .iter()
            .map(|account| account.platform.as_str())
            .collect();
        Error::NoPaymentAccount {
            driver: config.payment_driver.clone(),
            network: config.payment_network.clone(),
            known: if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            },
        }
    };
    let account = accounts.iter().find(fits);
    let platform = match account {
        Some(account) => Value::from(account.platform.as_str()),
        // A daemon lists accounts that were initialised for sending since it was installed; one
        // without any may still know how to pay, and says so itself.
        None if accounts.is_empty() => json!({
            "driver": config.payment_driver,
            "network": config.payment_network,
        }),
        None => return Err(no_account()),
    };
    let wanted = NewAllocation {
        address: account.map(|account| account.address.clone()),
        payment_platform: Some(platform),
        total_amount: config.budget,
        timeout: Some(timeout(config, seed, now)),
        make_deposit: false,
        deposit: config.deposit.clone(),
        extend_timeout: None,
    };
    let policy = Policy::new(&mut backoff, ATTEMPTS);
    let allocated = retry::until(
        policy,
        async || false,
        || async {
            let error = match api.allocate(&wanted).await {
                Err(error) if error.outcome() == Outcome::Unknown => error,
                Err(error) if error.outcome() == Outcome::NotSent && error.is_retryable() => error,
                done => return Attempt::Break(done),
            };
            // It is asked for again only when the daemon says that it is not there.
            if error.outcome() == Outcome::Unknown {
                match find(rest, seed, &wanted).await {
                    Ok(Some(allocation)) => return Attempt::Break(Ok(allocation)),
                    Ok(None) => {}
                    Err(_) => return Attempt::Break(Err(error)),
                }
            }
            Attempt::Continue(error)
        },
    );
    let allocated = allocated.await;
    match allocated {
        Ok(allocation) => Ok(allocation),
        Err(error) if error.outcome() != Outcome::Refused => Err(error.into()),
        Err(error) => Err(match account {
            Some(account) => too_small(wanted.total_amount, &account.platform, error),
            None if error.outcome() == Outcome::Refused => no_account(),
            None => error.into(),
        }),
    }
}

/// The budgets that an engine begins with.
pub(crate) struct Budgets {
    /// The one that new work is paid from.
    pub(crate) own: Allocation,
    /// Whether an earlier life set it aside.
    pub(crate) is_kept: bool,
    /// Whether it was used up in that life, and is no larger now.
    pub(crate) exhausted: bool,
    /// Others of earlier lives.
    pub(crate) earlier: Vec<Allocation>,
}

impl Budgets {
    /// What is to be remembered of a budget that is kept: as how much it is asked for now, if that is
    /// another amount than `before`.
    pub(crate) fn kept_as(&self, asked: Glm, before: &OpenState) -> Option<Fact> {
        let timeout = self.own.timeout.as_ref().filter(|_| self.is_kept)?.at();
        let id = &self.own.allocation_id;
        let known = before.allocations.get(id);
        let is_new = known.is_none_or(|known| known.total != asked);
        is_new.then(|| Fact::AllocationFound {
            allocation: id.clone(),
            total: asked,
            timeout,
            exhausted: self.exhausted,
        })
    }
}

/// Takes the budget of an earlier life over, if `policy` is to; else sets one aside. `earlier` are those
/// that the daemon still has, oldest first, `before` is what the journal says of them. To be called in an
/// owned task.
pub(crate) async fn begin(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
    (before, mut earlier): (&OpenState, Vec<Allocation>),
    policy: Recovery,
) -> Result<Budgets, Error> {
    if let Some(id) = &config.allocation {
        return Ok(Budgets {
            own: existing(rest, config, seed, now, id).await?,
            is_kept: false,
            exhausted: false,
            earlier,
        });
    }
    let budget = |found: &Allocation| !plan::is_by_hand(before, found);
    if policy == Recovery::Adopt
        && let Some(last) = earlier.iter().rposition(budget)
    {
        let last = earlier.remove(last);
        let asked = before.allocations.get(&last.allocation_id);
        let (total, exhausted) = match asked {
            // It may have been amended since: that was after it had been asked for as it is now.
            Some(asked) if asked.total == config.budget => {
                (last.total_amount.glm(), asked.exhausted)
            }
            _ => (config.budget, false),
        };
        match take_over(rest, config, seed, now, (&last, total)).await {
            Ok(own) => {
                return Ok(Budgets {
                    own,
                    is_kept: true,
                    exhausted,
                    earlier,
                });
            }
            Err(error) => {
                let id = &last.allocation_id;
                tracing::warn!(allocation = %id, %error, "an earlier budget cannot be kept");
                earlier.push(last);
            }
        }
    }
    let own = match reserve(rest, config, seed, now).await {
        Err(Error::BudgetTooSmall { .. }) if policy != Recovery::Report && !earlier.is_empty() => {
            // The wallet does not hold both: what is owed is paid from the new one.
            for budget in std::mem::take(&mut earlier) {
                let id = budget.allocation_id;
                if let Err(error) = Ender::new(rest, None, *seed).release(&id).await {
                    tracing::warn!(allocation = %id, %error, "an earlier budget stays reserved");
                }
            }
            reserve(rest, config, seed, now).await?
        }
        own => own?,
    };
    Ok(Budgets {
        own,
        is_kept: false,
        exhausted: false,
        earlier,
    })
}

/// An allocation of somebody else's making.
async fn existing(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
    id: &AllocationId,
) -> Result<Allocation, Error> {
    let refused = |reason: String| Error::Allocation {
        id: id.clone(),
        reason,
    };
    let mut backoff = Backoff::new(seed.fork("existing-allocation"));
    let list = || rest.payment().allocations();
    let all = backoff.read(ATTEMPTS, list).await?;
    let Some(found) = all.iter().find(|it| it.allocation_id == *id) else {
        let known: Vec<&str> = all.iter().map(|it| it.allocation_id.as_str()).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        return Err(refused(format!(
            "the daemon has none of this id for this identity (it has: {known})"
        )));
    };
    let wanted = format!("{}-{}-", config.payment_driver, config.payment_network);
    let platform = &found.payment_platform;
    if !platform.to_lowercase().starts_with(&wanted) {
        return Err(refused(format!(
            "it pays on {platform}, wanted is a platform of driver `{}` on network `{}`",
            config.payment_driver, config.payment_network
        )));
    }
    let timeout = found.timeout.as_ref().map(|timeout| timeout.at());
    if let Some(over) = timeout
        && over <= now
    {
        return Err(refused(format!("its time was over at {over}")));
    }
    Ok(found.clone())
}

/// Gives an earlier budget this size and the timeout of this life's.
async fn take_over(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
    (last, total): (&Allocation, Glm),
) -> Result<Allocation, ApiError> {
    // More may be spent already than this run's settings say.
    let total = total.max(last.spent_amount.glm());
    let update = AllocationUpdate {
        total_amount: (last.total_amount.glm() != total).then(|| total.into()),
        timeout: Some(timeout(config, seed, now).into()),
        ..AllocationUpdate::default()
    };
    let mut backoff = Backoff::new(seed.fork("take-over"));
    // Setting the same values twice changes nothing, so it may be repeated like a read.
    backoff
        .read(ATTEMPTS, || {
            rest.payment().amend(&last.allocation_id, &update)
        })
        .await
}

/// When a budget ends that is asked for now. It is its budget's name as well ([`plan::is_budget`]), so
/// it is up to a second later: engines that ask in one microsecond, each with a seed of its own, do
/// not take each other's for theirs.
fn timeout(config: &Config, seed: &Seed, now: Timestamp) -> Timestamp {
    let name = seed.fork("budget").rng().random_range(0..1_000_000);
    let time = config.allocation_timeout;
    let end = deadline::date_after(now, time.saturating_add(Duration::from_micros(name)));
    // Whole microseconds: what other clients of the daemon send, and what it keeps.
    Timestamp::from_microsecond(end.as_microsecond()).unwrap_or(end)
}

/// An allocation that was made although its answer was lost; its timeout is as good as a name.
async fn find(
    rest: &Rest,
    seed: &Seed,
    wanted: &NewAllocation,
) -> Result<Option<Allocation>, ApiError> {
    let mut backoff = Backoff::new(seed.fork("find-allocation"));
    let list = || rest.payment().allocations();
    let allocations = backoff.read(ATTEMPTS, list).await?;
    Ok(allocations
        .into_iter()
        .find(|found| plan::is_budget(found, wanted.total_amount, wanted.timeout)))
}

fn too_small(wanted: Glm, platform: &str, error: ApiError) -> Error {
    let Some(shortage) = Shortage::of(&error) else {
        return error.into();
    };
    let reserved = Some(shortage.reserved).filter(|reserved| !reserved.is_zero());
    Error::BudgetTooSmall {
        needed: shortage.requested.unwrap_or(wanted).normalized(),
        available: shortage.available.normalized(),
        reserved: reserved.map_or_else(String::new, |reserved| {
            format!(
                " ({} GLM more are reserved by other allocations)",
                reserved.normalized()
            )
        }),
        platform: platform.to_owned(),
    }
}

/// Moves the allocation's timeout on as long as the engine lives, so that a long job keeps its
/// budget and a crashed one does not.
pub(crate) async fn keep_alive(payments: Arc<Payments>) {
    let context = &payments.context;
    let half = context.config().allocation_timeout / 2;
    let mut backoff = Backoff::new(context.seed().fork("keep-alive"));
    // One that somebody else made may live longer than we ask for, or for ever.
    let lives = payments.allocation.timeout.as_ref();
    let lives = lives.map_or(Timestamp::MAX, |timeout| timeout.at());
    loop {
        tokio::time::sleep(half).await;
        if golem_probe::planted!("the-budget-is-not-kept-alive") {
            continue;
        }
        let until = timeout(context.config(), context.seed(), context.now());
        if payments.is_shared() && until <= lives {
            continue;
        }
        let update = AllocationUpdate {
            timeout: Some(until.into()),
            ..AllocationUpdate::default()
        };
        let id = &payments.allocation.allocation_id;
        // Setting the same timeout twice changes nothing, so it may be repeated like a read.
        let rest = context.rest();
        let amending = context.insist(&mut backoff, ATTEMPTS, || rest.payment().amend(id, &update));
        if let Err(error) = amending.await {
            tracing::warn!(allocation = %id, %error, "the allocation's timeout was not moved on");
        }
    }
}

impl Payments {
    /// Makes the engine's budget larger, or smaller. What could not be paid for want of it is tried
    /// again. To be called in an owned task.
    ///
    /// # Errors
    /// The wallet does not hold it, more is spent already, or the daemon did not answer.
    pub(crate) async fn amend(self: &Arc<Self>, total: Glm) -> Result<(), Error> {
        let context = &self.context;
        let update = AllocationUpdate {
            total_amount: Some(total.into()),
            ..AllocationUpdate::default()
        };
        let id = &self.allocation.allocation_id;
        let mut backoff = Backoff::new(context.seed().fork("amend-budget"));
        // Setting the same amount twice changes nothing, so it may be repeated like a read.
        let rest = context.rest();
        let amending = context.insist(&mut backoff, ATTEMPTS, || rest.payment().amend(id, &update));
        match amending.await {
            Ok(amended) => {
                self.budget.amended(amended.total_amount.glm());
                if self.rentals.any_failed(Again::Funded) {
                    catch_up(self).await;
                }
                Ok(())
            }
            Err(error) => Err(too_small(total, &self.allocation.payment_platform, error)),
        }
    }

    /// Releases the engine's budget. Releasing twice is as good as once, so it may be repeated.
    ///
    /// # Errors
    /// Why it may still be reserved.
    pub(crate) async fn release(&self) -> Result<(), ApiError> {
        if self.is_shared() {
            return Ok(());
        }
        self.release_budget(&self.allocation.allocation_id).await
    }

    /// Releases the budgets of previous runs, which nothing is paid from any more; what became of
    /// each.
    pub(crate) async fn release_previous(&self) -> Vec<(AllocationId, Result<(), ApiError>)> {
        let mut released = Vec::new();
        for PreviousBudget { id, .. } in self.take_previous_budgets() {
            let done = self.release_budget(&id).await;
            released.push((id, done));
        }
        released
    }

    async fn release_budget(&self, id: &AllocationId) -> Result<(), ApiError> {
        Ender::of(&self.context, "budgets").release(id).await
    }
}
