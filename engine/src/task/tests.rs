mod shape;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{Daemon, Plan, all_well, fails_at, runs};

async fn echo(ctx: WorkContext, task: Task<u32>) -> Result<String, HandlerError> {
    let done = ctx.run("/bin/echo", [task.data.to_string()]).await?;
    Ok(done.stdout_text().into_owned())
}

async fn all(tasks: Tasks<u32, String>) -> Vec<Result<TaskResult<u32, String>, TaskError>> {
    tasks.collect().await
}

#[tokio::test(start_paused = true)]
async fn every_task_is_done_once_and_machines_are_kept() {
    let daemon = Daemon::new(&["a", "b", "c"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..40)
        .worker(echo)
        .max_workers(3)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    let done: BTreeSet<_> = results
        .iter()
        .flatten()
        .map(|done| (done.task.data, done.result.clone()))
        .collect();
    assert_eq!(done, (0..40).map(|n| (n, n.to_string())).collect());
    assert_eq!(results.len(), 40);
    assert!(daemon.calls("POST /activity-api/v1/activity") <= 3 + daemon.calls("/exec"));
    assert!(
        daemon.is_empty(),
        "the stream ends when everything is given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_provider_failed_goes_to_another_one() {
    let daemon = Daemon::new(&["bad", "good"], |provider, commands| {
        if provider == "bad" && runs(commands) {
            Plan {
                dies: Some(Duration::from_secs(1)),
                results: Vec::new(),
            }
        } else {
            all_well(commands)
        }
    });
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..6)
        .worker(echo)
        .max_workers(2)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    assert_eq!(results.len(), 6);
    for result in results {
        assert_eq!(result.expect("done").provider_name, "good");
    }
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_always_fails_is_given_up_after_its_retries() {
    let daemon = Daemon::new(&["a", "b"], |_, commands| {
        if runs(commands) {
            fails_at(commands, 2, Duration::ZERO)
        } else {
            all_well(commands)
        }
    });
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data([7])
        .worker(echo)
        .max_retries(2)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    let [Err(error)] = results.as_slice() else {
        panic!("{results:?}")
    };
    assert_eq!((error.index, error.attempts), (0, 3));
    assert!(matches!(error.reason, TaskFailure::Failed { .. }));
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_task_is_not_retried_and_its_machine_is_kept() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks =
        golem
            .execute_tasks(Payload::new())
            .data(0..4)
            .worker(|ctx, task: Task<u32>| async move {
                if task.data == 1 {
                    return Err(HandlerError::reject("odd one out"));
                }
                echo(ctx, task).await
            });
    let results = all(tasks.max_workers(1).start().await.expect("tasks")).await;
    let refused: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert_eq!(
        (refused.len(), refused[0].index, refused[0].attempts),
        (1, 1, 1)
    );
    assert_eq!(daemon.calls("/confirm"), 1, "one agreement did it all");
}

#[tokio::test(start_paused = true)]
async fn a_refused_result_is_tried_again_while_its_machine_goes_on() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks =
        golem
            .execute_tasks(Payload::new())
            .data(0..4)
            .worker(|ctx, task: Task<u32>| async move {
                if task.data == 1 && task.attempt < 3 {
                    return Err(HandlerError::reject_result("blurred", true));
                }
                echo(ctx, task).await
            });
    let results = all(tasks.max_workers(1).start().await.expect("tasks")).await;
    let attempts = results.iter().map(|result| {
        let done = result.as_ref().expect("every task is done");
        (done.task.index, done.task.attempt)
    });
    let mut attempts: Vec<_> = attempts.collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [(0, 1), (1, 3), (2, 1), (3, 1)]);
    assert_eq!(daemon.calls("/confirm"), 1, "one agreement did it all");
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_refused_every_time_fails_after_its_last_attempt() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks =
        golem
            .execute_tasks(Payload::new())
            .data([7])
            .worker(|_, _: Task<u32>| async move {
                Err::<String, _>(HandlerError::reject_result("blurred", true))
            });
    let results = all(tasks.max_retries(2).start().await.expect("tasks")).await;
    let [Err(error)] = results.as_slice() else {
        panic!("one error: {results:?}")
    };
    assert_eq!(error.attempts, 3);
    assert!(crate::cause::chain(error).contains("blurred"), "{error}");
    assert_eq!(daemon.calls("/confirm"), 1, "one agreement did it all");
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panicking_worker_fails_its_task_only() {
    let daemon = Daemon::new(&["a", "b"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks =
        golem
            .execute_tasks(Payload::new())
            .data(0..3)
            .worker(|ctx, task: Task<u32>| async move {
                assert!(task.data != 0, "on purpose");
                echo(ctx, task).await
            });
    let results = all(tasks.max_retries(0).start().await.expect("tasks")).await;
    let failed: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert_eq!(failed.len(), 1);
    assert!(
        crate::cause::chain(failed[0]).contains("on purpose"),
        "{}",
        failed[0]
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_gives_everything_back() {
    let daemon = Daemon::new(&["a", "b"], |_, commands| {
        let mut plan = all_well(commands);
        if let Some((after, _)) = plan.results.last_mut() {
            *after = Duration::from_secs(30);
        }
        plan
    });
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..10)
        .worker(echo)
        .max_workers(2)
        .start()
        .await;
    let mut tasks = tasks.expect("tasks");
    tasks.next().await.expect("a result").expect("done");
    drop(tasks);
    sleep(Duration::from_secs(20)).await;
    assert!(daemon.is_empty());
    assert_eq!(daemon.calls("DELETE /market-api/v1/demands"), 1);
}

#[tokio::test(start_paused = true)]
async fn time_that_is_over_is_told_for_each_task_that_is_left() {
    let daemon = Daemon::new(&["a"], |_, commands| Plan {
        results: Vec::new(),
        ..all_well(commands)
    });
    let (golem, _) = daemon.golem().await;
    let began = Instant::now();
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..3)
        .worker(echo)
        .timeout(Duration::from_secs(120))
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    assert!(began.elapsed() < Duration::from_secs(180));
    assert_eq!(results.len(), 3);
    for result in results {
        assert!(matches!(
            result,
            Err(TaskError {
                reason: TaskFailure::Timeout { .. },
                ..
            })
        ));
    }
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_offers_every_task_says_why() {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..2)
        .worker(echo)
        .start()
        .await
        .expect("tasks");
    let results = all(tasks).await;
    assert_eq!(results.len(), 2);
    for result in results {
        assert!(matches!(
            result,
            Err(TaskError {
                reason: TaskFailure::NoMachine { .. },
                ..
            })
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_machines_are_rented_than_there_are_tasks() {
    let daemon = Daemon::new(&["a", "b", "c", "d"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let tasks = golem
        .execute_tasks(Payload::new())
        .data([1])
        .worker(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(String::new()) }
        });
    assert_eq!(
        all(tasks.max_workers(4).start().await.expect("tasks"))
            .await
            .len(),
        1
    );
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(daemon.calls("/confirm"), 1);
    let none = golem
        .execute_tasks(Payload::new())
        .data(Vec::new())
        .worker(echo)
        .start()
        .await;
    assert!(all(none.expect("an empty stream")).await.is_empty());
}
