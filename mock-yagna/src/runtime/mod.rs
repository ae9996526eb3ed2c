//! What runs on a simulated provider once an image is deployed.
//!
//! Owns: the kinds of runtime and the files of an activity. Does not own: when commands are allowed
//! and how their results look (`activity`), moving files in and out (`activity::transfer`).

pub mod files;
pub(crate) mod process;
pub mod program;
pub mod scripted;
pub mod shell;

/// Directories of an activity that outlive a command and take part in transfers: the usual ones, and
/// the two of Golem's tutorial image.
pub(crate) const VOLUMES: [&str; 6] = [
    "/golem/in",
    "/golem/input",
    "/golem/out",
    "/golem/output",
    "/golem/resource",
    "/golem/work",
];

/// Whether a normalised absolute path lies in a volume.
pub(crate) fn in_volume(path: &str) -> bool {
    VOLUMES.iter().any(|volume| {
        path.strip_prefix(volume)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
