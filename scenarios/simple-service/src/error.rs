//! What can go wrong in the service.

use std::{io, path::PathBuf};

/// A failure of the service. Sources hold the details of the database and the operating system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database file could not be opened or is none.
    #[error("cannot open the database {}; is its directory writable?", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A statement failed.
    #[error("the database refused a statement")]
    Database(#[from] rusqlite::Error),
    /// A value that is not a number, or infinite, has no place in statistics.
    #[error("{0} is not a finite number")]
    NotFinite(f64),
    /// A time outside of the years that timestamps cover.
    #[error("{0} microseconds since 1970 is no valid time")]
    Time(i64),
    /// The plot could not be drawn.
    #[error("cannot draw the plot: {0}")]
    Drawing(String),
    /// A file or process of the executables.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something other than the daemon holds its lock, and nothing is ended on a guess.
    #[error(
        "{} is locked, but names no running process of this daemon; end it by hand",
        path.display()
    )]
    Foreign {
        /// The process id file.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn drawing(error: impl std::fmt::Display) -> Error {
        Error::Drawing(error.to_string())
    }
}
