//! Several payment platforms, each with a budget of its own: which one pays for what.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::journal::{Journal, MemoryJournal};
use golem_engine::service::HandlerError;
use golem_engine::task::Task;
use golem_engine::tasks::TaskGroup;
use golem_engine::{Error, Glm, Golem, GolemBuilder, WorkContext};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::ProviderSpec;
use serde_json::Value;
use tokio::time::sleep;

use crate::severable::{Cut, severable};
use crate::ticker::{Diary, Ticker, assert_clean};

const HOODI: &str = "erc20-hoodi-tglm";
const POLYGON: &str = "erc20-polygon-glm";

fn glm(text: &str) -> Glm {
    text.parse().expect("an amount")
}

/// A provider that is paid on these platforms and on no other.
fn paid_on(name: &str, platforms: &[&str]) -> ProviderSpec {
    let mut provider = ProviderSpec::new(name);
    for platform in [
        HOODI,
        POLYGON,
        "erc20-holesky-tglm",
        "erc20-amoy-tglm",
        "erc20-mainnet-glm",
    ] {
        if !platforms.contains(&platform) {
            let address = format!("golem.com.payment.platform.{platform}.address");
            provider.properties.insert(address, Value::Null);
        }
    }
    provider
}

fn builder(stage: &OfflineStage, hoodi: &str, polygon: &str) -> GolemBuilder {
    let builder = stage.golem().budget(glm(hoodi));
    builder.also_pay_on("erc20", "Polygon", glm(polygon))
}

async fn hello(ctx: WorkContext, task: Task<u32>) -> Result<String, HandlerError> {
    sleep(Duration::from_secs(5)).await;
    hello_tasks::hello(&ctx, task.data).await
}

/// Says hello so many times on two machines.
async fn work(golem: &Golem, count: u32) {
    let tasks = golem
        .execute_tasks(hello_tasks::payload())
        .data(1..=count)
        .worker(hello)
        .max_workers(2);
    let tasks = tasks.start().await.expect("tasks");
    for done in tasks.collect::<Vec<_>>().await {
        done.expect("a result");
    }
}

/// What the daemon says was spent on each platform, by its allocations that are not released.
async fn spent(golem: &Golem) -> Vec<(String, Glm)> {
    let all = golem.low_level().payment().get_allocations().await;
    let all = all.expect("allocations").into_iter();
    let mut spent: Vec<_> = all
        .map(|it| (it.payment_platform.clone(), it.spent_amount.glm()))
        .collect();
    spent.sort();
    spent
}

async fn assert_ends_well(golem: &Golem, stage: &OfflineStage) {
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

#[test]
fn a_provider_is_paid_on_the_platform_that_it_takes_and_from_the_budget_there() {
    let providers = vec![paid_on("alice", &[HOODI]), paid_on("bob", &[POLYGON])];
    Offline::new(1).providers(providers).run(async |stage| {
        let golem = builder(stage, "1", "1").start().await.expect("an engine");
        work(&golem, 6).await;
        // Their invoices come.
        sleep(Duration::from_secs(60)).await;
        assert_eq!(golem.summary().agreements, 2);
        let budgets = golem.budgets();
        let names: Vec<_> = budgets.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [HOODI, POLYGON], "in the order of the settings");
        for (platform, spent) in spent(&golem).await {
            let told = budgets.iter().find(|(name, _)| *name == platform);
            let told = told.map(|(_, status)| status.accepted);
            assert_eq!(told, Some(spent), "{platform}");
            assert!(spent > Glm::ZERO, "{platform}");
        }
        let sum: Glm = budgets.iter().map(|(_, status)| status.accepted).sum();
        assert_eq!(sum, golem.summary().cost);
        assert_ends_well(&golem, stage).await;
    });
}

#[test]
fn what_one_budget_has_no_room_for_is_paid_from_another_that_the_provider_takes() {
    let both = [HOODI, POLYGON];
    let providers = vec![paid_on("alice", &both), paid_on("bob", &both)];
    Offline::new(2).providers(providers).run(async |stage| {
        // Too little for a machine.
        let golem = builder(stage, "0.0001", "1")
            .start()
            .await
            .expect("an engine");
        work(&golem, 4).await;
        sleep(Duration::from_secs(60)).await;
        let spent = spent(&golem).await;
        assert_eq!(spent[0], (HOODI.to_owned(), Glm::ZERO));
        assert!(spent[1].1 > Glm::ZERO, "{spent:?}");
        assert_ends_well(&golem, stage).await;
    });
}

