//! The journal in a file: what it keeps, and who may use it.

use std::fs;
use std::path::Path;

use golem_wire::Glm;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::super::*;

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

pub(super) fn run(session: &str) -> Record {
    Record::Fact {
        fact: Fact::Run {
            session: session.to_owned(),
            node: "0x1234567890123456789012345678901234567890".into(),
            api_url: "http://127.0.0.1:7465/".to_owned(),
        },
    }
}

/// The `n`-th entry of a journal: the run, then requests and their outcomes.
pub(super) fn nth(n: u64) -> Entry {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(n.cast_signed());
    let op = n.saturating_sub(1) / 2;
    let record = match n {
        0 => run("session"),
        n if n % 2 == 1 => Record::Intent {
            op,
            change: Change::AcceptInvoice {
                invoice: format!("invoice-{n}").into(),
                amount: Glm::from(1),
            },
        },
        _ => Record::Outcome {
            op,
            outcome: Outcome::Done {
                id: Some(format!("id of {n}, ünïcode")),
            },
        },
    };
    Entry { at, record }
}

pub(super) fn open(path: &Path) -> SqliteJournal {
    SqliteJournal::open(path).expect("it opens")
}

pub(super) fn write(journal: &SqliteJournal, numbers: std::ops::Range<u64>) -> Vec<Entry> {
    let entries: Vec<_> = numbers.map(nth).collect();
    for entry in &entries {
        journal.append(entry).expect("written");
    }
    entries
}

#[test]
fn what_was_written_is_there_in_the_next_life_and_folders_are_made() {
    let folder = folder();
    let path = folder.path().join("a/b/journal.db");
    for durability in [Durability::Process, Durability::Power] {
        let _ = fs::remove_file(&path);
        let options = SqliteJournal::options().durability(durability);
        let journal = options.clone().open(&path).expect("it opens");
        assert_eq!(journal.load().expect("read"), []);
        let entries = write(&journal, 0..20);
        drop(journal);
        let journal = options.open(&path).expect("it opens");
        assert_eq!(journal.load().expect("read"), entries);
        assert!(journal.set_aside().is_none() && !journal.lost_last_write());
    }
}

#[test]
fn a_snapshot_takes_the_place_of_everything_and_the_files_stay_small() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let entries = write(&journal, 0..1000);
        let open_state = Box::new(OpenState::of(&entries));
        let at = entries[999].at;
        let record = Record::Snapshot { open_state };
        let snapshot = Entry { at, record };
        journal.compact(&snapshot).expect("compacted");
        assert_eq!(journal.load().expect("read"), [snapshot]);
        let size = |suffix| fs::metadata(file::beside(&path, suffix)).map_or(0, |m| m.len());
        assert_eq!(size("-wal"), 0);
        sizes.push(size(""));
    }
    assert!(sizes[4] <= sizes[0] + 8192, "{sizes:?}");
    drop(journal);
    let journal = open(&path);
    assert_eq!(journal.load().expect("read").len(), 1);
    let more = write(&journal, 1000..1003);
    drop(journal);
    assert_eq!(open(&path).load().expect("read")[1..], more);
}

#[test]
fn a_second_journal_on_the_same_file_is_refused_by_name() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let first = open(&path);
    let same = folder.path().join("./journal.db");
    for path in [&path, &same] {
        let error = SqliteJournal::open(path).expect_err("locked");
        let JournalError::Locked { path, holder } = &error else {
            panic!("{error}");
        };
        assert_eq!(path, first.path());
        let me = format!("process {} since 20", std::process::id());
        assert!(holder.starts_with(&me), "{holder}");
    }
    first.close();
    assert!(first.append(&nth(0)).is_err());
    assert!(open(&path).load().expect("read").is_empty());
}

#[test]
fn a_lock_file_that_nobody_holds_does_not_block() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    fs::write(lock::lock_path(&path), "process 1 since yesterday").expect("written");
    let journal = open(&path);
    let note = fs::read_to_string(lock::lock_path(&path)).expect("readable");
    assert!(note.contains(&std::process::id().to_string()), "{note}");
    drop(journal);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    write(&journal, 0..3);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = file::beside(&path, suffix);
        let mode = fs::metadata(&file)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let link = folder.path().join("link.db");
    symlink(&path, &link).expect("a link");
    assert!(matches!(
        SqliteJournal::open(&link),
        Err(JournalError::Locked { .. })
    ));
}

#[test]
fn inspecting_disturbs_nobody() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    assert!(SqliteJournal::inspect(&path).is_err(), "there is nothing");
    let journal = open(&path);
    let entries = write(&journal, 0..5);
    let seen = SqliteJournal::inspect(&path).expect("readable");
    assert_eq!(seen.entries, entries);
    assert!(
        seen.in_use_by
            .is_some_and(|holder| holder.contains("process"))
    );
    write(&journal, 5..6);
    drop(journal);
    let seen = SqliteJournal::inspect(&path).expect("readable");
    assert_eq!((seen.entries.len(), seen.in_use_by), (6, None));
    assert_eq!(seen.format, FORMAT);
    fs::write(&path, "no database at all, but some text").expect("written");
    let error = SqliteJournal::inspect(&path).expect_err("damaged");
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(path.exists());
}

