//! The program itself: what it prints, what it refuses, how it ends.
//!
//! Real processes on free ports; nothing waits longer than the program needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mock-yagna");

struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

/// Killed if a test fails half-way.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(options: &[&str]) -> Running {
        Running::start_with(options, Stdio::null())
    }

    fn start_with(options: &[&str], log: impl Into<Stdio>) -> Running {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", "--app-key", "s3cret"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let (url, key) = (line(), line());
        assert_eq!(key, "export YAGNA_APPKEY=s3cret");
        let address = url
            .strip_prefix("export YAGNA_API_URL=http://")
            .expect("the URL")
            .to_owned();
        Running {
            child,
            stdout,
            address,
        }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }

    fn get(&self, path: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer s3cret\r\nconnection: close\r\n\r\n"
        );
        let mut answer = String::new();
        self.send(&request)
            .read_to_string(&mut answer)
            .expect("an answer");
        answer
    }

    /// Orders something through the control API; the answer.
    fn order(&self, order: &str) -> String {
        self.post("/mock-api/v1/acts", order)
    }

    fn post(&self, path: &str, order: &str) -> String {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer s3cret\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{order}",
            order.len()
        );
        let mut answer = String::new();
        let mut stream = self.send(&request);
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[cfg(unix)]
    fn end_with(mut self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        assert!(
            self.child.wait().expect("it ends").success(),
            "it ends cleanly"
        );
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("readable");
        assert_eq!(rest, "", "standard output carries the two lines only");
    }
}

#[test]
fn a_request_without_a_route_is_answered_as_by_the_daemon_and_the_log_names_the_nearest() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let running = Running::start_with(&["--providers", "1"], log.reopen().expect("a file"));
    for _ in 0..4 {
        let answer = running.get("/market-api/v1/demand");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    running.get("/mock-api/v1/demands");
    running.end_with("-TERM");
    let told = std::fs::read_to_string(log.path()).expect("the log");
    let near =
        "warn no route `GET /market-api/v1/demand`; the nearest is `GET /market-api/v1/demands`";
    assert_eq!(told.matches(near).count(), 2, "{told}");
    assert!(told.contains("  … 2 more like these\n"), "{told}");
    assert!(
        told.contains("/mock-api/v1/openapi.yaml describes"),
        "{told}"
    );
}

#[test]
fn containers_ask_whether_it_is_well_and_packagers_for_its_manual() {
    let running = Running::start(&["--providers", "1"]);
    let ask = |options: &[&str]| {
        Command::new(PROGRAM)
            .args(options)
            .output()
            .expect("it runs")
    };
    let address = running.address.clone();
    assert!(ask(&["--is-healthy", &address]).status.success());
    drop(running);
    assert!(!ask(&["--is-healthy", &address]).status.success());
    let told = |options: &[&str]| String::from_utf8_lossy(&ask(options).stdout).into_owned();
    assert!(told(&["--man"]).contains(".TH mock-yagna 1"));
    assert!(told(&["--completions", "bash"]).contains("--control-listen"));
    assert!(refused(&["--man", "--providers", "3"]).contains("cannot be used with"));
}

fn refused(options: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(PROGRAM)
        .args(options)
        .output()
        .expect("the program runs");
    assert!(!status.success());
    assert!(stdout.is_empty());
    String::from_utf8(stderr).expect("text")
}

#[cfg(unix)]
#[test]
fn it_serves_on_a_free_port_and_ends_cleanly_on_either_signal() {
    for signal in ["-INT", "-TERM"] {
        let running = Running::start(&["--providers", "2"]);
        let me = running.get("/me");
        assert!(me.starts_with("HTTP/1.1 200 OK\r\n"), "{me}");
        assert!(me.contains("\r\ndate: "), "{me}");
        running.end_with(signal);
    }
}

