//! Turning a file of an older format into one of today, in one step and with a copy kept beside it.
//! Does not own: reading the older formats (`schema.rs`, `disk.rs`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::file::{beside, exists};
use super::schema::{self, storage};
use super::{Entry, FORMAT, JournalError, OpenState};

/// Brings the file at `path`, which holds `entries` in the format `from`, to [`FORMAT`]. Returns where
/// a copy of the old one is kept.
///
/// # Errors
/// [`JournalError::Storage`]; the file is then as before.
pub(super) fn migrate(path: &Path, from: u32, entries: &[Entry]) -> Result<PathBuf, JournalError> {
    let failed = |error: rusqlite::Error| storage("migrated", error);
    let open = || Connection::open_with_flags(path, schema::WRITE).map_err(failed);
    let connection = open()?;
    let busy: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(failed)?;
    if busy != 0 {
        return Err(storage("migrated", "another program is reading it"));
    }
    // Closed before the copy: closing any handle of a file lets go of all locks on it.
    drop(connection);
    let copy = keep_copy(path, from).map_err(|error| storage("migrated", error))?;
    let mut connection = open()?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    transaction
        .execute_batch(schema::drop_tables(from))
        .map_err(failed)?;
    fill(&transaction, entries)?;
    transaction.commit().map_err(failed)?;
    Ok(copy)
}

/// Makes the tables of [`FORMAT`] and puts `entries` into them.
///
/// # Errors
/// [`JournalError::Storage`].
pub(super) fn fill(connection: &Connection, entries: &[Entry]) -> Result<(), JournalError> {
    let failed = |error: rusqlite::Error| storage("written", error);
    connection.execute_batch(schema::TABLES).map_err(failed)?;
    for (name, value) in [
        ("application_id", schema::APPLICATION),
        ("user_version", FORMAT.cast_signed()),
    ] {
        connection
            .pragma_update(None, name, value)
            .map_err(failed)?;
    }
    let mut rows = schema::Rows::default();
    for entry in entries {
        rows.push(entry)?;
    }
    let mut insert = connection.prepare(schema::INSERT).map_err(failed)?;
    rows.insert(&mut insert).map_err(failed)?;
    if let Some(owner) = &OpenState::of(entries).owner {
        let line = schema::owner_line(owner)?;
        connection.execute(schema::OWNER, [line]).map_err(failed)?;
    }
    Ok(())
}

/// `NAME.v2.bak` of format 2, or `NAME.v2-2.bak` when an earlier attempt left that, …
fn keep_copy(path: &Path, from: u32) -> io::Result<PathBuf> {
    let name = |round: u64| match round {
        1 => beside(path, &format!(".v{from}.bak")),
        _ => beside(path, &format!(".v{from}-{round}.bak")),
    };
    let mut round = 1;
    while exists(&name(round)) {
        round += 1;
    }
    let copy = name(round);
    fs::copy(path, &copy)?;
    File::open(&copy)?.sync_all()?;
    Ok(copy)
}
