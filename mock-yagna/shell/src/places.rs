//! Paths that simulated machines and the network around them know alike.

/// Directories of an activity that outlive a command and take part in transfers: the usual ones, and
/// the two of Golem's tutorial image.
pub const VOLUMES: [&str; 6] = [
    "/golem/in",
    "/golem/input",
    "/golem/out",
    "/golem/output",
    "/golem/resource",
    "/golem/work",
];

/// The process id of a running `nginx`.
pub const NGINX_PID: &str = "/run/nginx.pid";
/// The process id of a running `sshd`.
pub const SSHD_PID: &str = "/run/sshd.pid";
/// How the simulated `sshd` names itself.
pub const SSHD_VERSION: &str = "SSH-2.0-OpenSSH_9.9";
/// Logs of `nginx`: of requests, and of errors.
pub const WEB_LOGS: [&str; 2] = ["/var/log/nginx/access.log", "/var/log/nginx/error.log"];

/// Whether a normalised absolute path lies in a volume.
pub fn in_volume(path: &str) -> bool {
    VOLUMES.iter().any(|volume| {
        path.strip_prefix(volume)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
