//! Workloads that are written in the file: what each command gives, and what a wrong one says.

use super::*;

const PROVIDERS: &str = "name: trial\nproviders: [{name: fleet, count: 2}]\n";

fn run_of(lines: &str) -> Rehearsal {
    run_on(Backend::Memory, &format!("{PROVIDERS}{lines}"))
}

fn error_with(lines: &str) -> String {
    let run = run_of(lines);
    assert!(!run.report.ok, "{}", run.summary);
    assert!(run.report.open.is_empty(), "{}", run.summary);
    run.outcome.error.expect("an error")
}

#[test]
fn an_output_that_is_not_as_expected_is_told_with_file_line_command_and_output() {
    let error = error_with(
        "tasks:\n  name: mine\n  data: [a]\n  do:\n    - run: echo {{ item }}\n      expect: {equals: b}\n",
    );
    assert!(
        error.contains("trial.yaml:7: `run echo {{ item }}`: its output is \"a\", not \"b\""),
        "{error}"
    );
    let error = error_with(
        "service:\n  name: mine\n  duration: 5m\n  start:\n    - run: [/bin/sh, -c, 'echo 7']\n      expect: {matches: '^8'}\n",
    );
    assert!(
        error.contains("trial.yaml:7:") && error.contains("does not match `^8`"),
        "{error}"
    );
}

#[test]
fn an_exit_code_is_part_of_what_is_expected() {
    let tasks = |expect: &str| {
        format!(
            "tasks:\n  name: mine\n  count: 1\n  do:\n    - run: echo so far; exit 3\n      expect: {expect}\n    - run: echo went on\n"
        )
    };
    let run = run_of(&tasks("{exit_code: 3, equals: so far}"));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.task_results, ["went on"]);
    let error = error_with(&tasks("{exit_code: 4}"));
    assert!(error.contains("its exit code is 3, not 4"), "{error}");
    let error =
        error_with("tasks: {name: mine, count: 1, do: [{run: 'true', expect: {exit_code: 2}}]}\n");
    assert!(error.contains("its exit code is 0, not 2"), "{error}");
}

#[test]
fn rounds_end_after_their_number_and_when_an_output_says_so() {
    let service = |rounds: &str| {
        format!(
            "service:\n  name: mine\n  duration: 1h\n  run: {{every: 30s, {rounds}, do: [{{run: echo x >> /tmp/x; wc -l < /tmp/x}}]}}\n\
             expect: [all_terminated, agreements: 1]\n"
        )
    };
    let run = run_of(&service("times: 3"));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.statistics, 3);
    assert!(run.outcome.elapsed.as_secs() < 300, "{}", run.summary);
    let run = run_of(&service("until: {equals: '5'}"));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.statistics, 5);
}

#[test]
fn a_command_that_takes_too_long_fails_and_the_task_is_tried_elsewhere() {
    let run = run_of(
        "tasks:\n  name: mine\n  count: 1\n  do:\n    - {run: sleep 600, timeout: 20s}\n\
         expect: [{error_contains: did not end within 20s}]\n",
    );
    assert!(run.report.ok, "{}", run.summary);
    assert!(run.outcome.agreements > 1, "{}", run.summary);
}

#[test]
fn a_wait_takes_the_time_of_the_run_and_nothing_else() {
    let run = run_of(
        "tasks:\n  name: mine\n  count: 1\n  do:\n    - run: echo a > /tmp/a\n    - wait: 2m\n    - run: cat /tmp/a\n",
    );
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.task_results, ["a"]);
    assert!(run.outcome.elapsed.as_secs() >= 120, "{}", run.summary);
}

#[test]
fn a_service_that_is_written_in_the_file_begins_again_and_grows_as_others_do() {
    let run = run_of(
        "service:\n  name: mine\n  duration: 10m\n  restart: on_failure\n  run: {every: 1m, do: [{run: echo on}]}\n\
         timeline:\n  - {at: 3m, do: kill-activity, instance: 1}\n\
         expect: [all_terminated, {agreements: {at_least: 2}}, {event: {name: ServiceRestarted, count: 1}}]\n",
    );
    assert!(run.report.ok, "{}", run.summary);
}

#[test]
fn the_same_written_tasks_pass_over_a_socket() {
    let run = run_on(
        Backend::Http,
        &format!(
            "{PROVIDERS}tasks: {{name: mine, data: [a, b], do: [{{run: 'echo {{{{ item }}}}'}}]}}\nexpect: [task_results: [a, b]]\n"
        ),
    );
    assert!(run.report.ok, "{}", run.summary);
}
