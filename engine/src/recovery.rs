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

use tokio::time::{Instant, timeout_at};

pub use crate::config::{Recovery, RecoveryLimits};
pub(crate) use budget::{find as find_budgets, sort_out as sort_out_budgets};
pub use report::{Item, Kind, RecoveryReport};
pub(crate) use resumable_instances::{ResumableInstances, watch_over};
pub(crate) use state::Recovered;

use crate::event::EventKind;
use crate::journal::OpenState;
use observed::{Observed, Observer};
use plan::Plan;

/// Recovers what was open when this run began; see [`run`].
pub(crate) async fn run_first(recovered: &Arc<Recovered>, policy: Recovery) {
    run(recovered, recovered.before.clone(), policy, true).await;
}

/// Recovers what `earlier` left open. Returns when it is done, or `limit` has passed: it then goes
/// on in the background. To be called in an owned task.
async fn run(recovered: &Arc<Recovered>, earlier: OpenState, policy: Recovery, strays: bool) {
    // A damaged journal may have held more: its session tells.
    let damaged =
        strays && recovered.context.log().set_aside().is_some() && earlier.owner.is_some();
    if earlier.is_settled() && earlier.instances.is_empty() && !damaged {
        return;
    }
    let deadline = Instant::now() + recovered.context.config().recovery.within;
    recovered.context.emit(EventKind::RecoveryStarted {
        open: count(&earlier),
    });
    recovered.begin(&earlier);
    let observer = Observer::new(recovered.context.rest(), recovered.context.seed());
    match timeout_at(deadline, observer.look(&earlier, strays)).await {
        Ok(seen) => act(recovered, &earlier, seen, policy, deadline).await,
        Err(_) => {
            let within = recovered.context.config().recovery.within;
            let why = format!("the daemon did not tell within {within:?}");
            recovered.nothing_known(&earlier, &why);
        }
    }
    let report = recovered.report();
    if policy == Recovery::Report || report.needs_attention() {
        tracing::warn!(%report, "recovery");
    } else {
        tracing::info!(%report, "recovery");
    }
    recovered.context.emit(EventKind::RecoveryFinished {
        adopted: report.adopted.len(),
        settled: report.settled.len(),
        left: report.awaited.len() + report.left.len(),
    });
}

/// Settles what earlier lives left and is open still, and nobody took over. To be called in an owned
/// task.
pub(crate) async fn again(recovered: &Arc<Recovered>) {
    let before = &recovered.before;
    let mut open_state = recovered.context.log().open_state();
    open_state
        .unresolved
        .retain(|op, _| *op < recovered.before.next_op);
    open_state
        .demands
        .retain(|id, _| before.demands.contains_key(id));
    recovered
        .payments
        .add_previous_budgets(recovered.take_held());
    let own = &recovered.payments.allocation().allocation_id;
    open_state
        .allocations
        .retain(|id, _| id != own && before.allocations.contains_key(id));
    open_state
        .services
        .retain(|id| before.services.contains(id));
    open_state.agreements.retain(|id, _| {
        // Registered ones are being settled, or go on.
        before.agreements.contains_key(id) && recovered.rentals.get(id).is_none()
    });
    let agreements = &open_state.agreements;
    open_state.instances.retain(|_, instance| {
        let id = instance.agreement.as_ref();
        id.is_some_and(|id| agreements.contains_key(id))
    });
    run(recovered, open_state, Recovery::Settle, false).await;
}

async fn act(
    recovered: &Arc<Recovered>,
    earlier: &OpenState,
    seen: Observed,
    policy: Recovery,
    deadline: Instant,
) {
    let adopt = policy == Recovery::Adopt;
    let plan: Plan = plan::plan(
        earlier,
        &seen,
        recovered.before.next_op,
        adopt,
        recovered.context.now(),
    );
    recovered.found(&plan, &seen);
    if policy == Recovery::Report {
        recovered.only_named(&plan, &seen);
        return;
    }
    let registered = perform::register(recovered, earlier, &plan, &seen, adopt);
    let owned = Arc::clone(recovered);
    let open_state = earlier.clone();
    let performing = recovered.context.tasks().run("recover", async move {
        perform::perform(&owned, &open_state, plan, seen, registered).await;
        let recovered = Arc::clone(&owned);
        let releasing = async move { release_budgets(&recovered).await };
        owned
            .context
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
async fn release_budgets(recovered: &Arc<Recovered>) {
    let mut changes = recovered.payments.changes();
    while recovered.owes() {
        if changes.changed().await.is_err() {
            return;
        }
    }
    let owned = Arc::clone(recovered);
    let tasks = recovered.context.tasks();
    let releasing = tasks.run(
        "release-earlier",
        async move { owned.release_budgets().await },
    );
    if let Err(lost) = releasing.await {
        tracing::error!(%lost, "earlier budgets stay reserved until their timeout");
    }
}
