//! Who an instance is, for its own handlers.

use super::{InstanceId, JobId};

/// The instance of a service, the worker of a task list, or the machine of a pool, that a handler works
/// for. Known before there is a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceInfo {
    /// Unique within the engine: the job and a number, as in events.
    pub id: InstanceId,
    /// For people; see [`Service::name`](crate::service::Service::name). `worker-N` in a task list,
    /// `machine-N` in a pool.
    pub name: String,
    /// Which of its cluster or task list, from 0.
    pub index: usize,
    /// The cluster, task list or pool it belongs to, as in events.
    pub job: JobId,
    /// Which machine it is tried on, from 1: more than 1 after a start that failed, or, in a task
    /// list, after a machine that was given back. In a pool: which activity of the machine.
    pub attempt: u32,
}
