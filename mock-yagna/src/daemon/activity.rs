//! Activities: one exe-unit each, created under an approved agreement, ended with it at the latest.
//!
//! Owns what is kept of them, their state pairs and their usage. Does not own: how they begin and
//! end (`lifecycle`), what a batch does (`command`, `payload`), what images contain (`runtime`),
//! money (`payment`), HTTP.

mod batch;
mod capture;
mod command;
mod error;
mod exe_unit;
mod image;
mod job;
mod lifecycle;
mod payload;
mod script;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use golem_wire::activity::{ActivityState, ActivityStatus, DeployNetwork};
use golem_wire::{ActivityId, AgreementId, BatchId, NetworkId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use mock_yagna_shell::Files;
use rust_decimal::prelude::ToPrimitive;
use tokio_util::sync::CancellationToken;

pub(crate) use batch::Outcome;
pub(crate) use error::ActivityError;
pub(crate) use job::{CommandJob, Job, Work};
pub(crate) use payload::{DEPLOYED, STARTED};

use crate::behaviour::{CommandKind, Factor};
use crate::manifest::Manifest;
use crate::ports::Ports;
use crate::provider::Providers;
use crate::runtime::process::Processes;
use crate::timeline::ActivityDue;
use batch::Batch;
use image::Machine;
use mock_yagna_shell::places::in_volume;

const USAGE_VECTOR: &str = "golem.com.usage.vector";
/// Batches of an activity that are over and still known, the last ones.
const FINISHED_BATCHES: usize = 32;

/// All activities.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activities {
    by_id: IndexMap<ActivityId, Activity>,
    by_agreement: IndexMap<AgreementId, Vec<ActivityId>>,
    /// Failed first starts by provider.
    failed_starts: IndexMap<NodeId, u32>,
    /// Commands begun by provider and kind.
    commands: IndexMap<(NodeId, CommandKind), u32>,
    /// The activity that joined a network with an address, whether the network exists or not.
    joined: IndexMap<(NetworkId, IpAddr), ActivityId>,
    /// Work for tasks, not begun yet.
    jobs: Vec<Job>,
}

/// One activity.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    pub(crate) agreement: AgreementId,
    pub(crate) provider: NodeId,
    pub(crate) requestor: NodeId,
    /// Whether the requestor's daemon gave its creation up (408): only the provider knows of it.
    pub(crate) unlisted: bool,
    /// Whether the requestor's daemon asked for its usage while it was there: later it knows what it heard.
    pub(crate) usage_heard: bool,
    /// Whether the requestor's daemon knows that it has ended.
    pub(crate) end_known: bool,
    /// Whether its requestor destroyed it, and heard that this was done.
    pub(crate) destroyed_by_requestor: bool,
    /// What its provider counts, in the order of the offer's usage vector.
    counters: Vec<String>,
    /// The image that the demand names, or its manifest.
    package: Option<String>,
    /// What the demand says that may be run.
    manifest: Option<Manifest>,
    pub(crate) state: ActivityState,
    /// The state it is moving to.
    pub(crate) pending: Option<ActivityState>,
    /// Why it ended, when it was not asked to.
    pub(crate) failure: Option<String>,
    /// When the exe-unit came up (while it is `New`: when it was asked for).
    pub(crate) created_at: Timestamp,
    pub(crate) destroyed_at: Option<Timestamp>,
    /// Time in which commands ran, without the one that runs now.
    busy: Duration,
    running: Option<Running>,
    machine: Option<Machine>,
    batches: IndexMap<BatchId, Batch>,
    deployments: u32,
    /// Environment of its commands, as `deploy` gave it.
    env: BTreeMap<String, String>,
    /// Where it is known in virtual networks.
    networks: Vec<(NetworkId, IpAddr)>,
    /// Cancelled when what runs now must not go on.
    stop: CancellationToken,
}

/// The command in progress.
#[derive(Clone, Debug)]
struct Running {
    batch: BatchId,
    since: Timestamp,
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// Seconds at millisecond precision, so that amounts stay short.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// What a provider that exaggerates reports, at milliseconds.
fn inflated(truth: f64, factor: Factor) -> f64 {
    let factor = factor.0.to_f64().unwrap_or(1.0);
    (truth * factor * 1000.0).round() / 1000.0
}

impl Activity {
    /// Whether a node's daemon knows of it.
    pub(crate) fn is_known_to(&self, node: &NodeId) -> bool {
        !self.unlisted || self.provider == *node
    }

    /// Whether it has a batch that is not over.
    pub(crate) fn is_busy(&self) -> bool {
        self.batches.values().any(|batch| !batch.over)
    }

    /// Whether it has not come to its end.
    pub(crate) fn is_alive(&self) -> bool {
        self.state != ActivityState::Terminated
    }

    /// `GET …/state`. That an activity ended as it should, its provider's daemon says only.
    pub(crate) fn status(&self, party: &NodeId) -> ActivityStatus {
        // Who destroyed it needs no reason; to others it is its provider's.
        let is_own = self.requestor == *party && self.destroyed_by_requestor;
        let finished = !is_own && self.state == ActivityState::Terminated;
        ActivityStatus {
            state: (self.state.clone(), self.pending.clone()),
            reason: match self.failure {
                Some(_) => Some("Failed".to_owned()),
                None => finished.then(|| "Finished".to_owned()),
            },
            error_message: self.failure.clone(),
        }
    }

