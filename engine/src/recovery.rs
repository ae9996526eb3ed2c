//! Recovery: what an earlier run left open is looked up and, by policy, gone on with, brought to its
//! end, or only named. Owns: when and in which order, making the engine responsible for what is to be
//! paid, and telling what became of each thing. Does not own: the journal (`journal/`), asking, the
//! rules and the requests (`settle/`).
//!
//! Nothing is sent twice: every request of unknown outcome is resolved by asking the daemon first.

mod report;
mod resumable_instances;

use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use golem_wire::common::Reason;
use golem_wire::payment::{Allocation, DebitNote, Invoice};
use golem_wire::{ActivityId, AgreementId, DemandId, NetworkId};
use indexmap::{IndexMap, IndexSet};
use tokio::time::{Instant, timeout_at};

pub use crate::config::{Recovery, RecoveryLimits};
pub use crate::settle::report::{Item, Kind};
pub(crate) use report::Recovered;
pub use report::RecoveryReport;
pub(crate) use resumable_instances::{Claim, Claimed, ResumableInstances, watch_over};

use crate::api::Rest;
use crate::deadline;
use crate::event::{ActivityDestroyed, AgreementTerminated, RecoveryFinished, RecoveryStarted};
use crate::journal::{Change, Fact, InstanceRecord, Log, OpenState};
use crate::market::{AgreementEnd, EndedBy, Rental};
use crate::payment;
use crate::rng::Seed;
use crate::settle::{
    AgreementAction, AgreementPlan, Cancelled, Documents, Ender, OPEN_STATES, Observed, Observer,
    Owner, Plan, Scope, perform, plan,
};

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
    let deadline = deadline::within(recovered.context.config().recovery.within);
    recovered.context.tell(RecoveryStarted {
        open: count(&earlier),
    });
    recovered.begin(&earlier);
    let observer = Observer::new(recovered.context.rest(), recovered.context.seed());
    let scope = scope(&earlier, strays);
    match timeout_at(deadline, observer.look(&scope)).await {
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
    recovered.context.tell(RecoveryFinished {
        adopted: report.adopted.len(),
        settled: report.settled.len(),
        left: report.awaited.len() + report.left.len(),
    });
}

/// What is asked for: everything that belongs to the journal, by its ids; with `strays`, by its session
/// as well. An engine at work has things of its session that are no strays.
fn scope(earlier: &OpenState, strays: bool) -> Scope<'_> {
    let session = earlier.owner.as_ref().filter(|_| strays);
    let unconfirmed = earlier
        .unresolved
        .values()
        .any(|open| matches!(open.change, Change::CreateAgreement { .. }));
    Scope {
        journal: earlier,
        owner: session.map_or(Owner::None, |owner| Owner::Session(&owner.session)),
        states: &OPEN_STATES[usize::from(!unconfirmed)..],
        except: IndexSet::new(),
        since: None,
        demands: true,
        documents: Documents::OfAgreements,
    }
}

/// Budgets of the runs before that the daemon still has, oldest first; `None` when it did not say.
/// Writes down which are gone.
pub(crate) async fn find_budgets(
    rest: &Rest,
    log: &Log,
    seed: &Seed,
    before: &OpenState,
) -> Option<Vec<Allocation>> {
    let mut asked = before.unresolved.values();
    if before.allocations.is_empty() && !asked.any(|open| plan::is_about_money(&open.change)) {
        return Some(Vec::new());
    }
    let mut observer = Observer::new(rest, &seed.fork("earlier-budgets"));
    let listed = match observer.budgets().await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "the budgets of earlier runs are not known");
            return None;
        }
    };
    let (found, facts) = plan::budgets(before, listed);
    for fact in facts {
        log.fact(fact);
    }
    Some(found)
}

