//! Does what was planned about an earlier life. Owns: the order within it, and telling what became of
//! each thing. Rules are in `plan.rs`.

use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use golem_wire::common::Reason;
use golem_wire::market::AgreementState;
use golem_wire::payment::{DebitNote, Invoice};
use golem_wire::{ActivityId, AgreementId};
use http::StatusCode;
use indexmap::IndexMap;
use serde_json::Value;

use super::Recovered;
use super::observed::{Observed, Seen};
use super::plan::{AgreementAction, AgreementPlan, Plan};
use super::report::{Item, Kind};
use super::resumable_instances::Claim;
use crate::api::ApiError;
use crate::event::EventKind;
use crate::journal::{Fact, InstanceRecord, OpenState};
use crate::market::{AgreementEnd, Rental};
use crate::payment;
use crate::retry::Backoff;

/// Attempts at each request while the daemon is there.
const ATTEMPTS: u32 = 5;

/// Agreements of earlier lives that are the engine's now.
pub(super) type Registered = IndexMap<AgreementId, Arc<Rental>>;

/// What providers are told.
fn reason() -> Reason {
    let mut reason = Reason::from("the requestor came back and does not need it any more");
    let code = ("golem.requestor.code".into(), Value::from("Cancelled"));
    reason.extra.extend([code]);
    reason
}

