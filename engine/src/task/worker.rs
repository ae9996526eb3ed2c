//! Workers: each rents a machine, keeps it while there are tasks for it, and rents another one when
//! it fails. Owns: their loop and the end of the job.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_wire::NodeId;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::queue::{Entry, Queue};
use super::{Task, TaskError, TaskFailure, TaskResult};
use crate::WorkContext;
use crate::activity::{Activity, ActivityHealth, Machine, RentError};
use crate::context::Context;
use crate::deadline;
use crate::event::EventKind;
use crate::market::{DemandSubscription, SignError};
use crate::model::{InstanceId, InstanceInfo, JobId};
use crate::panics::caught_in;
use crate::retry::Backoff;
use crate::service::HandlerError;
use crate::tasks::TaskGroup;
use crate::work_context::Identity;

/// Providers in a row that take an agreement but give no activity before a worker gives up.
const MAX_RENT_FAILURES: u32 = 10;

/// A list of tasks being worked off.
pub(super) struct Job<D, R, W> {
    pub(super) context: Arc<Context>,
    pub(super) id: JobId,
    pub(super) demand: Arc<DemandSubscription>,
    pub(super) worker: W,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) queue: Queue<D>,
    pub(super) results: mpsc::Sender<Result<TaskResult<D, R>, TaskError>>,
    pub(super) cancel: CancellationToken,
    /// Machines that are being given back.
    pub(super) giving_back: TaskGroup,
    /// Workers that have not ended.
    pub(super) workers: watch::Sender<usize>,
    /// Why the last worker that gave up did so.
    pub(super) no_machine: Mutex<Option<TaskFailure>>,
}

/// How an attempt at a task ended.
enum Attempt<R> {
    Done(R),
    Failed(String),
    /// Its machine is silent, and here is another one.
    Replaced(String, Machine),
    Rejected(String),
    /// The result is not good enough, the machine is.
    Refused(String),
    /// The job is over.
    GivenUp,
}

