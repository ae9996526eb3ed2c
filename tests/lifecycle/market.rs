//! The requestor's view of the market: who is rented of many, at what price, and after what time.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::WorkContext;
use golem_engine::service::{Cluster, HandlerError, ServiceState};
use golem_engine::task::Task;
use golem_scenarios::Offline;
use golem_scenarios::workload::hello_tasks;
use mock_yagna::journal::{Actor, Event};
use mock_yagna::{Image, ProviderSpec};
use serde_json::json;
use tokio::time::Instant;

use crate::ticker::{Ticker, assert_clean, running};

/// A hundred providers; the price of each is between 1 and 100 micro-GLM a second, in no order.
fn of_all_prices() -> (Vec<ProviderSpec>, impl Fn(&str) -> u32) {
    let price = |number: u32| 1 + (number * 37 + 11) % 100;
    let provider = move |number: u32| {
        let mut provider = ProviderSpec::new(format!("p{number}"));
        provider.prices.cpu_sec = "0".parse().expect("an amount");
        let a_second = format!("0.{:06}", price(number));
        provider.prices.duration_sec = a_second.parse().expect("an amount");
        provider
    };
    let price_of = move |name: &str| price(name[1..].parse().expect("a number"));
    ((0..100).map(provider).collect(), price_of)
}

#[test]
fn the_least_expensive_of_a_hundred_providers_is_rented() {
    for seed in 1..=10 {
        let (providers, price_of) = of_all_prices();
        Offline::new(seed).providers(providers).run(async |stage| {
            let (golem, _cluster, _) = running(stage, 1, |_| {}).await;
            let journal = stage.network().journal_since(0);
            let rented = journal
                .iter()
                .find_map(|entry| match (&entry.event, &entry.actor) {
                    (Event::AgreementApproved { .. }, Actor::Provider(name)) => {
                        Some(price_of(name))
                    }
                    _ => None,
                });
            let paid = f64::from(rented.expect("one is rented"));
            assert!(paid <= 1.3, "seed {seed}: {paid} times the cheapest");
            drop(golem.stop().await);
            assert_clean(stage);
        });
    }
}

/// How long a list of tasks takes, each of which fails once.
fn each_fails_once(seed: u64, providers: u32, tasks: u32, workers: usize) -> Duration {
    let providers = (0..providers).map(|n| ProviderSpec::new(format!("p{n}")));
    let offline = Offline::new(seed).providers(providers.collect());
    offline.image(Image::Shell).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let work = async |ctx: WorkContext, task: Task<u32>| {
            let said = hello_tasks::hello(&ctx, task.data).await?;
            if task.attempt == 1 {
                return Err(HandlerError::msg("on purpose"));
            }
            Ok(said)
        };
        let began = Instant::now();
        let list = golem
            .execute_tasks(hello_tasks::payload())
            .data(0..tasks)
            .worker(work)
            .max_workers(workers)
            .start()
            .await
            .expect("a list");
        let done: Vec<_> = list.take(tasks as usize).collect().await;
        let took = began.elapsed();
        assert!(done.iter().all(Result::is_ok), "seed {seed}: {done:?}");
        drop(golem.stop().await);
        assert_clean(stage);
        took
    })
}

#[test]
fn tasks_that_fail_once_do_not_wait_for_providers_that_failed_while_others_are_there() {
    for seed in 1..=3 {
        // A second for the first offers, five machines one after the other, and no waiting.
        let took = each_fails_once(seed, 100, 20, 4);
        assert!(took < Duration::from_secs(8), "seed {seed}: {took:?}");
    }
    let took = each_fails_once(1, 100, 12, 1);
    assert!(took < Duration::from_secs(15), "one worker: {took:?}");
}

#[test]
fn where_every_provider_failed_a_task_they_are_asked_again_after_a_moment() {
    // Eight machines one after the other, then those again, each `last_resort_after` later.
    for (tasks, workers) in [(20, 4), (12, 1)] {
        let took = each_fails_once(1, 8, tasks, workers);
        assert!(
            took < Duration::from_secs(34),
            "{workers} workers: {took:?}"
        );
    }
}

/// Instances of a cluster in this state.
fn count(cluster: &Cluster<Ticker>, state: ServiceState) -> usize {
    let instances = cluster.instances();
    instances
        .iter()
        .filter(|instance| instance.state == state)
        .count()
}

#[test]
fn providers_that_had_no_room_are_asked_again_by_a_demand_that_starves() {
    for brings_offers in [true, false] {
        let busy = json!({
            "reoffer": brings_offers,
            "phases": [{ "from": "10m", "until": "30m", "change": { "busy": true } }],
        });
        let provider = |n: u32| {
            let mut provider = ProviderSpec::new(format!("p{n}"));
            provider.behaviour = serde_json::from_value(busy.clone()).expect("a behaviour");
            provider
        };
        let offline = Offline::new(1).providers((0..3).map(provider).collect());
        offline.run(async |stage| {
            let (golem, cluster, diary) = running(stage, 2, |_| {}).await;
            tokio::time::sleep(Duration::from_secs(12 * 60)).await;
            cluster.spawn_instances([diary.clone()]).expect("a third");
            tokio::time::sleep(Duration::from_secs(120)).await;
            assert_eq!(count(&cluster, ServiceState::Running), 2, "no room");
            tokio::time::sleep(Duration::from_secs(17 * 60)).await;
            cluster.spawn_instances([diary]).expect("a fourth");
            tokio::time::sleep(Duration::from_secs(50)).await;
            assert_eq!(
                count(&cluster, ServiceState::Running),
                3,
                "offers again: {brings_offers}"
            );
            drop(golem.stop().await);
            assert_clean(stage);
        });
    }
}

#[test]
fn as_many_machines_are_rented_as_there_are_providers_whatever_is_kept_of_offers() {
    let providers = (0..300).map(|n| ProviderSpec::new(format!("p{n}")));
    let offline = Offline::new(1).providers(providers.collect());
    offline.run(async |stage| {
        let few = |config: &mut golem_engine::Config| {
            config.market.max_proposals = 100;
            // Each machine has its end kept back, all its threads busy.
            config.budget = 10.into();
        };
        let (golem, cluster, _) = running(stage, 300, few).await;
        assert_eq!(count(&cluster, ServiceState::Running), 300);
        drop(golem.stop().await);
        assert_clean(stage);
    });
}
