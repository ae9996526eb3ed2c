//! A budget that runs out stops the spending, in order and in time, and says so.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::journal::{Journal, MemoryJournal};
use golem_engine::service::{HandlerError, InstanceInfo, Service, ServiceState};
use golem_engine::task::{Task, TaskFailure};
use golem_engine::tasks::TaskGroup;
use golem_engine::{Error, Glm, Golem, Recovery, WorkContext};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::ProviderSpec;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::severable::{Cut, severable};
use crate::ticker::{Diary, Ticker, assert_clean};

fn glm(text: &str) -> Glm {
    text.parse().expect("an amount")
}

/// Providers of which each costs so much for a second, whatever its threads do.
fn network(seed: u64, count: u32, price: &str) -> Offline {
    let named = |number: u32| {
        let mut provider = ProviderSpec::new(format!("p{number}"));
        provider.prices.cpu_sec = Glm::ZERO;
        provider.prices.duration_sec = glm(price);
        provider
    };
    Offline::new(seed).providers((1..=count).map(named).collect())
}

async fn engine(stage: &OfflineStage, budget: &str) -> Golem {
    let golem = stage.golem().budget(glm(budget)).start().await;
    golem.expect("the engine starts")
}

/// Instances that tick until they are stopped; how they ended.
async fn tick<S>(golem: &Golem, params: Vec<S::Params>) -> Vec<golem_engine::service::Instance>
where
    S: Service,
    S::Params: Clone,
{
    let cluster = golem
        .run_service::<S>()
        .instance_params(params)
        .expiration(Duration::from_secs(6 * 3600));
    let cluster = cluster.start().await.expect("a cluster");
    cluster.join().await
}

/// The law that the budget is for: nothing was accepted or is owed beyond it.
async fn assert_within(golem: &Golem, stage: &OfflineStage, budget: &str) {
    let status = golem.budget();
    assert!(status.promised <= glm(budget), "{status:?}");
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert!(report.accepted <= glm(budget), "{report}");
    assert_clean(stage);
}

#[test]
fn instances_are_stopped_in_order_before_the_budget_is_used_up_and_name_it() {
    for seed in 1..=3 {
        network(seed, 3, "0.001").run(async |stage| {
            let golem = engine(stage, "0.5").await;
            let diary = Diary::default();
            let ended = tick::<Ticker>(&golem, vec![diary.clone(); 2]).await;
            for instance in &ended {
                let failure = instance.failure.as_ref();
                let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
                assert!(failure.contains("the budget of 0.5 GLM"), "{instance:?}");
                assert_eq!(instance.state, ServiceState::Terminated);
            }
            assert_eq!(diary.count("shutdown"), 2, "they end in order");
            sleep(Duration::from_secs(30)).await;
            let cost = golem.summary().cost;
            assert!(cost > glm("0.35") && cost <= glm("0.5"), "{cost}");
            assert_within(&golem, stage, "0.5").await;
        });
    }
}

#[test]
fn a_machine_that_costs_the_budget_in_a_minute_is_stopped_in_time() {
    network(1, 3, "0.01").run(async |stage| {
        let golem = engine(stage, "0.5").await;
        let ended = tick::<Ticker>(&golem, vec![Diary::default(); 2]).await;
        let failures: Vec<_> = ended.iter().filter_map(|it| it.failure.clone()).collect();
        assert_eq!(failures.len(), 2, "{ended:?}");
        assert!(
            failures
                .iter()
                .all(|why| format!("{why:#}").contains("budget")),
            "{failures:?}"
        );
        assert_within(&golem, stage, "0.5").await;
    });
}

#[test]
fn usage_that_no_debit_note_tells_of_is_asked_for() {
    // All threads busy all the time, such a machine would cost the budget in minutes.
    let mut provider = ProviderSpec::new("alice");
    provider.behaviour.debit_notes = false;
    provider.prices.start = glm("0.01");
    Offline::new(3)
        .providers(vec![provider])
        .run(async |stage| {
            let golem = engine(stage, "0.2").await;
            let began = Instant::now();
            let ended = tick::<Ticker>(&golem, vec![Diary::default()]).await;
            let failure = ended[0].failure.as_ref();
            let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
            assert!(failure.contains("budget"), "{ended:?}");
            // 0.00005 GLM for a second.
            let used = began.elapsed();
            assert!(used > Duration::from_secs(2400), "{used:?}");
            assert_within(&golem, stage, "0.2").await;
        });
}

async fn hello(ctx: WorkContext, task: Task<u32>) -> Result<String, HandlerError> {
    hello_tasks::hello(&ctx, task.data).await
}

