//! The journal in a file: what it keeps, who may use it, older and newer formats, and `kill -9`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use golem_wire::{AgreementId, Glm};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::rng::Seed;

/// Set for the process that is killed: the journal to write.
const KILLED: &str = "GOLEM_TEST_KILLED_JOURNAL";

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

fn write(journal: &SqliteJournal, numbers: std::ops::Range<u64>) -> Vec<Entry> {
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
        let book = Box::new(Book::of(&entries));
        let at = entries[999].at;
        let record = Record::Snapshot { book };
        let snapshot = Entry { at, record };
        journal.compact(&snapshot).expect("compacted");
        assert_eq!(journal.load().expect("read"), [snapshot]);
        let size = |suffix| fs::metadata(damage::beside(&path, suffix)).map_or(0, |m| m.len());
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
        let file = damage::beside(&path, suffix);
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

/// A journal of format 1, as an engine of that time left it.
fn version_1(path: &Path, lines: &[&str]) {
    let connection = Connection::open(path).expect("made");
    connection
        .execute_batch("PRAGMA user_version = 1; CREATE TABLE journal(line TEXT NOT NULL);")
        .expect("a table");
    for line in lines {
        connection
            .execute("INSERT INTO journal VALUES(?1)", [line])
            .expect("written");
    }
}

const LINES: [&str; 5] = [
    r#"{"at":"2026-05-01T10:00:00Z","kind":"fact","fact":{"fact":"run","session":"old","node":"0x1234567890123456789012345678901234567890","api_url":"http://127.0.0.1:7465/"}}"#,
    r#"{"at":"2026-05-01T10:00:01Z","kind":"intent","op":0,"change":{"do":"create-agreement","proposal":"p"}}"#,
    r#"{"at":"2026-05-01T10:00:01.5Z","kind":"outcome","op":0,"outcome":{"outcome":"done","id":"agreement"}}"#,
    r#"{"at":"2026-05-01T10:00:02Z","kind":"intent","op":1,"change":{"do":"confirm","agreement":"agreement"}}"#,
    r#"{"at":"2026-05-01T10:00:02Z","kind":"outcome","op":1,"outcome":{"outcome":"done"}}"#,
];

#[test]
fn a_journal_of_format_1_is_migrated_and_a_copy_of_it_kept() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    version_1(&path, &LINES);
    let before = SqliteJournal::inspect(&path).expect("readable");
    assert_eq!((before.format, before.entries.len()), (1, LINES.len()));
    let journal = open(&path);
    let entries = journal.load().expect("read");
    assert_eq!(entries, before.entries);
    let book = Book::of(&entries);
    assert_eq!(book.owner.expect("an owner").session, "old");
    assert!(book.agreements[&AgreementId::new("agreement")].confirmed);
    assert_eq!(entries[2].at.to_string(), "2026-05-01T10:00:01.5Z");
    let copy = journal.migrated_from().expect("a copy").to_owned();
    assert!(copy.ends_with("journal.db.v1.bak"));
    assert_eq!(SqliteJournal::inspect(&copy).expect("readable"), before);
    let more = write(&journal, 4..6);
    drop(journal);
    let journal = open(&path);
    assert!(journal.migrated_from().is_none());
    assert_eq!(journal.load().expect("read")[LINES.len()..], more);
}

#[test]
fn a_snapshot_of_format_1_is_read() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    version_1(
        &path,
        &[
            r#"{"at":"2026-05-01T10:00:00Z","kind":"snapshot","book":{"next_op":7,"unresolved":{"6":{"change":{"do":"subscribe","job":"j"},"at":"2026-05-01T10:00:00Z"}}}}"#,
        ],
    );
    let book = Book::of(&open(&path).load().expect("read"));
    assert_eq!(book.next_op, 7);
    assert!(book.unresolved.contains_key(&6));
}

#[test]
fn a_damaged_journal_of_format_1_is_set_aside_up_to_the_damage() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    version_1(&path, &[LINES[0], LINES[1], "{\"at\":", LINES[3]]);
    let journal = open(&path);
    let report = journal.set_aside().expect("reported");
    assert_eq!(report.salvaged, 2, "{report}");
    assert!(report.reason.contains("format 1"), "{report}");
    assert_eq!(journal.load().expect("read").len(), 2);
    assert!(report.path.exists());
}

