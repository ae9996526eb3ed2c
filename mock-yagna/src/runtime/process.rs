//! Real processes that stand for a deployed image: opt-in, and only where time is real.
//!
//! An activity has a root directory of its own with a copy of the image folder and empty volumes.
//! `/golem/…` in entry points, arguments and environment means that root, and the root's real path is
//! taken out of what a command prints, so that a program need not know where it lives; one that opens
//! absolute paths by itself finds the root in `GOLEM_ROOT`. Programs of the machine (`/bin/sh`) are
//! visible. This is not a sandbox: run images you trust.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::program::Stream;
use mock_yagna_shell::files::normalise;
use mock_yagna_shell::places::{VOLUMES, in_volume};

const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where programs of the machine are visible.
const HOST_DIRECTORIES: [&str; 4] = ["/bin/", "/sbin/", "/usr/", "/lib/"];
/// A command has ended when its process has; so long its pipes may stay silent before what is left
/// in them counts as read. A background process may hold them open for ever.
const DRAIN: Duration = Duration::from_millis(50);
/// Most that is read from the pipes after the process has ended.
const DRAIN_LIMIT: usize = 256 * 1024;
/// How long killed processes may take to disappear.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// Leader of the process group of all commands of an activity. As soon as its standard input closes
/// (when the activity ends, and also when the mock itself is killed) it kills every process that
/// carries the activity's root in its environment, in the group or not, until none is left; then the
/// group with itself, for systems that do not show environments.
const ANCHOR: &str = r#"cat >/dev/null
rounds=0
while [ $rounds -lt 100 ]; do
    found=$(grep -alsF "GOLEM_ROOT=$1" /proc/[0-9]*/environ 2>/dev/null)
    [ -n "$found" ] || break
    for at in $found; do
        at=${at#/proc/}
        kill -9 "${at%/environ}" 2>/dev/null
    done
    rounds=$((rounds + 1))
done
kill -9 0"#;

/// The processes and files of one activity; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    image: PathBuf,
    // Before `root`: fields drop in order, and processes should be gone before their directory.
    anchor: Mutex<Option<Child>>,
    root: TempDir,
    /// The root as the operating system spells it.
    path: PathBuf,
}

