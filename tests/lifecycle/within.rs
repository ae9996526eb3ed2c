//! Waits that are given up, by a limit or a signal: each call says so by its type, and nothing is left behind.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::script::Command;
use golem_engine::{CancellationToken, GivenUp, Within};
use golem_scenarios::workload::hello_tasks;
use tokio::time::sleep;

use crate::ticker::{assert_clean, network, running};

/// Short of what anything takes, and long enough for most of it to have begun.
const LIMITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_secs(2),
];

#[test]
fn renting_and_acquiring_are_given_up_at_any_time_and_leave_nothing() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let many = golem.many_of(hello_tasks::payload()).max(2);
        let pool = many.start().await.expect("a pool");
        for limit in LIMITS {
            let acquired = pool.acquire().within(limit).await;
            if let Err(given_up) = &acquired {
                assert_eq!(*given_up, GivenUp::TookTooLong { after: limit });
            }
            drop(acquired);
            let renting = golem.one_of(hello_tasks::payload()).rent();
            drop(renting.within(limit).await);
            let token = CancellationToken::new();
            let soon = async {
                sleep(limit).await;
                token.cancel();
            };
            let renting = golem.one_of(hello_tasks::payload()).rent();
            let (rented, ()) = futures::join!(renting.unless(token.cancelled()), soon);
            assert!(rented.is_ok() || rented.is_err_and(|it| it == GivenUp::Cancelled));
        }
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn scripts_outputs_and_results_are_given_up_and_the_machine_goes_on() {
    network(2, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let renting = golem.one_of(hello_tasks::payload()).rent();
        let machine = renting.await.expect("a machine");
        let long = || ["-c", "sleep 30; echo late"].map(str::to_owned);
        let limit = Duration::from_secs(5);
        let too_long = GivenUp::TookTooLong { after: limit };
        let output = machine.command("/bin/sh").args(long()).output();
        assert_eq!(
            output.within(limit).await.expect_err("it takes 30 s"),
            too_long
        );
        let mut running = machine.command("/bin/sh").args(long()).spawn();
        let waited = running.wait().within(limit).await;
        assert_eq!(waited.expect_err("it takes 30 s"), too_long);
        // The wait is given up, not what is waited for.
        let said = running.output().await.expect("it ends");
        assert_eq!(said.stdout_text(), "late\n");
        let mut script = machine.script();
        let handle = script.add(Command::run("/bin/sh", long()));
        let executed = script.execute().within(limit).await;
        assert_eq!(executed.expect_err("it takes 30 s"), too_long);
        assert!(handle.await.is_err());
        hello_tasks::hello(&machine, 1).await.expect("it goes on");
        machine.release().await;
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn clusters_and_tasks_are_waited_for_as_long_as_anybody_wants() {
    network(3, &["alice", "bob"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        let hour = Duration::from_secs(3600);
        cluster
            .wait_running(hour)
            .within(hour)
            .await
            .expect("in time")
            .expect("it runs");
        let joined = cluster.join().within(Duration::from_secs(60)).await;
        assert!(joined.is_err_and(GivenUp::is_timeout));
        let mut tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([1, 2])
            .worker(async |ctx, _| {
                ctx.run("/bin/sleep", ["20"]).await?;
                Ok(())
            })
            .start()
            .await
            .expect("tasks");
        let first = tasks.next().within(Duration::from_secs(10)).await;
        assert!(first.is_err(), "a task takes 20 s");
        let done = tasks.next().within(hour).await;
        done.expect("in time")
            .expect("one of two")
            .expect("it is done");
        drop(tasks);
        let stopped = golem.stop().within(Duration::from_millis(1)).await;
        assert!(stopped.is_err());
        assert!(golem.stopped().await.is_clean(), "it goes on by itself");
        assert_clean(stage);
    });
}
