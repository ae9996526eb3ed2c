//! Older formats. Owns: reading them, and turning such a file into one of today, in one step and
//! with a copy kept beside it.
//!
//! Format 1 (`PRAGMA user_version = 1`, no `application_id`) had one table, `journal(line)`, with an
//! entry a row in the order of `rowid`: one JSON object with `at`, `kind` (`intent`, `outcome`,
//! `fact` or `snapshot`) and the members of that record. It had no checksums.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Map, Value, json};

use super::file::{beside, exists};
use super::schema::{self, Trouble, storage};
use super::{Entry, FORMAT, JournalError, OpenState};

/// Reads a file of format 1 into `entries`, as far as it makes sense.
///
/// # Errors
/// What is wrong with the first line that is not taken.
pub(super) fn read_v1(connection: &Connection, entries: &mut Vec<Entry>) -> Result<(), Trouble> {
    let mut statement = connection.prepare("SELECT rowid, line FROM journal ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, line): (i64, String) = (row.get(0)?, row.get(1)?);
        let entry = entry_v1(&line)
            .map_err(|what| Trouble::Damage(format!("entry {number} of format 1: {what}")))?;
        entries.push(entry);
    }
    Ok(())
}

fn entry_v1(line: &str) -> Result<Entry, String> {
    let mut members: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let at = members.remove("at").ok_or("no time")?;
    let kind = members.remove("kind").ok_or("no kind")?;
    let kind = kind.as_str().ok_or("its kind is no text")?;
    let entry = json!({"at": at, "record": {kind: members}});
    serde_json::from_value(entry).map_err(|error| error.to_string())
}

/// Brings the file at `path`, which holds `entries` in format 1, to [`FORMAT`]. Returns where a copy
/// of the old one is kept.
///
/// # Errors
/// [`JournalError::Storage`]; the file is then as before.
pub(super) fn migrate(path: &Path, entries: &[Entry]) -> Result<PathBuf, JournalError> {
    let failed = |error: rusqlite::Error| storage("migrated", error);
    let open = || Connection::open_with_flags(path, super::sqlite::WRITE).map_err(failed);
    let connection = open()?;
    let busy: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(failed)?;
    if busy != 0 {
        return Err(storage("migrated", "another program is reading it"));
    }
    // Closed before the copy: closing any handle of a file lets go of all locks on it.
    drop(connection);
    let copy = keep_copy(path).map_err(|error| storage("migrated", error))?;
    let mut connection = open()?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    transaction
        .execute_batch("DROP TABLE journal;")
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
    let mut insert = connection.prepare(schema::INSERT).map_err(failed)?;
    for entry in entries {
        let line = schema::Line::of(entry)?;
        insert.execute(line.values()).map_err(failed)?;
    }
    if let Some(owner) = &OpenState::of(entries).owner {
        let line = schema::owner_line(owner)?;
        connection.execute(schema::OWNER, [line]).map_err(failed)?;
    }
    Ok(())
}

/// `NAME.v1.bak`, or `NAME.v1-2.bak` when an earlier attempt left that, …
fn keep_copy(path: &Path) -> io::Result<PathBuf> {
    let name = |round: u64| match round {
        1 => beside(path, ".v1.bak"),
        _ => beside(path, &format!(".v1-{round}.bak")),
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
