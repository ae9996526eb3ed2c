//! The wish to stop: how urgent it is, who waits for the end. Owns: [`Golem::stop`],
//! [`Golem::abort`] and [`Golem::stopped`]. Does not own: the stages (`shutdown.rs`).

use std::sync::Arc;

use tokio::sync::watch;

use super::{ShutdownReport, run};
use crate::Golem;
use crate::context::Context;
use crate::tasks::TaskGroup;

/// How urgently the engine is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Not at all.
    #[default]
    Running,
    /// In order.
    Drain,
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

impl Golem {
    /// Stops everything, stage by stage, each with its own deadline: no new work is taken; services
    /// and tasks end by themselves, handlers included; activities are destroyed, agreements
    /// terminated, final invoices accepted, demands withdrawn, the budget released. It has ended
    /// within [`ShutdownLimits::longest`](crate::config::ShutdownLimits::longest), whatever the
    /// daemon and the providers do. Later calls wait for the same end.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn stop(&self) -> ShutdownReport {
        self.end(Urgency::Drain).await
    }

    /// Stops at once, or hurries a stop under way: handlers are cut off, agreements still get their
    /// terminate request, invoices are not waited for. What is owed then is in the report and in
    /// the journal, and the budget for it is kept.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn abort(&self) -> ShutdownReport {
        self.end(Urgency::Abort).await
    }

    /// Waits until the engine is stopped, by whomever; see
    /// [`stop_on_signals`](Self::stop_on_signals).
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn stopped(&self) -> ShutdownReport {
        self.context().stop_request().over().await
    }

    async fn end(&self, urgency: Urgency) -> ShutdownReport {
        begin(self.context(), urgency);
        self.stopped().await
    }
}

/// Begins to stop, or hurries it. Returns at once.
pub(crate) fn begin(context: &Arc<Context>, urgency: Urgency) {
    if context.stop_request().raise(urgency) {
        let context = Arc::clone(context);
        // A group of its own: stopping waits for all others.
        let group = TaskGroup::new("shutdown");
        group.clone().spawn("stop", async move {
            let stages = group.run("stages", run(Arc::clone(&context))).await;
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
            context
                .stop_request()
                .report
                .send_replace(Some(Arc::new(report)));
        });
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
