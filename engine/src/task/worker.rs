//! Workers: each rents a machine, keeps it while there are tasks for it, and rents another one when
//! it fails. Owns: their loop and the end of the job.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use golem_wire::NodeId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::at_work::AtWork;
use super::queue::{Entry, Queue, Taker};
use super::{NotConfirmed, Task, TaskError, TaskFailure, TaskResult};
use crate::WorkContext;
use crate::activity::{Activity, Machine, RentError};
use crate::cause::Cause;
use crate::context::{Context, JobName};
use crate::deadline;
use crate::error::Error;
use crate::event::{
    EventContext, JobFinished, TaskAccepted, TaskFinished, TaskRejected, TaskStarted,
    WorkerFinished, WorkerStarted,
};
use crate::market::{DemandSubscription, SignError};
use crate::model::{InstanceId, InstanceInfo, JobId};
use crate::network::Place;
use crate::panics::caught_in;
use crate::pool::{Called, call};
use crate::retry::Backoff;
use crate::service::HandlerError;
use crate::tasks::TaskGroup;
use crate::watch;
use crate::work_context::Identity;

/// Providers in a row that take an agreement but give no activity before a worker gives up.
const MAX_RENT_FAILURES: u32 = 10;

/// Calls a set-up.
pub(super) type Setup<M> =
    Arc<dyn Fn(WorkContext) -> BoxFuture<'static, Result<M, HandlerError>> + Send + Sync>;
/// Calls a worker.
pub(super) type Work<M, D, R> = Arc<
    dyn Fn(Arc<M>, WorkContext, Task<D>) -> BoxFuture<'static, Result<R, HandlerError>>
        + Send
        + Sync,
>;

/// A list of tasks being worked off.
pub(super) struct Job<D, R, M> {
    pub(super) context: Arc<Context>,
    pub(super) id: JobId,
    pub(super) _name: Arc<JobName>,
    pub(super) demand: Arc<DemandSubscription>,
    /// Where machines are to be in a virtual network.
    pub(super) place: Option<Place>,
    pub(super) setup: Setup<M>,
    pub(super) work: Work<M, D, R>,
    pub(super) limits: Limits,
    pub(super) queue: Queue<D>,
    /// How many tasks there are in all, if the input knows.
    pub(super) known_length: Option<usize>,
    /// The input's panic.
    pub(super) input_failed: Mutex<Option<Cause>>,
    pub(super) results: mpsc::Sender<Result<TaskResult<D, R>, TaskError>>,
    /// What is being done now.
    pub(super) at_work: Arc<AtWork>,
    pub(super) cancel: CancellationToken,
    /// Machines that are being given back.
    pub(super) giving_back: TaskGroup,
    /// Workers that have not ended.
    pub(super) workers: watch::Sender<usize>,
    /// Why the last worker that gave up did so.
    pub(super) no_machine: Mutex<Option<TaskFailure>>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) setup: Option<Duration>,
    pub(super) attempt: Option<Duration>,
    /// How long a machine is kept for tasks to come.
    pub(super) idle: Duration,
}

/// What came of a machine.
#[derive(Default)]
struct Used {
    /// Another machine, if this one fell silent.
    replacement: Option<Machine>,
    /// The machine was of no use.
    unfit: Option<Unfit>,
}

/// A set-up that failed.
struct Unfit {
    failure: TaskFailure,
    /// It would on any machine.
    is_final: bool,
}

/// How an attempt at a task ended.
enum Attempt<R> {
    Done(R),
    Failed(Cause),
    /// Its machine is silent, and here is another one.
    Replaced(Cause, Machine),
    Rejected(Cause),
    /// The result is not good enough, the machine is.
    Refused(Cause),
    /// Another provider has to give the same result.
    Unconfirmed(Cause),
    /// The job is over.
    GivenUp,
}

