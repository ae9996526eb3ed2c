//! One batch on the wire: sends it and waits for its results. Owns: polling, what counts as an end,
//! and which failures are waited out. Does not own: what commands mean, files, handles (`script/`).
//!
//! Each poll asks for the command that ends next, as its end alone wakes it, be it good or bad; a poll
//! for the whole batch would sleep on when a command fails half-way. So a script costs about one request
//! for each command, and one for each [`ActivityLimits::results_poll`] in which none ends. Commands that
//! end faster than they can be asked for one by one are asked for together.
//!
//! [`ActivityLimits::results_poll`]: crate::config::ActivityLimits

use std::sync::Arc;
use std::time::Duration;

use golem_wire::activity::{CommandOutcome, CommandResult, ExeScriptCommand};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::watch::Unanswered;
use super::{Activity, ActivityHealth};
use crate::api::activity::Polled;
use crate::api::{ActivityFault, ApiError, ApiErrorKind, Outcome};
use crate::cause::Cause;
use crate::event::ProtocolViolation;
use crate::lifecycle::agreement::EndedBy;
use crate::retry::{Backoff, Pace};

/// An exe-unit that is missing on the bus although its state is fine may still come.
const ENDPOINT_ATTEMPTS: u32 = 4;

/// How long ago a provider may have been heard of that is taken to be there.
const RECENT: Duration = Duration::from_secs(2);

/// Why a batch gave no results, or no more of them.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BatchError {
    /// It did not end in time. The provider may still be busy with it.
    #[error("the script did not end within {timeout:?} on activity {activity_id}")]
    Timeout {
        activity_id: ActivityId,
        timeout: Duration,
    },
    /// The activity is gone: nothing more can be sent to it.
    #[error("activity {activity_id} on provider {provider_name} is lost")]
    ActivityLost {
        activity_id: ActivityId,
        provider_name: String,
        #[source]
        cause: Cause,
    },
    /// Whether the provider got it is unknown; it is not sent twice.
    #[error("it is not known whether activity {activity_id} got the script")]
    OutcomeUnknown {
        activity_id: ActivityId,
        source: Arc<ApiError>,
    },
    /// The daemon refused.
    #[error("the script on activity {activity_id} was refused")]
    Api {
        activity_id: ActivityId,
        source: Arc<ApiError>,
    },
    /// Output beyond the limit.
    #[error("the output on activity {activity_id} is longer than {limit} bytes")]
    ResultTooLarge {
        activity_id: ActivityId,
        limit: usize,
    },
    /// The daemon's answer contradicts itself.
    #[error("the daemon's answer makes no sense: {what}")]
    Protocol { what: String },
    /// It was given up.
    #[error("the script was given up before its end")]
    Cancelled,
}

/// When a script is given up before its end.
pub(crate) struct Patience<'a> {
    pub(crate) activity: &'a Activity,
    /// From when on it is given up, and the timeout that set it.
    pub(crate) deadline: Option<(Instant, Duration)>,
    /// No waiter is left for the results.
    pub(crate) cancel: &'a CancellationToken,
}

/// A command as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum WireCommand {
    /// One that daemons of today have.
    Known(ExeScriptCommand),
    /// One of the user's own, sent as it is.
    Custom(serde_json::Value),
}

/// Commands to send.
pub(crate) struct Batch<'a> {
    pub(crate) patience: &'a Patience<'a>,
    pub(crate) activity: &'a Activity,
    pub(crate) commands: &'a [WireCommand],
    pub(crate) max_result_bytes: usize,
}

/// The results of a batch, as they come.
pub(crate) struct Results<'a> {
    batch: Batch<'a>,
    id: BatchId,
    seen: usize,
    backoff: Backoff,
    /// When the last one seen ended, on the provider's clock.
    ended: Option<Timestamp>,
    /// Whether the next poll is for whatever there is.
    catch_up: bool,
    /// How many must be seen before that is asked for again: the answer has all outputs once more.
    catch_up_from: usize,
    /// Polls that failed since one worked.
    failures: u32,
    done: bool,
}

