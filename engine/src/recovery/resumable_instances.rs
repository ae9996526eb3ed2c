//! Instances of earlier runs that wait for a service of their name to go on. Owns: who may have
//! them, and giving back those that are not claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::ActivityId;
use tokio::time::sleep;

use super::{Recovered, instance_ended, remove_network};
use crate::activity::Machine;
use crate::journal::InstanceRecord;
use crate::market::Rental;
use crate::model::JobId;
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

    /// The instances of this cluster; `None` when a cluster of this run has the name.
    pub(crate) fn take(&self, name: &str) -> Option<Vec<Claim>> {
        let mut inner = self.lock();
        if !inner.taken.insert(name.to_owned()) {
            return None;
        }
        Some(inner.waiting.remove(name).unwrap_or_default())
    }

    fn rest(&self) -> Vec<Claim> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_values().flatten().collect()
    }

    fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
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
    instance_ended(recovered, record);
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
    let job = JobId::new(crate::market::RECOVERED);
    let machine = Machine::adopt(&recovered.context, &job, rental, activity, giving_back);
    machine.give_back("no service goes on with it");
}
