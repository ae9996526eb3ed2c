//! What handlers and workers hold: a rented machine to use, not to own, and who they are.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use golem_wire::activity::{ActivityStatus, ActivityUsage};
use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::api::ApiError;
use crate::event::Custom;
use crate::mailbox::{Mailbox, MessageError, Post, no_mailbox};
use crate::model::{InstanceInfo, JobId, OfferProposal};
use crate::network::{Network, Node};
use crate::script::{Args, CommandExecuted, RunCommand, Script, ScriptError};

/// A machine of a provider with our activity on it, and the instance or worker that it works for. Cheap
/// to clone; a clone that is kept after the handler's end finds the activity gone.
#[derive(Clone)]
pub struct WorkContext {
    activity: Arc<Activity>,
    stop: CancellationToken,
    identity: Arc<Identity>,
}

/// What an activity used up to a time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TimedUsage {
    /// When it was measured, in whole seconds, by the provider's clock.
    pub measured: Timestamp,
    /// By counter, `golem.usage.duration_sec` and the like.
    pub counters: IndexMap<String, f64>,
}

/// Whom a machine works for.
pub(crate) struct Identity {
    pub(crate) info: InstanceInfo,
    /// `None` for a worker of tasks.
    pub(crate) post: Option<Arc<Post>>,
}

impl WorkContext {
    pub(crate) fn new(
        activity: Arc<Activity>,
        stop: CancellationToken,
        identity: impl Into<Arc<Identity>>,
    ) -> Self {
        WorkContext {
            activity,
            stop,
            identity: identity.into(),
        }
    }

    /// The instance, or the worker of tasks, that this machine works for: its id, name, index, job and
    /// attempt.
    pub fn instance(&self) -> &InstanceInfo {
        &self.identity.info
    }

    /// The job: the cluster or the task list, as in events.
    pub fn job(&self) -> &JobId {
        &self.identity.info.job
    }

    /// The virtual network that this machine is in, if its service or tasks were started with one.
    pub fn network(&self) -> Option<&Network> {
        self.network_node().map(Node::network)
    }

    /// Where this machine is in its virtual network: its address, connections to its ports, what `deploy` is
    /// told. `None` without a network.
    pub fn network_node(&self) -> Option<&Node> {
        self.activity.node()
    }

    /// The address of this machine in its virtual network; `None` without one.
    pub fn address(&self) -> Option<IpAddr> {
        self.network_node().map(Node::ip)
    }

    /// Whether the first script that runs something gets `deploy` and `start` put in front; see
    /// [`Payload::implicit_init`](crate::payload::Payload::implicit_init).
    pub fn implicit_init(&self) -> bool {
        !self.activity.is_by_hand()
    }

    /// The provider's offer as it was agreed on: its properties, prices and threads.
    pub fn offer(&self) -> &OfferProposal {
        self.activity.rental().offer()
    }

