//! How entries lie in the file: tables, and the checksum of each row. Owns: reading them, to the first
//! thing that is wrong. Does not own: what is done about that (`salvage.rs`), nor the text of a
//! record (`disk.rs`).
//!
//! | table | holds |
//! |---|---|
//! | `entries(seq, at, record, sum)` | one row an entry; `seq` has no gaps and is never used twice |
//! | `owner(line)` | whose journal it is, once more, to be found also in a file that is in pieces |
//!
//! Format 1 (`PRAGMA user_version = 1`, no `application_id`) had one table, `journal(line)`, with an
//! entry a row in the order of `rowid`: one JSON object with `at`, `kind` (`intent`, `outcome`,
//! `fact` or `snapshot`) and the members of that record. It had no checksums.

use std::fmt::Write;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use serde_json::{Map, Value, json};
use sha3::{Digest, Sha3_256};

use super::{Entry, FORMAT, JournalError, Owner, Record, disk};

/// `PRAGMA application_id`: "GJNL".
pub(super) const APPLICATION: i32 = 0x474A_4E4C;

/// The tables of formats 2 to 4.
pub(super) const TABLES: &str = "
    CREATE TABLE entries(
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, record TEXT NOT NULL, sum TEXT NOT NULL);
    CREATE TABLE owner(one INTEGER PRIMARY KEY CHECK(one = 1), line TEXT NOT NULL);
";

/// What takes the tables of a format away.
pub(super) fn drop_tables(format: u32) -> &'static str {
    match format {
        1 => "DROP TABLE journal;",
        _ => "DROP TABLE entries; DROP TABLE owner;",
    }
}

/// Adds a row with the next number: SQLite takes the highest plus one.
pub(super) const INSERT: &str = "INSERT INTO entries(at, record, sum) VALUES(?1, ?2, ?3)";

/// Writes the owner down.
pub(super) const OWNER: &str = "INSERT OR REPLACE INTO owner VALUES(1, ?1)";

/// Flags that change nothing in the file. Paths are never taken for URLs.
pub(super) const READ: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Flags of a file that is there.
pub(super) const WRITE: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// What an owner's line begins with.
const MARK: &str = "golem-journal-owner";

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is broken: put it aside.
    Damage(String),
    /// It is sound, or that cannot be told: leave it alone.
    Other(JournalError),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Trouble::Other(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // It can be opened for writing, so that only its content can forbid to (`ReadOnly`),
            // and our statements are right, so that its tables are wrong (`Unknown`).
            None
            | Some(
                ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::ReadOnly
                | ErrorCode::SchemaChanged
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ConstraintViolation
                | ErrorCode::Unknown,
            ) => Trouble::Damage(error.to_string()),
            Some(_) => Trouble::Other(storage("read", error)),
        }
    }
}

/// An error of the file.
pub(super) fn storage(action: &'static str, reason: impl ToString) -> JournalError {
    JournalError::Storage {
        action,
        reason: reason.to_string(),
    }
}

/// An entry as the texts of its row.
#[derive(Debug)]
pub(super) struct Line {
    at: String,
    record: String,
    sum: String,
}

impl Line {
    /// # Errors
    /// [`JournalError::Storage`] for a record that JSON cannot hold.
    pub(super) fn of(entry: &Entry) -> Result<Self, JournalError> {
        let at = entry.at.to_string();
        let record = serde_json::to_string(&entry.record).map_err(|e| storage("written", e))?;
        let sum = sum(&at, &record);
        Ok(Line { at, record, sum })
    }

    /// As parameters of [`INSERT`].
    pub(super) fn values(&self) -> [&str; 3] {
        [&self.at, &self.record, &self.sum]
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(i64, Self)> {
        let (at, record, sum) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, Line { at, record, sum }))
    }

    fn entry(&self, format: u32) -> Result<Entry, String> {
        if sum(&self.at, &self.record) != self.sum {
            return Err("its checksum is wrong".into());
        }
        let at: Timestamp = self.at.parse().map_err(|e: jiff::Error| e.to_string())?;
        let record = disk::from_text(format, &self.record).map_err(|e| e.to_string())?;
        Ok(Entry { at, record })
    }
}

