//! What the instances of a cluster share. Owns: the list of them, their end, and that of the
//! cluster. Does not own: starting them, and what users ask (`cluster.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::event::EventKind;
use crate::market::DemandSubscription;
use crate::model::JobId;
use crate::service::instance::StopSignal;
use crate::service::resume::{Resume, write_down};
use crate::service::{Instance, Service, Treatment};
use crate::tasks::TaskGroup;

/// What instances share.
pub(in crate::service) struct Shared<S: Service> {
    pub(in crate::service) context: Arc<Context>,
    pub(in crate::service) job: JobId,
    pub(in crate::service) demand: Arc<DemandSubscription>,
    pub(in crate::service) treatment: Treatment,
    pub(super) resume: Option<Resume<S::Params>>,
    pub(super) expiration: Timestamp,
    pub(super) tasks: TaskGroup,
    pub(super) entries: Mutex<Entries>,
    /// Counts changes.
    pub(super) version: watch::Sender<u64>,
    /// Instances that have not ended.
    pub(super) live: watch::Sender<usize>,
    pub(super) stop: CancellationToken,
    pub(super) service: std::marker::PhantomData<fn() -> S>,
}

#[derive(Default)]
pub(super) struct Entries {
    pub(super) instances: Vec<(watch::Receiver<Instance>, StopSignal)>,
    /// Index of the next one.
    pub(super) next: usize,
    pub(super) stopped: bool,
}

impl<S: Service> Shared<S> {
    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every statement leaves the list consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> Vec<Instance> {
        self.entries()
            .instances
            .iter()
            .map(|(instance, _)| instance.borrow().clone())
            .collect()
    }

    /// Writes down where an instance stands.
    pub(in crate::service) fn write_down(
        &self,
        index: usize,
        params: &S::Params,
        instance: &Instance,
    ) {
        let cluster = (self.job.as_str(), self.resume.as_ref());
        // What ends because everything is stopped is started anew by the next life.
        let goes_on = !self.tasks.is_cancelled() && !self.stop.is_cancelled();
        write_down::<S>(&self.context, cluster, index, params, instance, goes_on);
    }

    /// Something about an instance changed.
    pub(in crate::service) fn touch(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    pub(super) async fn until(&self, mut wanted: impl FnMut(u64, &[Instance]) -> bool) {
        let mut version = self.version.subscribe();
        loop {
            let now = *version.borrow_and_update();
            if wanted(now, &self.snapshot()) {
                return;
            }
            if version.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) async fn all_ended(&self) {
        let mut live = self.live.subscribe();
        // The sender lives in `self`.
        let _ = live.wait_for(|live| *live == 0).await;
    }

    pub(super) fn stop_all(&self) {
        let mut entries = self.entries();
        entries.stopped = true;
        for (_, stop) in &entries.instances {
            stop.signal_once();
        }
    }
}

/// Counts an instance as live, also when its task is aborted.
pub(super) struct Alive<S: Service>(pub(super) Arc<Shared<S>>);

impl<S: Service> Drop for Alive<S> {
    fn drop(&mut self) {
        self.0
            .live
            .send_modify(|live| *live = live.saturating_sub(1));
        self.0.touch();
    }
}

/// Ends the cluster when it is stopped, expires, or the engine stops.
pub(super) async fn supervise<S: Service>(shared: Arc<Shared<S>>, deadline: Instant) {
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        () = shared.tasks.token().cancelled() => {}
        () = tokio::time::sleep_until(deadline) => {}
    }
    shared.stop_all();
    shared.all_ended().await;
    shared.demand.close().await;
    let failures: Vec<_> = shared
        .snapshot()
        .into_iter()
        .filter_map(|instance| instance.failure)
        .collect();
    shared.context.emit(EventKind::JobFinished {
        job: shared.job.clone(),
        error: (!failures.is_empty()).then(|| failures.join("; ")),
    });
}