#[test]
fn the_end_of_one_budget_stops_the_machines_that_it_pays_for_and_no_others() {
    let mut providers = vec![paid_on("alice", &[HOODI]), paid_on("bob", &[POLYGON])];
    for provider in &mut providers {
        provider.prices.cpu_sec = Glm::ZERO;
        provider.prices.duration_sec = glm("0.001");
    }
    Offline::new(3).providers(providers).run(async |stage| {
        let golem = builder(stage, "0.5", "5").start().await.expect("an engine");
        let cluster = golem
            .run_service::<Ticker>()
            .instance_params(vec![Diary::default(); 2])
            .expiration(Duration::from_secs(6 * 3600));
        let cluster = cluster.start().await.expect("a cluster");
        sleep(Duration::from_secs(900)).await;
        let instances = cluster.instances();
        let (over, running): (Vec<_>, Vec<_>) =
            instances.iter().partition(|it| it.failure.is_some());
        assert!(over.len() == 1 && running.len() == 1, "{instances:?}");
        assert_eq!(over[0].provider_name.as_deref(), Some("alice"));
        let why = format!("{:#}", over[0].failure.as_ref().expect("why"));
        assert!(
            why.contains("the budget of 0.5 GLM on erc20-hoodi-tglm"),
            "{why}"
        );
        let exhausted: Vec<_> = golem.budgets().iter().map(|(_, it)| it.exhausted).collect();
        assert_eq!(exhausted, [true, false]);
        assert_ends_well(&golem, stage).await;
    });
}

#[test]
fn each_budget_is_raised_by_the_name_of_its_platform() {
    let providers = vec![paid_on("alice", &[HOODI, POLYGON])];
    Offline::new(4).providers(providers).run(async |stage| {
        let golem = builder(stage, "1", "2").start().await.expect("an engine");
        let raised = golem.amend_budget_on(POLYGON, glm("3")).await;
        assert_eq!(raised.expect("raised").total, glm("3"));
        assert_eq!(golem.budget().total, glm("1"), "the other stays");
        let unknown = golem.amend_budget_on("erc20-amoy-tglm", glm("3")).await;
        let unknown = unknown.expect_err("there is none");
        assert!(matches!(unknown, Error::NoBudgetOn { .. }), "{unknown}");
        let text = unknown.to_string();
        assert!(
            text.contains("erc20-hoodi-tglm, erc20-polygon-glm"),
            "{text}"
        );
        assert_ends_well(&golem, stage).await;
    });
}

#[test]
fn nothing_stays_set_aside_when_one_of_the_budgets_cannot_be() {
    let providers = vec![paid_on("alice", &[HOODI])];
    Offline::new(5).providers(providers).run(async |stage| {
        let builder = stage.golem().also_pay_on("erc20", "nowhere", glm("1"));
        let error = builder.start().await.expect_err("there is no such network");
        let Error::NoPaymentAccount { network, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(network, "nowhere");
        let error = builder_of_two(stage).start().await.expect_err("twice");
        assert!(error.to_string().contains("it is named twice"), "{error}");
        let golem = stage.golem().start().await.expect("an engine");
        assert_eq!(spent(&golem).await.len(), 1, "its own");
        assert_ends_well(&golem, stage).await;
    });
}

fn builder_of_two(stage: &OfflineStage) -> GolemBuilder {
    stage.golem().also_pay_on("ERC20", "hoodi", glm("1"))
}

#[test]
fn a_crashed_engine_s_budgets_are_kept_and_pay_what_is_owed_each_on_its_platform() {
    let providers = vec![paid_on("alice", &[HOODI]), paid_on("bob", &[POLYGON])];
    Offline::new(6).providers(providers).run(async |stage| {
        let (journal, cut) = (MemoryJournal::new(), Cut::default());
        let ways = TaskGroup::new("ways to the daemon");
        let way = severable(stage, &ways, &cut, |_| ());
        let first = builder(stage, "1", "1")
            .transport(way)
            .journal(journal.clone());
        let first = first.start().await.expect("an engine");
        let params = vec![Diary::default(); 2];
        let cluster = first.run_service::<Ticker>().instance_params(params);
        let cluster = cluster.start().await.expect("a cluster");
        cluster
            .wait_running(Duration::from_secs(60))
            .await
            .expect("both run");
        sleep(Duration::from_secs(60)).await;
        cut.now();
        let kept = MemoryJournal::new();
        for entry in journal.load().expect("entries") {
            kept.append(&entry).expect("memory");
        }
        let second = builder(stage, "1", "1").journal(kept).start().await;
        let second = second.expect("another life");
        assert_eq!(
            spent(&second).await.len(),
            2,
            "they were kept, and none was made"
        );
        sleep(Duration::from_secs(60)).await;
        let spent = spent(&second).await;
        assert!(
            spent.iter().all(|(_, spent)| *spent > Glm::ZERO),
            "{spent:?}"
        );
        assert_ends_well(&second, stage).await;
        drop((first, cluster));
    });
}
