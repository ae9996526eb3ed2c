//! What a task list is made of: input that comes late or never ends, machines that are set up once,
//! names, times, and starts that nobody waits for.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use futures::channel::mpsc;
use futures::{FutureExt, SinkExt};

use super::*;
use crate::EventKind;

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// The `run` commands of scripts so far, by their program.
type Ran = Arc<Mutex<Vec<String>>>;

#[tokio::test(start_paused = true)]
async fn a_machine_is_set_up_once_and_its_state_goes_to_each_task() {
    let daemon = Daemon::new(&["a", "b"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let ran = Ran::default();
    let set_up = Arc::clone(&ran);
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..20u32)
        .setup(move |ctx| {
            let set_up = Arc::clone(&set_up);
            async move {
                ctx.run("/bin/setup", []).await?;
                set_up
                    .lock()
                    .expect("a list")
                    .push(ctx.instance().name.clone());
                Ok(ctx.provider_name().to_owned())
            }
        })
        .worker(|provider, ctx, task| async move {
            assert_eq!(*provider, ctx.provider_name());
            echo(ctx, task).await
        })
        .max_workers(2)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    assert!(results.iter().all(Result::is_ok) && results.len() == 20);
    let mut names = ran.lock().expect("a list").clone();
    names.sort();
    assert_eq!(names, ["worker-1", "worker-2"]);
    assert_eq!(daemon.calls("/confirm"), 2, "one agreement each");
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_set_up_that_fails_is_tried_on_another_machine() {
    let daemon = Daemon::new(&["bad", "good"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data([1u32, 2])
        .setup(|ctx| async move {
            if ctx.provider_name() == "bad" {
                return Err("no room for the scene".into());
            }
            Ok(())
        })
        .worker(|_, ctx, task| echo(ctx, task))
        .max_workers(1)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    for result in results {
        assert_eq!(result.expect("done").provider_name, "good");
    }
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_set_up_that_would_fail_anywhere_ends_the_tasks_with_its_reason() {
    let daemon = Daemon::new(&["a", "b"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data([1u32, 2])
        .setup(|_| async { Err::<(), _>(HandlerError::reject("the scene is empty")) })
        .worker(|_, ctx, task| echo(ctx, task))
        .max_workers(1)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    assert_eq!(results.len(), 2);
    for result in results {
        let error = result.expect_err("no machine is set up");
        assert!(
            matches!(&error.reason, TaskFailure::SetupFailed { .. }),
            "{error}"
        );
        let told = crate::cause::chain(&error);
        assert!(told.contains("the scene is empty"), "{told}");
    }
    assert_eq!(daemon.calls("/confirm"), 1, "tried once");
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn endless_input_is_read_as_far_ahead_as_there_are_workers() {
    let daemon = Daemon::new(&["a", "b"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    let numbers = (0u32..).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(numbers)
        .worker(echo)
        .max_workers(2)
        .start()
        .await;
    let mut tasks = tasks.expect("tasks");
    for _ in 0..10 {
        tasks.next().await.expect("a result").expect("done");
    }
    // The results that wait for us, those at work, and those read ahead.
    let most = 10 + RESULT_BUFFER + 2 + 2;
    sleep(seconds(300)).await;
    assert!(read.load(Ordering::SeqCst) <= most, "{read:?}");
    drop(tasks);
    sleep(seconds(60)).await;
    assert!(daemon.is_empty(), "everything is given back");
}

#[tokio::test(start_paused = true)]
async fn tasks_may_be_added_while_others_are_done_and_the_machine_waits_for_them() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let (mut more, data) = mpsc::channel::<u32>(4);
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(data)
        .worker(echo)
        .start()
        .await;
    let mut tasks = tasks.expect("tasks");
    for number in [7, 8, 9] {
        more.send(number).await.expect("it is read");
        let done = tasks.next().await.expect("a result").expect("done");
        assert_eq!(done.task.data, number);
        sleep(seconds(20)).await;
    }
    assert_eq!(daemon.calls("/confirm"), 1, "one agreement did it all");
    drop(more);
    assert!(tasks.next().await.is_none());
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_tasks_for_long_is_given_back_and_another_one_rented_later() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let (mut more, data) = mpsc::channel::<u32>(4);
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(data)
        .worker(echo)
        .idle_timeout(seconds(30))
        .start()
        .await;
    let mut tasks = tasks.expect("tasks");
    sleep(seconds(60)).await;
    assert_eq!(daemon.calls("/confirm"), 0, "nothing is rented for nothing");
    more.send(1).await.expect("it is read");
    tasks.next().await.expect("a result").expect("done");
    sleep(seconds(60)).await;
    assert_eq!(daemon.calls("DELETE /activity-api/v1/activity/"), 1);
    more.send(2).await.expect("it is read");
    tasks.next().await.expect("a result").expect("done");
    assert_eq!(daemon.calls("/confirm"), 2);
    drop(more);
    assert!(tasks.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn input_that_panics_ends_the_list_after_what_came_before() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let numbers = (0u32..).inspect(|number| assert!(*number < 3, "no more numbers"));
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(numbers)
        .worker(echo)
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    let errors: Vec<_> = results.iter().filter_map(|it| it.as_ref().err()).collect();
    assert_eq!((results.len(), errors.len()), (4, 1));
    assert_eq!((errors[0].index, errors[0].attempts), (3, 0));
    assert!(
        matches!(&errors[0].reason, TaskFailure::Input { cause } if matches!(
            cause.find(),
            Some(Error::Callback { message, place: Some(_), .. }) if message.contains("no more numbers")
        ))
    );
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_read_yet_of_a_known_list_gets_its_error_too() {
    let daemon = Daemon::new(&["a"], |_, commands| Plan {
        results: Vec::new(),
        ..all_well(commands)
    });
    let (golem, _) = daemon.golem().await;
    let tasks = golem
        .execute_tasks(Payload::new())
        .data(0..50u32)
        .worker(echo)
        .max_workers(1)
        .timeout(seconds(600))
        .start()
        .await;
    let results = all(tasks.expect("tasks")).await;
    let mut indexes: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().expect_err("time is over").index)
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_called_what_its_owner_wants_unless_another_one_is() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, events) = daemon.golem().await;
    let list = |name: &str| {
        let tasks = golem.execute_tasks(Payload::new()).data([1u32]);
        tasks.worker(echo).job_id(name)
    };
    let tasks = list("render-7").start().await.expect("tasks");
    assert_eq!(tasks.job().as_str(), "render-7");
    for name in [
        "render-7",
        "",
        "a/b",
        "tasks-1",
        "service-12",
        &"x".repeat(65),
    ] {
        let error = list(name).start().await.expect_err("no name");
        assert!(matches!(error, Error::JobName { .. }), "{name}: {error}");
    }
    all(tasks).await;
    sleep(seconds(60)).await;
    let again = list("render-7").start().await.expect("it is free again");
    all(again).await;
    let events = events.lock().expect("events");
    let started = events
        .iter()
        .filter(|event| matches!(event, EventKind::JobStarted(_)));
    assert_eq!(started.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expiration_that_nobody_rents_out_for_is_refused_at_once() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let list = |golem: &Golem| {
        let tasks = golem.execute_tasks(Payload::new()).data([1u32]);
        tasks.worker(echo)
    };
    let now = golem.context().now();
    let soon = now + seconds(240);
    let refused = list(&golem).expires_at(soon).start().await;
    let error = refused.expect_err("too soon");
    let Error::ExpiresTooSoon {
        expires_at,
        earliest,
    } = error
    else {
        panic!("another error: {error}")
    };
    assert!(expires_at == soon && earliest >= now + seconds(300));
    let exact = list(&golem).expires_at(earliest + seconds(1)).start().await;
    let exact = all(exact.expect("tasks")).await;
    assert!(exact.iter().all(Result::is_ok), "{exact:?}");
    // A timeout of a minute is fine: what is rented expires later.
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let short = list(&golem).timeout(seconds(60)).start().await;
    let short = all(short.expect("tasks")).await;
    assert!(short.iter().all(Result::is_ok), "{short:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_dropped_leaves_no_tasks_behind() {
    let daemon = Daemon::new(&["a"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    for polls in 0..12 {
        let tasks = golem.execute_tasks(Payload::new()).data([1u32]);
        let mut start = Box::pin(tasks.worker(echo).start());
        for _ in 0..polls {
            if start.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(start);
    }
    sleep(seconds(120)).await;

    assert!(daemon.is_empty());
}