impl<D, R, W, F> Job<D, R, W>
where
    D: Clone + Send + Sync + 'static,
    R: Send + 'static,
    W: Fn(WorkContext, Task<D>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
{
    /// One worker, until nothing is left to do.
    pub(super) async fn work(self: Arc<Self>, number: usize) {
        let _working = Working(&self.workers);
        let seed = self
            .context
            .seed()
            .fork(&format!("{}/worker-{number}", self.id));
        let mut backoff = Backoff::new(seed);
        let mut failures = 0;
        let mut info = InstanceInfo {
            id: InstanceId::new(format!("{}/worker-{number}", self.id)),
            name: format!("worker-{number}"),
            index: number - 1,
            job: self.id.clone(),
            attempt: 0,
        };
        let mut replacement = None;
        while !self.queue.is_empty() && !self.cancel.is_cancelled() {
            if let Some(why) = self.demand.budget().exhausted() {
                return self.no_machine(TaskFailure::BudgetExhausted(why));
            }
            let avoid = self.queue.avoided();
            let rented = match replacement.take() {
                Some(machine) => Ok(machine),
                None => tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return,
                    () = self.queue.dry() => return,
                    // The next turn finds out.
                    _ = self.demand.budget().beyond(0) => continue,
                    rented = self.rent(&avoid) => rented,
                },
            };
            match rented {
                Ok(machine) => {
                    failures = 0;
                    let rental = machine.activity().rental();
                    let span = tracing::info_span!("worker", job = %self.id, number,
                        agreement = %rental.agreement_id, provider = rental.provider_name);
                    info.attempt += 1;
                    let identity = Arc::new(Identity {
                        info: info.clone(),
                        post: None,
                    });
                    let work = self.use_machine(machine, &identity);
                    replacement = work.instrument(span).await;
                }
                Err(RentError::Sign(SignError::Budget(why))) => {
                    return self.no_machine(TaskFailure::BudgetExhausted(why));
                }
                Err(RentError::Sign(error)) => return self.found_none(error.to_string()),
                Err(RentError::Activity { provider_id, error }) => {
                    self.queue.avoid(&provider_id);
                    failures += 1;
                    if failures >= MAX_RENT_FAILURES {
                        return self.found_none(crate::api::chain(&error));
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
        Machine::rent(&self.context, &self.id, &self.demand, avoid, giving_back).await
    }

    /// Does tasks on a machine until one fails or none is left, and gives it back; the next one may be
    /// rented meanwhile, or is there already, if this one fell silent.
    async fn use_machine(&self, machine: Machine, identity: &Arc<Identity>) -> Option<Machine> {
        let activity = Arc::clone(machine.activity());
        let rental = Arc::clone(activity.rental());
        self.context.emit(EventKind::WorkerStarted {
            job: self.id.clone(),
            agreement_id: rental.agreement_id.clone(),
            provider_name: rental.provider_name.clone(),
        });
        let (mut failure, mut replacement) = (None, None);
        while failure.is_none()
            && !self.cancel.is_cancelled()
            && self.demand.budget().exhausted().is_none()
            && let Some(entry) = self.queue.pop(&rental.provider_id)
        {
            failure = self
                .do_task((&activity, identity), entry, &mut replacement)
                .await;
        }
        self.context.emit(EventKind::WorkerFinished {
            job: self.id.clone(),
            agreement_id: rental.agreement_id.clone(),
            activity_id: Some(activity.id().clone()),
            error: failure.clone(),
        });
        let reason = if failure.is_some() {
            "a task failed"
        } else {
            "all tasks are done"
        };
        machine.give_back(reason);
        replacement
    }

    /// Returns what failed if the machine should not be used further.
    async fn do_task(
        &self,
        (activity, identity): (&Arc<Activity>, &Arc<Identity>),
        entry: Entry<D>,
        replacement: &mut Option<Machine>,
    ) -> Option<String> {
        let provider = activity.rental();
        let label = format!("{}/{}", self.id, entry.task.index + 1);
        self.emit(activity, &label, |job, agreement_id, activity_id, task| {
            EventKind::TaskStarted {
                job,
                agreement_id,
                activity_id,
                task,
            }
        });
        let began = Instant::now();
        let attempt = match self.attempt(activity, identity, entry.task.clone()).await {
            Attempt::Replaced(reason, machine) => {
                *replacement = Some(machine);
                Attempt::Failed(reason)
            }
            attempt => attempt,
        };
        self.emit(activity, &label, |job, agreement_id, activity_id, task| {
            EventKind::TaskFinished {
                job,
                agreement_id,
                activity_id,
                task,
            }
        });
        let rejected = |reason: &str| {
            let reason = reason.to_owned();
            self.emit(activity, &label, |job, agreement_id, activity_id, task| {
                EventKind::TaskRejected {
                    job,
                    agreement_id,
                    activity_id,
                    task,
                    reason,
                }
            });
        };
        match attempt {
            Attempt::Done(result) => {
                self.emit(activity, &label, |job, agreement_id, activity_id, task| {
                    EventKind::TaskAccepted {
                        job,
                        agreement_id,
                        activity_id,
                        task,
                    }
                });
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
            Attempt::Rejected(reason) => {
                rejected(&reason);
                self.give_up(&entry.task, TaskFailure::Rejected { reason })
                    .await;
                None
            }
            Attempt::Refused(reason) => {
                rejected(&reason);
                if let Some(task) = self.queue.refused(entry, &provider.provider_id) {
                    let provider_name = provider.provider_name.clone();
                    self.give_up(
                        &task,
                        TaskFailure::Failed {
                            provider_name,
                            reason,
                        },
                    )
                    .await;
                }
                None
            }
            Attempt::Failed(reason) => {
                rejected(&reason);
                if let Some(task) = self.queue.failed(entry, &provider.provider_id) {
                    let failure = TaskFailure::Failed {
                        provider_name: provider.provider_name.clone(),
                        reason: reason.clone(),
                    };
                    self.give_up(&task, failure).await;
                }
                Some(reason)
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
        identity: &Arc<Identity>,
        task: Task<D>,
    ) -> Attempt<R> {
        let (activity_, cancel) = (Arc::clone(activity), self.cancel.clone());
        let ctx = WorkContext::new(activity_, cancel, Arc::clone(identity));
        // The call itself is user code too, so it is made inside.
        let limit = self
            .attempt_timeout
            .map(|limit| (deadline::within(limit), limit));
        let mut work = pin!(caught_in(async { (self.worker)(ctx, task).await }));
        let result = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Attempt::GivenUp,
            // What ends in time is not lost.
            _ = self.demand.budget().beyond(1) => return Attempt::GivenUp,
            health = activity.watch().troubled() => {
                return Attempt::Failed(match health {
                    ActivityHealth::Lost { reason } | ActivityHealth::AgreementEnded { reason } => reason,
                    ActivityHealth::Alive => String::new(),
                });
            }
            result = &mut work => result,
            limit = over(limit) => {
                let hint = activity.hint();
                return Attempt::Failed(format!("the attempt did not end within {limit:?}{hint}"));
            }
            replaced = self.replacement(activity) => return replaced,
        };
        match result {
            Ok(Ok(result)) => Attempt::Done(result),
            Ok(Err(error)) => {
                let reason = error.told(activity);
                match (error.is_retryable(), error.keeps_machine()) {
                    (true, false) => Attempt::Failed(reason),
                    (true, true) => Attempt::Refused(reason),
                    (false, _) => Attempt::Rejected(reason),
                }
            }
            Err(panic) => Attempt::Failed(format!("the worker panicked: {panic}")),
        }
    }

    /// Another machine, once the one at work has been silent for a while: an attempt that has lasted
    /// long is worth waiting for longer.
    async fn replacement(&self, activity: &Activity) -> Attempt<R> {
        let limits = &self.context.config().activity;
        let (watch, began) = (activity.watch(), Instant::now());
        let provider = activity.rental();
        let mut backoff = Backoff::new(
            self.context
                .seed()
                .fork(&format!("replace/{}", activity.id())),
        );
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
                    return Attempt::Replaced(format!("no answer for {silent:.0?}"), machine);
                }
            }
        }
    }

    async fn give_up(&self, task: &Task<D>, reason: TaskFailure) {
        self.deliver(Err(TaskError {
            index: task.index,
            attempts: task.attempt,
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

    fn found_none(&self, reason: String) {
        self.no_machine(TaskFailure::NoMachine { reason });
    }

    fn no_machine(&self, reason: TaskFailure) {
        tracing::warn!(job = %self.id, %reason, "a worker has no machine");
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
                reason: "all workers ended".into(),
            })
        });
        let open = self.queue.drain();
        let error = (!open.is_empty()).then(|| format!("{} tasks not done: {reason}", open.len()));
        self.context.emit(EventKind::JobFinished {
            job: self.id.clone(),
            error,
        });
        for task in open {
            self.give_up(&task, reason.clone()).await;
        }
    }

    fn emit(
        &self,
        activity: &Activity,
        label: &str,
        event: impl FnOnce(JobId, golem_wire::AgreementId, golem_wire::ActivityId, String) -> EventKind,
    ) {
        self.context.emit(event(
            self.id.clone(),
            activity.rental().agreement_id.clone(),
            activity.id().clone(),
            label.to_owned(),
        ));
    }
}

/// Waits for the end of an attempt's time; for ever, if it has none.
async fn over(limit: Option<(Instant, Duration)>) -> Duration {
    match limit {
        Some((deadline, limit)) => {
            tokio::time::sleep_until(deadline).await;
            limit
        }
        None => std::future::pending().await,
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
