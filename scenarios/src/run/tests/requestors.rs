//! Several requestors on one network: each has an engine, a budget, steps, expectations and a report of its own.

use super::*;

const PROVIDERS: &str =
    "name: trial\nproviders: [{name: fleet, count: 4, prices: {duration_sec: 0.00001}}]\n";
const TWO: &str = "\
requestors:
  - name: ann
    requestor: {budget: 1}
    service: {name: ticker, instances: 2, duration: 10m, run: {every: 1m, do: [{run: date}]}}
    expect: [agreements: 2, all_terminated]
  - name: ben
    tasks: {name: hello-tasks, count: 3}
    expect: [tasks: 3, never: {event: ServiceStateChanged}]
expect: [agreements: {at_least: 3}]
";

fn text(lines: &str) -> String {
    format!("{PROVIDERS}{lines}")
}

/// Its journal as well.
fn run_with_journal(backend: Backend, text: &str) -> (Rehearsal, Vec<serde_json::Value>) {
    let scenario = Scenario::parse(text, Origin::default()).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        backend: Some(backend),
        out: Some(folder.path().join("out")),
        page: true,
        ..Options::default()
    };
    let run = rehearse(&scenario, &options).expect("a report");
    let journal = std::fs::read_to_string(folder.path().join("out/journal.jsonl"));
    let lines = journal.expect("a journal");
    let lines = lines.lines().map(serde_json::from_str);
    (run, lines.collect::<Result<_, _>>().expect("JSON"))
}

#[test]
fn two_requestors_rent_from_one_network_and_each_is_told_by_its_name() {
    let (run, journal) = run_with_journal(Backend::Memory, &text(TWO));
    assert!(run.report.ok, "{}", run.summary);
    let [ann, ben] = run.report.requestors.as_slice() else {
        panic!("{:?}", run.report.requestors)
    };
    assert_eq!((ann.requestor.as_str(), ann.ok), ("ann", true));
    assert_eq!((ann.agreements, ann.tasks), (2, 0));
    assert_eq!((ben.requestor.as_str(), ben.tasks), ("ben", 3));
    assert_eq!(ann.agreements + ben.agreements, run.report.agreements);
    assert_eq!(ann.cost + ben.cost, run.report.cost);
    let claims = run.report.expectations.iter();
    let claims: Vec<_> = claims.map(|it| it.expectation.as_str()).collect();
    assert!(claims.contains(&"ann: 2 agreements"), "{claims:?}");
    assert!(claims.contains(&"ben: the run succeeds"), "{claims:?}");
    assert!(claims.contains(&"at least 3 agreements"), "{claims:?}");
    for words in ["✓ ann ", "✓ ben ", "ann/ticker-1"] {
        assert!(run.summary.contains(words), "{words}: {}", run.summary);
    }
    assert!(!run.summary.contains("ann/ann"), "{}", run.summary);
    // Every line that is about a requestor says about whom.
    for line in &journal {
        let whose = line["requestor"].as_str();
        match line["from"].as_str() {
            Some("engine" | "service") => assert!(whose.is_some(), "{line}"),
            Some("network") if line.get("agreement").is_some() => {
                assert!(whose.is_some(), "{line}");
            }
            _ => {}
        }
        if let Some(actor) = line["actor"]
            .as_str()
            .and_then(|a| a.strip_prefix("requestor "))
        {
            assert_eq!(whose, Some(actor), "{line}");
        }
    }
}

#[test]
fn several_requestors_share_a_network_behind_a_port() {
    let lines = TWO.replace("10m", "3s").replace("every: 1m", "every: 1s");
    let (run, _) = run_with_journal(Backend::Http, &text(&lines));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.report.requestors.len(), 2);
}

#[test]
fn what_one_of_several_does_not_keep_is_told_of_it_alone() {
    let (run, _) = run_with_journal(
        Backend::Memory,
        &text(&TWO.replace("tasks: 3,", "tasks: 4,")),
    );
    let ok: Vec<_> = run.report.requestors.iter().map(|it| it.ok).collect();
    assert_eq!(ok, [true, false], "{}", run.summary);
    let failed = run.report.expectations.iter().filter(|it| !it.ok);
    let failed: Vec<_> = failed.map(|it| it.expectation.as_str()).collect();
    assert_eq!(failed, ["ben: 4 task results"]);
}

