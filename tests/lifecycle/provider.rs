//! The provider's view: no work for a dead agreement, no new agreement before the old one is paid.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::WorkContext;
use golem_engine::service::{HandlerError, ServiceState};
use golem_engine::task::Task;
use golem_scenarios::Offline;
use mock_yagna::journal::{Actor, Event};
use mock_yagna::{Act, Delay, Image, ProviderSpec};
use tokio::time::sleep;

use crate::ticker::{assert_clean, network, running};

#[test]
fn no_work_is_sent_under_an_agreement_that_is_known_to_have_ended() {
    for seed in 1..=5 {
        network(seed, &["alice", "bob"]).run(async |stage| {
            let (golem, cluster, diary) = running(stage, 2, |_| {}).await;
            sleep(Duration::from_secs(seed * 7)).await;
            let act = Act::TerminateAgreement {
                provider: "alice".into(),
                reason: None,
            };
            stage.network().act(act).expect("possible");
            let ended_at = stage.network().journal_since(0).len();
            cluster
                .wait_until(|all| {
                    all.iter()
                        .any(|instance| instance.state == ServiceState::Terminated)
                })
                .await;
            sleep(Duration::from_secs(60)).await;
            let journal = stage.network().journal_since(0);
            let ended: Vec<_> = journal
                .iter()
                .filter_map(|entry| match &entry.event {
                    Event::AgreementTerminated { agreement, .. } => Some(agreement.clone()),
                    _ => None,
                })
                .collect();
            assert_eq!(ended.len(), 1, "seed {seed}");
            let later = &journal[ended_at..];
            for entry in later {
                if let Event::ActivityCreated { agreement, .. } = &entry.event {
                    assert!(!ended.contains(agreement), "seed {seed}: {entry:?}");
                }
            }
            assert_eq!(diary.count("worked"), 0, "seed {seed}");
            drop(golem.stop().await);
            assert_clean(stage);
        });
    }
}

#[test]
fn a_provider_is_not_signed_again_before_its_invoice_is_accepted() {
    let mut alice = ProviderSpec::new("alice");
    // Later than the time after which a provider that failed is had again.
    alice.behaviour.latency.invoice = Some(Delay::Fixed(Duration::from_secs(15)));
    let offline = Offline::new(3).providers(vec![alice]).image(Image::Shell);
    offline.run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let work = async |ctx: WorkContext, task: Task<u32>| {
            let said = golem_scenarios::workload::hello_tasks::hello(&ctx, task.data).await?;
            if task.attempt == 1 {
                return Err(HandlerError::msg("on purpose"));
            }
            Ok(said)
        };
        let mut tasks = golem
            .execute_tasks(golem_scenarios::workload::hello_tasks::payload())
            .data([1, 2])
            .worker(work)
            .max_workers(1)
            .start()
            .await
            .expect("a list");
        let mut done = 0;
        while let Some(result) = tasks.next().await {
            result.expect("the second attempt works");
            done += 1;
        }
        assert_eq!(done, 2);
        let mut owed = 0i32;
        for entry in stage.network().journal_since(0) {
            match entry.event {
                Event::AgreementApproved { .. } => {
                    assert_eq!(owed, 0, "signed again while something was owed: {entry:?}");
                    owed += 1;
                }
                Event::InvoiceAccepted { .. } => owed -= 1,
                _ => assert_ne!(entry.actor, Actor::Scenario),
            }
        }
        drop(golem.stop().await);
        assert_clean(stage);
    });
}

#[test]
fn a_draft_of_an_offer_that_ended_meanwhile_costs_no_time() {
    let short = |name: &str| {
        let mut provider = ProviderSpec::new(name);
        provider.offer_age = Some(Duration::from_secs(3600 - 60));
        provider
    };
    let offline = Offline::new(1).providers(vec![short("alice"), short("bob")]);
    offline.run(async |stage| {
        let (golem, cluster, diary) = running(stage, 1, |_| {}).await;
        // The other provider's draft lies ready, its offer ends, and a new one comes.
        sleep(Duration::from_secs(120)).await;
        cluster.spawn_instances([diary]).expect("a second one");
        let both = cluster.wait_until(|all| {
            let states = all.iter().map(|instance| instance.state);
            states.filter(|s| *s == ServiceState::Running).count() == 2
        });
        let in_time = tokio::time::timeout(Duration::from_secs(10), both).await;
        assert!(in_time.is_ok(), "{:?}", cluster.instances());
        drop(golem.stop().await);
        let journal = stage.network().journal_since(0);
        let count = |wanted: fn(&Event) -> bool| {
            journal.iter().filter(|entry| wanted(&entry.event)).count()
        };
        let created = count(|event| matches!(event, Event::AgreementCreated { .. }));
        let approved = count(|event| matches!(event, Event::AgreementApproved { .. }));
        assert_eq!((created, approved), (2, 2));
        assert_clean(stage);
    });
}
