//! Files by their names: where a journal is, what lies beside it, and whether it is still the same.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::schema::storage;

/// The path with something appended to its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Whether there is anything by this name, be it a link to nowhere.
pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// New files are for their owner only: a journal tells what was rented and paid.
pub(super) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// The file's one name, so that two names of it share one lock. Makes the folders.
pub(super) fn place(path: &Path) -> Result<PathBuf, JournalError> {
    let failed = |error: io::Error| storage("opened", format!("{}: {error}", path.display()));
    if let Ok(path) = fs::canonicalize(path) {
        return Ok(path);
    }
    let Some(name) = path.file_name() else {
        return Err(storage(
            "opened",
            format!("{} names no file", path.display()),
        ));
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed)?;
    Ok(fs::canonicalize(folder).map_err(failed)?.join(name))
}

/// So that a new file is still there after power loss; a folder that cannot be synced is none we
/// could do better in.
pub(super) fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent().and_then(|folder| fs::File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
}

/// Tells the file we opened from another one by its name: SQLite would go on writing into a file
/// that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(path: &Path) -> Result<Self, JournalError> {
        let metadata = fs::metadata(path).map_err(|error| {
            let advice = "stop this engine and start it anew";
            storage("written", format!("its file is gone ({error}); {advice}"))
        })?;
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            Identity(metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let identity = {
            let _ = metadata;
            Identity(0, 0)
        };
        Ok(identity)
    }

    pub(super) fn check(self, path: &Path) -> Result<(), JournalError> {
        if Identity::of(path)? == self {
            return Ok(());
        }
        let reason = "its file was replaced while in use; stop this engine and start it anew";
        Err(storage("written", reason))
    }
}
