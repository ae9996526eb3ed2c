//! What a run leaves for people and other programs to look at, and `rehearse show` and `rehearse diff`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{MINUTE, folder, rehearse, skipped, text, told};

/// Providers with names that try to be more.
const HOSTILE: &str = "\
name: hostile
about: </title><script>document.title='owned'</script>
providers:
  - {name: \"<script>document.title='owned'</script>\"}
  - {name: \"</script><img src=x onerror=\\\"document.title='owned'\\\">\"}
  - {name: bob & sons}
service: {name: simple-service, instances: 3, duration: 2m}
timeline: [{at: 1m, do: terminate-agreement, provider: \"<script>document.title='owned'</script>\"}]
";

fn wrote(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    path
}

fn run_hostile(folder: &Path) -> String {
    wrote(folder, "hostile.yaml", HOSTILE);
    let (code, _, stderr) = told(folder, &["run", "hostile.yaml", "--html", "--out", "out"]);
    assert_eq!(code, Some(1), "{stderr}");
    fs::read_to_string(folder.join("out/report.html")).expect("a page")
}

#[test]
fn every_run_leaves_a_trace_and_a_page_only_when_it_is_asked_for() {
    let folder = folder();
    let there = |name: &str| {
        folder
            .path()
            .join("rehearsal/hello-tasks")
            .join(name)
            .exists()
    };
    let run = |more: &[&str]| {
        let (code, _, stderr) = told(folder.path(), &[&["run", "hello-tasks"], more].concat());
        assert_eq!(code, Some(0), "{stderr}");
    };
    run(&["--html"]);
    assert!(there("report.html") && there("trace.json") && there("report.json"));
    // A page of another run is not left beside a new report.
    run(&[]);
    assert!(!there("report.html") && there("trace.json") && there("report.json"));
    let parts = fs::read_dir(folder.path().join("rehearsal/hello-tasks")).expect("a folder");
    let names = parts.map(|part| {
        part.expect("a file")
            .file_name()
            .into_string()
            .expect("a name")
    });
    assert!(names.into_iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn a_page_needs_nothing_else_and_nothing_in_it_is_run_or_drawn_that_came_from_outside() {
    let folder = folder();
    let page = run_hostile(folder.path());
    assert_eq!(
        page.matches("<script").count(),
        2,
        "the data and the page's own"
    );
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;"));
    assert!(page.contains("default-src 'none'") && page.contains("script-src 'sha256-"));
    for outside in ["src=", "url(", "@import", "https://", "fetch("] {
        let own = page
            .replace("\\u003cimg src=x", "")
            .replace("&lt;img src=x", "");
        assert!(!own.contains(outside), "{outside}");
    }
    let links = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!links.contains("http://"));
}

#[test]
fn the_same_run_gives_the_same_page_but_for_the_time_it_took() {
    let folder = folder();
    let page = |out: &str| {
        let arguments = ["run", "hello-tasks", "--html", "--quiet", "--out", out];
        assert_eq!(told(folder.path(), &arguments).0, Some(0));
        let page = fs::read_to_string(folder.path().join(out).join("report.html"));
        let page = page.expect("a page");
        let (before, rest) = page.split_once("virtual time in ").expect("the time");
        let (_, rest) = rest.split_once(" s<").expect("the time");
        before.to_owned() + rest
    };
    assert!(page("one") == page("two"));
}

/// The page as a browser has it after its script has run; nothing where there is no browser.
pub(super) fn in_a_browser(page: &str) -> Option<String> {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    for browser in browsers {
        let profile = folder();
        let output = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--virtual-time-budget=5000",
                "--window-size=1280,900",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(page)
            .output();
        if let Ok(output) = output {
            return Some(text(&output.stdout));
        }
    }
    skipped(&format!("there is none of {browsers:?}"));
    None
}

#[test]
fn a_browser_draws_the_page_filters_it_and_runs_nothing_from_outside() {
    let folder = folder();
    run_hostile(folder.path());
    let path = folder
        .path()
        .join("out/report.html")
        .canonicalize()
        .expect("a page");
    let Some(all) = in_a_browser(&format!("file://{}", path.display())) else {
        return;
    };
    assert!(
        all.contains("data-ready=\"yes\""),
        "its script did not come to its end: {all}"
    );
    assert!(
        all.contains("<title>FAILED: hostile</title>"),
        "a provider's name was run"
    );
    // The run, the requestor, three instances, payments, three providers.
    assert!(
        all.contains("data-rows=\"9\""),
        "{}",
        all.split("<body").nth(1).unwrap_or("")
    );
    assert!(
        all.contains("role=\"img\" aria-label=\"Cost over time"),
        "no curves"
    );
    let bob = in_a_browser(&format!(
        "file://{}#filter=bob&rows=providers",
        path.display()
    ));
    assert!(bob.expect("again").contains("data-rows=\"1\""));
    let names = |page: &str| -> Vec<String> {
        let cells = page.split("class=\"name\" type=\"button\">").skip(1);
        cells
            .filter_map(|cell| Some(cell.split_once('<')?.0.to_owned()))
            .collect()
    };
    let sorted = in_a_browser(&format!("file://{}#sort=provider", path.display()));
    let sorted = sorted.expect("again");
    assert!(sorted.contains("aria-sort=\"ascending\""), "{sorted}");
    assert_eq!(sorted.matches("aria-sort=\"").count(), 1);
    assert_eq!(names(&all).len(), 3);
    let last = names(&sorted).pop();
    assert_eq!(last.as_deref(), Some("bob &amp; sons"), "signs come first");
    assert_ne!(names(&sorted), names(&all));
    let trouble = in_a_browser(&format!("file://{}#only=trouble&rows=work", path.display()));
    assert!(
        trouble.expect("again").contains("2 of 9 rows</span>"),
        "one instance failed, and with it the requestor"
    );
}

#[test]
fn a_page_is_made_of_the_folder_of_a_run_that_is_over() {
    let folder = folder();
    let (code, ..) = told(
        folder.path(),
        &["run", "hello-tasks", "--html", "--out", "out"],
    );
    assert_eq!(code, Some(0));
    let page = folder.path().join("out/report.html");
    let whole = fs::read(&page).expect("a page");
    fs::remove_file(&page).expect("removed");
    let (code, stdout, stderr) = told(folder.path(), &["show", "out"]);
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "out/report.html\n"),
        "{stderr}"
    );
    assert!(
        fs::read(&page).expect("a page") == whole,
        "it is the run's own page"
    );
}

#[test]
fn what_is_not_whole_is_neither_shown_nor_compared() {
    let folder = folder();
    for name in [
        "good",
        "no-report",
        "half-report",
        "half-journal",
        "changed",
    ] {
        let (code, ..) = told(
            folder.path(),
            &["run", "hello-tasks", "--quiet", "--out", name],
        );
        assert_eq!(code, Some(0), "{name}");
    }
    let at = |name: &str| folder.path().join(name);
    let halve = |path: PathBuf| {
        let bytes = fs::read(&path).expect("there");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    };
    fs::remove_file(at("no-report/report.json")).expect("removed");
    halve(at("half-report/report.json"));
    halve(at("half-journal/journal.jsonl"));
    let journal = fs::read_to_string(at("changed/journal.jsonl")).expect("there");
    fs::write(
        at("changed/journal.jsonl"),
        journal.replace("fleet", "float"),
    )
    .expect("written");
    fs::create_dir(at("empty")).expect("made");
    wrote(folder.path(), "diary.jsonl", "Dear diary\n");
    for (name, reason) in [
        ("missing", "no such"),
        ("empty", "no journal.jsonl"),
        ("no-report", "did not come to its end"),
        ("half-report", "no whole report"),
        ("half-journal", "is not whole"),
        ("changed", "was changed"),
    ] {
        let (code, stdout, stderr) = told(folder.path(), &["show", name]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{name}: {stderr}");
        assert!(
            stderr.contains(reason) && stderr.contains(name),
            "{name}: {stderr}"
        );
        assert!(!at(name).join("report.html").exists());
        let (code, _, stderr) = told(folder.path(), &["diff", "good", name]);
        assert_eq!(code, Some(2), "{name}: {stderr}");
    }
    for (file, reason) in [
        ("half-journal/journal.jsonl", "not whole"),
        ("diary.jsonl", "no journal"),
    ] {
        let (code, _, stderr) = told(folder.path(), &["diff", file, "good"]);
        assert_eq!(code, Some(2), "{file}");
        assert!(stderr.contains(reason), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_was_killed_left_nothing_that_is_taken_for_a_result() {
    let folder = folder();
    wrote(folder.path(), "minute.yaml", MINUTE);
    let mut run = rehearse(folder.path());
    let mut run = run
        .args(["run", "minute.yaml", "--html", "--out", "out"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(run.stderr.take().expect("piped")).lines();
    let running = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains(" running"));
    assert!(running.is_some(), "the instance does not run");
    run.kill().expect("killed");
    run.wait().expect("ended");
    let (code, _, stderr) = told(folder.path(), &["show", "out"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("did not come to its end"), "{stderr}");
    // Its folder is known to be a run's, half-written files and all.
    wrote(folder.path(), "out/report.html.part", "<!doctype ht");
    let (code, _, stderr) = told(folder.path(), &["run", "hello-tasks", "--out", "out"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!folder.path().join("out/report.html.part").exists());
}

#[test]
fn journals_are_compared_line_by_line_and_the_exit_code_says_whether_they_part() {
    let folder = folder();
    for (out, seed) in [("one", "1"), ("same", "1"), ("two", "2")] {
        let arguments = [
            "run",
            "hello-tasks",
            "--quiet",
            "--seed",
            seed,
            "--out",
            out,
        ];
        assert_eq!(told(folder.path(), &arguments).0, Some(0));
    }
    let (code, stdout, _) = told(folder.path(), &["diff", "one", "same"]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.starts_with("the same: "), "{stdout}");
    let (code, stdout, _) = told(folder.path(), &["diff", "one/journal.jsonl", "two"]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(
        stdout.starts_with("- one/journal.jsonl\n+ two/journal.jsonl\n"),
        "{stdout}"
    );
    assert!(stdout.contains("they part at line 1, "), "{stdout}");
    let (code, stdout, _) = told(folder.path(), &["diff", "one", "two", "--json"]);
    assert_eq!(code, Some(1));
    let told: serde_json::Value = serde_json::from_str(&stdout).expect("one object");
    assert_eq!((&told["same"], &told["line"]), (&false.into(), &1.into()));
}

/// Asks a server on this computer for a path; the answer, head and all.
fn ask(port: u16, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    text(&answer)
}

#[test]
fn a_page_is_served_on_this_computer_only_to_who_names_it() {
    let folder = folder();
    let (code, ..) = told(
        folder.path(),
        &["run", "hello-tasks", "--quiet", "--out", "out"],
    );
    assert_eq!(code, Some(0));
    let mut server = rehearse(folder.path())
        .args(["show", "out", "--serve"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut url = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("piped"));
    stdout.read_line(&mut url).expect("an address");
    let host = url
        .trim()
        .strip_prefix("http://")
        .expect("an address")
        .trim_end_matches('/');
    let port: u16 = host
        .rsplit(':')
        .next()
        .expect("a port")
        .parse()
        .expect("a port");
    let page = ask(port, host, "/");
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("hello-tasks"),
        "{page}"
    );
    assert!(ask(port, host, "/trace.json").contains("traceEvents"));
    assert!(ask(port, host, "/../Cargo.toml").starts_with("HTTP/1.1 404"));
    assert!(ask(port, host, "/.rehearse").starts_with("HTTP/1.1 404"));
    assert!(ask(port, "evil.example", "/").starts_with("HTTP/1.1 403"));
    assert!(ask(port, "evil.example", "/report.json").starts_with("HTTP/1.1 403"));
    server.kill().expect("killed");
    server.wait().expect("ended");
    assert!(
        !folder.path().join("out/report.html").exists(),
        "what is served is not left"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_is_opened_by_the_platforms_program_and_that_there_is_none_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    let (code, ..) = told(
        folder.path(),
        &["run", "hello-tasks", "--quiet", "--out", "out"],
    );
    assert_eq!(code, Some(0));
    let show = |path: &Path| {
        let mut show = rehearse(folder.path());
        show.args(["show", "out", "--open"]).env("PATH", path);
        show.output().expect("it runs")
    };
    let tools = folder.path().join("tools");
    fs::create_dir(&tools).expect("made");
    let none = show(&tools);
    assert_eq!(none.status.code(), Some(2));
    assert_eq!(
        text(&none.stdout),
        "out/report.html\n",
        "where it is, is told all the same"
    );
    assert!(text(&none.stderr).contains("cannot be opened: xdg-open"));
    let opener = wrote(&tools, "xdg-open", "#!/bin/sh\necho \"$1\" > opened\n");
    fs::set_permissions(opener, fs::Permissions::from_mode(0o755)).expect("made a program");
    assert_eq!(show(&tools).status.code(), Some(0));
    let opened = fs::read_to_string(folder.path().join("opened")).expect("opened");
    assert!(opened.trim_end().ends_with("/out/report.html"), "{opened}");
}

#[test]
fn a_run_tells_ci_what_came_of_it_as_junit_and_markdown() {
    let folder = folder();
    wrote(folder.path(), "hostile.yaml", HOSTILE);
    let files = ["--junit", "out/junit.xml", "--markdown", "made/for/ci.md"];
    let run = |scenario: &str| {
        let arguments = [&["run", scenario, "--quiet", "--out", "out"][..], &files].concat();
        let (code, ..) = told(folder.path(), &arguments);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("written");
        (code, read("out/junit.xml"), read("made/for/ci.md"))
    };
    let (code, junit, markdown) = run("hostile.yaml");
    assert_eq!(code, Some(1));
    assert!(
        junit.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites"),
        "{junit}"
    );
    assert!(
        junit.contains("tests=\"5\" failures=\"1\" errors=\"0\""),
        "{junit}"
    );
    assert!(
        junit.contains("<failure message=\"1 (the provider ended"),
        "{junit}"
    );
    assert!(
        !junit.contains("<script>") && junit.contains("&lt;script&gt;"),
        "{junit}"
    );
    assert_eq!(junit.matches("<testcase").count(), 5);
    assert!(
        markdown.contains("## ❌ hostile failed: 1 of 5"),
        "{markdown}"
    );
    assert!(
        markdown.contains("rehearse run hostile.yaml --seed 1"),
        "{markdown}"
    );
    // The folder with the file in it is still known to be a run's, and the file is the new run's.
    let (code, junit, markdown) = run("hello-tasks");
    assert_eq!(code, Some(0));
    assert!(
        junit.contains("failures=\"0\"") && !junit.contains("<failure"),
        "{junit}"
    );
    assert!(markdown.contains("## ✅ hello-tasks passed"), "{markdown}");
    let (code, junit, markdown) = run("missing.yaml");
    assert_eq!(code, Some(2));
    assert!(
        junit.contains("errors=\"1\"") && junit.contains("missing.yaml"),
        "{junit}"
    );
    assert!(
        markdown.contains("❌ missing.yaml could not be run"),
        "{markdown}"
    );
}

#[test]
fn the_summary_of_a_step_is_written_only_when_asked_and_added_to_what_is_there() {
    let folder = folder();
    let summary = wrote(folder.path(), "summary.md", "# Mine\n");
    let run = |arguments: &[&str], set: bool| {
        let mut run = rehearse(folder.path());
        run.args(["run", "hello-tasks", "--quiet"])
            .args(arguments)
            .env_remove("GITHUB_STEP_SUMMARY");
        if set {
            run.env("GITHUB_STEP_SUMMARY", &summary);
        }
        let output = run.output().expect("it runs");
        (output.status.code(), text(&output.stderr))
    };
    let read = || fs::read_to_string(&summary).expect("there");
    assert_eq!(run(&[], true).0, Some(0));
    assert_eq!(read(), "# Mine\n");
    assert_eq!(run(&["--github-summary"], true).0, Some(0));
    assert!(
        read().starts_with("# Mine\n") && read().contains("✅ hello-tasks passed"),
        "{}",
        read()
    );
    let (code, stderr) = run(&["--github-summary"], false);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("GITHUB_STEP_SUMMARY"), "{stderr}");
}

#[test]
fn a_sweep_tells_ci_of_every_kind_of_point() {
    let folder = folder();
    let arguments = [
        "sweep",
        "hello-tasks",
        "--kind",
        "cancel",
        "--sample",
        "2",
        "--junit",
        "j.xml",
    ];
    let (code, stdout, stderr) = told(
        folder.path(),
        &[&arguments[..], &["--markdown", "m.md"]].concat(),
    );
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let junit = fs::read_to_string(folder.path().join("j.xml")).expect("written");
    assert!(
        junit.contains("name=\"sweep of hello-tasks: cancellations\""),
        "{junit}"
    );
    assert!(
        junit.contains("<testcase name=\"2 cancellations\""),
        "{junit}"
    );
    let markdown = fs::read_to_string(folder.path().join("m.md")).expect("written");
    assert!(
        markdown.contains("✅ sweep of hello-tasks: cancellations passed"),
        "{markdown}"
    );
}
