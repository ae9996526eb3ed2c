//! "No limit", said as `Duration::MAX`, for every setting and call that takes a time.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::script::Command;
use golem_engine::service::HandlerError;
use golem_engine::{Config, Golem};
use golem_scenarios::Offline;
use golem_scenarios::workload::hello_tasks;
use tokio::time::{sleep, timeout};

use crate::ticker::{Diary, Ticker, assert_clean, network};

type Change = fn(&mut Config);

const HOUR: Duration = Duration::from_secs(3600);

macro_rules! settings {
    ($($($field:ident).+),+ $(,)?) => {
        [$((stringify!($($field).+), (|config: &mut Config| config.$($field).+ = Duration::MAX) as Change)),+]
    };
}

fn settings() -> [(&'static str, Change); 27] {
    settings![
        allocation_timeout,
        poll,
        daemon_away,
        activity.change_timeout,
        activity.results_poll,
        activity.health_interval,
        activity.silence,
        activity.short_silence,
        activity.busy_wait,
        market.no_offers_timeout,
        market.answer_timeout,
        market.patience,
        market.last_resort_after,
        market.approval_timeout,
        market.resubscribe_after,
        market.owed_wait,
        payment.grace,
        payment.remember,
        payment.invoice_wait,
        recovery.within,
        recovery.claim_within,
        shutdown.jobs,
        shutdown.activities,
        shutdown.agreements,
        shutdown.invoices,
        shutdown.cleanup,
        shutdown.abort,
    ]
}

/// A service of a minute, and tasks of which one fails once, in an engine that is changed like this.
fn works(offline: Offline, what: &str, change: impl FnOnce(&mut Config) + Send + 'static) {
    offline.run(async |stage| {
        let golem = stage.golem().configure(change).start().await;
        let golem = golem.expect("the engine starts");
        let whole = async {
            serves(&golem, what).await;
            lists(&golem, what).await;
            golem.stop().await
        };
        let report = timeout(12 * HOUR, whole).await;
        let report = report.unwrap_or_else(|_| panic!("{what}: it did not end"));
        assert!(report.is_clean(), "{what}: {report}");
        assert_clean(stage);
    });
}

async fn serves(golem: &Golem, what: &str) {
    let diary = Diary::default();
    let service = golem
        .run_service::<Ticker>()
        .instance_params([diary.clone()])
        .expiration(Duration::MAX)
        .start_timeout(Some(Duration::MAX))
        .shutdown_timeout(Some(Duration::MAX))
        .stop_grace(Duration::MAX);
    let cluster = service.start().await.expect("a cluster");
    let running = cluster.wait_running(Duration::MAX).await;
    running.unwrap_or_else(|error| panic!("{what}: {error}"));
    sleep(Duration::from_secs(60)).await;
    cluster.stop();
    let ended = cluster.join().await;
    assert_eq!(ended[0].failure, None, "{what}");
    assert!(diary.count("tick") >= 3, "{what}");
}

async fn lists(golem: &Golem, what: &str) {
    let work = |ctx: golem_engine::WorkContext, task: golem_engine::task::Task<u32>| async move {
        let script = ctx.script().timeout(Duration::MAX);
        script
            .then(Command::run("/bin/sh", ["-c", "echo tick"]))
            .execute()
            .await?;
        match (task.data, task.attempt) {
            (1, 1) => Err(HandlerError::msg("on purpose")),
            _ => Ok(task.data),
        }
    };
    let tasks = golem
        .execute_tasks(hello_tasks::payload())
        .data([1, 2, 3])
        .worker(work)
        .max_workers(2)
        .timeout(Duration::MAX);
    let done = tasks.start().await.expect("tasks");
    let done: Vec<_> = done
        .map(|done| done.map(|done| done.result))
        .collect()
        .await;
    assert!(
        done.len() == 3 && done.iter().all(Result::is_ok),
        "{what}: {done:?}"
    );
}

#[test]
fn every_setting_may_be_without_a_limit() {
    for (seed, (name, change)) in settings().into_iter().enumerate() {
        let offline = network(seed as u64 + 1, &["alice", "bob", "carol", "dave"]);
        works(offline, name, change);
    }
}

#[test]
fn all_settings_together_may_be_without_a_limit() {
    works(
        network(1, &["alice", "bob", "carol", "dave"]),
        "all",
        |config| {
            for (_, change) in settings() {
                change(config);
            }
            config.shutdown.settlement = Some(Duration::MAX);
        },
    );
}
