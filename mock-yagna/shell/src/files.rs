//! The file system of one activity, in memory: absolute paths to bytes, directories implied.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use crate::places::{VOLUMES, in_volume};

/// Most bytes that the files of one activity may hold.
pub(crate) const CAPACITY: usize = 512 * 1024 * 1024;
/// Most files and directories of one activity.
const MOST_ENTRIES: usize = 100_000;
/// Permissions of a new file.
const NEW_FILE: u32 = 0o644;

/// Files of one activity. Every path is absolute or taken from the root; `.` and `..` are resolved,
/// so no path leaves it.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: BTreeMap<String, Bytes>,
    attributes: BTreeMap<String, Attributes>,
    /// Directories that exist though nothing may be in them.
    directories: BTreeSet<String>,
    /// Directories that `deploy` asked for: they count as volumes.
    volumes: BTreeSet<String>,
    /// Files of the image that were removed.
    hidden: BTreeSet<String>,
    size: usize,
    /// Changes of names and modes so far.
    changes: u64,
    /// When what is written now is written.
    clock: Timestamp,
}

/// What is known of a file besides its content.
#[derive(Clone, Copy, Debug)]
struct Attributes {
    mode: u32,
    modified: Timestamp,
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
        let known = self.files.get(&path);
        let size = self.size - known.map_or(0, Bytes::len) + content.len();
        if size > CAPACITY || (known.is_none() && self.files.len() >= MOST_ENTRIES) {
            return Err(FilesError::Full { path });
        }
        self.size = size;
        self.changes += u64::from(known.is_none());
        self.changed(&path);
        self.files.insert(path, content);
        Ok(())
    }

    fn changed(&mut self, path: &str) {
        let modified = self.clock;
        let new = Attributes {
            mode: NEW_FILE,
            modified,
        };
        self.attributes
            .entry(path.to_owned())
            .or_insert(new)
            .modified = modified;
    }

    /// From when on what is written is written.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.clock = now;
    }

    /// Permissions of a file, as `0o644`.
    pub fn mode(&self, path: &str) -> Option<u32> {
        self.attributes
            .get(&normalise(path))
            .map(|found| found.mode)
    }

    /// Changes the permissions of a file, if it is there.
    pub fn set_mode(&mut self, path: &str, mode: u32) {
        if let Some(found) = self.attributes.get_mut(&normalise(path)) {
            self.changes += u64::from(found.mode != mode);
            found.mode = mode;
        }
    }

    /// When a file was written last.
    pub fn modified(&self, path: &str) -> Option<Timestamp> {
        self.attributes
            .get(&normalise(path))
            .map(|found| found.modified)
    }

    /// Notes that a file which every image has was removed from this one.
    pub(crate) fn hide(&mut self, path: &str) {
        self.changes += u64::from(self.hidden.insert(normalise(path)));
    }

    /// Whether a file of the image was removed.
    pub(crate) fn is_hidden(&self, path: &str) -> bool {
        self.hidden.contains(path)
    }

    /// How often names or modes have changed: files made and removed, directories, permissions.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Bytes of all files.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Makes a directory that takes part in transfers.
    pub fn add_volume(&mut self, path: &str) {
        self.make_dir(path);
        self.volumes.insert(normalise(path));
    }

    /// Whether a path lies in a volume.
    pub fn in_volume(&self, path: &str) -> bool {
        let path = normalise(path);
        in_volume(&path)
            || self.volumes.iter().any(|volume| {
                path.strip_prefix(volume.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// Writes at the end of a file, which is made if it does not exist.
    ///
    /// # Errors
    /// As [`Files::write`].
    pub fn append(&mut self, path: &str, content: &[u8]) -> Result<(), FilesError> {
        let path = normalise(path);
        let Some(whole) = self.files.remove(&path) else {
            return self.write(&path, content.to_vec());
        };
        if self.size + content.len() > CAPACITY {
            self.files.insert(path.clone(), whole);
            return Err(FilesError::Full { path });
        }
        // In place unless somebody reads the file at the moment.
        let mut whole = whole
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        whole.extend_from_slice(content);
        self.size += content.len();
        self.changed(&path);
        self.files.insert(path, whole.freeze());
        Ok(())
    }

    /// Removes a file; `false` if there is none.
    pub fn remove(&mut self, path: &str) -> bool {
        let path = normalise(path);
        let removed = self.files.remove(&path);
        self.size -= removed.as_ref().map_or(0, Bytes::len);
        if removed.is_some() {
            self.changes += 1;
            self.attributes.remove(&path);
            self.keep_parent(&path);
        }
        removed.is_some()
    }

    /// The directory of what goes stays.
    fn keep_parent(&mut self, path: &str) {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !parent.is_empty() && parent != "/golem" {
            self.make_dir(parent);
        }
    }

    /// Makes a directory with its parents; nothing when there are too many.
    pub fn make_dir(&mut self, path: &str) {
        if self.directories.len() < MOST_ENTRIES {
            self.changes += u64::from(self.directories.insert(normalise(path)));
        }
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
        let fewer = before - self.directories.len();
        self.changes += u64::try_from(doomed.len() + fewer).unwrap_or(u64::MAX);
        let removed = self.remove(&path) || !doomed.is_empty() || fewer > 0;
        for file in doomed {
            let content = self.files.remove(&file);
            self.size -= content.as_ref().map_or(0, Bytes::len);
            self.attributes.remove(&file);
        }
        if removed {
            self.keep_parent(&path);
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
            || VOLUMES.contains(&path.as_str())
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
        let volumes = VOLUMES.iter().copied();
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
