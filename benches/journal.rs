//! What the journal costs: one entry, a whole agreement with each kind of journal, and how large
//! the file gets.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use golem_engine::Golem;
use golem_engine::journal::{
    Change, Durability, Entry, GroupCommit, Journal, JournalError, MemoryJournal, OpenState,
    Outcome, Record, SqliteJournal,
};
use golem_scenarios::Offline;
use jiff::Timestamp;
use mock_yagna::{ProviderSpec, Seed};
use tempfile::TempDir;
use workspace_benches::engine::Polled;

/// As the engine compacts.
const COMPACT_AFTER: usize = 4_000;

/// Agreements of one run.
const AGREEMENTS: usize = 50;

/// Agreements that the file's size is looked at after.
const MANY: usize = 10_000;

/// The journals that are compared.
#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Process,
    Power,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Memory, Kind::Process, Kind::Power];

    fn name(self) -> &'static str {
        match self {
            Kind::Memory => "memory",
            Kind::Process => "file, Process",
            Kind::Power => "file, Power",
        }
    }

    fn open(self, folder: &TempDir) -> Box<dyn Journal> {
        let durability = match self {
            Kind::Memory => return Box::new(MemoryJournal::new()),
            Kind::Process => Durability::Process,
            Kind::Power => Durability::Power,
        };
        let options = SqliteJournal::options().durability(durability);
        let path = folder.path().join(self.name());
        Box::new(options.open(path).expect("a journal"))
    }
}

/// Counts what goes through.
#[derive(Clone)]
struct Counted {
    journal: Arc<dyn Journal>,
    entries: Arc<AtomicU64>,
}

impl Counted {
    fn new(journal: Box<dyn Journal>) -> Self {
        Counted {
            journal: journal.into(),
            entries: Arc::default(),
        }
    }

    fn count(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }
}

impl Journal for Counted {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.journal.load()
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.journal.append(entry)
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        self.journal.compact(snapshot)
    }

    // Such entries are not counted: the counts are those of a journal in memory.
    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        self.journal.group_commit()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "figures that are no durations")]
fn say(text: &str) {
    println!("{text}");
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Intents and outcomes of an agreement by turns.
fn entry(n: usize) -> Entry {
    let op = (n / 2) as u64;
    let record = if n.is_multiple_of(2) {
        let proposal = format!("R-{n:064x}").into();
        let change = Change::CreateAgreement { proposal };
        Record::Intent { op, change }
    } else {
        let id = Some(format!("{n:064x}"));
        let outcome = Outcome::Done { id };
        Record::Outcome { op, outcome }
    };
    let at = Timestamp::UNIX_EPOCH;
    Entry { at, record }
}

/// Appends so many entries, compacting as the engine does.
fn append(journal: &dyn Journal, times: u64) -> Duration {
    let entries: Vec<_> = (0..COMPACT_AFTER).map(entry).collect();
    let snapshot = Entry {
        at: Timestamp::UNIX_EPOCH,
        record: Record::Snapshot {
            open_state: Box::new(OpenState::default()),
        },
    };
    let begin = now();
    for n in 0..times {
        let at = usize::try_from(n).expect("few") % COMPACT_AFTER;
        journal.append(&entries[at]).expect("written");
        if at + 1 == COMPACT_AFTER {
            journal.compact(&snapshot).expect("compacted");
        }
    }
    begin.elapsed()
}

/// Runs a service with so many instances from offers to accepted invoices, each with `polls`
/// scripts, and `rounds` times one after the other; `look` after each.
fn agreements(
    journal: impl Journal,
    count: usize,
    polls: u64,
    rounds: usize,
    mut look: impl FnMut(usize),
) -> Duration {
    const INTERVAL: Duration = Duration::from_secs(10);
    const MINUTE: Duration = Duration::from_secs(60);
    let providers = ProviderSpec::fleet(count, Seed::from_u64(1));
    let instance = (polls > 0).then_some(INTERVAL);
    Offline::new(1).providers(providers).run(async |stage| {
        let golem: Golem = stage
            .golem()
            .budget(900.into())
            .journal(journal)
            .start()
            .await
            .expect("the engine starts");
        let begin = now();
        for round in 0..rounds {
            let service = golem.run_service::<Polled>();
            let service = service.instance_params(vec![instance; count]);
            let cluster = service.start().await.expect("the service starts");
            cluster.wait_running(MINUTE).await.expect("it runs");
            let polling = INTERVAL.mul_f64(polls as f64 + 0.5);
            tokio::time::sleep(polling).await;
            cluster.stop();
            cluster.join().await;
            // For the invoices.
            tokio::time::sleep(MINUTE).await;
            look(round);
        }
        let report = golem.stop().await;
        let taken = begin.elapsed();
        assert!(report.is_clean(), "{report}");
        taken
    })
}

fn counts() {
    let entries = |count, polls| {
        let journal = Counted::new(Box::new(MemoryJournal::new()));
        agreements(journal.clone(), count, polls, 1, |_| ());
        journal.count()
    };
    let (one, many, polled) = (entries(1, 0), entries(11, 0), entries(1, 6));
    let each = (many - one) as f64 / 10.0;
    let script = (polled - one) as f64 / 6.0;
    say(&format!(
        "journal entries: {one} in a run with one agreement, {each:.1} more for each other one, {script:.1} for each script"
    ));
}

fn size(path: &Path) -> u64 {
    let name = |suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    ["", "-wal"]
        .iter()
        .map(|suffix| fs::metadata(name(suffix)).map_or(0, |file| file.len()))
        .sum()
}

fn sizes() {
    const AT_ONCE: usize = 100;
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = Counted::new(Box::new(SqliteJournal::open(&path).expect("a journal")));
    let mut sizes = Vec::new();
    agreements(journal.clone(), AT_ONCE, 0, MANY / AT_ONCE, |_| {
        sizes.push(size(&path) / 1024);
    });
    drop(journal.journal);
    let tenth = sizes.len() / 10;
    let most: Vec<_> = sizes
        .chunks(tenth)
        .filter_map(|some| some.iter().max())
        .collect();
    let entries = journal.entries.load(Ordering::Relaxed);
    let closed = size(&path) / 1024;
    say(&format!(
        "journal size: after {MANY} agreements ({entries} entries) {closed} KiB closed; most within each tenth of them, with the log: {most:?} KiB"
    ));
}

fn journal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal entry");
    for kind in Kind::ALL {
        let folder = folder();
        let journal = kind.open(&folder);
        group.bench_function(kind.name(), |bencher| {
            bencher.iter_custom(|times| append(&*journal, times));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("whole agreement");
    group.sample_size(10);
    group.throughput(Throughput::Elements(AGREEMENTS as u64));
    for kind in Kind::ALL {
        group.bench_function(kind.name(), |bencher| {
            bencher.iter_custom(|times| {
                let run = |_| {
                    let folder = folder();
                    let journal = Counted::new(kind.open(&folder));
                    agreements(journal, AGREEMENTS, 0, 1, |_| ())
                };
                (0..times).map(run).sum()
            });
        });
    }
    group.finish();
    counts();
    sizes();
}

criterion_group!(benches, journal);
criterion_main!(benches);
