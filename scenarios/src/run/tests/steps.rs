//! Steps that wait for events and follow each other, and claims about order, time and metrics.

use super::*;

const BASE: &str = "name: trial\nproviders: [{name: alice, prices: {start: 0}}, {name: fleet, count: 3, prices: {start: 0.01}}]\n";

fn run_of(lines: &str) -> Rehearsal {
    run_on(Backend::Memory, &format!("{BASE}{lines}"))
}

/// The verdict on the claim whose words begin so.
fn verdict<'a>(run: &'a Rehearsal, words: &str) -> (bool, &'a str) {
    let mut all = run.report.expectations.iter();
    let found = all.find(|verdict| verdict.expectation.starts_with(words));
    let found = found.unwrap_or_else(|| panic!("{words}: {}", run.summary));
    (found.ok, &found.found)
}

const TICKER: &str = "service: {name: ticker, duration: 10m, restart: on_failure, run: {every: 1m, do: [{run: date}]}}\n";

#[test]
fn a_step_is_taken_when_its_event_comes_and_its_followers_one_after_the_other() {
    let run = run_of(&format!(
        "{TICKER}timeline:\n  - when: {{of: {{event: ScriptFinished}}, times: 4}}\n    after: 5s\n    do: kill-activity\n    instance: 1\n    then:\n\
         \x20     - {{when: {{of: {{event: ServiceStateChanged, with: {{new: running}}}}}}, do: spawn-instance}}\n\
         \x20     - {{after: 30s, do: stop}}\n\
         expect:\n  - instances: 2\n  - in_order: [{{network_event: activity_destroyed}}, {{event: ServiceRestarted}}]\n"
    ));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.report.steps.len(), 3, "{:?}", run.report.steps);
    assert!(run.outcome.elapsed.as_secs() < 300, "{}", run.summary);
}

#[test]
fn an_event_of_the_network_is_waited_for_too() {
    let run = run_of(&format!(
        "{TICKER}timeline:\n  - {{at: 1m, do: go-offline, provider: fleet-1}}\n\
         \x20 - {{when: {{of: {{network_event: provider_online}}}}, after: 1m, do: stop}}\n"
    ));
    assert!(run.report.ok, "{}", run.summary);
    assert!(run.outcome.elapsed.as_secs() < 200, "{}", run.summary);
}

#[test]
fn an_event_that_does_not_come_in_time_or_at_all_fails_the_run_and_is_named() {
    let run = run_of(&format!(
        "{TICKER}timeline:\n  - {{when: {{of: {{event: TaskStarted}}, within: 2m}}, do: stop}}\n\
         \x20 - {{when: {{of: {{event: PaymentFailed}}}}, do: spawn-instance}}\n"
    ));
    assert!(!run.report.ok, "{}", run.summary);
    let told = run.outcome.failed_steps.join("; ");
    assert!(
        told.contains("stop when TaskStarted: the event has not come by 2m 00s"),
        "{told}"
    );
    assert!(
        told.contains("spawn-instance when PaymentFailed: the run was over before"),
        "{told}"
    );
}

#[test]
fn a_step_is_repeated_as_often_as_it_says() {
    let run = run_of(&format!(
        "{TICKER}timeline: [{{at: 1m, every: 1m, times: 3, do: spawn-instance}}]\nexpect: [instances: 4]\n"
    ));
    assert!(run.report.ok, "{}", run.summary);
}

#[test]
fn a_requestor_that_is_started_again_goes_on_where_it_was() {
    let run = run_of(&format!(
        "{TICKER}timeline: [{{at: 3m, do: restart-requestor, down: 20s}}]\n\
         expect: [instances: 1, agreements: 1, all_terminated, eventually: {{of: {{event: RecoveryFinished}}, within: 4m}}]\n"
    ));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.report.steps.len(), 1, "{}", run.summary);
}

