//! The only place that spawns. Owns: names, cancellation and the end of every task. A task that
//! nobody owns does not exist.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use slab::Slab;
use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, warn};

use crate::panics::{Panic, caught_in};

/// An owned task that did not give its result: it panicked, or the engine was torn down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's task `{name}` ended without a result (it panicked, or the engine is gone)")]
#[non_exhaustive]
pub struct TaskLost {
    /// Name of the task.
    pub name: String,
}

/// Tasks that live and end together; groups nest. Cheap to clone.
#[derive(Clone)]
pub struct TaskGroup(Arc<Group>);

struct Group {
    name: Arc<str>,
    token: CancellationToken,
    parent: Option<TaskGroup>,
    live: Mutex<Live>,
    /// A task ended.
    ended: Notify,
    /// What did not end in time was aborted: nothing goes on.
    aborted: AtomicBool,
}

#[derive(Default)]
struct Live {
    tasks: Slab<Task>,
}

/// A task that lives.
#[derive(Clone)]
struct Task {
    /// The group that it was spawned in, here or below.
    group: Arc<str>,
    name: Cow<'static, str>,
    /// Once it was spawned.
    abort: Option<AbortHandle>,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}

/// Where a task is in its group and in those above, from there upwards; few are nested deeper.
type Places = SmallVec<[usize; 4]>;

impl TaskGroup {
    /// A group without a parent.
    pub fn new(name: impl Into<String>) -> Self {
        Self::build(name.into().into(), CancellationToken::new(), None)
    }

    fn build(name: Arc<str>, token: CancellationToken, parent: Option<TaskGroup>) -> Self {
        TaskGroup(Arc::new(Group {
            name,
            token,
            parent,
            live: Mutex::default(),
            ended: Notify::new(),
            aborted: AtomicBool::new(false),
        }))
    }

    /// A group below this one: cancelled with it, waited for with it.
    pub fn child(&self, name: &str) -> TaskGroup {
        Self::build(
            format!("{}/{name}", self.0.name).into(),
            self.0.token.child_token(),
            Some(self.clone()),
        )
    }

    /// The token that tells the tasks of this group to end.
    pub fn token(&self) -> &CancellationToken {
        &self.0.token
    }

    /// Tells every task of the group to end, without waiting.
    pub fn cancel(&self) {
        self.0.token.cancel();
    }

    /// How many tasks live, those of the groups below included.
    pub fn len(&self) -> usize {
        self.0.live().tasks.len()
    }

