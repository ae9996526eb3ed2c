//! The budget at the daemon: set aside at the start, kept alive, released at the end.

use std::sync::Arc;
use std::time::Duration;

use golem_wire::payment::{Allocation, AllocationUpdate, Deposit, NewAllocation};
use golem_wire::{AllocationId, Glm};
use jiff::Timestamp;
use rand::RngExt;
use serde_json::{Value, json};

use super::reconcile::catch_up;
use super::{Payments, PreviousBudget};
use crate::api::payment::Shortage;
use crate::api::{ApiError, Outcome, Rest};
use crate::config::{Config, PlatformBudget, Recovery};
use crate::deadline;
use crate::error::Error;
use crate::journal::{Fact, OpenState};
use crate::lifecycle::payment::Again;
use crate::market::{BudgetStatus, OwnBudget};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::rng::Seed;
use crate::settle::{Ender, plan};

const ATTEMPTS: u32 = 5;

/// Finds the account of a platform and sets its budget aside. To be called in an owned task.
async fn reserve(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
    wanted: &Wanted,
) -> Result<Allocation, Error> {
    let Wanted { place, deposit, .. } = wanted;
    let seed = &wanted.seed(seed);
    let api = rest.payment();
    let mut backoff = Backoff::new(seed, "accounts");
    let accounts = backoff.read(ATTEMPTS, || api.accounts()).await?;
    let fits = |account: &&golem_wire::payment::Account| {
        account.driver.eq_ignore_ascii_case(&place.driver)
            && account.network.eq_ignore_ascii_case(&place.network)
            && account.send
    };
    let no_account = || {
        let known: Vec<&str> = accounts
            .iter()
            .map(|account| account.platform.as_str())
            .collect();
        Error::NoPaymentAccount {
            driver: place.driver.clone(),
            network: place.network.clone(),
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
            "driver": place.driver,
            "network": place.network,
        }),
        None => return Err(no_account()),
    };
    let wanted = NewAllocation {
        address: account.map(|account| account.address.clone()),
        payment_platform: Some(platform),
        total_amount: place.budget,
        timeout: Some(timeout(config, seed, now)),
        make_deposit: false,
        deposit: deposit.clone(),
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
    allocated.await.map_err(|error| match account {
        Some(account) => too_small(wanted.total_amount, &account.platform, error),
        None if error.outcome() == Outcome::Refused => no_account(),
        None => error.into(),
    })
}

/// A budget that is to be there.
struct Wanted {
    place: PlatformBudget,
    /// Whether it is the one that the engine always has: its seed is the engine's.
    is_first: bool,
    deposit: Option<Deposit>,
}

impl Wanted {
    /// All that the settings ask for, the first one first.
    fn all(config: &Config) -> Vec<Wanted> {
        let places = config.platforms().into_iter().enumerate();
        let wanted = places.map(|(at, place)| Wanted {
            place,
            is_first: at == 0,
            deposit: config.deposit.clone().filter(|_| at == 0),
        });
        wanted.collect()
    }

    /// A seed of its own: two budgets of one moment are told apart by their timeouts, which are drawn from it.
    fn seed(&self, seed: &Seed) -> Seed {
        if self.is_first {
            return *seed;
        }
        let PlatformBudget {
            driver, network, ..
        } = &self.place;
        of_platform(seed, &format!("{driver}-{network}"))
    }
}

fn of_platform(seed: &Seed, platform: &str) -> Seed {
    seed.fork(&format!("budget/{platform}"))
}

/// The budgets that an engine begins with.
pub(crate) struct Budgets {
    /// Those that new work is paid from, one for each platform, never none.
    pub(crate) own: Vec<OwnBudget>,
    /// Others of earlier lives.
    pub(crate) earlier: Vec<Allocation>,
}

impl Budgets {
    /// What is to be remembered of budgets that are kept: as how much each is asked for now, if that is
    /// another amount than `before`.
    pub(crate) fn kept(&self, before: &OpenState) -> Vec<Fact> {
        let fact = |own: &OwnBudget| {
            let timeout = own.allocation.timeout.as_ref().filter(|_| own.is_kept)?;
            let id = &own.allocation.allocation_id;
            let known = before.allocations.get(id);
            let is_new = known.is_none_or(|known| known.total != own.asked);
            is_new.then(|| Fact::AllocationFound {
                allocation: id.clone(),
                total: own.asked,
                timeout: timeout.at(),
                exhausted: own.exhausted,
            })
        };
        self.own.iter().filter_map(fact).collect()
    }
}

