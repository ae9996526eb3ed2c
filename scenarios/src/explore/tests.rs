use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::service::HandlerError;
use golem_engine::task::Task;
use golem_engine::{Golem, WorkContext};

use super::*;
use crate::workload::{Job, Running, Section, StartError, Workload, hello_tasks, running_tasks};

/// A list of tasks with a bug: a task that is tried again panics.
struct Fragile;

impl Workload for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        _: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async move {
            let tasks = golem
                .execute_tasks(hello_tasks::payload())
                .data(1..=3)
                .worker(work)
                .max_workers(1);
            Ok(running_tasks(tasks.start().await?))
        }
        .boxed_local()
    }
}

async fn work(ctx: WorkContext, task: Task<u32>) -> Result<String, HandlerError> {
    let said = hello_tasks::hello(&ctx, task.data).await?;
    assert!(task.attempt == 1, "what is tried again was not thought of");
    Ok(said)
}

fn options(failures: &Path, seeds: Range<u64>) -> Options {
    Options {
        seeds,
        failures: failures.to_owned(),
        saturation: None,
        ..Options::default()
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn what_is_drawn_is_a_scenario_whatever_the_seed_and_the_same_for_the_same() {
    let exploration = Exploration::new(&[], &Workloads::default()).expect("small scenarios");
    let mut different = BTreeSet::new();
    for seed in 0..900 {
        let text = exploration
            .drawn(seed)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(exploration.drawn(seed).expect("again"), text);
        different.insert(text);
    }
    assert_eq!(different.len(), 900);
    for family in [
        "reject_first",
        "silent_after",
        "die_before",
        "invoice_factor",
        "restart-daemon",
        "disturbed",
        "lose_answer",
    ] {
        assert!(
            different.iter().any(|text| text.contains(family)),
            "{family}"
        );
    }
}

#[test]
fn every_law_holds_in_networks_that_are_drawn_and_seeds_are_shared_among_machines() {
    let failures = folder();
    let exploration = Exploration::new(&[], &Workloads::default()).expect("small scenarios");
    let told = AtomicUsize::new(0);
    let mut seeds = 0;
    for shard in 1..=2 {
        let options = Options {
            shard: (shard, 2),
            goals: vec![
                "agreement_approved -> invoice_settled"
                    .parse()
                    .expect("a goal"),
            ],
            ..options(failures.path(), 0..24)
        };
        let explored = exploration.run(&options, &mut |_| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let explored = explored.expect("a folder for failures");
        assert!(explored.is_fine(), "{explored}");
        assert!(
            explored.pairs.len() > 100 && explored.virtual_time > Duration::from_secs(600),
            "{explored}"
        );
        seeds += explored.seeds;
    }
    assert_eq!(seeds, 24);
    assert!(told.load(Ordering::Relaxed) >= 2);
    assert!(kept(failures.path()).is_empty());
}

#[test]
fn a_bug_of_a_users_program_is_found_made_small_and_kept_to_be_run_again() {
    let failures = folder();
    let base = failures.path().join("base.yaml");
    let text = "name: fragile\nrequestor: {budget: 5, no_offers_timeout: 5m}\ntasks: {name: fragile, count: 3}\n";
    std::fs::write(&base, text).expect("a file");
    let workloads = Workloads::default().with(Fragile);
    let names = [base.display().to_string()];
    let exploration = Exploration::new(&names, &workloads).expect("the file");
    let options = options(&failures.path().join("kept"), 0..40);
    let explored = exploration.run(&options, &mut |_| {}).expect("a folder");
    let found = explored
        .failures
        .iter()
        .find(|it| it.broken.law == Law::NobodyPanics);
    let found = found.unwrap_or_else(|| panic!("{explored}"));
    assert!(!explored.is_fine() && found.lines <= 8, "{explored}");
    assert_eq!(kept(&options.failures).len(), explored.failures.len());
    let replay_in = folder();
    let broken = replay(&found.file, &workloads, replay_in.path()).expect("the file");
    assert!(
        broken.iter().any(|it| it.class() == found.class),
        "{broken:?}"
    );
    let text = std::fs::read_to_string(&found.file).expect("the file");
    assert!(
        text.starts_with("# nobody-panics: ") && text.contains("rehearse explore --replay"),
        "{text}"
    );
    // The same file, whoever looks for it with however many threads.
    let together = Options {
        seeds: found.seed..found.seed + 1,
        jobs: 3,
        failures: failures.path().join("together"),
        ..options.clone()
    };
    let again = exploration.run(&together, &mut |_| {}).expect("a folder");
    let same = again.failures.iter().find(|it| it.class == found.class);
    let same = same.unwrap_or_else(|| panic!("{again}"));
    assert_eq!(same.shrink_runs, found.shrink_runs);
    let of_the_file = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("# Again"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let other = std::fs::read_to_string(&same.file).expect("the file");
    assert_eq!(of_the_file(&other), of_the_file(&text));
    // What it does without the trouble is no failure.
    assert!(
        replay(&base, &workloads, replay_in.path())
            .expect("the file")
            .is_empty()
    );
}

#[test]
fn a_goal_that_is_never_reached_is_told() {
    let failures = folder();
    let goal: Goal = "law_broken".parse().expect("a goal");
    let exploration =
        Exploration::new(&["hello-tasks".to_owned()], &Workloads::default()).expect("known");
    let options = Options {
        goals: vec![goal],
        ..options(failures.path(), 0..2)
    };
    let explored = exploration.run(&options, &mut |_| {}).expect("a folder");
    assert!(
        !explored.is_fine() && explored.to_string().contains("never reached: law_broken"),
        "{explored}"
    );
}

#[test]
fn it_is_enough_when_nothing_new_happens() {
    let failures = folder();
    let exploration =
        Exploration::new(&["hello-tasks".to_owned()], &Workloads::default()).expect("known");
    let options = Options {
        saturation: Some(1),
        ..options(failures.path(), 0..500)
    };
    let explored = exploration.run(&options, &mut |_| {}).expect("a folder");
    assert_eq!(explored.enough, Enough::Saturation(1), "{explored}");
}

#[test]
fn what_exploring_found_stays_mended() {
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let files = std::fs::read_dir(regressions).expect("the regressions");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(files.len() >= 4);
    for file in files {
        let folder = folder();
        let broken = replay(&file, &Workloads::default(), folder.path()).expect("a scenario");
        assert!(broken.is_empty(), "{}: {broken:?}", file.display());
    }
}