    /// Whether no task lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the group was told to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.token.is_cancelled()
    }

    /// Runs `future` to its end, whatever happens to the caller; it watches [`token`](Self::token)
    /// by itself.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_boxed(name.into(), Box::pin(future));
    }

    /// One kind of task for all futures: the runtime's machinery is compiled once.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the spawner that others are told to use"
    )]
    fn spawn_boxed(&self, name: Cow<'static, str>, future: BoxFuture<'static, ()>) {
        let span = tracing::debug_span!("task", name = %format_args!("{}/{name}", self.0.name));
        let task = Task {
            group: Arc::clone(&self.0.name),
            name,
            abort: None,
        };
        let entered = self.entered(&task);
        let places = entered.places.clone();
        let task = async move {
            let _entered = entered;
            if let Err(panic) = caught_in(future).await {
                error!(%task, %panic, "task panicked");
            }
        };
        let abort = tokio::spawn(task.instrument(span)).abort_handle();
        self.each(&places, |group, place| {
            if let Some(task) = group.live().tasks.get_mut(place) {
                task.abort = Some(abort.clone());
            }
        });
    }

    /// Like [`spawn`](Self::spawn), but drops the future at its next await once the group is
    /// cancelled: for loops that only read.
    pub fn spawn_until_cancelled<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.0.token.clone();
        // Boxed: a block that awaits what it captures holds it twice.
        let future = Box::pin(future);
        self.spawn(name, async move {
            token.run_until_cancelled_owned(future).await;
        });
    }

    /// Runs a request that changes something outside in a task of its own, from now on; what is given back waits for
    /// its result.
    ///
    /// # Cancel safety
    /// Dropping what is given back does not stop the task: it runs to completion, its result is dropped.
    ///
    /// # Errors
    /// [`TaskLost`] when the task panicked or the runtime went away.
    pub fn run<F, T>(
        &self,
        name: &'static str,
        future: F,
    ) -> impl Future<Output = Result<T, TaskLost>> + Send + use<F, T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        // Not an `async fn`: whoever waits would hold all of the task's future, which it only hands on.
        let (reply, result) = oneshot::channel();
        // A block that awaits what it captures holds it twice.
        let replying = future.map(move |done| {
            // The caller may be gone; the work is done all the same.
            let _ = reply.send(done);
        });
        self.spawn(name, replying);
        let group = Arc::clone(&self.0.name);
        result.map(move |done| {
            done.map_err(|_| TaskLost {
                name: format!("{group}/{name}"),
            })
        })
    }

    /// Like [`run`](Self::run), for those who wait all the time: the work is done as they are polled, which saves a task
    /// and the way to it and back. It goes on in a task of its own once nobody waits any more.
    ///
    /// # Cancel safety
    /// Dropping what is given back does not end the work, unless the engine is torn down or its runtime is gone (it has
    /// to be dropped where a runtime is): it runs to completion, its result is dropped.
    ///
    /// # Errors
    /// [`TaskLost`] when the work panicked.
    pub fn see_through<F, T>(&self, name: &'static str, future: F) -> SeenThrough<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let task = Task {
            group: Arc::clone(&self.0.name),
            name: name.into(),
            abort: None,
        };
        SeenThrough {
            work: Some(Box::pin(caught_in(future))),
            entered: Some(self.entered(&task)),
            name,
        }
    }

    /// Names of the tasks that still run, those of groups below included.
    pub fn live_names(&self) -> Vec<String> {
        let live = self.0.live();
        let tasks = live.tasks.iter();
        tasks.map(|(_, task)| task.to_string()).collect()
    }

    /// Waits until no task of the group runs.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn idle(&self) {
        self.until(|live| live.tasks.is_empty()).await;
    }

    /// Waits until no task of the group runs but those of `other`, a group below it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn idle_but(&self, other: &TaskGroup) {
        // Whoever is in `other` is here, too: it enters here before, and leaves here after.
        self.until(|live| live.tasks.len() <= other.len()).await;
    }

    async fn until(&self, reached: impl Fn(&Live) -> bool) {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if reached(&self.0.live()) {
                return;
            }
            ended.await;
        }
    }

    /// Tells all tasks to end, waits up to `deadline`, then aborts the rest and returns their names.
    ///
    /// # Cancel safety
    /// Not safe: dropped, it has told them to end, and aborts none.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<String> {
        self.cancel();
        if tokio::time::timeout(deadline, self.idle()).await.is_ok() {
            return Vec::new();
        }
        self.0.aborted.store(true, Ordering::Relaxed);
        let live = self.0.live();
        let mut stuck = Vec::new();
        for (_, task) in &live.tasks {
            warn!(%task, "task did not end in time; aborting it");
            stuck.push(task.to_string());
            if let Some(abort) = &task.abort {
                abort.abort();
            }
        }
        stuck
    }

    /// Whether what was in this group is torn down, by itself or with one above.
    fn is_aborted(&self) -> bool {
        let above = || self.0.parent.as_ref().is_some_and(TaskGroup::is_aborted);
        self.0.aborted.load(Ordering::Relaxed) || above()
    }

    fn entered(&self, task: &Task) -> Entered {
        let mut places = Places::new();
        self.enter(task, &mut places);
        Entered {
            group: self.clone(),
            places,
        }
    }

    /// Registers a task in every group above, the highest first, and here.
    fn enter(&self, task: &Task, places: &mut Places) {
        let at = places.len();
        // Its own comes before those above, which are known first.
        places.push(0);
        if let Some(above) = &self.0.parent {
            above.enter(task, places);
        }
        places[at] = self.0.live().tasks.insert(task.clone());
    }

    /// This group and those above, with the place of a task in each.
    fn each(&self, places: &Places, mut visit: impl FnMut(&Group, usize)) {
        let mut group = Some(self);
        for place in places {
            let Some(TaskGroup(it)) = group else {
                return;
            };
            visit(it, *place);
            group = it.parent.as_ref();
        }
    }
}

impl Group {
    fn live(&self) -> MutexGuard<'_, Live> {
        // The map is consistent after every statement, so a poisoned lock is as good as any.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs users' code that may block, on a thread that nobody waits for; it ends when `work` does. Time is the
/// runtime's there, too.
///
/// # Errors
/// The system has no thread to give.
pub(crate) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Handle::try_current().ok();
    let thread = std::thread::Builder::new().name(name.to_owned());
    // It is detached: who hangs in it must not keep the program.
    thread
        .spawn(move || {
            let _time = runtime.as_ref().map(tokio::runtime::Handle::enter);
            work();
        })
        .map(drop)
}

/// Waits for `work` on a thread of the runtime's; virtual time stands still meanwhile.
///
/// # Cancel safety
/// Dropping the caller does not stop it.
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time is meant to stand still: what is waited for is another thread"
)]
pub(crate) async fn on_a_thread(work: impl FnOnce() + Send + 'static) {
    // It fails only by a panic of `work`, which has ended then, or with the runtime.
    let _ = tokio::task::spawn_blocking(work).await;
}

/// Work that its waiter does, and that is done without it, too; see [`TaskGroup::see_through`].
#[must_use = "nothing is done before it is polled or dropped"]
pub struct SeenThrough<T: Send + 'static> {
    /// Until it is done.
    work: Option<BoxFuture<'static, Result<T, Panic>>>,
    /// As long as there is work.
    entered: Option<Entered>,
    name: &'static str,
}

