//! Whole lives in networks that are drawn, with the strategies that users have (`golem_scenarios::strategies`), against laws
//! of what engine and network tell. The seed of the cases is fixed: a failure comes again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::TryStreamExt;
use golem_engine::event::{
    AgreementConfirmed, AgreementCreated, AgreementTerminated, ServiceFinished, ServiceStateChanged,
};
use golem_engine::service::ServiceState;
use golem_engine::{Event, Glm};
use golem_scenarios::strategies::{any_network, any_trouble};
use golem_scenarios::workload::{Workloads, hello_tasks};
use golem_scenarios::{Line, Offline, OfflineStage};
use mock_yagna::ledger::OpenItem;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use workspace_tests::whole;

/// Cases of a sample, and of all.
const SAMPLE: u32 = 16;
const WHOLE: u32 = 1000;

fn runner(seed: u64) -> TestRunner {
    TestRunner::new(Config {
        cases: if whole() { WHOLE } else { SAMPLE },
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    })
}

/// What a life left behind.
struct Lived {
    lines: Vec<String>,
    broken: Vec<String>,
}

/// A service beside a list of tasks for some minutes, then a stop.
fn live(yaml: &str) -> Lived {
    let offline = Offline::new(7).network_yaml(yaml).expect("a network");
    offline.run(async |stage| {
        let golem = stage.golem().budget(Glm::from(2)).start().await;
        let Ok(golem) = golem else {
            // A daemon that does not even answer at the beginning.
            return Lived {
                lines: lines(stage),
                broken: Vec::new(),
            };
        };
        let service = golem.run_service_with(hello_tasks::payload(), |ctx| async move {
            ctx.stop_requested().await;
            Ok(())
        });
        let cluster = service.num_instances(2).start().await;
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data(1..=3_u32)
            .timeout(Duration::from_secs(300))
            .worker(|ctx, task| async move { hello_tasks::hello(&ctx, task.data).await });
        if let Ok(tasks) = tasks.start().await {
            // Nothing says that anybody does them.
            let _: Result<Vec<_>, _> = tasks.try_collect().await;
        }
        stage.advance(Duration::from_secs(120)).await;
        if let Ok(cluster) = cluster {
            cluster.stop();
            cluster.join().await;
        }
        let stopped_at = stage.journal().len();
        let report = golem.stop().await;
        let ended_at = stage.journal().len();
        stage.advance(Duration::from_secs(600)).await;
        let mut broken = Vec::new();
        judge(stage, (stopped_at, ended_at), &mut broken);
        let told = report.open().join("\n");
        let summary = stage.network().summary();
        for open in &summary.open {
            // What comes after the end is the next engine's to find, and needs a journal that lasts.
            let is_late = matches!(open, OpenItem::Invoice { .. });
            if told.is_empty() && !is_late {
                broken.push(format!("left open, and told by nobody: {open}"));
            }
        }
        broken.extend(summary.violations.iter().map(ToString::to_string));
        if summary.paid > Glm::from(2) {
            broken.push(format!(
                "{} GLM are paid of a budget of 2 GLM",
                summary.paid
            ));
        }
        Lived {
            lines: lines(stage),
            broken,
        }
    })
}

fn lines(stage: &OfflineStage) -> Vec<String> {
    stage.journal().iter().map(Line::to_string).collect()
}

/// The order of what was told:
/// - an agreement is created before it is confirmed, and confirmed before it ends; each is told once;
/// - an instance goes from state to state without a gap, and ends terminated, once;
/// - an activity that was created is gone at the end, and so is a demand;
/// - after the order to stop nobody is rented who was not being signed;
/// - after the end of the stop the engine tells nothing.
fn judge(stage: &OfflineStage, (stopped_at, ended_at): (usize, usize), broken: &mut Vec<String>) {
    let mut agreements: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    let mut instances: BTreeMap<String, ServiceState> = BTreeMap::new();
    let mut finished = BTreeSet::new();
    let journal = stage.journal();
    let events = journal
        .iter()
        .enumerate()
        .filter_map(|(at, line)| match line {
            Line::Engine(event) => Some((at, event)),
            _ => None,
        });
    for (at, event) in events {
        if at >= ended_at {
            broken.push(format!("told after the end of the stop: {}", event.name()));
        }
        if at >= stopped_at && event.get::<AgreementCreated>().is_some() {
            broken.push("an agreement is made after the order to stop".into());
        }
        order_of_agreements(event, &mut agreements);
        let Some(instance) = event.instance() else {
            continue;
        };
        let id = instance.id.to_string();
        if let Some(changed) = event.get::<ServiceStateChanged>() {
            let known = instances.insert(id.clone(), changed.new);
            if known.is_some_and(|known| known != changed.old) {
                broken.push(format!(
                    "{id} goes on from {:?}, and was {known:?}",
                    changed.old
                ));
            }
        }
        if event.get::<ServiceFinished>().is_some() && !finished.insert(id.clone()) {
            broken.push(format!("{id} is finished twice"));
        }
    }
    for (id, told) in agreements {
        let in_order = [
            "AgreementCreated",
            "AgreementConfirmed",
            "AgreementTerminated",
        ];
        let mut left = in_order.iter();
        let is_right = told.iter().all(|name| left.any(|next| next == name));
        let ends = !told.contains(&"AgreementConfirmed") || told.contains(&"AgreementTerminated");
        if !is_right {
            broken.push(format!("agreement {id}: {told:?}"));
        }
        if !ends && stage.network().summary().open.is_empty() {
            broken.push(format!("the end of agreement {id} is not told: {told:?}"));
        }
    }
    for (id, state) in &instances {
        if *state != ServiceState::Terminated || !finished.contains(id) {
            broken.push(format!("{id} is left {state:?}"));
        }
    }
}

fn order_of_agreements(event: &Event, told: &mut BTreeMap<String, Vec<&'static str>>) {
    let is_one = event.get::<AgreementCreated>().is_some()
        || event.get::<AgreementConfirmed>().is_some()
        || event.get::<AgreementTerminated>().is_some();
    if let Some(agreement) = event.agreement().filter(|_| is_one) {
        let told = told.entry(agreement.to_string()).or_default();
        told.push(event.name());
    }
}

#[test]
fn in_any_network_everything_is_told_in_order_ends_and_is_the_same_again() {
    let ran = runner(1).run(&any_network(), |network| {
        let first = live(network.yaml());
        prop_assert!(first.broken.is_empty(), "{}", first.broken.join("\n"));
        let again = live(network.yaml());
        let differs = first.lines.iter().zip(&again.lines).find(|(a, b)| a != b);
        prop_assert!(differs.is_none(), "{differs:#?}");
        prop_assert_eq!(first.lines.len(), again.lines.len());
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}

#[test]
fn a_service_and_a_list_survive_any_trouble() {
    for (seed, scenario) in [
        (2, "hello-tasks"),
        (3, "written-service"),
        (4, "services-on-a-network"),
    ] {
        let strategy = any_trouble(scenario, &Workloads::default()).expect("in the catalog");
        if let Err(error) = runner(seed).run(&strategy, |life| life.survives()) {
            panic!("{scenario}: {error}");
        }
    }
}