impl<D, R, M> Job<D, R, M>
where
    D: Clone + Send + 'static,
    R: Send + 'static,
    M: Send + Sync + 'static,
{
    /// Takes tasks in, as far ahead as there are workers, until the input ends or the job is over.
    pub(super) async fn feed(self: Arc<Self>, mut input: BoxStream<'static, D>, ahead: usize) {
        loop {
            let next = tokio::select! {
                biased;
                () = self.cancel.cancelled() => break,
                more = self.queue.wants_more(ahead) => match more {
                    false => break,
                    true => tokio::select! {
                        biased;
                        () = self.cancel.cancelled() => break,
                        next = caught_in(input.next()) => next,
                    },
                },
            };
            match next {
                Ok(Some(data)) => drop(self.queue.push(data)),
                Ok(None) => break,
                Err(panic) => {
                    let failed = self.input_failed.lock();
                    *failed.unwrap_or_else(PoisonError::into_inner) =
                        Some(Cause::new(Error::Callback {
                            callback: "the input of tasks".to_owned(),
                            message: panic.message,
                            place: panic.place,
                        }));
                    break;
                }
            }
        }
        self.queue.close();
    }

    /// One worker, until nothing is left to do.
    pub(super) async fn work(self: Arc<Self>, number: usize) {
        let _working = Working(&self.workers);
        let label = format!("{}/worker-{number}", self.id);
        let mut backoff = Backoff::new(self.context.seed(), label);
        let mut failures = 0;
        let mut info = InstanceInfo {
            id: InstanceId::new(format!("{}/worker-{number}", self.id)),
            name: format!("worker-{number}"),
            index: number - 1,
            job: self.id.clone(),
            attempt: 0,
        };
        let mut replacement = None;
        loop {
            let taker = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                taker = self.queue.wanted() => match taker {
                    Some(taker) => taker,
                    None => return,
                },
            };
            if let Some(why) = self.demand.own_allocations().exhausted() {
                return self.no_machine(TaskFailure::BudgetExhausted(why));
            }
            let avoid = self.queue.avoided();
            let rented = match replacement.take() {
                Some(machine) => Ok(machine),
                None => tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return,
                    () = self.queue.dry() => continue,
                    // The next turn finds out.
                    _ = self.demand.own_allocations().beyond(0) => continue,
                    rented = self.rent(&avoid) => rented,
                },
            };
            match rented {
                Ok(machine) => {
                    let rental = machine.activity().rental();
                    let span = tracing::info_span!("worker", job = %self.id, number,
                        agreement = %rental.agreement_id, provider = rental.provider_name);
                    info.attempt += 1;
                    let identity = Arc::new(Identity {
                        info: info.clone(),
                        post: None,
                    });
                    let work = self.use_machine(machine, &identity, taker);
                    let used = work.instrument(span).await;
                    replacement = used.replacement;
                    match used.unfit {
                        None => failures = 0,
                        Some(unfit) => {
                            failures += 1;
                            if unfit.is_final || failures >= MAX_RENT_FAILURES {
                                return self.no_machine(unfit.failure);
                            }
                            tokio::select! {
                                biased;
                                () = self.cancel.cancelled() => return,
                                () = backoff.pause() => {}
                            }
                        }
                    }
                }
                Err(RentError::Sign(SignError::Budget(why))) => {
                    return self.no_machine(TaskFailure::BudgetExhausted(why));
                }
                Err(RentError::Sign(error)) => return self.found_none(Cause::new(error)),
                Err(RentError::Network(error)) => {
                    failures += 1;
                    if !error.is_retryable() || failures >= MAX_RENT_FAILURES {
                        return self.found_none(Cause::new(error));
                    }
                    tokio::select! {
                        biased;
                        () = self.cancel.cancelled() => return,
                        () = backoff.pause() => {}
                    }
                }
                Err(RentError::Activity { provider_id, error }) => {
                    drop(taker);
                    self.queue.avoid(&provider_id);
                    failures += 1;
                    if failures >= MAX_RENT_FAILURES {
                        return self.found_none(Cause::new(error));
                    }
                    tokio::select! {
                        biased;
                        () = self.cancel.cancelled() => return,
                        () = backoff.pause() => {}
                    }
                }
            }
        }
    }

    async fn rent(&self, avoid: &[NodeId]) -> Result<Machine, RentError> {
        let giving_back = &self.giving_back;
        let about = EventContext::of_job(&self.id);
        let place = self.place.as_ref();
        Machine::rent(
            &self.context,
            &about,
            &self.demand,
            avoid,
            place,
            giving_back,
        )
        .await
    }

    /// Sets a machine up and does tasks on it until one fails or none is left, and gives it back; the
    /// next one may be rented meanwhile, or is there already, if this one fell silent.
    async fn use_machine(
        &self,
        machine: Machine,
        identity: &Arc<Identity>,
        taker: Taker<'_, D>,
    ) -> Used {
        let activity = Arc::clone(machine.activity());
        let rental = Arc::clone(activity.rental());
        self.context.emit(activity.about(), WorkerStarted {});
        let mut used = Used::default();
        let (mut failure, mut reason) = (None, "all tasks are done");
        if self.queue.is_for_others(&rental.provider_id) {
            // The market has no other provider now.
            drop(taker);
            reason = "its provider has done what waits";
            used.unfit = Some(Unfit {
                failure: TaskFailure::NoMachine {
                    cause: "only providers that have done these tasks already rent out machines"
                        .into(),
                },
                is_final: false,
            });
            self.context
                .emit(activity.about(), WorkerFinished { error: None });
            machine.give_back(reason);
            return used;
        }
        match self.set_up(&activity, identity).await {
            Ok(Some(state)) => {
                drop(taker);
                while failure.is_none()
                    && !self.cancel.is_cancelled()
                    && self.demand.budget_of(&rental).exhausted().is_none()
                {
                    if rental.announced_end().is_some() {
                        reason = "its provider announced an end";
                        break;
                    }
                    if let Some(entry) = self.queue.pop(&rental.provider_id) {
                        let doing = self.do_task(&activity, (identity, &state), entry, &mut used);
                        failure = doing.await;
                        if failure.is_some() {
                            reason = "a task failed";
                        }
                    } else if self.queue.is_over() {
                        break;
                    } else if self.queue.is_for_others(&rental.provider_id) {
                        reason = "its provider has done what waits";
                        break;
                    } else if let Some(trouble) = self.idle(&activity).await {
                        reason = trouble;
                        break;
                    }
                }
            }
            Ok(None) => {}
            Err(unfit) => {
                self.queue.avoid(&rental.provider_id);
                failure = Some(Cause::new(unfit.failure.clone()));
                reason = "its set-up failed";
                used.unfit = Some(unfit);
            }
        }
        self.context
            .emit(activity.about(), WorkerFinished { error: failure });
        machine.give_back(reason);
        used
    }

    /// The state of a machine; `None` when it is not needed any more.
    async fn set_up(
        &self,
        activity: &Arc<Activity>,
        identity: &Arc<Identity>,
    ) -> Result<Option<Arc<M>>, Unfit> {
        let ctx = self.ctx(activity, identity);
        // The call itself is user code too, so it is made inside.
        let work = async { (self.setup)(ctx).await };
        let (cause, is_final) = match call(
            activity,
            "it",
            self.limits.setup,
            self.given_up(activity),
            work,
        )
        .await
        {
            Called::Done(state) => return Ok(Some(Arc::new(state))),
            Called::GivenUp => return Ok(None),
            Called::Failed {
                cause,
                is_retryable,
                ..
            } => (cause, !is_retryable),
        };
        let provider_name = activity.rental().provider_name.clone();
        Err(Unfit {
            failure: TaskFailure::SetupFailed {
                provider_name,
                cause,
            },
            is_final,
        })
    }

    /// Waits for a task to come; tells why the machine is not to wait any longer.
    async fn idle(&self, activity: &Activity) -> Option<&'static str> {
        let _taker = self.queue.taker();
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            _ = self.demand.budget_of(activity.rental()).beyond(0) => None,
            _ = activity.watch().troubled() => Some("the machine is lost"),
            _ = activity.rental().end_announced() => None,
            () = self.queue.stirred() => None,
            () = tokio::time::sleep(self.limits.idle) => Some("no task came for a while"),
        }
    }

    fn ctx(&self, activity: &Arc<Activity>, identity: &Arc<Identity>) -> WorkContext {
        let activity = Arc::clone(activity);
        WorkContext::new(activity, self.cancel.clone(), Arc::clone(identity))
    }

    /// Returns what failed if the machine should not be used further.
    async fn do_task(
        &self,
        activity: &Arc<Activity>,
        machine: (&Arc<Identity>, &Arc<M>),
        entry: Entry<D>,
        used: &mut Used,
    ) -> Option<Cause> {
        let provider = activity.rental();
        let (index, number) = (entry.task.index, entry.task.attempt);
        activity.concerns(|about| about.with_task(&self.id, index, number));
        let about = activity.about();
        self.context.emit(Arc::clone(&about), TaskStarted {});
        let began = Instant::now();
        let doing = self.at_work.begin((index, number), provider);
        let attempt = match self.attempt(activity, machine, entry.task.clone()).await {
            Attempt::Replaced(reason, machine) => {
                used.replacement = Some(machine);
                Attempt::Failed(reason)
            }
            attempt => attempt,
        };
        drop(doing);
        activity.concerns(EventContext::without_task);
        self.context.emit(Arc::clone(&about), TaskFinished {});
        let rejected = |cause: &Cause| {
            let reason = cause.clone();
            self.context
                .emit(Arc::clone(&about), TaskRejected { reason });
        };
        match attempt {
            Attempt::Done(result) => {
                self.context.emit(Arc::clone(&about), TaskAccepted {});
                self.deliver(Ok(TaskResult {
                    task: entry.task,
                    result,
                    provider_name: provider.provider_name.clone(),
                    provider_id: provider.provider_id.clone(),
                    running_time: began.elapsed(),
                }))
                .await;
                None
            }
            Attempt::Rejected(cause) => {
                rejected(&cause);
                self.give_up(
                    (entry.task.index, entry.task.attempt),
                    TaskFailure::Rejected { cause },
                )
                .await;
                None
            }
            Attempt::Refused(cause) => {
                rejected(&cause);
                if let Some(task) = self.queue.refused(entry, &provider.provider_id) {
                    let provider_name = provider.provider_name.clone();
                    self.give_up(
                        (task.index, task.attempt),
                        TaskFailure::Failed {
                            provider_name,
                            cause,
                        },
                    )
                    .await;
                }
                None
            }
            Attempt::Unconfirmed(cause) => {
                rejected(&cause);
                if let Some(task) = self.queue.done_by(entry, &provider.provider_id) {
                    let failure = TaskFailure::Failed {
                        provider_name: provider.provider_name.clone(),
                        cause,
                    };
                    self.give_up((task.index, task.attempt), failure).await;
                }
                None
            }
            Attempt::Failed(cause) => {
                rejected(&cause);
                if let Some(task) = self.queue.failed(entry, &provider.provider_id) {
                    let failure = TaskFailure::Failed {
                        provider_name: provider.provider_name.clone(),
                        cause: cause.clone(),
                    };
                    self.give_up((task.index, task.attempt), failure).await;
                }
                Some(cause)
            }
            Attempt::GivenUp | Attempt::Replaced(..) => {
                self.queue.put_back(entry);
                None
            }
        }
    }

    async fn attempt(
        &self,
        activity: &Arc<Activity>,
        (identity, state): (&Arc<Identity>, &Arc<M>),
        task: Task<D>,
    ) -> Attempt<R> {
        let (ctx, state) = (self.ctx(activity, identity), Arc::clone(state));
        // The call itself is user code too, so it is made inside.
        let work = async { (self.work)(state, ctx, task).await };
        let limit = self.limits.attempt;
        let called = tokio::select! {
            biased;
            called = call(activity, "the worker", limit, self.given_up(activity), work) => called,
            replaced = self.replacement(activity) => return replaced,
        };
        match called {
            Called::Done(result) => Attempt::Done(result),
            Called::GivenUp => Attempt::GivenUp,
            Called::Failed {
                cause,
                is_retryable,
                keeps_machine,
            } => match (is_retryable, keeps_machine) {
                (true, true) if cause.find::<NotConfirmed>().is_some() => {
                    Attempt::Unconfirmed(cause)
                }
                (true, false) => Attempt::Failed(cause),
                (true, true) => Attempt::Refused(cause),
                (false, _) => Attempt::Rejected(cause),
            },
        }
    }

    /// Waits until nothing more is to be done: what ends in time is not lost.
    async fn given_up(&self, activity: &Activity) {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {}
            _ = self.demand.budget_of(activity.rental()).beyond(1) => {}
        }
    }

    /// Another machine, once the one at work has been silent for a while: an attempt that has lasted
    /// long is worth waiting for longer.
    async fn replacement(&self, activity: &Activity) -> Attempt<R> {
        let limits = &self.context.config().activity;
        let (watch, began) = (activity.watch(), Instant::now());
        let provider = activity.rental();
        let label = format!("replace/{}", activity.id());
        let mut backoff = Backoff::new(self.context.seed(), label);
        loop {
            let since = watch.silent().await;
            let worth = since.saturating_duration_since(began);
            let wait = worth.max(limits.short_silence).min(limits.silence);
            let mut avoid = self.queue.avoided();
            avoid.push(provider.provider_id.clone());
            let renting = async {
                tokio::time::sleep_until(deadline::after(since, wait)).await;
                loop {
                    if let Ok(machine) = self.rent(&avoid).await {
                        break machine;
                    }
                    backoff.pause().await;
                }
            };
            tokio::select! {
                biased;
                () = watch.answered() => {}
                machine = renting => {
                    let silent = since.elapsed();
                    let cause = format!("no answer for {silent:.0?}").into();
                    return Attempt::Replaced(cause, machine);
                }
            }
        }
    }

    async fn give_up(&self, (index, attempts): (usize, u32), reason: TaskFailure) {
        self.deliver(Err(TaskError {
            index,
            attempts,
            reason,
        }))
        .await;
    }

    /// A reader that went away cancels the job; nothing is waited for then.
    async fn deliver(&self, result: Result<TaskResult<D, R>, TaskError>) {
        if self.results.send(result).await.is_err() {
            self.cancel.cancel();
        }
    }

    fn found_none(&self, cause: Cause) {
        self.no_machine(TaskFailure::NoMachine { cause });
    }

    fn no_machine(&self, reason: TaskFailure) {
        let why = crate::cause::chain(&reason);
        tracing::warn!(job = %self.id, why, "a worker has no machine");
        *self
            .no_machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Ends the job when the workers are done, time is over, or the engine stops; what was not done
    /// then gets its error.
    pub(super) async fn supervise(
        self: Arc<Self>,
        stopped: CancellationToken,
        deadline: Instant,
        timeout: Duration,
    ) {
        let mut workers = self.workers.subscribe();
        let over = tokio::select! {
            biased;
            () = stopped.cancelled() => Some(TaskFailure::Stopped),
            _ = workers.wait_for(|workers| *workers == 0) => None,
            () = self.cancel.cancelled() => Some(TaskFailure::Stopped),
            () = tokio::time::sleep_until(deadline) => Some(TaskFailure::Timeout { timeout }),
        };
        self.cancel.cancel();
        // The sender lives in `self`.
        let _ = workers.wait_for(|workers| *workers == 0).await;
        self.giving_back.idle().await;
        self.demand.close().await;
        let reason = over.unwrap_or_else(|| {
            let said = self
                .no_machine
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            said.unwrap_or_else(|| TaskFailure::NoMachine {
                cause: "all workers ended".into(),
            })
        });
        let open = self.queue.drain();
        let taken_in = self.queue.taken_in();
        let failed = self.input_failed.lock();
        let failed = failed.unwrap_or_else(PoisonError::into_inner).take();
        let unread = match (&failed, self.known_length) {
            // What would have followed is not known.
            (Some(_), _) => taken_in..taken_in + 1,
            (None, length) => taken_in..length.unwrap_or(taken_in).max(taken_in),
        };
        let count = open.len() + unread.len();
        let error = (count > 0).then(|| match &failed {
            Some(panic) => panic.clone(),
            None => Cause::new(reason.clone()).within(format!("{count} tasks not done")),
        });
        self.context
            .emit(EventContext::of_job(&self.id), JobFinished { error });
        for task in open {
            self.give_up((task.index, task.attempt), reason.clone())
                .await;
        }
        let reason = failed.map_or(reason, |cause| TaskFailure::Input { cause });
        for index in unread {
            if self.results.is_closed() {
                return;
            }
            self.give_up((index, 0), reason.clone()).await;
        }
    }
}

/// Counts a worker, also when its task is aborted.
struct Working<'a>(&'a watch::Sender<usize>);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0
            .send_modify(|workers| *workers = workers.saturating_sub(1));
    }
}
