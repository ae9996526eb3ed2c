//! Providers that cannot be reached for a while: their machines are kept, and what they were at goes on;
//! those that stay away are lost after the time that the settings give them, and those that are known to
//! have ended at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::payload::Payload;
use golem_engine::service::{Cluster, HandlerError, InstanceInfo, Service, ServiceState};
use golem_engine::task::Task;
use golem_engine::{Error, Golem, WorkContext};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::journal::Event;
use mock_yagna::{Act, Delay, Image, ProviderSpec};
use tokio::time::{Instant, sleep};
use workspace_tests::whole;

use crate::ticker::{assert_clean, network, running};

const SH: &str = "/bin/sh";

/// A service that sends files and programs, none of which may be sent twice, and counts its rounds.
struct Worker(Arc<Mutex<u32>>);

impl Service for Worker {
    type Params = Arc<Mutex<u32>>;

    fn new(rounds: &Self::Params, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Worker(Arc::clone(rounds)))
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(hello_tasks::payload())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            let mut script = ctx.script();
            drop(script.upload_bytes(vec![7; 100_000], "/golem/work/file"));
            drop(script.run(SH, ["-c", "echo round >> /golem/work/rounds; sleep 20"]));
            let file = script.download_bytes("/golem/work/file");
            script.execute().await?;
            assert_eq!(file.await?.len(), 100_000);
            let said = ctx.run(SH, ["-c", "wc -l < /golem/work/rounds"]).await?;
            let rounds = {
                let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                *rounds += 1;
                *rounds
            };
            assert_eq!(said.stdout_text().trim(), rounds.to_string(), "each once");
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = sleep(Duration::from_secs(7)) => {}
            }
        }
    }
}

fn slow(name: &str) -> ProviderSpec {
    let mut provider = ProviderSpec::new(name);
    provider.behaviour.latency.deploy = Some(Delay::Fixed(Duration::from_secs(15)));
    provider
}

fn set_online(stage: &OfflineStage, provider: &str, online: bool) {
    let provider = provider.to_owned();
    let act = Act::SetOnline { provider, online };
    stage.network().act(act).expect("possible");
}

fn agreements(stage: &OfflineStage) -> usize {
    let journal = stage.network().journal_since(0);
    journal
        .iter()
        .filter(|entry| matches!(entry.event, Event::AgreementApproved { .. }))
        .count()
}

async fn working(stage: &OfflineStage) -> (Golem, Cluster<Worker>, Arc<Mutex<u32>>) {
    let golem = stage.golem().start().await.expect("the engine starts");
    let rounds = Arc::new(Mutex::new(0));
    let cluster = golem
        .run_service::<Worker>()
        .instance_params([Arc::clone(&rounds)])
        .start()
        .await
        .expect("a cluster");
    (golem, cluster, rounds)
}

#[test]
fn a_provider_out_of_reach_for_a_while_goes_on_where_it_was_whatever_that_was() {
    // From its creation at about 3 s: deploy to 18 s, an upload, 20 s at work, a download, 7 s of nothing.
    let moments = [5, 12, 17, 20, 25, 30, 37, 39, 41, 43, 45, 52, 64];
    for after in moments.into_iter().step_by(if whole() { 1 } else { 3 }) {
        for away in [20, 60] {
            let offline = Offline::new(after).providers(vec![slow("alice")]);
            offline.image(Image::Shell).run(async |stage| {
                let case = format!("{away} s away after {after} s");
                let (golem, cluster, rounds) = working(stage).await;
                let rounds = || *rounds.lock().unwrap_or_else(PoisonError::into_inner);
                sleep(Duration::from_secs(after)).await;
                set_online(stage, "alice", false);
                sleep(Duration::from_secs(away)).await;
                let before = rounds();
                set_online(stage, "alice", true);
                sleep(Duration::from_secs(120)).await;
                let instance = &cluster.instances()[0];
                assert_eq!(
                    instance.state,
                    ServiceState::Running,
                    "{case}: {instance:?}"
                );
                assert!(rounds() >= before + 2, "{case}: work goes on");
                assert_eq!(agreements(stage), 1, "{case}");
                let report = golem.stop().await;
                assert!(report.is_clean(), "{case}: {report}");
                assert_clean(stage);
            });
        }
    }
}

