//! The journal of a process that is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rand::RngExt;

use super::super::*;
use super::sqlite::{folder, nth, open};
use crate::rng::Seed;

/// Set for the process that is killed: the journal to write.
const KILLED: &str = "GOLEM_TEST_KILLED_JOURNAL";

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
    for n in OpenState::of(&entries).next_op * 2.. {
        let entry = nth(n);
        journal.append(&entry).expect("written");
        writeln!(out, "\nwrote {n}").expect("somebody reads");
        entries.push(entry);
        // Compacts often, so that it is killed while it does.
        if entries.len() > 50 {
            let open_state = Box::new(OpenState::of(&entries));
            let record = Record::Snapshot { open_state };
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
            .args(["--exact", "journal::tests::kill::writes_until_it_is_killed"])
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
        let all = OpenState::of(&(0..=acknowledged).map(nth).collect::<Vec<_>>());
        let more = OpenState::of(&(0..=acknowledged + 1).map(nth).collect::<Vec<_>>());
        let found = OpenState::of(&entries);
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
