//! Signals: to everything that runs, and to one program.

use super::*;

const TICKER: &str = "name: trial\nproviders: [{name: fleet, count: 2}]\n\
                      service: {name: ticker, instances: 2, duration: 1h, run: {every: 1m, do: [{run: date}]}}\n";

#[test]
fn a_signal_ends_everything_in_order_and_what_is_owed_is_paid() {
    for signal in ["", ", signal: SIGINT", ", signal: SIGTERM"] {
        let text = format!(
            "{TICKER}timeline: [{{at: 5m, do: signal{signal}}}]\n\
             expect: [all_reached: running, all_terminated, invoices_paid: 2, ends_within: 6m]\n"
        );
        let run = run_on(Backend::Memory, &text);
        assert!(run.report.ok, "{}", run.summary);
        let told = run.report.steps.join("");
        assert!(told.contains("to everything at 5m"), "{told}");
    }
}

#[test]
fn tasks_that_a_signal_ends_have_no_result_and_nothing_begins_after_it() {
    let text = "name: trial\nproviders: [{name: fleet, count: 2}]\n\
                workloads:\n  - tasks: {name: long, data: [1, 2], do: [{run: sleep 600}]}\n  \
                - {tasks: {name: hello-tasks, count: 1}, at: 10m}\n\
                timeline: [{at: 2m, do: signal}]\n\
                expect: [tasks: 0, agreements: 1, invoices_paid: 1, ends_within: 3m]\n";
    let run = run_on(Backend::Memory, text);
    assert!(run.report.ok, "{}", run.summary);
}

fn program(run: &str, expect: &str, steps: &str) -> Rehearsal {
    let text = format!(
        "name: trial\ntime: {{mode: real}}\nproviders: [{{name: alice}}]\n\
         program: {{name: shop, run: \"{run}\", timeout: 30s, expect: {{{expect}}}}}\n\
         timeline: [{steps}]\n"
    );
    run_on(Backend::Http, &text)
}

/// Ends with 7 when it is told to, and hears another signal, too. Not SIGHUP, which nobody hears below `nohup`.
const SHOP: &str =
    "trap 'echo bye; exit 7' TERM; trap 'echo gone' CONT; while :; do sleep 0.05; done";

#[test]
fn a_program_gets_the_signals_that_the_file_names() {
    let run = program(
        SHOP,
        "exit_code: 7, matches: 'gone\\s+bye'",
        "{at: 2s, do: signal, signal: SIGCONT, program: shop}, {at: 3s, do: signal, program: shop}",
    );
    assert!(run.report.ok, "{}", run.summary);
    // Without a name it is for all of them.
    let run = program(SHOP, "exit_code: 7", "{at: 2s, do: signal}");
    assert!(run.report.ok, "{}", run.summary);
}

#[test]
fn a_program_that_a_signal_ended_has_the_exit_code_of_shells() {
    let killed = "{at: 1s, do: signal, signal: SIGKILL, program: shop}";
    let run = program(SHOP, "exit_code: 137", killed);
    assert!(run.report.ok, "{}", run.summary);
    let run = program(SHOP, "exit_code: 0", killed);
    let error = run.outcome.error.expect("an error");
    assert!(error.contains("its exit code is 137"), "{error}");
}

#[test]
fn a_signal_that_cannot_be_sent_is_refused_where_it_is_written() {
    let refused = |text: &str| {
        let origin = Origin {
            file: "trial.yaml".into(),
            folder: None,
        };
        let error = Scenario::parse(text, origin).expect_err(text).to_string();
        assert!(error.starts_with("trial.yaml:"), "{error}");
        error
    };
    let step = |step: &str| refused(&format!("{TICKER}timeline: [{{at: 1m, {step}}}]\n"));
    for (wrong, told) in [
        (
            "do: signal, signal: SIGKILL",
            "SIGKILL is for a `program` only",
        ),
        ("do: signal, signal: SIGTREM", "SIGTREM"),
        ("do: signal, program: shop", "no `program` is called `shop`"),
        (
            "do: stop, signal: SIGTERM",
            "`signal` means nothing to this step",
        ),
        (
            "do: stop, program: shop",
            "`program` means nothing to this step",
        ),
        ("do: signal, provider: fleet-1", "no `provider`"),
        (
            "do: signal, every: 1m, times: 2",
            "a second signal to everything",
        ),
    ] {
        let error = step(wrong);
        assert!(error.contains(told), "{wrong}: {error}");
    }
    let error = refused(
        "name: trial\nprogram: {name: shop, run: 'true'}\ntimeline: [{at: 1s, do: signal, program: shp}]\n",
    );
    assert!(error.contains("did you mean `shop`?"), "{error}");
}
