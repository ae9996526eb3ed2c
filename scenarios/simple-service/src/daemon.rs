//! Starting and stopping the background process that observes. Owns its process id file.
//!
//! # Flow
//! The file is the daemon's standard input, with an exclusive lock that belongs to the open file
//! and so to the daemon: it is taken before the daemon starts and released by the system when it
//! ends, however that happens. Locked means running; no process id is trusted on its own.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;

/// How often, and with which pause, a locked file without a process id is read again: another
/// process is just starting the daemon.
const STARTING: (u32, Duration) = (200, Duration::from_millis(10));

/// What became of a request to start or stop. Asking for what is already so is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The daemon runs now.
    Started,
    /// It ran before.
    AlreadyRunning,
    /// It has ended.
    Stopped,
    /// There was none.
    NotRunning,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Started => "simulate_observations started",
            Outcome::AlreadyRunning => "simulate_observations is already running",
            Outcome::Stopped => "simulate_observations stopped",
            Outcome::NotRunning => "simulate_observations is not running",
        })
    }
}

/// Starts `program` in the background, with none of this process's standard streams, so that
/// whoever waits for their end waits for this process only. It stays in the process group, by
/// which a runtime can end whatever an activity left running; a terminal does not end it, because
/// a shell gives each command line a group of its own.
///
/// # Errors
/// [`Error::Io`] naming the process id file or the program.
pub fn start(id_file: &Path, program: &Path) -> Result<Outcome, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(id_file)
        .map_err(Error::io("open", id_file))?;
    if !lock(&file, id_file)? {
        return Ok(Outcome::AlreadyRunning);
    }
    file.set_len(0).map_err(Error::io("write", id_file))?;
    let daemons = file.try_clone().map_err(Error::io("open", id_file))?;
    let child = Command::new(program)
        .stdin(daemons)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("run", program))?;
    file.write_all_at(format!("{}\n", child.id()).as_bytes(), 0)
        .map_err(Error::io("write", id_file))?;
    Ok(Outcome::Started)
}

/// Ends the daemon, and nothing else; returns when it is gone.
///
/// # Errors
/// [`Error::Io`] naming the process id file, [`Error::Foreign`] when the lock is not the daemon's.
pub fn stop(id_file: &Path) -> Result<Outcome, Error> {
    let file = match OpenOptions::new().read(true).write(true).open(id_file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::NotRunning),
        Err(error) => return Err(Error::io("open", id_file)(error)),
    };
    let (mut tries, pause) = STARTING;
    while !lock(&file, id_file)? {
        if let Some(daemon) = process_id(&file, id_file)? {
            if !has_as_input(daemon, &file) {
                return Err(Error::Foreign {
                    path: id_file.to_owned(),
                });
            }
            // It has nothing to tidy up, and this signal reaches a suspended process, too.
            kill_process(daemon, Signal::KILL)
                .map_err(|error| Error::io("end the process of", id_file)(error.into()))?;
            file.lock().map_err(Error::io("lock", id_file))?;
            file.set_len(0).map_err(Error::io("write", id_file))?;
            return Ok(Outcome::Stopped);
        }
        tries = match tries.checked_sub(1) {
            Some(left) => left,
            None => {
                return Err(Error::Foreign {
                    path: id_file.to_owned(),
                });
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a process of its own, in real time"
        )]
        std::thread::sleep(pause);
    }
    Ok(Outcome::NotRunning)
}

/// Takes the lock; false when another process has it.
fn lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

fn process_id(file: &File, path: &Path) -> Result<Option<Pid>, Error> {
    let mut text = [0; 16];
    let length = file
        .read_at(&mut text, 0)
        .map_err(Error::io("read", path))?;
    // Without the line's end it may be half a number.
    let line = std::str::from_utf8(&text[..length])
        .ok()
        .and_then(|text| text.strip_suffix('\n'));
    // Neither 0 nor 1 nor below: those mean groups, the system's first process, or everybody.
    let number = line
        .and_then(|line| line.parse().ok())
        .filter(|number: &i32| *number > 1);
    Ok(number.and_then(Pid::from_raw))
}

/// Whether the process's standard input is this very file. Where there is no /proc to ask, the
/// lock has to do.
fn has_as_input(process: Pid, file: &File) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let input = std::fs::metadata(format!("/proc/{}/fd/0", process.as_raw_nonzero()));
    match (input, file.metadata()) {
        (Ok(input), Ok(file)) => identity(input) == identity(file),
        _ => !Path::new("/proc/self/fd").is_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_what_never_ran_is_no_failure() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let stopped = stop(&directory.path().join("daemon.pid")).expect("no failure");
        assert_eq!(stopped, Outcome::NotRunning);
    }

    #[test]
    fn a_stale_process_id_is_not_trusted() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("daemon.pid");
        std::fs::write(&path, format!("{}\n", std::process::id())).expect("a file");
        assert_eq!(stop(&path).expect("no failure"), Outcome::NotRunning);
    }

    #[test]
    fn a_process_that_does_not_hold_the_file_is_not_ended() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("daemon.pid");
        std::fs::write(&path, format!("{}\n", std::process::id())).expect("a file");
        let other = File::open(&path).expect("the file");
        other.lock().expect("the lock");
        assert!(matches!(stop(&path), Err(Error::Foreign { .. })));
    }

    #[test]
    fn a_program_that_does_not_exist_leaves_nothing_locked() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("daemon.pid");
        assert!(start(&path, &directory.path().join("missing")).is_err());
        assert_eq!(stop(&path).expect("no failure"), Outcome::NotRunning);
    }
}
