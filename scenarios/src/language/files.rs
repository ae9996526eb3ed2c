//! The scenario files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Deepest folder, and most files, that are looked at.
const DEEPEST: usize = 32;
const MOST: usize = 10_000;

/// Whether a path is called as scenario files are.
pub(crate) fn is_scenario(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// The scenario files below a folder, in folders below it as well, by name. Files and folders whose names begin
/// with `_` or `.` are none: parts that other files build on.
///
/// # Errors
/// When the folder, or one below it, cannot be read, or holds too much.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((current, depth)) = folders.pop() {
        let failed = |source| Error::Unreadable {
            path: current.clone(),
            source,
        };
        for entry in fs::read_dir(&current).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (name, path) = (entry.file_name(), entry.path());
            if name.to_string_lossy().starts_with(['_', '.']) {
                continue;
            }
            if path.is_dir() && depth < DEEPEST {
                folders.push((path, depth + 1));
            } else if is_scenario(&path) {
                found.push(path);
            }
            if found.len() > MOST {
                let message = format!("it holds more than {MOST} scenario files");
                return Err(failed(std::io::Error::other(message)));
            }
        }
    }
    found.sort();
    Ok(found)
}
