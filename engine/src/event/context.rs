//! What an event is about. Owns: the one shape of it, whatever happened.

use golem_wire::{ActivityId, AgreementId, DemandId, NodeId, ProposalId};
use serde::Serialize;

use crate::model::{InstanceId, JobId, RECOVERED};

/// What an event is about, as far as it applies: an event of an activity also tells its agreement, its
/// provider, its job, and the instance or the task that was at work on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventContext {
    /// The piece of work: a cluster, a list of tasks, or `recovered` for what an earlier run left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The demand on the market.
    #[serde(rename = "demand_id", skip_serializing_if = "Option::is_none")]
    pub demand: Option<DemandId>,
    /// The provider's proposal.
    #[serde(rename = "proposal_id", skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalId>,
    /// The agreement.
    #[serde(rename = "agreement_id", skip_serializing_if = "Option::is_none")]
    pub agreement: Option<AgreementId>,
    /// Whose proposal, agreement or activity it is.
    #[serde(flatten)]
    pub provider: Option<EventProvider>,
    /// The activity.
    #[serde(rename = "activity_id", skip_serializing_if = "Option::is_none")]
    pub activity: Option<ActivityId>,
    /// The instance of a service, or the machine of a pool.
    #[serde(flatten)]
    pub instance: Option<EventInstance>,
    /// The task.
    #[serde(flatten)]
    pub task: Option<EventTask>,
}

/// A provider, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventProvider {
    /// Its node id.
    #[serde(rename = "provider_id")]
    pub id: NodeId,
    /// The name it gives itself: for people, not unique.
    #[serde(rename = "provider_name")]
    pub name: String,
}

/// An instance of a service, or a machine of a pool, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventInstance {
    /// Unique within the engine: the job and a number, `service-1/2`, or `pool-1/machine-2`. Of an instance that an
    /// earlier life of the program left and that no service goes on with: `recovered/`, and what it was called in that
    /// life; see [`earlier_id`](Self::earlier_id).
    #[serde(rename = "service")]
    pub id: InstanceId,
    /// For people; see [`Service::name`](crate::service::Service::name).
    #[serde(rename = "service_name")]
    pub name: String,
}

impl EventInstance {
    /// The id that an instance had in an earlier life of the program, where this life only tells of its end.
    pub fn earlier_id(&self) -> Option<&str> {
        let id = self.id.as_str().strip_prefix(RECOVERED)?;
        id.strip_prefix('/')
    }
}

/// A task, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventTask {
    /// Unique within the engine: the job and a number from 1, `tasks-1/3`.
    #[serde(rename = "task")]
    pub id: String,
    /// Position in the input, from 0.
    #[serde(rename = "task_index")]
    pub index: usize,
    /// Which attempt it is, from 1.
    #[serde(rename = "task_attempt")]
    pub attempt: u32,
}

impl EventContext {
    /// Of a job.
    pub(crate) fn of_job(job: &JobId) -> Self {
        EventContext {
            job: Some(job.clone()),
            ..EventContext::default()
        }
    }

    /// The same of a demand of it.
    #[inline]
    pub(crate) fn with_demand(mut self, demand: &DemandId) -> Self {
        self.demand = Some(demand.clone());
        self
    }

    /// The same of a proposal.
    #[inline]
    pub(crate) fn with_proposal(mut self, proposal: &ProposalId) -> Self {
        self.proposal = Some(proposal.clone());
        self
    }

    /// The same of a provider.
    #[inline]
    pub(crate) fn with_provider(mut self, id: &NodeId, name: &str) -> Self {
        self.provider = Some(EventProvider {
            id: id.clone(),
            name: name.to_owned(),
        });
        self
    }

    /// The same of an agreement.
    #[inline]
    pub(crate) fn with_agreement(mut self, agreement: &AgreementId) -> Self {
        self.agreement = Some(agreement.clone());
        self
    }

    /// The same of an activity.
    #[inline]
    pub(crate) fn with_activity(mut self, activity: &ActivityId) -> Self {
        self.activity = Some(activity.clone());
        self
    }

    /// The same of an instance of a service.
    #[inline]
    pub(crate) fn with_instance(mut self, id: &InstanceId, name: &str) -> Self {
        self.instance = Some(EventInstance {
            id: id.clone(),
            name: name.to_owned(),
        });
        self
    }

    /// The same of an instance of an earlier life, whose events called it so.
    pub(crate) fn with_earlier_instance(self, id: &str, name: &str) -> Self {
        let mut about = self.with_instance(&InstanceId::new(format!("{RECOVERED}/{id}")), name);
        about.job = Some(JobId::new(RECOVERED));
        about
    }

    /// The same between two tasks.
    pub(crate) fn without_task(mut self) -> Self {
        self.task = None;
        self
    }

    /// The same while it works for an instance of a service or for a task.
    pub(crate) fn at_work_for(mut self, who: &EventContext) -> Self {
        self.job.clone_from(&who.job);
        self.instance.clone_from(&who.instance);
        self.task.clone_from(&who.task);
        self
    }

    /// The same of a task.
    pub(crate) fn with_task(mut self, job: &JobId, index: usize, attempt: u32) -> Self {
        self.task = Some(EventTask {
            id: format!("{job}/{}", index + 1),
            index,
            attempt,
        });
        self
    }
}
