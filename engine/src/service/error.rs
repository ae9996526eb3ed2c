//! Errors of handlers and workers, and of clusters.

use std::any::Any;
use std::fmt;
use std::io;
use std::time::Duration;

use super::{Instance, ServiceState};
use crate::activity::Activity;
use crate::cause::{Cause, causes};
use crate::model::InstanceId;
use crate::network::NetworkError;
use crate::script::{ScriptError, TransferError};
use crate::transport::BoxError;

/// Why a handler or a worker failed. Whatever turns into a boxed error turns into one by `?`: errors of
/// the engine, of the standard library and of one's own, boxed ones, `anyhow::Error`, and plain words
/// (`"…"`, `String`).
///
/// ```
/// use golem_engine::service::HandlerError;
///
/// fn first_line(text: &str) -> Result<&str, HandlerError> {
///     Ok(text.lines().next().ok_or("no line came")?)
/// }
/// # assert_eq!(first_line("").expect_err("none").to_string(), "no line came");
/// ```
pub struct HandlerError {
    source: BoxError,
    again: Again,
}

/// What may follow a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It is tried again on another machine; this one is given back.
    Elsewhere,
    /// It is tried again; the machine is as good as before.
    Anywhere,
    /// It is not tried again.
    Never,
}

impl HandlerError {
    /// A failure in words. The machine is to blame: it is given back, and another one is tried.
    pub fn msg(message: impl fmt::Display) -> Self {
        HandlerError {
            source: message.to_string().into(),
            again: Again::Elsewhere,
        }
    }

    /// A failure that another provider would not change: a task or a `start` that fails with it is not
    /// tried again.
    pub fn reject(reason: impl fmt::Display) -> Self {
        Self::reject_result(reason, false)
    }

    /// A result that is not good enough, from a machine that is: it is kept for other tasks. With
    /// `retry` the task is tried again, on another provider if there is one, and counts one more
    /// attempt; without, it ends as [`Rejected`](crate::task::TaskFailure::Rejected). A handler of a
    /// service has no other task to keep its machine for: there it is [`msg`](Self::msg) with `retry`
    /// and [`reject`](Self::reject) without.
    pub fn reject_result(reason: impl fmt::Display, retry: bool) -> Self {
        HandlerError {
            again: if retry { Again::Anywhere } else { Again::Never },
            ..Self::msg(reason)
        }
    }

    /// A typed reason to try again that says nothing against the machine.
    pub(crate) fn of_good_machine(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        HandlerError {
            source: Box::new(source),
            again: Again::Anywhere,
        }
    }

    /// Whether trying again, elsewhere, may help. It does not after [`reject`](Self::reject), nor when
    /// the cause lies on this computer: a local file that is missing or cannot be written.
    pub fn is_retryable(&self) -> bool {
        self.again != Again::Never
    }

    /// Whether the machine is still good for other tasks: after [`reject_result`](Self::reject_result)
    /// and [`reject`](Self::reject), and when the cause lies on this computer.
    pub fn keeps_machine(&self) -> bool {
        self.again != Again::Elsewhere
    }

    /// The error, with a hint at what may be behind a time limit that was over.
    pub(crate) fn told(self, activity: &Activity) -> Cause {
        let hint = if self.is_timeout() {
            activity.hint()
        } else {
            ""
        };
        self.into_cause().with_hint(hint)
    }

    /// The error, to be shared.
    pub(crate) fn into_cause(self) -> Cause {
        Cause::new(self.source)
    }

    /// Whether it is, or was caused by, a time limit of the user's own: one of tokio, or of a client of
    /// something other than the daemon.
    fn is_timeout(&self) -> bool {
        if self.script_error().is_some() {
            return false;
        }
        // Clients have types of their own for it, and programs often pass on the words only.
        causes(&*self.source).any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            let words = cause.to_string();
            io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
                || words.contains("deadline has elapsed")
                || words.contains("timed out")
        })
    }

    /// The script's error, if it is one or was caused by one.
    pub fn script_error(&self) -> Option<&ScriptError> {
        self.find()
    }

    /// The first error of a type among the error and its causes.
    pub fn find<E: std::error::Error + 'static>(&self) -> Option<&E> {
        causes(&*self.source).find_map(|cause| cause.downcast_ref())
    }

    /// The error itself.
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: Into<BoxError> + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let source = boxed(error);
        let own = is_own(&*source);
        HandlerError {
            source,
            again: if own { Again::Never } else { Again::Elsewhere },
        }
    }
}

/// The error as it is. `anyhow` hides the type of what it holds when it is boxed the usual way.
fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    let mut error = Some(error);
    let any: &mut dyn Any = &mut error;
    match any
        .downcast_mut::<Option<anyhow::Error>>()
        .map(Option::take)
    {
        Some(Some(error)) => error.reallocate_into_boxed_dyn_error_without_backtrace(),
        _ => error.map_or_else(|| "no error".into(), Into::into),
    }
}

/// Whether an error, or a cause of it, is of this computer or of the program, so that no provider can
/// do better.
fn is_own(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| {
        let script = cause.downcast_ref::<ScriptError>();
        let transfer = cause.downcast_ref::<TransferError>();
        let io = cause.downcast_ref::<io::Error>();
        script.is_some_and(ScriptError::is_own)
            || transfer.is_some_and(TransferError::is_own)
            // The system said it of a file; words of a program's own may be about anything.
            || io.is_some_and(|error| error.raw_os_error().is_some() && is_about_files(error.kind()))
    })
}

