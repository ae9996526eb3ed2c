//! Using an activity that is there already, by its id: of this engine, or of a program before it. Owns: whose it has
//! to be, and the refusals. Does not own: what recovery goes on with by itself (`recovery/`).

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use golem_wire::activity::ActivityState;
use golem_wire::market::{Agreement, AgreementState};
use golem_wire::{ActivityId, AgreementId};
use http::StatusCode;
use indexmap::IndexMap;

use super::{Engine, Golem};
use crate::WorkContext;
use crate::activity::{ActivityError, AttachError, Machine, RentError};
use crate::agreement_record::Lifetime;
use crate::api::{ActivityFault, ApiError, ApiErrorKind};
use crate::cause::Cause;
use crate::journal::Fact;
use crate::market::Rental;
use crate::model::{InstanceId, InstanceInfo, JobId};
use crate::tasks::TaskGroup;
use crate::work_context::Identity;

/// The job of machines that are attached to.
const ATTACHED: &str = "attached";

/// A machine that was there already, to be used by way of the [`WorkContext`] that it stands for. Dropping it leaves
/// the machine as it is; [`end`](Self::end) gives it back. What is left runs until the engine stops, or whoever else
/// uses it ends it.
pub struct AttachedMachine {
    context: WorkContext,
    machine: Option<Machine>,
    is_shared: bool,
    giving_back: TaskGroup,
}

impl AttachedMachine {
    /// The machine, to be handed to functions that take a [`WorkContext`].
    pub fn context(&self) -> &WorkContext {
        &self.context
    }

    /// Whether a job of this engine uses it as well: scripts wait for each other then, and it is that job's to give
    /// back.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Destroys the activity, ends the agreement and leaves its invoice to the engine. One that is
    /// [shared](Self::is_shared) is left as it is.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn end(mut self) {
        if self.is_shared {
            return;
        }
        if let Some(machine) = self.machine.take() {
            machine.give_back("not needed any more");
            self.giving_back.idle().await;
        }
    }
}

impl Deref for AttachedMachine {
    type Target = WorkContext;

    fn deref(&self) -> &WorkContext {
        &self.context
    }
}

impl Drop for AttachedMachine {
    fn drop(&mut self) {
        if let Some(machine) = self.machine.take() {
            machine.detach();
        }
    }
}

impl fmt::Debug for AttachedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedMachine")
            .field("context", &self.context)
            .field("is_shared", &self.is_shared())
            .finish()
    }
}

impl Golem {
    /// Uses an activity that is there, by its id: one of this engine, of a program before it, or made
    /// [by hand](crate::low_level). The engine takes its agreement over, unless it has it already: it ends it when it
    /// stops, pays its invoice, and keeps it in the journal. Its debit notes go to whoever signed it: a provider whose
    /// debit notes nobody accepts ends the agreement after a while, four minutes by default.
    ///
    /// ```no_run
    /// # use golem_engine::{Golem, wire::ActivityId};
    /// # async fn example(golem: Golem, written_down: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let machine = golem.attach(&ActivityId::new(written_down)).await?;
    /// println!("{}", machine.run("/bin/date", ["-u"]).await?.stdout_text());
    /// machine.end().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`AttachError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; what was taken over stays so.
    pub async fn attach(&self, activity: &ActivityId) -> Result<AttachedMachine, AttachError> {
        let (engine, activity) = (Arc::clone(self.engine()), activity.clone());
        self.attaching(async move { to_activity(&engine, activity).await })
            .await
    }

    /// Uses the machine of an agreement that is there, by its id: the activity that runs on it, or a new one if none
    /// does. For the rest see [`attach`](Self::attach).
    ///
    /// # Errors
    /// [`AttachError`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; what was taken over stays so.
    pub async fn attach_agreement(
        &self,
        agreement: &AgreementId,
    ) -> Result<AttachedMachine, AttachError> {
        let (engine, agreement) = (Arc::clone(self.engine()), agreement.clone());
        self.attaching(async move { to_agreement(&engine, agreement).await })
            .await
    }

    async fn attaching(
        &self,
        work: impl Future<Output = Result<AttachedMachine, AttachError>> + Send + 'static,
    ) -> Result<AttachedMachine, AttachError> {
        let context = self.context();
        if context.jobs().is_cancelled() {
            return Err(AttachError::Stopped);
        }
        let attached = context.tasks().run("attach", work).await;
        attached.unwrap_or_else(|lost| {
            let kind = ApiErrorKind::Task(lost);
            Err(ApiError::new("attach", "", kind).into())
        })
    }
}

