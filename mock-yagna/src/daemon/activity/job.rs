//! Work of exe-units that takes real time. Owns the description only: `world::tasks` performs it.

use std::collections::BTreeMap;

use golem_wire::activity::{Run, Transfer};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::runtime::process::Processes;

/// Work that begins when the step that asked for it is over.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// A command, until it ends or its activity's payload does.
    Command(Box<CommandJob>),
    /// The end of the processes of a machine; the network's stop waits for it.
    StopProcesses(Processes),
}

/// A command that is performed as a task.
#[derive(Clone, Debug)]
pub(crate) struct CommandJob {
    pub(crate) activity: ActivityId,
    pub(crate) batch: BatchId,
    /// Its number in the batch.
    pub(crate) index: u32,
    /// Cancelled when it must not go on.
    pub(crate) stop: CancellationToken,
    pub(crate) work: Work,
}

/// What a command does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Unpacks the image of real processes.
    Deploy(Processes),
    /// Starts the payload of real processes.
    Start(Processes),
    /// Runs a real process with an environment.
    Run(Processes, Run, BTreeMap<String, String>),
    /// Moves a file.
    Transfer(Transfer),
    /// Fetches an image from its requestor, to be there at this time at the earliest; then it is unpacked, if real
    /// processes run it.
    Fetch(String, Timestamp, Option<Processes>),
}
