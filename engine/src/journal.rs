//! The journal: what the engine is about to do to the daemon, and what came of it, written down so
//! that a later run can finish it. Owns: the [`Journal`] seam, and `Log`, through which the engine
//! writes. Does not own: what is done about open things (`recovery/`).
//!
//! | record | when |
//! |---|---|
//! | `Intent` | before each request that changes the daemon's state |
//! | `Outcome` | after it; missing after a crash |
//! | `Fact` | something learned otherwise: an agreement ended, an invoice came, a feed was read |
//! | `Snapshot` | now and then, in place of everything before it |
//!
//! A request is sent once its intent is durable: in the file or, with [`Durability::Power`], on the disk. One commit, or sync,
//! makes all entries durable that were written before it began (`group.rs`), for whoever waits. What costs nothing and
//! [ends by itself](Change::ends_by_itself) does not wait; its intent becomes durable with the next.
//!
//! An agreement takes some 30 entries from the offer to the accepted invoice, a script 2 more. Every four thousand entries
//! the file is compacted; it does not grow with the number of agreements (`benches/journal.rs`).

mod change;
mod disk;
mod entry;
#[cfg(feature = "sqlite")]
mod file;
mod group;
#[cfg(feature = "sqlite")]
mod lock;
mod memory;
#[cfg(feature = "sqlite")]
mod migrate;
mod open_state;
#[cfg(feature = "sqlite")]
mod probe;
mod requests;
#[cfg(feature = "sqlite")]
mod salvage;
#[cfg(feature = "sqlite")]
mod schema;
mod set_aside;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod tests;
#[cfg(feature = "sqlite")]
mod wal;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::NodeId;
use http::Uri;

pub use crate::config::Durability;
pub(crate) use change::services_at;
pub use change::{Change, Fact, Feed, InstanceRecord, NetworkRecord, NodeRecord, Outcome};
pub use entry::{Entry, FORMAT, Record};
pub use memory::MemoryJournal;
pub use open_state::{AllocationEntry, OpenState, Owner};
pub use requests::{Requests, Unresolved};
pub use set_aside::SetAside;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteJournal, SqliteOptions};

pub use crate::agreement_record::{AgreementRecord, Lifetime};
use crate::clock::Clock;
use group::Group;

/// Entries after which everything is replaced by a snapshot, unless more is open.
const COMPACT_AFTER: usize = 4_000;

/// Entries for each thing that is open, where that is more: a snapshot costs as much as is open.
const COMPACT_AFTER_PER_OPEN: usize = 8;

/// Where entries are kept. Implementations are synchronous: an entry is as durable as it gets when
/// the call returns, unless it is left to a [`GroupCommit`].
pub trait Journal: Send + Sync + 'static {
    /// All entries, oldest first.
    ///
    /// # Errors
    /// [`JournalError`], when they cannot be read.
    fn load(&self) -> Result<Vec<Entry>, JournalError>;

    /// Adds an entry.
    ///
    /// # Errors
    /// [`JournalError`]; the entry is then not in the journal.
    fn append(&self, entry: &Entry) -> Result<(), JournalError>;

    /// Puts `snapshot` in the place of all entries, as one step.
    ///
    /// # Errors
    /// [`JournalError`]; the entries are then as before.
    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError>;

    /// How entries are made durable in groups; `None` where each is by itself. A journal around another
    /// that does not hand this on is merely slower.
    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        None
    }

    /// The journal that this one takes the place of because it was damaged.
    fn set_aside(&self) -> Option<SetAside> {
        None
    }

    /// Lets go of the storage, for the next engine to use; nothing is written after it.
    fn close(&self) {}
}

/// A journal of which one commit, or one sync of a disk, makes many entries durable. The engine sends a request only after a sync
/// that began when its intent was in the journal, unless it [ends by itself](Change::ends_by_itself); what no request waits
/// for is synced within a tenth of a second.
pub trait GroupCommit: Sync {
    /// Adds an entry, to be made durable by the next [`sync`](Self::sync). Entries become durable in
    /// their order: never one without those before it.
    ///
    /// # Errors
    /// [`JournalError`]; the entry is then not in the journal.
    fn append_unsynced(&self, entry: &Entry) -> Result<(), JournalError>;

    /// Makes durable what was added before the call. It blocks for as long as the disk takes, and
    /// entries may be added meanwhile.
    ///
    /// # Errors
    /// [`JournalError`]; which entries are durable is then unknown.
    fn sync(&self) -> Result<(), JournalError>;