#[test]
fn tasks_that_the_budget_does_not_reach_end_with_a_typed_error() {
    network(2, 4, "0.01").run(async |stage| {
        let golem = engine(stage, "1").await;
        let slow = |ctx: WorkContext, task: Task<u32>| async move {
            sleep(Duration::from_secs(10)).await;
            hello(ctx, task).await
        };
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data(1..=40)
            .worker(slow);
        let tasks = tasks.max_workers(3).start().await.expect("tasks");
        let done: Vec<_> = tasks.collect().await;
        let (done, failed): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        assert!(done.len() > 2 && failed.len() > 20, "{} done", done.len());
        for failure in failed.into_iter().filter_map(Result::err) {
            assert!(
                matches!(failure.reason, TaskFailure::BudgetExhausted(_)),
                "{failure}"
            );
        }
        assert_within(&golem, stage, "1").await;
    });
}

#[test]
fn a_budget_too_small_for_one_machine_is_said_at_once_with_numbers() {
    network(1, 2, "0.01").run(async |stage| {
        let golem = engine(stage, "0.2").await;
        let began = Instant::now();
        let ended = tick::<Ticker>(&golem, vec![Diary::default()]).await;
        let failure = ended[0].failure.as_ref();
        let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
        assert!(
            failure.contains("the budget of 0.2 GLM is too small for a machine")
                && failure.contains("0.21 GLM"),
            "{failure}"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(golem.summary().agreements, 0);
        assert_within(&golem, stage, "0.2").await;
    });
}

#[test]
fn several_jobs_share_one_budget() {
    network(1, 6, "0.002").run(async |stage| {
        let golem = engine(stage, "1").await;
        let jobs = (1..=3).map(|_| tick::<Ticker>(&golem, vec![Diary::default(); 2]));
        for ended in futures::future::join_all(jobs).await {
            for instance in ended {
                let failure = instance.failure.as_ref();
                let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
                assert!(failure.contains("budget"), "{instance:?}");
            }
        }
        assert_within(&golem, stage, "1").await;
    });
}

#[test]
fn a_budget_raised_in_time_keeps_everything_running() {
    network(1, 3, "0.001").run(async |stage| {
        let golem = engine(stage, "0.5").await;
        let diary = Diary::default();
        let cluster = golem
            .run_service::<Ticker>()
            .instance_params([diary.clone()])
            .expiration(Duration::from_secs(6 * 3600));
        let cluster = cluster.start().await.expect("a cluster");
        sleep(Duration::from_secs(300)).await;
        let status = golem.amend_budget(glm("2")).await.expect("raised");
        assert_eq!((status.total, status.exhausted), (glm("2"), false));
        sleep(Duration::from_secs(900)).await;
        let instances = cluster.instances();
        assert_eq!(instances[0].state, ServiceState::Running, "{instances:?}");
        let used = golem.budget().used;
        assert!(used > glm("1.1") && used < glm("1.3"), "{used}");
        assert_within(&golem, stage, "2").await;
    });
}

#[test]
fn a_budget_raised_after_its_end_lets_new_work_begin() {
    network(1, 3, "0.005").run(async |stage| {
        let golem = engine(stage, "0.5").await;
        tick::<Ticker>(&golem, vec![Diary::default()]).await;
        assert!(golem.budget().exhausted);
        let hello = || async {
            let tasks = golem
                .execute_tasks(hello_tasks::payload())
                .data(1..=2)
                .worker(hello);
            let tasks = tasks.start().await.expect("tasks");
            tasks.collect::<Vec<_>>().await
        };
        for refused in hello().await {
            let refused = refused.expect_err("no machine is rented");
            assert!(matches!(refused.reason, TaskFailure::BudgetExhausted(_)));
        }
        golem.amend_budget(glm("1.5")).await.expect("raised");
        for done in hello().await {
            done.expect("there is room again");
        }
        assert_within(&golem, stage, "1.5").await;
    });
}

#[test]
fn a_budget_is_not_raised_above_the_wallet_nor_lowered_below_what_is_spent() {
    let offline = network(1, 1, "0.001").configure(|config| config.funds = glm("10"));
    offline.run(async |stage| {
        let golem = engine(stage, "1").await;
        let refused = golem.amend_budget(glm("11")).await.expect_err("too much");
        assert!(matches!(refused, Error::BudgetTooSmall { .. }), "{refused}");
        assert_eq!(golem.budget().total, glm("1"));
        drop(golem.stop().await);
    });
}

#[test]
fn a_run_without_end_does_not_outlive_its_budget_by_a_handler_that_does_not_end() {
    struct Stubborn;
    impl Service for Stubborn {
        type Params = ();

        fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
            Ok(Stubborn)
        }

        async fn payload() -> Result<golem_engine::payload::Payload, Error> {
            Ok(hello_tasks::payload())
        }

        async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
            ctx.script().execute().await?;
            Ok(())
        }

        async fn run(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
            std::future::pending().await
        }

        async fn shutdown(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
            std::future::pending().await
        }
    }
    network(1, 1, "0.005").run(async |stage| {
        let golem = engine(stage, "0.5").await;
        let ended = tick::<Stubborn>(&golem, vec![()]).await;
        let failure = ended[0].failure.as_ref();
        let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
        assert!(failure.contains("budget"), "{ended:?}");
        assert_within(&golem, stage, "0.5").await;
    });
}

