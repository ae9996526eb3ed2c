//! `rehearse exec` with programs of the shell, which keep no time: it stands while they work.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::reports::in_a_browser;
use super::{folder, rehearse, text, told};

const NETWORK: &str = "\
name: quiet
providers: [{name: alice}]
expect: [{agreements: 0}, {tasks: 3}]
timeline: [{at: 1h, do: go-silent, provider: alice}]
";

fn exec(folder: &Path, options: &[&str], script: &str) -> (Option<i32>, String, String) {
    let mut arguments = vec!["exec", "--out", "out"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    told(folder, &arguments)
}

#[test]
fn a_program_is_told_where_the_network_is_and_its_end_is_the_verdict() {
    let folder = folder();
    let script = "echo $YAGNA_API_URL $YAGNA_APPKEY $YAGNA_SUBNET $YAGNA_PAYMENT_NETWORK $YAGNA_PAYMENT_DRIVER $PYTHONHASHSEED; which gftp";
    let (code, said, _) = exec(folder.path(), &["--seed", "7"], script);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("http://127.0.0.1:"), "{said}");
    assert!(said.contains(" rehearsal public hoodi erc20 7\n"), "{said}");
    assert!(
        said.contains("/bin/gftp\n") && said.contains("passed"),
        "{said}"
    );
    let (code, said, _) = exec(folder.path(), &[], "exit 3");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("✗ the program succeeds — the program ended with exit code 3"),
        "{said}"
    );
    let (code, _, said) = told(
        folder.path(),
        &["exec", "--out", "out", "--", "no-such-program"],
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no-such-program"), "{said}");
    let (code, _, said) = told(folder.path(), &["exec", "--time", "x0", "--", "true"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("x60"), "{said}");
}

#[test]
fn the_report_is_one_object_and_what_the_program_says_goes_to_standard_error() {
    let folder = folder();
    let (code, said, beside) = exec(folder.path(), &["--json"], "echo hello");
    assert_eq!(code, Some(0), "{beside}");
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(report["ok"], true);
    assert!(beside.contains("hello"), "{beside}");
    let written = fs::read_to_string(folder.path().join("out/report.json")).expect("a report");
    assert_eq!(written, said);
}

#[test]
fn what_a_run_leaves_a_program_leaves_too() {
    let folder = folder();
    let options = ["--html", "--junit", "junit.xml", "--markdown", "summary.md"];
    let (code, said, beside) = exec(folder.path(), &options, "exit 3");
    assert_eq!(code, Some(1), "{said}{beside}");
    let left = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
    let trace: serde_json::Value = serde_json::from_str(&left("out/trace.json")).expect("JSON");
    assert!(
        trace["traceEvents"]
            .as_array()
            .is_some_and(|all| !all.is_empty()),
        "{trace:#}"
    );
    assert!(left("out/report.html").contains("</html>"));
    for file in ["junit.xml", "summary.md"] {
        let told = left(file);
        assert!(
            told.contains("the program succeeds") && told.contains("exit code 3"),
            "{file}: {told}"
        );
    }
}

#[test]
fn a_program_that_works_for_too_long_is_named_and_ended_with_all_that_it_started() {
    let folder = folder();
    let script = "sleep 1000 & echo $! > started; sleep 1000";
    let (code, said, _) = exec(folder.path(), &["--busy", "300ms"], script);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("time stood at 0ms for 300ms of real time"),
        "{said}"
    );
    assert!(said.contains("--time real"), "{said}");
    let started = fs::read_to_string(folder.path().join("started")).expect("it began");
    let state = fs::read_to_string(format!("/proc/{}/stat", started.trim())).unwrap_or_default();
    // Its parent is gone; a system without anybody who waits for it shows it as ended.
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn a_scenario_gives_its_network_and_timeline_and_names_what_a_network_cannot_tell() {
    let folder = folder();
    fs::write(folder.path().join("quiet.yaml"), NETWORK).expect("written");
    let (code, said, beside) = told(folder.path(), &["exec", "quiet.yaml", "--", "true"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("quiet · ") && said.contains("✓ 0 agreements"),
        "{said}"
    );
    assert!(
        said.contains("go-silent of alice at 1h 00m 00s: the run was over before"),
        "{said}"
    );
    assert!(
        beside.contains("they are left out: 3 task results"),
        "{beside}"
    );
    fs::write(folder.path().join("wrong.yaml"), "name: x\nprovders: []\n").expect("written");
    let (code, _, said) = told(folder.path(), &["exec", "wrong.yaml", "--", "true"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("wrong.yaml:2:") && said.contains("providers"),
        "{said}"
    );
}

#[test]
fn time_that_is_scaled_passes_while_a_program_that_keeps_none_waits() {
    let folder = folder();
    let (code, said, _) = exec(folder.path(), &["--time", "x10000", "--json"], "sleep 0.3");
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(report["virtual_seconds"].as_f64() > Some(100.0), "{said}");
}

#[test]
fn the_inspector_is_there_while_the_program_runs_and_its_link_opens_it() {
    let folder = folder();
    let waits = "read line < go; exit 0";
    let made = Command::new("mkfifo")
        .arg(folder.path().join("go"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    let mut child = rehearse(folder.path())
        .args([
            "exec",
            "--out",
            "out",
            "--inspector",
            "--",
            "sh",
            "-c",
            waits,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let link = line.trim().strip_prefix("inspector: http://");
    let link = link.unwrap_or_else(|| panic!("no link: {line}"));
    let (address, path) = link.split_once('/').expect("a path");
    let (path, key) = path.split_once("#key=").expect("a key");
    assert_eq!(key, "rehearsal");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!(
            "GET /{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(get(path).contains("<title>mock-yagna: inspector</title>"));
    let providers = get("mock-api/v1/providers");
    assert!(providers.contains("provider-1"), "{providers}");
    if let Some(drawn) = in_a_browser(&format!("http://{link}")) {
        for shown in [
            "provider-4: end its agreements",
            "no request waits",
            "no agreement yet",
        ] {
            assert!(drawn.contains(shown), "{shown}: {drawn}");
        }
    }
    fs::write(folder.path().join("go"), "now\n").expect("the program reads");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let (code, _, said) = exec(folder.path(), &["--inspector=0.0.0.0:0"], "true");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("can be reached by other machines"), "{said}");
}

#[test]
fn gftp_answers_every_order_with_a_line() {
    let folder = folder();
    fs::write(folder.path().join("a.txt"), "content").expect("written");
    let orders = [
        r#"{"jsonrpc":"2.0","id":1,"method":"version"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"publish","params":{"files":["a.txt","none.txt"]}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"publish","params":{"files":["a.txt"]}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"receive","params":{"output_file":"new/b.txt"}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"close","params":{"urls":["gftp://nobody/x"]}}"#,
        "nonsense",
        r#"{"jsonrpc":"2.0","id":6,"method":"dance"}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"shutdown"}"#,
    ];
    fs::write(folder.path().join("orders"), orders.join("\n")).expect("written");
    let (code, said, beside) = exec(folder.path(), &[], "gftp server < orders");
    assert_eq!(code, Some(0), "{said}{beside}");
    let lines: Vec<&str> = said.lines().take(orders.len()).collect();
    let expected = [
        "0.7.3",
        "none.txt",
        "gftp://0x",
        "gftp://0x",
        "[\"error\"]",
        "error",
        "dance",
        "\"ok\"",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{expected}: {said}");
    }
    assert!(said.contains("nothing is left open"), "{said}");
    assert_eq!(
        fs::read(folder.path().join("new/b.txt")).expect("made at once"),
        b""
    );
}

#[test]
fn ctrl_c_ends_the_program_and_the_run() {
    let folder = folder();
    let mut run = rehearse(folder.path())
        .args(["exec", "--out", "out", "--", "sh", "-c"])
        .arg("trap 'echo stopped; exit 0' INT; echo begun > begun; while :; do sleep 0.05; done")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    while !folder.path().join("begun").exists() {
        assert!(run.try_wait().expect("a process").is_none(), "it ended");
        std::thread::yield_now();
    }
    let told = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(told.expect("kill exists").success());
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("stopped"),
        "{}",
        text(&output.stdout)
    );
}