    /// Cancelled when what runs now must not go on.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// A file of a simulated machine, wherever it lies.
    pub(crate) fn file(&self, path: &str) -> Option<Bytes> {
        match &self.machine {
            Some(Machine::Simulated(simulated)) => simulated.files.read(path),
            _ => None,
        }
    }

    /// Whether a normalised path lies in a volume of its machine.
    pub(crate) fn has_in_volume(&self, path: &str) -> bool {
        match &self.machine {
            Some(Machine::Simulated(simulated)) => simulated.files.in_volume(path),
            _ => in_volume(path),
        }
    }

    /// The real processes of its machine, if it has such.
    pub(crate) fn processes(&self) -> Option<Processes> {
        match &self.machine {
            Some(Machine::Real(processes)) => Some(processes.clone()),
            _ => None,
        }
    }

    /// Forgets the oldest batches that are over and that nobody asks for any more, before a new one: a
    /// machine that works for days does not grow.
    fn forget_batches(&mut self) {
        let over = self.batches.values().filter(|batch| batch.over).count();
        let mut many = over.saturating_sub(FINISHED_BATCHES - 1);
        self.batches.retain(|_, batch| {
            let forget = batch.over && many > 0;
            many -= usize::from(forget);
            !forget
        });
    }

    fn lifetime(&self, now: Timestamp) -> Duration {
        between(self.created_at, self.destroyed_at.unwrap_or(now))
    }

    fn cpu_time(&self, now: Timestamp) -> Duration {
        let running = self
            .running
            .as_ref()
            .map(|running| between(running.since, now));
        self.busy + running.unwrap_or_default()
    }
}

impl Activities {
    /// Performs what an activity had scheduled.
    pub(crate) fn perform(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        due: ActivityDue,
    ) {
        match due {
            ActivityDue::Created(id) => self.exe_unit_is_up(ports, providers, &id),
            ActivityDue::Destroyed(id) => self.end(ports, &id, "destroyed by the requestor", None),
            ActivityDue::Orphaned(agreement) => self.destroy_under(ports, &agreement),
            ActivityDue::Killed(id) => self.kill(ports, &id),
            ActivityDue::ExeUnitKilled(id) => self.kill_exe_unit(ports, &id),
            ActivityDue::Next(id, batch) => self.next_command(ports, providers, &id, &batch),
            ActivityDue::Prints(id, batch, index) => {
                self.command_prints(ports, &id, &batch, index);
            }
            ActivityDue::Finished(id, batch, index) => {
                self.command_is_over(ports, providers, &id, &batch, index);
            }
        }
    }

    /// Work for tasks that was asked for since the last time.
    pub(crate) fn take_jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    /// What is under way and partly elsewhere; a state with it cannot be kept.
    pub(crate) fn at_work(&self) -> Option<String> {
        if !self.jobs.is_empty() {
            return Some("a command is about to begin".to_owned());
        }
        let mut living = self
            .by_id
            .iter()
            .filter(|(_, activity)| activity.is_alive());
        living.find_map(|(id, activity)| {
            if let Some(why) = activity.machine.as_ref().and_then(Machine::not_kept) {
                return Some(format!("activity {id} {why}"));
            }
            activity
                .is_busy()
                .then(|| format!("a batch of activity {id} is under way"))
        })
    }

    /// A kept state begins again: what ended those before it does not concern its activities.
    pub(crate) fn begin_again(&mut self, old: &mut Activities) {
        for activity in self.by_id.values_mut().filter(|it| it.is_alive()) {
            activity.stop = CancellationToken::new();
        }
        self.take_over(old);
    }

    /// The network begins anew: what the old activities still have to do is not forgotten.
    pub(crate) fn take_over(&mut self, old: &mut Activities) {
        self.jobs.append(&mut old.jobs);
    }

    /// A machine joins the networks that its `deploy` names. Returns how it is known there; an address
    /// that is none joins nothing.
    fn join(&mut self, id: &ActivityId, networks: &[DeployNetwork]) -> Vec<(NetworkId, IpAddr)> {
        let places = networks.iter();
        let places = places.filter_map(|net| Some((net.id.clone(), net.node_ip.parse().ok()?)));
        let places: Vec<(NetworkId, IpAddr)> = places.collect();
        for place in &places {
            self.joined.insert(place.clone(), id.clone());
        }
        places
    }

    /// A machine is gone from where it had joined.
    fn leave(&mut self, id: &ActivityId, places: &[(NetworkId, IpAddr)]) {
        for place in places {
            if self.joined.get(place) == Some(id) {
                self.joined.swap_remove(place);
            }
        }
    }

    /// The activity that joined a network with this address.
    pub(crate) fn joined(
        &self,
        network: &NetworkId,
        ip: IpAddr,
    ) -> Option<(&ActivityId, &Activity)> {
        let id = self.joined.get(&(network.clone(), ip))?;
        Some((id, self.by_id.get(id)?))
    }

