//! One process at a time: a file beside the journal that its engine holds locked. The operating
//! system lets go of it when the process dies, so a leftover file never blocks anybody.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::JournalError;

/// Attempts before a lock counts as held: whoever only looks at it has it for microseconds.
const ATTEMPTS: usize = 20;

/// Longest note of a holder that is repeated.
const NOTE: u64 = 200;

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough while a process that is just being started has a copy of the handle.
        let _ = self.0.unlock();
    }
}

/// The lock's path for a journal.
pub(super) fn lock_path(journal: &Path) -> PathBuf {
    super::file::beside(journal, ".lock")
}

impl Lock {
    /// Takes the lock of `journal` and notes who holds it since when.
    ///
    /// # Errors
    /// [`JournalError::Locked`] naming the holder, or [`JournalError::Storage`].
    pub(super) fn take(journal: &Path, now: Timestamp) -> Result<Self, JournalError> {
        let path = lock_path(journal);
        let failed = |error: io::Error| JournalError::Storage {
            action: "locked",
            reason: format!("{}: {error}", path.display()),
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        super::file::private(&mut options);
        let mut file = options.open(&path).map_err(failed)?;
        if !try_lock(&file).map_err(failed)? {
            return Err(JournalError::Locked {
                path: journal.to_owned(),
                holder: holder(&file),
            });
        }
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ");
        let note = format!("process {} since {now}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(failed)?;
        Ok(Lock(file))
    }
}

/// Who uses `journal`, if anybody does. Takes nothing away from them.
pub(super) fn in_use(journal: &Path) -> Option<String> {
    let file = File::open(lock_path(journal)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&file)),
        Ok(()) => {
            // As when a lock is dropped.
            let _ = file.unlock();
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// In the holder's own words, as far as the system lets us read them.
fn holder(file: &File) -> String {
    let mut note = String::new();
    let read = file.take(NOTE).read_to_string(&mut note);
    match note.trim() {
        note if read.is_ok() && !note.is_empty() => note.to_owned(),
        _ => "another process".to_owned(),
    }
}
