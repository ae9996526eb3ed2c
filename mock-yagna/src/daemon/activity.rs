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
mod lifecycle;
mod payload;
#[cfg(test)]
mod tests;
#[cfg(feature = "https")]
mod tls;
mod transfer;
mod trouble;
mod web;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use golem_wire::activity::{ActivityState, ActivityStatus};
use golem_wire::{ActivityId, AgreementId, BatchId, NetworkId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use mock_yagna_shell::Files;
use rust_decimal::prelude::ToPrimitive;
use tokio_util::sync::CancellationToken;

pub(crate) use batch::Outcome;
pub(crate) use error::ActivityError;
pub(crate) use transfer::{read_volume, unescape};

use crate::behaviour::{CommandKind, Factor};
use crate::runtime::program::Stream;
use crate::world::State;
use batch::Batch;
use image::Machine;

const USAGE_VECTOR: &str = "golem.com.usage.vector";

/// What activities will do by themselves.
#[derive(Debug)]
pub enum Due {
    /// The exe-unit is up.
    Created(ActivityId),
    /// The exe-unit is down, as the requestor asked.
    Destroyed(ActivityId),
    /// The agreement ended a while ago, and its activities end now.
    Orphaned(AgreementId),
    /// The exe-unit dies, as the provider's behaviour says.
    Killed(ActivityId),
    /// The exe-unit is killed, as the provider's behaviour says.
    ExeUnitKilled(ActivityId),
    /// The next command of a batch begins.
    Next(ActivityId, BatchId),
    /// A command that runs prints.
    Prints(Box<Prints>),
    /// A command ends.
    Finished(Box<Finished>),
}

/// What a simulated command still has to print before its end.
#[derive(Debug)]
pub struct Prints {
    activity: ActivityId,
    batch: BatchId,
    index: u32,
    /// The times, the next one first.
    left: VecDeque<(Timestamp, Stream, Bytes)>,
}

/// The end of a command.
#[derive(Debug)]
pub struct Finished {
    activity: ActivityId,
    batch: BatchId,
    index: u32,
    outcome: Outcome,
}

/// All activities.
#[derive(Debug, Default)]
pub struct Activities {
    by_id: IndexMap<ActivityId, Activity>,
    by_agreement: IndexMap<AgreementId, Vec<ActivityId>>,
    /// Failed first starts by provider.
    failed_starts: IndexMap<NodeId, u32>,
    /// Commands begun by provider and kind.
    commands: IndexMap<(NodeId, CommandKind), u32>,
}

/// One activity.
#[derive(Debug)]
pub struct Activity {
    pub(crate) agreement: AgreementId,
    pub(crate) provider: NodeId,
    pub(crate) requestor: NodeId,
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
    /// Whether it has not come to its end.
    pub(crate) fn is_alive(&self) -> bool {
        self.state != ActivityState::Terminated
    }

    /// `GET …/state`.
    pub(crate) fn status(&self) -> ActivityStatus {
        ActivityStatus {
            state: (self.state.clone(), self.pending.clone()),
            reason: self.failure.as_ref().map(|_| "Failed".to_owned()),
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

impl State {
    /// Performs what an activity had scheduled.
    pub(crate) fn activity_due(&mut self, due: Due) {
        match due {
            Due::Created(id) => self.exe_unit_is_up(&id),
            Due::Destroyed(id) => self.end_activity(&id, "destroyed by the requestor", None),
            Due::Orphaned(agreement) => self.destroy_activities_of(&agreement),
            Due::Killed(id) => self.kill_activity(&id),
            Due::ExeUnitKilled(id) => self.kill_exe_unit(&id),
            Due::Next(activity, batch) => self.next_command(&activity, &batch),
            Due::Prints(prints) => self.command_prints(*prints),
            Due::Finished(finished) => {
                let Finished {
                    activity,
                    batch,
                    index,
                    outcome,
                } = *finished;
                self.command_finished(&activity, &batch, index, outcome);
            }
        }
    }

    /// Looks an activity up.
    pub(crate) fn activity(&self, id: &ActivityId) -> Option<&Activity> {
        self.activities.by_id.get(id)
    }

    /// Writes at the end of a file of a simulated machine, if it is there and has room.
    pub(crate) fn append_machine_file(
        &mut self,
        id: &ActivityId,
        now: Timestamp,
        path: &str,
        text: &[u8],
    ) {
        let Some(files) = self.machine_files(id).filter(|files| files.contains(path)) else {
            return;
        };
        files.set_clock(now);
        if let Err(error) = files.append(path, text) {
            tracing::debug!("a daemon of a machine cannot write its log: {error}");
        }
    }

    /// The files of a simulated machine, as they are now.
    pub(crate) fn machine_files(&mut self, id: &ActivityId) -> Option<&mut Files> {
        let activity = self.activities.by_id.get_mut(id)?;
        activity.machine.as_mut()?.files(self.now)
    }

    /// The activities of an agreement, oldest first.
    pub(crate) fn activities_of(&self, agreement: &AgreementId) -> &[ActivityId] {
        self.activities
            .by_agreement
            .get(agreement)
            .map_or(&[], Vec::as_slice)
    }

    /// Usage so far in the order of the offer's usage vector.
    pub(crate) fn usage(&self, id: &ActivityId) -> Vec<f64> {
        let Some(activity) = self.activity(id) else {
            return Vec::new();
        };
        let offer = self
            .agreement(&activity.agreement)
            .map(|a| &a.offer.properties);
        let vector = offer.and_then(|properties| properties.get(USAGE_VECTOR)?.as_array());
        let counter = |name: &str| match (name, &activity.state) {
            (_, ActivityState::New) => 0.0,
            ("golem.usage.duration_sec", _) => seconds(activity.lifetime(self.now)),
            ("golem.usage.cpu_sec", _) => seconds(activity.cpu_time(self.now)),
            _ => 0.0,
        };
        let factor = self
            .provider(&activity.provider)
            .map(|p| p.spec.behaviour.usage_factor);
        let reported = |truth: f64| match factor {
            Some(factor) if factor != Factor::default() => inflated(truth, factor),
            _ => truth,
        };
        let counter = |name: &str| reported(counter(name));
        match vector {
            Some(names) => names
                .iter()
                .map(|name| counter(name.as_str().unwrap_or("")))
                .collect(),
            None => Vec::new(),
        }
    }
}
