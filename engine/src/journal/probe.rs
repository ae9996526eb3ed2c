//! Looking at what is there before it is used. Owns: telling a sound journal from a damaged one, an
//! older or newer format, and another program's database. Changes nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::file::{beside, exists};
use super::schema::{self, READ, Trouble, storage};
use super::wal::{self, Wal};
use super::{Entry, FORMAT, JournalError};

/// How long a foreign program that reads or writes the file is waited for.
const BUSY: Duration = Duration::from_millis(200);

/// Where the header says which version may write the file, and the latest that there is: a
/// write-ahead log.
const WRITE_VERSION: usize = 18;
const KNOWN_VERSION: u8 = 2;

/// What is said of a log with a hole.
pub(super) const WAL_BROKEN: &str = "its -wal is broken in the middle";

/// What a journal holds.
pub(super) struct Probe {
    pub(super) format: u32,
    pub(super) entries: Vec<Entry>,
}

/// What is at `path`, which is ours for now: nothing, or a sound journal and whether its last write
/// was cut off.
pub(super) fn examine(path: &Path) -> Result<Option<(Probe, bool)>, Trouble> {
    let failed = |error: io::Error| storage("opened", format!("{}: {error}", path.display()));
    let log = beside(path, "-wal");
    if !exists(path) {
        return match fs::metadata(&log) {
            Ok(log) if log.len() > 0 => Err(Trouble::Damage(
                "only its -wal is there, the file itself is missing".into(),
            )),
            _ => Ok(None),
        };
    }
    // Says more clearly than SQLite what is forbidden; closed before SQLite has its locks on it.
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?;
    if !length.is_file() {
        return Err(storage("opened", format!("{} is no file", path.display())).into());
    }
    if length.len() == 0 {
        return Err(Trouble::Damage("it is empty".into()));
    }
    // A file of which SQLite reads all and refuses to write anything.
    let mut header = [0; WRITE_VERSION + 1];
    let read_only = file.read_exact(&mut header).is_ok() && header[WRITE_VERSION] > KNOWN_VERSION;
    drop(file);
    let torn = match wal::look(&log).map_err(failed)? {
        Wal::Whole => false,
        Wal::TornTail => true,
        Wal::Damaged => return Err(Trouble::Damage(WAL_BROKEN.into())),
    };
    match probe(path)? {
        _ if read_only => Err(Trouble::Damage("its header forbids to write it".into())),
        probe => Ok(Some((probe, torn))),
    }
}

/// Reads and checks everything, and changes nothing.
pub(super) fn probe(path: &Path) -> Result<Probe, Trouble> {
    let mut connection = Connection::open_with_flags(path, READ)?;
    careful(&connection)?;
    // All of it from one moment, whoever writes meanwhile.
    let connection = connection.transaction()?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (format, application) = (number("user_version")?, number("application_id")?);
    let tables = tables(&connection)?;
    let has = |what: &str| tables.iter().any(|sql| sql.contains(what));
    let ours = application == i64::from(schema::APPLICATION)
        || (has("entries(") && has("owner("))
        || has("journal(line");
    if !ours && !tables.is_empty() {
        let reason = format!("{} is a database of another program", path.display());
        return Err(storage("opened", reason).into());
    }
    let format = u32::try_from(format).unwrap_or(0);
    if ours && format > FORMAT {
        return Err(Trouble::Other(JournalError::TooNew {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        }));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Trouble::Damage(verdict));
    }
    let mut entries = Vec::new();
    schema::read_entries(&connection, format, &mut entries)?;
    if format > 1 {
        connection.query_row("SELECT count(line) FROM owner", [], |row| {
            row.get::<_, i64>(0)
        })?;
    }
    Ok(Probe { format, entries })
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT coalesce(sql, '') FROM sqlite_schema WHERE type = 'table'")?;
    let tables = statement.query_map([], |row| row.get(0))?;
    tables.collect()
}

/// Trusts nothing in the file.
pub(super) fn careful(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}