/// Makes the engine responsible for agreements that are in force or not paid; from here on their
/// events and documents find them. Sends nothing.
pub(super) fn register(
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
        let Some(Seen::Here(known)) = seen.agreements.get(&planned.id) else {
            continue;
        };
        let end = match &planned.action {
            AgreementAction::Forget | AgreementAction::Cancel => continue,
            AgreementAction::Over(end, at) => {
                if is_paid(seen, &planned.id) {
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
    for instance in earlier.instances.values() {
        if adopt && instance.resumable {
            let machine = machine_of(plan, &registered, instance);
            if let Some((rental, _)) = &machine {
                let name = format!("{}/{}", instance.cluster, instance.index);
                recovered.goes_on(&name, rental);
            }
            recovered.resumable.wait(Claim {
                record: instance.clone(),
                machine,
            });
        } else {
            instance_ended(recovered, instance);
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

/// Whether an earlier life accepted the invoice.
fn is_paid(seen: &Observed, id: &AgreementId) -> bool {
    seen.invoices
        .iter()
        .flatten()
        .any(|invoice| invoice.agreement_id == *id && payment::is_accepted(&invoice.status))
}

/// Does all of it. To be called in an owned task.
pub(super) async fn perform(
    recovered: &Arc<Recovered>,
    earlier: &OpenState,
    plan: Plan,
    seen: Observed,
    registered: Registered,
) {
    // Boxed one by one: compilers of today cannot see that such futures may move between threads.
    let mut loose: Vec<BoxFuture<'_, ()>> = Vec::new();
    for id in &plan.withdraw {
        loose.push(Box::pin(withdraw(recovered, id)));
    }
    for id in &plan.unbind {
        loose.push(Box::pin(unbind(recovered, id)));
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
        work.push(Box::pin(end(recovered, earlier, planned, &seen, rental)));
    }
    join_all(work).await;
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

/// What is gone already is as good as ended.
fn unless_gone(done: Result<(), ApiError>) -> Result<(), ApiError> {
    match done {
        Err(error)
            if error.is_status(StatusCode::NOT_FOUND) || error.is_status(StatusCode::GONE) =>
        {
            Ok(())
        }
        done => done,
    }
}

fn backoff(recovered: &Recovered, label: &str) -> Backoff {
    Backoff::new(recovered.context.seed().fork(&format!("recovery/{label}")))
}

async fn withdraw(recovered: &Recovered, id: &golem_wire::DemandId) {
    let mut backoff = backoff(recovered, id.as_str());
    let api = recovered.context.rest().market();
    let done = recovered
        .context
        .insist(&mut backoff, ATTEMPTS, || api.unsubscribe(id))
        .await;
    match unless_gone(done) {
        Ok(()) => {
            recovered
                .context
                .log()
                .fact(Fact::DemandGone { demand: id.clone() });
            recovered.settled(Item::new(Kind::Demand, id, "withdrawn"));
        }
        Err(error) => {
            let note = format!("not withdrawn, it stays until it expires: {error}");
            recovered.left(Item::new(Kind::Demand, id, note));
        }
    }
}

async fn unbind(recovered: &Recovered, id: &str) {
    let mut backoff = backoff(recovered, id);
    let api = recovered.context.rest().gsb();
    let done = recovered
        .context
        .insist(&mut backoff, ATTEMPTS, || api.unbind(id))
        .await;
    match unless_gone(done) {
        Ok(()) => {
            recovered.context.log().fact(Fact::ServiceGone {
                services: id.to_owned(),
            });
            recovered.settled(Item::new(Kind::BusService, id, "withdrawn"));
        }
        Err(error) => {
            let note = format!("not withdrawn: {error}");
            recovered.left(Item::new(Kind::BusService, id, note));
        }
    }
}

/// Brings an agreement to its end, or leaves it to the instance that goes on with it.
async fn end(
    recovered: &Arc<Recovered>,
    earlier: &OpenState,
    planned: &AgreementPlan,
    seen: &Observed,
    rental: Option<Arc<Rental>>,
) {
    let id = &planned.id;
    match (&planned.action, rental) {
        (AgreementAction::Forget, _) => forget(recovered, id, "nothing came of it"),
        (AgreementAction::Cancel, _) => cancel(recovered, planned, seen).await,
        (AgreementAction::Over(..), None) => forget(recovered, id, "paid by an earlier run"),
        (AgreementAction::Over(end, _), Some(_)) => {
            let known = earlier.agreements.get(id).and_then(|entry| entry.ended);
            if known.is_none() {
                ended(recovered, id, end);
            }
        }
        (AgreementAction::Terminate, Some(rental)) => terminate(recovered, planned, &rental).await,
        (AgreementAction::Adopt(_), _) => destroy_all(recovered, planned, None).await,
        // Registered before.
        (AgreementAction::Terminate, None) => {}
    }
}

/// An instance of an earlier life has no machine any more.
pub(super) fn instance_ended(recovered: &Recovered, instance: &InstanceRecord) {
    let mut instance = instance.clone();
    instance.state = "terminated".into();
    recovered.context.log().fact(Fact::Instance { instance });
}

fn ended(recovered: &Recovered, id: &AgreementId, end: &AgreementEnd) {
    recovered.context.log().fact(Fact::AgreementEnded {
        agreement: id.clone(),
        reason: end.to_string(),
    });
}

fn forget(recovered: &Recovered, id: &AgreementId, why: &str) {
    recovered.context.log().fact(Fact::AccountClosed {
        agreement: id.clone(),
    });
    recovered.settled(Item::new(Kind::Agreement, id, why));
}

async fn terminate(recovered: &Arc<Recovered>, planned: &AgreementPlan, rental: &Arc<Rental>) {
    destroy_all(recovered, planned, Some(rental)).await;
    rental.terminate(reason()).await;
}

async fn destroy_all(
    recovered: &Arc<Recovered>,
    planned: &AgreementPlan,
    rental: Option<&Arc<Rental>>,
) {
    let api = recovered.context.rest().activity();
    let wait = recovered.context.config().activity.change_timeout;
    for id in &planned.destroy {
        if let Some(rental) = rental {
            rental.activity_destroyed(id);
        }
        let mut backoff = backoff(recovered, id.as_str());
        // Destroying twice is as good as once.
        let done = recovered
            .context
            .insist(&mut backoff, 2, || api.destroy(id, wait))
            .await;
        match unless_gone(done) {
            Ok(()) => {
                recovered.context.log().fact(Fact::ActivityGone {
                    activity: id.clone(),
                });
                if let Some(rental) = rental {
                    recovered.context.emit(EventKind::ActivityDestroyed {
                        job: rental.job().clone(),
                        agreement_id: planned.id.clone(),
                        activity_id: id.clone(),
                    });
                }
                recovered.settled(Item::new(Kind::Activity, id, "destroyed"));
            }
            Err(error) => {
                tracing::warn!(activity = %id, %error, "not destroyed; the end of its agreement ends it");
            }
        }
    }
}

/// Nobody waits for the approval any more; one that came all the same is ended.
async fn cancel(recovered: &Arc<Recovered>, planned: &AgreementPlan, seen: &Observed) {
    let id = &planned.id;
    let mut backoff = backoff(recovered, id.as_str());
    let api = recovered.context.rest().market();
    let reason = reason();
    // One that was approved in the meantime is "gone" for this, and yet in force.
    let error = match api.cancel(id, &reason).await {
        Ok(()) => return forget(recovered, id, "cancelled before it was approved"),
        Err(error) => error,
    };
    let found = recovered
        .context
        .insist(&mut backoff, ATTEMPTS, || api.agreement(id))
        .await;
    match found.map(|agreement| agreement.state) {
        Ok(AgreementState::Approved) => {
            if let Some(Seen::Here(known)) = seen.agreements.get(id) {
                let document = &known.agreement;
                let rental =
                    Rental::restore(&recovered.rentals, document, &planned.activities, None);
                recovered.track(&rental);
                terminate(recovered, planned, &rental).await;
            }
        }
        Ok(AgreementState::Proposal | AgreementState::Pending) => {
            // Only we can confirm the one, and the other expires at its provider.
            let note = format!("not cancelled, it expires: {error}");
            recovered.left(Item::new(Kind::Agreement, id, note));
        }
        Ok(_) => forget(recovered, id, "nothing came of it"),
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
            forget(recovered, id, "the daemon does not know it any more");
        }
        Err(error) => {
            let note = format!("whether it is in force is unknown: {error}");
            recovered.left(Item::new(Kind::Agreement, id, note));
        }
    }
}