#[test]
fn a_provider_that_dies_is_noticed_when_its_silence_has_been_waited_out() {
    for (seed, silence) in [(1, 120), (2, 30), (3, 300)] {
        network(seed, &["alice"]).run(async |stage| {
            let silence = Duration::from_secs(silence);
            let (golem, cluster, _) = running(stage, 1, move |config| {
                config.activity.silence = silence;
            })
            .await;
            sleep(Duration::from_secs(33)).await;
            let provider = "alice".to_owned();
            let act = Act::Die { provider };
            stage.network().act(act).expect("possible");
            let began = Instant::now();
            cluster
                .wait_until(|all| all[0].state == ServiceState::Terminated)
                .await;
            let took = began.elapsed();
            let a_little = Duration::from_secs(20);
            assert!(took >= silence && took <= silence + a_little, "{took:?}");
            drop(golem.stop().await);
        });
    }
}

#[test]
fn what_the_daemon_knows_to_have_ended_is_not_waited_for() {
    let ends = [
        |provider| Act::KillActivity { provider },
        |provider| Act::KillExeUnit { provider },
        |provider| Act::TerminateAgreement {
            provider,
            reason: None,
        },
    ];
    for (seed, end) in (1..).zip(ends) {
        network(seed, &["alice"]).run(async |stage| {
            let (golem, cluster, _) = running(stage, 1, |_| {}).await;
            sleep(Duration::from_secs(33)).await;
            stage.network().act(end("alice".into())).expect("possible");
            let began = Instant::now();
            cluster
                .wait_until(|all| all[0].state == ServiceState::Terminated)
                .await;
            assert!(
                began.elapsed() <= Duration::from_secs(15),
                "{seed}: {:?}",
                began.elapsed()
            );
            drop(golem.stop().await);
        });
    }
}

/// Runs one task of so many seconds while alice, who is the cheapest, is away for a minute, `from` seconds
/// after the beginning; answers how many agreements that took, and how long.
fn task_beside_silence(others: &[&str], seconds: u64, from: u64) -> (usize, Duration) {
    let mut providers = vec![ProviderSpec::new("alice")];
    for name in others {
        let mut other = ProviderSpec::new(*name);
        other.prices.duration_sec = "0.001".parse().expect("a price");
        providers.push(other);
    }
    let offline = Offline::new(1).providers(providers).image(Image::Shell);
    let mut found = (0, Duration::ZERO);
    offline.run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let work = move |ctx: WorkContext, _: Task<()>| async move {
            let line = format!("sleep {seconds}");
            ctx.run(SH, ["-c".to_owned(), line]).await?;
            Ok(())
        };
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([()])
            .worker(work);
        let mut tasks = tasks.max_workers(1).start().await.expect("a list");
        let began = Instant::now();
        let away = async {
            sleep(Duration::from_secs(from)).await;
            set_online(stage, "alice", false);
            sleep(Duration::from_secs(60)).await;
            set_online(stage, "alice", true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = away => {}
            done = tasks.next() => {
                done.expect("a result").expect("done");
            }
        }
        found = (agreements(stage), began.elapsed());
        set_online(stage, "alice", true);
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
    found
}

#[test]
fn a_task_on_a_silent_machine_goes_to_another_one_unless_it_is_worth_the_wait() {
    let seconds = Duration::from_secs;
    let (agreements, took) = task_beside_silence(&[], 10, 5);
    assert_eq!(agreements, 1, "nobody else is there: the machine is kept");
    assert!(took <= seconds(100), "{took:?}");
    let (agreements, took) = task_beside_silence(&["bob"], 10, 5);
    assert_eq!(agreements, 2, "another one takes over");
    assert!(took <= seconds(40), "{took:?}");
    let (agreements, took) = task_beside_silence(&["bob"], 150, 110);
    assert_eq!(agreements, 1, "what was done is worth more than the wait");
    assert!(took <= seconds(200), "{took:?}");
}
