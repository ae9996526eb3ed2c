//! Tasks: a list of data worked off on rented machines. Owns: what users see — [`Task`], its result
//! or its error, the stream of both. Does not own: the workers (`worker.rs`), the queue (`queue.rs`).

mod queue;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use futures::Stream;
use golem_wire::NodeId;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::WorkContext;
use crate::deadline;
use crate::error::Error;
use crate::event::EventKind;
use crate::golem::Golem;
use crate::market::{BudgetExhausted, DemandSubscription, SHORTEST_RENTAL};
use crate::model::JobId;
use crate::payload::{Payload, Registry};
use crate::service::HandlerError;

use queue::Queue;
use worker::Job;

/// Results that wait for their reader; workers wait beyond that.
const RESULT_BUFFER: usize = 64;

/// One unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Task<D> {
    /// Position in the input, from 0.
    pub index: usize,
    /// What to work on.
    pub data: D,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// A task that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskResult<D, R> {
    /// The task, with the attempt that worked.
    pub task: Task<D>,
    /// What the worker returned.
    pub result: R,
    /// Who did it.
    pub provider_name: String,
    /// Node id of who did it.
    pub provider_id: NodeId,
    /// How long the attempt that worked took.
    pub running_time: Duration,
}

/// A task that was not done, for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {index} was not done ({attempts} attempts): {reason}")]
#[non_exhaustive]
pub struct TaskError {
    /// Position in the input, from 0.
    pub index: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// Why.
    pub reason: TaskFailure,
}

/// Why a task was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskFailure {
    /// Its attempts are used up.
    #[error("the last attempt, on provider {provider_name}, failed: {reason}")]
    Failed {
        /// Who tried last.
        provider_name: String,
        /// What happened.
        reason: String,
    },
    /// The worker said that trying again is of no use.
    #[error("rejected: {reason}")]
    Rejected {
        /// The worker's words.
        reason: String,
    },
    /// No machine could be rented.
    #[error("no machine: {reason}")]
    NoMachine {
        /// What happened.
        reason: String,
    },
    /// The budget is used up, or has no room for a machine.
    #[error(transparent)]
    BudgetExhausted(BudgetExhausted),
    /// The time for all tasks is over.
    #[error("the time for all tasks, {timeout:?}, is over")]
    Timeout {
        /// The time.
        timeout: Duration,
    },
    /// The engine was stopped.
    #[error("the engine was stopped")]
    Stopped,
}

/// Sets a list of tasks up; made by [`Golem::execute_tasks`].
#[must_use = "nothing runs before `start()`"]
pub struct ExecuteTasks<D, R, W> {
    golem: Golem,
    payload: Payload,
    data: Vec<D>,
    worker: W,
    max_workers: usize,
    timeout: Duration,
    attempt_timeout: Option<Duration>,
    max_retries: u32,
    result: std::marker::PhantomData<fn() -> R>,
}

impl Golem {
    /// Works a list of data off: `worker` is called for each item with a rented machine. Machines
    /// are used for many tasks. A task that fails is tried again on another provider.
    ///
    /// ```no_run
    /// # use futures::StreamExt;
    /// # use golem_engine::{Golem, payload::Payload, script::ScriptError};
    /// # async fn example(golem: Golem, payload: Payload) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tasks = golem
    ///     .execute_tasks(payload, 1..=100, |ctx, task| async move {
    ///         let done = ctx.run("/bin/echo", [task.data.to_string()]).await?;
    ///         Ok(done.stdout_text().into_owned())
    ///     })
    ///     .max_workers(5)
    ///     .start()
    ///     .await?;
    /// while let Some(done) = tasks.next().await {
    ///     println!("{}", done?.result);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute_tasks<D, R, W, F>(
        &self,
        payload: impl Into<Payload>,
        data: impl IntoIterator<Item = D>,
        worker: W,
    ) -> ExecuteTasks<D, R, W>
    where
        D: Clone + Send + Sync + 'static,
        R: Send + 'static,
        W: Fn(WorkContext, Task<D>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    {
        ExecuteTasks {
            golem: self.clone(),
            payload: payload.into(),
            data: data.into_iter().collect(),
            worker,
            max_workers: 5,
            timeout: Duration::from_secs(15 * 60),
            attempt_timeout: None,
            max_retries: 3,
            result: std::marker::PhantomData,
        }
    }
}

