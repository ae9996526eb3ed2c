//! Recovery: what an earlier life left open is looked up and, by policy, gone on with, brought to
//! its end, or only named. Owns: the order of it, and what is known of it afterwards. Does not own:
//! the journal (`journal/`), the rules (`plan.rs`).
//!
//! Nothing is sent twice: every request of unknown outcome is resolved by asking the daemon first.

mod budget;
pub(crate) mod observed;
pub(crate) mod perform;
pub(crate) mod plan;
mod report;
mod resumable_instances;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

pub(crate) use budget::{find as find_budgets, sort_out as sort_out_budgets};
pub use report::{Item, Kind, RecoveryReport};
pub(crate) use resumable_instances::{ResumableInstances, watch_over};
pub(crate) use state::Recovered;

use crate::context::Context;
use crate::event::EventKind;
use crate::journal::OpenState;
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
pub(crate) async fn run(
    context: &Arc<Context>,
    earlier: OpenState,
    policy: Recovery,
    strays: bool,
) {
    // A damaged journal may have held more: its session tells.
    let damaged = strays && context.log().set_aside().is_some() && earlier.owner.is_some();
    if earlier.is_settled() && earlier.instances.is_empty() && !damaged {
        return;
    }
    let deadline = Instant::now() + context.config().recovery.within;
    context.emit(EventKind::RecoveryStarted {
        open: count(&earlier),
    });
    context.recovered().begin(&earlier);
    let observer = Observer::new(context.rest(), context.seed());
    match timeout_at(deadline, observer.look(&earlier, strays)).await {
        Ok(seen) => act(context, &earlier, seen, policy, deadline).await,
        Err(_) => {
            let within = context.config().recovery.within;
            let why = format!("the daemon did not tell within {within:?}");
            context.recovered().nothing_known(&earlier, &why);
        }
    }
    let report = context.recovered().report(context);
    if policy == Recovery::Report || report.needs_attention() {
        tracing::warn!(%report, "recovery");
    } else {
        tracing::info!(%report, "recovery");
    }
    context.emit(EventKind::RecoveryFinished {
        adopted: report.adopted.len(),
        settled: report.settled.len(),
        left: report.awaited.len() + report.left.len(),
    });
}

/// Settles what earlier lives left and is open still, and nobody took over. To be called in an owned
/// task.
pub(crate) async fn again(context: &Arc<Context>) {
    let before = context.before();
    let mut open_state = context.log().open_state();
    open_state
        .unresolved
        .retain(|op, _| *op < context.first_op());
    open_state
        .demands
        .retain(|id, _| before.demands.contains_key(id));
    context
        .payments()
        .add_previous_budgets(context.recovered().take_held());
    let own = context.payments().allocation().allocation_id;
    open_state
        .allocations
        .retain(|id, _| *id != own && before.allocations.contains_key(id));
    open_state
        .services
        .retain(|id| before.services.contains(id));
    open_state.agreements.retain(|id, _| {
        // Registered ones are being settled, or go on.
        before.agreements.contains_key(id) && context.rentals().get(id).is_none()
    });
    let agreements = &open_state.agreements;
    open_state.instances.retain(|_, instance| {
        let id = instance.agreement.as_ref();
        id.is_some_and(|id| agreements.contains_key(id))
    });
    run(context, open_state, Recovery::Settle, false).await;
}

async fn act(
    context: &Arc<Context>,
    earlier: &OpenState,
    seen: Observed,
    policy: Recovery,
    deadline: Instant,
) {
    let adopt = policy == Recovery::Adopt;
    let plan: Plan = plan::plan(earlier, &seen, context.first_op(), adopt, context.now());
    context.recovered().found(&plan, &seen);
    if policy == Recovery::Report {
        context.recovered().only_named(&plan, &seen);
        return;
    }
    let registered = perform::register(context, earlier, &plan, &seen, adopt);
    let owned = Arc::clone(context);
    let open_state = earlier.clone();
    let performing = context.tasks().run("recover", async move {
        perform::perform(&owned, &open_state, plan, seen, registered).await;
        let context = Arc::clone(&owned);
        let releasing = async move { release_budgets(&context).await };
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

fn count(open_state: &OpenState) -> usize {
    open_state.unresolved.len()
        + open_state.allocations.len()
        + open_state.demands.len()
        + open_state.agreements.len()
        + open_state.services.len()
}

/// Releases the budgets of earlier lives once nothing has to be paid from them.
async fn release_budgets(context: &Arc<Context>) {
    let mut changes = context.payments().changes();
    while context.recovered().owes(context) {
        if changes.changed().await.is_err() {
            return;
        }
    }
    let owned = Arc::clone(context);
    let releasing = context.tasks().run("release-earlier", async move {
        payment::release_previous_budgets(&owned).await;
    });
    if let Err(lost) = releasing.await {
        tracing::error!(%lost, "earlier budgets stay reserved until their timeout");
    }
}
