//! Whole runs that go wrong, and one over a socket: each ends with one clear error and a clean network.

mod breakable;
mod catalog;
mod laws;
mod programs;
mod requestors;
mod several;
mod signals;
mod steps;
mod trace;
mod watchdog;
mod written;

use super::*;
use crate::language::Origin;

fn run_on(backend: Backend, text: &str) -> Rehearsal {
    let origin = Origin {
        file: "trial.yaml".into(),
        folder: None,
    };
    let scenario = Scenario::parse(text, origin).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        backend: Some(backend),
        out: Some(folder.path().join("out")),
        ..Options::default()
    };
    rehearse(&scenario, &options).expect("a report")
}

const SERVICE: &str = "service: {name: simple-service, duration: 2m}\n";

/// Runs one provider and one instance with these lines in addition; the error of the run.
fn error_of(lines: &str) -> String {
    let text = format!("name: trial\nproviders: [{{name: alice}}]\n{SERVICE}{lines}");
    let run = run_on(Backend::Memory, &text);
    assert!(!run.report.ok, "{}", run.summary);
    assert!(run.report.open.is_empty(), "{}", run.summary);
    run.outcome.error.expect("an error")
}

#[test]
fn a_wrong_app_key_is_named_and_not_shown() {
    let error = error_of("requestor: {app_key: not-the-right-one}\n");
    assert!(
        error.contains("app key") && !error.contains("not-the-right-one"),
        "{error}"
    );
}

#[test]
fn a_budget_above_the_funds_is_refused_before_anything_is_rented() {
    let error = error_of("requestor: {budget: 5, funds: 1}\n");
    assert!(
        error.contains("5 GLM wanted") && error.contains("1 GLM available"),
        "{error}"
    );
}

#[test]
fn an_image_that_does_not_exist_is_named() {
    let error = error_of("image: missing\n");
    assert!(
        error.contains("deploy") && error.contains("simple-service.gvmi"),
        "{error}"
    );
}

#[test]
fn a_command_that_fails_is_named_with_its_exit_code_and_words() {
    let error = error_of(
        "image: {scripted: [{run: /golem/run/simulate_observations_ctl, exit_code: 3, stderr: disk full}]}\n",
    );
    assert!(
        error.contains("simulate_observations_ctl --start"),
        "{error}"
    );
    assert!(
        error.contains("code 3") && error.contains("disk full"),
        "{error}"
    );
}

#[test]
fn an_empty_market_is_an_error_that_says_so() {
    let run = run_on(Backend::Memory, &format!("name: trial\n{SERVICE}"));
    let error = run.outcome.error.expect("an error");
    assert!(error.contains("0 offers seen"), "{error}");
}

#[test]
fn a_step_that_cannot_be_performed_fails_the_run() {
    let text = format!(
        "name: trial\nproviders: [{{name: alice}}, {{name: dear, prices: {{start: 5}}}}]\n{SERVICE}\
         timeline: [{{at: 1m, do: terminate-agreement, provider: dear}}]\n"
    );
    let run = run_on(Backend::Memory, &text);
    assert!(!run.report.ok, "{}", run.summary);
    assert!(
        run.summary
            .contains("terminate-agreement of dear at 1m 00s"),
        "{}",
        run.summary
    );
}

#[test]
fn the_limit_ends_a_run_and_the_engine_cleans_up() {
    let text = "name: trial\ntime: {limit: 1m}\nproviders: [{name: slow}]\n\
                image: {scripted: [{run: /bin/sh, takes: 10m}]}\ntasks: {name: hello-tasks, count: 1}\n";
    let run = run_on(Backend::Memory, text);
    assert!(
        run.outcome
            .error
            .expect("an error")
            .contains("limit of 1m 00s")
    );
    assert!(run.report.open.is_empty(), "{}", run.summary);
}

#[test]
fn instances_come_and_go_as_the_timeline_says() {
    let text = format!(
        "name: trial\nproviders: [{{name: fleet, count: 3}}]\n{SERVICE}\
         timeline:\n  - {{at: 30s, do: spawn-instance}}\n  - {{at: 1m, do: stop-instance, instance: 1}}\n\
         expect: [all_terminated, instances: 2, agreements: 2]\n"
    );
    let run = run_on(Backend::Memory, &text);
    assert!(run.report.ok, "{}", run.summary);
}

