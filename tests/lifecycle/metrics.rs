//! Numbers of a run: what happened is counted once, and times are those of the events.

use futures::StreamExt;
use golem_engine::SummaryLogger;
use golem_engine::metrics::Metrics;
use golem_scenarios::workload::hello_tasks;
use std::sync::{Arc, Mutex};

use crate::ticker::{assert_clean, network};

#[test]
fn a_run_is_counted_measured_and_told_in_words() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let metrics = Metrics::new();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let logger = SummaryLogger::saying(move |line| {
            let mut said = heard.lock().expect("nobody panicked");
            said.push(line.to_owned());
        });
        let builder = stage.golem().event_observer(metrics.consumer());
        let golem = builder.event_observer(logger.consumer()).start().await;
        let golem = golem.expect("an engine");
        let mut tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data(0..6)
            .worker(async |ctx, _| {
                ctx.run("/bin/sleep", ["20"]).await?;
                Ok(())
            })
            .max_workers(2)
            .start()
            .await
            .expect("tasks");
        let mut seen_at_work = 0;
        while let Some(done) = tasks.next().await {
            done.expect("it is done");
            for task in tasks.running() {
                assert!(task.running_time().as_secs() <= 25, "{task:?}");
                seen_at_work += 1;
            }
        }
        assert!(seen_at_work > 0 && tasks.running().is_empty());
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        let summary = golem.summary();
        let count = |name: &str| metrics.counter(name).expect(name);
        assert_eq!(count("tasks"), 6.0);
        assert_eq!(count("agreements"), 2.0);
        assert_eq!(count("agreements_terminated"), 2.0);
        assert_eq!(count("invoices"), 2.0);
        assert_eq!(count("offers"), summary.offers as f64);
        assert_eq!(count("scripts"), summary.scripts as f64);
        let cost: f64 = summary.cost.to_string().parse().expect("a number");
        assert!((count("glm_accepted") - cost).abs() < 1e-12);
        let took = |name: &str| metrics.distribution(name).expect(name);
        assert_eq!(took("task_execution_duration").count, 6);
        assert!((20.0..25.0).contains(&took("task_execution_duration").median));
        for once_each in [
            "provider_found_to_agreement",
            "script_start_to_agreement",
            "provider_setup_time",
            "provider_found_to_task_start",
            "agreement_duration",
            "invoice_delay",
        ] {
            assert_eq!(took(once_each).count, 2, "{once_each}");
        }
        assert!(took("agreement_duration").min >= 60.0);
        let text = metrics.to_prometheus();
        assert!(text.contains("golem_tasks_total 6\n"), "{text}");
        let said = said.lock().expect("nobody panicked").join("\n");
        for line in [
            "tasks-1: offers are asked for",
            "agreement with alice is in force",
            "task 6 done by",
            "tasks-1 is done; 6 tasks done",
            "bob is paid",
            "2 agreements",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert_clean(stage);
    });
}
