//! Programs of any language against the simulated daemon: what they find, and how they end.

use super::*;

fn program(lines: &str) -> String {
    format!("name: trial\ntime: {{mode: real}}\nproviders: [{{name: alice}}]\nprogram:\n{lines}")
}

fn run_of(lines: &str) -> Rehearsal {
    run_on(Backend::Http, &program(lines))
}

#[test]
fn a_program_finds_the_daemon_in_its_environment_and_speaks_to_it() {
    const ASKS: &str = "import os, urllib.request as u; r = u.Request(os.environ['YAGNA_API_URL'] + '/me', \
                        headers={'Authorization': 'Bearer ' + os.environ['YAGNA_APPKEY']}); \
                        print(u.urlopen(r).read().decode(), os.environ['MORE'])";
    let run = run_of(&format!(
        "  run: [python3, -c, \"{ASKS}\"]\n  env: {{MORE: 'of {{{{ name }}}}'}}\n  expect: {{matches: '\"identity\".* of program$'}}\n"
    ));
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.report.workloads[0].workload, "program");
}

#[test]
fn an_exit_code_and_an_output_that_are_not_expected_fail_the_run_with_its_last_words() {
    let error = run_of("  run: echo half way; echo out of luck >&2; exit 3\n")
        .outcome
        .error;
    let error = error.expect("an error");
    assert_eq!(
        error,
        "the program `program`: its exit code is 3, not 0 — out of luck"
    );
    let run = run_of("  run: exit 3\n  name: mine\n  expect: {exit_code: 3}\n");
    assert!(run.report.ok, "{}", run.summary);
    let error = run_of("  run: echo half way\n  expect: {contains: done}\n")
        .outcome
        .error;
    assert!(
        error
            .expect("an error")
            .contains("\"half way\" does not contain \"done\"")
    );
    let error = run_of("  run: [no-such-program-anywhere]\n").outcome.error;
    assert!(
        error
            .expect("an error")
            .contains("cannot run `no-such-program-anywhere`")
    );
}

#[test]
fn a_program_that_prints_without_end_is_kept_in_part_and_ended_at_its_deadline() {
    let run = run_of(
        "  run: echo first; head -c 1000000000 /dev/zero; echo last\n  expect: {matches: '^first'}\n",
    );
    assert!(run.report.ok, "{}", run.summary);
    let run = run_of("  run: 'yes'\n  timeout: 1s\n");
    let error = run.outcome.error.expect("an error");
    assert!(
        error.contains("`program`: it did not end within 1s"),
        "{error}"
    );
}

#[test]
fn nothing_of_a_program_outlives_its_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("child");
    let line = format!("sleep 1000 & echo $! > {}; wait", file.display());
    for ended in ["  timeout: 500ms\n", ""] {
        let text = program(&format!("  run: '{line}'\n{ended}"));
        let text = match ended {
            "" => format!("{text}\n")
                .replace("time: {mode: real}", "time: {mode: real, limit: 500ms}"),
            _ => text,
        };
        let run = run_on(Backend::Http, &text);
        assert!(run.outcome.error.is_some(), "{}", run.summary);
        let child = std::fs::read_to_string(&file)
            .expect("written")
            .trim()
            .to_owned();
        // Its body may be left to be collected by whoever does that.
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let gone = state.is_empty() || state.contains(") Z ") || state.contains(") X ");
        assert!(gone, "{state}");
    }
}

#[test]
fn a_program_is_refused_where_time_is_virtual_before_anything_begins() {
    let origin = Origin {
        file: "trial.yaml".into(),
        folder: None,
    };
    let scenario = Scenario::parse(&program("  run: 'true'\n"), origin).expect("valid");
    assert_eq!(scenario.usual_backend(), Backend::Http);
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        backend: Some(Backend::Memory),
        out: Some(folder.path().join("out")),
        ..Options::default()
    };
    let error = rehearse(&scenario, &options)
        .expect_err("refused")
        .to_string();
    assert!(
        error.starts_with("trial.yaml:5:8: a program has a clock of its own"),
        "{error}"
    );
}
