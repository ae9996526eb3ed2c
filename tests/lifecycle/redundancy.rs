//! Results that count only when several providers gave the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::task::{NotConfirmed, TaskError, TaskFailure, TaskResult};
use golem_engine::{Golem, WorkContext};
use golem_scenarios::workload::hello_tasks;

use crate::ticker::{assert_clean, network};

/// Which providers did a task.
type Doers = Arc<Mutex<BTreeMap<u32, Vec<String>>>>;

type Done = Result<TaskResult<u32, f64>, TaskError>;

/// Doubles these numbers, with a machine's error added by `error`; whoever does a task is noted.
async fn doubled(
    golem: &Golem,
    numbers: std::ops::Range<u32>,
    workers: usize,
    error: impl Fn(&str, u32) -> f64 + Send + Sync + 'static,
) -> (Vec<Done>, BTreeMap<u32, Vec<String>>) {
    let doers = Doers::default();
    let (noted, error) = (Arc::clone(&doers), Arc::new(error));
    let work = move |ctx: WorkContext, number: u32| {
        let (noted, error) = (Arc::clone(&noted), Arc::clone(&error));
        async move {
            hello_tasks::hello(&ctx, number).await?;
            let name = ctx.provider_name();
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.entry(number).or_default().push(name.to_owned());
            Ok(f64::from(2 * number) + error(name, number))
        }
    };
    let tasks = golem
        .execute_tasks(hello_tasks::payload())
        .data(numbers)
        .worker(move |ctx, task| work(ctx, task.data))
        .redundancy_by(2, |one, other| (one - other).abs() < 0.1)
        .max_workers(workers)
        .timeout(Duration::from_secs(3600))
        .start()
        .await
        .expect("tasks");
    let done = tasks.collect().await;
    let doers = doers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (done, doers)
}

#[test]
fn a_provider_that_is_alone_with_its_result_is_outvoted() {
    network(31, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let lies = |name: &str, _| if name == "alice" { 100.0 } else { 0.01 };
        let (done, doers) = doubled(&golem, 0..5, 3, lies).await;
        assert_eq!(done.len(), 5);
        for done in done {
            let done = done.expect("confirmed");
            assert!((done.result - f64::from(2 * done.task.data)).abs() < 0.1);
            let doers = &doers[&done.task.data];
            let each: BTreeSet<_> = doers.iter().collect();
            assert!(each.len() == doers.len(), "nobody twice: {doers:?}");
            let expected = 2 + usize::from(each.contains(&"alice".to_owned()));
            assert_eq!(doers.len(), expected, "{doers:?}");
        }
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn one_machine_after_the_other_does_all_it_may() {
    network(32, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (done, doers) = doubled(&golem, 0..6, 1, |_, _| 0.0).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        let firsts: BTreeSet<_> = doers.values().map(|doers| &doers[0]).collect();
        assert_eq!(firsts.len(), 1, "one rental for each provider: {doers:?}");
        assert!(golem.stop().await.is_clean());
        assert_eq!(stage.network().summary().agreements, 2);
        assert_clean(stage);
    });
}

#[test]
fn what_nobody_else_can_confirm_ends_and_says_so() {
    network(33, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let (done, doers) = doubled(&golem, 0..2, 1, |_, _| 0.0).await;
        for done in done {
            let error = done.expect_err("not confirmed");
            let TaskFailure::NoMachine { cause } = &error.reason else {
                panic!("{error:?}");
            };
            assert!(
                cause.to_string().contains("have done these tasks"),
                "{cause}"
            );
        }
        assert!(doers.values().all(|doers| doers.len() == 1), "{doers:?}");
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn providers_that_never_agree_use_the_attempts_up() {
    let names = ["alice", "bob", "carol", "dave", "erin", "frank"];
    network(34, &names).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let own = |name: &str, _| f64::from(name.as_bytes()[0]);
        let (done, _) = doubled(&golem, 0..1, 1, own).await;
        let error = done[0].as_ref().expect_err("not confirmed");
        assert_eq!(
            error.attempts, 5,
            "three retries and one for the second opinion"
        );
        let TaskFailure::Failed { cause, .. } = &error.reason else {
            panic!("{error:?}");
        };
        let said = cause.find::<NotConfirmed>().expect("the reason");
        assert_eq!((said.agreed, said.needed, said.asked), (1, 2, 5));
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}
