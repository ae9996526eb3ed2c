//! What handlers and workers hold: a rented machine to use, not to own.

use std::fmt;
use std::sync::Arc;

use golem_wire::activity::{ActivityStatus, ActivityUsage};
use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::api::ApiError;
use crate::script::{Command, CommandExecuted, Script, ScriptError};

/// A machine of a provider with our activity on it. Cheap to clone.
#[derive(Clone)]
pub struct WorkContext {
    activity: Arc<Activity>,
    stop: CancellationToken,
}

impl WorkContext {
    pub(crate) fn new(activity: Arc<Activity>, stop: CancellationToken) -> Self {
        WorkContext { activity, stop }
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

    /// Runs one program: a script of one command.
    ///
    /// # Errors
    /// [`ScriptError`]; a program that fails is [`ScriptError::CommandFailed`].
    ///
    /// # Cancel safety
    /// As [`Script::execute`].
    pub async fn run<A: Into<String>>(
        &self,
        entry_point: impl Into<String>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<CommandExecuted, ScriptError> {
        let mut script = self.script();
        let handle = script.add(Command::run(entry_point, args));
        script.execute().await?;
        handle.await
    }

    /// Completes when the service is wanted to stop, or the task list was given up. `run` handlers
    /// that await it may finish what they are at.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn stop_requested(&self) {
        self.stop.cancelled().await;
    }

    /// The usage vector as the daemon tells it.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    pub async fn get_raw_usage(&self) -> Result<ActivityUsage, ApiError> {
        self.activity
            .context()
            .rest()
            .activity()
            .usage(self.activity.id())
            .await
    }

    /// The state of the activity as the daemon tells it.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    pub async fn get_raw_state(&self) -> Result<ActivityStatus, ApiError> {
        self.activity
            .context()
            .rest()
            .activity()
            .state(self.activity.id())
            .await
    }

    /// The usage up to now by counter, `golem.usage.duration_sec` and the like.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know it.
    pub async fn get_usage(&self) -> Result<IndexMap<String, f64>, ApiError> {
        let usage = self
            .get_raw_usage()
            .await?
            .current_usage
            .unwrap_or_default();
        let counters = &self.activity.rental().prices().per_unit;
        Ok(counters
            .iter()
            .map(|(name, _)| name.clone())
            .zip(usage)
            .collect())
    }

    /// The cost up to now, from usage and the prices of the agreement; `None` when the daemon
    /// reports no usage yet.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon does not know the usage.
    pub async fn get_cost(&self) -> Result<Option<Glm>, ApiError> {
        let usage = self.get_raw_usage().await?.current_usage;
        let usage = usage.filter(|usage| !usage.is_empty());
        Ok(usage.map(|usage| self.activity.rental().prices().of_usage(&usage)))
    }
}

impl fmt::Debug for WorkContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkContext")
            .field("activity", self.activity.id())
            .field("provider", &self.provider_name())
            .finish_non_exhaustive()
    }
}