/// Reads a file of this format into `entries`, as long as they are what was written.
///
/// # Errors
/// What is wrong with the first one that is not taken.
pub(super) fn read_entries(
    connection: &Connection,
    format: u32,
    entries: &mut Vec<Entry>,
) -> Result<(), Trouble> {
    match format {
        1 => return read_format_1(connection, entries),
        2..=FORMAT => {}
        _ => {
            let what = "it does not say which format it has";
            return Err(Trouble::Damage(what.into()));
        }
    }
    let mut statement =
        connection.prepare("SELECT seq, at, record, sum FROM entries ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut expected = None;
    while let Some(row) = rows.next()? {
        let (seq, line) = Line::read(row)?;
        let wrong = |what: String| Trouble::Damage(format!("entry {seq}: {what}"));
        if expected.is_some_and(|expected| expected != seq) {
            return Err(wrong("entries before it are missing".into()));
        }
        let entry = line.entry(format).map_err(wrong)?;
        if expected.is_none() && seq != 1 && !matches!(entry.record, Record::Snapshot { .. }) {
            return Err(wrong("entries before it are missing".into()));
        }
        entries.push(entry);
        expected = Some(seq + 1);
    }
    Ok(())
}

fn read_format_1(connection: &Connection, entries: &mut Vec<Entry>) -> Result<(), Trouble> {
    let mut statement = connection.prepare("SELECT rowid, line FROM journal ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, line): (i64, String) = (row.get(0)?, row.get(1)?);
        let entry = entry_of_format_1(&line)
            .map_err(|what| Trouble::Damage(format!("entry {number} of format 1: {what}")))?;
        entries.push(entry);
    }
    Ok(())
}

fn entry_of_format_1(line: &str) -> Result<Entry, String> {
    let mut members: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let at = members.remove("at").ok_or("no time")?;
    let kind = members.remove("kind").ok_or("no kind")?;
    let kind = kind.as_str().ok_or("its kind is no text")?;
    let at = serde_json::from_value(at).map_err(|error| error.to_string())?;
    let record = json!({kind: members}).to_string();
    let record = disk::from_text(1, &record).map_err(|error| error.to_string())?;
    Ok(Entry { at, record })
}

/// An owner as a line that proves itself.
///
/// # Errors
/// [`JournalError::Storage`] for an owner that JSON cannot hold.
pub(super) fn owner_line(owner: &Owner) -> Result<String, JournalError> {
    let text = serde_json::to_string(owner).map_err(|error| storage("written", error))?;
    Ok(format!("{MARK}{text}#{}", sum(MARK, &text)))
}

/// The owner in the bytes of a file, wherever it is.
pub(super) fn find_owner(bytes: &[u8]) -> Option<Owner> {
    let mark = MARK.as_bytes();
    let starts = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(mark));
    starts
        .filter_map(|at| owner_at(&bytes[at + mark.len()..]))
        .next_back()
}

fn owner_at(bytes: &[u8]) -> Option<Owner> {
    let mut json = serde_json::Deserializer::from_slice(bytes).into_iter::<Owner>();
    let owner = json.next()?.ok()?;
    let (text, rest) = bytes.split_at(json.byte_offset());
    let proof = format!("#{}", sum(MARK, std::str::from_utf8(text).ok()?));
    rest.starts_with(proof.as_bytes()).then_some(owner)
}

/// 64 bits that change with any change of the texts, as hexadecimal digits.
fn sum(at: &str, record: &str) -> String {
    let digest = Sha3_256::new()
        .chain_update(at)
        .chain_update([0])
        .chain_update(record)
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(String::with_capacity(16), |mut text, byte| {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