    /// Whether a sync waits for no disk. What no request waits for is then synced as soon as nothing else is to be
    /// done, and the state of an instance before anybody is told of it; one sync serves all who are about to tell.
    fn is_cheap(&self) -> bool {
        false
    }
}

impl<J: Journal + ?Sized> Journal for Arc<J> {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        (**self).load()
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        (**self).append(entry)
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        (**self).compact(snapshot)
    }

    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        (**self).group_commit()
    }

    fn set_aside(&self) -> Option<SetAside> {
        (**self).set_aside()
    }

    fn close(&self) {
        (**self).close();
    }
}

/// What a journal holds, read without disturbing who writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// All entries, oldest first.
    pub entries: Vec<Entry>,
    /// Who has it open: a process and since when.
    pub in_use_by: Option<String>,
    /// Version of its format.
    pub format: u32,
}

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another engine writes to it.
    #[error(
        "the journal {path} is in use by {holder}; stop that program first, or give each its own journal"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// Who holds it, as far as it says.
        holder: String,
    },
    /// It belongs to another requestor.
    #[error(
        "the journal is of requestor {theirs}, but the daemon's app key is of {ours}: use the key it was written with, or another journal"
    )]
    Foreign {
        /// Node id in the journal.
        theirs: NodeId,
        /// Node id at the daemon.
        ours: NodeId,
    },
    /// A newer engine wrote it.
    #[error(
        "the journal {path} has format {found}, this engine reads up to {known}: use the engine that wrote it, or a newer one"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It was only to be read, and is broken.
    #[error(
        "the journal {path} is damaged ({reason}): the next engine that opens it puts it aside and saves what it can"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read or written.
    #[error("the journal cannot be {action}: {reason}")]
    Storage {
        /// What failed: `read`, `written`, …
        action: &'static str,
        /// Why.
        reason: String,
    },
}

/// The engine's way to its journal: numbers requests, keeps the [`OpenState`], compacts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Inner>);

struct Inner {
    /// None where nothing is to outlive the engine: then what is open is known here only.
    journal: Option<Box<dyn Journal>>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    group: Group,
}

#[derive(Default)]
struct State {
    open_state: OpenState,
    since_snapshot: usize,
    /// Entries of this run.
    written: u64,
}

/// A request that was announced.
#[derive(Debug)]
#[must_use = "every intent gets an outcome"]
pub(crate) struct Ticket {
    op: u64,
    /// Entries of this run up to its intent.
    written: u64,
}

impl Log {
    /// Reads a journal.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read.
    pub(crate) fn open(
        journal: Box<dyn Journal>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        let entries = journal.load()?;
        let state = State {
            open_state: OpenState::of(&entries),
            since_snapshot: entries.len(),
            written: 0,
        };
        Ok(Self::new(Some(journal), clock, state))
    }

    /// What is open, kept nowhere: it ends with the engine.
    pub(crate) fn unkept(clock: Arc<dyn Clock>) -> Self {
        Self::new(None, clock, State::default())
    }

