//! What people see: the verdict first, the lines before a failure, colours on a terminal and nowhere else.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{folder, rehearse, skipped, text, told};

/// Runs it on a terminal of its own, made by `script`; what it shows. Nothing where there is no `script`.
fn on_a_terminal(folder: &Path, arguments: &str, settings: &[(&str, &str)]) -> Option<String> {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_rehearse"));
    let mut script = Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder);
    script
        .env_remove("RUST_LOG")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    script
        .env("TERM", "xterm-256color")
        .envs(settings.iter().copied());
    match script.output() {
        Ok(output) => Some(text(&output.stdout)),
        Err(error) => {
            skipped(&format!("there is no `script` to make a terminal: {error}"));
            None
        }
    }
}

#[test]
fn a_terminal_gets_colours_and_a_live_line_and_nobody_else_does() {
    let folder = folder();
    let Some(shown) = on_a_terminal(folder.path(), "run hello-tasks", &[]) else {
        return;
    };
    assert!(shown.contains("\u{1b}[1m\u{1b}[32mpassed"), "{shown:?}");
    assert!(
        shown.contains("\u{1b}[32m  ✓ nothing is left open"),
        "{shown:?}"
    );
    for settings in [("TERM", "dumb"), ("TERM", "")] {
        let shown = on_a_terminal(folder.path(), "run hello-tasks", &[settings]).expect("again");
        assert!(!shown.contains('\u{1b}'), "{settings:?}: {shown:?}");
    }
    let plain = on_a_terminal(
        folder.path(),
        "run hello-tasks --quiet",
        &[("NO_COLOR", "1")],
    );
    let plain = plain.expect("again");
    assert!(
        plain.contains("passed") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );
    let (code, stdout, stderr) = told(folder.path(), &["run", "hello-tasks"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        !stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'),
        "{stdout}{stderr}"
    );
}

const FAILS: &str = "\
name: fails
providers: [{name: alice}]
tasks: {name: hello-tasks, count: 1}
expect: [agreements: 2]
";

#[test]
fn a_failure_comes_with_the_five_lines_before_it_and_commands_that_show_more() {
    let folder = folder();
    fs::write(folder.path().join("my fails.yaml"), FAILS).expect("written");
    fs::write(folder.path().join("more.yaml"), "seed: 3\n").expect("written");
    let arguments = [
        "run",
        "my fails.yaml",
        "--with",
        "more.yaml",
        "--out",
        "an out",
    ];
    let (code, summary, stderr) = told(folder.path(), &arguments);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        summary.starts_with("FAILED fails · memory · seed 3 · "),
        "{summary}"
    );
    let (_, lines) = summary
        .split_once("before “2 agreements”\n")
        .expect("lines");
    let (lines, rest) = lines.split_once("  more: ").expect("a command");
    assert_eq!(lines.lines().count(), 6, "{lines}");
    assert!(
        lines
            .lines()
            .last()
            .expect("the line")
            .contains("AgreementTerminated"),
        "{lines}"
    );
    let command = rest.lines().next().expect("a command");
    let more = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder.path())
        .output();
    let more = text(&more.expect("it runs").stdout);
    assert!(
        more.lines().count() > 6 && more.contains("agreement_terminated"),
        "{command}: {more}"
    );
    let command = |name: &str| {
        let mut lines = summary
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(name));
        lines.next().expect(name).trim().to_owned()
    };
    let shell = |command: &str| {
        let words = command.strip_prefix("rehearse").expect("this program");
        let line = format!("{}{words}", env!("CARGO_BIN_EXE_rehearse"));
        let ran = Command::new("sh")
            .args(["-c", &line])
            .current_dir(folder.path())
            .output();
        let ran = ran.expect("it runs");
        (ran.status.code(), text(&ran.stdout))
    };
    assert_eq!(
        shell(&command("page ")),
        (Some(0), "an out/report.html\n".into())
    );
    let (code, again) = shell(&command("again "));
    assert_eq!(code, Some(1));
    let sum = |text: &str| {
        text.split_once("sha256 ")
            .map(|(_, sum)| sum[..64].to_owned())
    };
    assert_eq!(sum(&again), sum(&summary), "{again}");
}

#[test]
fn the_summary_of_a_run_begins_and_ends_with_its_verdict() {
    let folder = folder();
    let output = rehearse(folder.path())
        .args(["run", "hello-tasks", "--quiet"])
        .output();
    let summary = text(&output.expect("it runs").stdout);
    assert!(
        summary.starts_with("passed hello-tasks · memory · seed 1 · "),
        "{summary}"
    );
    assert!(summary.ends_with("\npassed\n"), "{summary}");
}