async fn to_activity(
    engine: &Arc<Engine>,
    activity: ActivityId,
) -> Result<AttachedMachine, AttachError> {
    let api = engine.context.rest().activity();
    let unknown = |error: ApiError| match ActivityFault::of(&error) {
        ActivityFault::Unknown => AttachError::NoActivity {
            activity_id: activity.clone(),
        },
        _ if error.is_status(StatusCode::NOT_FOUND) => AttachError::NoActivity {
            activity_id: activity.clone(),
        },
        _ => AttachError::Api(error),
    };
    let agreement = api.agreement(&activity).await.map_err(unknown)?;
    let document = document(engine, &agreement).await?;
    let state = api.state(&activity).await;
    let is_over = match &state {
        Ok(status) => status.state.0 == ActivityState::Terminated,
        Err(error) => ActivityFault::of(error) == ActivityFault::NoEndpoint,
    };
    if is_over {
        return Err(AttachError::Ended {
            activity_id: activity,
            agreement_id: agreement,
        });
    }
    let started = state?.state.0 == ActivityState::Ready;
    Ok(using(engine, &document, activity, started))
}

async fn to_agreement(
    engine: &Arc<Engine>,
    agreement: AgreementId,
) -> Result<AttachedMachine, AttachError> {
    let document = document(engine, &agreement).await?;
    let api = engine.context.rest().activity();
    for activity in api.of_agreement(&agreement).await? {
        match api.state(&activity).await {
            Ok(status) if status.state.0 == ActivityState::Terminated => {}
            Ok(status) => {
                let started = status.state.0 == ActivityState::Ready;
                return Ok(using(engine, &document, activity, started));
            }
            Err(error) if ActivityFault::of(&error) == ActivityFault::NoEndpoint => {}
            Err(error) => return Err(error.into()),
        }
    }
    let rental = taken_over(engine, &document, None);
    let job = JobId::new(ATTACHED);
    rental.adopt_for(&job);
    let giving_back = engine.context.tasks().child(ATTACHED);
    let made = Machine::on(&engine.context, rental, &giving_back).await;
    let machine = made.map_err(|error| AttachError::NotCreated {
        agreement_id: agreement,
        cause: match error {
            RentError::Activity {
                error: ActivityError::Create { source, .. },
                ..
            } => Cause::new(source),
            RentError::Activity { error, .. } => Cause::new(error),
            RentError::Sign(error) => Cause::new(error),
            RentError::Network(error) => Cause::new(error),
        },
    })?;
    Ok(attached(engine, machine, giving_back, false))
}

/// The agreement, if it is ours and in force.
async fn document(engine: &Engine, id: &AgreementId) -> Result<Agreement, AttachError> {
    let read = engine.context.rest().market().agreement(id).await;
    let document = match read {
        Ok(document) => document,
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
            return Err(AttachError::NoAgreement {
                agreement_id: id.clone(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let ours = engine.context.node_id();
    if document.demand.requestor_id != *ours {
        return Err(AttachError::NotOurs {
            agreement_id: id.clone(),
            owner: document.demand.requestor_id,
            ours: ours.clone(),
        });
    }
    if document.state != AgreementState::Approved {
        return Err(AttachError::NotInForce {
            agreement_id: id.clone(),
            state: document.state,
        });
    }
    Ok(document)
}

/// The engine's own record of it, from now on at the latest.
fn taken_over(engine: &Engine, document: &Agreement, activity: Option<&ActivityId>) -> Arc<Rental> {
    let rentals = engine.market.rentals();
    if let Some(known) = rentals.get(&document.agreement_id) {
        return known;
    }
    let context = &engine.context;
    let agreement = document.agreement_id.clone();
    context.log().fact(Fact::AgreementFound {
        agreement: agreement.clone(),
    });
    let since = document.approved_date.unwrap_or(document.timestamp);
    let mut activities = IndexMap::new();
    if let Some(activity) = activity {
        context.log().fact(Fact::ActivityFound {
            agreement,
            activity: activity.clone(),
            from: Some(since),
        });
        let lifetime = Lifetime {
            from: since,
            to: None,
        };
        activities.insert(activity.clone(), lifetime);
    }
    Rental::restore(rentals, document, &activities, None)
}

fn using(
    engine: &Arc<Engine>,
    document: &Agreement,
    activity: ActivityId,
    started: bool,
) -> AttachedMachine {
    let job = JobId::new(ATTACHED);
    let rentals = engine.market.rentals();
    let known = rentals.get(&document.agreement_id);
    let is_shared = known.is_some_and(|rental| rental.is_used_by_another(&job));
    let rental = taken_over(engine, document, Some(&activity));
    let giving_back = engine.context.tasks().child(ATTACHED);
    let machine = Machine::attach(
        &engine.context,
        (&job, rental),
        (activity, started),
        &giving_back,
    );
    attached(engine, machine, giving_back, is_shared)
}

fn attached(
    engine: &Engine,
    machine: Machine,
    giving_back: TaskGroup,
    is_shared: bool,
) -> AttachedMachine {
    let activity = Arc::clone(machine.activity());
    let identity = Identity {
        info: InstanceInfo {
            id: InstanceId::new(format!("{ATTACHED}/{}", activity.id())),
            name: ATTACHED.to_owned(),
            index: 0,
            job: JobId::new(ATTACHED),
            attempt: 1,
        },
        post: None,
    };
    let stop = engine.context.jobs().token().clone();
    let context = WorkContext::new(activity, stop, identity);
    AttachedMachine {
        context,
        machine: Some(machine),
        is_shared,
        giving_back,
    }
}