    fn new(journal: Option<Box<dyn Journal>>, clock: Arc<dyn Clock>, state: State) -> Self {
        Log(Arc::new(Inner {
            journal,
            clock,
            state: Mutex::new(state),
            group: Group::default(),
        }))
    }

    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        self.0.journal.as_deref()?.group_commit()
    }

    /// Begins a run of the requestor `node`; the session of the runs before, or a `fresh` one.
    ///
    /// # Errors
    /// [`JournalError::Foreign`], or that nothing can be written.
    pub(crate) fn enter(
        &self,
        node: &NodeId,
        api_url: &Uri,
        fresh: impl FnOnce() -> String,
    ) -> Result<String, JournalError> {
        let mut state = self.lock();
        let session = match &state.open_state.owner {
            Some(owner) if owner.node != *node => {
                return Err(JournalError::Foreign {
                    theirs: owner.node.clone(),
                    ours: node.clone(),
                });
            }
            Some(owner) => owner.session.clone(),
            None => fresh(),
        };
        let fact = Fact::Run {
            session: session.clone(),
            node: node.clone(),
            api_url: api_url.to_string(),
        };
        self.write(&mut state, Record::Fact { fact })?;
        Ok(session)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The open state changes only after the journal took the entry.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is open.
    pub(crate) fn open_state(&self) -> OpenState {
        self.lock().open_state.clone()
    }

    /// Reads something from the open state without copying all of it.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&OpenState) -> T) -> T {
        look(&self.lock().open_state)
    }

    /// The damaged journal that this one takes the place of.
    pub(crate) fn set_aside(&self) -> Option<SetAside> {
        self.0.journal.as_deref()?.set_aside()
    }

    /// Whether anything outlives the engine, for a later life to read.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.journal.is_some()
    }

    /// Ends writing, so that another engine can open the journal.
    pub(crate) fn close(&self) {
        if let Some(journal) = &self.0.journal {
            journal.close();
        }
    }

    /// Announces a request, which is to be sent once the intent is [`durable`](Self::durable).
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written down; a change that opens something must not
    /// be sent then.
    pub(crate) fn intent(&self, change: Change) -> Result<Ticket, JournalError> {
        let mut state = self.lock();
        let op = state.open_state.next_op;
        self.write(&mut state, Record::Intent { op, change })?;
        let written = state.written;
        Ok(Ticket { op, written })
    }

    /// Waits until an intent is as durable as the journal makes it.
    ///
    /// # Errors
    /// [`JournalError`] when it may not be; a change that opens something must not be sent then.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn durable(&self, ticket: &Ticket) -> Result<(), JournalError> {
        self.sync_to(ticket.written).await
    }

    /// Waits until everything written before is as durable as the journal makes it.
    ///
    /// # Errors
    /// [`JournalError`] when it may not be.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn sync(&self) -> Result<(), JournalError> {
        let written = self.lock().written;
        self.sync_to(written).await
    }

    /// Waits until everything written before outlives the program, where no disk is waited for: where a killed
    /// program goes on is not to be behind what it had told. A failure is logged.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn before_it_is_told(&self) {
        if self.group_commit().is_some_and(GroupCommit::is_cheap)
            && let Err(error) = self.sync().await
        {
            tracing::error!(%error, "what is told now may not be in the journal");
        }
    }

    async fn sync_to(&self, written: u64) -> Result<(), JournalError> {
        let Some(disk) = self.group_commit() else {
            return Ok(());
        };
        let all = || self.lock().written;
        self.0.group.sync_to(written, all, disk).await
    }

    /// Syncs now and then what no request waits for. Never ends.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn keep_synced(self) {
        let Some(disk) = self.group_commit() else {
            return;
        };
        loop {
            self.0.group.written(disk.is_cheap()).await;
            if let Err(error) = self.sync().await {
                tracing::error!(%error, "the last entries of the journal are not durable; they are tried again with the next");
            }
        }
    }

    /// Writes down what came of a request. A failure is logged: the request then counts as one of
    /// unknown outcome.
    pub(crate) fn outcome(&self, ticket: Ticket, outcome: Outcome) {
        let op = ticket.op;
        let mut state = self.lock();
        if let Err(error) = self.write(&mut state, Record::Outcome { op, outcome }) {
            tracing::error!(op, %error, "the outcome of a request was not written down");
        }
    }

    /// Writes a fact down. A failure is logged: the fact can be learned again.
    pub(crate) fn fact(&self, fact: Fact) {
        let mut state = self.lock();
        if let Err(error) = self.write(&mut state, Record::Fact { fact }) {
            tracing::error!(%error, "a fact was not written down");
        }
    }

    fn write(&self, state: &mut State, record: Record) -> Result<(), JournalError> {
        let at = self.0.clock.now();
        let entry = Entry { at, record };
        let Some(journal) = &self.0.journal else {
            state.open_state.take_in(entry);
            return Ok(());
        };
        match journal.group_commit() {
            Some(disk) => disk.append_unsynced(&entry)?,
            None => journal.append(&entry)?,
        }
        self.0.group.note();
        state.open_state.take_in(entry);
        state.written += 1;
        state.since_snapshot += 1;
        let many = COMPACT_AFTER_PER_OPEN * state.open_state.size();
        if state.since_snapshot >= COMPACT_AFTER.max(many) {
            let open_state = Box::new(state.open_state.clone());
            let record = Record::Snapshot { open_state };
            match journal.compact(&Entry { at, record }) {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "the journal was not compacted"),
            }
            // After a failure too: it is not tried again at every entry.
            state.since_snapshot = 0;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