#[test]
fn an_agreement_that_ends_while_the_program_is_away_is_not_counted_as_open() {
    let lines = format!(
        "name: away\nproviders: [{{name: alice, prices: {{start: 0}}, behaviour: {{terminate_after: 200s}}}}, \
         {{name: bob, prices: {{start: 0.01}}}}]\n\
         {TICKER}timeline: [{{at: 3m, do: restart-requestor, down: 1m}}]\n\
         expect:\n  - at_end: {{level: agreements, count: 0}}\n\
         \x20 - at_end: {{level: activities, count: 0}}\n\
         \x20 - in_order: [{{event: RecoveryStarted}}, {{event: AgreementTerminated, with: {{provider_name: alice}}}}]\n"
    );
    let run = run_on(Backend::Memory, &lines);
    assert!(run.report.ok, "{}", run.summary);
}

#[test]
fn debit_notes_of_an_agreement_whose_invoice_never_comes_are_part_of_the_cost() {
    let lines = "name: unbilled\n\
         providers: [{name: alice, prices: {duration_sec: 0.00001}, behaviour: {invoices: 0}}]\n\
         service: {name: ticker, duration: 5m, run: {every: 1m, do: [{run: date}]}}\n\
         expect: [{left_open: {agreements: {at_most: 1}, provider: alice}}]\n";
    let run = run_on(Backend::Memory, lines);
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.report.invoices_paid, 0);
    // Four minutes at least are told of by debit notes.
    let least: golem_wire::Glm = "0.0024".parse().expect("literal");
    assert!(run.report.cost >= least, "{}", run.report.cost);
    assert_eq!(run.outcome.providers["alice"].accepted, run.report.cost);
}

#[test]
fn claims_about_order_and_time_hold_or_say_what_came_instead() {
    let run = run_of(
        "tasks: {name: hello-tasks, count: 3}\nexpect:\n\
         \x20 - eventually: {of: {event: TaskAccepted}, within: 1m}\n\
         \x20 - eventually: {of: {event: InvoiceAccepted}, within: 1s}\n\
         \x20 - never: {event: PaymentFailed}\n\
         \x20 - never: {event: TaskAccepted, with: {provider_name: alice}}\n\
         \x20 - in_order: [{event: ActivityCreated}, {event: TaskAccepted}]\n\
         \x20 - in_order: [{event: InvoiceAccepted}, {event: ActivityCreated}]\n\
         \x20 - leads_to: {from: {event: TaskStarted}, to: {event: TaskFinished}, within: 1m, same: activity_id}\n\
         \x20 - leads_to: {from: {event: TaskAccepted}, to: {event: PaymentFailed}}\n",
    );
    for (claim, ok, words) in [
        ("TaskAccepted within", true, "it came at"),
        ("InvoiceAccepted within", false, "it came at"),
        ("never PaymentFailed", true, "never came"),
        (
            "never TaskAccepted with provider_name alice",
            false,
            "it came at",
        ),
        ("in order: ActivityCreated", true, "they came at"),
        (
            "in order: InvoiceAccepted",
            false,
            "ActivityCreated did not come",
        ),
        ("TaskStarted leads to", true, "3 times"),
        ("TaskAccepted leads to", false, "was not followed in time"),
    ] {
        let (held, found) = verdict(&run, claim);
        assert!(held == ok && found.contains(words), "{claim}: {found}");
    }
}

#[test]
fn levels_and_metrics_are_judged_and_told() {
    let run = run_of(
        "tasks: {name: hello-tasks, count: 6, max_workers: 3}\nexpect:\n\
         \x20 - always: {level: agreements, count: {at_most: 3}}\n\
         \x20 - always: {level: activities, count: {at_most: 1}}\n\
         \x20 - at_end: {level: activities, count: 0}\n\
         \x20 - metric: {name: task_seconds, count: 6, p95: {at_most: 30s}}\n\
         \x20 - metric: {name: task_secs, count: 6}\n\
         \x20 - metric: {name: invoice_seconds, max: {at_least: 1h}}\n",
    );
    for (claim, ok, words) in [
        ("always at most 3 agreements", true, "0 to "),
        ("always at most 1 activities", false, "0 to "),
        ("at the end 0 activities", true, "0"),
        ("metric task_seconds", true, "6 values, p95"),
        (
            "metric task_secs",
            false,
            "measured were: agreement_seconds",
        ),
        ("metric invoice_seconds", false, "values, max"),
    ] {
        let (held, found) = verdict(&run, claim);
        assert!(held == ok && found.contains(words), "{claim}: {found}");
    }
    assert_eq!(run.report.metrics["task_seconds"].count, 6);
}
