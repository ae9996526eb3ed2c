//! Journals of older and newer formats, and databases of other programs.

use std::fs;
use std::path::Path;

use golem_wire::{AgreementId, Glm};
use rusqlite::Connection;

use super::super::*;
use super::sqlite::{folder, open, write};
use crate::lifecycle::service::ServiceState;

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
    let open_state = OpenState::of(&entries);
    assert_eq!(open_state.owner.expect("an owner").session, "old");
    assert!(open_state.agreements[&AgreementId::new("agreement")].confirmed);
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
    let open_state = OpenState::of(&open(&path).load().expect("read"));
    assert_eq!(open_state.next_op, 7);
    assert!(open_state.unresolved.contains_key(&6));
}

/// A journal of format 2, as an engine of that time left it: a snapshot, and a termination whose
/// answer was lost.
const FORMAT_2: &[u8] = include_bytes!("fixtures/format-2.journal");

#[test]
fn a_journal_of_format_2_is_migrated_with_everything_that_was_open() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    fs::write(&path, FORMAT_2).expect("written");
    let before = SqliteJournal::inspect(&path).expect("readable");
    assert_eq!((before.format, before.entries.len()), (2, 3));
    let journal = open(&path);
    let copy = journal.migrated_from().expect("a copy").to_owned();
    assert!(copy.ends_with("journal.db.v2.bak"));
    assert_eq!(SqliteJournal::inspect(&copy).expect("readable"), before);
    let entries = journal.load().expect("read");
    assert_eq!(entries, before.entries);
    let open_state = OpenState::of(&entries);
    assert_eq!((open_state.next_op, open_state.first_op), (23, 0));
    let owner = open_state.owner.as_ref().expect("an owner");
    assert_eq!(owner.session, "session-of-format-2");
    let requests: Vec<_> = open_state.unresolved.keys().copied().collect();
    assert_eq!(requests, [21, 22]);
    assert_eq!(open_state.allocations["allocation"].total, Glm::from(10));
    assert_eq!(open_state.demands["demand"], "service-1");
    assert_eq!(open_state.services, ["L2xvY2FsL2ZpbGVz"]);
    let ids: Vec<_> = open_state.agreements.keys().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["running", "paid", "ended"]);
    let [running, paid, ended] = ["running", "paid", "ended"].map(|id| &open_state.agreements[id]);
    assert!(running.confirmed && running.ended.is_none() && running.was_used());
    assert!(paid.is_paid() && !ended.is_paid());
    let lived = ended.activities["activity-ended"];
    assert_eq!(lived.from.to_string(), "2026-05-28T20:27:05Z");
    assert_eq!(lived.to.expect("gone").to_string(), "2026-05-28T20:27:07Z");
    let states: Vec<_> = open_state.instances.values().map(|it| it.state).collect();
    assert_eq!(states, [ServiceState::Running, ServiceState::Terminated]);
    assert_eq!(open_state.cursors.len(), 1);
    drop(journal);
    let journal = open(&path);
    assert!(journal.migrated_from().is_none() && journal.set_aside().is_none());
    assert_eq!(OpenState::of(&journal.load().expect("read")), open_state);
}

/// A journal of format 4, as an engine of that time left it: a snapshot with a network, and an entry a row.
const FORMAT_4: &[u8] = include_bytes!("fixtures/format-4.journal");

#[test]
fn a_journal_of_format_4_is_migrated_with_everything_that_was_open() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    fs::write(&path, FORMAT_4).expect("written");
    let before = SqliteJournal::inspect(&path).expect("readable");
    assert_eq!((before.format, before.entries.len()), (4, 7));
    let journal = open(&path);
    let copy = journal.migrated_from().expect("a copy").to_owned();
    assert!(copy.ends_with("journal.db.v4.bak"));
    assert_eq!(SqliteJournal::inspect(&copy).expect("readable"), before);
    assert_eq!(journal.load().expect("read"), before.entries);
    let open_state = OpenState::of(&before.entries);
    let owner = open_state.owner.as_ref().expect("an owner");
    assert_eq!(owner.session, "session-of-format-4");
    assert_eq!(open_state.allocations["allocation"].total, Glm::from(10));
    assert_eq!(open_state.demands["demand"], "service-1");
    assert_eq!(open_state.networks["network"].address, "192.168.0.0");
    let agreement = &open_state.agreements[&AgreementId::new("agreement")];
    assert!(agreement.confirmed && agreement.ended.is_none() && agreement.was_used());
    let requests: Vec<_> = open_state.unresolved.keys().copied().collect();
    assert_eq!(requests, [6]);
    let more = write(&journal, 13..15);
    drop(journal);
    let journal = open(&path);
    assert!(journal.migrated_from().is_none() && journal.set_aside().is_none());
    let entries = journal.load().expect("read");
    assert_eq!(entries, [before.entries, more].concat());
}

#[test]
fn a_damaged_journal_of_format_4_is_set_aside_up_to_the_damage() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    fs::write(&path, FORMAT_4).expect("written");
    let connection = Connection::open(&path).expect("open");
    let changed = "UPDATE entries SET record = replace(record, 'activity', 'activitY')";
    assert_eq!(connection.execute(changed, []).expect("changed"), 7);
    drop(connection);
    let report = open(&path).set_aside().expect("reported");
    assert!(report.reason.contains("checksum"), "{report}");
    assert_eq!((report.salvaged, report.owner.is_some()), (3, true));
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
