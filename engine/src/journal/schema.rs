//! How entries lie in the file: tables, and the checksum of each row. Owns: format 2 and reading
//! it, to the first thing that is wrong. Does not own: what is done about that (`salvage.rs`).
//!
//! | table | holds |
//! |---|---|
//! | `entries(seq, at, record, sum)` | one row an entry; `seq` has no gaps and is never used twice |
//! | `owner(line)` | whose journal it is, once more, to be found also in a file that is in pieces |

use std::fmt::Write;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, Row};
use sha3::{Digest, Sha3_256};

use super::{Entry, JournalError, Owner, Record};

/// `PRAGMA application_id`: "GJNL".
pub(super) const APPLICATION: i32 = 0x474A_4E4C;

/// The tables of format 2.
pub(super) const TABLES: &str = "
    CREATE TABLE entries(
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, record TEXT NOT NULL, sum TEXT NOT NULL);
    CREATE TABLE owner(one INTEGER PRIMARY KEY CHECK(one = 1), line TEXT NOT NULL);
";

/// Adds a row with the next number: SQLite takes the highest plus one.
pub(super) const INSERT: &str = "INSERT INTO entries(at, record, sum) VALUES(?1, ?2, ?3)";

/// Writes the owner down.
pub(super) const OWNER: &str = "INSERT OR REPLACE INTO owner VALUES(1, ?1)";

/// What an owner's line begins with.
const MARK: &str = "golem-journal-owner";

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is broken: put it aside.
    Damage(String),
    /// It is fine, or nobody can tell: leave it alone.
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

    fn entry(&self) -> Result<Entry, String> {
        if sum(&self.at, &self.record) != self.sum {
            return Err("its checksum is wrong".into());
        }
        let at: Timestamp = self.at.parse().map_err(|e: jiff::Error| e.to_string())?;
        let record = serde_json::from_str(&self.record).map_err(|e| e.to_string())?;
        Ok(Entry { at, record })
    }
}

/// Reads rows into `entries`, as long as they are what was written.
///
/// # Errors
/// What is wrong with the first one that is not taken.
pub(super) fn read_entries(
    connection: &Connection,
    entries: &mut Vec<Entry>,
) -> Result<(), Trouble> {
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
        let entry = line.entry().map_err(wrong)?;
        if expected.is_none() && seq != 1 && !matches!(entry.record, Record::Snapshot { .. }) {
            return Err(wrong("entries before it are missing".into()));
        }
        entries.push(entry);
        expected = Some(seq + 1);
    }
    Ok(())
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
