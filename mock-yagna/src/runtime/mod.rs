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

/// The process id of a running `nginx`.
pub(crate) const NGINX_PID: &str = "/run/nginx.pid";
/// The process id of a running `sshd`.
pub(crate) const SSHD_PID: &str = "/run/sshd.pid";
/// How the simulated `sshd` names itself.
pub(crate) const SSHD_VERSION: &str = "SSH-2.0-OpenSSH_9.9";
/// Logs of `nginx`: of requests, and of errors.
pub(crate) const WEB_LOGS: [&str; 2] = ["/var/log/nginx/access.log", "/var/log/nginx/error.log"];

/// Whether a normalised absolute path lies in a volume.
pub(crate) fn in_volume(path: &str) -> bool {
    VOLUMES.iter().any(|volume| {
        path.strip_prefix(volume)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