impl<D, R, W, F> ExecuteTasks<D, R, W>
where
    D: Clone + Send + Sync + 'static,
    R: Send + 'static,
    W: Fn(WorkContext, Task<D>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
{
    /// Most machines at a time; 5 unless set.
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = workers.max(1);
        self
    }

    /// Time for all tasks together; 15 minutes unless set. The demand lives a little longer, since
    /// providers take none that ends in less than five minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Time for one attempt at a task, from its being given to a machine; none unless set, so that a
    /// provider that never ends a task keeps it until the time for all is over. An attempt that takes
    /// longer has failed: its machine is given back, and the task is tried again on another provider.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How often a task is tried again after its first failure; 3 unless set.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Publishes the demand and starts the workers.
    ///
    /// # Errors
    /// [`Error::Payload`], and what the market refuses.
    ///
    /// # Cancel safety
    /// Not safe: a demand may be left until the engine stops.
    pub async fn start(self) -> Result<Tasks<D, R>, Error> {
        let context = Arc::clone(self.golem.context());
        let (results, receiver) = mpsc::channel(RESULT_BUFFER);
        let id = context.next_job("tasks");
        let group = context.jobs().child(id.as_str());
        if group.is_cancelled() {
            return Err(Error::Stopped);
        }
        let cancel = CancellationToken::new();
        let tasks = Tasks {
            job: id.clone(),
            receiver,
            _cancel: cancel.clone().drop_guard(),
        };
        if self.data.is_empty() {
            return Ok(tasks);
        }
        let resolved = self.payload.resolve(&Registry::of(&context)).await;
        let resolved = resolved.map_err(|error| Error::Payload {
            message: error.to_string(),
        })?;
        let lifetime = self.timeout.saturating_add(SHORTEST_RENTAL);
        let expiration = deadline::date_after(context.now(), lifetime);
        context.emit(EventKind::JobStarted { job: id.clone() });
        let market = self.golem.market();
        let opening = DemandSubscription::open(market, id.clone(), &resolved, expiration);
        let demand = match opening.await.map_err(Error::from) {
            Ok(demand) => demand,
            Err(error) => {
                let text = Some(error.to_string());
                context.emit(EventKind::JobFinished {
                    job: id,
                    error: text,
                });
                return Err(error);
            }
        };
        let workers = self.max_workers.min(self.data.len());
        let job = Arc::new(Job {
            giving_back: context.tasks().child(id.as_str()),
            context,
            id,
            demand,
            worker: self.worker,
            attempt_timeout: self.attempt_timeout,
            queue: Queue::new(self.data, self.max_retries.saturating_add(1)),
            results,
            cancel,
            workers: tokio::sync::watch::Sender::new(workers),
            no_machine: std::sync::Mutex::default(),
        });
        for number in 1..=workers {
            group.spawn(&format!("worker-{number}"), Arc::clone(&job).work(number));
        }
        let deadline = deadline::within(self.timeout);
        let stopped = group.token().clone();
        group.spawn("supervise", job.supervise(stopped, deadline, self.timeout));
        Ok(tasks)
    }
}

impl<D, R, W> fmt::Debug for ExecuteTasks<D, R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecuteTasks")
            .field("tasks", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Results and errors of tasks, in the order they come: each task yields exactly one of both. The
/// stream ends when everything that was rented is given back, but for machines that do not answer any
/// more, whose agreements the engine goes on to end; dropping it gives the tasks up.
pub struct Tasks<D, R> {
    job: JobId,
    receiver: mpsc::Receiver<Result<TaskResult<D, R>, TaskError>>,
    _cancel: DropGuard,
}

impl<D, R> Tasks<D, R> {
    /// The job of these tasks in events.
    pub fn job(&self) -> &JobId {
        &self.job
    }
}

impl<D, R> Stream for Tasks<D, R> {
    type Item = Result<TaskResult<D, R>, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

impl<D, R> fmt::Debug for Tasks<D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}