#[test]
fn the_budget_of_one_is_not_the_other_ones() {
    let poor = TWO.replace("budget: 1", "budget: 0.0000001");
    let (run, _) = run_with_journal(Backend::Memory, &text(&poor));
    let [ann, ben] = run.report.requestors.as_slice() else {
        panic!("{:?}", run.report.requestors)
    };
    assert!(!ann.ok && ben.ok, "{}", run.summary);
    assert_eq!(ben.tasks, 3);
}

#[test]
fn a_program_that_is_gone_for_a_while_does_not_disturb_another_one() {
    let lines_of_ben = |timeline: &str| {
        let both = "service: {name: ticker, duration: 10m, run: {every: 1m, do: [{run: date}]}}";
        let lines = format!(
            "requestors:\n  - {{name: ann, {both}}}\n  - {{name: ben, {both}}}\n{timeline}"
        );
        let (run, journal) = run_with_journal(Backend::Memory, &text(&lines));
        assert!(run.report.ok, "{}", run.summary);
        let own = journal
            .into_iter()
            .filter(|line| line["requestor"] == "ben");
        (run, own.collect::<Vec<_>>())
    };
    let (_, alone) = lines_of_ben("");
    let step = "timeline: [{at: 4m, do: restart-requestor, requestor: ann, down: 1m}]\n";
    let (run, beside) = lines_of_ben(step);
    assert_eq!(run.report.steps, ["ann: restart-requestor at 4m 00s"]);
    let events = |lines: &[serde_json::Value]| -> Vec<String> {
        let lines = lines.iter().filter(|line| line["from"] == "engine");
        lines.map(|line| line["event"].to_string()).collect()
    };
    assert_eq!(events(&alone), events(&beside));
}

#[test]
fn a_step_of_one_waits_for_its_own_events_and_ends_its_own_work() {
    let lines = TWO.to_owned()
        + "timeline:\n  - {when: {of: {event: TaskAccepted}}, requestor: ann, do: stop}\n";
    let (run, _) = run_with_journal(Backend::Memory, &text(&lines));
    // Ben's tasks are not Ann's: the step was never taken.
    let failed = run.report.expectations.iter().filter(|it| !it.ok);
    let failed: Vec<_> = failed.map(|it| it.found.as_str()).collect();
    assert_eq!(failed.len(), 1, "{}", run.summary);
    assert!(failed[0].starts_with("ann: stop"), "{failed:?}");
    let lines = TWO.to_owned() + "timeline:\n  - {at: 2m, requestor: ann, do: stop}\n";
    let (run, _) = run_with_journal(Backend::Memory, &text(&lines));
    assert!(run.report.ok, "{}", run.summary);
    assert!(run.outcome.elapsed.as_secs() < 300, "{}", run.summary);
}

#[test]
fn what_nobody_does_happens_beside_all_of_them() {
    let lines = TWO.replace("agreements: 2, all", "failed_instances: 1, all")
        + "timeline:\n  - {when: {of: {network_event: activity_created, with: {requestor: ann}}}, after: 5m, do: die, provider: fleet-1}\n\
           \x20 - {at: 6m, do: die, provider: fleet-2}\n  - {at: 6m, do: die, provider: fleet-3}\n  - {at: 6m, do: die, provider: fleet-4}\n";
    let lines = lines.replace("failed_instances: 1", "failed_instances: {at_least: 1}");
    let (run, _) = run_with_journal(Backend::Memory, &text(&lines));
    assert_eq!(run.report.steps.len(), 4, "{}", run.summary);
    assert!(run.report.requestors[1].ok, "{}", run.summary);
}

#[test]
fn a_scenario_without_several_tells_of_none() {
    let (run, journal) = run_with_journal(
        Backend::Memory,
        &text("tasks: {name: hello-tasks, count: 1}\n"),
    );
    let json = serde_json::to_value(&run.report).expect("JSON");
    assert!(json.get("requestors").is_none());
    assert!(journal.iter().all(|line| line.get("requestor").is_none()));
}

#[test]
fn a_sweep_disturbs_the_first_of_several_and_the_others_go_on() {
    use crate::sweep::{Kind, Options, Sweep};
    let lines = TWO.replace("10m", "2m");
    let scenario = Scenario::parse(&text(&lines), Origin::default()).expect("valid");
    let sweep = Sweep::prepare(&scenario, "trial", None, &Workloads::default()).expect("it passes");
    let options = Options {
        jobs: 1,
        sample: Some(4),
    };
    let two = crate::language::catalog::get("one-of-two-comes-back").expect("in the catalog");
    Sweep::prepare(&two, "two", None, &Workloads::default()).expect("it passes");
    for kind in [Kind::Crash, Kind::Cancel] {
        let tally = sweep.run(kind, &options);
        assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    }
}
