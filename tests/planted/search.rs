//! Looking for a bug, by the means that users have. Owns: in which order cases are tried, and how many there were.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use golem_scenarios::explore::{Broken, Exploration, Law, Options as ExploreOptions, replay};
use golem_scenarios::sweep::{Kind, Sweep};
use golem_scenarios::workload::Workloads;
use golem_scenarios::{Backend, Options, Scenario, catalog, rehearse};
use workspace_tests::root;

use super::bugs::By;

/// Scenario files that are for these tests alone: what is of use to others is in the catalog.
const FILES: &str = "tests/planted/scenarios";
/// Seeds that are tried at a time.
const BATCH: u64 = 8;
/// Runs of futures that were not optimised need more than threads usually have.
const STACK: usize = 16 * 1024 * 1024;

/// The first case in which something does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// How many cases were tried, this one included.
    pub(crate) cases: u64,
    /// Which it is.
    pub(crate) case: String,
    /// What does not hold.
    pub(crate) what: String,
}

/// Threads.
pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What becomes of each, on all threads; in no certain order.
pub(crate) fn side_by_side<T: Send, R: Send>(
    all: Vec<T>,
    each: impl Fn(T) -> Option<R> + Sync,
) -> Vec<R> {
    let left = Mutex::new(all);
    let done = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let next = left.lock().expect("no panic").pop();
            let Some(next) = next else { return };
            let come_of_it = each(next);
            done.lock().expect("no panic").extend(come_of_it);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs() {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, worker)
                .expect("a thread");
        }
    });
    done.into_inner().expect("no panic")
}

/// Looks for whatever does not hold; `None`: everything does.
pub(crate) fn search(by: By) -> Option<Found> {
    match by {
        By::Explore(seeds) => explore(&[], seeds),
        By::Scenario(name) => run(&catalog::get(name).expect("in the catalog")),
        By::File(name) => run_file(name),
        By::Sweep(name, kind, points) => sweep(name, kind, points),
    }
}

/// How a search is called.
pub(crate) fn called(by: By) -> String {
    match by {
        By::Explore(_) => "`explore`".into(),
        By::Scenario(name) => format!("`run {name}`"),
        By::File(name) => format!("[{name}](scenarios/{name}.yaml)"),
        By::Sweep(name, kind, _) => {
            format!(
                "`sweep {name} --kind {}`",
                format!("{kind:?}").to_lowercase()
            )
        }
    }
}

/// What is said before the first particular.
fn first_part(text: &str) -> String {
    text.split(':').next().unwrap_or(text).trim().to_owned()
}

/// Which law is broken.
fn named(broken: &Broken) -> String {
    match broken.law {
        // Which of the books' laws stands at the beginning.
        Law::BooksAreRight => first_part(&broken.what),
        law => format!("law {}", law.name()),
    }
}

fn explore(around: &[&str], seeds: u64) -> Option<Found> {
    let around: Vec<String> = around.iter().map(|&name| name.to_owned()).collect();
    let exploration =
        Exploration::new(&around, &Workloads::default()).expect("scenarios that can be explored");
    let folder = tempfile::tempdir().expect("a folder");
    let mut begin = 0;
    while begin < seeds {
        let end = (begin + BATCH).min(seeds);
        let options = ExploreOptions {
            seeds: begin..end,
            saturation: None,
            jobs: jobs(),
            shrink: 0,
            failures: folder.path().to_owned(),
            ..ExploreOptions::default()
        };
        let explored = exploration
            .run(&options, &mut |_| {})
            .expect("a folder for failures");
        if let Some(first) = explored.failures.iter().min_by_key(|it| it.seed) {
            return Some(Found {
                cases: first.seed + 1,
                case: format!("seed {}", first.seed),
                what: named(&first.broken),
            });
        }
        begin = end;
    }
    None
}

/// The scenario files beside these tests, in their order.
pub(crate) fn files() -> Vec<String> {
    let folder = std::fs::read_dir(root().join(FILES)).expect("the folder of scenarios");
    let names = folder.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_suffix(".yaml")?.to_owned())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Runs a file beside these tests; `None`: it passes. One whose requestor is `disturbed` is judged as exploring does.
pub(crate) fn run_file(name: &str) -> Option<Found> {
    let path = root().join(FILES).join(format!("{name}.yaml"));
    let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
    if scenario.requestor.disturbed.is_none() {
        return run(&scenario);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let broken = replay(&path, &Workloads::default(), folder.path()).expect("a folder");
    broken.first().map(|broken| Found {
        cases: 1,
        case: "its own seed".into(),
        what: named(broken),
    })
}

fn run(scenario: &Scenario) -> Option<Found> {
    let folder = tempfile::tempdir().expect("a folder");
    let found = |what: String| {
        Some(Found {
            cases: 1,
            case: "its own seed".into(),
            what,
        })
    };
    let options = Options {
        backend: Some(Backend::Memory),
        out: Some(folder.path().to_owned()),
        stuck_after: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let report = match rehearse(scenario, &options) {
        Ok(rehearsal) => rehearsal.report,
        Err(error) => return found(first_part(&error.to_string())),
    };
    if report.ok {
        return None;
    }
    let expected = report.expectations.iter().find(|verdict| !verdict.ok);
    let broken = report.violations.first().map(|it| first_part(it));
    let claim = expected.map(|it| it.expectation.clone());
    let open = (!report.open.is_empty()).then(|| "nothing is left open".to_owned());
    found(broken.or(claim).or(open).unwrap_or_default())
}

fn sweep(name: &str, kind: Kind, points: usize) -> Option<Found> {
    let scenario = catalog::get(name).expect("in the catalog");
    let sweep = match Sweep::prepare(&scenario, name, None, &Workloads::default()) {
        Ok(sweep) => sweep,
        Err(error) => {
            return Some(Found {
                cases: 1,
                case: "the undisturbed run".into(),
                what: first_part(&error.to_string()),
            });
        }
    };
    let mut points: Vec<_> = sweep
        .points(kind)
        .into_iter()
        .take(points)
        .enumerate()
        .collect();
    let all = points.len() as u64;
    points.reverse();
    let left = Mutex::new(points);
    let first: Mutex<Option<Found>> = Mutex::new(None);
    let worker = |folder: &Path| {
        loop {
            // All points before one that failed are tried, so that the answer is the same with any number of threads.
            let next = left.lock().expect("no panic").pop();
            let Some((at, point)) = next else { return };
            if let Some(failure) = sweep.replay(&point, folder).expect("a folder") {
                left.lock().expect("no panic").clear();
                let mut first = first.lock().expect("no panic");
                let cases = at as u64 + 1;
                if first.as_ref().is_none_or(|known| cases < known.cases) {
                    *first = Some(Found {
                        cases,
                        case: format!("point {} of {all}: {point}", cases),
                        what: failure
                            .broken
                            .first()
                            .map_or_else(String::new, |it| first_part(it)),
                    });
                }
            }
        }
    };
    let folders: Vec<_> = (0..jobs())
        .map(|_| tempfile::tempdir().expect("a folder"))
        .collect();
    std::thread::scope(|scope| {
        for folder in &folders {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || worker(folder.path()))
                .expect("a thread");
        }
    });
    first.into_inner().expect("no panic")
}
