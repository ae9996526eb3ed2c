//! The time of a list of tasks, and of an attempt at one of them.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::task::{Task, TaskFailure};
use golem_engine::{Golem, WorkContext};
use golem_scenarios::Offline;
use golem_scenarios::workload::hello_tasks;
use mock_yagna::ProviderSpec;
use serde_json::json;
use tokio::time::Instant;

use crate::ticker::{Diary, Ticker, assert_clean, network};

const SECOND: Duration = Duration::from_secs(1);

async fn hello(
    ctx: WorkContext,
    task: Task<u32>,
) -> Result<String, golem_engine::service::HandlerError> {
    hello_tasks::hello(&ctx, task.data).await
}

/// Three providers, of which alice is the cheapest and ends no command that she runs.
fn hanging(seed: u64) -> Offline {
    let mut alice = ProviderSpec::new("alice");
    let hang = serde_json::from_value(json!({"command": "run"})).expect("a trouble");
    alice.behaviour.hang_command = Some(hang);
    let others = ["bob", "carol"].map(ProviderSpec::new);
    let providers = std::iter::once(alice).chain(others);
    Offline::new(seed).providers(providers.collect())
}

#[test]
fn a_list_may_be_shorter_than_providers_rent_out() {
    for time in [20, 240, 300, 301] {
        network(time, &["alice", "bob"]).run(async |stage| {
            let golem = stage.golem().start().await.expect("the engine starts");
            let tasks = golem
                .execute_tasks(hello_tasks::payload())
                .data(1..=12)
                .worker(hello)
                .max_workers(4)
                .timeout(time_of(time));
            let done: Vec<_> = tasks.start().await.expect("tasks").collect().await;
            assert_eq!(
                done.iter().filter(|done| done.is_ok()).count(),
                12,
                "{time}: {done:?}"
            );
            assert!(golem.stop().await.is_clean());
            assert_clean(stage);
        });
    }
}

fn time_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_service_may_be_shorter_than_providers_rent_out() {
    network(1, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let cluster = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()])
            .expiration(time_of(120));
        let began = Instant::now();
        let cluster = cluster.start().await.expect("a cluster");
        cluster.wait_running(60 * SECOND).await.expect("it runs");
        cluster.join().await;
        assert!(began.elapsed() < time_of(120), "{:?}", began.elapsed());
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

/// Works off a list on a network with a provider that ends nothing.
async fn list(golem: &Golem, attempt: Option<Duration>) -> (usize, Vec<TaskFailure>, Duration) {
    let mut tasks = golem
        .execute_tasks(hello_tasks::payload())
        .data(1..=6)
        .worker(hello)
        .max_workers(3)
        .timeout(time_of(900));
    if let Some(attempt) = attempt {
        tasks = tasks.attempt_timeout(attempt);
    }
    let began = Instant::now();
    let done: Vec<_> = tasks.start().await.expect("tasks").collect().await;
    let took = began.elapsed();
    let (done, failed): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    let failed = failed.into_iter().filter_map(Result::err);
    (done.len(), failed.map(|error| error.reason).collect(), took)
}

#[test]
fn a_provider_that_never_ends_a_task_costs_one_attempt() {
    for seed in 1..=3 {
        hanging(seed).run(async |stage| {
            let golem = stage.golem().start().await.expect("the engine starts");
            let (done, failed, took) = list(&golem, Some(30 * SECOND)).await;
            assert_eq!((done, failed.as_slice()), (6, &[][..]), "seed {seed}");
            assert!(
                took > 30 * SECOND && took < 90 * SECOND,
                "seed {seed}: {took:?}"
            );
            assert!(golem.stop().await.is_clean());
            assert_clean(stage);
        });
    }
}

#[test]
fn attempts_that_all_take_too_long_are_used_up_and_say_so() {
    let mut alice = ProviderSpec::new("alice");
    let hang = serde_json::from_value(json!({"command": "run"})).expect("a trouble");
    alice.behaviour.hang_command = Some(hang);
    Offline::new(1).providers(vec![alice]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([1])
            .worker(hello)
            .attempt_timeout(10 * SECOND)
            .max_retries(1);
        let done: Vec<_> = tasks.start().await.expect("tasks").collect().await;
        let error = golem_engine::error::chain(done[0].as_ref().expect_err("it never ends"));
        assert!(
            error.contains("2 attempts") && error.contains("did not end within 10s"),
            "{error}"
        );
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}
