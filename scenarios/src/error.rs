//! Why a rehearsal could not begin, or not be finished. Expectations that do not hold are not
//! errors: they are part of the report.

use std::io;
use std::path::PathBuf;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scenario file cannot be read.
    #[error("cannot read scenario file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Neither a scenario of the catalog nor a file.
    #[error("there is no scenario `{name}`, neither in the catalog nor as a file{hint}")]
    UnknownScenario {
        /// As asked for.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// The scenario file says something impossible.
    #[error("{file}:{line}:{column}: {message}")]
    Scenario {
        /// The file as the user named it.
        file: String,
        /// Line, from 1; 0 when the mistake has no place.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// The output folder cannot be used.
    #[error("output folder {path}: {reason}")]
    Output {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What cannot be done with it.
        reason: String,
    },
    /// What is to be merged is none, or does not belong together.
    #[error("report {path}: {reason}")]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The run came to its end, but what it told could not be written.
    #[error("cannot write {path}: {reason}; the run itself came to its end")]
    Unsaved {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
        /// The summary for people.
        summary: String,
        /// The report, as JSON.
        report: String,
    },
    /// The run hung, and was given up.
    #[error("the run was given up: {reason}; its journal until then is {journal}")]
    Stuck {
        /// How it hung.
        reason: String,
        /// The journal.
        journal: PathBuf,
    },
    /// The stage could not be set up.
    #[error("the {backend} stage cannot be set up: {reason}")]
    Stage {
        /// Which backend.
        backend: &'static str,
        /// What failed.
        reason: String,
    },
    /// The scenario ends its requestor before its time, which only `rehearse explore --replay` does.
    #[error(
        "{scenario} disturbs its requestor (`{point}`): run it with `rehearse explore --replay {file}`"
    )]
    Disturbed {
        /// Name of the scenario.
        scenario: String,
        /// What is done to the requestor.
        point: String,
        /// The file.
        file: String,
    },
    /// What is open cannot be found out.
    #[error("{reason}")]
    Doctor {
        /// What failed.
        reason: String,
    },
    /// What is offered cannot be found out.
    #[error("{reason}")]
    Offers {
        /// What failed.
        reason: String,
    },
    /// The scenario does not pass where nothing disturbs it.
    #[error("{scenario} cannot be swept: undisturbed it fails: {reason}")]
    Sweep {
        /// Name of the scenario.
        scenario: String,
        /// What does not hold.
        reason: String,
    },
}

#[cfg(feature = "files")]
impl Error {
    /// A mistake in this scenario file.
    pub(crate) fn mistake(file: &str, mistake: mock_yagna::network_file::Mistake) -> Error {
        Error::Scenario {
            file: file.to_owned(),
            line: mistake.line,
            column: mistake.column,
            message: mistake.message,
        }
    }
}
