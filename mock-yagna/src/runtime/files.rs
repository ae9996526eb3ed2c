//! The file system of one activity, in memory: absolute paths to bytes, directories implied.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// Most bytes that the files of one activity may hold.
const CAPACITY: usize = 512 * 1024 * 1024;

/// Files of one activity. Every path is absolute or taken from the root; `.` and `..` are resolved,
/// so no path leaves it.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: BTreeMap<String, Bytes>,
    /// Directories that exist though nothing may be in them.
    directories: BTreeSet<String>,
    size: usize,
}

/// A file was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The disk is full.
    #[error("{path}: No space left on device")]
    Full {
        /// What was written.
        path: String,
    },
    /// The path names a directory.
    #[error("{path}: Is a directory")]
    IsDirectory {
        /// What was written.
        path: String,
    },
}

/// Resolves `.`, `..` and double slashes; the answer begins with a slash and does not end with one
/// unless it is the root.
pub fn normalise(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Files {
    /// The content of a file.
    pub fn read(&self, path: &str) -> Option<Bytes> {
        self.files.get(&normalise(path)).cloned()
    }

    /// Writes a whole file, new or not; its directories need not exist.
    ///
    /// # Errors
    /// When the disk is full, or the path is a directory.
    pub fn write(&mut self, path: &str, content: impl Into<Bytes>) -> Result<(), FilesError> {
        let (path, content) = (normalise(path), content.into());
        if self.is_dir(&path) {
            return Err(FilesError::IsDirectory { path });
        }
        let size = self.size - self.files.get(&path).map_or(0, Bytes::len) + content.len();
        if size > CAPACITY {
            return Err(FilesError::Full { path });
        }
        self.size = size;
        self.files.insert(path, content);
        Ok(())
    }

    /// Writes at the end of a file, which is made if it does not exist.
    ///
    /// # Errors
    /// As [`Files::write`].
    pub fn append(&mut self, path: &str, content: &[u8]) -> Result<(), FilesError> {
        let mut whole = self.read(path).unwrap_or_default().to_vec();
        whole.extend_from_slice(content);
        self.write(path, whole)
    }

    /// Removes a file; `false` if there is none.
    pub fn remove(&mut self, path: &str) -> bool {
        let removed = self.files.remove(&normalise(path));
        self.size -= removed.as_ref().map_or(0, Bytes::len);
        removed.is_some()
    }

    /// Makes a directory with its parents.
    pub fn make_dir(&mut self, path: &str) {
        self.directories.insert(normalise(path));
    }

    /// Removes a file, or a directory with all that it has; `false` if there is neither.
    pub fn remove_all(&mut self, path: &str) -> bool {
        let path = normalise(path);
        let inside = if path == "/" {
            path.clone()
        } else {
            format!("{path}/")
        };
        let doomed = self.files.range(inside.clone()..).map(|(file, _)| file);
        let doomed: Vec<String> = doomed
            .take_while(|file| file.starts_with(&inside))
            .cloned()
            .collect();
        let before = self.directories.len();
        self.directories
            .retain(|dir| *dir != path && !dir.starts_with(&inside));
        let removed = self.remove(&path) || !doomed.is_empty() || self.directories.len() < before;
        for file in doomed {
            self.remove(&file);
        }
        removed
    }

    /// Whether a file has this path.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(&normalise(path))
    }

    /// Whether the path is a directory: the root, a volume, or the parent of something.
    pub fn is_dir(&self, path: &str) -> bool {
        let path = normalise(path);
        let inside = if path == "/" {
            path.clone()
        } else {
            format!("{path}/")
        };
        path == "/golem"
            || super::VOLUMES.contains(&path.as_str())
            || self
                .files
                .range(inside.clone()..)
                .next()
                .is_some_and(|(p, _)| p.starts_with(&inside))
            || self.directories.contains(&path)
            || self
                .directories
                .range(inside.clone()..)
                .next()
                .is_some_and(|p| p.starts_with(&inside))
            || path == "/"
    }

    /// Names of what lies directly in a directory, sorted.
    pub fn list(&self, directory: &str) -> Vec<String> {
        let directory = normalise(directory);
        let inside = if directory == "/" {
            directory
        } else {
            format!("{directory}/")
        };
        let volumes = super::VOLUMES.iter().copied();
        let paths = self
            .files
            .range(inside.clone()..)
            .map(|(path, _)| path.as_str());
        let made = self.directories.range(inside.clone()..).map(String::as_str);
        let paths = paths
            .take_while(|path| path.starts_with(&inside))
            .chain(volumes);
        let paths = paths.chain(made.take_while(|path| path.starts_with(&inside)));
        let mut names: Vec<String> = paths
            .filter_map(|path| path.strip_prefix(&inside)?.split('/').next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_root() {
        for path in [
            "/../../etc/passwd",
            "etc//passwd",
            "/golem/../etc/./passwd/",
        ] {
            assert_eq!(normalise(path), "/etc/passwd");
        }
        assert_eq!(normalise("/.."), "/");
    }

    #[test]
    fn a_directory_is_not_overwritten_by_a_file() {
        let mut files = Files::default();
        assert_eq!(files.write("/golem/work/a", "1"), Ok(()));
        for path in ["/golem/work", "/golem", "/"] {
            assert!(
                matches!(files.write(path, ""), Err(FilesError::IsDirectory { .. })),
                "{path}"
            );
        }
        assert_eq!(files.list("/golem/work"), ["a"]);
        assert_eq!(files.list("/"), ["golem"]);
    }

    #[test]
    fn the_disk_is_finite_and_freed_by_removal() {
        let mut files = Files::default();
        assert_eq!(files.write("/a", vec![0; CAPACITY]), Ok(()));
        assert!(matches!(
            files.append("/b", b"x"),
            Err(FilesError::Full { .. })
        ));
        assert!(files.remove("/a"));
        assert_eq!(files.append("/b", b"x"), Ok(()));
    }
}
