//! When an instance begins anew. Owns: the policies, how often and how soon. Does not own: which machine it
//! begins on (`instance.rs`), which ends can be followed by a beginning (`lifecycle/service.rs`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Instance;
use crate::cause::Cause;

type Rule = Arc<dyn Fn(&EndedLife) -> bool + Send + Sync>;

/// Whether an instance whose life on a machine ended begins anew on another one, with a fresh service value
/// ([`Service::new`](super::Service::new)) and the same handle, id and mailbox. Given to
/// [`RunService::restart`](super::RunService::restart).
///
/// No policy restarts what was stopped or terminated, what ends with its cluster or budget, and what failed with
/// [`HandlerError::reject`](super::HandlerError::reject) or for a reason of this computer.
///
/// ```
/// use std::time::Duration;
/// use golem_engine::service::Restart;
///
/// // For ever, but no more than ten times, and never sooner than after a second.
/// let stubborn = Restart::always()
///     .limit(10)
///     .backoff(Duration::from_secs(1), Duration::from_secs(60));
/// // One's own rule.
/// let patient = Restart::when(|ended| !ended.has_run || ended.lasted > Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct Restart {
    when: When,
    limit: Option<u32>,
    first: Duration,
    longest: Duration,
    avoid: bool,
}

#[derive(Clone)]
enum When {
    Never,
    Unstarted,
    Failed,
    Always,
    Rule(Rule),
}

/// A life of an instance on one machine that is over, for a [rule](Restart::when).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndedLife {
    /// The instance.
    pub instance: Instance,
    /// What went wrong; `None` when `run` and `shutdown` ended well.
    pub failure: Option<Cause>,
    /// Whether it was running in this life.
    pub has_run: bool,
    /// Which attempt to start it was, from 1.
    pub attempt: u32,
    /// How often the instance began anew after it had run, before this.
    pub restarts: u32,
    /// How long it had its machine.
    pub lasted: Duration,
}

impl Restart {
    fn of(when: When) -> Self {
        Restart {
            when,
            limit: None,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            avoid: true,
        }
    }

    /// Never, also when it could not start.
    pub fn never() -> Self {
        Self::of(When::Never)
    }

    /// Only when it could not start; what is used unless something else is asked for.
    pub fn unstarted() -> Self {
        Self::of(When::Unstarted)
    }

    /// When it could not start, or failed: `run` or `shutdown` returned an error, the machine was lost, the
    /// provider ended the agreement, or its [health check](super::HealthCheck) failed.
    pub fn on_failure() -> Self {
        Self::of(When::Failed)
    }

    /// Also when `run` ended well.
    pub fn always() -> Self {
        Self::of(When::Always)
    }

    /// When the rule says so. It is asked once for each end, must not block, and a panic of it, which
    /// [`CallbackPanicked`](crate::event::CallbackPanicked) tells, is a no.
    pub fn when(rule: impl Fn(&EndedLife) -> bool + Send + Sync + 'static) -> Self {
        Self::of(When::Rule(Arc::new(rule)))
    }

    /// How often an instance begins anew after it has run, at the most; no limit unless set. Starts that fail
    /// have a limit of their own,
    /// [`RunService::max_start_attempts`](super::RunService::max_start_attempts), which counts anew in each life.
    pub fn limit(mut self, restarts: u32) -> Self {
        self.limit = Some(restarts);
        self
    }

    /// How long it waits before it begins anew after it has run: `first`, twice as long each time, `longest` at
    /// the most, less up to a half by chance; a second and a minute unless set. It is `first` again after a life
    /// that lasted `longest` or more.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest.max(first);
        self
    }

    /// Whether a provider on which it failed is passed over from then on, as long as there are others; true
    /// unless set.
    pub fn avoid_failed_providers(mut self, avoid: bool) -> Self {
        self.avoid = avoid;
        self
    }

    /// Whether it begins anew.
    pub(super) fn allows(&self, ended: &EndedLife) -> bool {
        if ended.has_run && self.limit.is_some_and(|limit| ended.restarts >= limit) {
            return false;
        }
        match &self.when {
            When::Never => false,
            When::Unstarted => !ended.has_run,
            When::Failed => !ended.has_run || ended.failure.is_some(),
            When::Always => true,
            When::Rule(rule) => rule(ended),
        }
    }

    pub(super) fn avoids(&self) -> bool {
        self.avoid
    }

    pub(super) fn pauses(&self) -> (Duration, Duration) {
        (self.first, self.longest)
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self::unstarted()
    }
}

impl fmt::Debug for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match &self.when {
            When::Never => "never",
            When::Unstarted => "unstarted",
            When::Failed => "on_failure",
            When::Always => "always",
            When::Rule(_) => "rule",
        };
        f.debug_struct("Restart")
            .field("when", &when)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
