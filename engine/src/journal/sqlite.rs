//! A journal in a file: an SQLite database in WAL mode. Owns: opening it (lock, checks, migration,
//! putting a broken one aside), adding entries, compacting. Does not own: the schema (`schema.rs`),
//! looking for damage (`probe.rs`).
//!
//! No key is ever in it. On unix only its owner may read it. Beside `NAME` lie `NAME-wal` and
//! `NAME-shm` while it is open (after a crash, too: they are part of it), and `NAME.lock` for ever.
//!
//! With [`Durability::Process`] entries are committed in groups ([`GroupCommit`]): a transaction costs tens of times what an
//! entry in it does, and many requests wait at once. With [`Durability::Power`] each is committed, and the log is synced in
//! groups; SQLite itself syncs it, and the file, only when it moves the log into the file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::file::{Identity, beside, place, private, sync_folder};
use super::lock::{self, Lock};
use super::probe::{Probe, WAL_BROKEN, careful, examine, probe};
use super::schema::{self, Rows, Trouble, WRITE, storage};
use super::wal::{self, Wal};
use super::{
    Entry, FORMAT, Fact, GroupCommit, Inspection, Journal, JournalError, Owner, Record, SetAside,
    migrate, salvage,
};
use crate::clock::{Clock, SystemClock};
use crate::config::Durability;

/// Bytes of a page of new files: what is written by one call, however little of it is new.
const PAGE: u32 = 8_192;

/// Pages in the `-wal` after which they are moved into the file.
const CHECKPOINT_PAGES: i64 = 1_024;

/// Entries that may wait for a commit; the next one has all of them written.
const MOST_PENDING: usize = 4_096;

/// How a journal is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    durability: Durability,
    clock: Arc<dyn Clock>,
    page_size: u32,
}

impl SqliteOptions {
    /// What entries survive; [`Durability::Process`] unless set.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Tells the time for names of files and the lock's note; the computer's clock unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Of new files; a power of two from 512.
    #[cfg(test)]
    pub(super) fn page_size(mut self, bytes: u32) -> Self {
        self.page_size = bytes;
        self
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            durability: Durability::default(),
            clock: Arc::new(SystemClock),
            page_size: PAGE,
        }
    }
}

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// A journal in a file, for one engine at a time.
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    set_aside: Option<SetAside>,
    migrated: Option<PathBuf>,
    torn: bool,
    durability: Durability,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    file: Identity,
    pending: Pending,
    /// The log beside the file; opened by the first sync.
    wal: Option<Arc<File>>,
    /// Why a sync failed: pages of the log may be lost whatever later ones say, until all of it is
    /// written anew.
    unsynced: Option<String>,
    // Last: others may come in when the file is closed.
    _lock: Lock,
}

/// What waits for a commit.
#[derive(Debug, Default)]
struct Pending {
    rows: Rows,
    /// The line of the owner that the last of them names which names one.
    owner: Option<String>,
}

impl Pending {
    /// An entry waits, too; not on an error.
    fn push(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let owner = owner_of(&entry.record);
        let owner = owner.as_ref().map(schema::owner_line).transpose()?;
        self.rows.push(entry)?;
        if owner.is_some() {
            self.owner = owner;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.owner = None;
    }
}

impl Open {
    /// Commits what is pending, as one step. What cannot be committed goes on waiting.
    fn commit(&mut self, path: &Path) -> Result<(), JournalError> {
        self.file.check(path)?;
        let Pending { rows, owner } = &self.pending;
        if rows.entries() == 0 {
            return Ok(());
        }
        let write = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut insert = transaction.prepare_cached(schema::INSERT)?;
                rows.insert(&mut insert)?;
            }
            if let Some(owner) = owner {
                transaction.execute(schema::OWNER, [owner])?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(unwritten)?;
        self.pending.clear();
        Ok(())
    }
}

impl SqliteJournal {
    /// Opens the journal at `path`, or begins it; folders on the way are made.
    ///
    /// An older format is migrated, with a copy kept beside it. A damaged file is put aside
    /// ([`set_aside`](Journal::set_aside)), and what can be trusted of it begins a new one.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another journal has it open, in this process or another;
    /// [`JournalError::TooNew`]; [`JournalError::Storage`] when it cannot be reached, or is a
    /// database of another program. The file is then as before.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        SqliteOptions::default().open(path)
    }