    /// Messages of type `M` that the owner sends with
    /// [`InstanceHandle::send`](crate::service::InstanceHandle::send).
    pub fn mailbox<M: Send + 'static>(&self) -> Mailbox<M> {
        Mailbox::new(self.identity.info.id.clone(), self.identity.post.clone())
    }

    /// Sends a message to the owner, who takes it with
    /// [`InstanceHandle::receive`](crate::service::InstanceHandle::receive). Waits while
    /// [`MAILBOX_CAPACITY`](crate::service::MAILBOX_CAPACITY) messages are not taken.
    ///
    /// # Errors
    /// [`MessageError::WrongType`] after messages of another type, [`MessageError::NoMailbox`] in a
    /// worker of tasks, [`MessageError::Gone`] once the instance has ended.
    ///
    /// # Cancel safety
    /// Cancel-safe: a send that is dropped has sent nothing.
    pub async fn send<M: Send + 'static>(&self, message: M) -> Result<(), MessageError> {
        match &self.identity.post {
            Some(post) => post.outbox.send(message).await,
            None => Err(no_mailbox(&self.identity.info.id)),
        }
    }

    /// Like [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// [`MessageError::Full`], and as [`send`](Self::send).
    pub fn try_send<M: Send + 'static>(&self, message: M) -> Result<(), MessageError> {
        match &self.identity.post {
            Some(post) => post.outbox.try_send(message),
            None => Err(no_mailbox(&self.identity.info.id)),
        }
    }

    /// Unique id of this context: the activity's.
    pub fn id(&self) -> &str {
        self.activity.id().as_str()
    }

    /// Name the provider gives itself.
    pub fn provider_name(&self) -> &str {
        &self.activity.rental().provider_name
    }

    /// Node id of the provider.
    pub fn provider_id(&self) -> &NodeId {
        &self.activity.rental().provider_id
    }

    /// The activity.
    pub fn activity_id(&self) -> &ActivityId {
        self.activity.id()
    }

    /// The agreement the machine is rented under.
    pub fn agreement_id(&self) -> &AgreementId {
        &self.activity.rental().agreement_id
    }

    /// An empty script for this machine.
    pub fn script(&self) -> Script {
        Script::new(Arc::clone(&self.activity))
    }

    /// A program to be run on this machine, by its absolute path there.
    pub fn command(&self, program: impl Into<String>) -> RunCommand {
        RunCommand::new(Arc::clone(&self.activity), program)
    }

    /// Runs one program: the short form of [`command`](Self::command). Without arguments: `[]`.
    ///
    /// # Errors
    /// [`ScriptError`]; a program that fails is [`ScriptError::CommandFailed`].
    ///
    /// # Cancel safety
    /// As [`Script::execute`].
    pub async fn run(
        &self,
        entry_point: impl Into<String>,
        args: impl Args,
    ) -> Result<CommandExecuted, ScriptError> {
        let command = self.command(entry_point).args(args.into_args());
        command.output().await
    }

    /// Completes when the service is wanted to stop, or the task list was given up. `run` handlers
    /// that await it may finish what they are at, for as long as
    /// [`RunService::stop_grace`](crate::service::RunService::stop_grace) allows; without one they are dropped
    /// where they wait next.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn stop_requested(&self) {
        self.stop.cancelled().await;
    }

    /// Tells everybody who hears events of one of the user's own, about this machine and who is at work on
    /// it; see [`Custom`].
    pub fn emit<T: Serialize + fmt::Debug + Send + Sync + 'static>(&self, event: T) {
        let context = self.activity.context();
        context.emit(self.activity.about(), Custom::new(event));
    }

    /// `getActivityUsage`: the usage vector as the daemon tells it.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_raw_usage(&self) -> Result<ActivityUsage, ApiError> {
        self.activity
            .context()
            .rest()
            .activity()
            .usage(self.activity.id())
            .await
    }

    /// `getActivityState`: the state of the activity as the daemon tells it.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_raw_state(&self) -> Result<ActivityStatus, ApiError> {
        self.activity
            .context()
            .rest()
            .activity()
            .state(self.activity.id())
            .await
    }

    /// The usage up to now by counter, `golem.usage.duration_sec` and the like, each in its own unit: those
    /// that end in `_sec` are seconds.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_usage(&self) -> Result<IndexMap<String, f64>, ApiError> {
        Ok(self.by_counter(self.get_raw_usage().await?))
    }

    /// The usage by counter, and when it was measured: what an exe-unit tells may be some seconds old.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_timed_usage(&self) -> Result<TimedUsage, ApiError> {
        let told = self.get_raw_usage().await?;
        // Seconds of any year.
        let measured = Timestamp::from_second(told.timestamp).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(TimedUsage {
            measured,
            counters: self.by_counter(told),
        })
    }

    fn by_counter(&self, usage: ActivityUsage) -> IndexMap<String, f64> {
        let counters = self.activity.rental().prices().per_unit.iter();
        let names = counters.map(|(name, _)| name.clone());
        names.zip(usage.current_usage.unwrap_or_default()).collect()
    }

    /// The cost up to now in GLM, from usage and the prices of the agreement; `None` when the daemon
    /// reports no usage yet.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know the usage.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn get_cost(&self) -> Result<Option<Glm>, ApiError> {
        let usage = self.get_raw_usage().await?.current_usage;
        let usage = usage.filter(|usage| !usage.is_empty());
        Ok(usage.map(|usage| self.activity.rental().prices().of_usage(&usage)))
    }
}

impl fmt::Debug for WorkContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkContext")
            .field("instance", &self.identity.info.id)
            .field("activity", self.activity.id())
            .field("provider", &self.provider_name())
            .finish_non_exhaustive()
    }
}
