//! The ports of an engine: what every part needs and none of them owns. Owns: handing them out.
//! Does not own: the parts themselves (market, payment, recovery), which are put together in
//! `golem/`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::NodeId;
use jiff::Timestamp;
use tokio::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::api::{ApiError, Rest};
use crate::by_hand::ByHand;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon_health::DaemonHealth;
use crate::event::{Emitter, EventContext, EventKind};
use crate::journal::Log;
use crate::model::{JobId, RECOVERED};
use crate::retry::{self, Backoff, Policy};
use crate::rng::Seed;
use crate::strategy::Guarded;
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// Longest name of a job, in bytes.
const MAX_JOB_NAME: usize = 64;

/// A job's name, in use until this is dropped.
pub(crate) struct JobName {
    pub(crate) id: JobId,
    /// Where it is kept, if it is not one of the engine's own.
    context: Option<Arc<Context>>,
}

/// Why a job cannot be called so.
pub(crate) struct NotAJobName {
    pub(crate) name: String,
    pub(crate) reason: &'static str,
}

impl Drop for JobName {
    fn drop(&mut self) {
        if let Some(context) = &self.context {
            context.job_names().remove(&self.id);
        }
    }
}

/// What all parts of an engine share.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) rest: Rest,
    pub(crate) transport: Transport,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: Seed,
    pub(crate) emitter: Emitter,
    pub(crate) strategy: Arc<Guarded>,
    pub(crate) tasks: TaskGroup,
    pub(crate) loops: TaskGroup,
    pub(crate) signing: TaskGroup,
    pub(crate) jobs: TaskGroup,
    /// Instances that can go on with a later engine are left to it.
    pub(crate) leaving: CancellationToken,
    /// The stop does not wait for jobs any longer.
    pub(crate) cut_off: CancellationToken,
    /// Whether the journal outlives the engine.
    pub(crate) is_journal_kept: bool,
    pub(crate) node_id: NodeId,
    pub(crate) app_session: String,
    pub(crate) log: Log,
    pub(crate) daemon_health: DaemonHealth,
    /// What users opened by the daemon's own operations.
    pub(crate) by_hand: ByHand,
    pub(crate) next_job: AtomicU64,
    /// How many images of this computer were offered.
    pub(crate) next_image: AtomicU64,
    /// Names of jobs that their owners chose, as long as they are in use.
    pub(crate) job_names: Mutex<BTreeSet<JobId>>,
}

impl Context {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells of something that happened, and what it is about.
    pub(crate) fn emit(&self, about: impl Into<Arc<EventContext>>, kind: impl Into<EventKind>) {
        self.emitter.emit(about, kind);
    }

    /// Tells of something that is about the engine as a whole.
    pub(crate) fn tell(&self, kind: impl Into<EventKind>) {
        self.emit(EventContext::default(), kind);
    }

    pub(crate) fn strategy(&self) -> &Arc<Guarded> {
        &self.strategy
    }

    /// Requests that change the daemon's state, and the engine's loops. Lives until the very end.
    pub(crate) fn tasks(&self) -> &TaskGroup {
        &self.tasks
    }

    /// Loops that follow the daemon's events.
    pub(crate) fn loops(&self) -> &TaskGroup {
        &self.loops
    }

    /// Agreements on their way.
    pub(crate) fn signing(&self) -> &TaskGroup {
        &self.signing
    }

    /// Services and task lists. Cancelled first when the engine stops: they then end in order,
    /// and still may use [`tasks`](Self::tasks).
    pub(crate) fn jobs(&self) -> &TaskGroup {
        &self.jobs
    }

    /// Cancelled when instances that can go on with a later engine are to be left to it.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Cancelled when the engine's stop does not wait for jobs any longer: whoever has to tell of its end ends now.
    pub(crate) fn cut_off(&self) -> &CancellationToken {
        &self.cut_off
    }

    /// Leaves them, if a later engine can know of them.
    pub(crate) fn leave(&self) {
        if self.is_journal_kept {
            self.leaving.cancel();
        }
    }

    /// The way to the daemon, for websockets and registries.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The engine's seed; fork it by a label of your own.
    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The number of another image of this computer that is offered.
    pub(crate) fn next_image(&self) -> u64 {
        self.next_image.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    pub(crate) fn app_session(&self) -> &str {
        &self.app_session
    }

    /// The journal: what is open, and the place for facts that no request tells.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The id of the next job: `service-1`, `tasks-2`, …
    pub(crate) fn next_job(&self, kind: &str) -> JobId {
        JobId::new(format!(
            "{kind}-{}",
            self.next_job.fetch_add(1, Ordering::Relaxed)
        ))
    }

    /// The name of a job: the one that was asked for, or the next one of its kind.
    ///
    /// # Errors
    /// When it cannot be called so.
    pub(crate) fn job_name(
        self: &Arc<Self>,
        wanted: Option<&str>,
        kind: &str,
    ) -> Result<JobName, NotAJobName> {
        match wanted {
            Some(name) => self.named_job(name),
            None => Ok(JobName {
                id: self.next_job(kind),
                context: None,
            }),
        }
    }

    /// The id of a job with a name of its own, which no other job of this engine has meanwhile.
    ///
    /// # Errors
    /// When the name is taken, or is none.
    pub(crate) fn named_job(self: &Arc<Self>, name: &str) -> Result<JobName, NotAJobName> {
        let refused = |reason| NotAJobName {
            name: name.chars().take(MAX_JOB_NAME).collect(),
            reason,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > MAX_JOB_NAME || !name.chars().all(is_plain) {
            return Err(refused(
                "a name is 1 to 64 letters, digits, `.`, `_` and `-`",
            ));
        }
        let number = ["service-", "tasks-", "pool-", "rental-"]
            .into_iter()
            .find_map(|kind| name.strip_prefix(kind));
        let is_counted = number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
        if is_counted || name == RECOVERED {
            return Err(refused("the engine gives such names by itself"));
        }
        let id = JobId::new(name);
        if !self.job_names().insert(id.clone()) {
            return Err(refused("another job of this engine is called so"));
        }
        let context = Some(Arc::clone(self));
        Ok(JobName { id, context })
    }

    fn job_names(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        // Every statement leaves the set consistent.
        self.job_names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the daemon is away, and worth waiting for: nothing may be given up then.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn is_daemon_away(&self) -> bool {
        // Boxed: it is asked after failures only, and all who may fail would hold the room for it.
        Box::pin(self.daemon_health.is_away(&self.rest)).await
    }

    /// Whether the daemon was found away at some time after `at`.
    pub(crate) fn was_daemon_away(&self, at: Instant) -> bool {
        self.daemon_health.was_away(at)
    }

    /// Tells of each absence of the daemon. Runs until its task is cancelled.
    pub(crate) async fn tell_of_absences(self: Arc<Self>) {
        self.daemon_health.tell(&self.rest, &self.emitter).await;
    }

    /// Waits until the daemon is back; `false` when it stays away beyond the limit.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn daemon_back(&self, backoff: &mut Backoff) -> bool {
        Box::pin(self.daemon_health.back(&self.rest, backoff)).await
    }

    /// Repeats a call that does no harm when repeated, until it works, fails for good, or
    /// `attempts` of it failed although the daemon was there.
    ///
    /// # Errors
    /// The last call's.
    pub(crate) async fn insist<T, F>(
        &self,
        backoff: &mut Backoff,
        attempts: u32,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let policy = Policy::new(backoff, attempts);
        retry::until(
            policy,
            || self.is_daemon_away(),
            || {
                let call = call();
                async move { retry::unless_passing(call.await) }
            },
        )
        .await
    }
}