impl<T: Send + 'static> Future for SeenThrough<T> {
    type Output = Result<T, TaskLost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else {
            // Its result was taken.
            return Poll::Pending;
        };
        let done = ready!(work.poll_unpin(context));
        self.work = None;
        let entered = self.entered.take();
        Poll::Ready(done.map_err(|panic| {
            let group = entered.map(|entered| Arc::clone(&entered.group.0.name));
            let name = format!("{}/{}", group.unwrap_or_default(), self.name);
            error!(task = name, %panic, "task panicked");
            TaskLost { name }
        }))
    }
}

impl<T: Send + 'static> Drop for SeenThrough<T> {
    fn drop(&mut self) {
        let (Some(work), Some(entered)) = (self.work.take(), self.entered.take()) else {
            return;
        };
        // Without a runtime nothing can go on; it is dropped by tasks of the engine, which live in one.
        if tokio::runtime::Handle::try_current().is_err() || entered.group.is_aborted() {
            return;
        }
        let group = entered.group.clone();
        let (name, task) = (self.name, self.name);
        let seeing = work.map(move |done| {
            if let Err(panic) = done {
                error!(task, %panic, "task panicked");
            }
        });
        group.spawn(name, seeing);
        // It is in the group twice meanwhile: nobody finds it idle.
        drop(entered);
    }
}

impl<T: Send + 'static> fmt::Debug for SeenThrough<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenThrough")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Takes a task out of its group, then out of those above.
struct Entered {
    group: TaskGroup,
    places: Places,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.group.each(&self.places, |group, place| {
            drop(group.live().tasks.try_remove(place));
            group.ended.notify_waiters();
        });
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work of five seconds, and whether it is done.
    fn five_seconds(group: &TaskGroup) -> (SeenThrough<&'static str>, Arc<AtomicBool>) {
        let done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&done);
        let work = group.see_through("slow", async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            flag.store(true, Ordering::SeqCst);
            "done"
        });
        (work, done)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_through_is_done_by_its_waiter_and_in_the_group_meanwhile() {
        let above = TaskGroup::new("test");
        let group = above.child("below");
        let (work, _) = five_seconds(&group);
        assert_eq!(above.live_names(), ["test/below/slow"]);
        assert_eq!(work.await, Ok("done"));
        assert!(above.is_empty() && group.is_empty());
        let lost = group.see_through("bad", async { panic!("on purpose") });
        let lost: Result<(), _> = lost.await;
        let name = "test/below/bad".into();
        assert_eq!(lost, Err(TaskLost { name }));
        assert!(above.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_through_goes_on_when_its_waiter_is_gone_and_is_never_out_of_the_group() {
        let group = TaskGroup::new("test");
        let (unpolled, first) = five_seconds(&group);
        drop(unpolled);
        let (polled, second) = five_seconds(&group);
        let second_of_waiting = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(second_of_waiting, polled)
                .await
                .is_err()
        );
        assert_eq!(group.live_names(), ["test/slow", "test/slow"]);
        group.idle().await;
        assert!(first.load(Ordering::SeqCst) && second.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_through_ends_with_an_engine_that_is_torn_down() {
        let above = TaskGroup::new("test");
        let (work, done) = five_seconds(&above.child("below"));
        let stuck = above.shutdown(Duration::from_secs(1)).await;
        assert_eq!(stuck, ["test/below/slow"]);
        drop(work);
        assert!(above.is_empty());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_caller_does_not_stop_an_owned_task() {
        let group = TaskGroup::new("test");
        let done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&done);
        let call = group.run("slow", async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            flag.store(true, Ordering::SeqCst);
        });
        assert!(
            tokio::time::timeout(Duration::from_secs(1), call)
                .await
                .is_err()
        );
        group.idle().await;
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_names_the_tasks_that_do_not_end() {
        let group = TaskGroup::new("test");
        let child = group.child("below");
        child.spawn("stubborn", std::future::pending());
        child.spawn_until_cancelled("polite", std::future::pending());
        let stuck = group.shutdown(Duration::from_secs(1)).await;
        assert_eq!(stuck, ["test/below/stubborn"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_idle_but_for_one_below_it_while_that_one_goes_on() {
        let group = TaskGroup::new("test");
        let loops = group.child("loops");
        loops.spawn_until_cancelled("for-ever", std::future::pending());
        group.spawn("work", tokio::time::sleep(Duration::from_secs(5)));
        let begin = tokio::time::Instant::now();
        group.idle_but(&loops).await;
        assert_eq!(begin.elapsed().as_secs(), 5);
        assert_eq!((group.len(), loops.len()), (1, 1));
        loops.cancel();
        group.idle().await;
    }

    #[tokio::test]
    async fn a_panic_is_reported_to_the_waiting_caller() {
        let group = TaskGroup::new("test");
        let lost = group.run("bad", async { panic!("on purpose") }).await;
        assert_eq!(
            lost,
            Err::<(), _>(TaskLost {
                name: "test/bad".into()
            })
        );
        group.idle().await;
    }
}