fn is_about_files(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::DirectoryNotEmpty
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
            | Kind::FileTooLarge
            | Kind::InvalidFilename
    )
}

/// The error and its causes in one line.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::cause::chain(&*self.source))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// What a cluster cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Not all instances are running.
    #[error("not all instances run after {timeout:?}: {instances}")]
    NotRunning {
        /// How long it was waited for.
        timeout: Duration,
        /// Each instance and its state.
        instances: String,
    },
    /// An instance ended before all were running.
    #[error("an instance ended before all were running: {instances}")]
    Ended {
        /// Each instance and its state.
        instances: String,
    },
    /// No such instance.
    #[error("the cluster has no instance `{id}`; it has: {known}")]
    UnknownInstance {
        /// As given.
        id: InstanceId,
        /// Ids of all instances.
        known: String,
    },
    /// The instance is stopping or has ended: it neither rests nor goes on.
    #[error("instance {id} is {state}: it neither rests nor goes on any more")]
    Ending {
        /// Which.
        id: InstanceId,
        /// Where it is in its life.
        state: ServiceState,
    },
    /// The address of an instance cannot be had.
    #[error("an instance cannot have the address that is wanted for it")]
    Network {
        /// Why; [`Cause::find`] tells the [`NetworkError`](crate::network::NetworkError).
        #[source]
        cause: Cause,
    },
    /// The cluster was stopped.
    #[error("the cluster is stopped; start a new one")]
    Stopped,
}

impl From<NetworkError> for ClusterError {
    fn from(error: NetworkError) -> Self {
        let cause = Cause::new(error);
        ClusterError::Network { cause }
    }
}

/// Where each instance stands, in words.
pub(super) fn describe(instances: &[Instance]) -> String {
    let mut text = String::new();
    for instance in instances {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&format!("{} is {}", instance.name, instance.state));
        if let Some(failure) = &instance.failure {
            text.push_str(&format!(" ({failure:#})"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use anyhow::Context;
    use golem_wire::ActivityId;

    use super::*;

    fn timed_out() -> ScriptError {
        ScriptError::Timeout {
            activity_id: ActivityId::new("a1"),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn any_error_and_plain_words_turn_into_a_handlers_error() {
        fn of_words() -> Result<(), HandlerError> {
            Err("words")?
        }
        fn of_text() -> Result<(), HandlerError> {
            Err(String::from("text"))?
        }
        fn of_box() -> Result<(), HandlerError> {
            Err::<(), Box<dyn Error + Send + Sync>>("boxed".into())?;
            Ok(())
        }
        fn of_anyhow() -> Result<(), HandlerError> {
            Err(anyhow::anyhow!("cause")).context("anyhow")?
        }
        fn of_number() -> Result<(), HandlerError> {
            "x".parse::<u8>()?;
            Ok(())
        }
        for (failed, words) in [
            (of_words(), "words"),
            (of_text(), "text"),
            (of_box(), "boxed"),
            (of_anyhow(), "anyhow: cause"),
            (of_number(), "invalid digit found in string"),
        ] {
            let error = failed.expect_err("it fails");
            assert_eq!(error.to_string(), words);
            assert!(error.is_retryable() && !error.keeps_machine());
        }
    }

    #[test]
    fn the_scripts_error_is_found_behind_what_was_said_about_it() {
        let plain = HandlerError::from(timed_out());
        let in_anyhow = HandlerError::from(anyhow::Error::from(timed_out()));
        let with_words: HandlerError = Err::<(), _>(timed_out())
            .context("asking for the date")
            .context("round 7")
            .expect_err("it failed")
            .into();
        let boxed: BoxError = timed_out().into();
        for error in [plain, in_anyhow, with_words, boxed.into()] {
            let script = error.script_error();
            assert!(
                matches!(script, Some(ScriptError::Timeout { .. })),
                "{error:?}"
            );
        }
        assert!(HandlerError::msg("words").script_error().is_none());
    }

    #[test]
    fn a_missing_local_file_is_nobodys_fault_elsewhere_also_inside_anyhow() {
        let missing = || std::fs::read("/no/such/file").expect_err("missing");
        let plain = HandlerError::from(missing());
        let in_anyhow = HandlerError::from(anyhow::Error::from(missing()).context("the scene"));
        for error in [plain, in_anyhow] {
            assert!(!error.is_retryable() && error.keeps_machine(), "{error}");
        }
    }

    #[test]
    fn a_rejected_result_keeps_the_machine_and_says_whether_to_try_again() {
        let again = HandlerError::reject_result("blurred", true);
        assert!(again.is_retryable() && again.keeps_machine());
        let never = HandlerError::reject_result("empty", false);
        assert!(!never.is_retryable() && never.keeps_machine());
    }

    #[test]
    fn files_of_this_computer_are_the_users_own_and_a_programs_words_for_something_missing_are_not()
    {
        let missing = std::fs::read("/no/such/file").expect_err("missing");
        assert!(!HandlerError::from(missing).is_retryable());
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
            let said = io::Error::new(kind, "the peer has no such key");
            assert!(HandlerError::from(said).is_retryable(), "{kind}");
        }
    }
}