#[test]
fn an_interrupted_run_stops_and_pays() {
    let scenario = crate::language::catalog::get("simple-service").expect("in the catalog");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        out: Some(folder.path().join("out")),
        ..Options::default()
    };
    options.interrupt.cancel();
    let run = rehearse(&scenario, &options).expect("a report");
    assert_eq!(run.outcome.error.as_deref(), Some("interrupted"));
    assert!(run.report.open.is_empty(), "{}", run.summary);
}

#[test]
fn the_same_tasks_pass_over_a_socket() {
    let text = "name: trial\nproviders: [{name: fleet, count: 3}]\n\
                tasks: {name: hello-tasks, count: 5, max_workers: 3}\n\
                expect: [tasks: 5]\n";
    let run = run_on(Backend::Http, text);
    assert!(run.report.ok, "{}", run.summary);
}

#[test]
fn an_instance_that_never_ran_fails_the_run_unless_the_file_expects_it() {
    let text = "name: inc\nproviders:\n  - {name: alice, behaviour: {never_approve: true}}\n\
                service: {name: simple-service, instances: 1, duration: 5m, plot_every: 5m}\n";
    let run = run_on(Backend::Memory, text);
    assert!(!run.report.ok, "{}", run.summary);
    let text = format!("{text}expect: [all_reached: pending, failed_instances: {{at_most: 1}}]\n");
    let run = run_on(Backend::Memory, &text);
    assert!(
        run.report.ok || run.outcome.error.is_some(),
        "{}",
        run.summary
    );
}

#[test]
fn an_instance_that_waits_to_the_end_fails_the_run() {
    let text = "name: busy\nproviders: [{name: alice}]\nrequestor: {no_offers_timeout: 1h}\n\
                service: {name: simple-service, instances: 2, duration: 5m}\n";
    let run = run_on(Backend::Memory, text);
    assert!(!run.report.ok, "{}", run.summary);
    assert!(
        run.summary.contains("✗ every instance ran or failed"),
        "{}",
        run.summary
    );
}

#[test]
fn the_cause_is_told_by_provider_also_where_another_is_blamed() {
    let text = "name: fails\nproviders:\n  - {name: alice, behaviour: {fail_activity: runtime not found}}\n  \
                - {name: bob, behaviour: {kill_activity_after: 5m}}\n  \
                - {name: carol, behaviour: {never_approve: true}}\n\
                service: {name: simple-service, instances: 3, duration: 30m}\n";
    let run = run_on(Backend::Memory, text);
    assert!(!run.report.ok, "{}", run.summary);
    let caused = |cause: &&crate::report::outcome::Cause| {
        cause.provider == "alice" && cause.reason.contains("runtime not found")
    };
    assert!(
        run.report.causes.iter().any(|cause| caused(&cause)),
        "{}",
        run.summary
    );
    assert!(run.summary.contains("runtime not found"), "{}", run.summary);
    let failed = run.outcome.instances.iter().filter(|i| i.failure.is_some());
    assert_eq!(run.report.failed_instances.len(), failed.count());
}

const A_LOSS: &str = "name: loss\nproviders:\n  - {name: bob, prices: {duration_sec: 0.00001}}\n  \
                      - {name: spare, count: 3, prices: {duration_sec: 0.00002}}\n\
                      service: {name: simple-service, instances: 2, duration: 40m, plot_every: 30m}\n\
                      timeline:\n  - {at: 10m, do: die, provider: bob}\n\
                      expect:\n  - all_reached: running\n  - failed_instances: 1\n";

#[test]
fn a_scenario_in_which_a_provider_dies_for_good_can_pass() {
    let run = run_on(Backend::Memory, A_LOSS);
    assert!(
        !run.report.ok && !run.report.open.is_empty(),
        "{}",
        run.summary
    );
    let expecting = |claim: &str| {
        run_on(
            Backend::Memory,
            &format!("{A_LOSS}  - left_open: {claim}\n"),
        )
    };
    let run = expecting("{agreements: 1, provider: bob}");
    assert!(
        run.report.ok && run.report.open.is_empty(),
        "{}",
        run.summary
    );
    assert!(!run.report.open_as_expected.is_empty());
    for other in [
        "{agreements: 1, provider: spare-1}",
        "{agreements: 2, provider: bob}",
        "{agreements: 0}",
    ] {
        let run = expecting(other);
        assert!(!run.report.ok, "{other}: {}", run.summary);
    }
}

