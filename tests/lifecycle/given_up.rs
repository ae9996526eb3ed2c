//! Machines that are given up: the next one is rented meanwhile, stopping does not wait for them, and
//! what comes to life again is ended and paid for no longer than it was ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::service::ServiceState;
use golem_engine::task::Task;
use golem_engine::{EventKind, WorkContext};
use golem_scenarios::{Offline, workload::hello_tasks};
use mock_yagna::behaviour::Step;
use mock_yagna::journal::Event;
use mock_yagna::{Act, Image, MockYagna, ProviderSpec};
use tokio::time::{Instant, sleep};

use crate::ticker::{assert_clean, network, running, unbilled};

/// A provider that vanishes when it was sent its first command.
fn mortal(name: &str) -> ProviderSpec {
    let mut provider = ProviderSpec::new(name);
    provider.behaviour.die_after = Some(Step::Start);
    provider
}

fn set_online(network: &MockYagna, provider: &str, online: bool) {
    let provider = provider.to_owned();
    network
        .act(Act::SetOnline { provider, online })
        .expect("possible");
}

fn count(network: &MockYagna, wanted: impl Fn(&Event) -> bool) -> usize {
    let journal = network.journal_since(0);
    journal.iter().filter(|entry| wanted(&entry.event)).count()
}

#[test]
fn the_next_machine_is_rented_before_the_lost_one_is_given_back() {
    let mut providers = ["alice", "bob", "carol"].map(mortal).to_vec();
    providers.push(ProviderSpec::new("dave"));
    let mut losses = 0;
    for seed in 1..=8 {
        let offline = Offline::new(seed)
            .providers(providers.clone())
            .image(Image::Shell);
        losses += offline.run(async |stage| {
            let times = Arc::new(Mutex::new((Vec::new(), Vec::new())));
            let noted = Arc::clone(&times);
            let golem = stage.golem().event_observer(move |event| {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                match &event.kind {
                    EventKind::AgreementConfirmed(_) => noted.0.push(Instant::now()),
                    EventKind::WorkerFinished(worker) if worker.error.is_some() => {
                        noted.1.push(Instant::now());
                    }
                    _ => {}
                }
            });
            let golem = golem.start().await.expect("the engine starts");
            let work =
                async |ctx: WorkContext, task: Task<u32>| hello_tasks::hello(&ctx, task.data).await;
            let payload = hello_tasks::payload();
            let tasks = golem
                .execute_tasks(payload)
                .data(0..2)
                .worker(work)
                .max_workers(1);
            let mut tasks = tasks.start().await.expect("a list");
            let mut done = 0;
            while let Some(result) = tasks.next().await {
                result.expect("done by the other one");
                done += 1;
            }
            assert_eq!(done, 2, "seed {seed}");
            drop(golem.stop().await);
            let (rented, lost) = times.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (before, lost) in lost.iter().enumerate() {
                // It may be there already: another one is looked for while one is silent.
                let next = rented[before + 1];
                let after = next.saturating_duration_since(*lost);
                assert!(
                    after <= Duration::from_secs(1),
                    "seed {seed}: {after:?} after the loss"
                );
            }
            lost.len()
        });
    }
    assert!(losses > 0, "some of them vanish");
}

#[test]
fn a_stop_with_dead_providers_ends_within_twenty_seconds_and_names_each() {
    let names = ["alice", "bob", "carol", "dave"];
    for (seed, wait) in [(1, 0), (2, 3), (3, 8), (4, 30), (5, 300)] {
        network(seed, &names).run(async |stage| {
            let (golem, _cluster, _) = running(stage, names.len(), |_| {}).await;
            sleep(Duration::from_secs(60)).await;
            for provider in names {
                let provider = provider.to_owned();
                stage
                    .network()
                    .act(Act::Die { provider })
                    .expect("possible");
            }
            sleep(Duration::from_secs(wait)).await;
            let began = Instant::now();
            let report = golem.stop().await;
            let took = began.elapsed();
            assert!(
                took <= Duration::from_secs(20),
                "{wait} s after: {took:?}\n{report}"
            );
            assert_eq!(report.open_agreements.len(), names.len(), "{report}");
        });
    }
}

#[test]
fn a_machine_that_was_given_up_is_ended_at_its_first_debit_note_and_not_paid_for_longer() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        let provider = cluster.instances()[0].provider_name.clone();
        let provider = provider.expect("it runs");
        sleep(Duration::from_secs(600)).await;
        set_online(stage.network(), &provider, false);
        sleep(Duration::from_secs(240)).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Terminated);
        let is_end = |event: &Event| matches!(event, Event::AgreementTerminated { .. });
        assert_eq!(count(stage.network(), is_end), 0);
        let is_accepted = |event: &Event| matches!(event, Event::DebitNoteAccepted { .. });
        let accepted = count(stage.network(), is_accepted);
        set_online(stage.network(), &provider, true);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(count(stage.network(), is_end), 1, "at its first note");
        let more = count(stage.network(), is_accepted) - accepted;
        assert!(more <= 2, "{more} notes of a machine that nobody uses");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn what_was_given_up_is_settled_like_any_other_when_stopping() {
    unbilled(1, &["alice", "bob"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        let provider = cluster.instances()[0].provider_name.clone();
        let provider = provider.expect("it runs");
        sleep(Duration::from_secs(600)).await;
        set_online(stage.network(), &provider, false);
        sleep(Duration::from_secs(240)).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Terminated);
        set_online(stage.network(), &provider, true);
        sleep(Duration::from_secs(10)).await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.invoices_accepted, 1, "{report}");
        assert_clean(stage);
    });
}
