//! A month: thirty days of virtual time in which providers come and go, the daemon restarts, answers
//! get lost, and services and lists of tasks follow each other in one engine. The ledger balances,
//! nothing is left open, and what the engine keeps does not grow.
//!
//! With `GOLEM_TESTS=whole` it is the month; otherwise its first days, and the test says so.

mod growth;
mod trouble;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::journal::{Entry, Journal, JournalError, OpenState, SqliteJournal};
use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, Gauges, Glm, Golem, WorkContext};
use golem_scenarios::Offline;
use mock_yagna::{ProviderSpec, Seed};
use workspace_tests::{tell, whole};

#[global_allocator]
static HEAP: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// What one test holds is not to be taken for another's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What an engine may hold after a month: about what it holds after a day.
const MOST_HEAP: usize = 4 << 20;

const SEED: u64 = 30;
const MONTH: u32 = 30;
/// Days of a sample: two to compare with, and some more.
const SAMPLE: u32 = 5;
/// A day has so many shifts: a service, then a list of tasks.
const SHIFTS: u32 = 3;
/// From the beginning of a shift to that of the next one; what the work leaves of it is quiet.
const EVERY: Duration = Duration::from_secs(8 * 3600);
/// How long a service is kept. Longer agreements need payments on the way.
const SHIFT: Duration = Duration::from_secs(7 * 3600);
const PROVIDERS: usize = 8;
const INSTANCES: u32 = 2;
const TASKS: u32 = 12;
/// Entries of the journal, at most: it is put together after four thousand.
const MOST_ENTRIES: usize = 4_100;

/// A journal that counts its entries.
struct Counted {
    inner: SqliteJournal,
    entries: Arc<AtomicUsize>,
}

impl Journal for Counted {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.inner.load()
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.inner.append(entry)
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        self.entries.store(1, Ordering::Relaxed);
        self.inner.compact(snapshot)
    }
}

/// Asks its provider for the time, four times an hour.
struct Clockwork;

impl Service for Clockwork {
    type Params = ();

    fn new(_: &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Clockwork)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(image())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(900)) => {}
            }
            ctx.run("/bin/sh", ["-c", "date"]).await?;
        }
    }
}

fn image() -> Payload {
    vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
        .image_url("http://images.invalid/clockwork.gvmi")
        .into()
}

/// What a shift came to.
#[derive(Default)]
struct Done {
    instances: usize,
    failed: usize,
    tasks: usize,
}

async fn shift(golem: &Golem, done: &mut Done) -> Result<(), Error> {
    let cluster = golem
        .run_service::<Clockwork>()
        .instance_params(vec![(); INSTANCES as usize])
        .expiration(SHIFT + Duration::from_secs(1800))
        .start()
        .await?;
    tokio::time::sleep(SHIFT).await;
    cluster.stop();
    let ended = cluster.join().await;
    done.instances += ended.len();
    done.failed += ended.iter().filter(|i| i.failure.is_some()).count();

    let hello = |ctx: WorkContext, task: golem_engine::task::Task<u32>| async move {
        let said = ctx.run("/bin/sh", ["-c".to_owned(), format!("echo {}", task.data)]);
        Ok(said.await?.stdout_text().trim().to_owned())
    };
    let tasks = golem.execute_tasks(image()).data(1..=TASKS).worker(hello);
    let mut results = tasks.max_workers(4).start().await?;
    while let Some(result) = results.next().await {
        done.tasks += usize::from(result.is_ok());
    }
    Ok(())
}

/// What is on disk of a journal: the file and what SQLite keeps beside it.
fn on_disk(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
    sizes.sum()
}

struct Sample {
    gauges: Gauges,
    entries: usize,
    bytes: u64,
}