#[test]
fn agreements_that_were_signed_by_hand_count_for_their_provider() {
    let text = "name: mine\nproviders: [{name: alice}]\ntasks: {name: by-hand, count: 2}\nexpect: [agreements: 2]\n";
    let run = run_on(Backend::Memory, text);
    assert!(run.report.ok, "{}", run.summary);
    let alice = &run.outcome.providers["alice"];
    assert_eq!(alice.agreements, 2, "{}", run.summary);
}

#[test]
fn a_provider_out_of_reach_for_a_while_is_kept_as_long_as_the_file_says() {
    let run = |away: u32, requestor: &str| {
        let text = format!(
            "name: hiccup\nproviders: [{{name: alice}}]\nrequestor: {{{requestor}}}\n\
             service: {{name: simple-service, duration: 10m, plot_every: 3m}}\n\
             timeline:\n  - {{at: 2m, do: go-offline, provider: alice}}\n  \
             - {{at: {}s, do: go-online, provider: alice}}\n\
             expect: [agreements: 1, failed_instances: 0]\n",
            120 + away
        );
        run_on(Backend::Memory, &text)
    };
    for away in [20, 60] {
        let run = run(away, "");
        assert!(run.report.ok, "{away}: {}", run.summary);
    }
    assert!(!run(60, "silence: 20s").report.ok);
    let kept = run(200, "silence: 5m");
    assert!(kept.report.failed_instances.is_empty(), "{}", kept.summary);
}

#[test]
fn a_daemon_that_was_away_is_in_the_summary_and_in_the_report() {
    let text = "name: away\nproviders: [{name: alice, behaviour: {debit_notes: false}}]\n\
                service: {name: simple-service, duration: 40m, plot_every: 10m}\n\
                timeline: [{at: 5m, do: restart-daemon, down: 20m}]\n\
                expect:\n  - event: {name: DaemonAway, count: {at_least: 5, at_most: 20}}\n  \
                - event: {name: DaemonBack, count: 1}\n";
    let run = run_on(Backend::Memory, text);
    assert!(run.report.ok, "{}", run.summary);
    assert!(
        run.summary.contains("the daemon was away 1 time"),
        "{}",
        run.summary
    );
    assert_eq!(run.report.daemon_away.times, 1);
    let seconds = run.report.daemon_away.seconds;
    assert!((1190..=1230).contains(&seconds), "{seconds}");
}

#[test]
fn a_budget_that_does_not_last_stops_its_instances_and_each_names_it() {
    let text = "name: trial\n\
                providers: [{name: fleet, count: 3, prices: {cpu_sec: 0, duration_sec: 0.01}}]\n\
                requestor: {budget: 0.5}\n\
                service: {name: simple-service, instances: 2, duration: 2h, plot_every: 1h}\n\
                expect: [failed_instances: 2, error_contains: budget, cost_at_most: 0.5]\n";
    let run = run_on(Backend::Memory, text);
    assert!(run.report.ok, "{}", run.summary);
    for failed in &run.report.failed_instances {
        assert!(
            failed.reason.contains("the budget of 0.5 GLM"),
            "{}",
            run.summary
        );
    }
}

#[test]
fn a_bill_of_five_times_what_was_used_is_refused_and_that_is_decided() {
    let text = "name: trial\n\
                providers: [{name: dear, prices: {cpu_sec: 0.0001, duration_sec: 0.00005}, behaviour: {invoice_factor: 5}}]\n\
                service: {name: simple-service, instances: 1, duration: 20m, plot_every: 10h}\n\
                expect: [all_reached: running, cost_at_most: 0.1, event: {name: ProviderDistrusted, count: 1}]\n";
    let run = run_on(Backend::Memory, text);
    assert!(run.report.ok, "{}", run.summary);
}
