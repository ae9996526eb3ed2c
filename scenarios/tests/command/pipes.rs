//! Where what the command says goes: readers that go away, and outputs that cannot be written.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{folder, rehearse, text};

/// A device that is always full.
fn full() -> File {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("a Linux")
}

/// A pipe whose reader is gone already.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn ended(mut command: Command) -> Output {
    command.output().expect("it runs")
}

/// A run of tasks that tells everything it can.
fn loud(folder: &Path) -> Command {
    let mut run = rehearse(folder);
    run.args(["run", "hello-tasks"]).env("RUST_LOG", "debug");
    run
}

#[test]
fn a_log_that_cannot_be_written_changes_nothing_of_a_run() {
    for (name, stderr) in [("gone", gone()), ("full", full().into())] {
        let folder = folder();
        let mut run = loud(folder.path());
        let output = run.stdout(Stdio::piped()).stderr(stderr);
        let output = output.spawn().expect("it starts").wait_with_output();
        let output = output.expect("it ends");
        let summary = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}: {summary}");
        assert!(summary.ends_with("passed\n"), "{name}: {summary}");
    }
}

#[test]
fn a_reader_of_the_log_that_goes_away_in_the_middle_of_a_run_changes_nothing_of_it() {
    let folder = folder();
    let mut run = loud(folder.path());
    let mut run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut log = BufReader::new(run.stderr.take().expect("piped"));
    let mut line = String::new();
    log.read_line(&mut line).expect("a line");
    drop(log);
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn what_was_asked_for_and_cannot_be_written_ends_with_2_and_the_reason() {
    for arguments in [
        &["run", "hello-tasks", "--quiet"][..],
        &["run", "hello-tasks", "--json"],
        &["list"],
        &["list", "--json"],
        &["--help"],
        &["--version"],
        &["run", "--help"],
    ] {
        let folder = folder();
        let mut command = rehearse(folder.path());
        command
            .args(arguments)
            .stdout(full())
            .stderr(Stdio::piped());
        let output = command.spawn().expect("it starts").wait_with_output();
        let output = output.expect("it ends");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(
            told.contains("cannot write to standard output: No space left"),
            "{arguments:?}: {told}"
        );
    }
}

#[test]
fn a_reader_of_the_result_that_went_away_leaves_the_exit_code_to_the_run() {
    let folder = folder();
    for (scenario, code) in [("hello-tasks", 0), ("missing.yaml", 2)] {
        let mut command = rehearse(folder.path());
        command.args(["run", scenario, "--json"]).stdout(gone());
        assert_eq!(ended(command).status.code(), Some(code), "{scenario}");
    }
}

#[test]
fn a_journal_that_cannot_be_written_is_told_beside_the_summary_and_ends_with_2() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_rehearse");
    // No file may become larger than 150 blocks of 512 bytes, which the journal does, and no signal ends who tries.
    let script = format!("trap '' XFSZ; ulimit -f 150; exec {program} run hello-tasks --quiet");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path());
    let output = ended(shell);
    let (summary, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{summary}{told}");
    assert!(
        told.contains("cannot write rehearsal/hello-tasks/journal.jsonl"),
        "{told}"
    );
    assert!(summary.contains("12 task results"), "{summary}");
    let journal = folder.path().join("rehearsal/hello-tasks/journal.jsonl");
    assert!(fs::metadata(journal).expect("a beginning").len() > 0);
}

#[test]
fn a_folder_that_takes_no_files_is_told_before_the_run() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_rehearse");
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {program} run hello-tasks");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path());
    let output = ended(shell);
    let (summary, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{summary}{told}");
    assert!(
        told.contains("rehearsal/hello-tasks: it takes no files"),
        "{told}"
    );
    assert!(
        told.contains("--out") && !told.contains("agreement"),
        "{told}"
    );
    assert_eq!(summary, "");
    let left = folder.path().join("rehearsal/hello-tasks");
    assert!(!left.join("journal.jsonl").exists() && !left.join("report.json").exists());
    // Nothing of it is in the way of the next run.
    let (code, _, told) = crate::told(folder.path(), &["run", "hello-tasks"]);
    assert_eq!(code, Some(0), "{told}");
}