#[test]
fn a_file_that_is_removed_under_way_is_noticed() {
    let folder = folder();
    let path = folder.path().join("sub/journal.db");
    let journal = open(&path);
    write(&journal, 0..3);
    fs::remove_dir_all(folder.path().join("sub")).expect("removed");
    let error = journal.append(&nth(3)).expect_err("noticed").to_string();
    assert!(
        error.contains("gone") && error.contains("start it anew"),
        "{error}"
    );
    assert!(error.contains("journal.db"), "{error}");
}

fn inspected(path: &Path) -> Vec<Entry> {
    SqliteJournal::inspect(path).expect("readable").entries
}

#[test]
fn entries_wait_for_a_commit_together_and_are_there_whoever_drops_the_journal() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    let group = journal.group_commit().expect("it commits in groups");
    let entries: Vec<_> = (0..20).map(nth).collect();
    for entry in &entries[..10] {
        group.append_unsynced(entry).expect("taken");
    }
    assert_eq!(inspected(&path), []);
    group.sync().expect("committed");
    assert_eq!(inspected(&path), entries[..10]);
    for entry in &entries[10..] {
        group.append_unsynced(entry).expect("taken");
    }
    assert_eq!(inspected(&path), entries[..10]);
    drop(journal);
    assert_eq!(open(&path).load().expect("read"), entries);
}

#[test]
fn entries_share_rows_and_damage_costs_those_of_its_row_and_after_it() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    let group = journal.group_commit().expect("it commits in groups");
    let entries: Vec<_> = (0..1_000).map(nth).collect();
    for entry in &entries {
        group.append_unsynced(entry).expect("taken");
    }
    drop(journal);
    let connection = rusqlite::Connection::open(&path).expect("it opens");
    let sizes = "SELECT length(CAST(lines AS BLOB)) FROM entries ORDER BY seq";
    let mut statement = connection.prepare(sizes).expect("prepared");
    let rows = statement.query_map([], |row| row.get(0)).expect("asked");
    let sizes: Vec<i64> = rows.map(|size| size.expect("a number")).collect();
    let full = &sizes[..sizes.len() - 1];
    assert!(full.len() > 3 && sizes.len() < 20, "{sizes:?}");
    assert!(
        full.iter().all(|size| (16_384..17_000).contains(size)),
        "{sizes:?}"
    );
    drop(statement);
    assert_eq!(inspected(&path), entries);
    let row = "SELECT lines FROM entries WHERE seq < 3 ORDER BY seq";
    let mut statement = connection.prepare(row).expect("prepared");
    let rows = statement.query_map([], |row| row.get(0)).expect("asked");
    let lines: Vec<String> = rows.map(|lines| lines.expect("text")).collect();
    let before: usize = lines.iter().map(|lines| lines.lines().count()).sum();
    drop(statement);
    let damage = "UPDATE entries SET lines = replace(lines, 'invoice', 'Invoice') WHERE seq = 3";
    assert_eq!(connection.execute(damage, []).expect("changed"), 1);
    drop(connection);
    let journal = open(&path);
    let report = journal.set_aside().expect("reported");
    assert!(report.reason.contains("row 3"), "{report}");
    assert_eq!(report.salvaged, before, "{report}");
    assert_eq!(journal.load().expect("read"), entries[..before]);
}

#[test]
fn what_cannot_be_committed_waits_and_what_is_told_not_to_be_written_never_comes() {
    for durability in [Durability::Process, Durability::Power] {
        let folder = folder();
        let path = folder.path().join("journal.db");
        let options = SqliteJournal::options().durability(durability);
        let journal = options.open(&path).expect("it opens");
        let group = journal.group_commit().expect("it commits in groups");
        let mut expected = write(&journal, 0..3);
        let somebody = rusqlite::Connection::open(&path).expect("it opens");
        somebody.execute_batch("BEGIN IMMEDIATE").expect("locked");
        match group.append_unsynced(&nth(3)) {
            Ok(()) => expected.push(nth(3)),
            Err(error) => assert_eq!(durability, Durability::Power, "{error}"),
        }
        let error = journal.append(&nth(4)).expect_err("locked");
        assert!(error.to_string().contains("close the program"), "{error}");
        somebody.execute_batch("ROLLBACK").expect("unlocked");
        expected.extend(write(&journal, 5..7));
        assert_eq!(inspected(&path), expected);
    }
}

#[test]
fn a_snapshot_before_the_first_commit_leaves_word_of_the_owner() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    let group = journal.group_commit().expect("it commits in groups");
    group.append_unsynced(&nth(0)).expect("taken");
    let open_state = Box::new(OpenState::of(&[nth(0)]));
    let record = Record::Snapshot { open_state };
    let at = Timestamp::UNIX_EPOCH;
    journal.compact(&Entry { at, record }).expect("compacted");
    drop(journal);
    let bytes = fs::read(&path).expect("readable");
    let owner = crate::journal::schema::find_owner(&bytes).expect("found in the bytes");
    assert_eq!(owner.session, "session");
}

#[test]
fn entries_that_nobody_waits_for_are_not_kept_in_memory_without_end() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    let group = journal.group_commit().expect("it commits in groups");
    for n in 0..10_000 {
        group.append_unsynced(&nth(n)).expect("taken");
    }
    let committed = inspected(&path).len();
    assert!((5_000..10_000).contains(&committed), "{committed}");
    // A snapshot takes the place of those that wait, too.
    let (at, open_state) = (Timestamp::UNIX_EPOCH, Box::default());
    let record = Record::Snapshot { open_state };
    let snapshot = Entry { at, record };
    journal.compact(&snapshot).expect("compacted");
    group.sync().expect("committed");
    assert_eq!(inspected(&path), [snapshot]);
}
