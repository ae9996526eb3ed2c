//! Laws that a scenario sets aside, by name and with a reason.

use super::*;
use crate::report::suite::CaseResult;

const LOST: &str = "name: lost\nproviders:\n  - {name: bob, prices: {duration_sec: 0.00001}}\n  \
                    - {name: spare, prices: {duration_sec: 0.00002}}\n\
                    service: {name: ticker, instances: 2, duration: 10m, run: {every: 1m, do: [{run: date}]}}\n\
                    timeline: [{at: 3m, do: die, provider: bob}]\n\
                    expect: [failed_instances: 1]\n";

fn with_page(text: &str) -> (Rehearsal, String) {
    let origin = Origin {
        file: "trial.yaml".into(),
        folder: None,
    };
    let scenario = Scenario::parse(text, origin).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        out: Some(folder.path().to_owned()),
        page: true,
        ..Options::default()
    };
    let run = rehearse(&scenario, &options).expect("a report");
    let page = std::fs::read_to_string(folder.path().join("report.html")).expect("a page");
    (run, page)
}

#[test]
fn a_law_that_is_set_aside_does_not_fail_the_run_and_everybody_is_told_why() {
    let run = run_on(Backend::Memory, LOST);
    assert!(
        !run.report.ok && !run.report.open.is_empty(),
        "{}",
        run.summary
    );
    let text = format!(
        "{LOST}laws: {{except: [{{law: nothing-left-open, because: bob never comes back}}]}}\n"
    );
    let (run, page) = with_page(&text);
    assert!(
        run.report.ok && run.report.open.is_empty(),
        "{}",
        run.summary
    );
    let [aside] = run.report.laws_set_aside.as_slice() else {
        panic!("one law: {:?}", run.report.laws_set_aside);
    };
    assert!(aside.judged && !aside.broken.is_empty());
    let told = "law nothing-left-open set aside, because bob never comes back";
    assert!(run.summary.contains(told), "{}", run.summary);
    assert!(page.contains(told));
    let case = run.suite.cases.last().expect("a case");
    assert_eq!(case.result, CaseResult::Skipped);
    assert!(
        case.found.contains("because bob never comes back"),
        "{}",
        case.found
    );
}

#[test]
fn an_exception_that_was_not_needed_is_told_and_so_is_one_that_no_run_judges() {
    let text = "name: fine\nproviders: [{name: alice}]\ntasks: {name: hello-tasks, count: 1}\n\
                laws:\n  except:\n  - {law: ended-once, because: so that it is tried}\n  \
                - {law: books-are-right, because: so that it is tried}\n  \
                - {law: within-budget, because: so that it is tried}\n";
    let run = run_on(Backend::Memory, text);
    assert!(run.report.ok, "{}", run.summary);
    let not_needed = "it held all along: the exception is not needed";
    assert_eq!(
        run.summary.matches(not_needed).count(),
        2,
        "{}",
        run.summary
    );
    assert_eq!(
        run.summary.matches("not judged by this run").count(),
        1,
        "{}",
        run.summary
    );
}