#[test]
fn a_provider_out_of_reach_does_not_make_more_be_spent() {
    let mut provider = ProviderSpec::new("alice");
    provider.prices.cpu_sec = Glm::ZERO;
    provider.prices.duration_sec = glm("0.001");
    Offline::new(1)
        .providers(vec![provider])
        .run(async |stage| {
            let golem = engine(stage, "0.5").await;
            let running = tick::<Ticker>(&golem, vec![Diary::default()]);
            let leaves = async {
                sleep(Duration::from_secs(200)).await;
                let act = json!({"set_online": {"provider": "alice", "online": false}});
                let act = serde_json::from_value(act).expect("an act");
                stage.network().act(act).expect("performed");
            };
            tokio::join!(running, leaves);
            let status = golem.budget();
            assert!(status.promised <= glm("0.5"), "{status:?}");
            let report = golem.stop().await;
            assert!(report.accepted <= glm("0.5"), "{report}");
        });
}

/// An engine that crashes when its way is cut, and comes back with what was in its journal by then.
struct Mortal<'a> {
    stage: &'a OfflineStage,
    tasks: TaskGroup,
    journal: MemoryJournal,
    cut: Cut,
}

impl<'a> Mortal<'a> {
    fn on(stage: &'a OfflineStage) -> Self {
        Mortal {
            stage,
            tasks: TaskGroup::new("ways to the daemon"),
            journal: MemoryJournal::new(),
            cut: Cut::default(),
        }
    }

    async fn lives(&self, budget: &str) -> Golem {
        let golem = self.stage.golem().budget(glm(budget));
        let way = severable(self.stage, &self.tasks, &self.cut, |_| ());
        let golem = golem.journal(self.journal.clone()).transport(way).start();
        golem.await.expect("the engine starts")
    }

    async fn crashes_and_comes_back(&mut self, budget: &str) -> Golem {
        std::mem::take(&mut self.cut).now();
        let kept = MemoryJournal::new();
        for entry in self.journal.load().expect("entries") {
            kept.append(&entry).expect("memory");
        }
        self.journal = kept;
        let golem = self.stage.golem().budget(glm(budget));
        let way = severable(self.stage, &self.tasks, &self.cut, |_| ());
        let golem = golem.journal(self.journal.clone()).transport(way);
        let golem = golem.recovery(Recovery::Adopt).start().await;
        golem.expect("it comes back")
    }
}

#[test]
fn a_budget_that_was_raised_is_as_large_after_a_crash_unless_another_one_is_asked_for() {
    network(1, 3, "0.001").run(async |stage| {
        let mut engine = Mortal::on(stage);
        let golem = engine.lives("0.5").await;
        golem.amend_budget(glm("2")).await.expect("raised");
        for _ in 0..2 {
            let golem = engine.crashes_and_comes_back("0.5").await;
            assert_eq!(golem.budget().total, glm("2"));
        }
        // What the program asks for now counts, and can be raised again.
        let golem = engine.crashes_and_comes_back("3").await;
        assert_eq!(golem.budget().total, glm("3"));
        golem.amend_budget(glm("4")).await.expect("raised");
        let golem = engine.crashes_and_comes_back("3").await;
        assert_eq!(golem.budget().total, glm("4"));
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn an_engine_that_comes_back_to_a_budget_that_is_used_up_rents_nothing_and_says_so() {
    network(1, 3, "0.001").run(async |stage| {
        let mut engine = Mortal::on(stage);
        let golem = engine.lives("0.5").await;
        tick::<Ticker>(&golem, vec![Diary::default(); 2]).await;
        sleep(Duration::from_secs(600)).await;
        let agreements = golem.summary().agreements;
        let golem = engine.crashes_and_comes_back("0.5").await;
        let ended = tick::<Ticker>(&golem, vec![Diary::default(); 1]).await;
        let failure = ended[0].failure.as_ref();
        let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
        assert!(failure.contains("the budget of 0.5 GLM"), "{failure}");
        assert!(agreements > 0);
        assert_eq!(golem.summary().agreements, 0, "nothing is rented");
        assert_within(&golem, stage, "0.5").await;
    });
}