/// Settles what earlier runs left and is still open, and was not taken over. To be called in an owned
/// task.
pub(crate) async fn again(recovered: &Arc<Recovered>) {
    let before = &recovered.before;
    let mut open_state = recovered.context.log().open_state();
    open_state
        .unresolved
        .forget(|op, _| op >= recovered.before.next_op);
    open_state
        .demands
        .retain(|id, _| before.demands.contains_key(id));
    recovered
        .payments
        .add_previous_budgets(recovered.take_held());
    let own = recovered.payments.own_allocations();
    open_state
        .allocations
        .retain(|id, _| !own.has(id) && before.allocations.contains_key(id));
    open_state
        .services
        .retain(|id| before.services.contains(id));
    open_state.networks.retain(|id, _| {
        // Those that are gone on with are this life's.
        before.networks.contains_key(id) && recovered.networks.get(id).is_none()
    });
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
    let registered = register(recovered, earlier, &plan, &seen, adopt);
    let owned = Arc::clone(recovered);
    let open_state = earlier.clone();
    let performing = recovered.context.tasks().run("recover", async move {
        perform_plan(&owned, &open_state, plan, seen, registered).await;
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
        + open_state.networks.len()
}

/// Releases the budgets of earlier runs once nothing has to be paid from them.
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

/// Agreements of earlier runs that are the engine's now.
type Registered = IndexMap<AgreementId, Arc<Rental>>;

/// What providers are told.
fn reason() -> Reason {
    let message = "the requestor came back and no longer needs it";
    perform::reason(message, "Cancelled")
}

/// Makes the engine responsible for agreements that are in force or not paid; from here on their
/// events and documents find them. Sends nothing.
fn register(
    recovered: &Arc<Recovered>,
    earlier: &OpenState,
    plan: &Plan,
    seen: &Observed,
    adopt: bool,
) -> Registered {
    for fact in &plan.facts {
        recovered.context.log().fact(fact.clone());
    }
    let mut registered = Registered::new();
    for planned in &plan.agreements {
        let Some(known) = seen.known(&planned.id) else {
            continue;
        };
        let end = match &planned.action {
            AgreementAction::Forget | AgreementAction::Cancel => continue,
            AgreementAction::Over(end, at) => {
                if seen.is_paid(&planned.id) {
                    continue;
                }
                Some((end.clone(), *at))
            }
            AgreementAction::Terminate | AgreementAction::Adopt(_) => None,
        };
        let rental = Rental::restore(
            &recovered.rentals,
            &known.agreement,
            &planned.activities,
            end,
        );
        recovered.track(&rental);
        registered.insert(planned.id.clone(), rental);
    }
    for (id, record) in &plan.keep_networks {
        recovered.network_kept(id, record);
        recovered.networks.wait(id.clone(), record.clone());
    }
    for instance in earlier.instances.values() {
        if adopt && instance.resumable {
            let machine = machine_of(plan, &registered, instance);
            if let Some((rental, _)) = &machine {
                recovered.goes_on(&instance.name(), rental);
            }
            recovered.resumable.wait(Claim {
                record: instance.clone(),
                machine,
            });
        } else {
            recovered.instance_ended(instance);
        }
    }
    registered
}

/// The machine that an instance can go on with.
fn machine_of(
    plan: &Plan,
    registered: &Registered,
    instance: &InstanceRecord,
) -> Option<(Arc<Rental>, ActivityId)> {
    let id = instance.agreement.as_ref()?;
    let planned = plan.agreements.iter().find(|planned| planned.id == *id)?;
    match &planned.action {
        AgreementAction::Adopt(activity) if instance.activity.as_ref() == Some(activity) => {
            Some((Arc::clone(registered.get(id)?), activity.clone()))
        }
        _ => None,
    }
}

/// Does all of it. To be called in an owned task.
async fn perform_plan(
    recovered: &Arc<Recovered>,
    earlier: &OpenState,
    plan: Plan,
    seen: Observed,
    registered: Registered,
) {
    let context = Arc::clone(&recovered.context);
    let ender = &Ender::of(&context, "recovery");
    // Boxed one by one: compilers of today cannot see that such futures may move between threads.
    let mut loose: Vec<BoxFuture<'_, ()>> = Vec::new();
    for id in &plan.withdraw {
        loose.push(Box::pin(withdraw(recovered, ender, id)));
    }
    for id in &plan.unbind {
        loose.push(Box::pin(unbind(recovered, ender, id)));
    }
    join_all(loose).await;

    let (invoices, notes) = documents(&registered, &seen);
    let mut work: Vec<BoxFuture<'_, ()>> = Vec::new();
    work.push(Box::pin(payment::take_up(
        &recovered.payments,
        invoices,
        notes,
    )));
    for planned in &plan.agreements {
        let rental = registered.get(&planned.id).cloned();
        work.push(Box::pin(end(recovered, ender, earlier, planned, rental)));
    }
    join_all(work).await;
    for id in &plan.remove_networks {
        remove_network(recovered, ender, id, "removed").await;
    }
    for op in plan.resolved {
        recovered.context.log().fact(Fact::Resolved { op });
    }
}

/// The documents of agreements that are the engine's now.
fn documents(registered: &Registered, seen: &Observed) -> (Vec<Invoice>, Vec<DebitNote>) {
    let invoices = seen.invoices.iter().flatten();
    let notes = seen.notes.iter().flatten();
    let ours = |id: &AgreementId| registered.contains_key(id);
    (
        invoices
            .filter(|it| ours(&it.agreement_id))
            .cloned()
            .collect(),
        notes.filter(|it| ours(&it.agreement_id)).cloned().collect(),
    )
}

async fn withdraw(recovered: &Recovered, ender: &Ender<'_>, id: &DemandId) {
    let item = |note: String| Item::new(Kind::Demand, id, note);
    match ender.withdraw(id).await {
        Ok(()) => recovered.settled(item("withdrawn".into())),
        Err(error) => {
            let note = format!("not withdrawn, it stays until it expires: {error}");
            recovered.left(item(note).because(error));
        }
    }
}

async fn remove_network(recovered: &Recovered, ender: &Ender<'_>, id: &NetworkId, why: &str) {
    let item = |note: String| Item::new(Kind::Network, id, note);
    match ender.remove_network(id).await {
        Ok(()) => recovered.settled(item(why.into())),
        Err(error) => {
            let note = format!("not removed: {error}");
            recovered.left(item(note).because(error));
        }
    }
}

async fn unbind(recovered: &Recovered, ender: &Ender<'_>, id: &str) {
    let item = |note: String| Item::new(Kind::BusService, id, note);
    match ender.unbind(id).await {
        Ok(()) => recovered.settled(item("withdrawn".into())),
        Err(error) => {
            let note = format!("not withdrawn: {error}");
            recovered.left(item(note).because(error));
        }
    }
}

/// Brings an agreement to its end, or leaves it to the instance that goes on with it.
async fn end(
    recovered: &Recovered,
    ender: &Ender<'_>,
    earlier: &OpenState,
    planned: &AgreementPlan,
    rental: Option<Arc<Rental>>,
) {
    let id = &planned.id;
    if let Some(rental) = &rental {
        for activity in &planned.gone {
            let about = rental.about().with_activity(activity);
            recovered.context.emit(about, ActivityDestroyed {});
        }
    }
    match (&planned.action, rental) {
        (AgreementAction::Forget, _) => forget(recovered, ender, id, "nothing came of it"),
        (AgreementAction::Cancel, _) => cancel(recovered, ender, planned).await,
        (AgreementAction::Over(..), None) => forget(recovered, ender, id, "paid by an earlier run"),
        (AgreementAction::Over(end, _), Some(rental)) => {
            let known = earlier.agreements.get(id).and_then(|entry| entry.ended);
            if known.is_none() {
                ended(recovered, id, end);
                // Whoever heard that it was confirmed hears of its end.
                let told = AgreementTerminated {
                    by: end.by,
                    reason: end.reason.clone(),
                };
                recovered.context.emit(rental.about(), told);
            }
        }
        (AgreementAction::Terminate, Some(rental)) => {
            terminate(recovered, ender, planned, &rental).await;
        }
        (AgreementAction::Adopt(_), _) => destroy_all(recovered, ender, planned, None).await,
        // Registered before.
        (AgreementAction::Terminate, None) => {}
    }
}

fn ended(recovered: &Recovered, id: &AgreementId, end: &AgreementEnd) {
    recovered.context.log().fact(Fact::AgreementEnded {
        agreement: id.clone(),
        reason: end.to_string(),
    });
}

fn forget(recovered: &Recovered, ender: &Ender<'_>, id: &AgreementId, why: &str) {
    ender.close(id);
    recovered.settled(Item::new(Kind::Agreement, id, why));
}

async fn terminate(
    recovered: &Recovered,
    ender: &Ender<'_>,
    planned: &AgreementPlan,
    rental: &Arc<Rental>,
) {
    destroy_all(recovered, ender, planned, Some(rental)).await;
    rental.terminate(reason()).await;
}

async fn destroy_all(
    recovered: &Recovered,
    ender: &Ender<'_>,
    planned: &AgreementPlan,
    rental: Option<&Arc<Rental>>,
) {
    let within = recovered.context.config().activity.change_timeout;
    for id in &planned.destroy {
        if let Some(rental) = rental {
            // What is not told counts as used by all threads.
            let _ = rental.measure(id).await;
            rental.activity_destroyed(id);
        }
        match ender.destroy(id, within).await {
            Ok(()) => {
                if let Some(rental) = rental {
                    let about = rental.about().with_activity(id);
                    recovered.context.emit(about, ActivityDestroyed {});
                }
                recovered.settled(Item::new(Kind::Activity, id, "destroyed"));
            }
            Err(error) => {
                tracing::warn!(activity = %id, %error, "not destroyed; the end of its agreement ends it");
            }
        }
    }
}

/// No waiter for the approval is left; an agreement that is approved all the same is ended, and paid
/// if it ended by itself.
async fn cancel(recovered: &Recovered, ender: &Ender<'_>, planned: &AgreementPlan) {
    let id = &planned.id;
    let item = |note: String| Item::new(Kind::Agreement, id, note);
    let (rentals, activities) = (&recovered.rentals, &planned.activities);
    match ender.cancel(id, &reason()).await {
        Cancelled::Nothing(why) => recovered.settled(item(why.into())),
        Cancelled::InForce(document) => {
            let rental = Rental::restore(rentals, &document, activities, None);
            recovered.track(&rental);
            terminate(recovered, ender, planned, &rental).await;
        }
        Cancelled::Over(document) => {
            let why = "it was approved, and ended by its provider, while it was cancelled";
            let end = AgreementEnd::new(EndedBy::Provider, why);
            let over = Some((end.clone(), recovered.context.now()));
            recovered.track(&Rental::restore(rentals, &document, activities, over));
            ended(recovered, id, &end);
            // Its invoice may have come before anything here knew of it.
            payment::catch_up(&recovered.payments).await;
        }
        Cancelled::Waiting(error) => {
            let note = format!("not cancelled, it expires: {error}");
            recovered.left(item(note).because(error));
        }
        Cancelled::Unknown(error) => {
            let note = format!("whether it is in force is unknown: {error}");
            recovered.left(item(note).because(error));
        }
    }
}

#[cfg(test)]
mod tests;
