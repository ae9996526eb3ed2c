//! Broken journals: nothing panics, and nothing is lost without a word. Either all entries come
//! back, or the file is set aside and said so, or it is refused and left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::*;
use super::sqlite::{folder, nth, open, run};
use crate::journal::file::beside;

/// Small pages make a small file.
const PAGE: u32 = 512;

/// Entries in the samples.
const COUNT: u64 = 8;

fn entries() -> Vec<Entry> {
    (0..COUNT).map(nth).collect()
}

/// The bytes of a journal: its file and its log.
type Bytes = (Vec<u8>, Vec<u8>);

/// A journal that was closed in order, or one whose process was killed.
fn sample(killed: bool) -> Bytes {
    static SAMPLES: LazyLock<[Bytes; 2]> = LazyLock::new(|| [false, true].map(make));
    SAMPLES[usize::from(killed)].clone()
}

fn make(killed: bool) -> Bytes {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let options = SqliteJournal::options().page_size(PAGE);
    let journal = options.open(&path).expect("it opens");
    for entry in entries() {
        journal.append(&entry).expect("written");
    }
    if !killed {
        drop(journal);
    }
    let read = |suffix| fs::read(beside(&path, suffix)).unwrap_or_default();
    (read(""), read("-wal"))
}

/// What became of a damaged journal.
#[derive(Debug, PartialEq)]
enum End {
    /// All entries are there; whether the last write is said to be cut off.
    Whole,
    /// Set aside, with this many entries saved.
    SetAside(usize),
    /// Entries up to this many; the last write is said to be cut off.
    Torn(usize),
    Refused,
}

/// Opens a journal of these bytes, and checks what must hold however broken they are.
fn end(file: &[u8], log: &[u8]) -> End {
    let folder = folder();
    let path = folder.path().join("journal.db");
    put(&path, file, log);
    let journal = match SqliteJournal::open(&path) {
        Ok(journal) => journal,
        Err(error) => {
            let refused = matches!(
                error,
                JournalError::TooNew { .. } | JournalError::Storage { .. }
            );
            assert!(refused, "{error}");
            assert_eq!(fs::read(&path).expect("there"), file, "{error}");
            return End::Refused;
        }
    };
    let found = journal.load().expect("an open journal can be read");
    let end = match journal.set_aside() {
        Some(report) => {
            let kept = fs::read(&report.path).unwrap_or_default();
            assert_eq!(kept, file, "the damaged file is kept as it is: {report}");
            let (saved, rest) = found.split_at(report.salvaged);
            assert_eq!(saved, &entries()[..saved.len()], "{report}");
            match &report.owner {
                Some(owner) => assert_eq!(owner.session, "session"),
                None => assert!(rest.is_empty()),
            }
            assert_eq!(OpenState::of(&found).owner, report.owner);
            End::SetAside(saved.len())
        }
        None if journal.lost_last_write() => {
            assert_eq!(found, entries()[..found.len()]);
            End::Torn(found.len())
        }
        None => {
            assert_eq!(found, entries());
            End::Whole
        }
    };
    journal.append(&nth(COUNT)).expect("it goes on");
    drop(journal);
    let again = open(&path);
    assert!(again.set_aside().is_none(), "{:?}", again.set_aside());
    assert_eq!(again.load().expect("read").len(), found.len() + 1);
    end
}

fn put(path: &Path, file: &[u8], log: &[u8]) {
    fs::write(path, file).expect("written");
    if !log.is_empty() {
        fs::write(beside(path, "-wal"), log).expect("written");
    }
}

#[test]
fn a_file_cut_at_any_length_is_set_aside() {
    let (file, log) = sample(false);
    assert!(log.is_empty() && file.len() < 8192, "{}", file.len());
    assert_eq!(end(&file, &log), End::Whole);
    // Every length would take minutes: all around the pages' edges, and some between.
    let page = PAGE as usize;
    let near = |length: usize| length % page < 3 || length % page > page - 3;
    for length in (0..file.len()).filter(|length| near(*length) || length % 23 == 0) {
        let end = end(&file[..length], &[]);
        assert!(matches!(end, End::SetAside(_)), "{length}: {end:?}");
    }
}

#[test]
fn a_log_cut_at_any_length_holds_what_was_complete() {
    let (file, log) = sample(true);
    let frame = PAGE as usize + 24;
    let mut most = 0;
    for length in (32..log.len()).filter(|length| length % 61 == 0 || (length - 32) % frame < 2) {
        let folder = folder();
        let path = folder.path().join("journal.db");
        put(&path, &file, &log[..length]);
        let journal = open(&path);
        let found = journal.load().expect("read");
        assert_eq!(found, entries()[..found.len()]);
        assert!(found.len() >= most, "{length}");
        most = found.len();
        // At a frame's edge it is what it would be, had the process been killed there.
        assert!(
            journal.lost_last_write() || (length - 32) % frame == 0,
            "{length}"
        );
    }
    assert_eq!(end(&file, &log), End::Whole);
}