    /// To open one otherwise.
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    /// Reads the journal at `path` without its lock, and changes nothing in it.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::TooNew`] or [`JournalError::Storage`].
    pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, JournalError> {
        let path = path.as_ref();
        let named = |reason: &dyn std::fmt::Display| {
            storage("read", format!("{}: {reason}", path.display()))
        };
        let path = fs::canonicalize(path).map_err(|error| named(&error))?;
        let in_use_by = lock::in_use(&path);
        let damaged = |reason| JournalError::Damaged {
            path: path.clone(),
            reason,
        };
        if in_use_by.is_none() && wal::look(&beside(&path, "-wal")).is_ok_and(|w| w == Wal::Damaged)
        {
            return Err(damaged(WAL_BROKEN.to_owned()));
        }
        match probe(&path) {
            Ok(Probe { format, entries }) => Ok(Inspection {
                entries,
                in_use_by,
                format,
            }),
            Err(Trouble::Damage(reason)) => Err(damaged(reason)),
            Err(Trouble::Other(error)) => Err(error),
        }
    }

    /// Where it is, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The copy of the older format that it was migrated from.
    pub fn migrated_from(&self) -> Option<&Path> {
        self.migrated.as_deref()
    }

    /// Whether the last write before it was opened is incomplete: the process or machine ended
    /// while it wrote. That entry is gone; no caller was told that it had been written.
    pub fn lost_last_write(&self) -> bool {
        self.torn
    }

    /// Adds an entry, committed or pending. On an error it is neither: what is told not to be written must not come later,
    /// since its number is given once more.
    fn add(&self, entry: &Entry, committed: bool) -> Result<(), JournalError> {
        self.with("written", |open| {
            // One that is to be committed comes alone, so that it can be forgotten alone.
            let is_full = open.pending.rows.entries() >= MOST_PENDING;
            if is_full || (committed && open.pending.rows.entries() > 0) {
                open.commit(&self.path)?;
            }
            open.pending.push(entry)?;
            // Whether the file is still there is asked by the commit.
            match committed {
                true => open
                    .commit(&self.path)
                    .inspect_err(|_| open.pending.clear()),
                false => Ok(()),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // SQLite rolls a statement back that did not end.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Open) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut open = self.lock();
        let result = match open.as_mut() {
            Some(open) => work(open),
            None => Err(storage(action, "its engine is stopped")),
        };
        result.map_err(|error| match error {
            JournalError::Storage { reason, .. } => {
                storage(action, format!("{}: {reason}", self.path.display()))
            }
            other => other,
        })
    }
}

impl SqliteOptions {
    /// See [`SqliteJournal::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteJournal, JournalError> {
        let now = self.clock.now();
        let path = place(path.as_ref())?;
        let lock = Lock::take(&path, now)?;
        let mut journal = SqliteJournal {
            path,
            set_aside: None,
            migrated: None,
            torn: false,
            durability: self.durability,
            open: Mutex::new(None),
        };
        let path = &journal.path;
        let connection = match examine(path) {
            Ok(None) => self.begin(path, &[])?,
            Ok(Some((found, torn))) => {
                journal.torn = torn;
                if found.format < FORMAT {
                    let copy = migrate::migrate(path, found.format, &found.entries)?;
                    tracing::info!(journal = %path.display(), copy = %copy.display(), from = found.format,
                        to = FORMAT, "the journal was migrated; a copy of the older one is kept");
                    journal.migrated = Some(copy);
                }
                self.connect(path)?
            }
            Err(Trouble::Damage(reason)) => {
                let (report, entries) = salvage::set_aside(path, reason, now)?;
                tracing::error!(journal = %path.display(), "{report}");
                let connection = self.begin(path, &entries)?;
                journal.set_aside = Some(report);
                connection
            }
            Err(Trouble::Other(error)) => return Err(error),
        };
        if journal.torn {
            tracing::warn!(journal = %path.display(),
                "the last write to the journal was cut off; what it was about is looked up at the daemon");
        }
        journal.open = Mutex::new(Some(Open {
            file: Identity::of(path)?,
            connection,
            pending: Pending::default(),
            wal: None,
            unsynced: None,
            _lock: lock,
        }));
        Ok(journal)
    }

    /// A new file with these entries.
    fn begin(&self, path: &Path, entries: &[Entry]) -> Result<Connection, JournalError> {
        let failed = |error: io::Error| storage("made", format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        private(&mut options);
        options.open(path).map_err(failed)?;
        let mut connection = self.connect(path)?;
        let failed = |error: rusqlite::Error| storage("made", error);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        migrate::fill(&transaction, entries)?;
        transaction.commit().map_err(failed)?;
        // Into the file itself, which then is more than nothing without its log.
        checkpoint(&connection).map_err(failed)?;
        sync_folder(path);
        Ok(connection)
    }

    fn connect(&self, path: &Path) -> Result<Connection, JournalError> {
        let connect = || {
            let connection = Connection::open_with_flags(path, WRITE)?;
            careful(&connection)?;
            // Of no effect on a file that is there.
            connection.pragma_update(None, "page_size", self.page_size)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // `FULL` syncs the log after each entry; with `Power` that is done in groups.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            Ok(connection)
        };
        let failed = |error: rusqlite::Error| format!("{}: {error}", path.display());
        connect().map_err(|error| storage("opened", failed(error)))
    }
}

impl Journal for SqliteJournal {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.with("read", |open| {
            open.commit(&self.path)?;
            let mut entries = Vec::new();
            match schema::read_entries(&open.connection, FORMAT, &mut entries) {
                Ok(()) => Ok(entries),
                Err(Trouble::Damage(reason)) => Err(storage("read", reason)),
                Err(Trouble::Other(error)) => Err(error),
            }
        })
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.add(entry, true)?;
        self.sync()
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        let mut rows = Rows::default();
        rows.push(snapshot)?;
        self.with("compacted", |open| {
            open.file.check(&self.path)?;
            let failed = unwritten;
            let transaction = open.connection.transaction().map_err(failed)?;
            // First the new one: numbers go on where the old ones end.
            let inserted = transaction
                .prepare_cached(schema::INSERT)
                .and_then(|mut insert| rows.insert(&mut insert));
            inserted.map_err(failed)?;
            let seq = transaction.last_insert_rowid();
            transaction
                .execute("DELETE FROM entries WHERE seq < ?1", [seq])
                .map_err(failed)?;
            if let Some(owner) = &open.pending.owner {
                transaction
                    .execute(schema::OWNER, [owner])
                    .map_err(failed)?;
            }
            transaction.commit().map_err(failed)?;
            // The snapshot knows of it.
            open.pending.clear();
            // What counts is done. A reader in the way only makes the log shrink later.
            match checkpoint(&open.connection) {
                // The file was synced, and the log is empty.
                Ok(Moved::All) => open.unsynced = None,
                Ok(Moved::Some) => {}
                Err(error) => tracing::warn!(%error, "the journal's log was not emptied"),
            }
            Ok(())
        })?;
        self.sync()
    }

    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        Some(self)
    }

    fn set_aside(&self) -> Option<SetAside> {
        self.set_aside.clone()
    }

    fn close(&self) {
        let is_open = self.lock().is_some();
        if is_open && let Err(error) = self.sync() {
            tracing::error!(%error, "the last entries of the journal may be lost; what they are about is looked up at the daemon");
        }
        *self.lock() = None;
    }
}

/// What was written while nobody waited for it is kept, whoever drops the journal.
impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.close();
    }
}