    /// Looks an activity up.
    pub(crate) fn get(&self, id: &ActivityId) -> Option<&Activity> {
        self.by_id.get(id)
    }

    /// Whether `party` is told the usage: the provider's daemon always knows it, the requestor's asks until it knows
    /// that the activity has ended, and afterwards remembers whether it did.
    pub(crate) fn hear_usage(&mut self, id: &ActivityId, party: &NodeId) -> bool {
        let Some(activity) = self.by_id.get_mut(id) else {
            return false;
        };
        if activity.requestor != *party {
            return true;
        }
        activity.usage_heard |= !activity.end_known;
        activity.usage_heard
    }

    /// The requestor's daemon learns that an activity has ended, if it has: because it destroyed it, or was told its
    /// state. Of an end that it does not know of it asks the provider's daemon all the same.
    pub(crate) fn hear_end(&mut self, id: &ActivityId, party: &NodeId) {
        if let Some(activity) = self.by_id.get_mut(id)
            && activity.requestor == *party
        {
            activity.end_known |= activity.destroyed_at.is_some();
        }
    }

    /// The requestor's daemon has destroyed an activity.
    pub(crate) fn hear_own_end(&mut self, id: &ActivityId, party: &NodeId) {
        self.hear_end(id, party);
        if let Some(activity) = self.by_id.get_mut(id) {
            activity.destroyed_by_requestor |= activity.requestor == *party;
        }
    }

    /// Whether `party` is told of it by its own daemon: a provider always, its requestor once that knows of the end.
    pub(crate) fn knows_end(&self, id: &ActivityId, party: &NodeId) -> bool {
        let activity = self.by_id.get(id);
        activity.is_some_and(|activity| activity.requestor != *party || activity.end_known)
    }

    /// Writes at the end of a file of a simulated machine, if it is there and has room.
    pub(crate) fn append_file(&mut self, id: &ActivityId, now: Timestamp, path: &str, text: &[u8]) {
        let Some(files) = self.files(now, id).filter(|files| files.contains(path)) else {
            return;
        };
        files.set_clock(now);
        if let Err(error) = files.append(path, text) {
            tracing::debug!("a daemon of a machine cannot write its log: {error}");
        }
    }

    /// The files of a simulated machine, as they are at `now`.
    pub(crate) fn files(&mut self, now: Timestamp, id: &ActivityId) -> Option<&mut Files> {
        self.by_id.get_mut(id)?.machine.as_mut()?.files(now)
    }

    /// The activities of an agreement, oldest first.
    pub(crate) fn under(&self, agreement: &AgreementId) -> &[ActivityId] {
        self.by_agreement.get(agreement).map_or(&[], Vec::as_slice)
    }

    /// Usage so far in the order of the offer's usage vector.
    pub(crate) fn usage(&self, now: Timestamp, providers: &Providers, id: &ActivityId) -> Vec<f64> {
        let Some(activity) = self.get(id) else {
            return Vec::new();
        };
        let own = providers
            .get(&activity.provider)
            .map(|it| &it.spec.counters);
        let counter = |name: &str| match (name, &activity.state) {
            (_, ActivityState::New) => 0.0,
            ("golem.usage.duration_sec", _) => seconds(activity.lifetime(now)),
            ("golem.usage.cpu_sec", _) => seconds(activity.cpu_time(now)),
            (name, _) => own.and_then(|own| own.get(name)).map_or(0.0, |counter| {
                counter.per_sec * seconds(activity.lifetime(now))
            }),
        };
        let factor = providers
            .behaviour(&activity.provider)
            .map(|behaviour| behaviour.usage_factor);
        let reported = |truth: f64| match factor {
            Some(factor) if factor != Factor::default() => inflated(truth, factor),
            _ => truth,
        };
        let counters = activity.counters.iter();
        counters.map(|name| reported(counter(name))).collect()
    }

    /// The most that its provider can say unnoticed it has used `later` than now, all threads busy from
    /// now on: its true usage; what the provider reports of the processor, as far as time and threads
    /// allow.
    pub(crate) fn arguable(
        &self,
        now: Timestamp,
        providers: &Providers,
        id: &ActivityId,
        later: Duration,
    ) -> Option<Vec<f64>> {
        let activity = self.get(id)?;
        let provider = providers.get(&activity.provider);
        let threads = provider.map_or(1, |provider| provider.spec.resources.cpu_threads);
        let lived = match activity.state {
            ActivityState::New => 0.0,
            _ => seconds(activity.lifetime(now)),
        };
        let reported = self.usage(now, providers, id);
        let counters = activity.counters.iter().zip(reported);
        let arguable = counters.map(|(name, reported)| match name.as_str() {
            "golem.usage.duration_sec" => lived + later.as_secs_f64(),
            "golem.usage.cpu_sec" => {
                let truth = seconds(activity.cpu_time(now));
                let possible = lived * f64::from(threads);
                let more = later.as_secs_f64() * f64::from(threads);
                reported.min(possible).max(truth) + more
            }
            _ => reported,
        });
        Some(arguable.collect())
    }
}