#[cfg(unix)]
#[test]
fn a_long_poll_does_not_hold_up_the_end() {
    let running = Running::start(&[]);
    let mut poll = running.send(
        "GET /market-api/v1/agreementEvents?timeout=600 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer s3cret\r\n\r\n",
    );
    // An answered request later, the poll is certainly being served.
    running.get("/me");
    running.end_with("-TERM");
    let mut rest = Vec::new();
    let _ = poll.read_to_end(&mut rest);
}

#[test]
fn a_port_in_use_is_one_clear_error() {
    let running = Running::start(&[]);
    let error = refused(&["--listen", &running.address]);
    assert!(error.contains("is in use by another program"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn an_address_that_others_can_reach_needs_a_word() {
    let error = refused(&["--listen", "0.0.0.0:0"]);
    assert!(error.contains("--allow-remote"), "{error}");
}

#[test]
fn bad_options_are_named() {
    assert!(refused(&["--app-key", ""]).contains("app key"));
    assert!(refused(&["--app-key", "a", "--app-key", "a"]).contains("app key"));
    for option in ["--listen", "--control-listen"] {
        for bad in [
            "nowhere",
            "localhost:7465",
            "7465",
            "127.0.0.1",
            "127.0.0.1:99999",
        ] {
            let error = refused(&[option, bad]);
            let example = error.contains("127.0.0.1:7465 or [::1]:7465");
            assert!(
                example && error.contains(option) && error.contains(bad),
                "{error}"
            );
        }
    }
    for (providers, told) in [
        ("1000000000", "20000"),
        ("20001", "20000"),
        ("many", "a number from 0"),
    ] {
        let error = refused(&["--providers", providers]);
        assert!(
            error.contains("--providers") && error.contains(told),
            "{error}"
        );
    }
    for (funds, told) in [
        ("lots", "an amount of GLM"),
        ("-1", "no less than nothing"),
        ("9999999999999", "more than the 1000000000 GLM"),
    ] {
        let error = refused(&[&format!("--funds={funds}")]);
        assert!(error.contains(told), "{error}");
    }
    let error = refused(&["--allow-origin", "http://localhost:8080/app"]);
    assert!(error.contains("as in http://localhost:8080,"), "{error}");
    let error = refused(&["--image-dir", "no-such-folder"]);
    assert!(error.contains("--image-dir no-such-folder"), "{error}");
}

#[test]
fn time_that_is_held_moves_at_a_word_and_the_end_needs_no_time() {
    let running = Running::start(&["--time", "held"]);
    let told = |answer: &str, member: &str| {
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        body[member].as_str().expect("text").to_owned()
    };
    let begin = told(&running.get("/mock-api/v1/time"), "now");
    assert_eq!(told(&running.get("/mock-api/v1/time"), "now"), begin);
    let answer = running.post("/mock-api/v1/time", r#"{"advance": "90d"}"#);
    let (begin, now): (jiff::Timestamp, jiff::Timestamp) = (
        begin.parse().expect("a time"),
        told(&answer, "now").parse().expect("a time"),
    );
    assert_eq!(
        now.duration_since(begin),
        jiff::SignedDuration::from_hours(90 * 24)
    );
    running.end_with("-TERM");
    let said = refused(&["--time", "held", "--image-dir", "/"]);
    assert!(said.contains("exclude each other"), "{said}");
}

#[test]
fn the_inspector_is_served_where_it_is_wanted_and_its_link_opens_it() {
    let running = Running::start(&["--providers", "1"]);
    assert!(
        running
            .get("/mock-api/inspector")
            .starts_with("HTTP/1.1 404 ")
    );
    drop(running);
    let mut running = Running::start(&["--inspector"]);
    let mut line = String::new();
    running.stdout.read_line(&mut line).expect("a line");
    let link = format!("http://{}/mock-api/inspector#key=s3cret", running.address);
    assert_eq!(line, format!("export MOCK_YAGNA_INSPECTOR='{link}'\n"));
    let page = running.get("/mock-api/inspector");
    assert!(
        page.starts_with("HTTP/1.1 200 ") && page.contains("</script>"),
        "{page}"
    );
    running.end_with("-TERM");
    let said = refused(&["--inspector", "--listen", "0.0.0.0:0", "--allow-remote"]);
    assert!(said.contains("--allow-remote"), "{said}");
}

#[test]
fn funds_are_set_on_the_command_line() {
    let running = Running::start(&["--funds", "250000.5"]);
    let order = r#"{"paymentPlatform": "erc20-holesky-tglm", "totalAmount": "250000.5", "makeDeposit": false}"#;
    let answer = running.post("/payment-api/v1/allocations", order);
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let answer = running.post(
        "/payment-api/v1/allocations",
        &order.replace("250000.5", "0.1"),
    );
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn pages_of_an_allowed_origin_can_read_answers() {
    let (first, second) = ("http://localhost:8080", "http://127.0.0.1:9000");
    let running = Running::start(&["--allow-origin", first, "--allow-origin", second]);
    for (origin, allowed) in [(first, true), (second, true), ("http://c.example", false)] {
        let mut answer = String::new();
        let request = format!(
            "GET /version/get HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        running
            .send(&request)
            .read_to_string(&mut answer)
            .expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let header = format!("\r\naccess-control-allow-origin: {origin}\r\n");
        assert_eq!(answer.contains(&header), allowed, "{answer}");
    }
}

#[test]
fn a_network_file_is_served_and_a_mistake_in_it_has_a_line_and_a_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("good.yaml");
    let text =
        "providers: [ { name: bob } ]\nfaults: [ { on: getIdentity, do: { refuse: 503 } } ]\n";
    std::fs::write(&good, text).expect("a file");
    let running = Running::start(&["--scenario", good.to_str().expect("UTF-8")]);
    assert!(running.get("/me").starts_with("HTTP/1.1 503 "));
    assert!(
        running
            .get("/mock-api/v1/providers")
            .contains("\"name\":\"bob\"")
    );
    drop(running);

    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "providers:\n  - { name: bob, capazity: 1 }\n").expect("a file");
    let output = Command::new(PROGRAM)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--scenario",
            bad.to_str().expect("UTF-8"),
        ])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        told.contains("bad.yaml:2:") && told.contains("capazity"),
        "{told}"
    );
}

#[test]
fn the_control_api_has_an_address_of_its_own_that_a_restart_leaves_alone() {
    let mut running = Running::start(&["--control-listen", "127.0.0.1:0"]);
    let mut line = String::new();
    running.stdout.read_line(&mut line).expect("a line");
    let control = line
        .trim_end()
        .strip_prefix("export MOCK_YAGNA_CONTROL_URL=http://")
        .expect("the URL")
        .to_owned();
    let daemon = std::mem::replace(&mut running.address, control);
    let answer = running.order(r#"{"restart_daemon": {"down": "1h"}}"#);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let refused = TcpStream::connect(daemon).expect_err("the port is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(
        running
            .get("/mock-api/v1/ledger")
            .starts_with("HTTP/1.1 200 ")
    );
}

#[test]
fn the_help_shows_examples() {
    let output = Command::new(PROGRAM)
        .arg("--help")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    for part in [
        "Examples:",
        "--scenario",
        "/mock-api/v1",
        "lose_answer",
        "--allow-origin",
    ] {
        assert!(told.contains(part), "{part}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_is_quoted_for_the_shell_and_one_that_no_client_can_send_is_refused() {
    let mut child = Command::new(PROGRAM)
        .args(["--listen", "127.0.0.1:0", "--app-key", "it's$HOME"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = String::new();
    for _ in 0..2 {
        stdout.read_line(&mut lines).expect("a line");
    }
    child.kill().expect("it ends");
    child.wait().expect("it ended");
    let script = format!("{lines}printf %s \"$YAGNA_APPKEY\"");
    let read = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("sh");
    assert_eq!(String::from_utf8_lossy(&read.stdout), "it's$HOME");
    for key in ["zażółć", "two words", ""] {
        let told = refused(&["--listen", "127.0.0.1:0", "--app-key", key]);
        assert!(told.contains("cannot be sent in a header"), "{told}");
    }
}

#[test]
fn more_providers_than_there_can_be_are_refused() {
    let told = refused(&["--providers", "1000000000"]);
    assert!(told.contains("from 0 to 20000"), "{told}");
    let folder = tempfile::tempdir().expect("a folder");
    for (text, why) in [
        ("fleet: 1000000000\n", "from 0 to 20000"),
        (
            "images: { x: missing }\n",
            "`missing` is for `default_image`",
        ),
        (
            "images: { x: { program: simple-service } }\n",
            "a program of `rehearse`",
        ),
        (
            "web: { 'http://a/b': {} }\n",
            "write one of text, file and size",
        ),
        (
            "web: { 'http://a/b': { size: 1, text: x } }\n",
            "write one of text, file and size",
        ),
        ("web: { a/b: { text: x } }\n", "write the whole URL"),
        ("web: { 'http://a/b': { file: nowhere } }\n", "nowhere"),
        (
            "app_keys: [{ key: zażółć, name: x }]\n",
            "cannot be sent in a header",
        ),
    ] {
        let file = folder.path().join("network.yaml");
        std::fs::write(&file, text).expect("a file");
        let file = file.to_str().expect("UTF-8");
        let told = refused(&["--listen", "127.0.0.1:0", "--scenario", file]);
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[cfg(target_os = "linux")]
fn full() -> std::fs::File {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    full.expect("a device that is always full")
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_costs_no_answer() {
    let (reader, gone) = std::io::pipe().expect("a pipe");
    drop(reader);
    let logs: [(&str, Stdio); 2] = [("gone", gone.into()), ("full", full().into())];
    for (name, log) in logs {
        let running = Running::start_with(&["--providers", "2"], log);
        // It is told in the log as it happens.
        let answer = running.order(r#"{"die": {"provider": "provider-1"}}"#);
        assert!(answer.starts_with("HTTP/1.1 204 "), "{name}: {answer}");
        let me = running.get("/me");
        assert!(me.starts_with("HTTP/1.1 200 "), "{name}: {me}");
        running.end_with("-TERM");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_nobody_reads_costs_no_answer() {
    let (unread, log) = std::io::pipe().expect("a pipe");
    // More than fits into a pipe is said at once.
    let options = ["--providers", "2000"];
    let running = Running::start_with(&options, log);
    for number in 1..=2000 {
        let answer = running.order(&format!(
            r#"{{"die": {{"provider": "provider-{number}"}}}}"#
        ));
        assert!(answer.starts_with("HTTP/1.1 204 "), "{number}: {answer}");
    }
    let me = running.get("/me");
    assert!(me.starts_with("HTTP/1.1 200 "), "{me}");
    running.end_with("-TERM");
    drop(unread);
}

#[cfg(target_os = "linux")]
#[test]
fn lines_for_a_shell_that_cannot_be_written_are_told_in_the_log() {
    let mut command = Command::new(PROGRAM);
    let mut child = command
        .args(["--listen", "127.0.0.1:0"])
        .stdout(full())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = BufReader::new(child.stderr.take().expect("piped"));
    let told = log.lines().map_while(Result::ok);
    let told: Vec<_> = told
        .take_while(|line| !line.contains("providers"))
        .collect();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let told = told.join("\n");
    assert!(told.contains("cannot write to standard output"), "{told}");

    let mut help = Command::new(PROGRAM);
    let help = help.arg("--help").stdout(full()).stderr(Stdio::piped());
    let ended = help.spawn().expect("it starts").wait_with_output();
    let ended = ended.expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && told.contains("cannot write"),
        "{told}"
    );
}
