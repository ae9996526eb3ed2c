//! Several workloads in one run: when each starts, what each gives, and that one that goes wrong is named.

use super::*;
use crate::workload::Job;

const PROVIDERS: &str = "name: trial\nproviders: [{name: fleet, count: 4}]\n";

fn rehearsed(lines: &str, workloads: Workloads) -> Rehearsal {
    let text = format!("{PROVIDERS}{lines}");
    let origin = Origin {
        file: "trial.yaml".into(),
        folder: None,
    };
    let scenario = Scenario::parse(&text, origin).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        backend: Some(Backend::Memory),
        out: Some(folder.path().join("out")),
        workloads,
        ..Options::default()
    };
    rehearse(&scenario, &options).expect("a report")
}

/// Gives the name by which it is called.
fn clock() -> Workloads {
    Workloads::default().function("clock", async |_, job: Job| {
        job.log.measure("calls", 1.0);
        Ok(vec![job.name])
    })
}

#[test]
fn workloads_start_when_they_are_due_and_are_numbered_in_that_order() {
    let run = rehearsed(
        "workloads:\n  - {function: {name: clock}, at: 10s, every: 20s, times: 3, burst: 2}\n  - {function: {name: clock}}\n",
        clock(),
    );
    assert!(run.report.ok, "{}", run.summary);
    let names: Vec<_> = run
        .report
        .workloads
        .iter()
        .map(|it| it.workload.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "clock-7", "clock-1", "clock-2", "clock-3", "clock-4", "clock-5", "clock-6"
        ]
    );
    assert_eq!(run.outcome.task_results, names);
    let took = run.outcome.elapsed.as_secs();
    assert!((50..60).contains(&took), "{took} s");
}

#[test]
fn a_service_tasks_and_a_function_are_run_side_by_side_from_three_sections() {
    let run = rehearsed(
        "tasks: {name: hello-tasks, count: 2}\nfunction: {name: clock}\n\
         service: {name: mine, duration: 3m, run: {every: 1m, do: [{run: date}]}}\n\
         expect: [agreements: {at_least: 2}, all_terminated]\n",
        clock(),
    );
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.task_results.len(), 3);
    assert_eq!(run.outcome.statistics, 3);
}

#[test]
fn a_rate_is_drawn_by_the_seed() {
    let scenario = |seed: u64| {
        let text = format!(
            "{PROVIDERS}workloads: [{{function: {{name: f}}, every: {{mean: 1m}}, times: 50}}]\n"
        );
        let scenario = Scenario::parse(&text, Origin::default()).expect("valid");
        scenario
            .planned(seed)
            .iter()
            .map(|it| it.at)
            .collect::<Vec<_>>()
    };
    assert_eq!(scenario(1), scenario(1));
    assert_ne!(scenario(1), scenario(2));
    let last = scenario(3).pop().expect("fifty");
    assert!((1500..6000).contains(&last.as_secs()), "{last:?}");
}

#[test]
fn what_a_workload_measures_is_in_the_report_by_its_name() {
    let workloads = Workloads::none().function("measures", async |_, job: Job| {
        for value in 1..=100 {
            job.log.measure("answer", f64::from(value));
        }
        Ok(Vec::new())
    });
    let run = rehearsed("function: {name: measures}\n", workloads);
    assert!(run.report.ok, "{}", run.summary);
    let metric = &run.report.workloads[0].metrics["answer"];
    assert_eq!((metric.count, metric.p95, metric.max), (100, 95.0, 100.0));
    assert!(
        run.summary.contains("answer: 100 values"),
        "{}",
        run.summary
    );
}

#[test]
fn a_workload_that_panics_is_named_with_the_place_and_the_others_go_on() {
    let workloads = clock().function("breaks", async |_, _| panic!("no such luck"));
    let run = rehearsed(
        "workloads:\n  - function: {name: breaks}\n  - {function: {name: clock}, at: 1m}\n",
        workloads,
    );
    assert!(!run.report.ok, "{}", run.summary);
    let error = run.outcome.error.expect("an error");
    for words in ["`breaks` panicked: no such luck", "several.rs:"] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(run.outcome.task_results, ["clock"]);
    assert_eq!(run.report.workloads[1].error, None);
    assert!(run.report.open.is_empty(), "{}", run.summary);
}

#[test]
fn a_workload_that_never_ends_is_named_when_the_limit_has_passed() {
    let workloads = clock().function("waits", async |_, _| std::future::pending().await);
    let run = rehearsed("function: {name: waits}\ntime: {limit: 5m}\n", workloads);
    let error = run.outcome.error.expect("an error");
    assert_eq!(error, "the limit of 5m 00s has passed; at work: `waits`");
    let workloads = clock().function("waits", async |_, _| std::future::pending().await);
    let run = rehearsed("function: {name: waits, timeout: 20s}\n", workloads);
    let error = run.outcome.error.expect("an error");
    assert_eq!(error, "the function did not end within 20s");
}

#[test]
fn a_function_is_given_its_arguments_and_its_failure_is_that_of_the_run() {
    let workloads = Workloads::none().function("adds", async |_, job: Job| {
        let of = |name: &str| {
            job.arguments()
                .get(name)
                .and_then(serde_json::Value::as_i64)
        };
        let (a, b) = (of("a").ok_or("no a")?, of("b").ok_or("no b")?);
        Ok(vec![(a + b).to_string()])
    });
    let run = rehearsed(
        "function: {name: adds, arguments: {a: 2, b: 3}}\nexpect: [task_results: ['5']]\n",
        workloads.clone(),
    );
    assert!(run.report.ok, "{}", run.summary);
    let run = rehearsed("function: {name: adds, arguments: {a: 2}}\n", workloads);
    assert_eq!(run.outcome.error.as_deref(), Some("no b"));
}

#[test]
fn simple_services_and_other_workloads_have_images_of_their_own_beside_each_other() {
    let run = rehearsed(
        "workloads:\n  - service: {name: simple-service, duration: 1m}\n  - tasks: {name: hello-tasks, count: 2}\n",
        Workloads::default(),
    );
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.task_results.len(), 2);
    assert!(run.outcome.statistics > 3, "{}", run.summary);
}

#[test]
fn a_stop_ends_all_of_them_and_what_is_not_started_yet_never_is() {
    let run = rehearsed(
        "workloads:\n  - service: {name: mine, duration: 1h, run: {every: 1m, do: [{run: date}]}}\n  - {function: {name: clock}, at: 30m}\n\
         timeline: [{at: 5m, do: stop}]\nexpect: [all_terminated]\n",
        clock(),
    );
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.task_results, Vec::<String>::new());
    assert!(run.outcome.elapsed.as_secs() < 400, "{}", run.summary);
}
