//! A logger for programs that have none, in one line. Owns: where messages of `tracing` go then, and which. Does not
//! own: the messages; a program that installs a subscriber of its own needs nothing of this.
//!
//! ```no_run
//! # fn main() -> Result<(), golem_engine::log::LogError> {
//! golem_engine::log::init()?;
//! # Ok(())
//! # }
//! ```
//!
//! | | shown |
//! |---|---|
//! | on standard error | `INFO` and above, or what `RUST_LOG` says |
//! | in a [file](DefaultLogger::file) | `DEBUG` of the engine, `INFO` of all else |
//! | requests to the daemon | those of the APIs that are [asked for](DefaultLogger::requests), at `DEBUG` |
//!
//! `RUST_LOG` is a list of targets and levels: `warn,golem_engine=debug`. The targets of the engine are its modules;
//! besides these `golem_engine::summary` is what [`SummaryLogger::speaking`](crate::SummaryLogger::speaking) says, and
//! `golem_engine::rest::market`, `…::payment`, `…::activity`, `…::net`, `…::gsb` and `…::daemon` are the requests to the
//! daemon: a line for each answer at `DEBUG`, bodies at `TRACE`. The app key is shown nowhere.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, Registry};

use crate::api::target;

/// Why there is no logger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// `RUST_LOG` is no list of targets and levels.
    #[error("RUST_LOG=`{text}`: {reason}; it is a list such as `warn,golem_engine=debug`")]
    Filter {
        /// As given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("the log {path} cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program has a logger already.
    #[error("the program has a logger already: install one only, first of all")]
    Taken(#[source] TryInitError),
}

/// An API of the daemon, by the requests of which it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RestApi {
    /// `golem_engine::rest::market`.
    Market,
    /// `golem_engine::rest::payment`.
    Payment,
    /// `golem_engine::rest::activity`.
    Activity,
    /// `golem_engine::rest::net`.
    Net,
    /// `golem_engine::rest::gsb`.
    Gsb,
    /// `golem_engine::rest::daemon`.
    Daemon,
}

impl RestApi {
    /// The target of its messages.
    pub fn target(self) -> &'static str {
        match self {
            RestApi::Market => target::MARKET,
            RestApi::Payment => target::PAYMENT,
            RestApi::Activity => target::ACTIVITY,
            RestApi::Net => target::NET,
            RestApi::Gsb => target::GSB,
            RestApi::Daemon => target::DAEMON,
        }
    }
}

impl fmt::Display for RestApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.target())
    }
}

/// Sets a logger up; see the [module](self).
///
/// ```no_run
/// use golem_engine::log::{DefaultLogger, RestApi};
///
/// # fn main() -> Result<(), golem_engine::log::LogError> {
/// DefaultLogger::new()
///     .file("golem.log")
///     .requests(RestApi::Market)
///     .init()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is logged before `init()`"]
pub struct DefaultLogger {
    file: Option<PathBuf>,
    requests: Vec<RestApi>,
    filter: Option<String>,
}

/// Installs the default logger.
///
/// # Errors
/// [`LogError`].
pub fn init() -> Result<(), LogError> {
    DefaultLogger::new().init()
}

impl DefaultLogger {
    /// One that writes to standard error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes to a file as well, behind what is there.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Shows the requests to an API of the daemon, too; may be called again for others.
    pub fn requests(mut self, api: RestApi) -> Self {
        self.requests.push(api);
        self
    }

    /// What is shown on standard error, instead of `RUST_LOG`.
    pub fn filter(mut self, targets: impl Into<String>) -> Self {
        self.filter = Some(targets.into());
        self
    }

    /// Installs it, for the whole program. Messages of the crate `log` are taken as well.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn init(self) -> Result<(), LogError> {
        let said = self
            .filter
            .clone()
            .or_else(|| std::env::var("RUST_LOG").ok());
        let shown = self.shown(said.as_deref())?;
        let kept = self.kept();
        let file = match self.file {
            Some(path) => {
                let opened = File::options().append(true).create(true).open(&path);
                Some(opened.map_err(|source| LogError::File { path, source })?)
            }
            None => None,
        };
        let on_screen = tracing_subscriber::fmt::layer::<Registry>()
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .with_filter(shown);
        let in_file = file.map(|file| {
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(Arc::new(file))
                .with_filter(kept)
        });
        let subscriber = tracing_subscriber::registry().with(on_screen).with(in_file);
        subscriber.try_init().map_err(LogError::Taken)
    }

    fn shown(&self, said: Option<&str>) -> Result<Targets, LogError> {
        let targets = match said.map(str::trim).filter(|said| !said.is_empty()) {
            Some(text) => {
                text.parse()
                    .map_err(
                        |error: tracing_subscriber::filter::ParseError| LogError::Filter {
                            text: text.to_owned(),
                            reason: error.to_string(),
                        },
                    )?
            }
            None => Targets::new().with_default(LevelFilter::INFO),
        };
        Ok(self.with_requests(targets))
    }

    fn kept(&self) -> Targets {
        let targets = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("golem_engine", LevelFilter::DEBUG)
            .with_target(target::ALL, LevelFilter::INFO);
        self.with_requests(targets)
    }

    fn with_requests(&self, targets: Targets) -> Targets {
        let requests = self.requests.iter();
        requests.fold(targets, |targets, api| {
            targets.with_target(api.target(), LevelFilter::DEBUG)
        })
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_is_shown_is_what_was_asked_for() {
        let logger = DefaultLogger::new().requests(RestApi::Market);
        let shown = logger.shown(None).expect("targets");
        assert!(shown.would_enable("golem_engine::market", &Level::INFO));
        assert!(!shown.would_enable("golem_engine::market", &Level::DEBUG));
        assert!(shown.would_enable(RestApi::Market.target(), &Level::DEBUG));
        assert!(!shown.would_enable(RestApi::Net.target(), &Level::DEBUG));
        let kept = logger.kept();
        assert!(kept.would_enable("golem_engine::market", &Level::DEBUG));
        assert!(kept.would_enable(RestApi::Market.target(), &Level::DEBUG));
        assert!(!kept.would_enable(RestApi::Net.target(), &Level::DEBUG));
        let said = "warn,golem_engine::rest::payment=trace";
        let shown = DefaultLogger::new().shown(Some(said)).expect("targets");
        assert!(shown.would_enable(RestApi::Payment.target(), &Level::TRACE));
        assert!(!shown.would_enable("golem_engine::market", &Level::INFO));
    }

    #[test]
    fn a_filter_that_is_none_and_a_file_that_cannot_be_written_are_refused_by_name() {
        let refused = DefaultLogger::new().shown(Some("golem_engine=loud"));
        let words = refused.expect_err("no level").to_string();
        assert!(words.contains("golem_engine=loud"), "{words}");
        let nowhere = std::path::Path::new("no/such/folder/golem.log");
        let refused = DefaultLogger::new().filter("info").file(nowhere).init();
        assert!(
            matches!(&refused, Err(LogError::File { path, .. }) if path == nowhere),
            "{refused:?}"
        );
    }
}
