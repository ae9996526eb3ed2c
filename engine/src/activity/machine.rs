//! An agreement and its activity as one thing that is rented and given back. Owns: that nothing is
//! forgotten, whatever is dropped half-way.

use std::sync::Arc;

use golem_wire::common::Reason;
use golem_wire::{ActivityId, NodeId};

use super::{Activity, ActivityError};
use crate::context::Context;
use crate::market::{DemandSubscription, Rental, SignError};
use crate::model::JobId;

/// A rented machine. Dropping it gives it back in an owned task.
pub(crate) struct Machine(Option<Parts>);

struct Parts {
    context: Arc<Context>,
    rental: Arc<Rental>,
    activity: Option<Arc<Activity>>,
}

/// Why there is no machine.
#[derive(Debug)]
pub(crate) enum RentError {
    /// No agreement; trying again is of no use.
    Sign(SignError),
    /// An agreement, but no activity: another provider may do better.
    Activity {
        provider_id: NodeId,
        error: ActivityError,
    },
}

impl Machine {
    /// Rents a machine and creates its activity.
    ///
    /// # Cancel safety
    /// Cancel-safe: what was rented already is given back.
    pub(crate) async fn rent(
        context: &Arc<Context>,
        job: &JobId,
        demand: &Arc<DemandSubscription>,
        avoid: &[NodeId],
    ) -> Result<Machine, RentError> {
        let rental = demand.sign(avoid).await.map_err(RentError::Sign)?;
        let parts = Parts {
            context: Arc::clone(context),
            rental: Arc::clone(&rental),
            activity: None,
        };
        let creating = Self::with_activity(parts, job.clone());
        let created = context.tasks().run("create-activity", creating).await;
        created.unwrap_or_else(|lost| {
            Err(RentError::Activity {
                provider_id: rental.provider_id.clone(),
                error: lost.into(),
            })
        })
    }

    /// The machine of an earlier life whose activity still answers.
    pub(crate) fn adopt(
        context: &Arc<Context>,
        job: &JobId,
        rental: Arc<Rental>,
        activity: ActivityId,
    ) -> Machine {
        rental.adopt_for(job);
        let activity = Activity::adopt(context, job, &rental, activity);
        Machine(Some(Parts {
            context: Arc::clone(context),
            rental,
            activity: Some(activity),
        }))
    }

    /// A machine that nobody waits for any more is dropped by its task, and so given back.
    async fn with_activity(mut parts: Parts, job: JobId) -> Result<Machine, RentError> {
        match Activity::create(&parts.context, &job, &parts.rental).await {
            Ok(activity) => {
                parts.activity = Some(activity);
                Ok(Machine(Some(parts)))
            }
            Err(error) => {
                let provider_id = parts.rental.provider_id.clone();
                parts
                    .release(Reason::from("the activity could not be created"))
                    .await;
                Err(RentError::Activity { provider_id, error })
            }
        }
    }

    /// The activity.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        self.0
            .as_ref()
            .and_then(|parts| parts.activity.as_ref())
            .expect("a machine is handed out with its activity and until it is released")
    }

    /// Destroys the activity and terminates the agreement.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub(crate) async fn release(mut self, reason: &str) {
        if let Some(parts) = self.0.take() {
            let context = Arc::clone(&parts.context);
            let lost = context
                .tasks()
                .run("release", parts.release(Reason::from(reason)))
                .await;
            if let Err(error) = lost {
                tracing::warn!(%error, "a machine was not given back in order");
            }
        }
    }
}

impl Parts {
    async fn release(self, reason: Reason) {
        if let Some(activity) = self.activity {
            activity.destroy().await;
        }
        self.rental.terminate(reason).await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            let tasks = parts.context.tasks().clone();
            tasks.spawn(
                "release",
                parts.release(Reason::from("not needed any more")),
            );
        }
    }
}