impl Processes {
    /// An empty root for an activity that deploys the folder `image`.
    pub(crate) fn new(image: &Path) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("mock-yagna-").tempdir()?;
        let path = root.path().canonicalize()?;
        for volume in VOLUMES {
            std::fs::create_dir_all(path.join(&volume[1..]))?;
        }
        let inner = Inner {
            image: image.to_owned(),
            anchor: Mutex::new(None),
            root,
            path,
        };
        Ok(Processes {
            inner: Arc::new(inner),
        })
    }

    fn root(&self) -> &Path {
        debug_assert!(self.inner.root.path().exists());
        &self.inner.path
    }

    /// Copies the image folder into the root.
    pub(crate) async fn deploy(&self) -> io::Result<()> {
        let mut left = vec![(self.inner.image.clone(), self.root().to_owned())];
        while let Some((from, to)) = left.pop() {
            tokio::fs::create_dir_all(&to).await?;
            let mut entries = tokio::fs::read_dir(&from).await?;
            while let Some(entry) = entries.next_entry().await? {
                let (source, target) = (entry.path(), to.join(entry.file_name()));
                let kind = entry.file_type().await?;
                if kind.is_dir() {
                    left.push((source, target));
                } else {
                    // A link is followed: the copy has no way out of the root.
                    tokio::fs::copy(&source, &target).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes the process group that commands join.
    pub(crate) fn start(&self) -> io::Result<()> {
        let anchor = Command::new("/bin/sh")
            .args(["-c", ANCHOR, "anchor"])
            .arg(self.root())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        *self.inner.anchor.lock() = Some(anchor);
        Ok(())
    }

    /// Runs one command to the end of its own process and hands over its output as it comes. The
    /// exit code is -1 when a signal ended it. Dropping the future leaves the process running until
    /// [`Processes::stop`].
    pub(crate) async fn run(
        &self,
        entry_point: &str,
        args: &[String],
        env: &BTreeMap<String, String>,
        mut output: impl FnMut(Stream, &[u8]),
    ) -> i32 {
        let mut fail = |code: i32, why: &str| {
            output(
                Stream::Stderr,
                format!("sh: 1: exec: {entry_point}: {why}\n").as_bytes(),
            );
            code
        };
        let group = self.inner.anchor.lock().as_ref().and_then(Child::id);
        let Some(group) = group.and_then(|id| i32::try_from(id).ok()) else {
            return fail(126, "the runtime is not started");
        };
        let Some(program) = self.program(entry_point) else {
            return fail(127, "not found");
        };
        let mut command = Command::new(program);
        command
            .args(args.iter().map(|arg| self.inward(arg)))
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", "/")
            .env("LANG", "C.UTF-8")
            .env("GOLEM_ROOT", self.root())
            .envs(env.iter().map(|(name, value)| (name, self.inward(value))))
            .current_dir(self.root().join("golem/work"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(group);
        let mut child = match spawn(&mut command).await {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => return fail(127, "not found"),
            Err(error) => return fail(126, &error.to_string()),
        };
        let mut out = Pump::new(child.stdout.take(), self.root());
        let mut err = Pump::new(child.stderr.take(), self.root());
        let mut code = None;
        let mut drained = 0;
        while code.is_none() || (out.is_open() || err.is_open()) && drained < DRAIN_LIMIT {
            tokio::select! {
                biased;
                read = out.read(), if out.is_open() => {
                    drained += if code.is_some() { read.len() } else { 0 };
                    output(Stream::Stdout, &read);
                }
                read = err.read(), if err.is_open() => {
                    drained += if code.is_some() { read.len() } else { 0 };
                    output(Stream::Stderr, &read);
                }
                status = child.wait(), if code.is_none() => {
                    code = Some(status.ok().and_then(|status| status.code()).unwrap_or(-1));
                }
                () = tokio::time::sleep(DRAIN), if code.is_some() => break,
            }
        }
        output(Stream::Stdout, &out.rest());
        output(Stream::Stderr, &err.rest());
        code.unwrap_or(-1)
    }

    /// Kills every process of the activity, those in the background too.
    pub(crate) async fn stop(&self) {
        let anchor = self.inner.anchor.lock().take();
        if let Some(mut anchor) = anchor {
            drop(anchor.stdin.take());
            if tokio::time::timeout(KILL_WAIT, anchor.wait())
                .await
                .is_err()
            {
                tracing::warn!(root = %self.root().display(), "processes are not gone in time");
            }
        }
    }

    /// The real path of a container path in one of the volumes.
    pub(crate) fn volume_path(&self, path: &str) -> Option<PathBuf> {
        let path = normalise(path);
        if !in_volume(&path) {
            return None;
        }
        let real = self.root().join(&path[1..]);
        // A link that a command made must not lead out of the root.
        let mut existing = real.as_path();
        while existing.symlink_metadata().is_err() {
            existing = existing.parent()?;
        }
        existing
            .canonicalize()
            .ok()?
            .starts_with(self.root())
            .then_some(real)
    }

    fn program(&self, entry_point: &str) -> Option<PathBuf> {
        if !entry_point.contains('/') {
            return (!entry_point.is_empty()).then(|| entry_point.into());
        }
        let path = if entry_point.starts_with('/') {
            normalise(entry_point)
        } else {
            normalise(&format!("/golem/work/{entry_point}"))
        };
        let own = self.root().join(&path[1..]);
        if own
            .canonicalize()
            .is_ok_and(|real| real.starts_with(self.root()))
        {
            return Some(own);
        }
        HOST_DIRECTORIES
            .iter()
            .any(|directory| path.starts_with(directory))
            .then(|| path.into())
    }

    /// Turns every `/golem/` at the beginning of a path into the real one.
    fn inward(&self, text: &str) -> String {
        const MARK: &str = "/golem/";
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(MARK) {
            let inside = rest[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/".contains(c));
            result.push_str(&rest[..at]);
            if !inside {
                result.push_str(&self.root().to_string_lossy());
            }
            result.push_str(MARK);
            rest = &rest[at + MARK.len()..];
        }
        result + rest
    }
}

/// A program that was just copied can be busy for a moment: a process forked meanwhile elsewhere
/// still holds the copy's file handle.
async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..50 {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
    command.spawn()
}

/// Reads one pipe and takes the root's path out of what it reads.
struct Pump<R> {
    pipe: Option<R>,
    root: Vec<u8>,
    held: Vec<u8>,
}

impl<R: tokio::io::AsyncRead + Unpin> Pump<R> {
    fn new(pipe: Option<R>, root: &Path) -> Self {
        Pump {
            pipe,
            root: root.as_os_str().as_encoded_bytes().to_vec(),
            held: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Cancel safe: nothing is taken from the pipe before it is kept.
    async fn read(&mut self) -> Vec<u8> {
        let Some(pipe) = &mut self.pipe else {
            return Vec::new();
        };
        self.held.reserve(16 * 1024);
        match pipe.read_buf(&mut self.held).await {
            Ok(0) | Err(_) => {
                self.pipe = None;
                Vec::new()
            }
            Ok(_) => self.outward(false),
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        self.outward(true)
    }

    /// What is held without the root's path; keeps back an end that may be the path's beginning.
    fn outward(&mut self, all: bool) -> Vec<u8> {
        let mut result = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if rest.starts_with(&self.root) {
                at += self.root.len();
            } else if !all && self.root.starts_with(rest) {
                break;
            } else {
                result.push(rest[0]);
                at += 1;
            }
        }
        self.held.drain(..at);
        result
    }
}

#[cfg(test)]
mod tests;
