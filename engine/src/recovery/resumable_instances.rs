//! Instances of earlier runs that wait for a service of their name to go on. Owns: who may have
//! them, giving back those that are not claimed, and telling the end of those that nothing goes on with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::ActivityId;
use tokio::time::sleep;

use super::{Recovered, remove_network};
use crate::activity::Machine;
use crate::cause::Cause;
use crate::event::{EventContext, ServiceFinished, ServiceStateChanged};
use crate::journal::{Fact, InstanceRecord};
use crate::lifecycle::service::ServiceState;
use crate::market::Rental;
use crate::model::{JobId, RECOVERED};
use crate::settle::Ender;
use crate::settle::report::{Item, Kind};
use crate::tasks::TaskGroup;

/// An instance of an earlier run.
pub(crate) struct Claim {
    /// Where it stood.
    pub(crate) record: InstanceRecord,
    /// Its machine, if that still answers.
    pub(crate) machine: Option<(Arc<Rental>, ActivityId)>,
}

/// Those that wait, by the name of their cluster.
#[derive(Default)]
pub(crate) struct ResumableInstances(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: BTreeMap<String, Vec<Claim>>,
    taken: BTreeSet<String>,
    /// Nobody is waited for any more.
    over: bool,
}

impl ResumableInstances {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the maps consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait(&self, claim: Claim) {
        let name = claim.record.cluster.clone();
        self.lock().waiting.entry(name).or_default().push(claim);
    }

    /// Those that wait; from here on nobody is waited for.
    fn rest(&self) -> Vec<Claim> {
        let mut inner = self.lock();
        inner.over = true;
        let waiting = std::mem::take(&mut inner.waiting);
        waiting.into_values().flatten().collect()
    }

    fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }
}

/// The instances of a cluster that is on its way. If it does not get there, they wait for the next one of its name.
pub(crate) struct Claimed {
    recovered: Arc<Recovered>,
    name: String,
    claims: Option<Vec<Claim>>,
}

impl Claimed {
    /// The instances of the cluster of this name; `None` when a cluster of this run has it.
    pub(crate) fn of(recovered: &Arc<Recovered>, name: &str) -> Option<Claimed> {
        let mut inner = recovered.resumable.lock();
        if !inner.taken.insert(name.to_owned()) {
            return None;
        }
        Some(Claimed {
            recovered: Arc::clone(recovered),
            name: name.to_owned(),
            claims: Some(inner.waiting.remove(name).unwrap_or_default()),
        })
    }

    /// The cluster is there, and answers for them.
    pub(crate) fn begin(mut self) -> Vec<Claim> {
        self.claims.take().unwrap_or_default()
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let Some(claims) = self.claims.take() else {
            return;
        };
        let mut inner = self.recovered.resumable.lock();
        inner.taken.remove(&self.name);
        if !inner.over {
            if !claims.is_empty() {
                inner.waiting.insert(self.name.clone(), claims);
            }
            return;
        }
        drop(inner);
        let giving_back = self.recovered.context.tasks().child("unclaimed");
        for claim in claims {
            give_back(&self.recovered, claim, &giving_back);
        }
    }
}

impl Recovered {
    /// Nothing goes on with this instance: its end is written down and told. Where it had ended before, that is told
    /// once more: whether it was is not known.
    pub(crate) fn instance_ended(&self, record: &InstanceRecord) {
        let instance = record.terminated();
        self.context.log().fact(Fact::Instance { instance });
        let ended = ServiceState::Terminated;
        let lived = record.state != ended;
        let error = record.failure.clone().map(Cause::from).filter(|_| !lived);
        let old = if lived {
            record.state
        } else {
            ServiceState::Pending
        };
        let rental = record.agreement.as_ref();
        let rental = rental.and_then(|agreement| self.rentals.get(agreement));
        let mut about = rental.map_or_else(EventContext::default, |rental| rental.about());
        about.activity.clone_from(&record.activity);
        let id = record.earlier_id();
        let name = record.title.as_deref().unwrap_or(id.as_str());
        let about = Arc::new(about.with_earlier_instance(id.as_str(), name));
        let changed = ServiceStateChanged {
            old,
            new: ended,
            error,
        };
        self.context.emit(Arc::clone(&about), changed);
        if lived {
            self.context.emit(about, ServiceFinished { error: None });
        }
    }
}

/// Gives back what is not claimed in time, or when the engine stops.
pub(crate) fn watch_over(recovered: &Arc<Recovered>) {
    if recovered.resumable.is_empty() && !recovered.networks.has_waiting() {
        return;
    }
    let owned = Arc::clone(recovered);
    recovered.context.jobs().spawn("unclaimed", async move {
        let stopping = owned.context.jobs().token();
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = sleep(owned.context.config().recovery.claim_within) => {}
        }
        let giving_back = owned.context.tasks().child("unclaimed");
        for claim in owned.resumable.rest() {
            give_back(&owned, claim, &giving_back);
        }
        giving_back.idle().await;
        let ender = Ender::of(&owned.context, "unclaimed-networks");
        for id in owned.networks.unclaimed() {
            owned.network_not_kept(&id);
            remove_network(&owned, &ender, &id, "no program went on with it").await;
        }
    });
}

fn give_back(recovered: &Arc<Recovered>, claim: Claim, giving_back: &TaskGroup) {
    let record = &claim.record;
    let name = format!("{}/{}", record.cluster, record.index);
    recovered.instance_ended(record);
    let Some((rental, activity)) = claim.machine else {
        return;
    };
    tracing::warn!(instance = %name, agreement = %rental.agreement_id,
        "no service of this name was started: its machine is given back");
    recovered.not_adopted(&name, &rental.agreement_id);
    recovered.settled(Item::new(
        Kind::Instance,
        &name,
        "no service went on with it",
    ));
    let job = JobId::new(RECOVERED);
    let machine = Machine::adopt(&recovered.context, &job, rental, activity, giving_back);
    machine.give_back("no service goes on with it");
}
