//! Tasks: a list of data worked off on rented machines. Owns: what users see — [`Task`], its result
//! or its error, the stream of both. Does not own: the workers (`worker.rs`), the queue (`queue.rs`).

mod at_work;
mod input;
mod queue;
mod redundancy;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, Stream};
use golem_wire::NodeId;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::WorkContext;
use crate::cause::Cause;
use crate::context::JobName;
use crate::deadline;
use crate::error::Error;
use crate::golem::Golem;
use crate::market::{BudgetExhausted, DemandSubscription, SHORTEST_RENTAL};
use crate::model::JobId;
use crate::network::{Network, Place, require_vpn};
use crate::payload::{Payload, Resolved};
use crate::service::HandlerError;

pub use at_work::RunningTask;
pub use input::{Iterated, Streamed, TaskInput};

use at_work::AtWork;
use input::known_length;
use queue::Queue;
use redundancy::Redundancy;
use worker::{Job, Limits, Setup, Work};

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

impl<D> Task<D> {
    /// The first attempt at the first task of a list: what a test calls a worker with.
    pub fn new(data: D) -> Self {
        Task {
            index: 0,
            data,
            attempt: 1,
        }
    }
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
#[error("task {index} was not done ({attempts} attempts)")]
#[non_exhaustive]
pub struct TaskError {
    /// Position in the input, from 0.
    pub index: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// Why.
    #[source]
    pub reason: TaskFailure,
}

/// Why a task was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskFailure {
    /// Its attempts are used up.
    #[error("the last attempt, on provider {provider_name}, failed")]
    Failed {
        /// Who tried last.
        provider_name: String,
        /// What happened; [`Cause::find`] tells its type.
        #[source]
        cause: Cause,
    },
    /// The worker said that trying again is of no use.
    #[error("the worker rejected it")]
    Rejected {
        /// The worker's error.
        #[source]
        cause: Cause,
    },
    /// The machine could not be set up: the last one of several in a row, or for a reason that would
    /// hold on any.
    #[error("the set-up on provider {provider_name} failed")]
    SetupFailed {
        /// Who rents the machine out.
        provider_name: String,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// The input failed; what would have come after is not known.
    #[error("the input of tasks failed")]
    Input {
        /// What happened: an [`Error::Callback`] with the words and the place of its panic.
        #[source]
        cause: Cause,
    },
    /// No machine could be rented.
    #[error("no machine could be rented")]
    NoMachine {
        /// What happened: a `SignError` where the market had none.
        #[source]
        cause: Cause,
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

/// One more provider is asked: the result is not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{agreed} of {needed} providers gave this result, after {asked} were asked")]
#[non_exhaustive]
pub struct NotConfirmed {
    /// How many gave the last result, this provider included.
    pub agreed: u32,
    /// How many must.
    pub needed: u32,
    /// How many were asked in all.
    pub asked: u32,
}

/// Sets a list of tasks up; made by [`Golem::execute_tasks`]. What it is made of is given by
/// [`data`](Self::data), [`setup`](Self::setup) (or not) and [`worker`](Self::worker), in this order.
#[must_use = "nothing runs before `start()`"]
pub struct ExecuteTasks<I = (), M = NoSetup, W = ()> {
    settings: Settings,
    input: I,
    setup: M,
    work: W,
}

struct Settings {
    golem: Golem,
    payload: Payload,
    job_id: Option<String>,
    network: Option<Network>,
    max_workers: usize,
    timeout: Duration,
    expires_at: Option<Timestamp>,
    limits: Limits,
    max_retries: u32,
}

/// Machines need no set-up.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoSetup;

/// The data of tasks.
pub struct Data<D>(BoxStream<'static, D>);

/// How a machine is set up.
pub struct SetUp<M>(Setup<M>);

/// How a task is done.
pub struct Worker<D, R, M>(Work<M, D, R>, Option<Redundancy<R>>);

impl Golem {
    /// Works tasks off on rented machines, each of which is used for many. A task that fails is tried
    /// again on another provider.
    ///
    /// ```no_run
    /// # use futures::StreamExt;
    /// # use golem_engine::{Golem, payload::Payload};
    /// # async fn example(golem: Golem, payload: Payload, scene: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tasks = golem
    ///     .execute_tasks(payload)
    ///     .data((0..60).step_by(10))
    ///     .setup(move |ctx| {
    ///         // Once for each machine.
    ///         let scene = scene.clone();
    ///         async move {
    ///             let mut script = ctx.script();
    ///             script.upload_bytes(scene, "/golem/resource/scene.blend");
    ///             script.execute().await?;
    ///             Ok(ctx.provider_name().to_owned())
    ///         }
    ///     })
    ///     .worker(|machine, ctx, task| async move {
    ///         let frame = task.data.to_string();
    ///         let done = ctx.run("/golem/entrypoints/run-blender.sh", [frame]).await?;
    ///         Ok(format!("{machine}: {}", done.stdout_text()))
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
    pub fn execute_tasks(&self, payload: impl Into<Payload>) -> ExecuteTasks {
        ExecuteTasks {
            settings: Settings {
                golem: self.clone(),
                payload: payload.into(),
                job_id: None,
                network: None,
                max_workers: 5,
                timeout: Duration::from_secs(15 * 60),
                expires_at: None,
                limits: Limits {
                    setup: Some(Duration::from_secs(15 * 60)),
                    attempt: None,
                    idle: Duration::from_secs(60),
                },
                max_retries: 3,
            },
            input: (),
            setup: NoSetup,
            work: (),
        }
    }
}

impl<M> ExecuteTasks<(), M> {
    /// What to work on, one task for each item: a list, an iterator, or a stream. It is read as far
    /// ahead as there are [`max_workers`](Self::max_workers), so it may be endless, and items may come
    /// while others are at work: through a channel, say. Iterators are called on the engine's threads
    /// and must not block; one that panics ends the input, which is told by
    /// [`TaskFailure::Input`].
    ///
    /// ```no_run
    /// # use golem_engine::{Golem, payload::Payload};
    /// # async fn example(golem: Golem, payload: Payload) -> Result<(), Box<dyn std::error::Error>> {
    /// let (mut more, data) = futures::channel::mpsc::channel::<u32>(16);
    /// let tasks = golem
    ///     .execute_tasks(payload)
    ///     .data(data)
    ///     .worker(|ctx, task| async move { Ok(ctx.run("/bin/echo", [task.data.to_string()]).await?) })
    ///     .start()
    ///     .await?;
    /// more.try_send(7)?;
    /// // The list ends when no more can come.
    /// drop(more);
    /// # Ok(())
    /// # }
    /// ```
    pub fn data<I, K>(self, input: I) -> ExecuteTasks<Data<I::Item>, M>
    where
        I: TaskInput<K>,
    {
        ExecuteTasks {
            settings: self.settings,
            input: Data(input.into_stream()),
            setup: self.setup,
            work: (),
        }
    }
}

impl<I> ExecuteTasks<I> {
    /// What is done once on each machine, before its first task. What it returns is handed to the
    /// [`worker`](Self::worker) with each task of that machine, as `Arc<M>`. When it fails, the machine
    /// is given back and another one is tried; ten failures of one worker in a row, or one that is
    /// [not retryable](HandlerError::is_retryable), and its tasks end as
    /// [`TaskFailure::SetupFailed`].
    pub fn setup<M, S, F>(self, setup: S) -> ExecuteTasks<I, SetUp<M>>
    where
        M: Send + Sync + 'static,
        S: Fn(WorkContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<M, HandlerError>> + Send + 'static,
    {
        ExecuteTasks {
            settings: self.settings,
            input: self.input,
            setup: SetUp(Arc::new(move |ctx| setup(ctx).boxed())),
            work: (),
        }
    }
}

impl<D> ExecuteTasks<Data<D>, NoSetup> {
    /// What is done for each task. It is called anew for each attempt.
    pub fn worker<R, W, F>(self, worker: W) -> ExecuteTasks<Data<D>, SetUp<()>, Worker<D, R, ()>>
    where
        W: Fn(WorkContext, Task<D>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    {
        ExecuteTasks {
            settings: self.settings,
            input: self.input,
            setup: SetUp(Arc::new(|_| async { Ok(()) }.boxed())),
            work: Worker(
                Arc::new(move |_, ctx, task| worker(ctx, task).boxed()),
                None,
            ),
        }
    }
}

impl<D, M> ExecuteTasks<Data<D>, SetUp<M>> {
    /// What is done for each task, with what the set-up of its machine returned. It is called anew for
    /// each attempt.
    pub fn worker<R, W, F>(self, worker: W) -> ExecuteTasks<Data<D>, SetUp<M>, Worker<D, R, M>>
    where
        W: Fn(Arc<M>, WorkContext, Task<D>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    {
        ExecuteTasks {
            settings: self.settings,
            input: self.input,
            setup: self.setup,
            work: Worker(
                Arc::new(move |machine, ctx, task| worker(machine, ctx, task).boxed()),
                None,
            ),
        }
    }
}

impl<I, M, W> ExecuteTasks<I, M, W> {
    /// What the job is called in events and reports, instead of `tasks-N`: 1 to 64 letters, digits,
    /// `.`, `_` and `-`, and no other job's name.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.settings.job_id = Some(id.into());
        self
    }

    /// Makes the machines nodes of a virtual network: each gets an address there before it is deployed; see
    /// [`WorkContext::network_node`]. Only runtimes that can join one are rented.
    pub fn network(mut self, network: &Network) -> Self {
        self.settings.network = Some(network.clone());
        self
    }

    /// Most machines at a time; 5 unless set.
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.settings.max_workers = workers.max(1);
        self
    }

    /// Time for all tasks together; 15 minutes unless set. The demand lives some minutes longer, since
    /// providers take none that ends in less than five; see [`expires_at`](Self::expires_at).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// When what is rented expires at the latest, by the daemon's clock; five minutes and a little
    /// after the [`timeout`](Self::timeout) unless set. The tasks end then, if that is before their
    /// timeout.
    pub fn expires_at(mut self, expires_at: Timestamp) -> Self {
        self.settings.expires_at = Some(expires_at);
        self
    }

    /// Time for the set-up of one machine; 15 minutes unless set.
    pub fn setup_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.limits.setup = timeout;
        self
    }

    /// Time for one attempt at a task, from its being given to a machine; none unless set, so that a
    /// provider that never ends a task keeps it until the time for all is over. An attempt that takes
    /// longer has failed: its machine is given back, and the task is tried again on another provider.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.attempt = Some(timeout);
        self
    }

    /// How long a machine is kept, and paid for, while the input has no task for it but has not
    /// ended; a minute unless set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.idle = timeout;
        self
    }

    /// Whether a machine's first script gets `deploy` and `start` put in front; see
    /// [`Payload::implicit_init`]. Without it [`setup`](Self::setup), or the first task of each machine, brings what
    /// the runtime needs.
    pub fn implicit_init(mut self, implicit: bool) -> Self {
        self.settings.payload = self.settings.payload.implicit_init(implicit);
        self
    }

    /// How often a task is tried again after its first failure; 3 unless set.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.settings.max_retries = retries;
        self
    }
}

impl<D, R, M> ExecuteTasks<Data<D>, SetUp<M>, Worker<D, R, M>>
where
    D: Clone + Send + 'static,
    R: Send + 'static,
    M: Send + Sync + 'static,
{
    /// Has each task done by different providers until so many of them gave the same result, which is the one that
    /// counts: a provider that is alone with its result is outvoted. 1 unless set. No provider does a task twice;
    /// each adds an attempt to it, and [`max_retries`](Self::max_retries) more are made before the task ends as
    /// [`TaskFailure::Failed`] with [`NotConfirmed`]. Where only providers that did all waiting tasks rent out
    /// machines, the tasks end as [`TaskFailure::NoMachine`].
    ///
    /// ```no_run
    /// # use golem_engine::{Golem, payload::Payload};
    /// # async fn example(golem: Golem, payload: Payload) -> Result<(), Box<dyn std::error::Error>> {
    /// let tasks = golem
    ///     .execute_tasks(payload)
    ///     .data(["first", "second"])
    ///     .worker(|ctx, task| async move {
    ///         let done = ctx.run("/usr/bin/sha256sum", [task.data]).await?;
    ///         Ok(done.stdout_text().into_owned())
    ///     })
    ///     .redundancy(2)
    ///     .start()
    ///     .await?;
    /// # drop(tasks);
    /// # Ok(())
    /// # }
    /// ```
    pub fn redundancy(self, providers: u32) -> Self
    where
        R: PartialEq,
    {
        self.redundancy_by(providers, |one, other| one == other)
    }

    /// The same with a comparison of one's own, for results that are never the same to the last digit. One that
    /// panics fails the attempt.
    pub fn redundancy_by(
        mut self,
        providers: u32,
        same: impl Fn(&R, &R) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.work.1 = (providers > 1).then(|| Redundancy {
            needed: providers,
            same: Arc::new(same),
        });
        self
    }

    /// Publishes the demand and starts the workers. Input that is known to be empty rents nothing.
    ///
    /// # Errors
    /// [`Error::Payload`]; [`Error::ExpiresTooSoon`] when nothing could be rented for so short a time;
    /// [`Error::JobName`]; and what the market refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe: tasks that nobody waits for any more are given up as soon as they are there.
    pub async fn start(self) -> Result<Tasks<D, R>, Error> {
        let context = Arc::clone(self.settings.golem.context());
        if let Some(expires_at) = self.settings.expires_at {
            let earliest = deadline::date_after(context.now(), SHORTEST_RENTAL);
            if expires_at < earliest {
                return Err(Error::ExpiresTooSoon {
                    expires_at,
                    earliest,
                });
            }
        }
        let resolved = match known_length(&self.input.0) {
            Some(0) => None,
            _ => Some(self.settings.payload.resolve(&context).await?),
        };
        // Whoever waits may go away; `Tasks` that are dropped give everything up.
        let opening = context.tasks().run("start-tasks", self.open(resolved));
        opening.await.map_err(|_| Error::Stopped)?
    }

    /// Opens the list; `None` if there is nothing to do.
    async fn open(self, resolved: Option<Resolved>) -> Result<Tasks<D, R>, Error> {
        let ExecuteTasks {
            settings,
            input: Data(input),
            setup: SetUp(setup),
            work: Worker(work, redundancy),
        } = self;
        let context = Arc::clone(settings.golem.context());
        let (results, receiver) = mpsc::channel(RESULT_BUFFER);
        let name = Arc::new(context.job_name(settings.job_id.as_deref(), "tasks")?);
        let id = name.id.clone();
        let group = context.jobs().child(id.as_str());
        if group.is_cancelled() {
            return Err(Error::Stopped);
        }
        let cancel = CancellationToken::new();
        let at_work = Arc::new(AtWork::default());
        let tasks = Tasks {
            job: id.clone(),
            _name: Arc::clone(&name),
            receiver,
            at_work: Arc::clone(&at_work),
            _cancel: cancel.clone().drop_guard(),
        };
        let known_length = known_length(&input);
        let Some(Resolved {
            mut payload,
            offered,
        }) = resolved
        else {
            return Ok(tasks);
        };
        if settings.network.is_some() {
            require_vpn(&mut payload);
        }
        let now = context.now();
        let (mut timeout, mut expiration) = (settings.timeout, settings.expires_at);
        if let Some(expiration) = expiration {
            let left = Duration::try_from(expiration.duration_since(now)).unwrap_or_default();
            timeout = timeout.min(left);
        }
        let lifetime = settings.timeout.saturating_add(SHORTEST_RENTAL);
        let expiration = *expiration.get_or_insert_with(|| deadline::date_after(now, lifetime));
        let market = settings.golem.market();
        let workers = known_length.map_or(settings.max_workers, |length| {
            settings.max_workers.min(length)
        });
        let demand = DemandSubscription::begin(market, &id, payload, expiration, workers).await?;
        demand.keep(offered);
        let more = redundancy.as_ref().map_or(0, |it| it.needed - 1);
        let max_attempts = settings.max_retries.saturating_add(1).saturating_add(more);
        let work = match redundancy {
            Some(redundancy) => redundancy.around(work, max_attempts),
            None => work,
        };
        let job = Arc::new(Job {
            giving_back: context.tasks().child(id.as_str()),
            context,
            id,
            _name: name,
            place: settings.network.map(|network| Place {
                network,
                claim: None,
            }),
            demand,
            setup,
            work,
            limits: settings.limits,
            queue: Queue::new(max_attempts),
            known_length,
            input_failed: std::sync::Mutex::default(),
            results,
            at_work,
            cancel,
            workers: crate::watch::Sender::new(workers),
            no_machine: std::sync::Mutex::default(),
        });
        group.spawn("input", Arc::clone(&job).feed(input, workers));
        for number in 1..=workers {
            group.spawn(format!("worker-{number}"), Arc::clone(&job).work(number));
        }
        let deadline = deadline::within(timeout);
        let stopped = group.token().clone();
        group.spawn("supervise", job.supervise(stopped, deadline, timeout));
        Ok(tasks)
    }
}

impl<I, M, W> fmt::Debug for ExecuteTasks<I, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecuteTasks")
            .field("job_id", &self.settings.job_id)
            .field("max_workers", &self.settings.max_workers)
            .finish_non_exhaustive()
    }
}

/// What the builder holds cannot be shown.
macro_rules! opaque {
    ($($name:ident<$($of:ident),*>)*) => {$(
        impl<$($of),*> fmt::Debug for $name<$($of),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

opaque!(Data<D> SetUp<M> Worker<D, R, M>);

/// Results and errors of tasks, in the order they come: each task yields exactly one of both. The
/// stream ends when everything that was rented is given back, but for machines that do not answer any
/// more, whose agreements the engine goes on to end; dropping it gives the tasks up.
pub struct Tasks<D, R> {
    job: JobId,
    _name: Arc<JobName>,
    receiver: mpsc::Receiver<Result<TaskResult<D, R>, TaskError>>,
    at_work: Arc<AtWork>,
    _cancel: DropGuard,
}

impl<D, R> Tasks<D, R> {
    /// The tasks that are being done now, those that began first in front.
    ///
    /// ```no_run
    /// # fn example(tasks: &golem_engine::task::Tasks<u32, u32>) {
    /// for task in tasks.running() {
    ///     println!("task {} runs on {} for {:?}", task.index, task.provider_name, task.running_time());
    /// }
    /// # }
    /// ```
    pub fn running(&self) -> Vec<RunningTask> {
        self.at_work.list()
    }

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