/// Takes the budgets of an earlier life over, if `policy` is to; else sets some aside: one for each platform of the
/// settings, or none at all. `earlier` are those that the daemon still has, oldest first, `before` is what the
/// journal says of them. To be called in an owned task.
pub(crate) async fn begin(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
    (before, mut earlier): (&OpenState, Vec<Allocation>),
    policy: Recovery,
) -> Result<Budgets, Error> {
    let mut own: Vec<OwnBudget> = Vec::new();
    for wanted in Wanted::all(config) {
        let known = (before, &mut earlier);
        match begin_one(rest, config, seed, now, known, policy, &wanted).await {
            Ok(budget) => own.push(budget),
            Err(error) => {
                // None is used without the others; what was kept is a later life's to keep.
                let ours = own.iter().filter(|it| !it.is_kept && !it.is_shared);
                for budget in ours {
                    let id = &budget.allocation.allocation_id;
                    if let Err(error) = Ender::new(rest, None, *seed).release(id).await {
                        tracing::warn!(allocation = %id, %error, "a budget stays reserved until its timeout");
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(Budgets { own, earlier })
}

async fn begin_one(
    rest: &Rest,
    config: &Config,
    seed: &Seed,
    now: Timestamp,
    (before, earlier): (&OpenState, &mut Vec<Allocation>),
    policy: Recovery,
    wanted: &Wanted,
) -> Result<OwnBudget, Error> {
    let asked_for = wanted.place.budget;
    if let Some(id) = config.allocation.as_ref().filter(|_| wanted.is_first) {
        let allocation = existing(rest, config, seed, now, id).await?;
        return Ok(OwnBudget {
            is_shared: true,
            ..OwnBudget::set_aside(allocation, asked_for)
        });
    }
    let budget = |found: &Allocation| {
        !plan::is_by_hand(before, found) && wanted.place.is_of(&found.payment_platform)
    };
    if policy == Recovery::Adopt
        && let Some(last) = earlier.iter().rposition(budget)
    {
        let last = earlier.remove(last);
        let asked = before.allocations.get(&last.allocation_id);
        let (total, exhausted) = match asked {
            // It may have been amended since: that was after it had been asked for as it is now.
            Some(asked) if asked.total == asked_for => (last.total_amount.glm(), asked.exhausted),
            _ => (asked_for, false),
        };
        let seed = wanted.seed(seed);
        match take_over(rest, config, &seed, now, (&last, total)).await {
            Ok(allocation) => {
                return Ok(OwnBudget {
                    is_kept: true,
                    exhausted,
                    ..OwnBudget::set_aside(allocation, asked_for)
                });
            }
            Err(error) => {
                let id = &last.allocation_id;
                tracing::warn!(allocation = %id, %error, "an earlier budget cannot be kept");
                earlier.push(last);
            }
        }
    }
    let there = |found: &Allocation| wanted.place.is_of(&found.payment_platform);
    let allocation = match reserve(rest, config, seed, now, wanted).await {
        Err(Error::BudgetTooSmall { .. })
            if policy != Recovery::Report && earlier.iter().any(there) =>
        {
            // The wallet does not hold both: what is owed is paid from the new one.
            let (drop, keep) = std::mem::take(earlier).into_iter().partition(there);
            *earlier = keep;
            let drop: Vec<Allocation> = drop;
            for budget in drop {
                let id = budget.allocation_id;
                if let Err(error) = Ender::new(rest, None, *seed).release(&id).await {
                    tracing::warn!(allocation = %id, %error, "an earlier budget stays reserved");
                }
            }
            reserve(rest, config, seed, now, wanted).await?
        }
        reserved => reserved?,
    };
    Ok(OwnBudget::set_aside(allocation, asked_for))
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
    let mut backoff = Backoff::new(seed, "existing-allocation");
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
    let platform = &found.payment_platform;
    if !config.platforms()[0].is_of(platform) {
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
    let mut backoff = Backoff::new(seed, "take-over");
    // Setting the same values twice changes nothing, so it may be repeated like a read.
    backoff
        .read(ATTEMPTS, || {
            rest.payment().amend(&last.allocation_id, &update)
        })
        .await
}

/// When a budget ends that is asked for now.
fn timeout(config: &Config, seed: &Seed, now: Timestamp) -> Timestamp {
    let end = deadline::date_after(now, config.allocation_timeout);
    named(end, &seed.fork("budget"))
}

/// An allocation's timeout is its name as well ([`plan::is_budget`]), so it is up to a second later than wanted: those
/// who ask in one microsecond, each with a seed of its own, do not take each other's for theirs.
pub(crate) fn named(timeout: Timestamp, seed: &Seed) -> Timestamp {
    let name = Duration::from_micros(seed.rng().random_range(0..1_000_000));
    let end = deadline::date_after(timeout, name);
    // Whole microseconds: what other clients of the daemon send, and what it keeps.
    Timestamp::from_microsecond(end.as_microsecond()).unwrap_or(end)
}

/// An allocation that was made although its answer was lost; its timeout is as good as a name.
async fn find(
    rest: &Rest,
    seed: &Seed,
    wanted: &NewAllocation,
) -> Result<Option<Allocation>, ApiError> {
    let mut backoff = Backoff::new(seed, "find-allocation");
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
    let mut backoff = Backoff::new(context.seed(), "keep-alive");
    loop {
        tokio::time::sleep(half).await;
        if golem_probe::planted!("the-budget-is-not-kept-alive") {
            continue;
        }
        for (at, own) in payments.own_allocations.all().iter().enumerate() {
            let id = &own.allocation.allocation_id;
            let seed = match at {
                0 => *context.seed(),
                _ => of_platform(context.seed(), own.platform()),
            };
            let until = timeout(context.config(), &seed, context.now());
            // One that somebody else made may live longer than we ask for, or for ever.
            let lives = own.allocation.timeout.as_ref();
            let lives = lives.map_or(Timestamp::MAX, |timeout| timeout.at());
            if own.is_shared && until <= lives {
                continue;
            }
            let update = AllocationUpdate {
                timeout: Some(until.into()),
                ..AllocationUpdate::default()
            };
            // Setting the same timeout twice changes nothing, so it may be repeated like a read.
            let rest = context.rest();
            let amending =
                context.insist(&mut backoff, ATTEMPTS, || rest.payment().amend(id, &update));
            if let Err(error) = amending.await {
                tracing::warn!(allocation = %id, %error, "the allocation's timeout was not moved on");
            }
        }
    }
}

impl Payments {
    /// Makes the engine's budget on a platform larger, or smaller: on `None`, the first one. What could not be paid
    /// for want of it is tried again. To be called in an owned task.
    ///
    /// # Errors
    /// There is none on the platform, the wallet does not hold it, more is spent already, or the daemon did not
    /// answer.
    pub(crate) async fn amend(
        self: &Arc<Self>,
        platform: Option<&str>,
        total: Glm,
    ) -> Result<BudgetStatus, Error> {
        let context = &self.context;
        let own = match platform {
            None => self.own_allocations.first(),
            Some(platform) => {
                let own = self.own_allocations.on(platform);
                own.ok_or_else(|| Error::NoBudgetOn {
                    platform: platform.to_owned(),
                    known: self.own_allocations.platforms(),
                })?
            }
        };
        let update = AllocationUpdate {
            total_amount: Some(total.into()),
            ..AllocationUpdate::default()
        };
        let id = &own.allocation.allocation_id;
        let mut backoff = Backoff::new(context.seed(), "amend-budget");
        // Setting the same amount twice changes nothing, so it may be repeated like a read.
        let rest = context.rest();
        let amending = context.insist(&mut backoff, ATTEMPTS, || rest.payment().amend(id, &update));
        match amending.await {
            Ok(amended) => {
                own.budget.amended(amended.total_amount.glm());
                if self.rentals.any_failed(Again::Funded) {
                    catch_up(self).await;
                }
                Ok(own.budget.status())
            }
            Err(error) => Err(too_small(total, own.platform(), error)),
        }
    }

    /// Releases the engine's budgets. Releasing twice is as good as once, so it may be repeated.
    ///
    /// # Errors
    /// Why one may still be reserved; the others are released all the same.
    pub(crate) async fn release(&self) -> Result<(), ApiError> {
        let mut done = Ok(());
        for own in self
            .own_allocations
            .all()
            .iter()
            .filter(|own| !own.is_shared)
        {
            let released = self.release_budget(&own.allocation.allocation_id).await;
            done = done.and(released);
        }
        done
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

#[cfg(test)]
mod tests;