impl<'a> Batch<'a> {
    /// Sends the batch.
    ///
    /// # Errors
    /// [`BatchError`]; after [`BatchError::OutcomeUnknown`] the provider may run it all the same.
    pub(crate) async fn send(&self) -> Result<BatchId, BatchError> {
        let text = serde_json::to_string(self.commands).map_err(|error| {
            self.api_error(ApiError::new(
                "exec",
                "",
                ApiErrorKind::Unsendable {
                    reason: error.to_string(),
                },
            ))
        })?;
        let api = self.activity.context().rest().activity();
        let mut backoff = self.activity.backoff("exec");
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.open_for_work()?;
            self.until_heard().await?;
            self.open_for_work()?;
            let asked = Instant::now();
            let error = match api.exec(self.activity.id(), text.clone()).await {
                Ok(batch) => {
                    self.activity.watch().heard();
                    return Ok(batch);
                }
                Err(error) => error,
            };
            let fault = ActivityFault::of(&error);
            golem_probe::sometimes!(
                fault == ActivityFault::NoEndpoint,
                "an exe-unit is not on the bus"
            );
            golem_probe::sometimes!(
                fault == ActivityFault::Unknown,
                "the daemon knows an activity no more"
            );
            let certain = fault == ActivityFault::NoEndpoint
                || error.outcome() != Outcome::Unknown
                || golem_probe::planted!("a-script-without-an-answer-is-sent-again");
            let answered = self.patience.or_end(self.look(fault)).await?;
            self.lost()?;
            if fault == ActivityFault::Silent && !answered {
                self.patience
                    .or_end(self.activity.unanswered(asked, &error))
                    .await?;
            }
            if !certain {
                // Sending it again might run it twice.
                return Err(BatchError::OutcomeUnknown {
                    activity_id: self.activity.id().clone(),
                    source: error.into(),
                });
            }
            let again = matches!(fault, ActivityFault::NoEndpoint | ActivityFault::NoAnswer);
            if !again {
                return Err(self.api_error(error));
            }
            let context = self.activity.context();
            if fault == ActivityFault::NoAnswer
                && self.patience.or_end(context.is_daemon_away()).await?
            {
                // It was not sent, so it waits for the daemon; the absence has its own limit.
                let back = context.daemon_back(&mut backoff);
                if self.patience.or_end(back).await? {
                    attempt = 0;
                    continue;
                }
                return Err(self.api_error(error));
            }
            if attempt >= ENDPOINT_ATTEMPTS {
                if fault == ActivityFault::NoEndpoint {
                    self.activity
                        .lose("its exe-unit is not on the daemon's bus");
                    self.lost()?;
                }
                return Err(self.api_error(error));
            }
            self.patience.or_end(backoff.pause()).await?;
        }
    }

    /// The results of the batch once it is sent.
    pub(crate) fn results(self, id: BatchId) -> Results<'a> {
        Results {
            backoff: self.activity.backoff("results"),
            done: self.commands.is_empty(),
            ended: None,
            catch_up: false,
            catch_up_from: 0,
            failures: 0,
            seen: 0,
            batch: self,
            id,
        }
    }

    /// Results not seen before, checked: a daemon that mixes them up is not to be believed.
    fn news(
        &self,
        results: Vec<CommandResult>,
        seen: usize,
    ) -> Result<Vec<CommandResult>, BatchError> {
        if results.len() > self.commands.len() {
            return Err(self.violation(format!(
                "{} results for {} commands",
                results.len(),
                self.commands.len()
            )));
        }
        for (position, result) in results.iter().enumerate() {
            if usize::try_from(result.index) != Ok(position) {
                return Err(self.violation(format!(
                    "the result at position {position} has index {}",
                    result.index
                )));
            }
        }
        let seen = if golem_probe::planted!("a-result-is-heard-twice") {
            seen.saturating_sub(1)
        } else {
            seen
        };
        Ok(results.into_iter().skip(seen).collect())
    }

    /// Waits for the provider: what is sent to one that is out of reach has an unknown outcome, so one
    /// that was not heard of just now is asked for the state first.
    async fn until_heard(&self) -> Result<(), BatchError> {
        let watch = self.activity.watch();
        if watch.silent_since().is_none() && watch.last_heard().elapsed() < RECENT {
            return Ok(());
        }
        self.activity
            .answer(self.patience, "is-there", || self.activity.check())
            .await
    }

    /// After a failure that may mean a lost activity: asks for its state. Answers whether its provider
    /// told it.
    async fn look(&self, fault: ActivityFault) -> bool {
        match fault {
            ActivityFault::Unknown => {
                self.activity.lose("the daemon knows the activity no more");
                false
            }
            ActivityFault::NoEndpoint | ActivityFault::Silent => {
                let checked = self.activity.check().await;
                if let Err(error) = &checked {
                    tracing::debug!(activity = %self.activity.id(), %error, "no state either");
                }
                checked.is_ok()
            }
            ActivityFault::NoAnswer | ActivityFault::Other => false,
        }
    }

    /// Nothing is sent under an agreement that is known to have ended, even if its activity still
    /// answers: it would not be paid for. But what is left there may be saved, if the provider ended it.
    fn open_for_work(&self) -> Result<(), BatchError> {
        self.lost()?;
        match self.activity.rental().ended_by() {
            Some(end) if end.by == EndedBy::Provider && self.activity.recovers() => Ok(()),
            Some(end) => Err(self.activity.lost_error(&Cause::new(end))),
            None => Ok(()),
        }
    }

    fn lost(&self) -> Result<(), BatchError> {
        match self.activity.watch().health() {
            ActivityHealth::Lost { reason } => Err(self.activity.lost_error(&reason)),
            _ => Ok(()),
        }
    }

    fn api_error(&self, error: ApiError) -> BatchError {
        BatchError::Api {
            activity_id: self.activity.id().clone(),
            source: error.into(),
        }
    }

    fn violation(&self, what: String) -> BatchError {
        let what = format!("activity {}: {what}", self.activity.id());
        self.activity.context().emit(
            self.activity.about(),
            ProtocolViolation { what: what.clone() },
        );
        BatchError::Protocol { what }
    }
}

