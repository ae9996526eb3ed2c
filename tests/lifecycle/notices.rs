//! Providers that announce the end of their agreements: what runs there is somewhere else before it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::event::{AgreementTerminationNotice, ServiceMoved, ServiceRestarted};
use golem_engine::service::ServiceState;
use golem_engine::task::Task;
use golem_engine::{EventKind, WorkContext};
use golem_scenarios::Offline;
use golem_scenarios::workload::hello_tasks;
use mock_yagna::journal::{Actor, Event};
use mock_yagna::{Act, DaemonVersion, MockYagna, ProviderSpec};
use tokio::time::sleep;

use crate::ticker::{assert_clean, running, running_on};

fn network(seed: u64, names: &[&str]) -> Offline {
    let providers = names.iter().map(|name| ProviderSpec::new(*name)).collect();
    let offline = Offline::new(seed).providers(providers);
    offline.configure(|config| config.daemon = DaemonVersion::V0_18)
}

fn drain(network: &MockYagna, provider: &str, within: u64) {
    let act = Act::Drain {
        provider: provider.to_owned(),
        within: Duration::from_secs(within),
        reason: None,
    };
    network.act(act).expect("possible");
}

#[test]
fn an_instance_is_started_elsewhere_before_it_stops_where_the_end_was_announced() {
    for within in [30, 300, 1800] {
        network(3, &["alice", "bob"]).run(async |stage| {
            let told = Arc::new(Mutex::new(Vec::new()));
            let noted = Arc::clone(&told);
            let golem = stage.golem().event_observer(move |event| {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                match &event.kind {
                    EventKind::AgreementTerminationNotice(AgreementTerminationNotice {
                        ..
                    }) => noted.push("notice".to_owned()),
                    EventKind::ServiceMoved(ServiceMoved {
                        from_provider,
                        to_provider,
                        ..
                    }) => noted.push(format!("{from_provider} to {to_provider}")),
                    EventKind::ServiceRestarted(ServiceRestarted { .. }) => {
                        noted.push("restarted".to_owned());
                    }
                    _ => {}
                }
            });
            let (golem, cluster, diary) = running_on(golem, 1).await;
            sleep(Duration::from_secs(60)).await;
            let first = cluster.instances()[0].provider_name.clone().expect("one");
            let other = if first == "alice" { "bob" } else { "alice" };
            drain(stage.network(), &first, within);
            sleep(Duration::from_secs(within)).await;
            let instance = &cluster.instances()[0];
            assert_eq!(instance.state, ServiceState::Running, "{instance:?}");
            assert_eq!(instance.provider_name.as_deref(), Some(other));
            assert_eq!((instance.restarts, &instance.failure), (0, &None));
            // Started twice, stopped once: there before here.
            assert_eq!((diary.count("start"), diary.count("shutdown")), (2, 1));
            assert!(diary.count("worked") > 0, "its agreement was in force");
            let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            assert_eq!(told, ["notice".to_owned(), format!("{first} to {other}")]);
            let (leaver, journal) = (Actor::Provider(first), stage.network().journal_since(0));
            let ended_it = |event: &Event| matches!(event, Event::AgreementTerminated { .. });
            let by_it = journal.iter().filter(|entry| entry.actor == leaver);
            assert!(
                !by_it.map(|entry| &entry.event).any(ended_it),
                "we were earlier"
            );
            let report = golem.stop().await;
            assert!(report.is_clean(), "{report}");
            assert_clean(stage);
        });
    }
}

#[test]
fn where_there_is_nowhere_to_go_it_runs_until_the_end() {
    network(3, &["alice"]).run(async |stage| {
        let (golem, cluster, diary) = running(stage, 1, |_| {}).await;
        drain(stage.network(), "alice", 600);
        sleep(Duration::from_secs(590)).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Running);
        let ticks = diary.count("tick");
        assert!(ticks > 50, "{ticks}");
        sleep(Duration::from_secs(60)).await;
        // The simulated provider takes the activity along.
        assert_eq!((diary.count("shutdown"), cluster.live().len()), (0, 0));
        drop(golem.stop().await);
        assert_clean(stage);
    });
}

#[test]
fn a_stop_while_it_moves_leaves_nothing_behind() {
    for pause in [0, 1, 2, 3, 4, 6, 8] {
        network(3, &["alice", "bob"]).run(async |stage| {
            let (golem, cluster, _) = running(stage, 1, |_| {}).await;
            let first = cluster.instances()[0].provider_name.clone().expect("one");
            drain(stage.network(), &first, 600);
            sleep(Duration::from_millis(pause * 700)).await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "after {pause}: {report}");
            assert_clean(stage);
        });
    }
}

#[test]
fn a_machine_whose_end_is_announced_gets_no_further_task() {
    network(5, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let work = async |ctx: WorkContext, task: Task<u32>| {
            ctx.run("/bin/sh", ["-c", "sleep 20"]).await?;
            hello_tasks::hello(&ctx, task.data).await
        };
        let tasks = golem.execute_tasks(hello_tasks::payload()).data(0..8);
        let tasks = tasks.worker(work).max_workers(1);
        let mut tasks = tasks.start().await.expect("a list");
        let first = tasks.next().await.expect("one").expect("done");
        drain(stage.network(), &first.provider_name, 600);
        // The one in hand is finished there.
        let second = tasks.next().await.expect("one").expect("done");
        assert_eq!(second.provider_name, first.provider_name);
        let mut rest = 0;
        while let Some(result) = tasks.next().await {
            let result = result.expect("done by the other one");
            assert_ne!(result.provider_name, first.provider_name);
            rest += 1;
        }
        assert_eq!(rest, 6);
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn a_pool_keeps_no_machine_whose_end_is_announced() {
    network(6, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let pool = golem.many_of(hello_tasks::payload()).min(1).max(1);
        let pool = pool.start().await.expect("a pool");
        let wait = Duration::from_secs(300);
        pool.wait_ready(wait).await.expect("one is ready");
        let first = pool.acquire().await.expect("a machine");
        let leaver = first.provider_name().to_owned();
        drain(stage.network(), &leaver, 600);
        sleep(Duration::from_secs(60)).await;
        // Who uses it may finish.
        hello_tasks::hello(&first, 1).await.expect("in force");
        first.release().await;
        let second = pool.acquire().await.expect("another machine");
        assert_ne!(second.provider_name(), leaver);
        drop((second, pool));
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}
