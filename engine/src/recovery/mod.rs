//! Recovery: what an earlier life left open is looked up and, by policy, gone on with, brought to
//! its end, or only named. Owns: the order of it, and what is known of it afterwards. Does not own:
//! the journal (`journal/`), the rules (`plan.rs`).
//!
//! Nothing is sent twice: every request of unknown outcome is resolved by asking the daemon first.

mod budget;
mod claims;
pub(crate) mod observed;
pub(crate) mod perform;
pub(crate) mod plan;
mod report;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

pub(crate) use budget::{find as find_budgets, sort_out as sort_out_budgets};
pub(crate) use claims::{Claims, watch_over};
pub use report::{Item, Kind, RecoveryReport};
pub(crate) use state::Recovered;

use crate::event::EventKind;
use crate::golem::Core;
use crate::journal::Book;
use crate::payment;
use observed::{Observed, Observer};
use plan::Plan;

/// What is done about what an earlier life left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Recovery {
    /// Services that are resumed by name go on with their activities; the budget is kept; the rest
    /// is settled.
    #[default]
    Adopt,
    /// Everything is brought to its end, and what is owed for it is accepted.
    Settle,
    /// Everything is left as it is, and named.
    Report,
}

/// Limits of recovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryLimits {
    /// How long [`GolemBuilder::start`](crate::GolemBuilder::start) may be kept by recovery; what
    /// takes longer goes on beside the new work.
    pub within: Duration,
    /// How long instances that can go on wait for a service of their name before they are settled.
    pub claim_within: Duration,
}

impl Default for RecoveryLimits {
    fn default() -> Self {
        RecoveryLimits {
            within: Duration::from_secs(30),
            claim_within: Duration::from_secs(60),
        }
    }
}

/// Recovers what `earlier` left open. Returns when it is done, or `limit` has passed: it then goes
/// on in the background. To be called in an owned task.
pub(crate) async fn run(core: &Arc<Core>, earlier: Book, policy: Recovery, strays: bool) {
    // A damaged journal may have held more: its session tells.
    let damaged = strays && core.log().set_aside().is_some() && earlier.owner.is_some();
    if earlier.is_settled() && earlier.instances.is_empty() && !damaged {
        return;
    }
    let deadline = Instant::now() + core.config().recovery.within;
    core.emit(EventKind::RecoveryStarted {
        open: count(&earlier),
    });
    core.recovered().begin(&earlier);
    let observer = Observer::new(core.rest(), core.seed());
    match timeout_at(deadline, observer.look(&earlier, strays)).await {
        Ok(seen) => act(core, &earlier, seen, policy, deadline).await,
        Err(_) => {
            let within = core.config().recovery.within;
            let why = format!("the daemon did not tell within {within:?}");
            core.recovered().nothing_known(&earlier, &why);
        }
    }
    let report = core.recovered().report(core);
    if policy == Recovery::Report || report.needs_attention() {
        tracing::warn!(%report, "recovery");
    } else {
        tracing::info!(%report, "recovery");
    }
    core.emit(EventKind::RecoveryFinished {
        adopted: report.adopted.len(),
        settled: report.settled.len(),
        left: report.awaited.len() + report.left.len(),
    });
}

/// Settles what earlier lives left and is open still, and nobody took over. To be called in an owned
/// task.
pub(crate) async fn again(core: &Arc<Core>) {
    let before = core.before();
    let mut book = core.log().book();
    book.unresolved.retain(|op, _| *op < core.first_op());
    book.demands.retain(|id, _| before.demands.contains_key(id));
    core.payments().add_earlier(core.recovered().take_held());
    let own = core.payments().allocation().allocation_id;
    book.allocations
        .retain(|id, _| *id != own && before.allocations.contains_key(id));
    book.services.retain(|id| before.services.contains(id));
    book.agreements.retain(|id, _| {
        // Registered ones are being settled, or go on.
        before.agreements.contains_key(id) && core.rentals().get(id).is_none()
    });
    let agreements = &book.agreements;
    book.instances.retain(|_, instance| {
        let id = instance.agreement.as_ref();
        id.is_some_and(|id| agreements.contains_key(id))
    });
    run(core, book, Recovery::Settle, false).await;
}

async fn act(
    core: &Arc<Core>,
    earlier: &Book,
    seen: Observed,
    policy: Recovery,
    deadline: Instant,
) {
    let adopt = policy == Recovery::Adopt;
    let plan: Plan = plan::plan(earlier, &seen, core.first_op(), adopt, core.now());
    core.recovered().found(&plan, &seen);
    if policy == Recovery::Report {
        core.recovered().only_named(&plan, &seen);
        return;
    }
    let registered = perform::register(core, earlier, &plan, &seen, adopt);
    let owned = Arc::clone(core);
    let book = earlier.clone();
    let performing = core.tasks().run("recover", async move {
        perform::perform(&owned, &book, plan, seen, registered).await;
        let core = Arc::clone(&owned);
        let releasing = async move { release_budgets(&core).await };
        owned
            .loops()
            .spawn_until_cancelled("earlier-budgets", releasing);
    });
    match timeout_at(deadline, performing).await {
        Ok(Ok(())) => {}
        Ok(Err(lost)) => tracing::error!(%lost, "recovery did not end in order"),
        Err(_) => tracing::warn!("recovery goes on beside the new work"),
    }
}

fn count(book: &Book) -> usize {
    book.unresolved.len()
        + book.allocations.len()
        + book.demands.len()
        + book.agreements.len()
        + book.services.len()
}

/// Releases the budgets of earlier lives once nothing has to be paid from them.
async fn release_budgets(core: &Arc<Core>) {
    let mut changes = core.payments().changes();
    while core.recovered().owes(core) {
        if changes.changed().await.is_err() {
            return;
        }
    }
    let owned = Arc::clone(core);
    let releasing = core.tasks().run("release-earlier", async move {
        payment::release_earlier(&owned).await;
    });
    if let Err(lost) = releasing.await {
        tracing::error!(%lost, "earlier budgets stay reserved until their timeout");
    }
}
