//! The wish to stop: how urgent it is, and waiting for the end. Does not own: the stages
//! (`shutdown.rs`).

use std::sync::Arc;

use super::{Shutdown, ShutdownReport, run};
use crate::tasks::TaskGroup;
use crate::watch;

/// How urgently the engine is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Not at all.
    #[default]
    Running,
    /// In order.
    Drain,
    /// In order, but what is owed is not waited for.
    Leave,
    /// At once; what is owed is named.
    Abort,
}

/// Where the engine is between running and stopped.
#[derive(Debug)]
pub(crate) struct StopRequest {
    urgency: watch::Sender<Urgency>,
    report: watch::Sender<Option<Arc<ShutdownReport>>>,
}

impl Default for StopRequest {
    fn default() -> Self {
        StopRequest {
            urgency: watch::Sender::new(Urgency::Running),
            report: watch::Sender::new(None),
        }
    }
}

impl StopRequest {
    /// Raises the urgency; answers whether this was the first wish.
    fn raise(&self, to: Urgency) -> bool {
        let mut before = Urgency::Running;
        self.urgency.send_if_modified(|urgency| {
            before = *urgency;
            let raised = to > before;
            if raised {
                *urgency = to;
            }
            raised
        });
        before == Urgency::Running
    }

    /// Whether it was told to stop.
    pub(crate) fn is_wanted(&self) -> bool {
        *self.urgency.borrow() > Urgency::Running
    }

    /// Whether it was told not to wait for what is owed.
    pub(crate) fn is_left(&self) -> bool {
        *self.urgency.borrow() >= Urgency::Leave
    }

    /// Waits until it is told not to wait for what is owed.
    pub(crate) async fn left(&self) {
        let mut urgency = self.urgency.subscribe();
        // The sender lives in `self`.
        let _ = urgency.wait_for(|urgency| *urgency >= Urgency::Leave).await;
    }

    /// Whether it was told to hurry.
    pub(crate) fn is_hurried(&self) -> bool {
        *self.urgency.borrow() == Urgency::Abort
    }

    /// Waits until it is told to hurry.
    pub(crate) async fn hurried(&self) {
        let mut urgency = self.urgency.subscribe();
        // The sender lives in `self`.
        let _ = urgency.wait_for(|urgency| *urgency == Urgency::Abort).await;
    }

    async fn over(&self) -> ShutdownReport {
        let mut report = self.report.subscribe();
        match report.wait_for(Option::is_some).await {
            Ok(report) => report.as_deref().cloned().unwrap_or_default(),
            // The sender lives in `self`.
            Err(_) => ShutdownReport::default(),
        }
    }
}

impl Shutdown {
    /// Begins to stop, or hurries it. Returns at once.
    pub(crate) fn begin(self: &Arc<Self>, urgency: Urgency) {
        if !self.request.raise(urgency) {
            return;
        }
        let shutdown = Arc::clone(self);
        // A group of its own: stopping waits for all others.
        let group = TaskGroup::new("shutdown");
        group.clone().spawn("stop", async move {
            let stages = group.run("stages", run(Arc::clone(&shutdown))).await;
            // A fault of the engine must not keep those waiting who stop it.
            let report = stages.unwrap_or_else(|lost| ShutdownReport {
                cut_off: vec![lost.name],
                ..ShutdownReport::default()
            });
            if report.is_clean() {
                tracing::info!("stopped: {report}");
            } else {
                tracing::warn!("stopped: {report}");
            }
            shutdown.request.report.send_replace(Some(Arc::new(report)));
        });
    }

    /// Waits until everything is stopped.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn over(&self) -> ShutdownReport {
        self.request.over().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_only_rises_and_the_first_wish_is_told_from_later_ones() {
        let request = StopRequest::default();
        assert!(!request.is_wanted());
        assert!(request.raise(Urgency::Drain));
        assert!(!request.raise(Urgency::Drain) && !request.is_hurried());
        assert!(!request.raise(Urgency::Abort) && request.is_hurried());
        assert!(!request.raise(Urgency::Drain) && request.is_hurried());
    }
}