#[test]
fn a_log_that_is_broken_in_the_middle_is_set_aside_with_its_file() {
    let (file, log) = sample(true);
    let frame = PAGE as usize + 24;
    for at in (0..log.len() - 2 * frame).step_by(97) {
        let mut log = log.clone();
        log[at] ^= 4;
        let end = end(&file, &log);
        assert!(matches!(end, End::SetAside(_)), "{at}: {end:?}");
    }
    for at in (log.len() - frame + 8..log.len()).step_by(97) {
        let mut log = log.clone();
        log[at] ^= 4;
        let end = end(&file, &log);
        assert!(matches!(end, End::Torn(_)), "{at}: {end:?}");
    }
}

fn texts(path: &Path, sql: &str) {
    let connection = Connection::open(path).expect("open");
    connection.execute_batch(sql).expect("changed");
}

#[test]
fn what_is_no_journal_any_more_is_set_aside_under_a_new_name_each_time() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let mut kept: Vec<PathBuf> = Vec::new();
    let damages: [(&str, &dyn Fn()); 6] = [
        ("no text", &|| fs::write(&path, "hello").expect("written")),
        ("empty", &|| fs::write(&path, "").expect("written")),
        ("table gone", &|| texts(&path, "DROP TABLE entries")),
        ("owner gone", &|| texts(&path, "DROP TABLE owner")),
        ("entry changed", &|| {
            texts(
                &path,
                "UPDATE entries SET lines = replace(lines, 'invoice-1', 'invoice-9')",
            );
        }),
        ("entry gone", &|| {
            texts(&path, "DELETE FROM entries WHERE seq = 2")
        }),
    ];
    for (name, damage) in damages {
        for file in [path.clone(), beside(&path, "-wal")] {
            let _ = fs::remove_file(file);
        }
        let journal = open(&path);
        for entry in entries() {
            journal.append(&entry).expect("written");
        }
        drop(journal);
        damage();
        let report = open(&path).set_aside().expect(name);
        assert!(
            report.path.exists() && !kept.contains(&report.path),
            "{report}"
        );
        let sane = !["no text", "empty"].contains(&name);
        assert_eq!(report.owner.is_some(), sane, "{name}: {report}");
        kept.push(report.path);
    }
    assert_eq!(kept.iter().filter(|path| path.exists()).count(), 6);
}

#[test]
fn a_log_without_its_file_is_kept_and_tells_whose_it_was() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let (_, log) = sample(true);
    fs::write(beside(&path, "-wal"), &log).expect("written");
    let journal = open(&path);
    let report = journal.set_aside().expect("reported");
    assert_eq!(fs::read(beside(&report.path, "-wal")).expect("kept"), log);
    assert_eq!(report.owner.expect("found").session, "session");
    let Record::Fact { fact } = &journal.load().expect("read")[0].record else {
        panic!("a fact");
    };
    assert_eq!(Record::Fact { fact: fact.clone() }, run("session"));
}

#[test]
fn a_file_whose_header_forbids_to_write_it_is_set_aside_with_all_its_entries() {
    for bit in 2..8 {
        let (mut file, log) = sample(false);
        file[18] ^= 1 << bit;
        assert_eq!(end(&file, &log), End::SetAside(entries().len()), "{bit}");
    }
}

#[test]
fn the_owner_is_found_in_a_file_without_its_first_page() {
    let (mut file, _) = sample(false);
    file[..PAGE as usize].fill(0x5a);
    let folder = folder();
    let path = folder.path().join("journal.db");
    put(&path, &file, &[]);
    let journal = open(&path);
    let report = journal.set_aside().expect("reported");
    assert_eq!((report.salvaged, report.owner.is_some()), (0, true));
    let open_state = OpenState::of(&journal.load().expect("read"));
    assert_eq!(open_state.owner.expect("known").session, "session");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn nothing_is_lost_without_a_word(
        killed in any::<bool>(),
        hits in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        block in proptest::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>(), 1..700usize)),
    ) {
        let (mut file, mut log) = sample(killed);
        let sound = file.len();
        // Both are one row of bytes here; of a killed process most of the entries are in the log.
        let all = file.len() + log.len();
        let hit = |at: usize, file: &mut Vec<u8>, log: &mut Vec<u8>, to: &dyn Fn(u8) -> u8| {
            let byte = if at < sound { file.get_mut(at) } else { log.get_mut(at - sound) };
            if let Some(byte) = byte {
                *byte = to(*byte);
            }
        };
        for (at, bit) in hits {
            hit(at.index(all), &mut file, &mut log, &|byte| byte ^ (1 << bit));
        }
        if let Some((at, value, length)) = block {
            let at = at.index(all);
            for at in at..at + length {
                hit(at, &mut file, &mut log, &|_| value);
            }
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(sound));
        }
        end(&file, &log);
    }
}