impl Results<'_> {
    /// Waits for results not seen before; `None` after the last one. A command that failed is no
    /// error here: its result is the last one.
    ///
    /// # Errors
    /// [`BatchError`] when no more can come.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<CommandResult>>, BatchError> {
        while !self.done {
            let news = self.poll().await?;
            if !news.is_empty() {
                return Ok(Some(news));
            }
        }
        Ok(None)
    }

    async fn poll(&mut self) -> Result<Vec<CommandResult>, BatchError> {
        let batch = &self.batch;
        let limits = &batch.activity.context().config().activity;
        let wait = match batch.patience.deadline {
            Some((deadline, _)) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return batch.patience.or_end(std::future::pending()).await;
                }
                limits.results_poll.min(left)
            }
            None => limits.results_poll,
        };
        let asked = Instant::now();
        let api = batch.activity.context().rest().activity();
        let (activity, max_bytes) = (batch.activity.id(), batch.max_result_bytes);
        let catch_up = std::mem::take(&mut self.catch_up);
        let wait = if catch_up { Duration::ZERO } else { wait };
        let polled = if catch_up {
            self.catch_up_from = self.seen.saturating_mul(2);
            let poll = api.results(activity, &self.id, max_bytes);
            batch.patience.or_end(poll).await?.map(Polled::Results)
        } else {
            let poll = api.result(activity, &self.id, self.seen, wait, max_bytes);
            batch.patience.or_end(poll).await?
        };
        let news = match polled {
            Ok(Polled::Results(results)) => {
                batch.activity.watch().heard();
                let mut news = batch.news(results, self.seen)?;
                if !catch_up {
                    // Others come without their output.
                    news.truncate(1);
                }
                news
            }
            Ok(Polled::NotYet) => Vec::new(),
            Err(error) => {
                self.survive(asked, error).await?;
                return Ok(Vec::new());
            }
        };
        self.failures = 0;
        let pace = Pace::of(news.is_empty(), asked, wait);
        batch.patience.or_end(self.backoff.keep(pace)).await?;
        if let Some(last) = news.last() {
            self.seen += news.len();
            self.done = last.result != CommandOutcome::Ok || self.seen == batch.commands.len();
            // One that is asked for alone is always said to be the last.
            if last.is_batch_finished && !self.done && catch_up {
                return Err(batch.violation(format!(
                    "batch {} is said to be finished after {} of {} commands",
                    self.id,
                    self.seen,
                    batch.commands.len()
                )));
            }
            let ran = self.ended.replace(last.event_date);
            let ran = ran.map(|before| last.event_date.duration_since(before).unsigned_abs());
            self.catch_up = self.seen >= self.catch_up_from
                && ran.is_some_and(|ran| ran.saturating_mul(2) < asked.elapsed());
        }
        Ok(news)
    }

    /// Waits a failed poll out, or says why the batch cannot go on.
    async fn survive(&mut self, asked: Instant, error: ApiError) -> Result<(), BatchError> {
        let batch = &self.batch;
        let activity = batch.activity;
        if let ApiErrorKind::TooLarge { limit } = &*error.kind {
            return Err(BatchError::ResultTooLarge {
                activity_id: activity.id().clone(),
                limit: *limit,
            });
        }
        self.failures += 1;
        let fault = ActivityFault::of(&error);
        let answered = batch.patience.or_end(batch.look(fault)).await?;
        batch.lost()?;
        if fault == ActivityFault::Other {
            return Err(batch.api_error(error));
        }
        if !answered {
            let judged = activity.unanswered(asked, &error);
            if batch.patience.or_end(judged).await? == Unanswered::DaemonAway {
                self.failures = 0;
            }
        }
        if fault == ActivityFault::NoEndpoint && self.failures >= ENDPOINT_ATTEMPTS {
            activity.lose("its exe-unit is not on the daemon's bus");
        }
        batch.lost()?;
        batch.patience.or_end(self.backoff.pause()).await
    }
}

impl Patience<'_> {
    /// Runs `future` unless the script must be given up first.
    pub(crate) async fn or_end<T>(&self, future: impl Future<Output = T>) -> Result<T, BatchError> {
        let deadline = async {
            match self.deadline {
                Some((deadline, timeout)) => {
                    tokio::time::sleep_until(deadline).await;
                    timeout
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(BatchError::Cancelled),
            reason = self.activity.watch().lost() => Err(self.activity.lost_error(&reason)),
            done = future => Ok(done),
            timeout = deadline => Err(BatchError::Timeout {
                activity_id: self.activity.id().clone(),
                timeout,
            }),
        }
    }
}

impl Activity {
    fn lost_error(&self, cause: &Cause) -> BatchError {
        BatchError::ActivityLost {
            activity_id: self.id().clone(),
            provider_name: self.rental().provider_name.clone(),
            cause: cause.clone(),
        }
    }
}
