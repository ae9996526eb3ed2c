//! What becomes of a journal that is broken: it is put aside whole, never overwritten, and what can
//! be trusted of it begins the next one. Does not own:
//! finding out that it is broken (`probe.rs`).
//!
//! Salvaged are the entries up to the first broken one: that is the journal as it was at an earlier
//! time. Recovery asks the daemon about everything in it, and finds what came later by the app
//! session, which is kept apart from the entries for that purpose.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::file::{beside, exists};
use super::schema::{self, storage};
use super::{Entry, FORMAT, Fact, JournalError, OpenState, Owner, Record, SetAside};

/// Longest part of a broken file that is searched for its owner.
const SEARCHED: u64 = 64 << 20;

/// Puts the files of the journal at `path` aside; the report, and the entries to begin anew with.
///
/// # Errors
/// [`JournalError::Storage`] when they cannot be moved; nothing is begun then.
pub(super) fn set_aside(
    path: &Path,
    reason: String,
    now: Timestamp,
) -> Result<(SetAside, Vec<Entry>), JournalError> {
    let aside = free_name(path, now);
    // The file itself goes first: without it, the log that stays behind counts as damage, too.
    for suffix in ["", "-wal", "-shm"] {
        let from = beside(path, suffix);
        if exists(&from) {
            let failed = |error: io::Error| {
                let what = format!(
                    "it is damaged ({reason}) and {} cannot be moved to {}: {error}",
                    from.display(),
                    aside.display()
                );
                storage("set aside", what)
            };
            fs::rename(&from, beside(&aside, suffix)).map_err(failed)?;
        }
    }
    let mut entries = salvage(&aside);
    let salvaged = entries.len();
    let mut owner = OpenState::of(&entries).owner;
    if owner.is_none() {
        owner = ["-wal", ""]
            .iter()
            .find_map(|suffix| schema::find_owner(&read_some(&beside(&aside, suffix))));
        if let Some(Owner {
            session,
            node,
            api_url,
        }) = owner.clone()
        {
            let fact = Fact::Run {
                session,
                node,
                api_url,
            };
            let record = Record::Fact { fact };
            entries.push(Entry { at: now, record });
        }
    }
    let report = SetAside {
        path: aside,
        reason,
        salvaged,
        owner,
    };
    Ok((report, entries))
}

/// The entries before the first broken one.
fn salvage(aside: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let Ok(connection) = Connection::open_with_flags(aside, schema::READ) else {
        return entries;
    };
    let format = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let format = format.ok().and_then(|format| u32::try_from(format).ok());
    // How it ends is known already.
    let _ = schema::read_entries(&connection, format.unwrap_or(FORMAT), &mut entries);
    entries
}

fn read_some(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // What was read before an error is searched all the same.
        let _ = file.take(SEARCHED).read_to_end(&mut bytes);
    }
    bytes
}

fn free_name(path: &Path, now: Timestamp) -> PathBuf {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let mut name = beside(path, &format!(".damaged-{stamp}"));
    let mut round = 1u64;
    while ["", "-wal", "-shm"]
        .iter()
        .any(|suffix| exists(&beside(&name, suffix)))
    {
        round += 1;
        name = beside(path, &format!(".damaged-{stamp}-{round}"));
    }
    name
}
