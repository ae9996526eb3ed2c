//! The programs that every machine has: their names and their places. What they do: `programs`.

/// Names of the programs, and of the shell under its own.
pub(crate) const NAMES: &[&str] = &[
    "[",
    "arch",
    "ash",
    "base64",
    "basename",
    "bash",
    "cat",
    "chmod",
    "chown",
    "cksum",
    "cp",
    "curl",
    "cut",
    "dash",
    "date",
    "dd",
    "df",
    "dirname",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "free",
    "grep",
    "groups",
    "head",
    "hostname",
    "id",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "nc",
    "nice",
    "nl",
    "nohup",
    "nproc",
    "passwd",
    "ping",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rev",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sort",
    "ssh-keygen",
    "stat",
    "sync",
    "tac",
    "tail",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "uname",
    "uniq",
    "uptime",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "yes",
];

/// Names of the programs that only root has.
pub(crate) const SYSTEM: &[&str] = &["chpasswd", "nginx", "sshd", "syslogd"];

/// What images of web servers run before their daemon.
pub(crate) const ENTRY_POINT: &str = "/docker-entrypoint.sh";

/// Where programs are found, and which.
pub(crate) const DIRECTORIES: [(&str, &[&str]); 4] = [
    ("/bin/", NAMES),
    ("/usr/bin/", NAMES),
    ("/sbin/", SYSTEM),
    ("/usr/sbin/", SYSTEM),
];

/// The name of the machine's own program that an absolute path means.
pub(crate) fn program_of(path: &str) -> Option<&str> {
    if path == ENTRY_POINT {
        return Some(path);
    }
    let mut directories = DIRECTORIES.iter();
    directories.find_map(|(directory, programs)| {
        let name = path.strip_prefix(directory)?;
        programs.contains(&name).then_some(name)
    })
}
