//! What waits for somebody who may go away: a place, a draft, a job, a machine. Owns: that each is given back when it
//! is dropped. Does not own: how it came about (`subscription.rs`).

use std::sync::Arc;

use tokio::sync::oneshot;

use super::DemandSubscription;
use crate::cause::Cause;
use crate::context::Context;
use crate::event::{EventContext, JobFinished};
use crate::market::pool::Draft;
use crate::market::{Rental, SubscribeError};
use crate::model::JobId;

/// A place in the queue for drafts; a draft that came too late goes back.
pub(super) struct Place<'a> {
    pub(super) subscription: &'a DemandSubscription,
    pub(super) id: u64,
    pub(super) draft: Option<oneshot::Receiver<Draft>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.subscription.lock().pool.leave(self.id);
        if let Some(Ok(draft)) = self.draft.as_mut().map(oneshot::Receiver::try_recv) {
            self.subscription.put_back(draft);
        }
    }
}

/// A draft whose machine waits for room in the budget; it goes back if there is none.
pub(super) struct Held<'a> {
    pub(super) subscription: &'a DemandSubscription,
    pub(super) draft: Option<Draft>,
}

impl Held<'_> {
    pub(super) fn keep(mut self) -> Draft {
        self.draft.take().expect("held until it is dropped")
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.subscription.put_back(draft);
        }
    }
}

/// A job on its way to the one who began it; over if it never arrives.
pub(super) struct Begun {
    pub(super) context: Arc<Context>,
    pub(super) job: JobId,
    pub(super) demand: Option<Arc<DemandSubscription>>,
}

impl Begun {
    pub(super) fn claim(mut self) -> Result<Arc<DemandSubscription>, SubscribeError> {
        // There is one until it is claimed.
        self.demand.take().ok_or(SubscribeError::Stopped)
    }

    pub(super) fn over(&self, why: Cause) {
        let error = Some(why);
        let about = EventContext::of_job(&self.job);
        self.context.emit(about, JobFinished { error });
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(demand) = self.demand.take() else {
            return;
        };
        self.over(Cause::from("given up before it had begun"));
        let closing = async move { demand.close().await };
        self.context.tasks().spawn("give-job-up", closing);
    }
}

/// A machine on its way to the one who wanted it; terminated if it never arrives.
pub(super) struct Unclaimed(Option<Arc<Rental>>);

impl Unclaimed {
    pub(super) fn new(rental: Arc<Rental>) -> Self {
        Unclaimed(Some(rental))
    }

    pub(super) fn claim(mut self) -> Arc<Rental> {
        self.0.take().expect("claimed once")
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(rental) = self.0.take() {
            rental.give_up("no waiter is left for this machine");
        }
    }
}