/// The log is written in order, so what is synced of it has no holes.
impl GroupCommit for SqliteJournal {
    fn append_unsynced(&self, entry: &Entry) -> Result<(), JournalError> {
        // With `Power` it is to survive the end of the process at once, and what takes time is the disk.
        self.add(entry, self.durability == Durability::Power)
    }

    fn is_cheap(&self) -> bool {
        self.durability == Durability::Process
    }

    fn sync(&self) -> Result<(), JournalError> {
        if self.durability == Durability::Process {
            return self.with("written", |open| open.commit(&self.path));
        }
        let path = beside(&self.path, "-wal");
        let wal = self.with("written", |open| {
            open.commit(&self.path)?;
            if let Some(reason) = &open.unsynced {
                return Err(storage("written", reason));
            }
            let wal = match open.wal.take() {
                Some(wal) => wal,
                None => {
                    let failed = |error| storage("written", format!("{}: {error}", path.display()));
                    Arc::new(File::open(&path).map_err(failed)?)
                }
            };
            Ok(Arc::clone(open.wal.insert(wal)))
        })?;
        // Not under the lock: entries may be added meanwhile.
        let Err(error) = wal.sync_data() else {
            return Ok(());
        };
        let reason = format!("an earlier sync of its log failed: {error}; check its disk");
        self.with("written", |open| {
            open.unsynced = Some(reason.clone());
            Err(storage("written", reason))
        })
    }
}

fn owner_of(record: &Record) -> Option<Owner> {
    match record {
        Record::Fact {
            fact:
                Fact::Run {
                    session,
                    node,
                    api_url,
                },
        } => Some(Owner {
            session: session.clone(),
            node: node.clone(),
            api_url: api_url.clone(),
        }),
        _ => None,
    }
}

fn unwritten(error: rusqlite::Error) -> JournalError {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; make room on its disk",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; close the program that has it open"
        }
        _ => "; check its disk and its permissions",
    };
    storage("written", format!("{error}{advice}"))
}

/// How much of the log a checkpoint moved into the file.
enum Moved {
    All,
    /// A reader was in the way.
    Some,
}

fn checkpoint(connection: &Connection) -> rusqlite::Result<Moved> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        let is_busy: bool = row.get(0)?;
        Ok(if is_busy { Moved::Some } else { Moved::All })
    })
}