#[test]
fn a_month_of_trouble_or_its_first_days_balances_and_nothing_grows() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let days = if whole() { MONTH } else { SAMPLE };
    tell(&format!(
        "{days} of {MONTH} days; GOLEM_TESTS=whole runs the month"
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let entries = Arc::new(AtomicUsize::new(0));
    let journal = Counted {
        inner: SqliteJournal::open(folder.path().join("journal.db")).expect("a journal"),
        entries: Arc::clone(&entries),
    };
    let providers = ProviderSpec::fleet(PROVIDERS, Seed::from_u64(SEED));
    let network = Offline::new(SEED)
        .providers(providers)
        .configure(|config| config.funds = Glm::from(100_000));
    let (samples, done, report, summary, held) = network.run(async |stage| {
        let golem = stage
            .golem()
            .budget(Glm::from(10_000))
            .journal(journal)
            .start()
            .await
            .expect("the engine starts");
        let mut samples = Vec::new();
        let mut done = Done::default();
        let work = async {
            let mut next = tokio::time::Instant::now();
            for day in 1..=days {
                for _ in 0..SHIFTS {
                    if let Err(error) = shift(&golem, &mut done).await {
                        panic!("day {day}: {error}");
                    }
                    next += EVERY;
                    tokio::time::sleep_until(next).await;
                }
                let sample = Sample {
                    gauges: golem.gauges(),
                    entries: entries.load(Ordering::Relaxed),
                    bytes: on_disk(folder.path()),
                };
                tell(&format!(
                    "day {day:>2}: {:?}, journal {} entries {} bytes, heap {} kB with the network's history",
                    sample.gauges,
                    sample.entries,
                    sample.bytes,
                    HEAP.allocated() / 1024
                ));
                samples.push(sample);
            }
        };
        tokio::select! {
            biased;
            () = trouble::keep_coming(stage.network(), Seed::from_u64(SEED).fork("trouble")) => {}
            () = work => {}
        }
        trouble::end(stage.network());
        // What was out of reach a moment ago can be dealt with now.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let before = HEAP.allocated();
        let report = golem.stop().await;
        drop(golem);
        // Accepted invoices are paid meanwhile.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let held = before.saturating_sub(HEAP.allocated());
        (samples, done, report, stage.network().summary(), held)
    });

    tell(&format!(
        "{summary}\n{} instances, {} failed, {} task results\n{report}\nthe engine held {} kB of heap",
        done.instances,
        done.failed,
        done.tasks,
        held / 1024
    ));
    assert!(held <= MOST_HEAP, "an engine of a month holds {held} bytes");
    let open_state = SqliteJournal::open(folder.path().join("journal.db"))
        .and_then(|journal| Ok(OpenState::of(&journal.load()?)))
        .expect("a journal");
    let unresolved: Vec<_> = open_state
        .unresolved
        .values()
        .map(|left| left.change.to_string())
        .collect();
    tell(&format!(
        "the journal ends with {} agreements, unresolved: {unresolved:?}",
        open_state.agreements.len()
    ));
    assert_eq!(samples.len(), days as usize);
    assert!(summary.violations.is_empty(), "{summary}");
    assert!(summary.open.is_empty(), "{summary}");
    assert_eq!(summary.invoiced, summary.paid, "{summary}");
    assert!(report.is_clean(), "{report}");
    let shifts = (days * SHIFTS) as usize;
    assert_eq!(done.tasks, shifts * TASKS as usize);
    assert_eq!(done.instances, shifts * INSTANCES as usize);

    let (first, rest) = samples.split_at(2);
    let most = |number: fn(&Sample) -> u64, of: &[Sample]| of.iter().map(number).max();
    for (what, number, slack) in [
        (
            "agreements",
            (|s| s.gauges.agreements as u64) as fn(&Sample) -> u64,
            8,
        ),
        ("accounts", |s| s.gauges.accounts as u64, 8),
        ("markets", |s| s.gauges.markets as u64, 1),
        ("tasks", |s| s.gauges.tasks as u64, 12),
        ("journaled", |s| s.gauges.journaled as u64, 8),
        ("bytes", |s| s.bytes, 2 << 20),
    ] {
        let (early, late) = (most(number, first), most(number, rest));
        let bound = early.map(|early| early + slack);
        assert!(
            late <= bound,
            "{what}: {early:?} on the first days, then {late:?}"
        );
    }
    for sample in &samples {
        assert!(sample.entries <= MOST_ENTRIES, "{} entries", sample.entries);
    }
}