#[test]
fn a_newer_format_and_a_foreign_database_are_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    write(&journal, 0..3);
    drop(journal);
    let connection = Connection::open(&path).expect("open");
    connection
        .pragma_update(None, "user_version", FORMAT + 1)
        .expect("set");
    drop(connection);
    let before = fs::read(&path).expect("readable");
    let error = SqliteJournal::open(&path).expect_err("too new");
    let JournalError::TooNew { found, known, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((found, known), (FORMAT + 1, FORMAT));
    assert_eq!(fs::read(&path).expect("readable"), before);

    let path = folder.path().join("theirs.db");
    let connection = Connection::open(&path).expect("open");
    connection
        .execute_batch("CREATE TABLE cats(name TEXT)")
        .expect("a table");
    drop(connection);
    let before = fs::read(&path).expect("readable");
    let error = SqliteJournal::open(&path).expect_err("theirs").to_string();
    assert!(error.contains("another program"), "{error}");
    assert_eq!(fs::read(&path).expect("readable"), before);
}

/// Not a test by itself: the process that is killed. Says each entry's number once it is written.
#[test]
#[ignore = "run by the test that kills it"]
fn writes_until_it_is_killed() {
    let Ok(path) = std::env::var(KILLED) else {
        return;
    };
    let journal = open(Path::new(&path));
    let mut entries = journal.load().expect("read");
    let mut out = std::io::stdout();
    for n in Book::of(&entries).next_op * 2.. {
        let entry = nth(n);
        journal.append(&entry).expect("written");
        writeln!(out, "\nwrote {n}").expect("somebody reads");
        entries.push(entry);
        // Compacts often, so that it is killed while it does.
        if entries.len() > 50 {
            let book = Box::new(Book::of(&entries));
            let record = Record::Snapshot { book };
            let snapshot = Entry {
                at: nth(n).at,
                record,
            };
            journal.compact(&snapshot).expect("compacted");
            entries = vec![snapshot];
        }
    }
}

#[test]
fn whatever_was_written_survives_kill_9_and_the_lock_does_not() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let program = std::env::current_exe().expect("this program");
    let mut rng = Seed::from_u64(7).fork("kill").rng();
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = Command::new(&program)
            .args([
                "--exact",
                "journal::sqlite_tests::writes_until_it_is_killed",
            ])
            .args(["--ignored", "--nocapture"])
            .env(KILLED, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut wrote = || {
            let line = lines.next()?.expect("text");
            Some(
                line.strip_prefix("wrote ")
                    .and_then(|n| n.parse::<u64>().ok()),
            )
        };
        let mut left = rng.random_range(1..150);
        while left > 0 {
            if let Some(n) = wrote().expect("it runs until it is killed") {
                acknowledged = n;
                left -= 1;
            }
        }
        if round == 0 {
            let error = SqliteJournal::open(&path).expect_err("in use").to_string();
            assert!(
                error.contains(&format!("process {}", child.id())),
                "{error}"
            );
        }
        child.kill().expect("killed");
        child.wait().expect("dead");
        // What it said before it died counts, too.
        while let Some(line) = wrote() {
            acknowledged = line.unwrap_or(acknowledged);
        }
        let journal = open(&path);
        assert!(journal.set_aside().is_none(), "{:?}", journal.set_aside());
        let entries = journal.load().expect("read");
        let all = Book::of(&(0..=acknowledged).map(nth).collect::<Vec<_>>());
        let more = Book::of(&(0..=acknowledged + 1).map(nth).collect::<Vec<_>>());
        let found = Book::of(&entries);
        // One more may have been written without being said.
        assert!(
            found == all || found == more,
            "round {round}: after {acknowledged}"
        );
        let last = if found == all {
            acknowledged
        } else {
            acknowledged + 1
        };
        if !matches!(
            entries[..],
            [Entry {
                record: Record::Snapshot { .. },
                ..
            }]
        ) {
            assert_eq!(entries.last(), Some(&nth(last)), "round {round}");
        }
    }
}
