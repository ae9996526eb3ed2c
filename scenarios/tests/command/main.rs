//! The command `rehearse` as scripts, CI and people meet it: signals, exit codes, and whose files it touches.

mod cases;
#[cfg(target_os = "linux")]
mod exec;
mod explore;
#[cfg(target_os = "linux")]
mod pipes;
mod reports;
#[cfg(target_os = "linux")]
mod terminal;
#[rustfmt::skip] // as README has it
mod first_test;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn rehearse(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rehearse"));
    command.current_dir(folder).env_remove("RUST_LOG");
    command
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it with these arguments; exit code, standard output, standard error.
fn told(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = rehearse(folder).args(arguments).output().expect("it runs");
    (status.code(), text(&stdout), text(&stderr))
}

/// Says why a test did not try what it is for.
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output is to know"
)]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

const MINUTE: &str = "\
name: minute
time: {mode: real}
providers: [{name: alice}]
service: {name: simple-service, duration: 1m, stats_every: 1s, plot_every: 1m}
";

#[cfg(unix)]
#[test]
fn a_run_that_is_told_to_end_by_sigterm_stops_settles_and_ends_with_130() {
    let folder = folder();
    fs::write(folder.path().join("minute.yaml"), MINUTE).expect("written");
    let mut run = rehearse(folder.path())
        .args(["run", "minute.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stderr = BufReader::new(run.stderr.take().expect("piped"));
    let mut lines = stderr.lines().map_while(Result::ok);
    let running = lines.find(|line| line.contains(" running"));
    assert!(running.is_some(), "the instance does not run");
    let told = Command::new("kill")
        .args(["-TERM", &run.id().to_string()])
        .status();
    assert!(told.expect("kill runs").success());
    assert!(
        lines.any(|line| line.contains("stopping; once more to abort")),
        "no word of it"
    );
    lines.for_each(drop);
    let ended = run.wait_with_output().expect("it ends");
    let summary = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(130), "{summary}");
    assert!(summary.contains("nothing is left open"), "{summary}");
    assert!(summary.contains("1 invoices paid"), "{summary}");
}

#[test]
fn a_run_that_cannot_begin_ends_with_2_and_the_reason() {
    let folder = folder();
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write(
        "poor.yaml",
        &format!("{MINUTE}requestor: {{budget: 5, funds: 1}}\n"),
    );
    write("wrong.yaml", "name: [\n");
    write("a-file", "");
    for (arguments, reason) in [
        (&["run", "poor.yaml"][..], "5 GLM wanted"),
        (&["run", "wrong.yaml"], "wrong.yaml:"),
        (&["run", "missing.yaml"], "missing.yaml"),
        (&["run", "simple-servcie"], "did you mean `simple-service`?"),
        (&["run", "hello-tasks", "--out", "a-file"], "a-file"),
        (
            &["run", "hello-tasks", "--out", "a-file/in-it"],
            "a-file/in-it",
        ),
        (&["run", "hello-tasks", "--out", "a-file"], "it is a file"),
        (
            &["run", "hello-tasks", "--junit", "a-file/x.xml"],
            "a-file/x.xml",
        ),
        (&["run", "hello-tasks", "--markdown", "."], "it is a folder"),
        (
            &["sweep", "hello-tasks", "--junit", "a-file/x.xml"],
            "a-file/x.xml",
        ),
        (&["sweep", "missing.yaml"], "missing.yaml"),
        (&["image", "a-file"], "a-file"),
    ] {
        let (code, stdout, stderr) = told(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stdout}{stderr}");
        assert!(
            stdout.contains(reason) || stderr.contains(reason),
            "{arguments:?}: {stdout}{stderr}"
        );
    }
}

#[test]
fn the_test_in_readme_is_the_one_that_is_compiled_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(folder.join("../README.md")).expect("README");
    assert!(readme.contains(include_str!("first_test.rs")));
}

#[test]
fn a_file_that_cannot_be_run_is_an_object_on_standard_output_when_one_is_wanted() {
    let folder = folder();
    fs::write(
        folder.path().join("wrong.yaml"),
        "name: wrong\nprovders: []\n",
    )
    .expect("written");
    for file in ["wrong.yaml", "missing.yaml"] {
        let (code, stdout, stderr) = told(folder.path(), &["run", file, "--json"]);
        assert_eq!(code, Some(2), "{stderr}");
        let told: serde_json::Value = serde_json::from_str(&stdout).expect("one object");
        assert_eq!(told["ok"], false);
        let error = told["error"].as_str().expect("words");
        assert!(stderr.contains(error), "{error} is not in {stderr}");
        let (_, stdout, _) = self::told(folder.path(), &["run", file]);
        assert_eq!(stdout, "", "words for people go to standard error");
    }
}

#[test]
fn check_tells_every_mistake_of_files_and_folders_and_ends_with_1() {
    let folder = folder();
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    fs::create_dir(folder.path().join("all")).expect("made");
    write("all/good.yaml", MINUTE);
    write("all/_part.yaml", "no: scenario");
    let (code, stdout, _) = told(folder.path(), &["check", "all"]);
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "1 scenario checked: no mistake\n")
    );
    write(
        "all/bad.yaml",
        "name: bad\ntasks: {name: helo-tasks, count: 0}\n",
    );
    let (code, stdout, _) = told(folder.path(), &["check", "all", "hello-tasks"]);
    assert_eq!(code, Some(1), "{stdout}");
    for words in [
        "all/bad.yaml:2:34: `count` is 0",
        "all/bad.yaml:2:15: unknown tasks `helo-tasks`; did you mean `hello-tasks`?",
        "3 scenarios checked: 2 mistakes in 1 of them",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    let (code, stdout, _) = told(
        folder.path(),
        &["check", "all/bad.yaml", "no.yaml", "--json"],
    );
    let object: serde_json::Value = serde_json::from_str(&stdout).expect("one object");
    assert_eq!(code, Some(1));
    assert_eq!(object["mistakes"][0]["line"], 2);
    assert_eq!(object["mistakes"][0]["scenario"], "all/bad.yaml");
    assert_eq!(object["mistakes"].as_array().map(Vec::len), Some(3));
    fs::create_dir(folder.path().join("none")).expect("made");
    assert_eq!(told(folder.path(), &["check", "none"]).0, Some(2));
}

#[test]
fn the_whole_catalog_is_checked_and_the_schema_is_printed() {
    let folder = folder();
    let (code, stdout, stderr) = told(folder.path(), &["check"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.ends_with("scenarios checked: no mistake\n"),
        "{stdout}"
    );
    let (code, stdout, _) = told(folder.path(), &["schema"]);
    assert_eq!(code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(schema["properties"]["workloads"].is_object());
}

#[test]
fn what_is_laid_over_a_scenario_is_run_in_place_of_what_it_says() {
    let folder = folder();
    fs::write(
        folder.path().join("few.yaml"),
        "tasks: {count: 2}\nexpect: [tasks: 2]\n",
    )
    .expect("written");
    let run = ["run", "hello-tasks", "--with", "few.yaml", "--quiet"];
    let (code, stdout, stderr) = told(folder.path(), &run);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("2 task results"), "{stdout}");
}
