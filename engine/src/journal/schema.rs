//! How entries lie in the file: tables, and the checksum of each row. Owns: reading them, to the first
//! thing that is wrong. Does not own: what is done about that (`salvage.rs`), nor the text of a
//! record (`disk.rs`).
//!
//! | table | holds |
//! |---|---|
//! | `entries(seq, lines, sum)` | a row for entries that were committed together, an entry a line: when, and its record; `seq` has no gaps and is never used twice |
//! | `owner(line)` | whose journal it is, once more, to be found also in a file that is in pieces |
//!
//! Formats 2 to 4 had `entries(seq, at, record, sum)`, with an entry a row.
//! Format 1 (`PRAGMA user_version = 1`, no `application_id`) had one table, `journal(line)`, with an
//! entry a row in the order of `rowid`: one JSON object with `at`, `kind` (`intent`, `outcome`,
//! `fact` or `snapshot`) and the members of that record. It had no checksums.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Statement};
use serde_json::{Map, Value, json};
use sha3::{Digest, Sha3_256};
use twox_hash::XxHash3_64;

use super::{Entry, FORMAT, JournalError, Owner, Record, disk};

/// `PRAGMA application_id`: "GJNL".
pub(super) const APPLICATION: i32 = 0x474A_4E4C;

/// The tables of [`FORMAT`].
pub(super) const TABLES: &str = "
    CREATE TABLE entries(seq INTEGER PRIMARY KEY, lines TEXT NOT NULL, sum INTEGER NOT NULL);
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
pub(super) const INSERT: &str = "INSERT INTO entries(lines, sum) VALUES(?1, ?2)";

/// Writes times as `Display` does, without its detour.
const AT: DateTimePrinter = DateTimePrinter::new();

/// Bytes from which on a row takes no further entries: a row costs tens of times what an entry in it does, and damage
/// to one of its bytes costs all of it.
const ROW: usize = 16 << 10;

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

/// Entries on their way into the file, as the texts of rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    entries: usize,
}

impl Rows {
    /// How many entries there are.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Adds an entry behind the others.
    ///
    /// # Errors
    /// [`JournalError::Storage`] for a record that JSON cannot hold; the others are as before.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), JournalError> {
        if self.last.len() >= ROW {
            // One that is full is little longer.
            let next = Vec::with_capacity(ROW + ROW / 8);
            self.full.push(std::mem::replace(&mut self.last, next));
        }
        let text = &mut self.last;
        let before = text.len();
        if before > 0 {
            text.push(b'\n');
        }
        // Into memory, which takes everything: what fails is the record.
        let written = AT
            .print_timestamp(&entry.at, &mut *text)
            .map_err(|error| storage("written", error))
            .and_then(|()| {
                text.push(b' ');
                serde_json::to_writer(&mut *text, &entry.record)
                    .map_err(|error| storage("written", error))
            });
        match written {
            Ok(()) => self.entries += 1,
            Err(_) => text.truncate(before),
        }
        written
    }

    /// Adds them to the file by [`INSERT`].
    pub(super) fn insert(&self, insert: &mut Statement<'_>) -> rusqlite::Result<()> {
        // JSON has no bytes that are no text.
        let texts = self.full.iter().chain([&self.last]);
        for text in texts.filter(|text| !text.is_empty()) {
            insert.execute((ToSqlOutput::Borrowed(ValueRef::Text(text)), lines_sum(text)))?;
        }
        Ok(())
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.entries = 0;
        self.full.clear();
        // The next one is about as long.
        self.last.clear();
    }
}

impl Entry {
    /// A line of a row in a file of [`FORMAT`].
    fn of_line(line: &str) -> Result<Self, String> {
        let (at, record) = line.split_once(' ').ok_or("a line of it has no record")?;
        Entry::of_texts(FORMAT, at, record)
    }

    fn of_texts(format: u32, at: &str, record: &str) -> Result<Self, String> {
        let at: Timestamp = at.parse().map_err(|e: jiff::Error| e.to_string())?;
        let record = disk::from_text(format, record).map_err(|e| e.to_string())?;
        Ok(Entry { at, record })
    }
}

/// The entries of a row.
fn entries_of(format: u32, row: &Row<'_>) -> rusqlite::Result<Result<Vec<Entry>, String>> {
    let wrong = || Err("its checksum is wrong".to_owned());
    if format < 5 {
        let (at, record): (String, String) = (row.get(1)?, row.get(2)?);
        return Ok(match row.get::<_, String>(3)? == sum(&at, &record) {
            true => Entry::of_texts(format, &at, &record).map(|entry| vec![entry]),
            false => wrong(),
        });
    }
    let lines: String = row.get(1)?;
    Ok(match row.get::<_, i64>(2)? == lines_sum(lines.as_bytes()) {
        true => lines.split('\n').map(Entry::of_line).collect(),
        false => wrong(),
    })
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
    let columns = if format < 5 { "at, record" } else { "lines" };
    let mut statement = connection.prepare(&format!(
        "SELECT seq, {columns}, sum FROM entries ORDER BY seq"
    ))?;
    let mut rows = statement.query([])?;
    let mut expected = None;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let wrong = |what: String| Trouble::Damage(format!("row {seq}: {what}"));
        if expected.is_some_and(|expected| expected != seq) {
            return Err(wrong("rows before it are missing".into()));
        }
        let found = entries_of(format, row)?.map_err(wrong)?;
        let is_snapshot = |entry: &Entry| matches!(entry.record, Record::Snapshot { .. });
        if expected.is_none() && seq != 1 && !found.first().is_some_and(is_snapshot) {
            return Err(wrong("rows before it are missing".into()));
        }
        entries.extend(found);
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

/// 64 bits that change with any change of a row's text.
fn lines_sum(lines: &[u8]) -> i64 {
    XxHash3_64::oneshot(lines).cast_signed()
}

/// The same of an owner, and of a row of formats 2 to 4, as hexadecimal digits.
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
