//! Two engines of one requestor at once, in memory and over HTTP, with one seed or with two: neither
//! ends, pays or releases what is the other's, whether one stops, crashes or comes back.

use std::time::Duration;

use golem_engine::journal::{Journal, MemoryJournal};
use golem_engine::rng::Seed;
use golem_engine::service::{Cluster, Instance, ServiceState};
use golem_engine::tasks::TaskGroup;
use golem_engine::{Golem, GolemBuilder, Recovery};
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::ProviderSpec;
use tokio::time::{sleep, timeout};

use crate::severable::{Cut, severable};
use crate::ticker::{Diary, Ticker, assert_clean};

const MINUTE: Duration = Duration::from_secs(60);

/// Whether the engines have one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seeds {
    Same,
    Different,
}

const BOTH: [Seeds; 2] = [Seeds::Same, Seeds::Different];

fn network() -> Offline {
    let provider = |n| ProviderSpec::new(format!("provider-{n}"));
    Offline::new(5).providers((1..=6).map(provider).collect())
}

/// The engines of a stage: those that it makes have seeds of their own, unless users give them one.
fn builders(stage: &OfflineStage, seeds: Seeds) -> (GolemBuilder, GolemBuilder) {
    let (first, second) = (stage.golem(), stage.golem());
    match seeds {
        Seeds::Different => (first, second),
        Seeds::Same => {
            let seed = Seed::from_u64(99);
            (first.seed(seed), second.seed(seed))
        }
    }
}

async fn cluster(golem: &Golem) -> Cluster<Ticker> {
    let service = golem
        .run_service::<Ticker>()
        .instance_params(vec![Diary::default(); 2]);
    service.start().await.expect("a cluster")
}

fn all_run(instances: &[Instance]) -> bool {
    let states = instances.iter().map(|instance| instance.state);
    states.eq([ServiceState::Running, ServiceState::Running])
}

async fn runs(cluster: &Cluster<Ticker>) {
    let waiting = cluster.wait_until(all_run);
    timeout(5 * MINUTE, waiting).await.expect("they run");
}

fn assert_undisturbed(cluster: &Cluster<Ticker>, seeds: Seeds) {
    let instances = cluster.instances();
    assert!(all_run(&instances), "{seeds:?}: {instances:?}");
    let attempts: Vec<_> = instances.iter().map(|it| it.attempts).collect();
    assert_eq!(attempts, [1, 1], "{seeds:?}");
}

async fn end(cluster: Cluster<Ticker>, golem: Golem) {
    cluster.stop();
    cluster.join().await;
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
}

#[test]
fn an_engine_that_stops_leaves_agreements_and_budget_of_another_alone() {
    for seeds in BOTH {
        network().run(async |stage| {
            let (first, second) = builders(stage, seeds);
            let (first, second) = tokio::join!(first.start(), second.start());
            let (first, second) = (first.expect("starts"), second.expect("starts"));
            let (one, two) = tokio::join!(cluster(&first), cluster(&second));
            runs(&one).await;
            runs(&two).await;
            end(one, first).await;
            sleep(10 * MINUTE).await;
            assert_undisturbed(&two, seeds);
            // Its bills are paid from its own budget, which is still there.
            end(two, second).await;
            assert_clean(stage);
        });
    }
}

#[test]
fn an_engine_that_crashes_and_comes_back_goes_on_with_its_own_only() {
    for seeds in BOTH {
        network().run(async |stage| {
            let (first, second) = builders(stage, seeds);
            let tasks = TaskGroup::new("ways to the daemon");
            let (journal, cut) = (MemoryJournal::new(), Cut::default());
            let first = first
                .journal(journal.clone())
                .transport(severable(stage, &tasks, &cut, |_| ()))
                .start();
            // A microsecond is enough: with one seed on two transports nothing else tells them apart.
            let second = async {
                sleep(Duration::from_millis(1)).await;
                second.start().await
            };
            let (first, second) = tokio::join!(first, second);
            let (first, second) = (first.expect("starts"), second.expect("starts"));
            let (one, two) = tokio::join!(cluster(&first), cluster(&second));
            runs(&one).await;
            runs(&two).await;
            cut.now();
            let kept = MemoryJournal::new();
            for entry in journal.load().expect("entries") {
                kept.append(&entry).expect("memory");
            }
            let back = stage.golem().journal(kept).recovery(Recovery::Settle);
            let back = back.start().await.expect("comes back");
            sleep(10 * MINUTE).await;
            assert_undisturbed(&two, seeds);
            let report = back.stop().await;
            assert!(report.is_clean(), "{report}");
            sleep(MINUTE).await;
            assert_undisturbed(&two, seeds);
            end(two, second).await;
            assert_clean(stage);
        });
    }
}

#[test]
fn two_engines_over_http_leave_each_other_alone() {
    for seeds in BOTH {
        network().real_time().run(async |stage| {
            let (first, second) = builders(stage, seeds);
            let (first, second) = tokio::join!(first.start(), second.start());
            let (first, second) = (first.expect("starts"), second.expect("starts"));
            let (one, two) = tokio::join!(cluster(&first), cluster(&second));
            runs(&one).await;
            runs(&two).await;
            end(one, first).await;
            assert_undisturbed(&two, seeds);
            end(two, second).await;
            sleep(Duration::from_millis(300)).await;
            assert_clean(stage);
        });
    }
}

#[test]
fn two_engines_with_one_seed_give_the_same_run_each_time() {
    let run = || {
        network().run(async |stage| {
            let (journal, other) = (MemoryJournal::new(), MemoryJournal::new());
            let (first, second) = builders(stage, Seeds::Same);
            let first = first.journal(journal.clone()).start();
            let second = second.journal(other.clone()).start();
            let (first, second) = tokio::join!(first, second);
            let (first, second) = (first.expect("starts"), second.expect("starts"));
            let (one, two) = tokio::join!(cluster(&first), cluster(&second));
            runs(&one).await;
            runs(&two).await;
            tokio::join!(end(one, first), end(two, second));
            let load = |journal: MemoryJournal| golem_engine::journal::Journal::load(&journal);
            (
                load(journal).expect("entries"),
                load(other).expect("entries"),
            )
        })
    };
    let (one, two) = run();
    assert_eq!((one.clone(), two.clone()), run());
    assert_ne!(one, two);
}
