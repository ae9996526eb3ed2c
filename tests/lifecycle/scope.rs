//! `Golem::run`: whatever the work does, the engine is stopped after it. Starting a service or tasks may be
//! given up at any time.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, poll};
use golem_engine::event::{EventGroup, EventKind, ExecutionInterrupted};
use golem_engine::{Error, Event, Golem, GolemBuilder, RunError};
use golem_scenarios::OfflineStage;
use golem_scenarios::workload::hello_tasks;
use tokio::time::{sleep, timeout};

use crate::ticker::{Diary, Ticker, assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);

type Interruptions = Arc<Mutex<Vec<String>>>;

/// An engine, and why it is interrupted, if it is.
fn engine(stage: &OfflineStage) -> (GolemBuilder, Interruptions) {
    let told = Interruptions::default();
    let list = Arc::clone(&told);
    let builder = stage.golem().event_observer(move |event: &Event| {
        if let Some(ExecutionInterrupted { reason, .. }) = event.get() {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(format!("{reason:#}"));
        }
    });
    (builder, told)
}

fn told(interruptions: &Interruptions) -> Vec<String> {
    interruptions
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// An instance that runs.
async fn work(golem: &Golem) -> Result<(), Error> {
    let service = golem.run_service::<Ticker>();
    let cluster = service.instance_params([Diary::default()]).start().await?;
    cluster.wait_running(MINUTE).await.expect("it runs");
    Ok(())
}

/// An error of the program's own.
#[derive(Debug, PartialEq)]
struct Mine(u8);

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mine is {}", self.0)
    }
}

impl std::error::Error for Mine {}

#[test]
fn work_that_ends_well_gives_its_value_and_what_became_of_the_engine() {
    network(1, &["alice"]).run(async |stage| {
        let (builder, interruptions) = engine(stage);
        let done = Golem::run(builder, async |golem| {
            work(&golem).await?;
            Ok::<_, Error>(7)
        });
        let (value, report) = done.await.expect("it ends well");
        assert_eq!(value, 7);
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.agreements, 1);
        assert_eq!(told(&interruptions), [] as [&str; 0]);
        assert_clean(stage);
    });
}

#[test]
fn work_that_fails_stops_the_engine_and_keeps_its_error() {
    network(2, &["alice"]).run(async |stage| {
        let (builder, interruptions) = engine(stage);
        let done = Golem::run(builder, async |golem| {
            work(&golem).await.expect("it works");
            Err::<(), _>(Mine(3))
        });
        match done.await.expect_err("it fails") {
            RunError::Work(failed) => {
                assert_eq!(failed.cause.find(), Some(&Mine(3)));
                assert!(failed.report.is_clean(), "{}", failed.report);
            }
            other => panic!("{other}"),
        }
        assert_eq!(told(&interruptions), ["mine is 3"]);
        assert_clean(stage);
    });
}

#[test]
fn work_that_panics_stops_the_engine_before_the_panic_goes_on() {
    network(3, &["alice"]).run(async |stage| {
        let (builder, interruptions) = engine(stage);
        let done = Golem::run(builder, async |golem| {
            work(&golem).await?;
            if golem.budget().accepted.is_zero() {
                panic!("I am wrong");
            }
            Ok::<(), Error>(())
        });
        let panic = AssertUnwindSafe(done).catch_unwind().await;
        let panic = panic.expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&"I am wrong"));
        let told = told(&interruptions);
        assert!(told[0].contains("I am wrong (at "), "{told:?}");
        assert_clean(stage);
    });
}

#[test]
fn a_run_that_is_dropped_half_way_stops_its_engine_by_itself() {
    network(4, &["alice"]).run(async |stage| {
        let (builder, _) = engine(stage);
        let ended = Arc::new(Mutex::new(false));
        let note = Arc::clone(&ended);
        let builder = builder.event_observer(move |event: &Event| {
            if matches!(event.kind, EventKind::ShutdownFinished(_)) {
                *note.lock().unwrap_or_else(PoisonError::into_inner) = true;
            }
        });
        let done = Golem::run(builder, async |golem| {
            work(&golem).await?;
            std::future::pending::<Result<(), Error>>().await
        });
        timeout(10 * MINUTE, done).await.expect_err("dropped");
        sleep(10 * MINUTE).await;
        assert!(*ended.lock().unwrap_or_else(PoisonError::into_inner));
        assert_clean(stage);
    });
}

#[test]
fn an_engine_that_cannot_start_does_no_work_and_says_why() {
    network(5, &["alice"]).run(async |stage| {
        let never = async |_: Golem| -> Result<(), Error> { unreachable!("it did not start") };
        type Change = fn(&mut golem_engine::Config);
        let changes: [(&str, Change); 5] = [
            ("budget", |config| config.budget = golem_engine::Glm::ZERO),
            ("YAGNA_SUBNET", |config| config.subnet = "a)(b=*".into()),
            ("payment_network", |config| config.payment_network.clear()),
            ("poll", |config| config.poll = Duration::ZERO),
            ("market.max_proposals", |config| {
                config.market.max_proposals = 0;
            }),
        ];
        for (name, change) in changes {
            let refused = Golem::run(stage.golem().configure(change), never).await;
            match refused.expect_err("it cannot work") {
                RunError::Start(error @ Error::Config(_)) => {
                    assert!(error.to_string().contains(name), "{error}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_clean(stage);
    });
}

/// Polls a future so often, then drops it.
async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let std::task::Poll::Ready(done) = poll!(&mut future) {
            return Some(done);
        }
        // Others go on, and what takes time gets some.
        sleep(Duration::from_millis(1)).await;
    }
    None
}

#[test]
fn a_start_that_is_given_up_at_any_time_leaves_no_demand_and_its_job_is_over() {
    network(6, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let mut jobs = golem.events(EventGroup::Job);
        let (mut given_up, mut polls) = (0, 0);
        loop {
            polls += 1;
            let service = golem.run_service::<Ticker>();
            let service = service.instance_params([Diary::default()]).start();
            let tasks = golem
                .execute_tasks(hello_tasks::payload())
                .data([1])
                .worker(|ctx, task| async move { hello_tasks::hello(&ctx, task.data).await });
            let started = drop_after(polls, service).await;
            let listed = drop_after(polls, tasks.start()).await;
            let over = started.is_some() && listed.is_some();
            given_up += usize::from(started.is_none()) + usize::from(listed.is_none());
            if let Some(Ok(cluster)) = started {
                cluster.stop();
                cluster.join().await;
            }
            drop(listed);
            sleep(10 * MINUTE).await;
            assert_eq!(golem.gauges().markets, 0, "after {polls} polls");
            if over {
                break;
            }
            assert!(polls < 300, "it starts at some time");
        }
        assert!(given_up > 1, "{given_up}");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        let (mut begun, mut ended) = (0, 0);
        while let Some(event) = jobs.next().await {
            match event.kind {
                EventKind::JobStarted(_) => begun += 1,
                EventKind::JobFinished(_) => ended += 1,
                _ => {}
            }
        }
        assert!(begun > 0 && begun == ended, "{begun} begun, {ended} ended");
        assert_clean(stage);
    });
}
