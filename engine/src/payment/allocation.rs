//! The budget at the daemon: set aside at the start, kept alive, released at the end.

use std::sync::Arc;

use golem_wire::Glm;
use golem_wire::payment::{Allocation, AllocationUpdate, NewAllocation};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::{ApiError, ApiErrorKind, Outcome, Rest};
use crate::config::Config;
use crate::error::Error;
use crate::golem::Core;
use crate::retry::Backoff;
use crate::rng::Seed;

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
        timeout: Some(timeout(config, now)),
        make_deposit: false,
        deposit: None,
        extend_timeout: None,
    };
    match api.allocate(&wanted).await {
        Ok(allocation) => Ok(allocation),
        Err(error) if error.outcome() == Outcome::Unknown => match find(rest, &wanted).await {
            Some(allocation) => Ok(allocation),
            None => Err(error.into()),
        },
        Err(error) => Err(match account {
            Some(account) => too_small(&wanted, &account.platform, error),
            None if error.outcome() == Outcome::Refused => no_account(),
            None => error.into(),
        }),
    }
}

fn timeout(config: &Config, now: Timestamp) -> Timestamp {
    let lifetime =
        SignedDuration::try_from(config.allocation_timeout).unwrap_or(SignedDuration::MAX);
    // Whole microseconds: what other clients of the daemon send, and what it keeps.
    let end = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
    Timestamp::from_microsecond(end.as_microsecond()).unwrap_or(end)
}

/// An allocation that was made although its answer was lost; its timeout is as good as a name.
async fn find(rest: &Rest, wanted: &NewAllocation) -> Option<Allocation> {
    let allocations = rest.payment().allocations().await.ok()?;
    allocations
        .into_iter()
        .find(|found| found.timeout == wanted.timeout && found.total_amount == wanted.total_amount)
}

fn too_small(wanted: &NewAllocation, platform: &str, error: ApiError) -> Error {
    let ApiErrorKind::Refused {
        body: Some(body), ..
    } = &*error.kind
    else {
        return error.into();
    };
    let amount = |key: &str| body.get(key)?.as_str()?.parse::<Glm>().ok();
    let Some(available) = amount("availableFunds") else {
        return error.into();
    };
    let reserved = amount("reservedFunds").filter(|reserved| !reserved.is_zero());
    Error::BudgetTooSmall {
        needed: amount("requestedFunds")
            .unwrap_or(wanted.total_amount)
            .normalized(),
        available: available.normalized(),
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
pub(crate) async fn keep_alive(core: Arc<Core>) {
    let half = core.config().allocation_timeout / 2;
    let mut backoff = Backoff::new(core.seed().fork("keep-alive"));
    loop {
        tokio::time::sleep(half).await;
        let update = AllocationUpdate {
            timeout: Some(timeout(core.config(), core.now())),
            ..AllocationUpdate::default()
        };
        let id = core.payments().allocation().allocation_id;
        // Setting the same timeout twice changes nothing, so it may be repeated like a read.
        let rest = core.rest();
        if let Err(error) = backoff
            .read(ATTEMPTS, || rest.payment().amend(&id, &update))
            .await
        {
            tracing::warn!(allocation = %id, %error, "the allocation's timeout was not moved on");
        }
    }
}

/// Releases the budget. Releasing twice is as good as once, so it may be repeated.
pub(crate) async fn release(core: &Core) -> Result<(), ApiError> {
    let id = core.payments().allocation().allocation_id;
    let mut backoff = Backoff::new(core.seed().fork("release"));
    match backoff
        .read(ATTEMPTS, || core.rest().payment().release(&id))
        .await
    {
        Err(error)
            if error.is_status(StatusCode::GONE) || error.is_status(StatusCode::NOT_FOUND) =>
        {
            Ok(())
        }
        done => done,
    }
}
